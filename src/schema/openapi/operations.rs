//! The operations on served resources, before they are put into the words of version 2 or 3.

use super::parameters::{self as given, Parameter, Place};
use super::{Body, GroupVersion, ResourcePaths, SubresourcePaths, custom_name};
use crate::Types;
use alcove_object::Gvk;
use alcove_object::gather::Gather;
use std::collections::BTreeMap;

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const RESOURCES: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList";

/// What patches come in. Custom resources have no strategic merge patch.
pub(super) const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json",
];

/// One operation. Types are definition names; none: a text or a stream.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub method: String,
    pub id: String,
    pub action: Option<&'static str>,
    pub description: String,
    pub tag: String,
    pub gvk: Option<Gvk>,
    pub parameters: Vec<Parameter>,
    pub request: Option<Request>,
    pub responses: Vec<(&'static str, &'static str)>,
    pub answer: Option<String>,
    pub produces: Vec<&'static str>,
}

/// The body that an operation takes.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub definition: String,
    pub media: Vec<&'static str>,
    pub required: bool,
}

/// The operations of one path, and the parameters that all of them have.
#[derive(Clone, Debug)]
pub(super) struct PathItem {
    pub parameters: Vec<Parameter>,
    pub operations: Vec<Operation>,
}

/// All operations of a group-version by path.
pub(super) fn paths(types: &Types, gv: &GroupVersion) -> BTreeMap<String, PathItem> {
    let names = Names::of(gv);
    let mut found: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    let resources = Operation {
        answer: Some(RESOURCES.into()),
        ..names.operation("get", format!("get{}APIResources", names.title), "get available resources".into())
    };
    found.entry(format!("{}/", names.root)).or_default().push(resources);
    for resource in &gv.resources {
        for (path, operation) in Paths::of(types, gv, &names, resource).all() {
            found.entry(path).or_default().push(operation);
        }
    }
    found.into_iter().map(|(path, operations)| (path, PathItem::of(operations))).gather()
}

impl PathItem {
    /// Moves parameters that every operation has to the path.
    fn of(mut operations: Vec<Operation>) -> PathItem {
        let first = operations.first().map_or(&[][..], |o| &o.parameters);
        let shared = |p: &&Parameter| operations.iter().all(|o| o.parameters.contains(p));
        let mut parameters: Vec<_> = first.iter().filter(shared).cloned().collect();
        for operation in &mut operations {
            operation.parameters.retain(|p| !parameters.contains(p));
            operation.parameters.sort_by_key(|p| p.name);
        }
        parameters.sort_by_key(|p| (p.name, p.place == Place::Query));
        PathItem { parameters, operations }
    }
}

/// How a group-version is called in paths, operation ids and tags.
struct Names {
    root: String,
    title: String,
    tag: String,
}

impl Names {
    fn of(gv: &GroupVersion) -> Names {
        let short = gv.group.strip_suffix(".k8s.io").unwrap_or(&gv.group);
        let mut labels = if short.is_empty() { "core" } else { short }.split('.');
        let first = labels.next().unwrap_or_default().to_owned();
        let group = labels.fold(first, |name, label| name + &title(label));
        let root = match &*gv.group {
            "" => format!("/api/{}", gv.version),
            group => format!("/apis/{group}/{}", gv.version),
        };
        let tag = format!("{group}_{}", gv.version);
        Names { root, title: title(&group) + &title(&gv.version), tag }
    }

    fn operation(&self, method: &str, id: String, description: String) -> Operation {
        Operation {
            method: method.to_owned(),
            id,
            action: None,
            description,
            tag: self.tag.clone(),
            gvk: None,
            parameters: Vec::new(),
            request: None,
            responses: vec![("200", "OK"), ("401", "Unauthorized")],
            answer: None,
            produces: vec!["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"],
        }
    }
}

/// Makes the operations of one resource.
struct Paths<'a> {
    names: &'a Names,
    resource: &'a ResourcePaths,
    types: &'a Types,
    gvk: Gvk,
    /// Definition names of the objects and of their lists.
    object: String,
    list: String,
}

impl<'a> Paths<'a> {
    fn of(types: &'a Types, gv: &GroupVersion, names: &'a Names, resource: &'a ResourcePaths) -> Paths<'a> {
        let gvk = Gvk::new(&gv.group, &gv.version, &resource.kind);
        let list_kind = match &resource.body {
            Body::BuiltIn => format!("{}List", resource.kind),
            Body::Custom { list_kind, .. } => list_kind.clone(),
        };
        let object = definition(types, &gvk);
        let list = definition(types, &Gvk { kind: list_kind, ..gvk.clone() });
        Paths { names, resource, types, gvk, object, list }
    }

    fn all(&self) -> Vec<(String, Operation)> {
        let plural = &self.resource.plural;
        let root = &self.names.root;
        let collection = match self.resource.namespaced {
            true => format!("{root}/namespaces/{{namespace}}/{plural}"),
            false => format!("{root}/{plural}"),
        };
        let mut out = Vec::new();
        if self.resource.namespaced && self.has("list") {
            out.push((format!("{root}/{plural}"), self.list("ForAllNamespaces")));
        }
        let on_collection = [
            self.has("list").then(|| self.list("")),
            self.has("create").then(|| self.create()),
            self.has("deletecollection").then(|| self.delete_collection()),
        ];
        out.extend(on_collection.into_iter().flatten().map(|o| (collection.clone(), o)));
        let item = format!("{collection}/{{name}}");
        let on_item = [
            self.has("get").then(|| self.part("get", "", &self.gvk)),
            self.has("update").then(|| self.part("put", "", &self.gvk)),
            self.has("patch").then(|| self.part("patch", "", &self.gvk)),
            self.has("delete").then(|| self.delete()),
        ];
        out.extend(on_item.into_iter().flatten().map(|o| (item.clone(), o)));
        for subresource in &self.resource.subresources {
            self.subresource(&format!("{item}/{}", subresource.name), subresource, &mut out);
        }
        out
    }

    fn has(&self, verb: &str) -> bool {
        self.resource.verbs.iter().any(|v| v == verb)
    }

    /// An operation with the parameters that all of this resource have.
    fn operation(&self, method: &str, verb: &str, after: &str, text: String) -> Operation {
        let scope = if self.resource.namespaced && after != "ForAllNamespaces" { "Namespaced" } else { "" };
        let kind = &self.resource.kind;
        let id = match verb {
            "deletecollection" => format!("delete{}Collection{scope}{kind}", self.names.title),
            _ => format!("{verb}{}{scope}{kind}{after}", self.names.title),
        };
        let mut operation = self.names.operation(method, id, text);
        if matches!(self.resource.body, Body::Custom { .. }) {
            operation.produces = vec!["application/json", "application/yaml"];
        }
        if !scope.is_empty() {
            let text = "object name and auth scope, such as for teams and projects";
            operation.parameters.push(given::path("namespace", text.to_owned()));
        }
        operation.parameters.extend(given::queries(given::PRETTY));
        operation.gvk = Some(self.gvk.clone());
        operation
    }

    fn on_item(&self, method: &str, verb: &str, after: &str, text: String, kind: &str) -> Operation {
        let mut operation = self.operation(method, verb, after, text);
        operation.parameters.push(given::path("name", format!("name of the {kind}")));
        operation
    }

    fn list(&self, after: &str) -> Operation {
        let text = format!("list or watch objects of kind {}", self.resource.kind);
        let mut operation = self.operation("get", "list", after, text);
        operation.parameters.extend(given::queries(given::LIST));
        operation.action = Some("list");
        operation.answer = Some(self.list.clone());
        operation.produces.push("application/json;stream=watch");
        operation
    }

    fn create(&self) -> Operation {
        let text = format!("create {}", with_article(&self.resource.kind));
        self.creating(self.operation("post", "create", "", text), self.object.clone())
    }

    fn creating(&self, mut operation: Operation, definition: String) -> Operation {
        operation.parameters.extend(given::queries(given::WRITE));
        operation.action = Some("post");
        operation.responses.splice(1..1, [("201", "Created"), ("202", "Accepted")]);
        operation.answer = Some(definition.clone());
        operation.request = Some(Request { definition, media: vec!["*/*"], required: true });
        operation
    }

    fn delete_collection(&self) -> Operation {
        let text = format!("delete collection of {}", self.resource.kind);
        let mut operation = self.deleting(self.operation("delete", "deletecollection", "", text));
        operation.parameters.extend(given::queries(&given::LIST[..given::DELETE_COLLECTION]));
        operation.action = Some("deletecollection");
        operation.answer = Some(STATUS.into());
        operation
    }

    fn delete(&self) -> Operation {
        let text = format!("delete {}", with_article(&self.resource.kind));
        let mut operation = self.deleting(self.on_item("delete", "delete", "", text, &self.resource.kind));
        operation.action = Some("delete");
        operation.responses.insert(1, ("202", "Accepted"));
        operation.answer =
            Some(if self.resource.returns_deleted { self.object.clone() } else { STATUS.into() });
        operation
    }

    fn deleting(&self, mut operation: Operation) -> Operation {
        operation.parameters.extend(given::queries(given::DELETE));
        operation.request =
            Some(Request { definition: DELETE_OPTIONS.into(), media: vec!["*/*"], required: false });
        operation
    }

    /// Reads, replaces or patches an object or one of its parts.
    fn part(&self, method: &'static str, part: &str, body: &Gvk) -> Operation {
        let of = if part.is_empty() { String::new() } else { format!("{part} of ") };
        let what = format!("{of}the specified {}", self.resource.kind);
        let (verb, text) = match method {
            "get" => ("read", format!("read {what}")),
            "put" => ("replace", format!("replace {what}")),
            _ => ("patch", format!("partially update {what}")),
        };
        let named = if part.is_empty() || body.kind != "Scale" { &self.resource.kind } else { &body.kind };
        let mut operation = self.on_item(method, verb, &title(part), text, named);
        let object = if *body == self.gvk { self.object.clone() } else { definition(self.types, body) };
        operation.action = Some(method);
        operation.gvk = Some(body.clone());
        operation.answer = Some(object.clone());
        if method == "get" {
            return operation;
        }
        operation.parameters.extend(given::queries(given::WRITE));
        operation.responses.insert(1, ("201", "Created"));
        let (definition, media) = match method {
            "put" => (object, vec!["*/*"]),
            _ => {
                operation.parameters.extend(given::queries(given::FORCE));
                let strategic = matches!(self.resource.body, Body::BuiltIn);
                (PATCH.to_owned(), PATCHES[..if strategic { 4 } else { 3 }].to_vec())
            }
        };
        operation.request = Some(Request { definition, media, required: true });
        operation
    }

    fn subresource(&self, path: &str, part: &SubresourcePaths, out: &mut Vec<(String, Operation)>) {
        let has = |verb: &str| part.verbs.iter().any(|v| v == verb);
        let of_its_own = || given::queries(given::of_subresource(&part.name));
        for (verb, method) in [("get", "get"), ("update", "put"), ("patch", "patch")] {
            if has(verb) {
                let mut operation = self.part(method, &part.name, &part.gvk);
                operation.parameters.extend(of_its_own());
                if part.name == "log" {
                    operation.answer = None;
                    operation.produces.push("text/plain");
                }
                out.push((path.to_owned(), operation));
            }
        }
        if has("create") {
            let text = format!("create {} of {}", part.name, with_article(&self.resource.kind));
            let operation = self.on_item("post", "create", &title(&part.name), text, &part.gvk.kind);
            let mut operation = self.creating(operation, definition(self.types, &part.gvk));
            operation.gvk = Some(part.gvk.clone());
            out.push((path.to_owned(), operation));
        }
        for method in &part.connect {
            out.push((path.to_owned(), self.connect(method, part, "")));
            if part.name == "proxy" {
                let mut operation = self.connect(method, part, "WithPath");
                operation.parameters.push(given::path("path", "path to the resource".into()));
                out.push((format!("{path}/{{path}}"), operation));
            }
        }
    }

    fn connect(&self, method: &str, part: &SubresourcePaths, after: &str) -> Operation {
        let text =
            format!("connect {} requests to {} of {}", method.to_uppercase(), part.name, self.resource.kind);
        let mut operation =
            self.on_item(method, "connect", &format!("{}{after}", title(&part.name)), text, &part.gvk.kind);
        operation.id =
            operation.id.replacen(&self.names.title, &format!("{}{}", self.names.title, title(method)), 1);
        operation.parameters.retain(|p| p.name != "pretty");
        operation.parameters.extend(given::queries(given::of_subresource(&part.name)));
        operation.action = Some("connect");
        operation.gvk = Some(part.gvk.clone());
        operation.produces = vec!["*/*"];
        operation
    }
}

/// The definition name of a kind: the types', or that of a custom resource.
pub(super) fn definition(types: &Types, gvk: &Gvk) -> String {
    match types.kind(gvk) {
        Some(view) => view.schema().name.to_string(),
        None => custom_name(&gvk.group, &gvk.version, &gvk.kind),
    }
}

fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {kind}")
}

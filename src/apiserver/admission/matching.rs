//! Which requests a webhook or a policy is for (k8s.io/apiserver/pkg/admission/plugin/webhook/predicates), and how it sees
//! them: in the version that its rules name.

use crate::admission::Attributes;
use crate::registry::Resource;
use crate::request::Verb;
use crate::rest::converted;
use alcove_object::gather::Gather;
use alcove_object::selector::Labels;
use alcove_object::{Gvk, Gvr, Value, meta};
use alcove_store::Store;
use serde_json::json;
use std::sync::Arc;

/// One rule.
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    /// Names of objects; empty: any.
    names: Vec<String>,
    scope: String,
}

impl Rule {
    /// Reads a `RuleWithOperations`.
    fn read(rule: &Value) -> Rule {
        let texts = |field: &str| {
            let list = rule[field].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Rule {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            scope: rule["scope"].as_str().unwrap_or("*").to_owned(),
        }
    }

    /// The rule that means every request.
    fn everything() -> Rule {
        let all = || vec!["*".to_owned()];
        let resources = vec!["*/*".to_owned()];
        let (scope, names) = ("*".to_owned(), Vec::new());
        Rule { operations: all(), groups: all(), versions: all(), resources, names, scope }
    }

    /// Whether the rule means the request, were it one for this resource.
    fn matches(&self, attributes: &Attributes<'_>, resource: &Resource) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|known| known == "*" || known == wanted);
        let gvr = &resource.gvr;
        let is_namespace = gvr.group.is_empty() && gvr.resource == "namespaces";
        let scope = match &*self.scope {
            "Namespaced" => !is_namespace && !attributes.namespace.is_empty(),
            "Cluster" => is_namespace || attributes.namespace.is_empty(),
            _ => true,
        };
        let is_named = self.names.is_empty() || self.names.iter().any(|name| name == attributes.name);
        scope
            && is_named
            && has(&self.operations, operation(attributes.verb))
            && has(&self.groups, &gvr.group)
            && has(&self.versions, &gvr.version)
            && self.resources.iter().any(|known| {
                let (name, sub) = known.split_once('/').unwrap_or((known, ""));
                (name == "*" || name == gvr.resource) && (sub == "*" || sub == attributes.subresource)
            })
    }
}

/// The word for a verb.
pub(super) fn operation(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "CREATE",
        Verb::Delete | Verb::DeleteCollection => "DELETE",
        Verb::Connect => "CONNECT",
        _ => "UPDATE",
    }
}

/// How a request is seen.
pub(super) struct Match {
    /// The resource in another version, if its rules name that.
    other: Option<Arc<Resource>>,
}

impl Match {
    /// The resource that it sees.
    pub fn resource<'a>(&'a self, attributes: &'a Attributes<'_>) -> &'a Resource {
        self.other.as_ref().unwrap_or(attributes.resource)
    }

    fn seen(&self, attributes: &Attributes<'_>, object: &Value) -> Value {
        match &self.other {
            Some(other) if !object.is_null() => converted(attributes.resource, object, &other.gvk),
            _ => object.clone(),
        }
    }

    /// The object, as the webhook sees it.
    pub fn object(&self, attributes: &Attributes<'_>) -> Value {
        self.seen(attributes, attributes.object)
    }

    /// What it was before.
    pub fn old(&self, attributes: &Attributes<'_>) -> Value {
        attributes.old.map_or(Value::Null, |old| self.seen(attributes, old))
    }

    /// Makes of what the webhook left an object of the version that was asked.
    pub fn back(&self, attributes: &Attributes<'_>, object: &mut Value) {
        if let Some(other) = &self.other {
            *object = converted(other, object, &attributes.resource.gvk);
        }
    }
}

/// What requests a webhook, a policy or a binding is for.
pub(super) struct Constraints {
    rules: Vec<Rule>,
    /// What goes past it whatever the rules say.
    excluded: Vec<Rule>,
    /// Other versions of a resource are what its rules mean, too.
    is_equivalent: bool,
    /// `None`: nothing.
    namespaces: Option<Labels>,
    objects: Option<Labels>,
}

impl Constraints {
    /// Reads what a webhook says, or the `MatchResources` of a policy.
    pub fn read(from: &Value) -> Constraints {
        let rules = |field: &str| from[field].as_array().into_iter().flatten().map(Rule::read).collect();
        let selector = |field: &str| match from.get(field).filter(|selector| !selector.is_null()) {
            // Defaults make it an empty one, which selects everything.
            None => Some(Labels::from_map(None)),
            selector => Labels::from_object(selector).ok().flatten(),
        };
        let resources = if from.get("resourceRules").is_some() { "resourceRules" } else { "rules" };
        Constraints {
            rules: rules(resources),
            excluded: rules("excludeResourceRules"),
            is_equivalent: from["matchPolicy"] != "Exact",
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// The same, where no rule at all means everything.
    pub fn read_or_everything(from: &Value) -> Constraints {
        let mut constraints = Constraints::read(from);
        if constraints.rules.is_empty() {
            constraints.rules.push(Rule::everything());
        }
        constraints
    }

    /// How the request is seen; `None`: it is none of these.
    pub fn find(&self, attributes: &Attributes<'_>, store: &Store) -> Option<Match> {
        let found = self.matched(attributes)?;
        let is_selected = self.selects_namespace(attributes, store) && self.selects_object(attributes);
        is_selected.then_some(found)
    }

    fn matched(&self, attributes: &Attributes<'_>) -> Option<Match> {
        let asked = attributes.resource;
        if self.excluded.iter().any(|rule| rule.matches(attributes, asked)) {
            return None;
        }
        if self.rules.iter().any(|rule| rule.matches(attributes, asked)) {
            return Some(Match { other: None });
        }
        if !self.is_equivalent {
            return None;
        }
        let others = attributes.registry.resources().iter();
        let mut others = others.filter(|other| other.table == asked.table && other.gvr != asked.gvr);
        let other = others.find(|other| self.rules.iter().any(|rule| rule.matches(attributes, other)))?;
        Some(Match { other: Some(other.clone()) })
    }

    fn selects_namespace(&self, attributes: &Attributes<'_>, store: &Store) -> bool {
        let Some(selector) = &self.namespaces else { return false };
        let gvr = &attributes.resource.gvr;
        if selector.is_empty() {
            return true;
        }
        if gvr.group.is_empty() && gvr.resource == "namespaces" {
            let object = if attributes.object.is_null() { attributes.old } else { Some(&*attributes.object) };
            return object.is_some_and(|object| selector.matches_object(object));
        }
        if attributes.namespace.is_empty() {
            return true;
        }
        let namespace = store.get("namespaces", attributes.namespace);
        namespace.is_some_and(|namespace| selector.matches(|key| namespace.index.label(key)))
    }

    fn selects_object(&self, attributes: &Attributes<'_>) -> bool {
        let Some(selector) = &self.objects else { return false };
        if selector.is_empty() {
            return true;
        }
        let matches = |object: &Value| !object.is_null() && selector.matches_object(object);
        matches(attributes.object) || attributes.old.is_some_and(matches)
    }
}

fn kind(gvk: &Gvk) -> Value {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}

fn resource(gvr: &Gvr) -> Value {
    json!({"group": gvr.group, "version": gvr.version, "resource": gvr.resource})
}

/// The kind of what the request carries.
pub(super) fn kind_of(attributes: &Attributes<'_>, seen: &crate::registry::Resource) -> Gvk {
    match attributes.resource.subresource(attributes.subresource) {
        // Connections and what is posted carry a kind of their own.
        Some(sub) if matches!(attributes.verb, Verb::Connect | Verb::Create) => sub.gvk.clone(),
        // Scales are judged as the objects that they scale.
        _ => seen.gvk.clone(),
    }
}

/// The request, without the objects.
pub(super) fn request(attributes: &Attributes<'_>, found: &Match, uid: &str) -> Value {
    let seen = found.resource(attributes);
    let user = attributes.user;
    let extra: serde_json::Map<String, Value> =
        user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).gather();
    let mut who = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        who["uid"] = user.uid.clone().into();
    }
    if !extra.is_empty() {
        who["extra"] = extra.into();
    }
    let name = match attributes.name {
        "" => meta::name(attributes.object),
        name => name,
    };
    let mut request = json!({
        "uid": uid,
        "kind": kind(&kind_of(attributes, seen)),
        "resource": resource(&seen.gvr),
        "requestKind": kind(&kind_of(attributes, attributes.resource)),
        "requestResource": resource(&attributes.resource.gvr),
        "operation": operation(attributes.verb),
        "userInfo": who,
        "dryRun": attributes.dry_run,
    });
    for (field, value) in [("name", name), ("namespace", attributes.namespace)] {
        if !value.is_empty() {
            request[field] = value.into();
        }
    }
    if !attributes.subresource.is_empty() {
        request["subResource"] = attributes.subresource.into();
        request["requestSubResource"] = attributes.subresource.into();
    }
    let options = match attributes.verb {
        Verb::Create => "CreateOptions",
        Verb::Delete | Verb::DeleteCollection => "DeleteOptions",
        Verb::Connect => return request,
        _ => "UpdateOptions",
    };
    request["options"] = json!({"apiVersion": "meta.k8s.io/v1", "kind": options});
    if attributes.dry_run {
        request["options"]["dryRun"] = json!(["All"]);
    }
    request
}

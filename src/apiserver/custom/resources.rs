//! A definition as descriptors: one resource per served version, all over one table.

use super::conversion::Conversion;
use super::names::Names;
use super::strategy::CustomStrategy;
use super::{storage_version, text, versions};
use crate::outbound::ResolveService;
use crate::registry::{
    Cell, Column, Custom, Deletion, FieldValue, Generation, Hooks, NameRule, Resource, Rules, ScalePaths,
    Selectable, Subresource, SubresourceKind, VerbSet,
};
use crate::request::Verb;
use alcove_object::{Gvk, Gvr, Value, meta};
use alcove_schema::Types;
use alcove_schema::custom::{BadPattern, JsonPath, Rules as ValueRules, form};
use std::cmp::Ordering;
use std::sync::Arc;

/// get, patch and update: the verbs of status and scale.
const READ_WRITE: VerbSet = VerbSet::of(&[Verb::Get, Verb::Patch, Verb::Update]);
/// Types and formats that printer columns have; the first of each is for what is something else.
const COLUMN_TYPES: [&str; 5] = ["string", "integer", "number", "boolean", "date"];
const COLUMN_FORMATS: [&str; 9] =
    ["", "int32", "int64", "float", "double", "byte", "date", "date-time", "password"];

/// What a definition serves under its accepted names. `since`: the revision since which its schemas are in force.
///
/// Fails if a schema does not compile, which validation does not let through.
pub(super) fn resources(
    definition: &Value,
    names: &Names,
    builtin: &Types,
    since: u64,
    services: &Arc<dyn ResolveService>,
) -> Result<Vec<Arc<Resource>>, BadPattern> {
    let Some(storage) = storage_version(definition) else { return Ok(Vec::new()) };
    let conversion = Conversion::read(definition, services);
    let served = versions(definition).filter(|(_, version)| version["served"] == true);
    served
        .map(|(name, version)| {
            let mut served = resource(definition, names, (name, version), storage, builtin, since)?;
            if let Some(custom) = &mut served.custom {
                custom.conversion.clone_from(&conversion);
            }
            Ok(Arc::new(served))
        })
        .collect()
}

fn resource(
    definition: &Value,
    names: &Names,
    (name, version): (&str, &Value),
    storage: &str,
    builtin: &Types,
    since: u64,
) -> Result<Resource, BadPattern> {
    let group = text(definition, "/spec/group");
    let gvk = Gvk::new(group, name, &names.kind);
    let schema = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
    let types = Arc::new(form(&schema, &gvk, builtin));
    let root = types.kind(&gvk).map(|view| view.id).expect("a form has its kind as root");
    let scale = scale_paths(version);
    let selectable: Vec<String> =
        list(version, "selectableFields").map(|f| text(f, "/jsonPath").to_owned()).collect();
    let strategy = CustomStrategy {
        types: types.clone(),
        root,
        rules: ValueRules::compile(&schema)?,
        scale: scale.clone(),
    };
    let gvr = Gvr::new(group, name, &names.plural);
    let mut custom = Custom::new(&gvk, names.list_kind.clone(), &schema, since);
    let deprecation = deprecation(definition, &gvk, version);
    custom.is_terminating = meta::is_deleting(definition);
    custom.selectable.clone_from(&selectable);
    Ok(Resource {
        singular: names.singular.clone(),
        short_names: names.short.clone(),
        categories: names.categories.clone(),
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        verbs: VerbSet::ALL,
        subresources: subresources(version, &gvk, scale.is_some()),
        table: gvr.group_resource().into(),
        stored: Gvk::new(group, storage, &names.kind),
        head: None,
        is_served: true,
        rules: Rules {
            names: NameRule::Subdomain,
            generation: Generation::AllButStatus,
            create_on_update: false,
            unconditional_update: false,
            deletion: Deletion::Background,
            returns_deleted: false,
            status_resets: &["metadata"],
            warns: |_, _| Vec::new(),
            table_order: "",
        },
        selectable: selectable.iter().filter_map(|path| self::selectable(path)).collect(),
        columns: columns(version),
        types,
        schema: root,
        strategy: Hooks::Owned(Arc::new(strategy)),
        scale: scale.unwrap_or(ScalePaths::BUILT_IN),
        deprecation,
        gates: None,
        custom: Some(custom),
        gvr,
        gvk,
    })
}

fn list<'a>(version: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    version[field].as_array().into_iter().flatten()
}

fn subresources(version: &Value, gvk: &Gvk, has_scale: bool) -> Vec<Subresource> {
    let mut out = Vec::new();
    if version.pointer("/subresources/status").is_some_and(Value::is_object) {
        let (gvk, kind) = (gvk.clone(), SubresourceKind::Status);
        out.push(Subresource { name: "status", gvk, verbs: READ_WRITE, kind });
    }
    if has_scale {
        let (gvk, kind) = (Gvk::new("autoscaling", "v1", "Scale"), SubresourceKind::Scale);
        out.push(Subresource { name: "scale", gvk, verbs: READ_WRITE, kind });
    }
    out
}

fn scale_paths(version: &Value) -> Option<ScalePaths> {
    let scale = version.pointer("/subresources/scale").filter(|scale| scale.is_object())?;
    let pointer = |name: &str| text(scale, name).replace('.', "/");
    let selector = Some(pointer("/labelSelectorPath")).filter(|path| !path.is_empty());
    Some(ScalePaths {
        replicas: pointer("/specReplicasPath").into(),
        current: pointer("/statusReplicasPath").into(),
        selector: selector.map(Into::into),
    })
}

fn selectable(path: &str) -> Option<Selectable> {
    let read = JsonPath::parse(path).ok()?;
    let label = path.trim_start_matches('.').to_owned();
    Some(Selectable { label: label.into(), index: "", value: FieldValue::Read(read) })
}

/// Name, and what the definition says, which is the age when it says nothing.
fn columns(version: &Value) -> Vec<Column> {
    let name = Column {
        name: "Name".into(),
        kind: "string",
        format: "name",
        description: "Name of the object, unique in its namespace.".into(),
        priority: 0,
        cell: Cell::Name,
    };
    let mut own: Vec<Column> = list(version, "additionalPrinterColumns").filter_map(column).collect();
    if own.is_empty() {
        own.push(Column {
            name: "Age".into(),
            kind: "date",
            format: "",
            description: "Time since the object was created.".into(),
            priority: 0,
            cell: Cell::Age,
        });
    }
    std::iter::once(name).chain(own).collect()
}

fn column(definition: &Value) -> Option<Column> {
    let known =
        |all: &[&'static str], word: &str| all.iter().copied().find(|known| *known == word).unwrap_or(all[0]);
    let path = text(definition, "/jsonPath");
    let description = match text(definition, "/description") {
        "" => format!("Custom resource definition column (in JSONPath format): {path}"),
        description => description.to_owned(),
    };
    Some(Column {
        name: text(definition, "/name").to_owned(),
        kind: known(&COLUMN_TYPES, text(definition, "/type")),
        format: known(&COLUMN_FORMATS, text(definition, "/format")),
        description,
        priority: definition["priority"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
        cell: Cell::Path(JsonPath::parse(path).ok()?),
    })
}

/// The warning of a deprecated version: its author's, or one that names what to use instead.
fn deprecation(definition: &Value, gvk: &Gvk, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    let own = text(version, "/deprecationWarning");
    if !own.is_empty() {
        return Some(own.to_owned());
    }
    let current = versions(definition).filter(|(_, v)| v["served"] == true && v["deprecated"] != true);
    let newest = current.map(|(name, _)| name).min_by(|a, b| by_priority(a, b));
    let this = format!("{} {} is deprecated", gvk.api_version(), gvk.kind);
    Some(match newest {
        Some(newest) if by_priority(newest, &gvk.version) == Ordering::Less => {
            format!("{this}; use {}/{newest} {}", gvk.group, gvk.kind)
        }
        _ => this,
    })
}

/// How versions stand in discovery: stable before beta before alpha, newer before older, then by name
/// (k8s.io/apimachinery/pkg/version: CompareKubeAwareVersionStrings).
pub(crate) fn by_priority(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability, major and minor of `v1`, `v2beta3`.
fn rank(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    for (stability, word) in [(1, "beta"), (0, "alpha")] {
        if let Some((major, minor)) = rest.split_once(word) {
            return Some((stability, major.parse().ok()?, minor.parse().ok()?));
        }
    }
    Some((2, rest.parse().ok()?, 0))
}

/// Resources of all definitions in the order of discovery.
pub(super) fn in_order(mut resources: Vec<Arc<Resource>>) -> Vec<Arc<Resource>> {
    resources.sort_by(|a, b| {
        let (a, b) = (&a.gvr, &b.gvr);
        a.group
            .cmp(&b.group)
            .then_with(|| by_priority(&a.version, &b.version))
            .then_with(|| a.resource.cmp(&b.resource))
    });
    resources
}

/// What of a definition decides what is served: while it is the same, descriptors stay.
pub(super) fn signature(definition: &Value, names: &Names) -> String {
    format!(
        "{} {} {} {names:?}",
        meta::uid(definition),
        meta::generation(definition),
        meta::is_deleting(definition)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_in_discovery_by_stability_and_age() {
        let mut versions = vec!["foo1", "v1alpha1", "v1beta1", "v10", "v2", "v1beta2", "v12alpha1", "bar"];
        versions.sort_by(|a, b| by_priority(a, b));
        assert_eq!(versions, ["v10", "v2", "v1beta2", "v1beta1", "v12alpha1", "v1alpha1", "bar", "foo1"]);
    }
}

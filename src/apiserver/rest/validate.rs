//! What is wrong with an object beyond its kind's own rules: metadata, and required fields that are missing. Where a
//! strategy has a say about a field too, the strategy's word stands. Closed sets of values and doubles in lists are not
//! judged by the schema: upstream does not for built-in kinds, whose validation knows more than their documents show.

use super::settled::Settled;
use crate::registry::{NameRule, Resource};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name, validate as rules};
use alcove_schema::{Shape, View};

/// All that is wrong with a new object's metadata and shape. `own` is what the strategy found.
pub(super) fn new_object(resource: &Resource, object: &Value, own: Vec<Error>) -> Vec<Error> {
    let metadata = Path::new("metadata");
    let mut errors = rules::validate_object_meta(object, resource.namespaced, rule(resource), &metadata);
    errors.extend(finalizers(resource, object));
    join(&mut errors, own, shape(resource, object, &Settled::default()));
    errors
}

/// Groups whose kinds take any finalizer that is a qualified name.
const LENIENT_GROUPS: [&str; 4] =
    ["admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "coordination.k8s.io"];

/// Finalizers of built-in kinds are the server's own or have a domain
/// (k8s.io/kubernetes/pkg/apis/core/validation: ValidateObjectMeta).
fn finalizers(resource: &Resource, object: &Value) -> Vec<Error> {
    if resource.custom.is_some() || LENIENT_GROUPS.contains(&resource.gvk.group.as_str()) {
        return Vec::new();
    }
    let path = Path::new("metadata").child("finalizers");
    let each = meta::finalizers(object).enumerate();
    each.filter_map(|(i, finalizer)| standard_finalizer(finalizer, &path.index(i))).collect()
}

/// A finalizer without a domain is one that the server itself knows.
pub(crate) fn standard_finalizer(finalizer: &str, path: &Path) -> Option<Error> {
    let is_known = matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion");
    let why = "name is neither a standard finalizer name nor is it fully qualified";
    (!finalizer.contains('/') && !is_known).then(|| Error::invalid(path, finalizer, why))
}

/// All that is wrong with a changed object's metadata and shape.
pub(super) fn changed_object(
    resource: &Resource,
    object: &Value,
    old: &Value,
    own: Vec<Error>,
    settled: &Settled,
) -> Vec<Error> {
    let mut errors = changed_metadata(resource, object, old);
    join(&mut errors, own, shape(resource, object, settled));
    errors
}

/// All that is wrong with a changed object's metadata.
pub(super) fn changed_metadata(resource: &Resource, object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("metadata");
    let mut errors = rules::validate_object_meta_update(object, old, &path);
    // The name was good when it came; the rules for it may have become stricter since.
    errors.extend(rules::validate_identity(object, resource.namespaced, name::path_segment, &path));
    errors.extend(rules::validate_finalizers(object, &path.child("finalizers")));
    errors.extend(finalizers(resource, object));
    errors
}

fn join(errors: &mut Vec<Error>, own: Vec<Error>, shape: Vec<Error>) {
    errors.extend(own);
    let known: Vec<String> = errors.iter().map(|e| e.field.clone()).collect();
    errors.extend(shape.into_iter().filter(|e| !known.contains(&e.field)));
}

fn rule(resource: &Resource) -> name::NameRule {
    match resource.rules.names {
        NameRule::Subdomain => name::dns_subdomain,
        NameRule::Label => name::dns_label,
        NameRule::Label1035 => name::dns1035_label,
        NameRule::PathSegment => name::path_segment,
        NameRule::IpAddress => name::ip_address,
    }
}

/// What the schema says about everything but metadata and status (those are typed only, as upstream has it), and what
/// was judged when it was stored.
fn shape(resource: &Resource, object: &Value, settled: &Settled) -> Vec<Error> {
    let mut errors = Vec::new();
    // Custom resources have rules of their own, which say what is required.
    if resource.custom.is_some() {
        return errors;
    }
    let root = resource.types.view(resource.schema);
    for (key, value) in object.as_object().into_iter().flatten() {
        if matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status") || settled.has(key) {
            continue;
        }
        if let Some(child) = root.child(key) {
            walk(child, value, &Place::Top(key), &mut errors);
        }
    }
    errors
}

/// Where a walk is. Becomes a path only when there is something to say: most objects are right.
enum Place<'a> {
    Top(&'a str),
    Field(&'a Place<'a>, &'a str),
    Key(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn path(&self) -> Path {
        match self {
            Place::Top(name) => Path::new(name),
            Place::Field(parent, name) => parent.path().child(name),
            Place::Key(parent, key) => parent.path().key(key),
            Place::Item(parent, index) => parent.path().index(*index),
        }
    }
}

/// Recursion is as deep as the body, which decoding has limited.
fn walk(schema: View<'_>, value: &Value, place: &Place<'_>, errors: &mut Vec<Error>) {
    match (schema.shape(), value) {
        (Shape::Struct(fields), Value::Object(map)) => {
            // What is no pointer is never missing: Go writes its zero value, and whether that will do is the kind's own
            // business.
            let is_missing = |name: &str| map.get(name).is_none_or(Value::is_null);
            for field in fields.iter().filter(|f| f.required && f.pointer && is_missing(&f.name)) {
                errors.push(Error::required(&place.path().child(&field.name), ""));
            }
            for (key, value) in map {
                if let Some(child) = schema.child(key) {
                    walk(child, value, &Place::Field(place, key), errors);
                }
            }
        }
        (Shape::Map(item), Value::Object(map)) => {
            for (key, value) in map {
                walk(schema.at(*item), value, &Place::Key(place, key), errors);
            }
        }
        (Shape::List(item), Value::Array(items)) => {
            for (i, value) in items.iter().enumerate() {
                walk(schema.at(*item), value, &Place::Item(place, i), errors);
            }
        }
        _ => {}
    }
}

//! Fields of features that are off: what a client writes into them is dropped, unless the object has them already, so
//! that who wrote them while they were there does not lose them
//! (k8s.io/kubernetes/pkg/api/*/util.go, pkg/registry/*/strategy.go: dropDisabledFields).

use alcove_object::Value;
use alcove_schema::{SchemaId, Shape, Types, View};
use std::collections::{HashMap, HashSet};

/// What all definitions of built-in kinds begin with.
const PREFIX: &str = "io.k8s.api.";
/// What definitions that begin so were called in earlier versions.
const EARLIER: &[(&str, &str)] = &[
    ("resource.v1.", "resource.v1beta2."),
    ("resource.v1.", "resource.v1beta1."),
    ("resource.v1.Device", "resource.v1beta1.BasicDevice"),
    ("resource.v1.ExactDeviceRequest", "resource.v1beta1.DeviceRequest"),
];

/// A field of a type that belongs to a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gated {
    /// OpenAPI definition name of the type, behind `io.k8s.api.`.
    pub definition: &'static str,
    /// The field.
    pub field: &'static str,
    /// The feature.
    pub feature: &'static str,
}

/// The fields of an arena that belong to features that are off.
#[derive(Debug, Default)]
pub struct Gates {
    fields: HashMap<SchemaId, Vec<Gated>>,
    /// Types that have such a field somewhere in them.
    concerned: HashSet<SchemaId>,
}

impl Gates {
    /// Looks up fields that are off. A type or field that the arena does not have cannot be written anyway.
    pub fn new(types: &Types, off: impl Iterator<Item = Gated>) -> Gates {
        let mut fields: HashMap<SchemaId, Vec<Gated>> = HashMap::new();
        for gated in off {
            let names = EARLIER.iter().filter_map(|(now, before)| {
                gated.definition.strip_prefix(now).map(|rest| format!("{PREFIX}{before}{rest}"))
            });
            for name in names.chain([format!("{PREFIX}{}", gated.definition)]) {
                let view = types.named(&name).filter(|view| view.field(gated.field).is_some());
                if let Some(view) = view {
                    fields.entry(view.id).or_default().push(gated);
                }
            }
        }
        let mut parents: HashMap<SchemaId, Vec<SchemaId>> = HashMap::new();
        let mut seen = HashSet::new();
        let mut waiting: Vec<SchemaId> = types.definitions().map(|(_, view)| view.id).collect();
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                for child in children(types.view(id)) {
                    parents.entry(child).or_default().push(id);
                    waiting.push(child);
                }
            }
        }
        let mut concerned = HashSet::new();
        let mut waiting: Vec<SchemaId> = fields.keys().copied().collect();
        while let Some(id) = waiting.pop() {
            if concerned.insert(id) {
                waiting.extend(parents.get(&id).into_iter().flatten());
            }
        }
        Gates { fields, concerned }
    }

    /// Whether objects of a schema can have such fields.
    pub fn concern(&self, schema: SchemaId) -> bool {
        self.concerned.contains(&schema)
    }

    /// Drops from an object the fields of features that are off, but for features that the old object makes use of.
    pub fn take_out(&self, schema: View<'_>, object: &mut Value, old: Option<&Value>) {
        let mut used = HashSet::new();
        self.collect(schema, object, &mut used);
        if used.is_empty() {
            return;
        }
        let mut kept = HashSet::new();
        if let Some(old) = old {
            self.collect(schema, old, &mut kept);
        }
        if !used.is_subset(&kept) {
            self.remove(schema, object, &kept);
        }
    }

    /// The features whose fields an object has.
    fn collect(&self, schema: View<'_>, value: &Value, used: &mut HashSet<&'static str>) {
        if !self.concern(schema.id) {
            return;
        }
        match (value, schema.shape()) {
            (Value::Object(map), Shape::Struct(_) | Shape::Map(_)) => {
                for gated in self.fields.get(&schema.id).into_iter().flatten() {
                    if map.get(gated.field).is_some_and(|value| !value.is_null()) {
                        used.insert(gated.feature);
                    }
                }
                for (key, value) in map {
                    if let Some(child) = schema.child(key) {
                        self.collect(child, value, used);
                    }
                }
            }
            (Value::Array(items), Shape::List(item)) => {
                items.iter().for_each(|value| self.collect(schema.at(*item), value, used));
            }
            _ => {}
        }
    }

    fn remove(&self, schema: View<'_>, value: &mut Value, kept: &HashSet<&'static str>) {
        if !self.concern(schema.id) {
            return;
        }
        match (value, schema.shape()) {
            (Value::Object(map), Shape::Struct(_) | Shape::Map(_)) => {
                for gated in self.fields.get(&schema.id).into_iter().flatten() {
                    if !kept.contains(gated.feature) {
                        map.remove(gated.field);
                    }
                }
                for (key, value) in map {
                    if let Some(child) = schema.child(key) {
                        self.remove(child, value, kept);
                    }
                }
            }
            (Value::Array(items), Shape::List(item)) => {
                items.iter_mut().for_each(|value| self.remove(schema.at(*item), value, kept));
            }
            _ => {}
        }
    }
}

/// The types that a type is made of.
fn children(view: View<'_>) -> Vec<SchemaId> {
    match view.shape() {
        Shape::Struct(fields) => fields.iter().map(|field| field.schema).collect(),
        Shape::Map(inner)
        | Shape::List(inner)
        | Shape::BoolOr(inner)
        | Shape::OneOrList(inner)
        | Shape::OneOrStrings(inner) => vec![*inner],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use alcove_schema::Minor;
    use serde_json::json;

    /// What is left of an object of a kind in a minor.
    fn left(minor: u8, resource: &str, object: Value, old: Option<Value>) -> Value {
        let resources = kinds::resources(Minor(minor));
        let resource = resources.iter().find(|r| r.gvr.resource == resource).unwrap();
        let mut object = object;
        let gates = resource.gates.as_ref().expect("a kind with such fields");
        gates.take_out(resource.types.view(resource.schema), &mut object, old.as_ref());
        object
    }

    #[test]
    fn what_is_off_is_dropped_unless_it_is_there_already() {
        let lease = |strategy: &str| json!({"spec": {"strategy": strategy, "holderIdentity": "a"}});
        let bare = json!({"spec": {"holderIdentity": "a"}});
        assert_eq!(left(36, "leases", lease("x"), None), bare);
        assert_eq!(left(36, "leases", lease("x"), Some(bare.clone())), bare);
        assert_eq!(left(36, "leases", lease("x"), Some(lease("y"))), lease("x"));
        assert_eq!(left(36, "leases", bare.clone(), Some(lease("y"))), bare);
    }

    #[test]
    fn minors_differ_and_templates_are_looked_into() {
        let set = |name: &str| {
            json!({"spec": {"template": {"spec": {
                "containers": [{"name": "c", "env": [{"name": "e", "valueFrom": {name: {"key": "k"}}}]}],
            }}}})
        };
        let cut = json!({"spec": {"template": {"spec": {
            "containers": [{"name": "c", "env": [{"name": "e", "valueFrom": {}}]}],
        }}}});
        assert_eq!(left(34, "replicasets", set("fileKeyRef"), None), cut);
        assert_eq!(left(34, "replicasets", set("secretKeyRef"), None), set("secretKeyRef"));
        assert_eq!(left(35, "replicasets", set("fileKeyRef"), None), set("fileKeyRef"));
    }

    #[test]
    fn kinds_without_such_fields_have_no_gates() {
        let resources = kinds::resources(Minor(36));
        let has = |name: &str| resources.iter().find(|r| r.gvr.resource == name).unwrap().gates.is_some();
        assert!(has("pods") && has("statefulsets") && has("cronjobs"));
        assert!(!has("configmaps") && !has("services") && !has("roles"));
    }
}

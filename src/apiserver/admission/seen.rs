//! What expressions of admission see of one request (k8s.io/apiserver/pkg/admission/plugin/cel/activation.go).

use super::Attributes;
use super::matching::{Match, request};
use alcove_cel::Value as Cel;
use alcove_object::{Gvk, Value};
use alcove_store::Store;

/// A variable and its value.
pub(super) type Bound<'a> = (&'static str, Cel<'a>);

/// A request as expressions see it.
pub(super) struct Seen {
    pub object: Value,
    old: Value,
    request: Value,
    namespace: Value,
}

impl Seen {
    /// What a webhook sees: nothing of the namespace.
    pub fn new(attributes: &Attributes<'_>, found: &Match) -> Seen {
        let request = request(attributes, found, "");
        Seen { object: found.object(attributes), old: found.old(attributes), request, namespace: Value::Null }
    }

    /// The same with the namespace that the object is in.
    pub fn with_namespace(attributes: &Attributes<'_>, found: &Match, store: &Store) -> Seen {
        let is_namespace = attributes.resource.gvk == Gvk::new("", "v1", "Namespace");
        let name = attributes.namespace;
        let entry = (!is_namespace && !name.is_empty()).then(|| store.get("namespaces", name)).flatten();
        let namespace = entry.and_then(|entry| serde_json::from_slice(&entry.json).ok()).unwrap_or_default();
        Seen { namespace, ..Seen::new(attributes, found) }
    }

    /// The variables of conditions, which see nothing of the namespace either.
    pub fn without_namespace<'s>(&'s self, params: &'s Value) -> Vec<Bound<'s>> {
        let mut variables = self.variables(params);
        variables
            .iter_mut()
            .filter(|(name, _)| *name == "namespaceObject")
            .for_each(|(_, value)| *value = Cel::Null);
        variables
    }

    /// The variables.
    pub fn variables<'s>(&'s self, params: &'s Value) -> Vec<Bound<'s>> {
        vec![
            ("object", Cel::of(&self.object, None)),
            ("oldObject", Cel::of(&self.old, None)),
            ("request", Cel::of(&self.request, None)),
            ("params", Cel::of(params, None)),
            ("namespaceObject", Cel::of(&self.namespace, None)),
        ]
    }
}

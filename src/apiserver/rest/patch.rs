//! patch: the four patch types as one value that turns a stored object into a changed one
//! (k8s.io/apiserver/pkg/endpoints/handlers/patch.go).

use super::write::Write;
use super::{Body, decode};
use crate::options::{PatchType, WriteOptions};
use alcove_object::{Status, Value, meta};
use alcove_schema::View;

/// A decoded patch.
pub(super) struct Patch {
    kind: PatchType,
    tree: Value,
}

impl Patch {
    /// Reads a patch body. 400 for what is no patch.
    pub fn new(
        kind: PatchType,
        body: Body,
        _options: &WriteOptions,
        _warnings: &mut Vec<String>,
    ) -> Result<Patch, Status> {
        let tree = decode::tree(body)?;
        Ok(Patch { kind, tree })
    }

    pub fn is_apply(&self) -> bool {
        self.kind == PatchType::Apply
    }

    /// The object that an apply creates; 404 for the other types.
    pub fn create(&self, write: &Write<'_>) -> Result<Value, Status> {
        if !self.is_apply() {
            return Err(write.not_found());
        }
        let mut object = write.apply(None, &self.tree)?;
        write.resource().strategy.default(&mut object);
        Ok(object)
    }

    /// The object that a stored one becomes.
    pub fn apply_to(&self, old: &Value, write: &mut Write<'_>) -> Result<Value, Status> {
        let mut object = match self.kind {
            PatchType::Apply => write.apply(Some(old), &self.tree)?,
            _ => {
                let mut object = old.clone();
                self.merge_into(&mut object, Some(write.schema()))?;
                object
            }
        };
        write.resource().strategy.default(&mut object);
        Ok(object)
    }

    /// Merges into an object of any kind, such as a Scale. An apply counts as a merge there: nothing of it is owned.
    pub fn merge_into(&self, object: &mut Value, schema: Option<View<'_>>) -> Result<(), Status> {
        let _ = (schema, meta::name(object));
        merge(object, &self.tree);
        Ok(())
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(serde_json::Map::new());
    }
    let Some(map) = object.as_object_mut() else { return };
    for (key, value) in changes {
        match value {
            Value::Null => drop(map.remove(key)),
            _ => merge(map.entry(key.as_str()).or_insert(Value::Null), value),
        }
    }
}

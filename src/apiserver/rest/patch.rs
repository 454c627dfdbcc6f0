//! patch: the four patch types as one value that turns a stored object into a changed one
//! (k8s.io/apiserver/pkg/endpoints/handlers/patch.go).

use super::write::Write;
use super::{Body, decode};
use crate::options::{FieldValidation, PatchType};
use alcove_object::{Gvk, Status, Value};
use alcove_schema::decode::{StrictError, strict_message};
use alcove_schema::{View, patch};

/// A decoded patch.
pub(super) struct Patch {
    kind: PatchType,
    tree: Value,
    /// Keys that are there twice.
    twice: Vec<StrictError>,
}

impl Patch {
    /// Reads a patch body for an object of this kind. 400 for what is no patch.
    pub fn new(kind: PatchType, body: Body, about: &Gvk) -> Result<Patch, Status> {
        let (tree, twice) = match kind {
            PatchType::Json => (decode::operations(body)?, Vec::new()),
            PatchType::Merge | PatchType::Strategic | PatchType::Apply => decode::patch(body, about)?,
        };
        Ok(Patch { kind, tree, twice })
    }

    pub fn is_apply(&self) -> bool {
        self.kind == PatchType::Apply
    }

    /// The object that an apply creates; 404 for the other types.
    pub fn create(&self, write: &mut Write<'_>) -> Result<Value, Status> {
        if !self.is_apply() {
            return Err(write.not_found());
        }
        self.applied(None, write)
    }

    /// The object that a stored one becomes.
    pub fn apply_to(&self, old: &Value, write: &mut Write<'_>) -> Result<Value, Status> {
        if self.is_apply() {
            return self.applied(Some(old), write);
        }
        let mut object = old.clone();
        self.merge_into(&mut object, write.schema())?;
        let (schema, validation) = (write.schema(), write.options.field_validation);
        decode::patched(&mut object, schema, &self.twice, validation, &mut write.warnings)?;
        write.complete(&mut object);
        Ok(object)
    }

    fn applied(&self, live: Option<&Value>, write: &mut Write<'_>) -> Result<Value, Status> {
        let mut object = write.apply(live, &self.tree)?;
        match (write.options.field_validation, self.twice.is_empty()) {
            (FieldValidation::Strict, false) => {
                let why = strict_message(&self.twice);
                return Err(Status::bad_request(format!("error strict decoding YAML: {why}")));
            }
            (FieldValidation::Warn, false) => {
                write.warnings.extend(self.twice.iter().flat_map(StrictError::warnings))
            }
            _ => {}
        }
        let schema = write.schema();
        decode::patched(&mut object, schema, &[], FieldValidation::Ignore, &mut write.warnings)?;
        write.complete(&mut object);
        Ok(object)
    }

    /// The configuration that an apply patch is.
    pub fn tree(&self) -> &Value {
        &self.tree
    }

    /// Merges into an object of any kind. Applies do not come here.
    pub fn merge_into(&self, object: &mut Value, schema: View<'_>) -> Result<(), Status> {
        let merged = match self.kind {
            PatchType::Json => patch::json_patch(object, &self.tree),
            PatchType::Merge | PatchType::Apply => patch::merge_patch(object, &self.tree),
            PatchType::Strategic => {
                patch::strategic_merge(object, &self.tree, schema).map(|new| *object = new)
            }
        };
        merged.map_err(|e| e.to_status())
    }
}

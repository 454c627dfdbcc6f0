//! patch: the four patch types as one value that turns a stored object into a changed one
//! (k8s.io/apiserver/pkg/endpoints/handlers/patch.go).

use super::settled::Settled;
use super::write::Write;
use super::{Body, decode};
use crate::options::{FieldValidation, PatchType};
use crate::registry::Resource;
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Status, Value, meta};
use alcove_schema::decode::{StrictError, strict_message};
use alcove_schema::{Tree, View, patch};

/// A decoded patch. It borrows from its body.
pub(super) struct Patch<'b> {
    what: What<'b>,
    /// Keys that are there twice.
    twice: Vec<StrictError>,
}

/// What a patch is.
enum What<'b> {
    /// The configuration that is applied.
    Apply(Tree<'b>),
    Json(Value),
    Merge(Value),
    Strategic(Value),
}

impl<'b> Patch<'b> {
    /// Reads a patch body. 400 for what is no patch.
    pub fn new(kind: PatchType, body: &'b Body) -> Result<Patch<'b>, Status> {
        if kind == PatchType::Json {
            return Ok(Patch { what: What::Json(decode::operations(body)?), twice: Vec::new() });
        }
        let (tree, twice) = decode::patch(kind, body)?;
        let what = match kind {
            PatchType::Apply => What::Apply(tree),
            PatchType::Strategic => What::Strategic(tree.into_value()),
            PatchType::Json | PatchType::Merge => What::Merge(tree.into_value()),
        };
        Ok(Patch { what, twice })
    }

    pub fn is_apply(&self) -> bool {
        self.configuration().is_some()
    }

    /// The configuration that an apply is.
    pub fn configuration(&self) -> Option<&Tree<'b>> {
        match &self.what {
            What::Apply(configuration) => Some(configuration),
            What::Json(_) | What::Merge(_) | What::Strategic(_) => None,
        }
    }

    /// The patch, if it is a strategic one.
    pub fn strategic(&self) -> Option<&Value> {
        match &self.what {
            What::Strategic(patch) => Some(patch),
            What::Apply(_) | What::Json(_) | What::Merge(_) => None,
        }
    }

    /// The object that an apply creates; 404 for the other types.
    pub fn create(&self, write: &mut Write<'_>) -> Result<Value, Status> {
        let configuration = self.configuration().ok_or_else(|| write.not_found())?;
        let object = write.apply(None, configuration)?;
        self.applied(object, None, write)
    }

    /// The object that a stored one becomes. `owners`: the managed fields of the stored one if they are held apart, as
    /// those of the new one then are too. Only applies do that.
    pub fn apply_to(
        &self,
        old: &Value,
        owners: Option<&str>,
        write: &mut Write<'_>,
    ) -> Result<Value, Status> {
        if let Some(configuration) = self.configuration() {
            let object = match owners {
                Some(owners) => write.apply_apart(old, owners, configuration),
                None => write.apply(Some(old), configuration),
            };
            return self.applied(object?, Some(old), write);
        }
        let mut object = old.clone();
        self.merge_into(&mut object, write.schema())?;
        self.keep_kind(&mut object, old, write.resource())?;
        let (schema, validation) = (write.schema(), write.options.field_validation);
        let settled = Settled::of(&object, old);
        decode::patched(&mut object, &settled, schema, Some(self), validation, &mut write.warnings)?;
        write.complete_changed(&mut object, old, &settled);
        Ok(object)
    }

    /// A patch cannot make another kind of an object. Whether it may say so depends on how upstream reads the result back.
    fn keep_kind(&self, object: &mut Value, old: &Value, resource: &Resource) -> Result<(), Status> {
        let fields = ["apiVersion", "kind"];
        if fields.into_iter().all(|field| object.get(field) == old.get(field)) {
            return Ok(());
        }
        let gvk = &resource.gvk;
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let wrong_patch = |why: String| Err(decode::invalid_patch(object.to_string(), why));
        match (&resource.custom, text("apiVersion"), text("kind")) {
            (Some(_), _, "") => wrong_patch(format!("Object 'Kind' is missing in '{object}'")),
            (Some(_), "", _) => wrong_patch(format!("Object 'apiVersion' is missing in '{object}'")),
            (Some(_), api_version, kind) => {
                let mut wrong = Vec::new();
                if kind != gvk.kind {
                    wrong.push(Error::invalid(&Path::new("kind"), kind, format!("must be {}", gvk.kind)));
                }
                if api_version != gvk.api_version() {
                    let why = format!("must be {}", gvk.api_version());
                    wrong.push(Error::invalid(&Path::new("apiVersion"), api_version, why));
                }
                let said = Gvk::from_api_version(api_version, kind);
                Err(Status::invalid(&said.group, kind, meta::name(old), &wrong))
            }
            (None, api_version, kind)
                if !matches!(self.what, What::Strategic(_))
                    && (!kind.is_empty() && kind != gvk.kind
                        || !api_version.is_empty() && api_version != gvk.api_version()) =>
            {
                wrong_patch(format!("no kind {kind:?} is registered for version {api_version:?}"))
            }
            (None, ..) => {
                if let Some(map) = object.as_object_mut() {
                    map.insert("apiVersion".into(), gvk.api_version().into());
                    map.insert("kind".into(), gvk.kind.as_str().into());
                }
                Ok(())
            }
        }
    }

    /// What an apply made, of a stored object if there was one, in the form of its kind.
    fn applied(
        &self,
        mut object: Value,
        old: Option<&Value>,
        write: &mut Write<'_>,
    ) -> Result<Value, Status> {
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
        let settled = old.map_or_else(Settled::default, |old| Settled::of(&object, old));
        let ignored = FieldValidation::Ignore;
        decode::patched(&mut object, &settled, schema, None, ignored, &mut write.warnings)?;
        match old {
            Some(old) => write.complete_changed(&mut object, old, &settled),
            None => write.complete(&mut object),
        }
        Ok(object)
    }

    /// Keys that are there twice.
    pub fn twice(&self) -> &[StrictError] {
        &self.twice
    }

    /// Merges into an object of any kind. Applies do not come here.
    pub fn merge_into(&self, object: &mut Value, schema: View<'_>) -> Result<(), Status> {
        let merged = match &self.what {
            What::Apply(_) => Ok(()),
            What::Json(operations) => patch::json_patch(object, operations),
            What::Merge(patch) => patch::merge_patch(object, patch),
            What::Strategic(patch) => patch::strategic_merge(object, patch, schema).map(|new| *object = new),
        };
        merged.map_err(|e| e.to_status())
    }
}

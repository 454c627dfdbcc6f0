//! The hooks of custom resources, all driven by their schema.

use crate::registry::{Context, ScalePaths, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};
use alcove_schema::custom::{Rules, fill_defaults};
use alcove_schema::{SchemaId, Types, View};
use std::sync::Arc;

/// What is special about one version of a custom resource.
pub(super) struct CustomStrategy {
    pub types: Arc<Types>,
    pub root: SchemaId,
    pub rules: Rules,
    /// Where Scale reads and writes, if it is served.
    pub scale: Option<ScalePaths>,
}

impl CustomStrategy {
    fn view(&self) -> View<'_> {
        self.types.view(self.root)
    }

    fn errors(&self, object: &Value, old: Option<&Value>) -> Vec<Error> {
        let mut errors = self.rules.errors(object, old);
        errors.extend(self.scale.iter().flat_map(|scale| replicas_errors(object, scale)));
        errors.extend(Rules::embedded_errors(object, self.view()));
        errors.extend(Rules::list_errors(object, old, self.view()));
        let said = self.rules.expression_errors(object, old, &errors);
        errors.extend(said);
        errors
    }
}

impl Strategy for CustomStrategy {
    fn default(&self, object: &mut Value) {
        if self.rules.has_defaults() {
            fill_defaults(object, self.view());
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        self.errors(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        self.errors(object, Some(old))
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let had: Vec<&str> = old.map(|old| meta::finalizers(old).collect()).unwrap_or_default();
        let mut new: Vec<&str> =
            meta::finalizers(object).filter(|finalizer| !had.contains(finalizer)).collect();
        new.sort_unstable();
        new.dedup();
        new.into_iter().flat_map(finalizer_warnings).collect()
    }

    fn validate_subresource(
        &self,
        _: &Context<'_>,
        subresource: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<Error> {
        match subresource {
            "status" => {
                let mut errors = self.rules.status_errors(object, old);
                errors.extend(self.scale.iter().flat_map(|scale| current_errors(object, scale)));
                errors.extend(Rules::list_errors(object, Some(old), self.view()));
                let said = self.rules.expression_errors(object, Some(old), &errors);
                errors.extend(said);
                errors
            }
            _ => self.errors(object, Some(old)),
        }
    }
}

/// What finalizers should be called (k8s.io/apiextensions-apiserver/pkg/registry/customresource: validateKubeFinalizerName).
fn finalizer_warnings(finalizer: &str) -> Vec<String> {
    let is_known = matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes");
    let mut why = name::is_qualified_name(finalizer);
    if !finalizer.contains('/') && !is_known {
        let path = if finalizer.contains('.') { " including a path (/)" } else { "" };
        why.push(format!(
            "prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
        ));
    }
    why.into_iter().map(|why| format!("metadata.finalizers: {finalizer:?}: {why}")).collect()
}

/// Replicas are a number that Scale can show (k8s.io/apiextensions-apiserver/pkg/registry/customresource/validator.go).
fn replicas_errors(object: &Value, scale: &ScalePaths) -> Option<Error> {
    replicas_error(object, &scale.replicas)
}

/// The same about what the status says.
fn current_errors(object: &Value, scale: &ScalePaths) -> Option<Error> {
    replicas_error(object, &scale.current)
}

fn replicas_error(object: &Value, pointer: &str) -> Option<Error> {
    let found = object.pointer(pointer)?;
    let name = pointer.replace('/', ".");
    let path = Path::new(&name);
    let Some(replicas) = found.as_i64() else {
        let (shown, kind) = match found {
            Value::String(text) => (text.clone(), "string"),
            Value::Bool(_) => (found.to_string(), "bool"),
            Value::Number(_) => (found.to_string(), "float64"),
            Value::Array(_) => (found.to_string(), "[]interface {}"),
            Value::Object(_) => (found.to_string(), "map[string]interface {}"),
            Value::Null => ("<nil>".to_owned(), "<nil>"),
        };
        let why = format!("{name} accessor error: {shown} is of the type {kind}, expected int64");
        return Some(Error::invalid(&path, 0, why));
    };
    if replicas < 0 {
        return Some(Error::invalid(&path, replicas, "should be a non-negative integer"));
    }
    let max = i64::from(i32::MAX);
    (replicas > max)
        .then(|| Error::invalid(&path, replicas, format!("should be less than or equal to {max}")))
}

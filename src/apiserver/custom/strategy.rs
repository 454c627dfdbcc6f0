//! The hooks of custom resources, all driven by their schema.

use crate::registry::{Context, ScalePaths, Strategy};
use alcove_object::Value;
use alcove_object::field::{Error, Path};
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
                errors.extend(Rules::list_errors(object, Some(old), self.view()));
                let said = self.rules.expression_errors(object, Some(old), &errors);
                errors.extend(said);
                errors
            }
            _ => self.errors(object, Some(old)),
        }
    }
}

/// Replicas are a number that Scale can show.
fn replicas_errors(object: &Value, scale: &ScalePaths) -> Option<Error> {
    let replicas = object.pointer(&scale.replicas)?.as_i64()?;
    let path = Path::new(&scale.replicas.trim_start_matches('/').replace('/', "."));
    if replicas < 0 {
        return Some(Error::invalid(&path, replicas, "should be a non-negative integer"));
    }
    let max = i64::from(i32::MAX);
    (replicas > max)
        .then(|| Error::invalid(&path, replicas, format!("should be less than or equal to {max}")))
}

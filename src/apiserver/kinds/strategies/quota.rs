//! Resource quotas: limits under names that are counted, and scopes that fit them.

use crate::kinds::tree::{list, some};
use crate::kinds::validation::{quota_limits, quota_spec};
use crate::registry::{Context, Strategy};
use alcove_object::Value;
use alcove_object::field::{Error, Path};
use alcove_object::quantity::Quantity;
use alcove_object::validate::FIELD_IMMUTABLE;
use std::collections::BTreeSet;

/// ResourceQuotas.
pub(crate) struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        quota_spec(object.get("spec").unwrap_or(&Value::Null), &Path::new("spec"))
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = self.validate(context, object);
        let scopes = |of: &Value| -> BTreeSet<String> {
            list(of, "/spec/scopes").iter().map(Value::to_string).collect()
        };
        if scopes(object) != scopes(old) {
            let given = some(object, "/spec/scopes").cloned().unwrap_or(Value::Null);
            errors.push(Error::invalid(&Path::new("spec").child("scopes"), given, FIELD_IMMUTABLE));
        }
        errors
    }

    fn validate_subresource(&self, _: &Context<'_>, _: &str, object: &Value, _: &Value) -> Vec<Error> {
        let path = Path::new("status");
        let of = |field: &str| quota_limits(some(object, &format!("/status/{field}")), &path.child(field));
        ["hard", "used"].into_iter().flat_map(of).collect()
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some() {
            return Vec::new();
        }
        let hard = |name: &str| Quantity::from_value(object.pointer("/spec/hard")?.get(name)?).ok();
        let about = |resource: &str| {
            let bare = matches!(resource, "cpu" | "memory").then(|| resource.to_owned());
            let mut names = std::iter::once(format!("requests.{resource}")).chain(bare);
            let (name, request) = names.find_map(|name| Some((hard(&name)?, name))).map(|(r, n)| (n, r))?;
            let limit = hard(&format!("limits.{resource}")).filter(|limit| request > *limit)?;
            Some(format!("ResourceQuota {name} ({request}) should be less than limits.{resource} ({limit})"))
        };
        ["cpu", "memory", "storage", "ephemeral-storage"].into_iter().filter_map(about).collect()
    }
}

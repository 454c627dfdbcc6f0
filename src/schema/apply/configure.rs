//! Merging what an admission policy wants into an object: as an apply would, but nobody comes to own it, and nothing is
//! replaced as a whole (k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch/smd.go).

use super::types::{Atom, Type};
use super::{merge, validate};
use crate::View;
use alcove_object::Value;

/// Merges a configuration of the same kind and version into an object. The result is to be brought into the form of its
/// type and defaulted.
///
/// Fails, with upstream's text, for fields that the schema does not declare and for maps, structs and lists that are
/// replaced as a whole: whoever names one item of them would drop the others unawares.
pub fn configure(object: &Value, configuration: &Value, schema: View<'_>) -> Result<Value, String> {
    let ty = Type::Declared(schema);
    validate::validate(ty, configuration)
        .map_err(|why| format!("failed to convert patch object to typed object: {why}"))?;
    let mut wholes = Vec::new();
    find_wholes(ty, configuration, String::new(), &mut wholes);
    if !wholes.is_empty() {
        let wholes = wholes.join(", ");
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {wholes}"
        ));
    }
    let mut merged = object.clone();
    merge::merge(ty, &mut merged, &configuration.into());
    Ok(merged)
}

/// The places of values that are replaced as a whole. What is below the values of a map is not looked at, as upstream
/// has it.
fn find_wholes(ty: Type<'_>, value: &Value, path: String, wholes: &mut Vec<String>) {
    match (ty.atom(Some(value)), value) {
        (Atom::Map(map), Value::Object(entries)) => {
            if map.atomic {
                wholes.push(path.clone());
            }
            for (key, value) in entries {
                if let Some(child) = map.child(key).filter(|_| map.declares(key)) {
                    find_wholes(child.ty, value, format!("{path}.{key}"), wholes);
                }
            }
        }
        (Atom::List(list), Value::Array(items)) => {
            if list.is_atomic() {
                wholes.push(path.clone());
            }
            for (index, item) in items.iter().enumerate() {
                find_wholes(list.item, item, format!("{path}[{index}]"), wholes);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Minor;
    use crate::builtin::types;
    use alcove_object::Gvk;
    use serde_json::json;

    #[test]
    fn what_is_merged_and_what_is_refused() {
        let types = types(Minor::DEFAULT);
        let schema = types.kind(&Gvk::new("apps", "v1", "Deployment")).unwrap();
        let of = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
        let pods = |spec: Value| of(json!({"template": {"spec": spec}}));
        let two = json!([{"name": "a", "image": "x"}, {"name": "b", "args": ["1"]}]);
        let with_c = json!([{"name": "a", "image": "x"}, {"name": "b", "args": ["1"]}, {"name": "c"}]);
        for (object, configuration, expected) in [
            (
                of(json!({"replicas": 1})),
                of(json!({"paused": true})),
                Ok(of(json!({"replicas": 1, "paused": true}))),
            ),
            (
                pods(json!({"containers": two})),
                pods(json!({"containers": [{"name": "c"}]})),
                Ok(pods(json!({"containers": with_c}))),
            ),
            (
                pods(json!({})),
                pods(json!({"containers": [{"name": "a", "args": ["1"]}], "tolerations": []})),
                Err(
                    "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.template.spec.containers[0].args, .spec.template.spec.tolerations",
                ),
            ),
            (
                of(json!({})),
                of(json!({"none": 1})),
                Err(
                    "failed to convert patch object to typed object: .spec.none: field not declared in schema",
                ),
            ),
        ] {
            let merged = configure(&object, &configuration, schema);
            assert_eq!(merged, expected.map_err(str::to_owned), "{configuration}");
        }
    }
}

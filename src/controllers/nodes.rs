//! Which nodes a pod may be on: node selectors and required affinity, taints and tolerations
//! (k8s.io/component-helpers/scheduling/corev1). Pure.

use alcove_object::{Value, meta};

/// The field that affinity selects a node by.
pub const NAME_FIELD: &str = "metadata.name";

fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a pod's node selector and its required node affinity allow a node.
pub fn is_selected(pod_spec: &Value, node: &Value) -> bool {
    let wanted = meta::entries(pod_spec.get("nodeSelector"));
    if wanted.into_iter().any(|(key, value)| meta::label(node, key) != Some(value)) {
        return false;
    }
    let required = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    match pod_spec.pointer(required).filter(|required| !required.is_null()) {
        None => true,
        // Terms are alternatives, and one that asks for nothing allows nothing.
        Some(required) => items(required, "/nodeSelectorTerms").iter().any(|term| allows(term, node)),
    }
}

fn allows(term: &Value, node: &Value) -> bool {
    let (labels, fields) = (items(term, "/matchExpressions"), items(term, "/matchFields"));
    let asks = !labels.is_empty() || !fields.is_empty();
    asks && labels.iter().all(|asked| holds(asked, meta::label(node, text(asked, "key"))))
        && fields.iter().all(|asked| text(asked, "key") == NAME_FIELD && holds(asked, Some(meta::name(node))))
}

/// Whether a requirement holds for a value, or for none.
fn holds(requirement: &Value, value: Option<&str>) -> bool {
    let values = items(requirement, "/values");
    let is_listed = || value.is_some_and(|value| values.iter().any(|listed| listed == value));
    let beyond = |is_beyond: fn(i64, i64) -> bool| {
        let bound = values.first().and_then(Value::as_str).and_then(|bound| bound.parse().ok());
        let number = value.and_then(|value| value.parse().ok());
        number.zip(bound).is_some_and(|(number, bound)| is_beyond(number, bound))
    };
    match text(requirement, "operator") {
        "In" => is_listed(),
        "NotIn" => !is_listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => beyond(|number, bound| number > bound),
        "Lt" => beyond(|number, bound| number < bound),
        _ => false,
    }
}

/// Whether a pod tolerates all taints of a node that have one of these effects.
pub fn is_tolerable(pod_spec: &Value, node: &Value, effects: &[&str]) -> bool {
    let taints = items(node, "/spec/taints").iter();
    taints.filter(|taint| effects.contains(&text(taint, "effect"))).all(|taint| tolerates(pod_spec, taint))
}

/// Whether a pod tolerates a taint.
pub fn tolerates(pod_spec: &Value, taint: &Value) -> bool {
    items(pod_spec, "/tolerations").iter().any(|toleration| {
        let is_any_or_same = |field: &str| {
            let wanted = text(toleration, field);
            wanted.is_empty() || wanted == text(taint, field)
        };
        is_any_or_same("effect")
            && is_any_or_same("key")
            && match text(toleration, "operator") {
                "" | "Equal" => text(toleration, "value") == text(taint, "value"),
                operator => operator == "Exists",
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_selected_by_labels_and_by_name() {
        let node = json!({ "metadata": { "name": "n", "labels": { "zone": "a", "size": "7" } } });
        let required = |terms: Value| {
            json!({ "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } })
        };
        let by_label = |key: &str, operator: &str, values: &[&str]| {
            required(
                json!([{ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] }]),
            )
        };
        let by_name = |operator: &str, name: &str| {
            required(
                json!([{ "matchFields": [{ "key": NAME_FIELD, "operator": operator, "values": [name] }] }]),
            )
        };
        for (spec, expected) in [
            (json!({}), true),
            (json!({ "nodeSelector": { "zone": "a" } }), true),
            (json!({ "nodeSelector": { "zone": "a", "other": "" } }), false),
            (required(json!([])), false),
            (required(json!([{}])), false),
            (required(json!([{}, { "matchExpressions": [{ "key": "zone", "operator": "Exists" }] }])), true),
            (by_label("zone", "In", &["a", "b"]), true),
            (by_label("zone", "NotIn", &["a"]), false),
            (by_label("none", "NotIn", &["a"]), true),
            (by_label("none", "DoesNotExist", &[]), true),
            (by_label("size", "Gt", &["6"]), true),
            (by_label("size", "Gt", &["7"]), false),
            (by_label("size", "Lt", &["8"]), true),
            (by_label("zone", "Lt", &["8"]), false),
            (by_label("zone", "Near", &["a"]), false),
            (by_name("In", "n"), true),
            (by_name("In", "m"), false),
            (by_name("NotIn", "m"), true),
        ] {
            assert_eq!(is_selected(&spec, &node), expected, "{spec}");
        }
    }

    #[test]
    fn taints_are_tolerated_by_key_value_and_effect() {
        let node = json!({ "spec": { "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }] } });
        for (toleration, expected) in [
            (json!({ "key": "k", "operator": "Exists" }), true),
            (json!({ "key": "k", "value": "v" }), true),
            (json!({ "key": "k", "operator": "Equal", "value": "w" }), false),
            (json!({ "operator": "Exists" }), true),
            (json!({ "key": "k", "operator": "Exists", "effect": "NoExecute" }), false),
            (json!({ "key": "other", "operator": "Exists" }), false),
        ] {
            let spec = json!({ "tolerations": [toleration] });
            assert_eq!(is_tolerable(&spec, &node, &["NoSchedule", "NoExecute"]), expected, "{spec}");
            assert!(is_tolerable(&spec, &node, &["NoExecute"]), "no taint has that effect");
        }
        assert!(!is_tolerable(&json!({}), &node, &["NoSchedule"]));
    }
}

//! Defaults against what upstream's scheme gives for the same objects (k8s.io/kubernetes v1.36.3).

use crate::kinds;
use crate::registry::Resource;
use alcove_object::{Gvk, Value};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;

fn resources() -> Vec<Arc<Resource>> {
    kinds::resources(Minor(36))
}

fn resource<'a>(resources: &'a [Arc<Resource>], object: &Value) -> &'a Resource {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let gvk = Gvk::from_api_version(text("apiVersion"), text("kind"));
    resources.iter().find(|r| r.gvk == gvk).expect("every case is of a built-in kind")
}

/// Without nulls, zeros and empty maps and lists, which Go writes or leaves out by its types and not by defaults.
fn pruned(value: &Value) -> Value {
    let is_empty = |v: &Value| [json!(null), json!(0), json!({}), json!([])].contains(v);
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(k, v)| (k.clone(), pruned(v))).filter(|(_, v)| !is_empty(v));
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(pruned).collect()),
        other => other.clone(),
    }
}

#[test]
fn defaults_equal_upstream() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../testdata/defaults.json")).unwrap();
    let resources = resources();
    for case in &cases {
        let mut object = case["given"].clone();
        let strategy = &resource(&resources, &object).strategy;
        strategy.default(&mut object);
        let (got, wanted) = (pruned(&object), pruned(&case["expected"]));
        assert_eq!(got, wanted, "\ngot    {got}\nwanted {wanted}\n");
        let once = object.clone();
        strategy.default(&mut object);
        assert_eq!(object, once, "defaulting twice changes nothing");
    }
}

#[test]
fn empty_maps_are_filled_in() {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c"}], "volumes": [{"name": "v"}]},
    });
    let resources = resources();
    resource(&resources, &pod).strategy.default(&mut pod);
    for pointer in ["/spec/securityContext", "/spec/volumes/0/emptyDir", "/spec/containers/0/resources"] {
        assert_eq!(pod.pointer(pointer), Some(&json!({})), "{pointer}");
    }
}

#[test]
fn account_names_are_kept_equal() {
    let resources = resources();
    for given in [json!({"serviceAccount": "a"}), json!({"serviceAccountName": "a", "serviceAccount": "b"})] {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": given});
        resource(&resources, &pod).strategy.default(&mut pod);
        assert_eq!(
            (&pod["spec"]["serviceAccountName"], &pod["spec"]["serviceAccount"]),
            (&json!("a"), &json!("a"))
        );
    }
}

#[test]
fn defaults_take_any_tree() {
    let trees =
        [json!(null), json!([]), json!({}), json!({"spec": null}), json!({"spec": []}), json!({"spec": 1})];
    let odd = [
        json!({"spec": {"template": [], "containers": {}, "ports": [1, null], "strategy": "x", "metrics": 1}}),
        json!({"metadata": 1, "spec": {"containers": [null, 1, []], "volumes": [1], "behavior": 1}, "subjects": [1]}),
        json!({"metadata": {"name": "a", "labels": 1}, "webhooks": {"a": 1}, "spec": {"limits": [1], "names": []}}),
    ];
    for resource in resources() {
        for tree in trees.iter().chain(&odd) {
            resource.strategy.default(&mut tree.clone());
        }
    }
}

//! A pod that is on the host already. Most of its spec can never change, and what it was made from may have: rules of
//! the platform team, the address of DNS, the nodes there were. So what was applied is read off the host's pod, and
//! only what may change is changed.

use super::pod_refs::items;
use alcove_object::Value;
use alcove_object::gather::Gather;
use alcove_object::quantity::Quantity;
use serde_json::{Map, json};

/// What a pod's host object is to become, and by which way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Amended {
    /// To be applied to the pod itself; `None`: that stands already.
    pub pod: Option<Value>,
    /// To be patched through the subresource `resize`.
    pub resize: Option<Value>,
    /// To be patched through the subresource `ephemeralcontainers`.
    pub ephemeral: Option<Value>,
}

/// Takes a new pod's ephemeral containers off: a pod cannot be made with them.
pub fn without_ephemeral(mut wanted: Value) -> Value {
    if let Some(spec) = wanted["spec"].as_object_mut() {
        spec.remove("ephemeralContainers");
    }
    wanted
}

/// How the host's pod comes to be what is wanted. `fields`: those of it that we applied (`fieldsV1`); `was_changed`: the
/// tenant's spec is not the one that the pod was made with.
pub fn amended(fields: &Value, host: &Value, wanted: &Value, was_changed: bool) -> Amended {
    let applied = applied_fields(fields, host);
    let mut pod = applied.clone();
    for field in ["apiVersion", "kind", "metadata"] {
        pod[field] = wanted[field].clone();
    }
    let spec = &wanted["spec"];
    for list in ["initContainers", "containers"] {
        for container in items(pod["spec"].get_mut(list)) {
            let same = find(&spec[list], "name", &container["name"]);
            if let Some(image) = same.and_then(|same| same.get("image")) {
                container["image"] = image.clone();
            }
        }
    }
    if let Some(seconds) = spec.get("activeDeadlineSeconds") {
        pod["spec"]["activeDeadlineSeconds"] = seconds.clone();
    }
    let gates = host.pointer("/spec/schedulingGates").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_gated = !gates.is_empty();
    let left: Vec<Value> =
        gates.into_iter().filter(|g| find(&spec["schedulingGates"], "name", &g["name"]).is_some()).collect();
    set_or_remove(&mut pod["spec"], "schedulingGates", (!left.is_empty()).then(|| left.into()));
    // Tolerations can be added only.
    let mut tolerations =
        host.pointer("/spec/tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    let count = tolerations.len();
    for wanted in spec["tolerations"].as_array().into_iter().flatten() {
        if !tolerations.iter().any(|known| is_same(known, wanted)) {
            tolerations.push(wanted.clone());
        }
    }
    if tolerations.len() > count {
        pod["spec"]["tolerations"] = tolerations.into();
    }
    if is_gated {
        for field in ["nodeSelector", "affinity"] {
            set_or_remove(&mut pod["spec"], field, spec.get(field).cloned());
        }
    }
    Amended {
        pod: (!stands(&applied, &pod)).then_some(pod),
        resize: if was_changed { resize(host, spec) } else { None },
        ephemeral: ephemeral(host, spec),
    }
}

/// Whether what was applied, as it is now, is what is to be applied.
fn stands(applied: &Value, pod: &Value) -> bool {
    let map = |of: &Value, field: &str| of["metadata"][field].as_object().cloned().unwrap_or_default();
    let same = |field: &str| map(applied, field) == map(pod, field);
    applied["spec"] == pod["spec"] && same("labels") && same("annotations")
}

/// Containers whose resources are not those that are wanted.
fn resize(host: &Value, spec: &Value) -> Option<Value> {
    let mut patch = Map::new();
    for list in ["initContainers", "containers"] {
        let changed = spec[list].as_array().into_iter().flatten().filter_map(|container| {
            let known = find(&host["spec"][list], "name", &container["name"])?;
            let wanted = container.get("resources")?;
            (!amounts_hold(&known["resources"], wanted))
                .then(|| json!({ "name": container["name"], "resources": wanted }))
        });
        let changed: Vec<Value> = changed.collect();
        if !changed.is_empty() {
            patch.insert(list.to_owned(), changed.into());
        }
    }
    if let Some(wanted) =
        spec.get("resources").filter(|wanted| !amounts_hold(&host["spec"]["resources"], wanted))
    {
        patch.insert("resources".to_owned(), wanted.clone());
    }
    (!patch.is_empty()).then(|| json!({ "spec": patch }))
}

/// Whether all requests and limits are there in the same amounts.
fn amounts_hold(known: &Value, wanted: &Value) -> bool {
    let amount = |value: &Value| Quantity::from_value(value).ok().map(|quantity| quantity.milli_value());
    ["requests", "limits"].into_iter().all(|kind| {
        let entries = wanted[kind].as_object().into_iter().flatten();
        entries.into_iter().all(|(name, wanted)| {
            known[kind].get(name).is_some_and(|known| known == wanted || amount(known) == amount(wanted))
        })
    })
}

/// All ephemeral containers, if some are not there yet.
fn ephemeral(host: &Value, spec: &Value) -> Option<Value> {
    let wanted = spec["ephemeralContainers"].as_array()?;
    let is_new = |c: &Value| find(&host["spec"]["ephemeralContainers"], "name", &c["name"]).is_none();
    wanted.iter().any(is_new).then(|| json!({ "spec": { "ephemeralContainers": wanted } }))
}

fn find<'a>(list: &'a Value, key: &str, value: &Value) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item[key] == *value)
}

/// Whether two tolerations say the same: `Equal` is what an operator that is not said means.
fn is_same(a: &Value, b: &Value) -> bool {
    let text = |t: &Value, field: &str| t[field].as_str().unwrap_or_default().to_owned();
    let operator =
        |t: &Value| Some(text(t, "operator")).filter(|o| !o.is_empty()).unwrap_or_else(|| "Equal".into());
    ["key", "value", "effect"].iter().all(|field| text(a, field) == text(b, field))
        && operator(a) == operator(b)
        && a["tolerationSeconds"] == b["tolerationSeconds"]
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(map) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(map.insert(field.into(), value)),
        None => drop(map.remove(field)),
    }
}

/// What we applied, with the values that the object has now.
fn applied_fields(fields: &Value, object: &Value) -> Value {
    let mut out = if fields.is_null() { Value::Null } else { project(object, fields) };
    for field in ["metadata", "spec"] {
        if !out[field].is_object() {
            out[field] = json!({});
        }
    }
    out
}

/// The part of a value that a set of fields (`fieldsV1`) names.
fn project(value: &Value, fields: &Value) -> Value {
    let Some(fields) = fields.as_object().filter(|fields| fields.keys().any(|key| key != ".")) else {
        return value.clone();
    };
    match value {
        Value::Object(map) => {
            let named = fields.iter().filter_map(|(key, inner)| {
                let name = key.strip_prefix("f:")?;
                Some((name.to_owned(), project(map.get(name)?, inner)))
            });
            Value::Object(named.gather())
        }
        Value::Array(list) => {
            let of = |item: &Value| {
                fields.iter().find(|(key, _)| is_item(key, item)).map(|(_, inner)| project(item, inner))
            };
            list.iter().filter_map(of).collect()
        }
        value => value.clone(),
    }
}

/// Whether a path element of a list (`k:{...}` or `v:...`) means this item.
fn is_item(element: &str, item: &Value) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (element.strip_prefix("k:").and_then(parse), element.strip_prefix("v:").and_then(parse)) {
        (Some(Value::Object(keys)), _) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
        (_, Some(value)) => *item == value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "web", "namespace": "h", "labels": { "a": "1", "theirs": "x" } },
            "spec": { "dnsConfig": { "nameservers": ["10.0.0.1"] }, "dnsPolicy": "None",
                "tolerations": [{ "key": "node.kubernetes.io/not-ready", "operator": "Exists" }],
                "containers": [
                    { "name": "c", "image": "i:1", "imagePullPolicy": "Always", "envFrom": [{ "prefix": "x" }],
                      "ports": [{ "containerPort": 80, "protocol": "TCP" }],
                      "resources": { "requests": { "cpu": "1" } } },
                    { "name": "injected", "image": "sidecar" }] },
        })
    }

    fn fields() -> Value {
        json!({
            "f:metadata": { "f:labels": { "f:a": {} } },
            "f:spec": { "f:dnsConfig": {},
                "f:containers": { "k:{\"name\":\"c\"}": { ".": {}, "f:name": {}, "f:image": {},
                    "f:envFrom": {}, "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } } } } },
        })
    }

    fn wanted() -> Value {
        json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "web", "namespace": "h", "labels": { "a": "1" } },
            "spec": { "dnsConfig": { "nameservers": ["10.0.0.2"] },
                "containers": [{ "name": "c", "image": "i:1", "resources": { "requests": { "cpu": "1000m" } } }] } })
    }

    #[test]
    fn what_cannot_change_stays_as_it_was_applied() {
        assert_eq!(amended(&fields(), &host(), &wanted(), true), Amended::default());
        let applied = applied_fields(&fields(), &host());
        assert_eq!(
            applied["spec"]["containers"],
            json!([{ "name": "c", "image": "i:1", "envFrom": [{ "prefix": "x" }],
            "ports": [{ "containerPort": 80 }] }])
        );
    }

    #[test]
    fn what_can_change_does() {
        let mut wanted = wanted();
        wanted["metadata"]["labels"] = json!({ "b": "2" });
        wanted["spec"]["containers"][0]["image"] = "i:2".into();
        wanted["spec"]["activeDeadlineSeconds"] = 60.into();
        wanted["spec"]["tolerations"] = json!([{ "key": "gpu" }]);
        let pod = amended(&fields(), &host(), &wanted, true).pod.unwrap();
        assert_eq!(pod["metadata"]["labels"], json!({ "b": "2" }));
        assert_eq!(
            pod["spec"]["containers"].as_array().unwrap().len(),
            1,
            "what others injected is not ours"
        );
        assert_eq!(pod["spec"]["containers"][0]["image"], "i:2");
        assert_eq!(pod["spec"]["dnsConfig"]["nameservers"], json!(["10.0.0.1"]));
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
        assert_eq!(pod["spec"]["activeDeadlineSeconds"], 60);
    }

    #[test]
    fn a_label_that_is_gone_goes() {
        let mut wanted = wanted();
        wanted["metadata"]["labels"] = json!({});
        assert!(amended(&fields(), &host(), &wanted, false).pod.is_some());
    }

    #[test]
    fn gates_are_lifted_and_till_then_a_pod_may_be_placed_anew() {
        let mut gated = host();
        gated["spec"]["schedulingGates"] = json!([{ "name": "a" }, { "name": "b" }]);
        let mut next = wanted();
        next["spec"]["schedulingGates"] = json!([{ "name": "b" }]);
        next["spec"]["nodeSelector"] = json!({ "zone": "z" });
        let pod = amended(&fields(), &gated, &next, true).pod.unwrap();
        assert_eq!(pod["spec"]["schedulingGates"], json!([{ "name": "b" }]));
        assert_eq!(pod["spec"]["nodeSelector"], json!({ "zone": "z" }));
        assert_eq!(amended(&fields(), &host(), &next, true).pod, None, "not once it is not gated");
    }

    #[test]
    fn resources_and_ephemeral_containers_take_their_own_ways() {
        let mut wanted = wanted();
        wanted["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "2" } });
        wanted["spec"]["ephemeralContainers"] = json!([{ "name": "debug", "image": "busybox" }]);
        let way = amended(&fields(), &host(), &wanted, true);
        assert_eq!(way.pod, None);
        let expected = json!({ "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "2" } } }] } });
        assert_eq!(way.resize, Some(expected));
        assert_eq!(
            way.ephemeral,
            Some(json!({ "spec": { "ephemeralContainers": [{ "name": "debug", "image": "busybox" }] } }))
        );
        assert_eq!(
            amended(&fields(), &host(), &wanted, false).resize,
            None,
            "what the host made of it is the host's"
        );
        assert!(without_ephemeral(wanted)["spec"].get("ephemeralContainers").is_none());
    }
}

//! Whether the host's objects are what the tenant's objects say.

use crate::harness::{Api, eventually};
use crate::world::Tenant;
use serde_json::Value;

/// The kinds that are compared: where they are served.
const KINDS: [&str; 5] = ["pods", "services", "configmaps", "secrets", "persistentvolumeclaims"];

/// Waits until each host object of the tenant's namespace belongs to a living object there, and each pod that has a node
/// and each service is on the host as it should be.
#[track_caller]
pub fn assert_same(tenant: &Api, host: &Api, whose: &Tenant, namespace: &str) {
    eventually(&format!("agreement of host and tenant about {namespace}"), || {
        for kind in KINDS {
            let here = list(tenant, &format!("/api/v1/namespaces/{namespace}/{kind}"))?;
            let there = list(host, &marked(whose, kind, namespace))?;
            compare(kind, &here, &there)?;
        }
        Ok(())
    });
}

/// Waits until the host has nothing of a tenant's namespace.
#[track_caller]
pub fn assert_gone(host: &Api, whose: &Tenant, namespace: &str) {
    eventually(&format!("the end of all host objects of {namespace}"), || {
        for kind in KINDS {
            let left = list(host, &marked(whose, kind, namespace))?;
            if let Some(object) = left.first() {
                return Err(format!("{kind} {} is still on the host", object["metadata"]["name"]));
            }
        }
        Ok(())
    });
}

fn marked(whose: &Tenant, kind: &str, namespace: &str) -> String {
    let selector = format!("alcove.dev/cluster={},alcove.dev/namespace={namespace}", whose.name);
    let selector = selector.replace('=', "%3D").replace(',', "%2C").replace('/', "%2F");
    format!("/api/v1/namespaces/{}/{kind}?labelSelector={selector}", whose.host_namespace)
}

fn list(api: &Api, path: &str) -> Result<Vec<Value>, String> {
    let answer = api.try_send("GET", path, &[], b"").map_err(|error| error.to_string())?;
    match answer.json() {
        Value::Object(mut list) if answer.status == 200 => match list.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(format!("{path}: a list without items")),
        },
        other => Err(format!("{path}: {other}")),
    }
}

fn compare(kind: &str, here: &[Value], there: &[Value]) -> Result<(), String> {
    for object in there {
        let mark = |key: &str| object.pointer(&format!("/metadata/annotations/alcove.dev~1{key}"));
        let is_made_for_a_pod = object.pointer("/metadata/ownerReferences/0/kind") == Some(&"Pod".into());
        let lives = here.iter().any(|own| Some(&own["metadata"]["uid"]) == mark("uid"));
        // What all pods of the namespace are told of its services; it is there while there are any.
        let is_made_for_all = object.pointer("/metadata/labels/alcove.dev~1service-variables").is_some();
        if !lives && !is_made_for_a_pod && !is_made_for_all {
            return Err(format!(
                "host {kind} {} belongs to nothing in the tenant",
                object["metadata"]["name"]
            ));
        }
    }
    for own in here.iter().filter(|own| is_synced(kind, own)) {
        let uid = &own["metadata"]["uid"];
        let object = there.iter().find(|object| object["metadata"]["annotations"]["alcove.dev/uid"] == *uid);
        let Some(object) = object else {
            return Err(format!("{kind} {} is not on the host", own["metadata"]["name"]));
        };
        for field in fields(kind) {
            let (own, object) = (own.pointer(field), object.pointer(field));
            if own != object {
                return Err(format!("{kind} {field}: {own:?} in the tenant, {object:?} on the host"));
            }
        }
        if kind == "pods" {
            compare_containers(own, object)?;
        }
    }
    Ok(())
}

/// Whether an object of the tenant must be on the host: what pods use of the other kinds is there, but not all of it.
fn is_synced(kind: &str, object: &Value) -> bool {
    match kind {
        "pods" => object.pointer("/spec/nodeName").is_some(),
        // A name for a name needs nothing of the host.
        "services" => object.pointer("/spec/type") != Some(&"ExternalName".into()),
        _ => false,
    }
}

/// Fields that are the same on both sides.
fn fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "pods" => &["/status/phase", "/status/podIP", "/status/containerStatuses", "/spec/restartPolicy"],
        "services" => &["/spec/type", "/spec/ports", "/spec/clusterIP", "/spec/sessionAffinity"],
        _ => &["/data", "/binaryData", "/type"],
    }
}

fn compare_containers(own: &Value, object: &Value) -> Result<(), String> {
    let all =
        |pod: &Value| pod.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
    let (own, object) = (all(own), all(object));
    for (own, object) in own.iter().zip(&object) {
        for field in ["name", "image", "command", "args", "ports", "resources"] {
            if own.get(field) != object.get(field) {
                return Err(format!("container field {field}: {} and {}", own[field], object[field]));
            }
        }
    }
    if own.len() == object.len() { Ok(()) } else { Err("the containers differ in number".into()) }
}

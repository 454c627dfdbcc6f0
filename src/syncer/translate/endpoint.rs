//! Endpoints and EndpointSlices that a tenant writes for services without a selector. Traffic goes where they say, so
//! they may name the tenant's own pods and what the platform team allows, and nothing else.

use super::{Context, Refusal, Wanted, address, host_name, metadata};
use alcove_object::{Value, meta};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Label that names a slice's service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that tells who keeps a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Those whose slices follow from other objects, which are on the host already.
const CONTROLLERS: [&str; 2] =
    ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];

/// The host's Endpoints.
pub fn endpoints(context: &Context<'_>, object: &Value) -> Wanted {
    let mut left_out = Vec::new();
    let mut subsets = Vec::new();
    for (at, subset) in list(object, "subsets").enumerate() {
        let mut out = json!({});
        for field in ["addresses", "notReadyAddresses"] {
            let place = format!("subsets[{at}].{field}");
            let kept = list(subset, field).filter(|entry| {
                let ip = entry["ip"].as_str().unwrap_or_default();
                is_kept(context, ip, &place, &mut left_out)
            });
            let kept: Vec<Json> = kept.map(|entry| endpoint(context, object, entry)).collect();
            if !kept.is_empty() {
                out[field] = kept.into();
            }
        }
        if out.as_object().is_some_and(|out| !out.is_empty()) {
            if let Some(ports) = subset.get("ports") {
                out["ports"] = ports.clone();
            }
            subsets.push(out);
        }
    }
    let metadata = metadata(context.tenant, object);
    let object = json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets });
    Wanted { object, left_out }
}

/// The host's EndpointSlice.
pub fn endpoint_slice(context: &Context<'_>, object: &Value) -> Result<Wanted, Refusal> {
    if object["addressType"] == "FQDN" {
        return Err(Refusal::of("addressType", "names of hosts are not synced; use an ExternalName service"));
    }
    let mut left_out = Vec::new();
    let mut kept = Vec::new();
    for (at, entry) in list(object, "endpoints").enumerate() {
        let place = format!("endpoints[{at}].addresses");
        let addresses = list(entry, "addresses").filter_map(Value::as_str);
        let addresses: Vec<&str> =
            addresses.filter(|ip| is_kept(context, ip, &place, &mut left_out)).collect();
        if !addresses.is_empty() {
            let mut out = endpoint(context, object, entry);
            out["addresses"] = addresses.into();
            kept.push(out);
        }
    }
    let mut metadata = metadata(context.tenant, object);
    let service = meta::label(object, SERVICE_NAME).unwrap_or_default();
    metadata["labels"][SERVICE_NAME] = host_name(context.tenant, meta::namespace(object), service).into();
    metadata["labels"][MANAGED_BY] = "alcove.dev".into();
    let mut out = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": object["addressType"], "endpoints": kept,
    });
    if let Some(ports) = object.get("ports").filter(|ports| ports.is_array()) {
        out["ports"] = ports.clone();
    }
    Ok(Wanted { object: out, left_out })
}

fn is_kept(context: &Context<'_>, ip: &str, place: &str, left_out: &mut Vec<Refusal>) -> bool {
    let refused = address::refused(context, ip);
    let is_kept = refused.is_none();
    left_out.extend(refused.map(|why| Refusal::of(place, why)));
    is_kept
}

/// One endpoint, with the host's names of pods and without nodes, whose names are the tenant's.
fn endpoint(context: &Context<'_>, object: &Value, entry: &Value) -> Value {
    let mut out = entry.clone();
    if let Some(map) = out.as_object_mut() {
        map.remove("nodeName");
        map.remove("zone");
        map.remove("hints");
    }
    if let Some(target) = entry.get("targetRef") {
        let name = target["name"].as_str().unwrap_or_default();
        let namespace = target["namespace"].as_str().unwrap_or_else(|| meta::namespace(object));
        out["targetRef"] = json!({
            "kind": target["kind"], "name": host_name(context.tenant, namespace, name),
            "namespace": context.tenant.host_namespace,
        });
    }
    out
}

/// Whether Endpoints or a slice follow from a service with a selector, or from none, and so are not synced.
pub fn follows_from_selector(context: &Context<'_>, object: &Value) -> bool {
    if meta::label(object, MANAGED_BY).is_some_and(|by| CONTROLLERS.contains(&by)) {
        return true;
    }
    let Some(service) = service_of(object) else { return true };
    let namespace = meta::namespace(object);
    match context.known.object("services", namespace, service) {
        Some(service)
            if is_door(&service) || service.pointer("/spec/type") == Some(&"ExternalName".into()) =>
        {
            true
        }
        Some(service) => {
            service.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|s| !s.is_empty())
        }
        None => true,
    }
}

/// Whether a service of the tenant shows its own control plane, and is never made on the host.
fn is_door(service: &Value) -> bool {
    let is_kubernetes = meta::namespace(service) == "default" && meta::name(service) == "kubernetes";
    is_kubernetes || meta::label(service, "alcove.dev/door").is_some()
}

/// The name of the service that Endpoints or a slice are of.
pub fn service_of(object: &Value) -> Option<&str> {
    match object["kind"] == "EndpointSlice" {
        true => meta::label(object, SERVICE_NAME),
        false => Some(meta::name(object)),
    }
}

/// All addresses in Endpoints or a slice.
pub fn addresses(object: &Value) -> BTreeSet<String> {
    let in_subsets = list(object, "subsets").flat_map(|subset| {
        let entries = ["addresses", "notReadyAddresses"].into_iter().flat_map(|field| list(subset, field));
        entries.filter_map(|entry| entry["ip"].as_str())
    });
    let in_slice =
        list(object, "endpoints").flat_map(|entry| list(entry, "addresses")).filter_map(Value::as_str);
    let parsed = in_subsets.chain(in_slice).filter_map(address::address);
    parsed.map(|address| address.to_string()).collect()
}

fn list<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object[field].as_array().into_iter().flatten()
}

//! PersistentVolumeClaims: what they ask for belongs to the tenant, the volume to the host. The tenant sees a volume of
//! its own that says how large it is and nothing of where it is.

use super::metadata::MIRROR;
use super::{Context, Refusal, Wanted, host_name, metadata};
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of a claim's `spec` that are the tenant's.
pub const CLAIM_FIELDS: [&str; 3] = ["accessModes", "volumeMode", "storageClassName"];
/// Fields of a claim's `status` that are the host's.
pub const CLAIM_STATUS_FIELDS: [&str; 6] =
    ["phase", "accessModes", "capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"];
/// What stands where a driver of the host's would be named.
const DRIVER: &str = "alcove.dev";

/// The host's claim.
pub fn claim(context: &Context<'_>, object: &Value) -> Result<Wanted, Refusal> {
    let spec = &object["spec"];
    let mut out = json!({});
    for field in CLAIM_FIELDS {
        if let Some(value) = spec.get(field) {
            out[field] = value.clone();
        }
    }
    if let Some(class) = class(context, spec)? {
        out["storageClassName"] = class.into();
    }
    if let Some(requests) = spec.pointer("/resources/requests") {
        out["resources"] = json!({ "requests": requests });
    }
    existing_volume(context, object, &mut out)?;
    source(context, object, &mut out)?;
    let metadata = metadata(context.tenant, object);
    Ok(json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": out })
        .into())
}

/// The class of the host's claim, where it is not left to the host.
fn class(context: &Context<'_>, spec: &Value) -> Result<Option<String>, Refusal> {
    const FIELD: &str = "spec.storageClassName";
    let allowed = &context.allowed.persistent_volume_claims;
    let asked = spec.get("storageClassName").and_then(Value::as_str);
    let Some(class) = asked.or(allowed.default_storage_class.as_deref()) else { return Ok(None) };
    if class.is_empty() {
        return match allowed.named_volumes {
            true => Ok(Some(String::new())),
            false => Err(Refusal::of(
                FIELD,
                "a claim without a class takes a volume that is there already, which may be a directory of a node of the host; name a class, or ask the platform team for sync.persistentVolumeClaims.namedVolumes",
            )),
        };
    }
    let is_listed = allowed.storage_classes.is_empty()
        || allowed.storage_classes.iter().any(|name| name == class)
        || allowed.default_storage_class.as_deref() == Some(class);
    if !is_listed {
        let list = allowed.storage_classes.join(", ");
        return Err(Refusal::of(FIELD, format!("allowed are {list}; for another one ask the platform team")));
    }
    if context.known.has_class("storageclasses", class) == Some(false) {
        return Err(Refusal::of(
            FIELD,
            "the host has no such class; kubectl get storageclasses shows those there are",
        ));
    }
    Ok(Some(class.to_owned()))
}

/// A claim may choose a volume of the host only where the platform team lets it.
fn existing_volume(context: &Context<'_>, object: &Value, out: &mut Value) -> Result<(), Refusal> {
    let spec = &object["spec"];
    let name = spec["volumeName"].as_str().filter(|name| !name.is_empty() && *name != volume_name(object));
    let selector =
        spec.get("selector").filter(|selector| selector.as_object().is_some_and(|s| !s.is_empty()));
    if context.allowed.persistent_volume_claims.named_volumes {
        if let Some(name) = name {
            out["volumeName"] = name.into();
        }
        if let Some(selector) = selector {
            out["selector"] = selector.clone();
        }
        return Ok(());
    }
    let why = "volumes of the host may be directories of its nodes, so claims may not choose one; leave it out and a new volume is made, or ask the platform team for sync.persistentVolumeClaims.namedVolumes";
    match (name, selector) {
        (Some(_), _) => Err(Refusal::of("spec.volumeName", why)),
        (None, Some(_)) => Err(Refusal::of("spec.selector", why)),
        (None, None) => Ok(()),
    }
}

/// What a claim is filled from: another claim of the tenant.
fn source(context: &Context<'_>, object: &Value, out: &mut Value) -> Result<(), Refusal> {
    let namespace = meta::namespace(object);
    for field in ["dataSource", "dataSourceRef"] {
        let Some(source) = object["spec"].get(field).filter(|source| source.is_object()) else { continue };
        let is_claim = source["kind"] == "PersistentVolumeClaim"
            && source["apiGroup"].as_str().unwrap_or_default().is_empty();
        let is_near = source["namespace"].as_str().is_none_or(|other| other == namespace);
        if !is_claim || !is_near {
            let why = "only another claim of the same namespace can be copied; snapshots are not synced";
            return Err(Refusal::of(&format!("spec.{field}"), why));
        }
        let name = host_name(context.tenant, namespace, source["name"].as_str().unwrap_or_default());
        out[field] = json!({ "kind": "PersistentVolumeClaim", "name": name });
    }
    Ok(())
}

/// A tenant's claim as it is after seeing the host's.
pub fn claim_back(tenant: &Value, host: &Value) -> Value {
    let mut out = tenant.clone();
    let is_set = |object: &Value, field: &str| {
        object["spec"].get(field).and_then(Value::as_str).is_some_and(|value| !value.is_empty())
    };
    if is_set(host, "volumeName") && !is_set(tenant, "volumeName") {
        out["spec"]["volumeName"] = volume_name(tenant).into();
    }
    if tenant["spec"].get("storageClassName").is_none()
        && let Some(class) = host["spec"].get("storageClassName")
    {
        out["spec"]["storageClassName"] = class.clone();
    }
    let mut status = json!({});
    for field in CLAIM_STATUS_FIELDS {
        if let Some(value) = host.pointer(&format!("/status/{field}")) {
            status[field] = value.clone();
        }
    }
    out["status"] = status;
    out
}

/// What the tenant calls the volume of a claim: the name that a provisioner would give it.
pub fn volume_name(claim: &Value) -> String {
    format!("pvc-{}", meta::uid(claim))
}

/// The volume that the tenant is shown for a bound claim of its own.
pub fn volume(claim: &Value) -> Option<Value> {
    let name = claim.pointer("/spec/volumeName").and_then(Value::as_str).filter(|n| !n.is_empty())?;
    let asked = claim.pointer("/spec/resources/requests");
    let capacity = claim.pointer("/status/capacity").or(asked).cloned().unwrap_or_else(|| json!({}));
    let mut spec = json!({
        "capacity": capacity, "accessModes": claim["spec"]["accessModes"],
        "persistentVolumeReclaimPolicy": "Delete",
        "claimRef": { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": meta::name(claim),
                      "namespace": meta::namespace(claim), "uid": meta::uid(claim) },
        "csi": { "driver": DRIVER, "volumeHandle": name },
    });
    for field in ["storageClassName", "volumeMode"] {
        if let Some(value) = claim["spec"].get(field) {
            spec[field] = value.clone();
        }
    }
    Some(json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": name, "labels": { MIRROR: "true" } },
        "spec": spec, "status": { "phase": "Bound" },
    }))
}

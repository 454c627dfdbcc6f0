//! Classes of the host, shown to the tenant so that it knows what it may name: StorageClasses and IngressClasses. What
//! names objects of the host (parameters, secrets) is not shown.

use super::metadata::MIRROR;
use alcove_object::{Value, meta};
use serde_json::json;

/// Fields of a StorageClass that the tenant is shown.
pub const STORAGE_CLASS_FIELDS: [&str; 4] =
    ["provisioner", "reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion"];
/// What makes a StorageClass that of claims which name none.
const DEFAULT_STORAGE_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// What makes an IngressClass that of ingresses which name none.
const DEFAULT_INGRESS_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// The tenant's StorageClass for a host's.
pub fn storage_class(host: &Value, is_default: Option<bool>) -> Value {
    let mut out = class("storage.k8s.io/v1", "StorageClass", host, DEFAULT_STORAGE_CLASS, is_default);
    for field in STORAGE_CLASS_FIELDS {
        if let Some(value) = host.get(field) {
            out[field] = value.clone();
        }
    }
    // Said even where the host says nothing, so that a tenant cannot promise itself what its claims will not get.
    if out.get("allowVolumeExpansion").is_none() {
        out["allowVolumeExpansion"] = false.into();
    }
    out
}

/// The tenant's IngressClass for a host's.
pub fn ingress_class(host: &Value, is_default: Option<bool>) -> Value {
    let mut out = class("networking.k8s.io/v1", "IngressClass", host, DEFAULT_INGRESS_CLASS, is_default);
    if let Some(controller) = host.pointer("/spec/controller") {
        out["spec"] = json!({ "controller": controller });
    }
    out
}

/// `is_default`: whether it is the default in the tenant; `None`: as on the host.
fn class(version: &str, kind: &str, host: &Value, mark: &str, is_default: Option<bool>) -> Value {
    let is_default = is_default.unwrap_or_else(|| meta::annotation(host, mark) == Some("true"));
    let mut metadata = json!({ "name": meta::name(host), "labels": { MIRROR: "true" } });
    if is_default {
        metadata["annotations"] = json!({ mark: "true" });
    }
    json!({ "apiVersion": version, "kind": kind, "metadata": metadata })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_shows_what_it_does_and_nothing_that_names_the_hosts_objects() {
        let host = json!({ "metadata": { "name": "fast", "uid": "u", "labels": { "team": "infra" },
                "annotations": { DEFAULT_STORAGE_CLASS: "true", "note": "internal" } },
            "provisioner": "ebs.csi.aws.com", "allowVolumeExpansion": true, "mountOptions": ["x"],
            "parameters": { "csi.storage.k8s.io/provisioner-secret-name": "s" } });
        let shown = storage_class(&host, None);
        let metadata = json!({ "name": "fast", "labels": { MIRROR: "true" },
                               "annotations": { DEFAULT_STORAGE_CLASS: "true" } });
        assert_eq!(
            shown,
            json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata,
                    "provisioner": "ebs.csi.aws.com", "allowVolumeExpansion": true })
        );
        assert_eq!(storage_class(&host, Some(false)).pointer("/metadata/annotations"), None);
        assert_eq!(storage_class(&json!({}), None)["allowVolumeExpansion"], false);
        let nginx = json!({ "metadata": { "name": "nginx" },
            "spec": { "controller": "k8s.io/ingress-nginx", "parameters": { "name": "p" } } });
        assert_eq!(ingress_class(&nginx, None)["spec"], json!({ "controller": "k8s.io/ingress-nginx" }));
    }
}

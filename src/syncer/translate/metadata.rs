//! Metadata of host objects: name, labels, and the annotations that say whose they are.

use super::labels::Map;
use super::{Tenant, host_name};
use alcove_object::tree::at;
use alcove_object::{Value, meta};
use serde_json::json;

/// Label: the virtual cluster that a host object belongs to.
pub const CLUSTER: &str = "alcove.dev/cluster";
/// Label and annotation: the tenant's namespace.
pub const NAMESPACE: &str = "alcove.dev/namespace";
/// Annotation: the name in the tenant.
pub const NAME: &str = "alcove.dev/name";
/// Annotation: the UID in the tenant. Nothing is written or deleted on the host unless this matches.
pub const UID: &str = "alcove.dev/uid";
/// Annotation: the kind in the tenant.
pub const KIND: &str = "alcove.dev/kind";
/// Label: a tenant's object that shows one of the host's.
pub const MIRROR: &str = "alcove.dev/mirror";

/// Whose a host object is, as its annotations say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant's namespace.
    pub namespace: String,
    /// The name in the tenant.
    pub name: String,
    /// The UID in the tenant.
    pub uid: String,
}

/// Metadata of the host object for a tenant's object: identity, the tenant's labels, ownership. The tenant's
/// annotations stay in the tenant: on the host they would speak to whoever listens there.
pub fn metadata(tenant: &Tenant, object: &Value) -> Value {
    let (namespace, name) = (meta::namespace(object), meta::name(object));
    let mut labels = Map::labels(at(object, "/metadata/labels"));
    labels.insert(CLUSTER.into(), tenant.cluster.clone().into());
    labels.insert(NAMESPACE.into(), namespace.into());
    let mut metadata = json!({
        "name": host_name(tenant, namespace, name), "namespace": tenant.host_namespace,
        "annotations": { NAMESPACE: namespace, NAME: name, UID: meta::uid(object), KIND: object["kind"] },
    });
    metadata["labels"] = labels.into();
    metadata
}

/// Lets a tenant's annotations with these keys through to the host's metadata; never what speaks of ownership.
pub fn annotations(host: &mut Value, object: &Value, allowed: &[String]) {
    for (key, value) in meta::entries(at(object, "/metadata/annotations")) {
        if super::names(allowed, key) && !key.starts_with("alcove.dev/") {
            host["annotations"][key] = value.into();
        }
    }
}

/// Whose a host object is: `None` unless its marks name this tenant and its name is the one that we would give it, so
/// that a copy made by hand is nobody's.
pub fn owner(tenant: &Tenant, host: &Value) -> Option<Owner> {
    if meta::label(host, CLUSTER) != Some(&tenant.cluster) {
        return None;
    }
    let mark = |key| meta::annotation(host, key).map(str::to_owned);
    let owner = Owner { namespace: mark(NAMESPACE)?, name: mark(NAME)?, uid: mark(UID)? };
    (host_name(tenant, &owner.namespace, &owner.name) == meta::name(host)).then_some(owner)
}

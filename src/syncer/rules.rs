//! Which kinds are synced, and how: one row per kind over one engine.

use crate::translate::{self, Refusal, Tenant};
use alcove_object::{Gvr, Value, meta};
use kube::core::{ApiResource, GroupVersionKind};

/// One synced kind.
pub struct Rule {
    /// Kind, on both sides.
    pub kind: &'static str,
    /// Plural resource in the core group, on both sides.
    pub resource: &'static str,
    /// Which objects are synced.
    pub when: When,
    /// How an object lives.
    pub life: Life,
    /// The host object for a tenant's.
    pub to_host: fn(&Tenant, &Value) -> Result<Value, Refusal>,
    /// What flows back, if anything does: the tenant's object as it should be after seeing the host's. Spec and status
    /// may differ.
    pub to_tenant: Option<fn(&Value, &Value) -> Value>,
}

/// Which objects of a kind are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// Those that a synced pod uses.
    InUse,
}

/// How objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The host object follows the tenant's, and comes back when it is deleted on the host.
    Follows,
    /// The host runs it: it is bound to a node, ends, and cannot come back.
    Runs,
}

/// All synced kinds.
pub static RULES: [Rule; 4] = [
    Rule {
        kind: "ConfigMap",
        resource: "configmaps",
        when: When::InUse,
        life: Life::Follows,
        to_host: |tenant, object| Ok(translate::config_map(tenant, object)),
        to_tenant: None,
    },
    Rule {
        kind: "Secret",
        resource: "secrets",
        when: When::InUse,
        life: Life::Follows,
        to_host: |tenant, object| Ok(translate::secret(tenant, object)),
        to_tenant: None,
    },
    Rule {
        kind: "Service",
        resource: "services",
        when: When::Always,
        life: Life::Follows,
        to_host: translate::service,
        to_tenant: Some(|tenant, host| {
            let mut out = tenant.clone();
            out["spec"] = translate::service_addresses(&tenant["spec"], host);
            out["status"] = translate::service_status(tenant, host);
            out
        }),
    },
    Rule {
        kind: "Pod",
        resource: "pods",
        when: When::Always,
        life: Life::Runs,
        to_host: translate::pod,
        to_tenant: Some(|tenant, host| {
            let mut out = tenant.clone();
            out["status"] = translate::pod_status(tenant, host);
            out
        }),
    },
];

impl Rule {
    /// The resource on the tenant's side.
    pub fn gvr(&self) -> Gvr {
        Gvr::new("", "v1", self.resource)
    }

    /// The resource on the host's side.
    pub fn host_resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", self.kind), self.resource)
    }

    /// The grace in seconds that a host object has whose tenant object is gone already: a pod whose deletion was forced
    /// gets the least that its kubelet still confirms. `None`: the host's default.
    pub fn last_grace(&self) -> Option<u32> {
        (self.life == Life::Runs).then_some(1)
    }

    /// Objects that the API server keeps by itself and that mean something else on the host.
    pub fn is_exempt(&self, object: &Value) -> bool {
        self.kind == "Service" && meta::namespace(object) == "default" && meta::name(object) == "kubernetes"
    }
}

/// The rule of a resource.
pub fn rule(resource: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.resource == resource)
}

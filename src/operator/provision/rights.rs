//! What a tenant's process may do on its host: one table, feature by feature. It is the whole truth: the Role and the
//! ClusterRole are made from it, and the chart's are compared with it.

use super::Release;
use alcove_config::Config;
use alcove_object::Value;
use serde_json::json;

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the tenant's host namespace.
    Namespace,
    /// In the whole host cluster.
    Cluster,
}

/// What one feature needs.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The feature, in the words of the chart's comment.
    pub feature: &'static str,
    /// Whether a configuration wants it.
    pub wanted: fn(&Config) -> bool,
    /// Where it holds.
    pub scope: Scope,
    /// API group.
    pub group: &'static str,
    /// Resources and subresources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
}

impl Grant {
    /// Whether it covers a verb on a resource, which is `RESOURCE/SUBRESOURCE` for subresources.
    pub fn covers(&self, group: &str, resource: &str, verb: &str) -> bool {
        self.group == group && self.resources.contains(&resource) && self.verbs.contains(&verb)
    }
}

/// Server-side apply needs `patch`, and `create` for what is not there yet; `update` is never used.
const SYNC: &[&str] = &["create", "delete", "get", "list", "patch", "watch"];
const FOLLOW: &[&str] = &["get", "list", "watch"];
/// What an HTTP method through a proxy needs.
const METHODS: &[&str] = &["create", "delete", "get", "patch", "update"];

const fn in_namespace(
    feature: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Grant {
    Grant { feature, wanted: |_| true, scope: Scope::Namespace, group, resources, verbs }
}

/// All rights, each with the feature that it serves.
pub static GRANTS: &[Grant] = &[
    in_namespace(
        "sync of pods, Services, what pods read, and tokens; kubeconfig Secrets",
        "",
        &["configmaps", "pods", "secrets", "services"],
        SYNC,
    ),
    in_namespace("conditions of readiness gates", "", &["pods/status"], &["patch"]),
    in_namespace(
        "kubectl debug, in-place resize",
        "",
        &["pods/ephemeralcontainers", "pods/resize"],
        &["patch"],
    ),
    in_namespace("kubectl logs", "", &["pods/log"], &["get"]),
    in_namespace(
        "kubectl exec, cp, attach, port-forward",
        "",
        &["pods/attach", "pods/exec", "pods/portforward"],
        &["create", "get"],
    ),
    in_namespace("kubectl proxy to pods and Services", "", &["pods/proxy", "services/proxy"], METHODS),
    in_namespace("events of the host about the tenant's objects", "", &["events"], FOLLOW),
    in_namespace("Endpoints of Services without a selector", "", &["endpoints"], SYNC),
    in_namespace(
        "EndpointSlices of Services without a selector",
        "discovery.k8s.io",
        &["endpointslices"],
        SYNC,
    ),
    Grant {
        wanted: |config| config.sync.persistent_volume_claims.enabled,
        ..in_namespace("sync of claims", "", &["persistentvolumeclaims"], SYNC)
    },
    Grant {
        wanted: |config| config.sync.service_accounts.enabled,
        ..in_namespace("sync of service accounts", "", &["serviceaccounts"], SYNC)
    },
    Grant {
        wanted: |config| config.sync.ingresses.enabled,
        ..in_namespace("sync of Ingresses", "networking.k8s.io", &["ingresses"], SYNC)
    },
    Grant {
        wanted: |config| config.sync.network_policies.enabled,
        ..in_namespace("sync of NetworkPolicies", "networking.k8s.io", &["networkpolicies"], SYNC)
    },
    Grant {
        wanted: |config| config.sync.pod_disruption_budgets.enabled,
        ..in_namespace("sync of PodDisruptionBudgets", "policy", &["poddisruptionbudgets"], SYNC)
    },
    Grant {
        wanted: |config| config.sync.storage_classes.enabled,
        scope: Scope::Cluster,
        ..in_namespace("StorageClasses shown in the tenant", "storage.k8s.io", &["storageclasses"], FOLLOW)
    },
    Grant {
        wanted: |config| config.sync.ingresses.enabled,
        scope: Scope::Cluster,
        ..in_namespace("IngressClasses shown in the tenant", "networking.k8s.io", &["ingressclasses"], FOLLOW)
    },
    Grant {
        wanted: |config| !config.sync.nodes.selector.is_empty() || !config.sync.nodes.labels.is_empty(),
        scope: Scope::Cluster,
        ..in_namespace("sizes and labels of the host's nodes", "", &["nodes"], FOLLOW)
    },
];

/// Service accounts, roles and bindings.
pub fn objects(release: &Release) -> Vec<Value> {
    let mut all = vec![
        service_account(release, &release.name),
        // The tenant's pods run as this one. It has no rights, and its token is never mounted.
        service_account(release, &release.part("workload")),
    ];
    let role = with_rules(release, Scope::Namespace, |name| {
        release.object("rbac.authorization.k8s.io/v1", name, &release.name)
    });
    all.extend(role);
    all.extend(with_rules(release, Scope::Cluster, |name| {
        release.cluster_wide("rbac.authorization.k8s.io/v1", name, &release.cluster_wide_name())
    }));
    all
}

fn service_account(release: &Release, name: &str) -> Value {
    let mut account = release.object("v1", "ServiceAccount", name);
    account["automountServiceAccountToken"] = false.into();
    account
}

/// The role and the binding of a scope; nothing where nothing is wanted.
fn with_rules(release: &Release, scope: Scope, object: impl Fn(&str) -> Value) -> Vec<Value> {
    let wanted = GRANTS.iter().filter(|grant| grant.scope == scope && (grant.wanted)(&release.config));
    let rules: Vec<Value> = wanted
        .map(
            |grant| json!({ "apiGroups": [grant.group], "resources": grant.resources, "verbs": grant.verbs }),
        )
        .collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let kind = match scope {
        Scope::Namespace => "Role",
        Scope::Cluster => "ClusterRole",
    };
    let (mut role, mut binding) = (object(kind), object(&format!("{kind}Binding")));
    role["rules"] = rules.into();
    let name = role["metadata"]["name"].clone();
    binding["roleRef"] = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    binding["subjects"] =
        json!([{ "kind": "ServiceAccount", "name": release.name, "namespace": release.namespace }]);
    vec![role, binding]
}

//! The rows of the kinds beyond pods and what they need to run: storage, endpoints, ingress, policies, accounts.

use crate::rules::{Flow, Life, Owners, Refused, Rule, When, follows, row};
use crate::translate;
use crate::uses::{depends, used};
use alcove_controllers::runtime::Key;
use alcove_object::{Value, meta};
use std::collections::BTreeSet;

/// The provisioner of classes whose volumes people make by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// PersistentVolumeClaims.
pub const CLAIMS: Rule = Rule {
    is_wanted: |allowed| allowed.persistent_volume_claims.enabled,
    // Whether a class is there.
    after: &["storageclasses"],
    uses: Some(|_, claim| {
        let name = claim.pointer("/spec/volumeName").and_then(Value::as_str).filter(|name| !name.is_empty());
        name.map(|name| used("persistentvolumes", "", name)).into_iter().collect()
    }),
    owners: Owners {
        synced: "always",
        tenant: &[
            "labels",
            "`spec` access modes, volume mode, class and requests",
            "`spec.dataSource` and `dataSourceRef`",
        ],
        host: &["that there is a volume", "the class of a claim that names none", "`status`"],
    },
    ..row(
        "",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        follows(translate::claim, Some(|_, tenant, host| translate::claim_back(tenant, host))),
    )
};

/// StorageClasses of the host.
pub const STORAGE_CLASSES: Rule = Rule {
    is_wanted: |allowed| allowed.storage_classes.enabled,
    owners: Owners {
        synced: "with `sync.storageClasses`, from the host only",
        tenant: &[],
        host: &[
            "`provisioner`, `reclaimPolicy`, `volumeBindingMode`, `allowVolumeExpansion`",
            "whether it is the default",
        ],
    },
    ..row(
        "storage.k8s.io",
        "StorageClass",
        "storageclasses",
        Flow::Up {
            mirror: |context, host| {
                let claims = &context.allowed.persistent_volume_claims;
                let default = claims.default_storage_class.as_deref();
                let is_default = default.map(|class| class == meta::name(host));
                // Who makes no volumes hands out those that are there, which may be directories of the host's nodes.
                let is_safe = host["provisioner"] != NO_PROVISIONER
                    || claims.named_volumes
                    || !claims.storage_classes.is_empty();
                let is_shown =
                    is_safe && is_listed(&claims.storage_classes, host) || is_default == Some(true);
                is_shown.then(|| translate::storage_class(host, is_default))
            },
        },
    )
};

/// Nodes of the host that the platform team selects.
pub const NODES: Rule = Rule {
    is_wanted: |allowed| !allowed.nodes.selector.is_empty(),
    owners: Owners {
        synced: "those of `sync.nodes.selector`; others while a pod of the tenant is on them",
        tenant: &[],
        host: &[
            "labels that the platform team names",
            "sizes, conditions, versions, `unschedulable`, taints that not every pod of the tenant tolerates",
        ],
    },
    ..row("", "Node", "nodes", Flow::Up { mirror: translate::node })
};

/// Endpoints of services without a selector.
pub const ENDPOINTS: Rule = Rule {
    after: &["services", "pods"],
    is_derived: translate::follows_from_selector,
    uses: Some(of_endpoints),
    owners: Owners {
        synced: "if its Service has no selector",
        tenant: &["labels", "`subsets`, but for addresses that are not allowed"],
        host: &[],
    },
    ..row(
        "",
        "Endpoints",
        "endpoints",
        follows(|context, object| Ok(translate::endpoints(context, object)), None),
    )
};

/// EndpointSlices of services without a selector.
pub const ENDPOINT_SLICES: Rule = Rule {
    after: &["services", "pods"],
    is_derived: translate::follows_from_selector,
    uses: Some(of_endpoints),
    owners: Owners {
        synced: "if its Service has no selector",
        tenant: &["labels", "`addressType`, `ports`, `endpoints`, but for addresses that are not allowed"],
        host: &[],
    },
    ..row("discovery.k8s.io", "EndpointSlice", "endpointslices", follows(translate::endpoint_slice, None))
};

/// Ingresses.
pub const INGRESSES: Rule = Rule {
    is_wanted: |allowed| allowed.ingresses.enabled,
    after: &["ingressclasses", "secrets"],
    uses: Some(|namespace, ingress| {
        let secrets = translate::ingress_secrets(ingress).into_iter();
        secrets.map(|name| used("secrets", namespace, &name)).collect()
    }),
    owners: Owners {
        synced: "with `sync.ingresses`",
        tenant: &["labels", "annotations that the platform team names", "class, rules and TLS of `spec`"],
        host: &["`status`"],
    },
    ..row(
        "networking.k8s.io",
        "Ingress",
        "ingresses",
        Flow::Down {
            life: Life::Follows,
            to_host: translate::ingress,
            to_tenant: Some(|_, tenant, host| translate::ingress_back(tenant, host)),
            refused: Refused::Goes,
        },
    )
};

/// IngressClasses of the host.
pub const INGRESS_CLASSES: Rule = Rule {
    is_wanted: |allowed| allowed.ingresses.enabled,
    owners: Owners {
        synced: "with `sync.ingresses`, from the host only",
        tenant: &[],
        host: &["`spec.controller`", "whether it is the default"],
    },
    ..row(
        "networking.k8s.io",
        "IngressClass",
        "ingressclasses",
        Flow::Up {
            mirror: |context, host| {
                let classes = &context.allowed.ingresses.classes;
                let is_default = classes.first().map(|class| class == meta::name(host));
                is_listed(classes, host).then(|| translate::ingress_class(host, is_default))
            },
        },
    )
};

/// NetworkPolicies.
pub const NETWORK_POLICIES: Rule = Rule {
    is_wanted: |allowed| allowed.network_policies.enabled,
    owners: Owners {
        synced: "with `sync.networkPolicies`",
        tenant: &["labels", "`spec`, but for peers beyond the tenant's own pods"],
        host: &[],
    },
    ..row(
        "networking.k8s.io",
        "NetworkPolicy",
        "networkpolicies",
        follows(|context, object| Ok(translate::network_policy(context, object)), None),
    )
};

/// PodDisruptionBudgets. Each side counts by itself: the tenant knows the controllers of its pods, the host does not.
pub const DISRUPTION_BUDGETS: Rule = Rule {
    is_wanted: |allowed| allowed.pod_disruption_budgets.enabled,
    owners: Owners { synced: "with `sync.podDisruptionBudgets`", tenant: &["labels", "`spec`"], host: &[] },
    ..row(
        "policy",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        follows(|context, object| Ok(translate::disruption_budget(context, object)), None),
    )
};

/// ServiceAccounts.
pub const SERVICE_ACCOUNTS: Rule = Rule {
    is_wanted: |allowed| allowed.service_accounts.enabled,
    when: When::InUse,
    owners: Owners {
        synced: "with `sync.serviceAccounts`, while a pod uses it",
        tenant: &["labels", "annotations that the platform team names"],
        host: &[],
    },
    ..row(
        "",
        "ServiceAccount",
        "serviceaccounts",
        follows(|context, object| Ok(translate::service_account(context, object)), None),
    )
};

/// Whether a class is one of those allowed; without a list, all are.
fn is_listed(allowed: &[String], class: &Value) -> bool {
    allowed.is_empty() || allowed.iter().any(|name| name == meta::name(class))
}

/// What Endpoints and slices depend on: their service, and the pods that have their addresses.
fn of_endpoints(namespace: &str, object: &Value) -> BTreeSet<Key> {
    let service = translate::service_of(object).map(|name| depends("services", namespace, name));
    let addresses = translate::addresses(object).into_iter();
    addresses.map(|address| depends("addresses", "", &address)).chain(service).collect()
}

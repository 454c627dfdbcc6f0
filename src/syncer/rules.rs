//! Which kinds are synced, and how: one row per kind over one engine.

use crate::kubernetes::DOOR;
use crate::rows;
use crate::translate::{self, Context, Refusal, Wanted};
use crate::uses;
use alcove_config::Sync;
use alcove_controllers::runtime::{Key, join};
use alcove_object::{Gvr, Value, meta};
use kube::core::{ApiResource, GroupVersionKind};
use std::collections::BTreeSet;

/// One synced kind.
pub struct Rule {
    /// API group, on both sides.
    pub group: &'static str,
    /// API version, on both sides.
    pub version: &'static str,
    /// Kind, on both sides.
    pub kind: &'static str,
    /// Plural resource, on both sides. No two rules have the same.
    pub resource: &'static str,
    /// Whether the platform team wants it.
    pub is_wanted: fn(&Sync) -> bool,
    /// Which way objects go.
    pub flow: Flow,
    /// What an object asks for that is made anew on the host, beside what always is the tenant's: what the host gave it
    /// before. Whether it gets that again is the host's to say.
    pub asks_for: Option<fn(&Value, &mut Value)>,
    /// Which objects are synced.
    pub when: When,
    /// Resources of which the host must have told before objects of this one are looked at, since what is not known must
    /// not be taken for gone.
    pub after: &'static [&'static str],
    /// Objects that follow from others and that the host makes by itself.
    pub is_derived: fn(&Context<'_>, &Value) -> bool,
    /// What an object of this namespace uses: keys of other objects that go to the host with it, or on which its
    /// translation depends.
    pub uses: Option<fn(&str, &Value) -> BTreeSet<Key>>,
    /// Who owns which field, for people: what is not said here is nobody's.
    pub owners: Owners,
}

/// Which way objects of a kind go.
#[derive(Clone, Copy)]
pub enum Flow {
    /// The tenant's go to the host.
    Down {
        /// How they live there.
        life: Life,
        /// The host object for a tenant's.
        to_host: ToHost,
        /// What flows back, if anything does: the tenant's object as it should be after seeing the host's. Spec and
        /// status may differ.
        to_tenant: Option<ToTenant>,
        /// What becomes of a host object whose tenant object is refused from now on.
        refused: Refused,
    },
    /// The host's, which belong to the whole cluster, are shown to the tenant, and are there as long as the host's are.
    Up {
        /// The tenant's object for a host's; `None` for what is not shown.
        mirror: fn(&Context<'_>, &Value) -> Option<Value>,
    },
}

/// How objects live on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The host object follows the tenant's, and comes back when it is deleted on the host.
    Follows,
    /// The host runs it: it is bound to a node, ends, and cannot come back.
    Runs,
}

/// What becomes of a host object whose tenant object is refused from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It stays as it was when it was allowed.
    Stays,
    /// It goes.
    Goes,
}

/// Which objects of a kind are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// Those that a synced object uses.
    InUse,
}

/// Who owns which field, in words and paths.
#[derive(Clone, Copy, Debug)]
pub struct Owners {
    /// When it is synced.
    pub synced: &'static str,
    /// Fields that the tenant owns, on the host.
    pub tenant: &'static [&'static str],
    /// Fields that the host owns, and that flow back.
    pub host: &'static [&'static str],
}

type ToHost = fn(&Context<'_>, &Value) -> Result<Wanted, Refusal>;
type ToTenant = fn(&Context<'_>, &Value, &Value) -> Value;

/// Host objects that follow the tenant's.
pub const fn follows(to_host: ToHost, to_tenant: Option<ToTenant>) -> Flow {
    Flow::Down { life: Life::Follows, to_host, to_tenant, refused: Refused::Stays }
}

/// A rule for all objects of a kind, each on its own; a row says what differs.
pub const fn row(group: &'static str, kind: &'static str, resource: &'static str, flow: Flow) -> Rule {
    Rule {
        group,
        version: "v1",
        kind,
        resource,
        is_wanted: |_| true,
        flow,
        asks_for: None,
        when: When::Always,
        after: &[],
        is_derived: |_, _| false,
        uses: None,
        owners: Owners { synced: "always", tenant: &[], host: &[] },
    }
}

/// All synced kinds.
pub static RULES: [Rule; 14] = [
    Rule {
        when: When::InUse,
        owners: Owners {
            synced: "while a pod uses it",
            tenant: &["labels", "`data`", "`binaryData`"],
            host: &[],
        },
        ..row(
            "",
            "ConfigMap",
            "configmaps",
            follows(|context, object| Ok(translate::config_map(context.tenant, object).into()), None),
        )
    },
    Rule {
        when: When::InUse,
        owners: Owners {
            synced: "while a pod uses it",
            tenant: &["labels", "`data`", "`type` (service account and bootstrap tokens become `Opaque`)"],
            host: &[],
        },
        ..row(
            "",
            "Secret",
            "secrets",
            follows(|context, object| Ok(translate::secret(context.tenant, object).into()), None),
        )
    },
    Rule {
        asks_for: Some(translate::ask_for_addresses),
        owners: Owners {
            synced: "always, but `default/kubernetes` and the `kube-system/kube-dns` that shows the tenant's DNS",
            tenant: &[
                "labels",
                "annotations that the platform team names",
                "`spec` without addresses and families",
            ],
            host: &[
                "addresses and families of `spec`",
                "node ports that the tenant did not choose",
                "`status`",
            ],
        },
        ..row(
            "",
            "Service",
            "services",
            follows(
                translate::allowed_service,
                Some(|_, tenant, host| {
                    let mut out = tenant.clone();
                    out["spec"] = translate::service_addresses(&tenant["spec"], host);
                    out["status"] = translate::service_status(tenant, host);
                    out
                }),
            ),
        )
    },
    Rule {
        after: &[
            "configmaps",
            "secrets",
            "persistentvolumeclaims",
            "serviceaccounts",
            "tokens",
            "service variables",
        ],
        uses: Some(uses::of_pod),
        owners: Owners {
            synced: "always",
            tenant: &[
                "labels",
                "labels of its namespace",
                "annotations that the platform team names",
                "`spec`, but its node, priority, overhead, scheduler and subdomain",
                "conditions of its readiness gates",
            ],
            host: &["the node", "`status`, with the tenant's own conditions kept"],
        },
        ..row(
            "",
            "Pod",
            "pods",
            Flow::Down {
                life: Life::Runs,
                to_host: |context, object| translate::pod(context, object),
                to_tenant: Some(|_, tenant, host| {
                    let mut out = tenant.clone();
                    out["status"] = translate::pod_status(tenant, host);
                    out
                }),
                refused: Refused::Stays,
            },
        )
    },
    rows::CLAIMS,
    rows::STORAGE_CLASSES,
    rows::NODES,
    rows::ENDPOINTS,
    rows::ENDPOINT_SLICES,
    rows::INGRESSES,
    rows::INGRESS_CLASSES,
    rows::NETWORK_POLICIES,
    rows::DISRUPTION_BUDGETS,
    rows::SERVICE_ACCOUNTS,
];

impl Rule {
    /// The resource on the tenant's side.
    pub fn gvr(&self) -> Gvr {
        Gvr::new(self.group, self.version, self.resource)
    }

    /// The resource on the host's side.
    pub fn host_resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.resource)
    }

    /// `resource|namespace/name`, or `resource|name` for what belongs to no namespace.
    pub fn key(&self, namespace: &str, name: &str) -> Key {
        format!("{}|{}", self.resource, join(namespace, name)).into()
    }

    /// Whether its objects belong to no namespace, on either side.
    pub fn is_cluster_wide(&self) -> bool {
        matches!(self.flow, Flow::Up { .. })
    }

    /// Whether the host runs its objects.
    pub fn runs(&self) -> bool {
        matches!(self.flow, Flow::Down { life: Life::Runs, .. })
    }

    /// Whether anything flows from a host object to the tenant's.
    pub fn has_way_back(&self) -> bool {
        !matches!(self.flow, Flow::Down { to_tenant: None, .. })
    }

    /// The host object for a tenant's.
    pub fn to_host(&self, context: &Context<'_>, object: &Value) -> Result<Wanted, Refusal> {
        match self.flow {
            Flow::Down { to_host, .. } => to_host(context, object),
            Flow::Up { .. } => {
                Err(Refusal::of("kind", "the host's objects of this kind are shown, not made"))
            }
        }
    }

    /// The least grace in seconds that a host object has, and what it has whose tenant object is gone already: a pod whose
    /// deletion was forced gets the least that its kubelet still confirms. `None`: the host's default.
    pub fn last_grace(&self) -> Option<u32> {
        self.runs().then_some(1)
    }

    /// Objects that the API server keeps by itself and that mean something else on the host.
    pub fn is_exempt(&self, object: &Value) -> bool {
        let is_kubernetes = meta::namespace(object) == "default" && meta::name(object) == "kubernetes";
        self.kind == "Service" && (is_kubernetes || meta::label(object, DOOR).is_some())
    }
}

/// The rule of a resource.
pub fn rule(resource: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.resource == resource)
}

/// Who owns which field, as a table for people: the one in docs/how-sync-works.md.
pub fn owners_table() -> String {
    let list = |fields: &[&str]| match fields {
        [] => "nothing".to_owned(),
        fields => fields.join(", "),
    };
    let mut table =
        "| kind | synced | the tenant owns, on the host | flows back to the tenant |\n|---|---|---|---|\n"
            .to_owned();
    for rule in &RULES {
        let Owners { synced, tenant, host } = rule.owners;
        table += &format!("| {} | {synced} | {} | {} |\n", rule.kind, list(tenant), list(host));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- owners: written by a test of src/syncer, run it with UPDATE_DOCS=1 -->\n";
    const END: &str = "<!-- end of owners -->\n";

    #[test]
    fn the_page_says_who_owns_what() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-sync-works.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (told, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, [before, BEGIN, &owners_table(), END, after].concat()).unwrap();
            return;
        }
        assert_eq!(told, owners_table(), "run with UPDATE_DOCS=1 and read the diff");
    }

    #[test]
    fn every_resource_has_one_rule_and_waits_only_for_those_that_are_there() {
        let resources: BTreeSet<&str> = RULES.iter().map(|rule| rule.resource).collect();
        assert_eq!(resources.len(), RULES.len());
        for rule in &RULES {
            for other in rule
                .after
                .iter()
                .filter(|other| crate::derived::DERIVATIONS.iter().all(|of| of.feature != **other))
            {
                let after = super::rule(other).map(|other| other.after);
                assert!(after.is_some_and(|after| !after.contains(&rule.resource)), "{other}");
            }
        }
    }
}

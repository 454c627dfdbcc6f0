//! Authorization: may this user do this? One question for requests from the wire and from inside, asked before
//! anything else is looked at, so that a refusal tells nothing about what exists. [`Rbac`] answers it from the
//! cluster's roles and bindings, of which every cluster has those of [`bootstrap`] from the start.

pub mod bootstrap;
mod policy;
mod rbac;
mod rule;

pub use policy::{Policy, RoleRef};
pub use rbac::{MASTERS, Rbac, is_master, joined};
pub use rule::{Rule, quoted};

use crate::request::{RequestInfo, Verb};
use crate::user::User;
use alcove_object::{Status, Value};
use serde_json::json;

/// What somebody wants to do, in the words of a rule (k8s.io/apiserver/pkg/authorization/authorizer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// False for health, discovery, version: then only `method` and `path` count.
    pub is_resource: bool,
    /// The verb of a rule: `get`, `deletecollection`; the lower-case method for non-resource requests.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource, empty if none.
    pub subresource: &'a str,
    /// Namespace, empty for all and for cluster-scoped resources.
    pub namespace: &'a str,
    /// Name, empty for collections.
    pub name: &'a str,
    /// Path of a non-resource request.
    pub path: &'a str,
}

/// Decides what users may do. Decisions come from memory: this must not block.
pub trait Authorizer: Send + Sync {
    /// `Ok` when allowed; otherwise the reason, empty when there is nothing to say beyond the refusal.
    fn authorize(&self, user: &User, action: &Action<'_>) -> Result<(), String>;

    /// Why something is allowed, as reviews say it; empty when there is nothing to say.
    fn why(&self, user: &User, action: &Action<'_>) -> String {
        let _ = (user, action);
        String::new()
    }

    /// What a user may do in a namespace, as far as it can be listed.
    fn rules(&self, user: &User, namespace: &str) -> RuleList {
        let _ = (user, namespace);
        RuleList { incomplete: true, ..RuleList::default() }
    }
}

/// Rules as `SelfSubjectRulesReview` shows them.
#[derive(Clone, Debug, Default)]
pub struct RuleList {
    /// Trees of `ResourceRule`.
    pub resource: Vec<Value>,
    /// Trees of `NonResourceRule`.
    pub non_resource: Vec<Value>,
    /// There may be more that cannot be listed.
    pub incomplete: bool,
    /// What went wrong while listing; empty if nothing did.
    pub error: String,
}

/// Lets everybody do everything.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysAllow;

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &User, _: &Action<'_>) -> Result<(), String> {
        Ok(())
    }

    fn rules(&self, _: &User, _: &str) -> RuleList {
        RuleList {
            resource: vec![json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})],
            non_resource: vec![json!({"verbs": ["*"], "nonResourceURLs": ["*"]})],
            ..RuleList::default()
        }
    }
}

impl<'a> Action<'a> {
    /// What a request from the wire asks for.
    pub fn of(info: &'a RequestInfo) -> Action<'a> {
        Action {
            is_resource: info.is_resource,
            verb: if info.is_resource { verb(info.verb, &info.method) } else { &info.method },
            group: &info.group,
            version: &info.version,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            path: &info.path,
        }
    }

    /// 403 with upstream's text (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go).
    pub fn forbidden(&self, user: &User, reason: &str) -> Status {
        let who = format!("User {:?}", user.name);
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        if !self.is_resource {
            let message = format!("forbidden: {who} cannot {} path {:?}{because}", self.verb, self.path);
            return Status::new(403, alcove_object::Reason::FORBIDDEN, message)
                .with_details(alcove_object::status::Details::default());
        }
        let resource = match self.subresource {
            "" => self.resource.to_owned(),
            sub => format!("{}/{sub}", self.resource),
        };
        let place = match self.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let why = format!(
            "{who} cannot {} resource {resource:?} in API group {:?} {place}{because}",
            self.verb, self.group
        );
        Status::forbidden(self.group, self.resource, self.name, &why)
    }
}

/// How rules spell a verb. Connections are judged by their method: `get` for websockets, `create` for SPDY.
fn verb(verb: Verb, method: &str) -> &str {
    match (verb, method) {
        (Verb::Connect, "get" | "head") => "get",
        (Verb::Connect, "post") => "create",
        (Verb::Connect, "put") => "update",
        (Verb::Connect, "patch" | "delete") => method,
        (verb, _) => verb.as_str(),
    }
}

//! Authorization: may this user do this? One question for requests from the wire and from inside, asked before
//! anything else is looked at, so that a refusal tells nothing about what exists.

use crate::request::{RequestInfo, Verb};
use crate::user::{AUTHENTICATED, User};
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
            incomplete: false,
        }
    }
}

/// Lets those do everything who proved who they are. Others may ask how the server is and which version it has, as the
/// role `system:public-info-viewer` says upstream, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct AllowAuthenticated;

/// What everybody may get.
const PUBLIC_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

impl Authorizer for AllowAuthenticated {
    fn authorize(&self, user: &User, action: &Action<'_>) -> Result<(), String> {
        let is_public = !action.is_resource && action.verb == "get" && PUBLIC_PATHS.contains(&action.path);
        if is_public || is_authenticated(user) { Ok(()) } else { Err(String::new()) }
    }

    fn rules(&self, user: &User, namespace: &str) -> RuleList {
        if is_authenticated(user) {
            return AlwaysAllow.rules(user, namespace);
        }
        let public = json!({"verbs": ["get"], "nonResourceURLs": PUBLIC_PATHS});
        RuleList { non_resource: vec![public], ..RuleList::default() }
    }
}

fn is_authenticated(user: &User) -> bool {
    user.groups.iter().any(|group| group == AUTHENTICATED)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_learn_health_and_version_alone() {
        let pods = |verb| Action {
            is_resource: true,
            verb,
            group: "",
            version: "v1",
            resource: "pods",
            subresource: "",
            namespace: "default",
            name: "",
            path: "/api/v1/namespaces/default/pods",
        };
        let path = |verb, path| Action { is_resource: false, verb, path, ..pods("") };
        for (action, is_public) in [
            (path("get", "/readyz"), true),
            (path("get", "/version"), true),
            (path("post", "/version"), false),
            (path("get", "/readyz/ping"), false),
            (path("get", "/metrics"), false),
            (path("get", "/apis"), false),
            (Action { path: "/readyz", ..pods("get") }, false),
            (pods("list"), false),
            (pods("delete"), false),
        ] {
            let stranger = AllowAuthenticated.authorize(&User::anonymous(), &action);
            assert_eq!(stranger.is_ok(), is_public, "{action:?}");
            assert!(AllowAuthenticated.authorize(&User::component("c"), &action).is_ok(), "{action:?}");
        }
    }
}

//! Flow schemas as they are matched: read once from their objects, then words compared with words
//! (k8s.io/apiserver/pkg/util/flowcontrol/rule.go).

use super::seats::Level;
use crate::request::RequestInfo;
use crate::user::User;
use alcove_object::{Value, meta};
use http::HeaderValue;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Precedence of a schema that names none.
const PRECEDENCE_DEFAULT: i64 = 1000;

/// A flow schema whose level is there.
pub struct Schema {
    /// Its name.
    pub name: String,
    /// Its UID, as answers tell it.
    pub uid: HeaderValue,
    /// The UID of its level, as answers tell it.
    pub level_uid: HeaderValue,
    /// Lower is tried first.
    pub precedence: i64,
    pub(super) level: Arc<Level>,
    pub(super) counts: Arc<Counts>,
    distinguisher: Distinguisher,
    rules: Vec<Rule>,
}

/// What happened to the requests of a schema, kept as long as a schema of that name is there.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) dispatched: AtomicU64,
    /// By [`super::Rejection`].
    pub(super) rejected: [AtomicU64; 3],
}

/// What tells flows of one schema apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distinguisher {
    Nothing,
    User,
    Namespace,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    matching_precedence: Option<i64>,
    distinguisher_method: Option<Method>,
    rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Method {
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    subjects: Vec<Subject>,
    resource_rules: Vec<ResourceRule>,
    non_resource_rules: Vec<PathRule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    user: Option<Named>,
    group: Option<Named>,
    service_account: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceRule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    cluster_scope: bool,
    namespaces: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PathRule {
    verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    paths: Vec<String>,
}

impl Schema {
    /// Reads a schema. `None`: it is no schema, which validation lets nobody store.
    pub(super) fn read(
        object: &Value,
        level: Arc<Level>,
        level_uid: &str,
        counts: Arc<Counts>,
    ) -> Option<Schema> {
        let spec = Spec::deserialize(&object["spec"]).ok()?;
        let method = spec.distinguisher_method.unwrap_or_default();
        Some(Schema {
            name: meta::name(object).to_owned(),
            uid: HeaderValue::from_str(meta::uid(object)).ok()?,
            level_uid: HeaderValue::from_str(level_uid).ok()?,
            precedence: spec.matching_precedence.unwrap_or(PRECEDENCE_DEFAULT),
            level,
            counts,
            distinguisher: match &*method.r#type {
                "ByUser" => Distinguisher::User,
                "ByNamespace" => Distinguisher::Namespace,
                _ => Distinguisher::Nothing,
            },
            rules: spec.rules,
        })
    }

    /// Whether nothing limits its requests.
    pub fn is_exempt(&self) -> bool {
        self.level.is_exempt
    }

    /// Seats that one request may have at most.
    pub fn seats_max(&self) -> u32 {
        self.level.seats_max()
    }

    /// What tells this request's flow from others of the schema.
    pub(super) fn flow<'a>(&self, info: &'a RequestInfo, user: &'a User) -> &'a str {
        match self.distinguisher {
            Distinguisher::Nothing => "",
            Distinguisher::User => &user.name,
            Distinguisher::Namespace => &info.namespace,
        }
    }

    /// Whether a request is of this schema.
    pub(super) fn takes(&self, info: &RequestInfo, user: &User) -> bool {
        self.rules.iter().any(|rule| rule.takes(info, user))
    }
}

impl Rule {
    fn takes(&self, info: &RequestInfo, user: &User) -> bool {
        // Most schemas have one rule with few subjects; most requests fail here.
        if !self.subjects.iter().any(|subject| subject.is(user)) {
            return false;
        }
        match info.is_resource {
            true => self.resource_rules.iter().any(|rule| rule.takes(info)),
            false => self.non_resource_rules.iter().any(|rule| rule.takes(info)),
        }
    }
}

impl Subject {
    fn is(&self, user: &User) -> bool {
        if let Some(Named { name, .. }) = &self.group {
            return name == "*" || user.groups.contains(name);
        }
        if let Some(Named { name, .. }) = &self.user {
            return name == "*" || *name == user.name;
        }
        let Some(Named { name, namespace }) = &self.service_account else { return false };
        let own = user.name.strip_prefix("system:serviceaccount:").and_then(|own| own.split_once(':'));
        own.is_some_and(|(of, own)| of == namespace && (name == "*" || own == name))
    }
}

/// Whether a word is among others; one that stands alone and is `*` means all.
fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|known| known == word) || matches!(words, [only] if only == "*")
}

impl ResourceRule {
    fn takes(&self, info: &RequestInfo) -> bool {
        has(&self.verbs, info.verb.as_str())
            && self.has_resource(info)
            && has(&self.api_groups, &info.group)
            && match &*info.namespace {
                "" => self.cluster_scope,
                namespace => has(&self.namespaces, namespace),
            }
    }

    fn has_resource(&self, info: &RequestInfo) -> bool {
        if info.subresource.is_empty() {
            return has(&self.resources, &info.resource);
        }
        let is_it = |known: &String| known.split_once('/') == Some((&info.resource, &info.subresource));
        self.resources.iter().any(is_it) || matches!(&self.resources[..], [only] if only == "*")
    }
}

impl PathRule {
    fn takes(&self, info: &RequestInfo) -> bool {
        let below = |path: &String| {
            let prefix = path.trim_end_matches('*').trim_end_matches('/');
            info.path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        };
        has(&self.verbs, &info.method)
            && self.paths.iter().any(|path| path == "*" || *path == info.path || below(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Query;
    use http::Method;
    use serde_json::json;

    fn schema(subject: Value, rule: Value) -> Schema {
        let mut rule = rule;
        rule["subjects"] = json!([subject]);
        let object = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"rules": [rule]}});
        Schema::read(&object, Arc::new(Level::exempt("exempt")), "", Arc::default()).unwrap()
    }

    fn request(method: &str, uri: &str) -> RequestInfo {
        let uri: http::Uri = uri.parse().unwrap();
        let query = Query::parse(uri.query().unwrap_or_default());
        RequestInfo::parse(&Method::from_bytes(method.as_bytes()).unwrap(), &uri, &query).unwrap()
    }

    #[test]
    fn subjects() {
        let account = |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}});
        let everything = json!({"nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]});
        let user = User {
            name: "system:serviceaccount:a:b".into(),
            groups: vec!["g".into(), "system:authenticated".into()],
            ..User::default()
        };
        for (subject, expected) in [
            (json!({"kind": "User", "user": {"name": "*"}}), true),
            (json!({"kind": "User", "user": {"name": "system:serviceaccount:a:b"}}), true),
            (json!({"kind": "User", "user": {"name": "system:serviceaccount:a"}}), false),
            (json!({"kind": "Group", "group": {"name": "g"}}), true),
            (json!({"kind": "Group", "group": {"name": "*"}}), true),
            (json!({"kind": "Group", "group": {"name": "h"}}), false),
            (account("a", "b"), true),
            (account("a", "*"), true),
            (account("a", "c"), false),
            (account("b", "*"), false),
            (json!({"kind": "User"}), false),
        ] {
            let schema = schema(subject.clone(), everything.clone());
            assert_eq!(schema.takes(&request("GET", "/version"), &user), expected, "{subject}");
        }
    }

    #[test]
    fn resources_and_paths() {
        let rule =
            |verbs: &[&str], groups: &[&str], resources: &[&str], namespaces: &[&str], cluster: bool| {
                json!({"resourceRules": [{
                    "verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": namespaces,
                    "clusterScope": cluster,
                }]})
            };
        let paths = |verb: &str, paths: &[&str]| json!({"nonResourceRules": [{"verbs": [verb], "nonResourceURLs": paths}]});
        let any: &[&str] = &["*"];
        for (rule, method, uri, expected) in [
            (rule(any, any, any, any, true), "GET", "/api/v1/nodes", true),
            (rule(any, any, any, any, false), "GET", "/api/v1/nodes", false),
            (rule(any, any, any, any, false), "GET", "/api/v1/namespaces/a/pods", true),
            (rule(any, any, any, &["b"], true), "GET", "/api/v1/namespaces/a/pods", false),
            (rule(&["list"], &[""], &["pods"], &["a"], false), "GET", "/api/v1/namespaces/a/pods", true),
            (rule(&["list"], &[""], &["pods"], &["a"], false), "GET", "/api/v1/namespaces/a/pods/x", false),
            (rule(any, &["apps"], &["pods"], any, true), "GET", "/api/v1/namespaces/a/pods", false),
            (rule(any, &[""], &["pods"], any, true), "GET", "/api/v1/namespaces/a/pods/x/status", false),
            (
                rule(any, &[""], &["pods/status"], any, true),
                "GET",
                "/api/v1/namespaces/a/pods/x/status",
                true,
            ),
            (rule(any, any, any, any, true), "GET", "/version", false),
            (paths("get", &["/healthz"]), "GET", "/healthz", true),
            (paths("get", &["/healthz"]), "GET", "/healthz/etcd", true),
            (paths("get", &["/healthz"]), "GET", "/healthzz", false),
            (paths("get", &["/healthz/*"]), "GET", "/healthz/a", true),
            (paths("get", &["/healthz"]), "POST", "/healthz", false),
            (paths("*", &["*"]), "POST", "/x", true),
        ] {
            let everybody = json!({"kind": "User", "user": {"name": "*"}});
            let schema = schema(everybody, rule.clone());
            assert_eq!(schema.takes(&request(method, uri), &User::default()), expected, "{rule} {uri}");
        }
    }
}

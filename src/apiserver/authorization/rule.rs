//! One rule of a role: what it allows, and which other rules it covers. Pure
//! (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac, k8s.io/component-helpers/auth/rbac/validation).

use super::Action;
use alcove_object::Value;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Words of a rule. Never changed once read, so they take no more room than they need.
pub type Words = Box<[Box<str>]>;

/// One rule of a role. `*` stands for everything in every list but the names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// What may be done: `get`, `deletecollection`, `impersonate`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "<[_]>::is_empty")]
    pub verbs: Words,
    /// API groups, `""` for core.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "<[_]>::is_empty")]
    pub api_groups: Words,
    /// `pods`, `pods/log`, `*/scale`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "<[_]>::is_empty")]
    pub resources: Words,
    /// Names of objects; empty for all.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "<[_]>::is_empty")]
    pub resource_names: Words,
    /// Paths that are no resources; a `*` at the end stands for what follows.
    #[serde(rename = "nonResourceURLs")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "<[_]>::is_empty")]
    pub non_resource_urls: Words,
}

/// A list that may be null, as Go writes empty ones.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn has(words: &[Box<str>], word: &str) -> bool {
    words.iter().any(|w| **w == *word)
}

fn has_or_all(words: &[Box<str>], word: &str) -> bool {
    words.iter().any(|w| **w == *"*" || **w == *word)
}

/// Whether `owner`, which may end in `*`, covers the path.
fn covers_path(owner: &str, path: &str) -> bool {
    owner == path || (owner.ends_with('*') && path.starts_with(owner.trim_end_matches('*')))
}

impl Rule {
    /// Whether the rule allows the action.
    pub fn allows(&self, action: &Action<'_>) -> bool {
        if !has_or_all(&self.verbs, action.verb) {
            return false;
        }
        if !action.is_resource {
            return self.non_resource_urls.iter().any(|owner| covers_path(owner, action.path));
        }
        has_or_all(&self.api_groups, action.group)
            && self.resources.iter().any(|rule| is_resource(rule, action.resource, action.subresource))
            && (self.resource_names.is_empty() || has(&self.resource_names, action.name))
    }

    /// Of what `wanted` rules allow, the atoms that no rule of `owned` covers.
    pub fn uncovered(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
        let atoms = wanted.iter().flat_map(Rule::atoms);
        atoms.filter(|atom| !owned.iter().any(|rule| rule.covers(atom))).collect()
    }

    /// The same rights as rules of one verb and one resource or path each.
    fn atoms(&self) -> Vec<Rule> {
        let one = |word: &str| -> Words { [word.into()].into() };
        let mut atoms = Vec::new();
        let named: Vec<Words> = match self.resource_names.is_empty() {
            true => vec![Words::default()],
            false => self.resource_names.iter().map(|name| one(name)).collect(),
        };
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    atoms.extend(named.iter().map(|names| Rule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        resource_names: names.clone(),
                        ..Rule::default()
                    }));
                }
            }
        }
        for path in &self.non_resource_urls {
            let rules = self.verbs.iter();
            atoms.extend(rules.map(|verb| Rule {
                verbs: one(verb),
                non_resource_urls: one(path),
                ..Rule::default()
            }));
        }
        atoms
    }

    /// Whether this rule alone allows all that an atom allows.
    fn covers(&self, atom: &Rule) -> bool {
        let resource = |wanted: &str| {
            has_or_all(&self.resources, wanted)
                || wanted.split_once('/').is_some_and(|(_, sub)| {
                    self.resources.iter().any(|rule| rule.strip_prefix("*/") == Some(sub))
                })
        };
        let names = self.resource_names.is_empty()
            || (!atom.resource_names.is_empty()
                && atom.resource_names.iter().all(|name| has(&self.resource_names, name)));
        atom.verbs.iter().all(|verb| has_or_all(&self.verbs, verb))
            && atom.api_groups.iter().all(|group| has_or_all(&self.api_groups, group))
            && atom.resources.iter().all(|wanted| resource(wanted))
            && names
            && atom
                .non_resource_urls
                .iter()
                .all(|path| self.non_resource_urls.iter().any(|owner| covers_path(owner, path)))
    }

    /// Atoms as people read them: those that differ by verb alone in one line, lines sorted.
    pub fn describe(atoms: Vec<Rule>) -> Vec<String> {
        let mut by_resource: BTreeMap<(Words, Words, Words), Vec<Box<str>>> = BTreeMap::new();
        let mut lines = BTreeSet::new();
        for atom in atoms {
            if !atom.non_resource_urls.is_empty() {
                lines.insert(atom.to_string());
                continue;
            }
            let key = (atom.api_groups, atom.resources, atom.resource_names);
            by_resource.entry(key).or_default().extend(atom.verbs);
        }
        for ((api_groups, resources, resource_names), verbs) in by_resource {
            let verbs = verbs.into();
            let rule = Rule { verbs, api_groups, resources, resource_names, ..Rule::default() };
            lines.insert(rule.to_string());
        }
        lines.into_iter().collect()
    }

    /// The rule as a tree of `PolicyRule`.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("lists of texts are JSON")
    }
}

impl std::fmt::Display for Rule {
    /// Upstream's short form (k8s.io/kubernetes/pkg/apis/rbac/v1: CompactString).
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown = fields.iter().filter(|(_, words)| !words.is_empty());
        let shown: Vec<String> = shown.map(|(name, words)| format!("{name}:{}", quoted(words))).collect();
        write!(out, "{{{}}}", shown.join(", "))
    }
}

/// Words as Go's `%q` writes a slice.
pub fn quoted<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{:?}", word.as_ref())).collect();
    format!("[{}]", words.join(" "))
}

/// Whether a rule's word (`pods`, `pods/log`, `*/log`, `*`) stands for a resource or subresource.
fn is_resource(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some((main, sub)) => {
            !subresource.is_empty() && sub == subresource && (main == "*" || main == resource)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(value: Value) -> Rule {
        serde_json::from_value(value).unwrap()
    }

    fn on(
        verb: &'static str,
        group: &'static str,
        resource: &'static str,
        name: &'static str,
    ) -> Action<'static> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Action {
            is_resource: true,
            verb,
            group,
            version: "v1",
            resource,
            subresource,
            namespace: "",
            name,
            path: "",
        }
    }

    fn path(verb: &'static str, path: &'static str) -> Action<'static> {
        Action { is_resource: false, path, ..on(verb, "", "", "") }
    }

    #[test]
    fn what_rules_allow() {
        let pods = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]});
        let named =
            json!({"verbs": ["*"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]});
        let scales = json!({"verbs": ["update"], "apiGroups": ["*"], "resources": ["*/scale"]});
        let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
        let paths = json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/apis/*", "/logs*"]});
        let every_path = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
        for (rule_of, action, expected) in [
            (&pods, on("get", "", "pods", "x"), true),
            (&pods, on("list", "", "pods", ""), true),
            (&pods, on("get", "", "pods/log", "x"), true),
            (&pods, on("get", "", "pods/exec", "x"), false),
            (&pods, on("watch", "", "pods", ""), false),
            (&pods, on("get", "metrics.k8s.io", "pods", "x"), false),
            (&pods, path("get", "/pods"), false),
            (&named, on("get", "", "secrets", "a"), true),
            (&named, on("get", "", "secrets", "b"), false),
            (&named, on("list", "", "secrets", ""), false),
            (&named, on("create", "", "secrets", ""), false),
            (&named, on("deletecollection", "", "secrets", ""), false),
            (&scales, on("update", "apps", "deployments/scale", "x"), true),
            (&scales, on("update", "apps", "deployments", "x"), false),
            (&scales, on("update", "apps", "deployments/status", "x"), false),
            (&all, on("anything", "apps", "deployments/status", "x"), true),
            (&all, path("get", "/metrics"), false),
            (&paths, path("get", "/healthz"), true),
            (&paths, path("get", "/healthz/ping"), false),
            (&paths, path("get", "/apis/apps"), true),
            (&paths, path("get", "/apis"), false),
            (&paths, path("get", "/logs"), true),
            (&paths, path("post", "/healthz"), false),
            (&paths, on("get", "", "pods", ""), false),
            (&every_path, path("post", "/x"), true),
        ] {
            assert_eq!(rule(rule_of.clone()).allows(&action), expected, "{rule_of} {action:?}");
        }
    }

    #[test]
    fn what_rules_cover() {
        let of = |verbs: Value, groups: Value, resources: Value, names: Value| {
            rule(json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names}))
        };
        let owned = [
            of(json!(["get", "list"]), json!(["", "apps"]), json!(["pods", "deployments"]), json!([])),
            of(json!(["*"]), json!([""]), json!(["secrets"]), json!(["a", "b"])),
            of(json!(["update"]), json!(["*"]), json!(["*/scale"]), json!(null)),
            rule(json!({"verbs": ["get"], "nonResourceURLs": ["/apis/*"]})),
        ];
        let missing = |wanted: Rule| Rule::describe(Rule::uncovered(&owned, &[wanted]));
        assert!(missing(of(json!(["get"]), json!(["apps"]), json!(["pods"]), json!(["x"]))).is_empty());
        assert!(missing(of(json!(["delete"]), json!([""]), json!(["secrets"]), json!(["b"]))).is_empty());
        assert!(missing(of(json!(["update"]), json!(["x"]), json!(["y/scale"]), json!([]))).is_empty());
        assert!(
            missing(rule(json!({"verbs": ["get"], "nonResourceURLs": ["/apis/x", "/apis/*"]}))).is_empty()
        );
        assert_eq!(
            missing(of(json!(["get", "watch", "create"]), json!([""]), json!(["pods", "nodes"]), json!([]))),
            [
                r#"{APIGroups:[""], Resources:["nodes"], Verbs:["get" "watch" "create"]}"#,
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["watch" "create"]}"#,
            ]
        );
        assert_eq!(
            missing(of(json!(["get"]), json!([""]), json!(["secrets"]), json!([]))),
            [r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#]
        );
        assert_eq!(
            missing(of(json!(["get"]), json!([""]), json!(["secrets"]), json!(["a", "c"]))),
            [r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["c"], Verbs:["get"]}"#]
        );
        assert_eq!(
            missing(of(json!(["*"]), json!(["*"]), json!(["*"]), json!([]))),
            [r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#]
        );
        assert_eq!(
            missing(rule(json!({"verbs": ["get", "post"], "nonResourceURLs": ["/healthz"]}))),
            [
                r#"{NonResourceURLs:["/healthz"], Verbs:["get"]}"#,
                r#"{NonResourceURLs:["/healthz"], Verbs:["post"]}"#
            ]
        );
    }
}

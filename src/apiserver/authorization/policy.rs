//! All roles and bindings of a cluster, in the form in which questions are answered: which rules hold for a user in a
//! namespace (k8s.io/kubernetes/pkg/registry/rbac/validation/rule.go). Pure: fed by [`super::rbac`].

use super::rule::{Rule, nullable};
use crate::user::User;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Roles and bindings.
#[derive(Debug, Default)]
pub struct Policy {
    /// Rules by `namespace/name` of roles and by `name` of cluster roles, which have no slash.
    roles: HashMap<Box<str>, Arc<[Rule]>>,
    /// Bindings by namespace (empty for the cluster's) and name.
    bindings: HashMap<Box<str>, BTreeMap<Box<str>, Binding>>,
}

/// A binding, of a namespace or of the cluster.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Binding {
    role_ref: RoleRef,
    #[serde(deserialize_with = "nullable")]
    subjects: Box<[Subject]>,
}

/// The role that a binding gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// Somebody whom a binding is for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subject {
    kind: Box<str>,
    name: Box<str>,
    namespace: Box<str>,
}

/// What a role's bytes are read as.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Role {
    #[serde(deserialize_with = "nullable")]
    rules: Vec<Rule>,
}

/// Where a rule comes from, for answers that give reasons.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    namespace: &'a str,
    name: &'a str,
    binding: &'a Binding,
    subject: &'a Subject,
}

/// A kind of object that the policy is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the kinds by their names
pub enum Part {
    Role,
    Binding,
}

impl Policy {
    /// Takes an object in by its store key; `None` forgets it. Objects that cannot be read grant nothing.
    pub fn put(&mut self, part: Part, key: &str, json: Option<&[u8]>) {
        match part {
            Part::Role => match json.and_then(|json| serde_json::from_slice::<Role>(json).ok()) {
                Some(role) => drop(self.roles.insert(key.into(), role.rules.into())),
                None => drop(self.roles.remove(key)),
            },
            Part::Binding => {
                let (namespace, name) = key.split_once('/').unwrap_or(("", key));
                match json.and_then(|json| serde_json::from_slice::<Binding>(json).ok()) {
                    Some(binding) => {
                        self.bindings.entry(namespace.into()).or_default().insert(name.into(), binding);
                    }
                    None => self.unbind(namespace, name),
                }
            }
        }
    }

    fn unbind(&mut self, namespace: &str, name: &str) {
        if let Some(bindings) = self.bindings.get_mut(namespace) {
            bindings.remove(name);
            if bindings.is_empty() {
                self.bindings.remove(namespace);
            }
        }
    }

    /// The rules of a role as a binding of this namespace (empty for the cluster's) names it; otherwise why there are
    /// none.
    pub fn role(&self, role: &RoleRef, namespace: &str) -> Result<&Arc<[Rule]>, String> {
        let missing = |kind: &str| format!("{kind}.rbac.authorization.k8s.io {:?} not found", role.name);
        match &*role.kind {
            "ClusterRole" => self.roles.get(&*role.name).ok_or_else(|| missing("clusterrole")),
            "Role" => {
                let key = format!("{namespace}/{}", role.name);
                self.roles.get(&*key).ok_or_else(|| missing("role"))
            }
            kind => Err(format!("unsupported role reference kind: {kind:?}")),
        }
    }

    /// Shows each rule that holds for a user in a namespace (empty: only those that hold everywhere) until told to
    /// stop. Gives what could not be resolved on the way.
    pub fn visit<B>(
        &self,
        user: &User,
        namespace: &str,
        mut visitor: impl FnMut(Source<'_>, &Rule) -> ControlFlow<B>,
    ) -> Result<B, Vec<String>> {
        let mut unresolved = Vec::new();
        let scopes = ["", namespace];
        for scope in &scopes[..if namespace.is_empty() { 1 } else { 2 }] {
            for (name, binding) in self.bindings.get(*scope).into_iter().flatten() {
                let Some(subject) = binding.subjects.iter().find(|s| s.is(user, scope)) else { continue };
                match self.role(&binding.role_ref, scope) {
                    Err(why) if unresolved.contains(&why) => {}
                    Err(why) => unresolved.push(why),
                    Ok(rules) => {
                        let source = Source { namespace: scope, name, binding, subject };
                        for rule in rules.iter() {
                            if let ControlFlow::Break(found) = visitor(source, rule) {
                                return Ok(found);
                            }
                        }
                    }
                }
            }
        }
        Err(unresolved)
    }

    /// All rules that hold for a user in a namespace, and what could not be resolved.
    pub fn rules(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let mut rules = Vec::new();
        let visited = self.visit(user, namespace, |_, rule| {
            rules.push(rule.clone());
            ControlFlow::<()>::Continue(())
        });
        (rules, visited.err().unwrap_or_default())
    }
}

impl Subject {
    fn is(&self, user: &User, namespace: &str) -> bool {
        match &*self.kind {
            "User" => *self.name == *user.name,
            "Group" => user.groups.iter().any(|group| *self.name == **group),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
                let account = user.name.strip_prefix(ACCOUNT_PREFIX).and_then(|n| n.split_once(':'));
                !namespace.is_empty() && account == Some((namespace, &*self.name))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, binding) = match self.namespace {
            "" => ("ClusterRoleBinding", self.name.to_owned()),
            namespace => ("RoleBinding", format!("{}/{namespace}", self.name)),
        };
        let subject = match (&*self.subject.kind, &*self.subject.namespace) {
            ("ServiceAccount", "") => format!("{}/{}", self.subject.name, self.namespace),
            ("ServiceAccount", namespace) => format!("{}/{namespace}", self.subject.name),
            _ => self.subject.name.to_string(),
        };
        let role = &self.binding.role_ref;
        let (role_kind, role_name, subject_kind) = (&role.kind, &role.name, &self.subject.kind);
        write!(out, "{kind} {binding:?} of {role_kind} {role_name:?} to {subject_kind} {subject:?}")
    }
}

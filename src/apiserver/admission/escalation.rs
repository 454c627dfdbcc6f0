//! Nobody gives away more than they have: whoever writes a role must hold all its rules or have the verb `escalate`
//! on it; whoever writes a binding must hold all rules of its role or have the verb `bind` on that
//! (k8s.io/kubernetes/pkg/registry/rbac/{clusterrole,role,clusterrolebinding,rolebinding}/policybased).
//!
//! Upstream asks this where the object is about to be stored, after mutating admission and before validation; so this
//! is the last mutating step, which changes nothing.

use super::{Admission, Admitting, Attributes};
use crate::authorization::{Action, Authorizer, Rbac, RoleRef, Rule, is_master, joined, quoted};
use crate::request::Verb;
use crate::user::User;
use alcove_object::{Status, Value};
use serde_json::json;
use std::sync::Arc;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The admission step.
pub struct Escalation {
    rbac: Arc<Rbac>,
}

impl Escalation {
    /// A step that judges by these roles and bindings.
    pub fn new(rbac: Arc<Rbac>) -> Escalation {
        Escalation { rbac }
    }

    fn check(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let gvr = &attributes.resource.gvr;
        let is_write = matches!(attributes.verb, Verb::Create | Verb::Update);
        if gvr.group != GROUP || !is_write || is_master(attributes.user) {
            return Ok(());
        }
        if attributes.old.is_some_and(|old| grants(attributes.object) == grants(old)) {
            return Ok(());
        }
        let found = match gvr.resource.as_str() {
            "roles" | "clusterroles" => self.role(attributes),
            "rolebindings" | "clusterrolebindings" => self.binding(attributes)?,
            _ => Ok(()),
        };
        found.map_err(|why| Status::forbidden(GROUP, &gvr.resource, attributes.name, &why))
    }

    fn role(&self, attributes: &Attributes<'_>) -> Result<(), String> {
        let (user, namespace) = (attributes.user, attributes.namespace);
        // A create names its object in the body, which rules about names do not see.
        let name = if attributes.old.is_some() { attributes.name } else { "" };
        let resource = &attributes.resource.gvr.resource;
        if self.rbac.authorize(user, &action("escalate", resource, namespace, name)).is_ok() {
            return Ok(());
        }
        self.holds(user, namespace, &rules(attributes.object))?;
        let collects = |role: &Value| {
            let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
            selectors.is_some_and(|selectors| !selectors.is_empty())
        };
        if (collects(attributes.object) || attributes.old.is_some_and(collects))
            && self.holds(user, namespace, &everything()).is_err()
        {
            return Err("must have cluster-admin privileges to use the aggregationRule".into());
        }
        Ok(())
    }

    /// The outer error is about the role that is not there.
    fn binding(&self, attributes: &Attributes<'_>) -> Result<Result<(), String>, Status> {
        let (user, namespace) = (attributes.user, attributes.namespace);
        let reference = attributes.object.get("roleRef").cloned().unwrap_or_default();
        let Ok(role) = serde_json::from_value::<RoleRef>(reference) else { return Ok(Ok(())) };
        let resource = match &*role.kind {
            "ClusterRole" => "clusterroles",
            "Role" => "roles",
            // Validation has the better words for what this is.
            _ => return Ok(Ok(())),
        };
        if self.rbac.authorize(user, &action("bind", resource, namespace, &role.name)).is_ok() {
            return Ok(Ok(()));
        }
        let singular = resource.trim_end_matches('s');
        match self.rbac.role(&role, namespace) {
            Ok(rules) => Ok(self.holds(user, namespace, &rules)),
            Err(_) => Err(Status::not_found(GROUP, singular, &role.name)),
        }
    }

    fn holds(&self, user: &User, namespace: &str, wanted: &[Rule]) -> Result<(), String> {
        let (held, unresolved) = self.rbac.held(user, namespace);
        let missing = Rule::uncovered(&held, wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let mut why = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            quoted(&user.groups),
            Rule::describe(missing).join("\n")
        );
        if !unresolved.is_empty() {
            why += &format!("; resolution errors: [{}]", joined(&unresolved));
        }
        Err(why)
    }
}

/// What an object grants, and what the garbage collector does not touch of the rest.
fn grants(object: &Value) -> [Option<&Value>; 6] {
    ["/rules", "/aggregationRule", "/roleRef", "/subjects", "/metadata/labels", "/metadata/annotations"]
        .map(|pointer| object.pointer(pointer))
}

fn rules(role: &Value) -> Vec<Rule> {
    let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(|rule| serde_json::from_value(rule.clone()).ok()).collect()
}

/// The rules of somebody who may do everything.
fn everything() -> [Rule; 2] {
    let rule = |value: Value| serde_json::from_value(value).expect("lists of texts are a rule");
    [
        rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})),
        rule(json!({"verbs": ["*"], "nonResourceURLs": ["*"]})),
    ]
}

fn action<'a>(verb: &'a str, resource: &'a str, namespace: &'a str, name: &'a str) -> Action<'a> {
    Action {
        is_resource: true,
        verb,
        group: GROUP,
        version: "*",
        resource,
        subresource: "",
        namespace,
        name,
        path: "",
    }
}

impl Admission for Escalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.check(attributes)))
    }
}

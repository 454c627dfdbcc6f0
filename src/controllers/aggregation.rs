//! Cluster roles that collect the rules of others by label: `admin`, `edit` and `view` of every cluster, and whatever
//! operators add to them (kube-controller-manager's clusterrole-aggregation-controller).

use crate::runtime::{Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::Client;
use alcove_apiserver::options::{ListOptions, PatchType, WriteOptions};
use alcove_object::selector::Labels;
use alcove_object::{Gvr, Value, meta};
use serde_json::json;

/// The one key: the set of all cluster roles is small, and which of them collects which is seen only by looking.
const ALL: &str = "clusterroles";

/// Keeps the rules of collecting roles complete.
pub struct Aggregation {
    client: Client,
}

impl Aggregation {
    /// Acts as this client's user.
    pub fn new(client: Client) -> Aggregation {
        Aggregation { client }
    }

    /// Every change of a cluster role.
    pub fn sources() -> Vec<Source> {
        vec![Source::new(roles(), Box::new(|_, add| add(ALL.into())))]
    }

    async fn complete(&self, name: &str, rules: Vec<Value>) -> Result<(), Failure> {
        let patch = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": rules,
        });
        let options = WriteOptions {
            field_manager: "clusterrole-aggregation-controller".into(),
            force: true,
            ..WriteOptions::default()
        };
        self.client.patch(&roles(), "", "", name, PatchType::Apply, patch, &options).await?;
        Ok(())
    }
}

fn roles() -> Gvr {
    Gvr::new("rbac.authorization.k8s.io", "v1", "clusterroles")
}

fn rules(role: &Value) -> &[Value] {
    role.get("rules").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The rules that a role collects from all roles, in the order of their names; `None` if it collects none.
fn collected(role: &Value, all: &[Value]) -> Option<Vec<Value>> {
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors")?.as_array()?;
    let mut found: Vec<Value> = Vec::new();
    for selector in selectors {
        // A selector that cannot be read selects nothing; validation lets none in.
        let Ok(Some(selector)) = Labels::from_object(Some(selector)) else { continue };
        let others = all.iter().filter(|other| meta::name(other) != meta::name(role));
        for other in others.filter(|other| selector.matches_object(other)) {
            for rule in rules(other) {
                if !found.contains(rule) {
                    found.push(rule.clone());
                }
            }
        }
    }
    Some(found)
}

impl Reconciler for Aggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, _: &Key) -> Result<Next, Failure> {
        let all: Vec<Value> = self
            .client
            .list(&roles(), "", &ListOptions::default())?
            .items
            .iter()
            .map(alcove_apiserver::Object::parse)
            .collect();
        for role in &all {
            if let Some(found) = collected(role, &all)
                && found != rules(role)
            {
                self.complete(meta::name(role), found).await?;
            }
        }
        Ok(Next::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, labels: Value, rules: Value) -> Value {
        json!({"metadata": {"name": name, "labels": labels}, "rules": rules})
    }

    #[test]
    fn rules_are_collected_once_and_in_order() {
        let selects = |label: &str| json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
        let mut admin = role("admin", json!({"to-admin": "true"}), json!([{"verbs": ["stale"]}]));
        admin["aggregationRule"] = selects("to-admin");
        let a = role("a", json!({"to-admin": "true"}), json!([{"verbs": ["get"]}, {"verbs": ["list"]}]));
        let b = role("b", json!({"to-admin": "true"}), json!([{"verbs": ["list"]}, {"verbs": ["watch"]}]));
        let c = role("c", json!({"to-admin": "false"}), json!([{"verbs": ["create"]}]));
        let all = [a.clone(), admin.clone(), b, c];
        let expected = json!([{"verbs": ["get"]}, {"verbs": ["list"]}, {"verbs": ["watch"]}]);
        assert_eq!(collected(&admin, &all).map(Value::from), Some(expected));
        assert_eq!(collected(&a, &all), None);
    }
}

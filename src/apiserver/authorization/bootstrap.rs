//! The roles and bindings that every cluster has from its first moment, and again after every start: what is missing
//! is added, what somebody added stays, and an object with the annotation `autoupdate: "false"` is left alone
//! (k8s.io/kubernetes/pkg/registry/rbac/rest and k8s.io/component-helpers/auth/rbac/reconciliation).
//!
//! What they say is data: `bootstrap.policy` beside this file, whose head explains its form.

use super::rule::{Rule, Words};
use crate::client::Client;
use crate::server::Server;
use crate::user::User;
use alcove_object::{Gvr, Reason, Status, Value, meta, settled};
use futures_util::future::try_join_all;
use serde_json::{Map, json};

const POLICY: &str = include_str!("bootstrap.policy");
const GROUP: &str = "rbac.authorization.k8s.io";
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// All objects of the policy, in its order.
pub fn objects() -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    for line in POLICY.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix("  "), objects.last_mut()) {
            (Some(member), Some(object)) if object.get("roleRef").is_some() => bind(object, member),
            (Some(member), Some(object)) => add_rule(object, member),
            _ => objects.push(head(line)),
        }
    }
    objects
}

/// `role NAME +LABEL` or `bind NAME = ROLE`.
fn head(line: &str) -> Value {
    let mut words = line.split(' ');
    let (what, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    let role_kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    let mut role = name;
    for word in words {
        match word.strip_prefix('+') {
            Some(label) => labels[format!("{GROUP}/{label}")] = "true".into(),
            None => role = word,
        }
    }
    let mut metadata = json!({"name": name, "labels": labels, "annotations": {AUTO_UPDATE: "true"}});
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    let api_version = format!("{GROUP}/v1");
    match what {
        "role" => json!({"apiVersion": api_version, "kind": role_kind, "metadata": metadata}),
        _ => json!({
            "apiVersion": api_version, "kind": format!("{role_kind}Binding"), "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role},
        }),
    }
}

/// `VERBS GROUPS: RESOURCES [NAMES]`, `VERBS PATHS` or `collects LABEL`.
fn add_rule(role: &mut Value, line: &str) {
    let (verbs, rest) = line.split_once(' ').unwrap_or((line, ""));
    if verbs == "collects" {
        let labels = json!({"matchLabels": {format!("{GROUP}/{rest}"): "true"}});
        push(role, "aggregationRule", labels);
        return;
    }
    let verbs = verbs.split(',').flat_map(|verb| match verb {
        "read" => vec!["get", "list", "watch"],
        "write" => vec!["create", "delete", "deletecollection", "patch", "update"],
        verb => vec![verb],
    });
    let verbs = verbs.map(Into::into).collect();
    let rule = match rest.split_once(": ") {
        None => Rule { verbs, non_resource_urls: words(rest), ..Rule::default() },
        Some((groups, rest)) => {
            let (resources, names) = rest.split_once(" [").unwrap_or((rest, ""));
            Rule {
                verbs,
                api_groups: words(groups)
                    .iter()
                    .map(|g| if **g == *"core" { "".into() } else { g.clone() })
                    .collect(),
                resources: words(resources),
                resource_names: words(names.trim_end_matches(']')),
                ..Rule::default()
            }
        }
    };
    push(role, "rules", rule.to_value());
}

/// `user NAME`, `group NAME` or `account NAMESPACE/NAME`.
fn bind(binding: &mut Value, line: &str) {
    let (kind, name) = line.split_once(' ').unwrap_or((line, ""));
    let subject = match (kind, name.split_once('/')) {
        ("account", Some((namespace, name))) => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
        }
        ("group", _) => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
        _ => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
    };
    push(binding, "subjects", subject);
}

fn words(list: &str) -> Words {
    list.split(',').filter(|word| !word.is_empty()).map(Into::into).collect()
}

/// Appends to the list at a field; selectors of an aggregation rule stand one level deeper.
fn push(object: &mut Value, field: &str, item: Value) {
    let list = match field {
        "aggregationRule" => &mut object[field]["clusterRoleSelectors"],
        _ => &mut object[field],
    };
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = Value::Array(vec![item]),
    }
}

/// Makes what is missing of the policy, all at once, so that the store's writer can group it.
pub async fn reconcile(server: &Server) -> Result<(), Status> {
    let client = server.client(User::component("system:apiserver"), "kube-apiserver");
    try_join_all(objects().into_iter().map(|expected| ensure(&client, expected))).await?;
    Ok(())
}

async fn ensure(client: &Client, expected: Value) -> Result<(), Status> {
    let plural = match expected["kind"].as_str() {
        Some("ClusterRole") => "clusterroles",
        Some("Role") => "roles",
        Some("ClusterRoleBinding") => "clusterrolebindings",
        _ => "rolebindings",
    };
    let resource = Gvr::new(GROUP, "v1", plural);
    let (namespace, name) = (meta::namespace(&expected).to_owned(), meta::name(&expected).to_owned());
    let found = match client.get(&resource, &namespace, &name) {
        Ok(found) => found.parse(),
        Err(status) if status.is(Reason::NOT_FOUND) => {
            let made = client.create(&resource, &namespace, expected).await;
            return settled(made, &[Reason::ALREADY_EXISTS]);
        }
        Err(status) => return Err(status),
    };
    if meta::annotation(&found, AUTO_UPDATE) == Some("false") {
        return Ok(());
    }
    if found.get("roleRef") != expected.get("roleRef") {
        client.delete(&resource, &namespace, &name, &Default::default()).await?;
        return client.create(&resource, &namespace, expected).await.map(drop);
    }
    match merged(&found, &expected) {
        Some(object) => client.update(&resource, &namespace, object).await.map(drop),
        None => Ok(()),
    }
}

/// What is there with what is expected added to it; `None` when nothing is missing.
fn merged(found: &Value, expected: &Value) -> Option<Value> {
    let mut object = found.clone();
    for field in ["labels", "annotations"] {
        let have = meta::child_mut(meta::metadata_mut(&mut object), field);
        for (key, value) in expected["metadata"][field].as_object().unwrap_or(&Map::new()) {
            have.entry(key).or_insert_with(|| value.clone());
        }
    }
    if expected.get("aggregationRule").is_some() {
        add_missing(&mut object, expected, "/aggregationRule/clusterRoleSelectors", "aggregationRule");
    } else {
        let missing = Rule::uncovered(&rules(found), &rules(expected));
        missing.into_iter().for_each(|rule| push(&mut object, "rules", rule.to_value()));
    }
    add_missing(&mut object, expected, "/subjects", "subjects");
    (object != *found).then_some(object)
}

fn add_missing(object: &mut Value, expected: &Value, pointer: &str, field: &str) {
    let items = |of: &Value| of.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let have = items(object);
    let missing = items(expected).into_iter().filter(|item| !have.contains(item));
    missing.for_each(|item| push(object, field, item));
}

fn rules(role: &Value) -> Vec<Rule> {
    let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(|rule| serde_json::from_value(rule.clone()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use crate::testing::{self, TestEnv};
    use alcove_schema::Minor;
    use std::sync::Arc;

    fn role(name: &str) -> Value {
        objects().into_iter().find(|o| meta::name(o) == name && o.get("roleRef").is_none()).unwrap()
    }

    #[test]
    fn the_policy_reads_as_its_head_says() {
        let objects = objects();
        let count = |kind: &str| objects.iter().filter(|o| o["kind"] == kind).count();
        assert_eq!(
            ["ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"].map(count),
            [69, 7, 50, 7],
            "as many as upstream has"
        );
        let edit = role("edit");
        assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
        let selectors = json!([{"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}}]);
        assert_eq!(edit["aggregationRule"]["clusterRoleSelectors"], selectors);
        let admin = json!([
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ]);
        assert_eq!(role("cluster-admin")["rules"], admin);
        let named = &role("extension-apiserver-authentication-reader")["rules"][0];
        assert_eq!(named["apiGroups"], json!([""]));
        assert_eq!(named["resourceNames"], json!(["extension-apiserver-authentication"]));
        for object in &objects {
            for rule in rules(object) {
                assert!(!rule.verbs.is_empty(), "{object}");
                assert!(rule.resources.is_empty() != rule.non_resource_urls.is_empty(), "{object}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_missing_comes_back_and_what_was_added_stays() {
        let server = testing::server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(1)));
        crate::bootstrap(&server, &[]).await.unwrap();
        reconcile(&server).await.unwrap();
        let client = server.client(User::component("test"), "test");
        let gvr = |plural| Gvr::new(GROUP, "v1", plural);
        let get = |plural, name| client.get(&gvr(plural), "", name).unwrap().parse();
        let revision = server.store.revision();
        reconcile(&server).await.unwrap();
        assert_eq!(server.store.revision(), revision, "nothing is missing, so nothing is written");

        let own = json!({"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"]});
        let mut basic = get("clusterroles", "system:basic-user");
        basic["rules"] = json!([own]);
        client.update(&gvr("clusterroles"), "", basic).await.unwrap();
        let mut left_alone = get("clusterroles", "system:discovery");
        left_alone["rules"] = json!([own]);
        left_alone["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
        client.update(&gvr("clusterroles"), "", left_alone).await.unwrap();
        let mut binding = get("clusterrolebindings", "system:basic-user");
        binding["subjects"] = json!([{"kind": "User", "apiGroup": GROUP, "name": "ada"}]);
        client.update(&gvr("clusterrolebindings"), "", binding).await.unwrap();
        client.delete(&gvr("clusterroles"), "", "view", &Default::default()).await.unwrap();

        reconcile(&server).await.unwrap();
        let restored = rules(&get("clusterroles", "system:basic-user"));
        assert_eq!(restored[0].to_value(), own);
        assert!(Rule::uncovered(&restored, &rules(&role("system:basic-user"))).is_empty());
        assert_eq!(get("clusterroles", "system:discovery")["rules"], json!([own]));
        assert_eq!(get("clusterrolebindings", "system:basic-user")["subjects"].as_array().unwrap().len(), 2);
        assert_eq!(meta::name(&get("clusterroles", "view")), "view");
    }
}

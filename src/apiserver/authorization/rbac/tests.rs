//! Who may do what, by the bootstrap policy and by roles that are written meanwhile.

use super::*;
use crate::authorization::bootstrap;
use crate::testing::{self, TestEnv};
use crate::{Client, Server, kinds};
use alcove_object::{Gvr, Value};
use alcove_schema::Minor;
use serde_json::json;

const GROUP: &str = "rbac.authorization.k8s.io";

async fn cluster() -> (Server, Arc<Rbac>, Client) {
    let server = testing::server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(1)));
    crate::bootstrap(&server, &[]).await.unwrap();
    bootstrap::reconcile(&server).await.unwrap();
    let client = server.client(User::component("test"), "test");
    (server.clone(), Rbac::new(server.store.clone()), client)
}

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
    User { name: name.into(), groups, ..User::default() }
}

/// `verb resource[.group][/sub] [namespace] [name]`, or `verb /path`.
fn action(text: &str) -> Action<'_> {
    let mut words = text.split(' ');
    let (verb, what) = (words.next().unwrap(), words.next().unwrap());
    let nothing = Action {
        is_resource: false,
        verb,
        group: "",
        version: "v1",
        resource: "",
        subresource: "",
        namespace: "",
        name: "",
        path: what,
    };
    if what.starts_with('/') {
        return nothing;
    }
    let (what, subresource) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = what.split_once('.').unwrap_or((what, ""));
    let (namespace, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Action { is_resource: true, group, resource, subresource, namespace, name, path: "", ..nothing }
}

async fn bind(client: &Client, namespace: &str, name: &str, role: (&str, &str), subject: Value) {
    let plural = if namespace.is_empty() { "clusterrolebindings" } else { "rolebindings" };
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": role.0, "name": role.1}, "subjects": [subject],
    });
    client.create(&Gvr::new(GROUP, "v1", plural), namespace, binding).await.unwrap();
}

fn named(kind: &str, name: &str) -> Value {
    json!({"apiGroup": GROUP, "kind": kind, "name": name})
}

#[tokio::test]
async fn what_users_may_do_by_the_bootstrap_policy() {
    let (_, rbac, client) = cluster().await;
    let account = json!({"kind": "ServiceAccount", "namespace": "default", "name": "builder"});
    bind(&client, "default", "editors", ("ClusterRole", "system:aggregate-to-edit"), named("Group", "dev"))
        .await;
    bind(&client, "default", "robot", ("ClusterRole", "system:aggregate-to-view"), account).await;
    bind(&client, "", "all", ("ClusterRole", "cluster-admin"), named("User", "root")).await;
    bind(&client, "", "scheduler", ("ClusterRole", "system:kube-scheduler"), named("User", "sched")).await;

    let (ada, eve, anonymous) = (user("ada", &["dev"]), user("eve", &[]), User::anonymous());
    let robot = user("system:serviceaccount:default:builder", &["system:serviceaccounts"]);
    let (root, master, sched) = (user("root", &[]), User::component("c"), user("sched", &[]));
    for (who, what, expected) in [
        (&anonymous, "get /healthz", true),
        (&anonymous, "get /livez", true),
        (&anonymous, "get /readyz", true),
        (&anonymous, "get /version", true),
        (&anonymous, "post /version", false),
        (&anonymous, "get /readyz/ping", false),
        (&anonymous, "get /metrics", false),
        (&anonymous, "get /apis", false),
        (&anonymous, "list pods default", false),
        (&anonymous, "create selfsubjectaccessreviews.authorization.k8s.io", false),
        (&eve, "get /apis", true),
        (&eve, "get /openapi/v3/apis/apps/v1", true),
        (&eve, "get /metrics", false),
        (&eve, "create selfsubjectaccessreviews.authorization.k8s.io", true),
        (&eve, "create selfsubjectreviews.authentication.k8s.io", true),
        (&eve, "create subjectaccessreviews.authorization.k8s.io", false),
        (&eve, "list pods default", false),
        (&ada, "create pods default", true),
        (&ada, "create pods/exec default web", true),
        (&ada, "get secrets default s", true),
        (&ada, "create serviceaccounts/token default builder", true),
        (&ada, "impersonate serviceaccounts default builder", true),
        (&ada, "create deployments.apps default", true),
        (&ada, "create pods kube-system", false),
        (&ada, "list pods", false),
        (&ada, "list nodes", false),
        (&ada, "create rolebindings.rbac.authorization.k8s.io default", false),
        (&ada, "create namespaces default", false),
        (&ada, "create resourcequotas default", false),
        (&robot, "list pods default", true),
        (&robot, "get pods/log default web", true),
        (&robot, "get secrets default s", false),
        (&robot, "create pods default", false),
        (&robot, "list pods kube-system", false),
        (&robot, "get /.well-known/openid-configuration", true),
        (&eve, "get /.well-known/openid-configuration", false),
        (&root, "deletecollection nodes", true),
        (&root, "patch deployments.apps/scale kube-system web", true),
        (&root, "get /metrics", true),
        (&sched, "create pods/binding default web", true),
        (&sched, "create pods/exec default web", false),
        (&sched, "list pods", true),
        (&master, "anything widgets.example.com/any default x", true),
    ] {
        let allowed = rbac.authorize(who, &action(what));
        assert_eq!(allowed.is_ok(), expected, "{} {what}", who.name);
        assert_eq!(allowed.err().unwrap_or_default(), "", "{} {what}", who.name);
    }
    assert_eq!(
        rbac.why(&ada, &action("create pods default")),
        r#"RBAC: allowed by RoleBinding "editors/default" of ClusterRole "system:aggregate-to-edit" to Group "dev""#
    );
    assert_eq!(
        rbac.why(&robot, &action("list pods default")),
        r#"RBAC: allowed by RoleBinding "robot/default" of ClusterRole "system:aggregate-to-view" to ServiceAccount "builder/default""#
    );
}

#[tokio::test]
async fn rights_hold_from_the_next_question_on() {
    let (server, rbac, client) = cluster().await;
    let eve = user("eve", &[]);
    let may = || rbac.authorize(&eve, &action("get configmaps default c"));
    assert_eq!(may(), Err(String::new()));
    bind(&client, "default", "early", ("Role", "reader"), named("User", "eve")).await;
    assert_eq!(may(), Err("RBAC: role.rbac.authorization.k8s.io \"reader\" not found".into()));
    let rules = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}]);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": rules,
    });
    let roles = Gvr::new(GROUP, "v1", "roles");
    client.create(&roles, "default", role).await.unwrap();
    assert_eq!(may(), Ok(()));
    // What was forgotten is read anew.
    for at in 0..3 {
        let name = format!("c{at}");
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        client.create(&Gvr::new("", "v1", "configmaps"), "default", map).await.unwrap();
    }
    server.store.compact(server.store.revision()).await.unwrap();
    assert_eq!(may(), Ok(()));
    client.delete(&roles, "default", "reader", &Default::default()).await.unwrap();
    server.store.compact(server.store.revision()).await.unwrap();
    assert!(may().is_err());
    let bindings = Gvr::new(GROUP, "v1", "rolebindings");
    client.delete(&bindings, "default", "early", &Default::default()).await.unwrap();
    assert_eq!(may(), Err(String::new()));
}

#[tokio::test]
async fn rules_are_listed() {
    let (_, rbac, client) = cluster().await;
    bind(&client, "default", "d", ("ClusterRole", "system:kube-dns"), named("User", "eve")).await;
    let list = rbac.rules(&user("eve", &[]), "default");
    let dns =
        json!({"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["endpoints", "services"]});
    assert!(list.resource.contains(&dns) || list.resource.iter().any(|r| r["resources"] == dns["resources"]));
    assert!(list.non_resource.iter().any(|rule| rule["nonResourceURLs"][0] == "/api"));
    assert!(!list.incomplete && list.error.is_empty());
    assert!(
        !rbac
            .rules(&user("eve", &[]), "kube-system")
            .resource
            .iter()
            .any(|r| r["resources"] == dns["resources"])
    );
    bind(&client, "default", "broken", ("Role", "none"), named("User", "eve")).await;
    let list = rbac.rules(&user("eve", &[]), "default");
    assert_eq!(list.error, "role.rbac.authorization.k8s.io \"none\" not found");
}

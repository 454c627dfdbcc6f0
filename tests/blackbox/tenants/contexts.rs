//! Connecting and disconnecting: what happens to a kubeconfig. A second control plane is the tenant.

use super::{Person, host};
use crate::harness::Server;
use crate::harness::tools::tool;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;
use std::sync::OnceLock;

/// The control plane that plays all tenants.
fn plane() -> &'static Server {
    static PLANE: OnceLock<Server> = OnceLock::new();
    PLANE.get_or_init(|| Server::serve(&[]))
}

/// A tenant whose pod is not needed: it is reached at the address that the user names.
fn tenant(namespace: &str, name: &str) -> String {
    host().api().namespace(namespace);
    let labels = json!({ "app.kubernetes.io/name": "alcove", "alcove.dev/tenant": name });
    let set = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": { "serviceName": name, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "a", "image": "a" }] } } },
    });
    host().api().post(&format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"), &set).expect(201);
    let text = std::fs::read_to_string(plane().kubeconfig("admin")).expect("a kubeconfig");
    let secret = json!({
        "metadata": { "name": format!("{name}-kubeconfig"), "labels": { "alcove.dev/tenant": name } },
        "type": "cluster.x-k8s.io/secret", "data": { "value": BASE64_STANDARD.encode(text) },
    });
    host().api().post(&format!("/api/v1/namespaces/{namespace}/secrets"), &secret).expect(201);
    format!("https://{}", plane().api().address)
}

#[test]
fn one_connects_works_and_is_back_where_one_was() {
    let person = Person::new();
    let server = tenant("visited", "visited");
    let kubectl = tool("kubectl-1.35");
    let current = |person: &Person| person.run(&kubectl, &["config", "current-context"]).well();
    let before = std::fs::read_to_string(person.kubeconfig()).expect("it is there");
    let first = current(&person);

    person.says(&["connect", "visited", "--server", &server]).well();
    assert_eq!(current(&person).trim(), format!("alcove_visited_visited_{}", first.trim()));
    person.run(&kubectl, &["create", "namespace", "in-the-tenant"]).well();
    plane().api().get("/api/v1/namespaces/in-the-tenant").expect(200);
    host().api().get("/api/v1/namespaces/in-the-tenant").expect(404);
    // kubectl writes the file anew, and our note on the context survives that.
    person.run(&kubectl, &["config", "set-context", "--current", "--namespace", "default"]).well();
    // From within a tenant's context, commands still go to its host.
    assert_eq!(person.says(&["list", "-n", "visited", "-o", "name"]).well(), "visited\n");
    let version = person.says(&["version"]).well();
    assert!(version.contains("host   v1.") && version.contains("tenant v1."), "{version}");

    person.says(&["disconnect"]).well();
    assert_eq!(current(&person), first);
    let after = std::fs::read_to_string(person.kubeconfig()).expect("it is there");
    assert_eq!(
        (after.matches("name:").count(), after.contains("alcove_")),
        (before.matches("name:").count(), false)
    );
    person.says(&["disconnect"]).failed(&["is no tenant's", "alcove connect"]);
}

#[test]
fn a_command_runs_in_the_tenant_and_changes_nothing_else() {
    let person = Person::new();
    let server = tenant("command", "command");
    let before = std::fs::read_to_string(person.kubeconfig()).expect("it is there");
    let kubectl = tool("kubectl-1.35").display().to_string();
    let said = person.says(&[
        "connect",
        "command",
        "--server",
        &server,
        "--",
        &kubectl,
        "config",
        "current-context",
    ]);
    assert!(said.well().starts_with("alcove_command_command_"));
    let said = person.says(&[
        "connect",
        "command",
        "--server",
        &server,
        "--",
        "sh",
        "-c",
        "cat $KUBECONFIG >/dev/null && exit 7",
    ]);
    assert_eq!(said.code, Some(7), "{}", said.err);
    person
        .says(&["connect", "command", "--server", &server, "--", "/no/such/program"])
        .failed(&["/no/such/program"]);
    assert_eq!(std::fs::read_to_string(person.kubeconfig()).expect("it is there"), before);
}

#[test]
fn a_kubeconfig_is_printed_and_a_context_can_be_added_without_going_there() {
    let person = Person::new();
    let server = tenant("printed", "printed");
    let printed =
        person.says(&["connect", "printed", "--print", "--server", "https://printed.example.com"]).well();
    assert!(
        printed.contains("server: https://printed.example.com") && printed.contains("client-key-data"),
        "{printed}"
    );
    let kubectl = tool("kubectl-1.35");
    let first = person.run(&kubectl, &["config", "current-context"]).well();
    person.says(&["connect", "printed", "--server", &server, "--update-current=false"]).well();
    assert_eq!(person.run(&kubectl, &["config", "current-context"]).well(), first);
    let context = format!("alcove_printed_printed_{}", first.trim());
    person.run(&kubectl, &["--context", &context, "get", "namespaces"]).well();
    person.says(&["delete", "printed", "--yes"]).well();
    let contexts = person.run(&kubectl, &["config", "get-contexts", "-o", "name"]).well();
    assert_eq!(contexts, first, "the context goes with its tenant");
}

//! The commands that work on tenants of a host, as far as they only need an API: a stand-alone control plane is the host.
//! What needs pods that run is played on a real host, in `tests/host`.

mod contexts;
mod errors;

use super::harness::Server;
use super::harness::server::scratch;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The one host that these tests share; each works in namespaces of its own.
fn host() -> &'static Server {
    static HOST: OnceLock<Server> = OnceLock::new();
    HOST.get_or_init(|| Server::serve(&[]))
}

/// A user with a kubeconfig of their own.
struct Person {
    folder: TempDir,
}

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Person {
    fn new() -> Person {
        let folder = scratch();
        std::fs::copy(host().kubeconfig("admin"), folder.path().join("config")).expect("a kubeconfig");
        Person { folder }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn says(&self, words: &[&str]) -> Said {
        self.run(env!("CARGO_BIN_EXE_alcove").as_ref(), words)
    }

    fn run(&self, program: &Path, words: &[&str]) -> Said {
        let mut command = Command::new(program);
        command.args(words).env("KUBECONFIG", self.kubeconfig()).env("HOME", self.folder.path());
        Said::of(command.stdin(Stdio::null()).output().expect("the program starts"))
    }
}

impl Said {
    fn of(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }

    #[track_caller]
    fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// It failed, with one sentence that has all these words.
    #[track_caller]
    fn failed(self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
    }
}

/// Everything in a namespace that carries a tenant's labels, as `KIND/NAME`.
fn left(namespace: &str, name: &str) -> Vec<String> {
    let kinds = [
        ("/api/v1", "pods"),
        ("/api/v1", "services"),
        ("/api/v1", "configmaps"),
        ("/api/v1", "secrets"),
        ("/api/v1", "serviceaccounts"),
        ("/api/v1", "persistentvolumeclaims"),
        ("/apis/apps/v1", "statefulsets"),
        ("/apis/networking.k8s.io/v1", "networkpolicies"),
        ("/apis/rbac.authorization.k8s.io/v1", "roles"),
        ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        ("/apis/discovery.k8s.io/v1", "endpointslices"),
    ];
    let mut found = Vec::new();
    for (group, plural) in kinds {
        for label in ["alcove.dev/tenant", "alcove.dev/cluster"] {
            let path = format!("{group}/namespaces/{namespace}/{plural}?labelSelector={label}%3D{name}");
            let list = host().api().get(&path).expect(200);
            for item in list["items"].as_array().expect("a list") {
                found.push(format!("{plural}/{}", item["metadata"]["name"].as_str().expect("a name")));
            }
        }
    }
    found
}

/// A pod as the syncer would make it for a tenant.
fn synced(namespace: &str, tenant: &str, name: &str) {
    let pod = json!({
        "metadata": { "name": name, "labels": { "alcove.dev/cluster": tenant } },
        "spec": { "containers": [{ "name": "a", "image": "a" }] },
    });
    host().api().post(&format!("/api/v1/namespaces/{namespace}/pods"), &pod).expect(201);
}

#[test]
fn what_would_be_made_is_printed_without_any_cluster() {
    let folder = scratch();
    let mut command = Command::new(env!("CARGO_BIN_EXE_alcove"));
    command.args([
        "create",
        "red",
        "-n",
        "team",
        "--print",
        "--set",
        "expose.type=NodePort",
        "--kubernetes-version",
        "1.35",
    ]);
    let output = command.env_remove("KUBECONFIG").env("HOME", folder.path()).output().expect("it starts");
    let printed = Said::of(output).well();
    let objects: Vec<&str> = printed.split("---\n").collect();
    assert!(objects.len() > 8, "{printed}");
    for part in ["kind: StatefulSet", "kind: Role", "type: NodePort", "namespace: team"] {
        assert!(printed.contains(part), "{part:?} is not in:\n{printed}");
    }
    let config =
        printed.lines().find_map(|line| line.trim().strip_prefix("config.yaml: ")).expect("a configuration");
    let config = BASE64_STANDARD.decode(config).expect("base64");
    let config: Value = serde_json::from_slice(&config).expect("JSON, which is YAML");
    assert_eq!(config["kubernetesVersion"], "1.35");
}

#[test]
fn values_that_cannot_be_meant_are_told_before_anything_is_done() {
    let person = Person::new();
    let file = person.folder.path().join("values.yaml");
    std::fs::write(&file, "dns: {prot: 1}\n").expect("writable");
    let file = file.to_str().expect("text");
    for (words, told) in [
        (["--set", "syc.pods={}"], ["syc", "sync"]),
        (["--set", "dns.port=many"], ["dns.port", "u16"]),
        (["--set", "nonsense"], ["nonsense", "KEY=VALUE"]),
        (["--values", file], ["values.yaml", "did you mean \"port\"?"]),
        (["--values", "/nowhere.yaml"], ["/nowhere.yaml", "No such file"]),
    ] {
        person.says(&[&["create", "bad-values"], words.as_slice()].concat()).failed(&told);
    }
    host().api().get("/api/v1/namespaces/bad-values").expect(404);
}

#[test]
fn a_tenant_comes_is_seen_and_leaves_nothing() {
    let person = Person::new();
    // Nothing runs pods on this host, so the tenant cannot become ready; that is told with its reason.
    person.says(&["create", "whole", "--timeout", "2s"]).failed(&[
        "not ready after 2 s",
        "pod whole-0 on the host: it waits for a node",
        "alcove doctor whole",
    ]);
    let namespace = host().api().get("/api/v1/namespaces/whole").expect(200);
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "baseline");
    let set = host().api().get("/apis/apps/v1/namespaces/whole/statefulsets/whole").expect(200);
    assert_eq!(set["metadata"]["annotations"]["meta.helm.sh/release-name"], "whole");
    synced("whole", "whole", "web-x-default-x-whole");
    let other = json!({ "metadata": { "name": "other" }, "data": {} });
    host().api().post("/api/v1/namespaces/whole/configmaps", &other).expect(201);

    let list: Value = serde_json::from_str(&person.says(&["list", "-o", "json"]).well()).expect("JSON");
    let item = list["items"].as_array().expect("a list").iter().find(|item| item["name"] == "whole");
    let item = item.expect("the tenant is listed");
    assert_eq!(
        (&item["status"], &item["pods"], &item["kubernetesVersion"]),
        (&json!("Pending"), &json!(1), &json!("1.36"))
    );
    let table = person.says(&["list", "-n", "whole"]).well();
    assert!(table.starts_with("NAME    NAMESPACE   STATUS    VERSION   EXPOSED   PODS   AGE\nwhole   whole       Pending   1.36      -         1"), "{table}");
    assert_eq!(person.says(&["list", "-n", "whole", "-o", "name"]).well(), "whole\n");
    let described = person.says(&["describe", "whole"]).well();
    assert!(described.contains("Status:") && described.contains("pods   1"), "{described}");

    let doctor = person.says(&["doctor", "whole", "-o", "json"]);
    assert_eq!(doctor.code, Some(1));
    let found: Value = serde_json::from_str(&doctor.out).expect("JSON");
    assert!(
        found["items"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|f| f["where"].as_str().unwrap().contains("pod whole-0")),
        "{found:#}"
    );

    person.says(&["delete", "whole"]).failed(&["--yes", "its data"]);
    let deleted = person.says(&["delete", "whole", "--yes"]).well();
    // Its own, and the one that stands for a pod of the tenant.
    assert!(
        deleted.starts_with("tenant whole deleted: removed ") && deleted.contains("2 Pods,"),
        "{deleted}"
    );
    assert_eq!(left("whole", "whole"), Vec::<String>::new());
    host().api().get("/api/v1/namespaces/whole/configmaps/other").expect(200);
    person.says(&["delete", "whole", "--yes"]).failed(&["there is no tenant whole"]);
    person.says(&["delete", "whole", "--yes", "--ignore-not-found"]).well();
}

#[test]
fn only_a_namespace_that_create_made_is_deleted_with_its_tenant() {
    let person = Person::new();
    person.says(&["create", "ours", "--timeout", "1s"]).failed(&["not ready"]);
    let said = person.says(&["delete", "ours", "--yes", "--delete-namespace"]);
    said.well();
    host().api().get("/api/v1/namespaces/ours").expect(404);

    host().api().namespace("theirs");
    person.says(&["create", "mine", "-n", "theirs", "--timeout", "1s"]).failed(&["not ready"]);
    person
        .says(&["delete", "mine", "--yes", "--delete-namespace"])
        .failed(&["was not made by `alcove create`"]);
    person.says(&["delete", "mine", "--yes"]).well();
    assert_eq!(left("theirs", "mine"), Vec::<String>::new());
    host().api().get("/api/v1/namespaces/theirs").expect(200);
}

#[test]
fn a_namespace_is_shared_only_by_name_and_nobody_elses_object_is_taken() {
    let person = Person::new();
    host().api().namespace("shared");
    person.says(&["create", "first", "-n", "shared", "--timeout", "1s"]).failed(&["not ready"]);
    person.says(&["create", "first", "-n", "shared"]).failed(&["is there already", "--update"]);
    person
        .says(&["create", "second", "-n", "shared"])
        .failed(&["belongs to the tenant first", "isolation.sharedWith"]);
    let set = "isolation.sharedWith=[first]";
    person
        .says(&["create", "second", "-n", "shared", "--set", set, "--timeout", "1s"])
        .failed(&["not ready"]);
    person.says(&["delete", "second", "-n", "shared", "--yes"]).well();
    assert!(left("shared", "first").len() > 8, "the neighbour stays: {:?}", left("shared", "first"));
    person.says(&["delete", "first", "-n", "shared", "--yes"]).well();

    let service = json!({ "metadata": { "name": "taken" }, "spec": { "ports": [{ "port": 80 }] } });
    host().api().post("/api/v1/namespaces/shared/services", &service).expect(201);
    person.says(&["create", "taken", "-n", "shared"]).failed(&["Service taken", "something else"]);
    assert_eq!(left("shared", "taken"), Vec::<String>::new());
}

#[test]
fn an_update_keeps_what_is_not_said_and_removes_what_is_not_wanted() {
    let person = Person::new();
    person.says(&["create", "grows", "--update"]).failed(&["no tenant grows", "to change"]);
    let ingress = ["--set", "expose.ingress.enabled=true", "--set", "expose.ingress.host=grows.example.com"];
    let words =
        [&["create", "grows", "--set", "dns.port=1054", "--timeout", "1s"], ingress.as_slice()].concat();
    person.says(&words).failed(&["not ready"]);
    host().api().get("/apis/networking.k8s.io/v1/namespaces/grows/ingresses/grows").expect(200);
    let update = ["create", "grows", "--update", "--timeout", "1s", "--set", "expose.ingress.enabled=false"];
    person.says(&update).failed(&["not ready"]);
    host().api().get("/apis/networking.k8s.io/v1/namespaces/grows/ingresses/grows").expect(404);
    let config = person.says(&["describe", "grows", "--config-only"]).well();
    assert!(config.contains("port: 1054"), "{config}");
    let storage = ["create", "grows", "--update", "--set", "controlPlane.storage.size=9Gi"];
    person.says(&storage).failed(&["claim", "9Gi"]);
    person.says(&["delete", "grows", "--yes", "--delete-namespace"]).well();
}

#[test]
fn missing_rights_are_told_all_at_once() {
    let person = Person::new();
    host().api().namespace("walled");
    let account = json!({ "metadata": { "name": "dev" } });
    host().api().post("/api/v1/namespaces/walled/serviceaccounts", &account).expect(201);
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let token =
        host().api().post("/api/v1/namespaces/walled/serviceaccounts/dev/token", &request).expect(201);
    let token = token["status"]["token"].as_str().expect("a token").to_owned();
    let kubectl = super::harness::tools::tool("kubectl-1.35");
    person.run(&kubectl, &["config", "set-credentials", "dev", "--token", &token]).well();
    let current = person.run(&kubectl, &["config", "current-context"]).well();
    person
        .run(&kubectl, &["config", "set-context", current.trim(), "--user", "dev", "--namespace", "walled"])
        .well();

    person.says(&["create", "blue", "-n", "walled"]).failed(&[
        "you lack rights",
        "statefulsets",
        "secrets",
        "in namespace walled",
        "platform team",
    ]);
    person.says(&["list", "-n", "walled"]).failed(&["you may not list statefulsets", "platform team"]);
    assert_eq!(left("walled", "blue"), Vec::<String>::new());
    person.says(&["list"]).failed(&["you may not list statefulsets in namespace walled"]);
    // Who may look into one namespace sees that one, and is told that there may be more.
    let reader = json!({
        "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "kind": "ServiceAccount", "name": "dev", "namespace": "walled" }],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/walled/rolebindings";
    host().api().post(bindings, &reader).expect(201);
    let list = person.says(&["list"]);
    assert!(list.err.contains("you may not look into all namespaces"), "{}", list.err);
    list.well();
}

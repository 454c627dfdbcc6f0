//! Beta and alpha versions: absent unless they are switched on, then as any other; kept when they are switched off again.

use super::harness::server::{Launch, scratch};
use super::harness::session::Session;
use super::harness::{Server, eventually};
use serde_json::json;

const CLASS: &str = "apiVersion: storage.k8s.io/v1beta1
kind: VolumeAttributesClass
metadata: {name: gold}
driverName: csi.example.com
parameters: {iops: \"5000\"}";

const CANDIDATE: &str = "apiVersion: coordination.k8s.io/v1beta1
kind: LeaseCandidate
metadata: {name: one}
spec: {leaseName: work, binaryVersion: 1.36.0, emulationVersion: 1.36.0, strategy: OldestEmulationVersion}";

const CANDIDATES: &str = "/apis/coordination.k8s.io/v1beta1/namespaces/default/leasecandidates";

fn session(server: &Server) -> Session {
    let namespace = vec![("NS", "default".to_owned())];
    let session = Session::at(&server.kubeconfig("admin"), namespace, &[("kubectl", "kubectl-1.35")]);
    std::fs::write(session.kubeconfig().with_file_name("class.yaml"), CLASS).expect("writable");
    std::fs::write(session.kubeconfig().with_file_name("candidate.yaml"), CANDIDATE).expect("writable");
    session
}

#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn nothing_early_is_served_by_default() {
    let server = Server::serve(&[]);
    let session = session(&server);
    let known = session.ok("kubectl api-versions");
    assert!(!known.contains("alpha") && !known.contains("beta"), "{known}");
    let refused = session.run("kubectl create -f candidate.yaml");
    assert_ne!(refused.code, 0);
    assert_says(
        &refused.output,
        &["no matches for kind \"LeaseCandidate\" in version \"coordination.k8s.io/v1beta1\""],
    );
    assert_eq!(server.api().get(CANDIDATES).status, 404);
    assert_eq!(server.api().get("/apis/storage.k8s.io/v1beta1").status, 404);
}

#[test]
fn what_is_switched_on_is_as_any_other() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let switches = "api/beta=true,scheduling.k8s.io/v1alpha2/workloads=true,resource.k8s.io/v1beta1=false";
    let mut server = Server::start_in(Launch::serve(&["--runtime-config", switches]), &data);
    let session = session(&server);

    // Discovery in both forms, OpenAPI, and what kubectl makes of them.
    let known = session.ok("kubectl api-versions");
    assert_says(
        &known,
        &["storage.k8s.io/v1beta1\n", "resource.k8s.io/v1beta2\n", "scheduling.k8s.io/v1alpha2\n"],
    );
    assert!(!known.contains("resource.k8s.io/v1beta1") && !known.contains("v1alpha1"), "{known}");
    let of_scheduling = session.ok("kubectl api-resources --api-group=scheduling.k8s.io -o name");
    assert_eq!(of_scheduling, "priorityclasses.scheduling.k8s.io\nworkloads.scheduling.k8s.io\n");
    let api = server.api();
    let group = api.get("/apis/storage.k8s.io").expect(200);
    assert_eq!(group["preferredVersion"]["version"], "v1");
    assert_eq!(group["versions"][1]["version"], "v1beta1");
    api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.storage.k8s.io").expect(200);
    assert_says(
        &session.ok("kubectl explain leasecandidate.spec.strategy"),
        &["VERSION:    v1beta1", "FIELD: strategy"],
    );
    let v2 = api.get("/openapi/v2").expect(200);
    assert!(v2["definitions"]["io.k8s.api.storage.v1beta1.VolumeAttributesClass"].is_object());

    // One object, two versions, whose users are warned of the old one.
    let mut watch = api.watch("/apis/storage.k8s.io/v1/volumeattributesclasses?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan");
    watch.event();
    let made = session.ok("kubectl apply --server-side -f class.yaml");
    assert_says(
        &made,
        &[
            "Warning: storage.k8s.io/v1beta1 VolumeAttributesClass is deprecated in v1.34+, unavailable in v1.37+; use storage.k8s.io/v1 VolumeAttributesClass",
            "serverside-applied",
        ],
    );
    let event = watch.event();
    assert_eq!(
        (&event["type"], &event["object"]["apiVersion"]),
        (&json!("ADDED"), &json!("storage.k8s.io/v1"))
    );
    for version in ["v1", "v1beta1"] {
        let read =
            api.get(&format!("/apis/storage.k8s.io/{version}/volumeattributesclasses/gold")).expect(200);
        assert_eq!(read["apiVersion"], format!("storage.k8s.io/{version}"));
        assert_eq!(read["parameters"]["iops"], "5000");
        let list = api.get(&format!("/apis/storage.k8s.io/{version}/volumeattributesclasses")).expect(200);
        assert_eq!(
            (&list["apiVersion"], list["items"].as_array().map(Vec::len)),
            (&read["apiVersion"], Some(1))
        );
    }
    let changed = session.ok("sed s/storage.k8s.io.v1beta1/storage.k8s.io\\\\/v1/ class.yaml | kubectl apply --server-side -f - -o jsonpath='{.apiVersion} {.metadata.labels}'");
    assert_says(&changed, &["storage.k8s.io/v1"]);

    // A kind that is in beta alone.
    session.ok("kubectl create -f candidate.yaml");
    session.ok("kubectl label leasecandidate one a=b");
    let row = session.ok("kubectl get leasecandidates --no-headers 2>/dev/null");
    assert_eq!(row.split_whitespace().take(4).collect::<Vec<_>>(), ["one", "work", "1.36.0", "1.36.0"]);
    let wrong = session.run("sed s/leaseName/laesaName/ candidate.yaml | kubectl create -f -");
    assert_says(&wrong.output, &["unknown field \"spec.laesaName\""]);

    // Switched off again, objects are kept and not served.
    server.kill();
    let mut server = Server::start_in(Launch::serve(&[]), &data);
    assert_eq!(server.api().get(CANDIDATES).status, 404);
    server.api().get("/apis/storage.k8s.io/v1/volumeattributesclasses/gold").expect(200);
    eventually("the service of the version goes", || {
        match server.api().get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.storage.k8s.io").status {
            404 => Ok(()),
            status => Err(format!("{status}")),
        }
    });
    server.kill();
    let server = Server::start_in(Launch::serve(&["--runtime-config", "coordination.k8s.io/v1beta1"]), &data);
    let kept = server.api().get(&format!("{CANDIDATES}/one")).expect(200);
    assert_eq!(kept["metadata"]["labels"]["a"], "b");
}

/// What is generally available can be switched off; the server's own parts go on without its being served.
#[test]
fn what_is_switched_off_is_gone_for_clients() {
    let server = Server::serve(&["--runtime-config", "apps/v1=false,batch/v1/cronjobs=false"]);
    let api = server.api();
    assert_eq!(api.get("/apis/apps/v1/deployments").status, 404);
    assert_eq!(api.get("/apis/batch/v1/cronjobs").status, 404);
    api.get("/apis/batch/v1/jobs").expect(200);
    let known = session(&server).ok("kubectl api-resources -o name");
    assert!(!known.contains("deployments") && !known.contains("cronjobs"), "{known}");
}

#[test]
fn a_newer_minor_serves_what_became_general_there() {
    let server = Server::serve(&["--kubernetes-version", "1.37"]);
    for path in [
        "/apis/certificates.k8s.io/v1/podcertificaterequests",
        "/apis/certificates.k8s.io/v1/clustertrustbundles",
        "/apis/resource.k8s.io/v1/devicetaintrules",
        "/apis/storagemigration.k8s.io/v1/storageversionmigrations",
    ] {
        server.api().get(path).expect(200);
    }
}

#[test]
fn keys_that_cannot_be_meant_are_told() {
    let scratch = scratch();
    for (switches, words) in [
        ("v1=true", "invalid key \"v1\""),
        ("api/gamma=true", "invalid key \"api/gamma\""),
        ("apps/v9=true", "group version apps/v9 has not been registered: Kubernetes 1.36 knows apps/v1"),
        ("example.com/v1=true", "Kubernetes 1.36 has no group \"example.com\""),
        ("apps/v1/Deployment=false", "a resource is a lowercase plural"),
        ("api/all=false", "leaves nothing to serve"),
        ("api/beta=maybe", "must be true or false"),
    ] {
        let launch = Launch::serve(&["--runtime-config", switches]);
        let output = launch.command(&scratch.path().join("data")).output().expect("the binary starts");
        assert!(!output.status.success(), "{switches}");
        assert_says(&String::from_utf8_lossy(&output.stderr), &[words]);
    }
    let config = scratch.path().join("config.yaml");
    let text = "apiVersion: alcove.dev/v1alpha1\nkind: Config\nruntimeConfig: {batch/v7: true}\n";
    std::fs::write(&config, text).expect("writable");
    let launch = Launch::serve(&["--config", config.to_str().expect("text")]);
    let output = launch.command(&scratch.path().join("data")).output().expect("the binary starts");
    assert_says(&String::from_utf8_lossy(&output.stderr), &["runtimeConfig: group version batch/v7"]);
    let create = ["create", "red", "--print", "--set", r"runtimeConfig.example\.com/v1=true"];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_alcove")).args(create).output();
    let told = output.expect("the binary starts").stderr;
    assert_says(&String::from_utf8_lossy(&told), &["unknown API group in \"example.com/v1\""]);
}

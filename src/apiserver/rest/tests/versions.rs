//! Kinds in several versions: one table, whatever a version is called and whatever form it has.

use super::World;
use crate::client::Event;
use crate::kinds;
use crate::options::ListOptions;
use crate::testing::{self, TestEnv};
use crate::user::User;
use alcove_object::{Gvr, Reason, Value};
use alcove_schema::Minor;
use alcove_schema::builtin::Enabled;
use serde_json::json;
use std::sync::Arc;

fn resources(minor: u8, switches: &[(&str, bool)]) -> Vec<Arc<crate::registry::Resource>> {
    let switches = switches.iter().map(|(key, on)| ((*key).to_owned(), *on)).collect();
    kinds::enabled_resources(Minor(minor), &Enabled::new(Minor(minor), &switches).unwrap())
}

async fn world(minor: u8, switches: &[(&str, bool)]) -> World {
    let env = Arc::new(TestEnv::new(7));
    let server = testing::server(resources(minor, switches), env.clone());
    crate::bootstrap(&server, &[]).await.unwrap();
    let client = server.client(User::component("tester"), "tester");
    World { server, client, env }
}

fn of(group: &str, version: &str, resource: &str) -> Gvr {
    Gvr::new(group, version, resource)
}

fn requests(claim: &Value) -> &Value {
    &claim["spec"]["devices"]["requests"]
}

#[tokio::test]
async fn a_version_of_another_form_is_one_of_the_same_objects() {
    let w = world(36, &[("api/beta", true)]).await;
    let (newest, flat) =
        (of("resource.k8s.io", "v1", "resourceclaims"), of("resource.k8s.io", "v1beta1", "resourceclaims"));
    let options = ListOptions { resource_version: "1".into(), ..ListOptions::default() };
    let mut watch = w.client.watch(&newest, "default", &options).unwrap();
    let claim = json!({
        "apiVersion": "resource.k8s.io/v1beta1", "kind": "ResourceClaim", "metadata": {"name": "a"},
        "spec": {"devices": {"requests": [{"name": "one", "deviceClassName": "gpu.example.com"}]}},
    });
    let made = w.client.create(&flat, "default", claim.clone()).await.unwrap().parse();
    assert_eq!(
        requests(&made),
        &json!([{"name": "one", "deviceClassName": "gpu.example.com", "allocationMode": "ExactCount", "count": 1}])
    );
    let exactly = json!({"deviceClassName": "gpu.example.com", "allocationMode": "ExactCount", "count": 1});
    let nested = json!([{"name": "one", "exactly": exactly}]);
    let read = w.client.get(&newest, "default", "a").unwrap().parse();
    assert_eq!((requests(&read), &read["apiVersion"]), (&nested, &json!("resource.k8s.io/v1")));
    let events = watch.next().await.unwrap().unwrap();
    let [Event::Added(seen)] = &events[..] else { panic!("one event: {}", events.len()) };
    assert_eq!(requests(&seen.parse()), &nested);
    assert_eq!(requests(&w.client.get(&flat, "default", "a").unwrap().parse()), requests(&made));

    // What is wrong is told in the newest form, as upstream does, and nobody may change what was asked.
    let mut wrong = claim;
    wrong["metadata"]["name"] = "b".into();
    wrong["spec"]["devices"]["requests"][0]["count"] = (-1).into();
    let told = w.client.create(&flat, "default", wrong).await.unwrap_err();
    assert!(told.message.contains("spec.devices.requests[0].exactly.count"), "{}", told.message);
    let mut changed = made.clone();
    changed["spec"]["devices"]["requests"][0]["count"] = 2.into();
    let told = w.client.update(&flat, "default", changed).await.unwrap_err();
    assert!(told.message.contains("field is immutable"), "{}", told.message);
    let mut labelled = made;
    labelled["metadata"]["labels"] = json!({"a": "b"});
    w.client.update(&flat, "default", labelled).await.unwrap();
    assert_eq!(requests(&w.client.get(&newest, "default", "a").unwrap().parse()), &nested);
}

#[tokio::test]
async fn what_another_minor_stored_is_read() {
    let w = world(36, &[("api/beta", true)]).await;
    let early = of("admissionregistration.k8s.io", "v1beta1", "mutatingadmissionpolicybindings");
    let newest = of("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings");
    let binding = json!({
        "apiVersion": newest.api_version(), "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "a"}, "spec": {"policyName": "p"},
    });
    w.client.create(&newest, "", binding).await.unwrap();
    // 1.35 has no v1 of it, and stores v1beta1.
    w.server.replace_resources(resources(35, &[("api/beta", true)]));
    let read = w.client.get(&early, "", "a").unwrap().parse();
    assert_eq!(read["apiVersion"], early.api_version());
    let mut changed = read;
    changed["spec"]["policyName"] = "q".into();
    w.client.update(&early, "", changed).await.unwrap();
    assert!(w.client.get(&newest, "", "a").unwrap_err().is(Reason::NOT_FOUND));
    w.server.replace_resources(resources(36, &[]));
    let read = w.client.get(&newest, "", "a").unwrap().parse();
    assert_eq!(
        (&read["apiVersion"], &read["spec"]["policyName"]),
        (&json!(newest.api_version()), &json!("q"))
    );
}

#[tokio::test]
async fn kinds_of_early_versions_have_rules() {
    const ALL: &[(&str, bool)] = &[("api/all", true)];
    let lease = |spec: Value| ("coordination.k8s.io/v1beta1", "leasecandidates", "LeaseCandidate", "a", spec);
    let bundle = |name: &'static str, spec: Value| {
        ("certificates.k8s.io/v1beta1", "clustertrustbundles", "ClusterTrustBundle", name, spec)
    };
    let cases = [
        (
            36,
            lease(
                json!({"leaseName": "l", "binaryVersion": "1.36.0", "emulationVersion": "1.36.0", "strategy": "OldestEmulationVersion"}),
            ),
            "",
        ),
        (36, lease(json!({"binaryVersion": "1.2", "strategy": "x"})), "spec.leaseName: Required value"),
        (
            36,
            lease(json!({"leaseName": "l", "binaryVersion": "01.2.3", "strategy": "x"})),
            "must be a valid semantic version",
        ),
        (
            36,
            lease(
                json!({"leaseName": "l", "binaryVersion": "1.35.9", "emulationVersion": "1.36.0", "strategy": "OldestEmulationVersion"}),
            ),
            "must be greater than or equal to",
        ),
        (36, bundle("a:b", json!({"trustBundle": "x"})), "must not have \":\" in its name"),
        (
            36,
            bundle("a", json!({"signerName": "example.com/s", "trustBundle": "x"})),
            "must be named with prefix example.com:s:",
        ),
        (36, bundle("a", json!({"trustBundle": "x"})), "at least one trust anchor must be provided"),
        (
            36,
            (
                "storagemigration.k8s.io/v1beta1",
                "storageversionmigrations",
                "StorageVersionMigration",
                "a",
                json!({"resource": {"group": "apps"}}),
            ),
            "spec.resource.resource: Required value: resource is required to be set",
        ),
        (
            37,
            (
                "storagemigration.k8s.io/v1",
                "storageversionmigrations",
                "StorageVersionMigration",
                "a",
                json!({"resource": {"group": "apps", "resource": "deployments"}}),
            ),
            "",
        ),
        (
            37,
            (
                "resource.k8s.io/v1",
                "devicetaintrules",
                "DeviceTaintRule",
                "a",
                json!({"taint": {"key": "k", "effect": "Never"}}),
            ),
            "spec.taint.effect: Unsupported value: \"Never\"",
        ),
        (
            36,
            ("scheduling.k8s.io/v1alpha2", "workloads", "Workload", "a", json!({"podGroupTemplates": []})),
            "spec.podGroupTemplates: Required value",
        ),
        (
            36,
            ("internal.apiserver.k8s.io/v1alpha1", "storageversions", "StorageVersion", "a", json!({})),
            "name must be in the form of <group>.<resource>",
        ),
        (
            36,
            (
                "resource.k8s.io/v1alpha3",
                "resourcepoolstatusrequests",
                "ResourcePoolStatusRequest",
                "a",
                json!({"driver": "d.example.com", "limit": 5000}),
            ),
            "spec.limit: Invalid value: 5000",
        ),
    ];
    for (minor, (api, plural, kind, name, spec), expected) in cases {
        let w = world(minor, ALL).await;
        let (group, version) = alcove_object::gvk::split_api_version(api);
        let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec});
        let gvr = of(group, version, plural);
        let is_namespaced = w.server.registry().gvr(&gvr).unwrap().namespaced;
        let namespace = if is_namespaced { "default" } else { "" };
        let told =
            w.client.create(&gvr, namespace, object).await.err().map_or(String::new(), |e| e.message.clone());
        assert!(
            told.contains(expected) && told.is_empty() == expected.is_empty(),
            "{kind}: {expected}: {told}"
        );
    }
}

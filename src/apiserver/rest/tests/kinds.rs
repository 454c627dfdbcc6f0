//! The built-in kinds through the pipeline: what their rows and types must bring about.

use super::World;
use crate::options::{FieldValidation, ListOptions, PatchType, WriteOptions};
use crate::registry::Registry;
use crate::rest::{Answered, Body, Caller, Encoding, Target};
use crate::testing::{self, TestEnv};
use crate::{kinds, user::User};
use alcove_object::{Gvr, Reason, Status, Value, meta};
use alcove_schema::Minor;
use serde_json::json;
use std::sync::Arc;

impl World {
    pub(super) async fn real() -> World {
        let env = Arc::new(TestEnv::new(7));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
        crate::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        World { server, client, env }
    }

    pub(super) fn target(&self, api_version: &str, plural: &str, subresource: &str, name: &str) -> Target {
        let (group, version) = alcove_object::gvk::split_api_version(api_version);
        let registry: Arc<Registry> = self.server.registry();
        Target::named(&registry, &Gvr::new(group, version, plural), subresource, "default", name).unwrap()
    }

    async fn post(
        &self,
        api_version: &str,
        plural: &str,
        body: &str,
        how: FieldValidation,
    ) -> Result<Answered, Status> {
        let body = Body::Encoded { bytes: body.to_owned().into(), encoding: Encoding::Json };
        let options = WriteOptions { field_validation: how, ..WriteOptions::default() };
        let caller = Caller { user: User::component("kubectl"), manager: "kubectl-create".into() };
        self.server.create(&caller, &self.target(api_version, plural, "", ""), body, &options).await
    }
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "creationTimestamp": null},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}, "creationTimestamp": null},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    })
}

#[tokio::test]
async fn a_deployment_is_stored_as_upstream_stores_it() {
    let w = World::real().await;
    let body = deployment().to_string();
    let o = w.post("apps/v1", "deployments", &body, FieldValidation::Strict).await.unwrap().object.parse();
    assert_eq!(meta::generation(&o), 1);
    assert_eq!((&o["spec"]["replicas"], &o["status"]), (&json!(1), &json!({})));
    let entry = &o["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("kubectl-create"), &json!("Update")));
    assert!(entry["fieldsV1"]["f:spec"]["f:replicas"].is_object());
    assert!(entry["fieldsV1"]["f:status"].is_null(), "status is not the main resource's");

    let deployments = Gvr::new("apps", "v1", "deployments");
    let before = w.server.store.revision();
    w.client.update(&deployments, "default", o.clone()).await.unwrap();
    assert_eq!(w.server.store.revision(), before, "the same again is no write");
}

#[tokio::test]
async fn fields_that_do_not_exist() {
    let w = World::real().await;
    let mut body = deployment();
    body["spec"]["replicsa"] = 3.into();
    let body = body.to_string();
    let status = w.post("apps/v1", "deployments", &body, FieldValidation::Strict).await.unwrap_err();
    assert_eq!(status.code, 400);
    assert!(
        status.message.ends_with("strict decoding error: unknown field \"spec.replicsa\""),
        "{}",
        status.message
    );
    let warned = w.post("apps/v1", "deployments", &body, FieldValidation::Warn).await.unwrap();
    assert_eq!(warned.warnings, ["unknown field \"spec.replicsa\""]);
    assert!(warned.object.parse()["spec"].get("replicsa").is_none());
}

#[tokio::test]
async fn malformed_bodies_are_400() {
    let w = World::real().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = format!("{{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"data\":{deep}}}");
    let other = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}"#;
    for body in ["{", "", "[]", "{\"metadata\":5}", &deep, other] {
        let status = w.post("v1", "configmaps", body, FieldValidation::Warn).await.unwrap_err();
        assert_eq!(status.code, 400, "{:.60}: {}", body, status.message);
    }
}

#[tokio::test]
async fn twins_share_their_objects() {
    let w = World::real().await;
    let hpa = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    });
    w.post("autoscaling/v1", "horizontalpodautoscalers", &hpa.to_string(), FieldValidation::Strict)
        .await
        .unwrap();
    for version in ["v1", "v2"] {
        let gvr = Gvr::new("autoscaling", version, "horizontalpodautoscalers");
        let shown = w.client.get(&gvr, "default", "h").unwrap().parse();
        assert_eq!(shown["apiVersion"], format!("autoscaling/{version}"));
        assert_eq!(shown["spec"]["maxReplicas"], 3);
        assert_eq!(w.client.list(&gvr, "default", &ListOptions::default()).unwrap().items.len(), 1);
    }
}

#[tokio::test]
async fn scale_reads_and_writes_replicas_alone() {
    let w = World::real().await;
    w.post("apps/v1", "deployments", &deployment().to_string(), FieldValidation::Strict).await.unwrap();
    let target = w.target("apps/v1", "deployments", "scale", "web");
    let mut scale = w.server.get(&target, "").await.unwrap().parse();
    assert_eq!((&scale["apiVersion"], &scale["kind"]), (&json!("autoscaling/v1"), &json!("Scale")));
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["selector"]), (&json!(1), &json!("app=web")));
    scale["spec"]["replicas"] = 4.into();
    let (caller, options) = (Caller::default(), WriteOptions::default());
    let after =
        w.server.update(&caller, &target, Body::Tree(scale.clone()), &options).await.unwrap().object.parse();
    assert_eq!(after["spec"]["replicas"], 4);
    let web = w.client.get(&Gvr::new("apps", "v1", "deployments"), "default", "web").unwrap().parse();
    assert_eq!((meta::generation(&web), &web["spec"]["replicas"]), (2, &json!(4)));
    let entries = web["metadata"]["managedFields"].as_array().unwrap();
    let own = entries.iter().find(|e| e["subresource"] == "scale").unwrap();
    assert_eq!(
        (&own["apiVersion"], &own["fieldsV1"]),
        (&json!("apps/v1"), &json!({"f:spec": {"f:replicas": {}}}))
    );

    let stale = w.server.update(&caller, &target, Body::Tree(scale.clone()), &options).await.unwrap_err();
    assert_eq!(stale.code, 409);
    scale["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
    scale["spec"]["replicas"] = (-1).into();
    let negative = w.server.update(&caller, &target, Body::Tree(scale), &options).await.unwrap_err();
    assert_eq!(negative.code, 422);

    let patch = Body::Tree(json!({"spec": {"replicas": 7}}));
    let patched =
        w.server.patch(&caller, &target, PatchType::Merge, patch, &options).await.unwrap().object.parse();
    assert_eq!(patched["spec"]["replicas"], 7);
}

#[tokio::test]
async fn replicas_applied_through_scale_are_owned_in_the_object() {
    let w = World::real().await;
    let (object, scale) =
        (w.target("apps/v1", "deployments", "", "web"), w.target("apps/v1", "deployments", "scale", "web"));
    let caller = Caller::default();
    let apply = async |target: &Target, manager: &str, force: bool, body: &Value| {
        let options = WriteOptions { field_manager: manager.into(), force, ..WriteOptions::default() };
        let body = Body::Encoded { bytes: body.to_string().into(), encoding: Encoding::Yaml };
        w.server.patch(&caller, target, PatchType::Apply, body, &options).await
    };
    let owners = || -> Vec<String> {
        let web = w.client.get(&Gvr::new("apps", "v1", "deployments"), "default", "web").unwrap().parse();
        let entries = web["metadata"]["managedFields"].as_array().unwrap().clone();
        let owners = entries.iter().filter(|e| e["fieldsV1"]["f:spec"].get("f:replicas").is_some());
        owners.map(|e| format!("{} {}", e["manager"], e["apiVersion"])).collect()
    };
    let mut wanted = deployment();
    wanted["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    wanted["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    wanted["spec"]["replicas"] = 2.into();
    apply(&object, "owner", false, &wanted).await.unwrap();

    let five = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 5},
    });
    let conflict = apply(&scale, "scaler", false, &five).await.unwrap_err();
    assert_eq!((conflict.code, conflict.is(Reason::CONFLICT)), (409, true));
    let cause = &conflict.details.as_ref().unwrap().causes[0];
    assert_eq!((cause.field.as_str(), cause.message.as_str()), (".spec.replicas", "conflict with \"owner\""));
    assert_eq!(owners(), ["\"owner\" \"apps/v1\""]);

    let forced = apply(&scale, "scaler", true, &five).await.unwrap().object.parse();
    assert_eq!((&forced["kind"], &forced["spec"]["replicas"]), (&json!("Scale"), &json!(5)));
    assert_eq!(owners(), ["\"scaler\" \"apps/v1\""]);
    let conflict = apply(&object, "owner", false, &wanted).await.unwrap_err();
    assert_eq!(
        conflict.details.as_ref().unwrap().causes[0].message,
        "conflict with \"scaler\" with subresource \"scale\""
    );

    wanted["spec"]["replicas"] = 5.into();
    apply(&object, "owner", false, &wanted).await.unwrap();
    assert_eq!(owners(), ["\"owner\" \"apps/v1\"", "\"scaler\" \"apps/v1\""], "both want the same");

    let unknown = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"x": 1}});
    assert_eq!(apply(&scale, "scaler", false, &unknown).await.unwrap_err().code, 500);
}

#[tokio::test]
async fn writes_of_status_leave_the_metadata_alone_that_their_kind_says() {
    let w = World::real().await;
    let mut web = deployment();
    web["metadata"]["labels"] = json!({"a": "b"});
    w.post("apps/v1", "deployments", &web.to_string(), FieldValidation::Strict).await.unwrap();
    let target = w.target("apps/v1", "deployments", "status", "web");
    let patch = json!({
        "metadata": {"labels": {"a": "c"}, "annotations": {"d": "e"}},
        "spec": {"replicas": 9}, "status": {"replicas": 3},
    });
    let options = WriteOptions { field_manager: "status-writer".into(), ..WriteOptions::default() };
    let (caller, body) = (Caller::default(), Body::Tree(patch));
    let after =
        w.server.patch(&caller, &target, PatchType::Merge, body, &options).await.unwrap().object.parse();
    assert_eq!(after["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(after["metadata"]["annotations"]["d"], "e");
    assert_eq!((&after["spec"]["replicas"], &after["status"]["replicas"]), (&json!(1), &json!(3)));
    let entries = after["metadata"]["managedFields"].as_array().unwrap();
    let own = &entries.iter().find(|e| e["manager"] == "status-writer").unwrap()["fieldsV1"];
    assert_eq!((own["f:metadata"].get("f:labels"), own.get("f:spec")), (None, None), "{own}");
    assert!(own["f:metadata"]["f:annotations"].get("f:d").is_some(), "{own}");
}

#[tokio::test]
async fn an_apply_creates_merges_and_repeats_without_a_write() {
    let w = World::real().await;
    let target = w.target("apps/v1", "deployments", "", "web");
    let caller = Caller::default();
    let options = WriteOptions { field_manager: "helm".into(), ..WriteOptions::default() };
    let apply = |body: Value| {
        let body = Body::Encoded { bytes: body.to_string().into(), encoding: Encoding::Yaml };
        w.server.patch(&caller, &target, PatchType::Apply, body, &options)
    };
    let mut wanted = deployment();
    wanted["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    wanted["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    let first = apply(wanted.clone()).await.unwrap();
    assert!(first.created);
    w.env.advance(60);
    let again = apply(wanted.clone()).await.unwrap();
    assert_eq!((again.created, again.object.revision), (false, first.object.revision));
    wanted["spec"]["replicas"] = 3.into();
    let third = apply(wanted).await.unwrap().object.parse();
    assert_eq!((&third["spec"]["replicas"], meta::generation(&third)), (&json!(3), 2));
    let entries = third["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["manager"], &entries[0]["operation"]), (&json!("helm"), &json!("Apply")));
}

#[tokio::test]
async fn a_required_field_that_is_missing_is_named() {
    let w = World::real().await;
    let mut body = deployment();
    body["spec"].as_object_mut().unwrap().remove("selector");
    let status =
        w.post("apps/v1", "deployments", &body.to_string(), FieldValidation::Strict).await.unwrap_err();
    assert_eq!(status.code, 422);
    assert!(status.message.contains("spec.selector: Required value"), "{}", status.message);
}

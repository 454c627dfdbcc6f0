//! patch.

use super::World;
use crate::options::{FieldValidation, PatchType, WriteOptions};
use crate::rest::{Answered, Body, Caller, Encoding};
use alcove_object::{Gvr, Status, Value, meta};
use serde_json::json;

impl World {
    /// A world with the ConfigMap `a`.
    async fn with_map() -> World {
        let w = World::real().await;
        let map = json!({"metadata": {"name": "a"}, "data": {"k": "v", "l": "w"}});
        w.client.create(&maps(), "default", map).await.unwrap();
        w
    }

    async fn patch(
        &self,
        name: &str,
        kind: PatchType,
        text: &str,
        options: WriteOptions,
    ) -> Result<Answered, Status> {
        let encoding = if kind == PatchType::Apply { Encoding::Yaml } else { Encoding::Json };
        let body = Body::Encoded { bytes: text.to_owned().into(), encoding };
        let target = self.target("v1", "configmaps", "", name);
        self.server.patch(&Caller::default(), &target, kind, body, &options).await
    }
}

fn maps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

#[tokio::test]
async fn each_type_changes_the_object_in_its_way() {
    let cases = [
        (PatchType::Merge, r#"{"data":{"k":null,"m":"x"}}"#),
        (PatchType::Strategic, r#"{"data":{"k":null,"m":"x"}}"#),
        (
            PatchType::Json,
            r#"[{"op":"test","path":"/data/k","value":"v"},{"op":"move","from":"/data/k","path":"/data/m"},
                {"op":"replace","path":"/data/m","value":"x"}]"#,
        ),
    ];
    for (kind, text) in cases {
        let w = World::with_map().await;
        let answered = w.patch("a", kind, text, WriteOptions::default()).await.unwrap();
        assert_eq!(answered.object.parse()["data"], json!({"l": "w", "m": "x"}), "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_patch() {
    // (type, patch) -> code
    let cases = [
        (PatchType::Json, "{".to_owned(), 400),
        (PatchType::Json, r#"[{"op":"test","path":"/data/k","value":"other"}]"#.into(), 422),
        (PatchType::Json, r#"[{"op":"remove","path":"/data/missing"}]"#.into(), 422),
        (
            PatchType::Json,
            format!("[{}]", vec![r#"{"op":"add","path":"/data/k","value":"v"}"#; 10_001].join(",")),
            413,
        ),
        (PatchType::Merge, "[".into(), 400),
        (PatchType::Merge, r#"{"metadata":{"name":"b"}}"#.into(), 400),
        (PatchType::Merge, r#"{"metadata":{"namespace":"b"}}"#.into(), 400),
        (PatchType::Merge, r#"{"metadata":{"resourceVersion":"1"}}"#.into(), 409),
        (PatchType::Merge, r#"{"metadata":{"uid":"other"}}"#.into(), 422),
        (PatchType::Merge, r#"{"data":{"k":5}}"#.into(), 422),
        (PatchType::Strategic, r#"{"metadata":{"resourceVersion":"1"}}"#.into(), 409),
    ];
    for (kind, text, code) in cases {
        let w = World::with_map().await;
        let status = w.patch("a", kind, &text, WriteOptions::default()).await.unwrap_err();
        assert_eq!(status.code, code, "{kind:?} {text:.80}: {}", status.message);
    }
}

#[tokio::test]
async fn only_an_apply_creates() {
    let w = World::with_map().await;
    for (kind, text) in [(PatchType::Json, "[]"), (PatchType::Merge, "{}"), (PatchType::Strategic, "{}")] {
        assert_eq!(w.patch("b", kind, text, WriteOptions::default()).await.unwrap_err().code, 404);
    }
    let apply =
        |name: &str| format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#);
    let options = || WriteOptions { field_manager: "m".into(), ..WriteOptions::default() };
    assert!(w.patch("b", PatchType::Apply, &apply("b"), options()).await.unwrap().created);
    let with_uid = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","uid":"u"}}"#;
    let status = w.patch("c", PatchType::Apply, with_uid, options()).await.unwrap_err();
    assert_eq!(status.code, 409);
    assert!(
        status
            .message
            .ends_with("uid mismatch: the provided object specified uid u, and no existing object was found")
    );
}

#[tokio::test]
async fn an_apply_does_not_take_what_others_own() {
    let w = World::with_map().await;
    let apply = |value: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}})
            .to_string()
    };
    let options = |force| WriteOptions { field_manager: "m".into(), force, ..WriteOptions::default() };
    let status = w.patch("a", PatchType::Apply, &apply("other"), options(false)).await.unwrap_err();
    assert_eq!(status.code, 409);
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!((&*causes[0].reason, causes[0].field.as_str()), ("FieldManagerConflict", ".data.k"));
    let forced = w.patch("a", PatchType::Apply, &apply("other"), options(true)).await.unwrap();
    assert_eq!(forced.object.parse()["data"], json!({"k": "other", "l": "w"}));
}

#[tokio::test]
async fn a_patch_that_changes_nothing_is_no_write() {
    let w = World::with_map().await;
    let before = w.server.store.revision();
    w.env.advance(60);
    for (kind, text) in [(PatchType::Merge, r#"{"data":{"k":"v"}}"#), (PatchType::Json, "[]")] {
        w.patch("a", kind, text, WriteOptions::default()).await.unwrap();
    }
    assert_eq!(w.server.store.revision(), before);
}

#[tokio::test]
async fn patches_without_a_version_never_conflict() {
    let w = World::with_map().await;
    let patches = (0..20).map(|n| {
        let client = w.client.clone();
        tokio::spawn(async move {
            let patch = json!({"data": {(format!("n{n}")): "x"}});
            let options = WriteOptions::default();
            client.patch(&maps(), "", "default", "a", PatchType::Merge, patch, &options).await
        })
    });
    for patch in patches.collect::<Vec<_>>() {
        patch.await.unwrap().unwrap();
    }
    let data = w.client.get(&maps(), "default", "a").unwrap().parse()["data"].clone();
    assert_eq!(data.as_object().map(|d| d.len()), Some(22));
}

#[tokio::test]
async fn fields_that_do_not_exist_are_422_under_strict() {
    let w = World::with_map().await;
    let strict = |field_validation| WriteOptions { field_validation, ..WriteOptions::default() };
    let text = r#"{"dtaa":{"k":"v"}}"#;
    let status = w.patch("a", PatchType::Merge, text, strict(FieldValidation::Strict)).await.unwrap_err();
    assert_eq!(status.code, 422);
    assert!(status.message.contains("strict decoding error: unknown field \"dtaa\""), "{}", status.message);
    assert_eq!(status.details.as_ref().unwrap().causes[0].field, "patch");
    let warned = w.patch("a", PatchType::Merge, text, strict(FieldValidation::Warn)).await.unwrap();
    assert_eq!(warned.warnings, ["unknown field \"dtaa\""]);
}

#[tokio::test]
async fn status_is_patched_alone() {
    let w = World::real().await;
    let pods = Gvr::new("", "v1", "pods");
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    w.client.create(&pods, "default", pod).await.unwrap();
    let patch = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    let options = WriteOptions::default();
    let after: Value = w
        .client
        .patch(&pods, "status", "default", "a", PatchType::Strategic, patch, &options)
        .await
        .unwrap()
        .parse();
    assert_eq!(after["status"]["phase"], "Running");
    assert!(after["spec"].get("nodeName").is_none());
    let entries = after["metadata"]["managedFields"].as_array().unwrap();
    assert!(entries.iter().any(|e| e["subresource"] == "status"));
    assert_eq!(meta::name(&after), "a");
}

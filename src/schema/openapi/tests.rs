//! What clients read from the documents, and that the two editions and both encodings agree.

use super::*;
use crate::{Minor, builtin};
use alcove_object::Value;
use serde_json::json;

fn verbs(names: &str) -> Vec<String> {
    names.split(' ').map(str::to_owned).collect()
}

const ALL: &str = "create delete deletecollection get list patch update watch";

fn apps() -> GroupVersion {
    let part = |name: &str, gvk: (&str, &str, &str)| SubresourcePaths {
        name: name.into(),
        gvk: Gvk::new(gvk.0, gvk.1, gvk.2),
        verbs: verbs("get patch update"),
        connect: vec![],
    };
    let deployments = ResourcePaths {
        plural: "deployments".into(),
        kind: "Deployment".into(),
        namespaced: true,
        verbs: verbs(ALL),
        returns_deleted: false,
        body: Body::BuiltIn,
        subresources: vec![
            part("status", ("apps", "v1", "Deployment")),
            part("scale", ("autoscaling", "v1", "Scale")),
        ],
    };
    let resource = |plural: &str, kind: &str| ResourcePaths {
        plural: plural.into(),
        kind: kind.into(),
        subresources: vec![],
        ..deployments.clone()
    };
    let resources = vec![
        resource("controllerrevisions", "ControllerRevision"),
        resource("daemonsets", "DaemonSet"),
        resource("replicasets", "ReplicaSet"),
        resource("statefulsets", "StatefulSet"),
        deployments,
    ];
    GroupVersion { group: "apps".into(), version: "v1".into(), resources }
}

fn core() -> GroupVersion {
    let part = |name: &str, gvk: (&str, &str, &str), given: &str, methods: &[&str]| SubresourcePaths {
        name: name.into(),
        gvk: Gvk::new(gvk.0, gvk.1, gvk.2),
        verbs: if given.is_empty() { vec![] } else { verbs(given) },
        connect: methods.iter().map(|m| (*m).to_owned()).collect(),
    };
    let pods = ResourcePaths {
        plural: "pods".into(),
        kind: "Pod".into(),
        namespaced: true,
        verbs: verbs(ALL),
        returns_deleted: true,
        body: Body::BuiltIn,
        subresources: vec![
            part("log", ("", "v1", "Pod"), "get", &[]),
            part("exec", ("", "v1", "PodExecOptions"), "", &["get", "post"]),
            part("proxy", ("", "v1", "PodProxyOptions"), "", &["get", "post", "patch"]),
            part("eviction", ("policy", "v1", "Eviction"), "create", &[]),
        ],
    };
    let nodes = ResourcePaths {
        plural: "nodes".into(),
        kind: "Node".into(),
        namespaced: false,
        subresources: vec![],
        ..pods.clone()
    };
    GroupVersion { group: String::new(), version: "v1".into(), resources: vec![pods, nodes] }
}

fn custom_group() -> GroupVersion {
    let schema = json!({ "type": "object", "required": ["spec"], "properties": {
        "spec": { "type": "object", "properties": {
            "cronSpec": { "type": "string", "pattern": "^.*$", "description": "when" },
            "either": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            "maybe": { "type": "object", "nullable": true, "properties": { "a": { "type": "string" } } },
            "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "template": { "type": "object", "x-kubernetes-embedded-resource": true },
        } },
    } });
    let crontabs = ResourcePaths {
        plural: "crontabs".into(),
        kind: "CronTab".into(),
        namespaced: true,
        verbs: verbs(ALL),
        returns_deleted: false,
        body: Body::Custom {
            schema: schema.to_string().into(),
            list_kind: "CronTabList".into(),
            selectable: vec![".spec.cronSpec".into()],
        },
        subresources: vec![],
    };
    GroupVersion { group: "stable.example.com".into(), version: "v1".into(), resources: vec![crontabs] }
}

fn v3_of(gv: &GroupVersion) -> Value {
    v3::document(&builtin::types(Minor::DEFAULT), gv)
}

fn v2_of(groups: &[GroupVersion]) -> Value {
    v2::document(&builtin::types(Minor::DEFAULT), groups, "v1.36.3")
}

/// Every reference in a tree.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn references_are_defined_and_definitions_reached() {
    for gv in [apps(), core(), custom_group()] {
        let v3 = v3_of(&gv);
        let v2 = v2_of(std::slice::from_ref(&gv));
        for (document, place) in [(&v3, "/components/schemas"), (&v2, "/definitions")] {
            let mut found = Vec::new();
            references(document, &mut found);
            assert!(!found.is_empty());
            for reference in found {
                let name = reference.strip_prefix(&format!("#{place}/")).expect("in its place");
                assert!(document.pointer(place).expect("place").get(name).is_some(), "{reference}");
            }
        }
    }
}

#[test]
fn operation_ids() {
    let ids = |document: &Value| -> Vec<String> {
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.values().flat_map(|item| item.as_object().expect("item").values());
        operations.filter_map(|o| o["operationId"].as_str().map(str::to_owned)).collect()
    };
    let apps = ids(&v3_of(&apps()));
    for id in [
        "getAppsV1APIResources",
        "listAppsV1DeploymentForAllNamespaces",
        "listAppsV1NamespacedDeployment",
        "createAppsV1NamespacedDeployment",
        "deleteAppsV1CollectionNamespacedDeployment",
        "readAppsV1NamespacedDeployment",
        "replaceAppsV1NamespacedDeploymentStatus",
        "patchAppsV1NamespacedDeploymentScale",
    ] {
        assert!(apps.iter().any(|i| i == id), "{id}");
    }
    let core = ids(&v3_of(&core()));
    for id in [
        "listCoreV1Node",
        "readCoreV1NamespacedPodLog",
        "connectCoreV1PostNamespacedPodExec",
        "connectCoreV1PatchNamespacedPodProxyWithPath",
        "createCoreV1NamespacedPodEviction",
    ] {
        assert!(core.iter().any(|i| i == id), "{id}");
    }
    assert!(ids(&v3_of(&custom_group())).contains(&"createStableExampleComV1NamespacedCronTab".to_owned()));
    let mut all = core.clone();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), core.len(), "ids are unique");
}

#[test]
fn what_kubectl_looks_for() {
    let document = v3_of(&apps());
    let item = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let names = |parameters: &Value| -> Vec<String> {
        let all = parameters.as_array().into_iter().flatten();
        all.filter_map(|p| p["name"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(names(&item["patch"]["parameters"]), ["dryRun", "fieldManager", "fieldValidation", "force"]);
    assert_eq!(names(&item["parameters"]), ["name", "namespace", "pretty"]);
    let gvk = json!({ "group": "apps", "version": "v1", "kind": "Deployment" });
    assert_eq!(item["patch"]["x-kubernetes-group-version-kind"], gvk);
    assert_eq!(item["patch"]["x-kubernetes-action"], "patch");
    let schema = &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(schema["x-kubernetes-group-version-kind"], json!([gvk]));
    assert!(schema["description"].as_str().expect("text").starts_with("Deployment enables"));
    assert_eq!(schema["properties"]["spec"]["default"], json!({}));
    let port = &document["components"]["schemas"]["io.k8s.api.core.v1.ContainerPort"]["properties"];
    assert_eq!(port["protocol"]["default"], "TCP");
    assert_eq!(port["protocol"]["enum"], json!(["SCTP", "TCP", "UDP"]));
}

#[test]
fn editions_say_special_types_differently() {
    let int_or_string = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    let v2 = v2_of(&[apps()]);
    let v3 = v3_of(&apps());
    assert_eq!(v2["definitions"][int_or_string]["type"], "string");
    assert_eq!(v3["components"]["schemas"][int_or_string]["oneOf"][0]["type"], "integer");
    let spec = "io.k8s.api.apps.v1.DeploymentSpec";
    assert_eq!(v2["definitions"][spec]["properties"]["template"].get("default"), None);
    assert!(v2["definitions"][spec]["properties"]["template"]["$ref"].is_string());
    assert!(v3["components"]["schemas"][spec]["properties"]["template"]["allOf"][0]["$ref"].is_string());
}

#[test]
fn patch_strategies() {
    let types = builtin::types(Minor::DEFAULT);
    let budgets = ResourcePaths {
        plural: "poddisruptionbudgets".into(),
        kind: "PodDisruptionBudget".into(),
        subresources: vec![],
        ..core().resources.remove(0)
    };
    let gv = GroupVersion { group: "policy".into(), version: "v1".into(), resources: vec![budgets] };
    let document = v3::document(&types, &gv);
    let spec = &document["components"]["schemas"]["io.k8s.api.policy.v1.PodDisruptionBudgetSpec"];
    assert_eq!(spec["properties"]["selector"]["x-kubernetes-patch-strategy"], "replace");
    let pods = v3_of(&core());
    let spec = &pods["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"];
    assert_eq!(spec["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(spec["volumes"]["x-kubernetes-patch-merge-key"], "name");
}

#[test]
fn lists_are_described_alike() {
    let document = v3_of(&apps());
    let list = &document["components"]["schemas"]["io.k8s.api.apps.v1.DeploymentList"];
    assert_eq!(list["description"], "DeploymentList is a list of objects of kind Deployment.");
    for field in ["apiVersion", "kind", "metadata", "items"] {
        assert!(
            list["properties"][field]["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{field}"
        );
    }
}

#[test]
fn custom_resources() {
    let v3 = v3_of(&custom_group());
    let name = "com.example.stable.v1.CronTab";
    let schema = &v3["components"]["schemas"][name];
    assert_eq!(schema["properties"]["spec"]["properties"]["cronSpec"]["pattern"], "^.*$");
    assert!(schema["properties"]["metadata"]["allOf"][0]["$ref"].is_string());
    let template = &schema["properties"]["spec"]["properties"]["template"];
    assert_eq!(template["required"], json!(["kind", "apiVersion"]));
    assert!(template["properties"]["metadata"].is_object());
    let list = &v3["components"]["schemas"]["com.example.stable.v1.CronTabList"];
    assert_eq!(list["x-kubernetes-group-version-kind"][0]["kind"], "CronTabList");
    assert_eq!(schema["x-kubernetes-selectable-fields"], json!([{ "fieldPath": "spec.cronSpec" }]));
    let v2 = v2_of(&[custom_group()]);
    let spec = &v2["definitions"][name]["properties"]["spec"]["properties"];
    assert_eq!(spec["either"], json!({ "x-kubernetes-int-or-string": true }));
    assert_eq!(spec["maybe"], json!({}));
    assert_eq!(spec["open"], json!({ "x-kubernetes-preserve-unknown-fields": true }));
}

#[test]
fn custom_resources_without_a_schema_stay_open() {
    let mut gv = custom_group();
    gv.resources[0].body =
        Body::Custom { schema: "null".into(), list_kind: "CronTabList".into(), selectable: vec![] };
    let document = v2_of(&[gv]);
    assert_eq!(document["definitions"]["com.example.stable.v1.CronTab"].get("properties"), None);
}

#[test]
fn protobuf_of_a_small_document() {
    let document = json!({
        "swagger": "2.0",
        "definitions": { "A": { "type": "string", "x-b": [1], "additionalProperties": true } },
    });
    let schema =
        b"\xaa\x01\x02\x10\x01\xb2\x01\x08\x0a\x06string\xfa\x01\x0d\x0a\x03x-b\x12\x06\x12\x04[1]\n";
    let mut wanted =
        vec![0x4a, (schema.len() + 7) as u8, 0x0a, (schema.len() + 5) as u8, 0x0a, 1, b'A', 0x12];
    wanted.push(schema.len() as u8);
    wanted.extend_from_slice(schema);
    wanted.extend_from_slice(b"\x0a\x032.0");
    assert_eq!(v2::to_protobuf(&document), wanted);
}

#[test]
fn hashes_and_the_index() {
    assert!(hash(b"").starts_with("CF83E1357EEFB8BD"));
    assert_eq!(hash(b"").len(), 128);
    let index = v3::index([("api/v1", "AB")]);
    assert_eq!(index["paths"]["api/v1"]["serverRelativeURL"], "/openapi/v3/api/v1?hash=AB");
}

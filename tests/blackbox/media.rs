//! Forms of answers: discovery and its caching, tables, protobuf, YAML, metadata only, and what every answer carries.

use super::harness::http::summary;
use super::harness::{Api, assert_fits, shared};
use serde_json::{Value, json};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn accept(api: &Api, path: &str, media: &str) -> super::harness::Answer {
    api.send("GET", path, &[("accept", media)], b"")
}

#[test]
fn legacy_discovery() {
    let api = shared().api();
    for slash in ["", "/"] {
        assert_fits(
            "/api",
            &json!({"kind": "APIVersions", "versions": ["v1"]}),
            &api.get(&format!("/api{slash}")).expect(200),
        );
        let groups = api.get(&format!("/apis{slash}")).expect(200);
        assert_eq!(groups["kind"], "APIGroupList");
        let names: Vec<&str> =
            groups["groups"].as_array().unwrap().iter().filter_map(|g| g["name"].as_str()).collect();
        assert!(names.contains(&"apps") && names.contains(&"rbac.authorization.k8s.io"), "{names:?}");
    }
    let apps = json!({"kind": "APIGroup", "name": "apps", "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}});
    assert_fits("/apis/apps", &apps, &api.get("/apis/apps").expect(200));
    let resources = api.get("/apis/apps/v1").expect(200);
    assert_eq!(resources["kind"], "APIResourceList");
    let find = |name: &str| {
        resources["resources"].as_array().unwrap().iter().find(|r| r["name"] == name).unwrap().clone()
    };
    let deployments = json!({
        "singularName": "deployment", "namespaced": true, "kind": "Deployment", "shortNames": ["deploy"], "categories": ["all"],
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "storageVersionHash": "[..]=",
    });
    assert_fits("deployments", &deployments, &find("deployments"));
    let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]});
    assert_fits("deployments/scale", &scale, &find("deployments/scale"));
}

#[test]
fn aggregated_discovery_is_cached_by_etag() {
    let api = shared().api();
    for (path, group) in [("/api", ""), ("/apis", "apps"), ("/apis/", "batch")] {
        let answer = accept(&api, path, &format!("{AGGREGATED},application/json"));
        assert_eq!(answer.header("content-type"), AGGREGATED);
        assert_eq!(answer.header("vary"), "Accept");
        assert_eq!(answer.header("cache-control"), "public");
        let etag = answer.header("etag").to_owned();
        assert_eq!(
            (etag.len(), etag.starts_with('"')),
            (130, true),
            "{etag}: SHA-512 in hexadecimal, quoted"
        );
        let list = answer.expect(200);
        assert_eq!(list["kind"], "APIGroupDiscoveryList");
        let found = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["metadata"]["name"].as_str().unwrap_or("") == group);
        assert_fits(
            group,
            &json!({"version": "v1", "freshness": "Current"}),
            &found.expect("the group")["versions"][0],
        );
        let headers = [("accept", AGGREGATED), ("if-none-match", etag.as_str())];
        let again = api.send("GET", path, &headers, b"");
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
    let old = accept(
        &api,
        "/apis",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
    );
    assert_eq!(old.expect(200)["kind"], "APIGroupList", "v2beta1 is gone; the next clause fits");
}

#[test]
fn openapi_is_there_by_hash() {
    let api = shared().api();
    let index = api.get("/openapi/v3").expect(200);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("a URL").to_owned();
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="), "{url}");
    let answer = api.get(&url);
    assert_eq!(answer.header("cache-control"), "public, immutable");
    let document = answer.expect(200);
    let patch =
        &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]["parameters"];
    assert!(patch.as_array().expect("parameters").iter().any(|p| p["name"] == "fieldValidation"));
    let moved = api.get("/openapi/v3/apis/apps/v1?hash=WRONG");
    assert_eq!((moved.status, moved.header("location")), (301, url.as_str()));
    let v2 = accept(&api, "/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf");
    assert_eq!(v2.status, 200);
    let etag = v2.header("etag").to_owned();
    let headers = [
        ("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"),
        ("if-none-match", etag.as_str()),
    ];
    assert_eq!(api.send("GET", "/openapi/v2", &headers, b"").status, 304);
    assert_eq!(api.get("/openapi/v2").expect(200)["swagger"], "2.0");
}

#[test]
fn every_answer_carries_what_upstreams_do() {
    let api = shared().api();
    for path in ["/api/v1/namespaces", "/api/v1/namespaces/nowhere", "/version", "/nothing"] {
        let answer = api.get(path);
        assert_eq!(answer.header("cache-control"), "no-cache, private", "{path}");
        assert_ne!(answer.header("audit-id"), "", "{path}");
    }
    let nothing = api.get("/nothing");
    assert_eq!((nothing.status, nothing.text().trim()), (404, "404 page not found"));
    assert!(nothing.header("content-type").starts_with("text/plain"));
    let head = api.send("HEAD", "/api/v1/namespaces/default", &[("connection", "close")], b"");
    assert_eq!(head.status, 200);
    for (path, start) in [("/livez", "ok"), ("/readyz", "ok"), ("/healthz", "ok"), ("/readyz?verbose", "[+]")]
    {
        assert!(api.get(path).text().starts_with(start), "{path}");
    }
    let metrics = api.get("/metrics").text();
    assert!(metrics.contains("apiserver_request_total{"), "{metrics}");
}

#[test]
fn tables() {
    let api = shared().api();
    api.namespace("tables");
    let path = "/api/v1/namespaces/tables/configmaps";
    api.post(path, &json!({"metadata": {"name": "a"}, "data": {"x": "1"}})).expect(201);
    let table = accept(&api, path, TABLE).expect(200);
    let expected = json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name"}, {"name": "Data", "type": "string"}, {"name": "Age", "type": "string"},
        ],
        "rows": [
            {"cells": ["a", 1, "[..]"], "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}, "data": null}},
            {"cells": ["kube-root-ca.crt", 1, "[..]"]},
        ],
    });
    assert_fits("a list", &expected, &table);
    let one = accept(&api, &format!("{path}/a?includeObject=Object"), TABLE).expect(200);
    assert_fits(
        "the object",
        &json!({"rows": [{"object": {"kind": "ConfigMap", "data": {"x": "1"}}}]}),
        &one,
    );
    let none = accept(&api, &format!("{path}/a?includeObject=None"), TABLE).expect(200);
    assert_fits("no object", &json!({"rows": [{"object": null}]}), &none);
    let headers = [("accept", TABLE), ("content-type", "application/json")];
    let review = api.send(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        &headers,
        br#"{"spec":{}}"#,
    );
    assert_fits("a review", &json!({"reason": "NotAcceptable", "code": 406}), &review.expect(406));
}

/// A ConfigMap `proto` in its envelope, as kubectl and client-go send it.
const PROTOBUF_BODY: &[u8] =
    b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x11\x0a\x07\x0a\x05proto\x12\x06\x0a\x01k\x12\x01v";

#[test]
fn protobuf_there_and_back() {
    let api = shared().api();
    api.namespace("protobuf");
    let path = "/api/v1/namespaces/protobuf/configmaps";
    let one = format!("{path}/proto");
    let headers = [("content-type", PROTOBUF), ("accept", "application/json")];
    let created = api.send("POST", path, &headers, PROTOBUF_BODY).expect(201);
    assert_fits("created", &json!({"metadata": {"name": "proto"}, "data": {"k": "v"}}), &created);
    // client-go asks for protobuf first and takes JSON, too.
    for (path, media) in
        [(one.as_str(), PROTOBUF), (path, "application/vnd.kubernetes.protobuf,application/json")]
    {
        let answer = accept(&api, path, media);
        assert_eq!((answer.status, answer.header("content-type")), (200, PROTOBUF));
        assert!(answer.body.starts_with(b"k8s\0"));
    }
    // The very bytes written back change nothing: not even the version.
    let bytes = accept(&api, &one, PROTOBUF).body;
    assert_eq!(api.send("PUT", &one, &headers, &bytes).expect(200), created);
    // What deletes carry: kubectl and client-go send options as protobuf, too.
    let options = b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x0c\x22\x0aBackground";
    let deleted = api.send("DELETE", &one, &headers, options);
    assert_eq!(deleted.expect(200)["status"], "Success");
}

#[test]
fn metadata_alone() {
    let api = shared().api();
    let media = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let one = accept(&api, "/api/v1/namespaces/default", media).expect(200);
    let expected = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "default"}, "spec": null});
    assert_fits("one", &expected, &one);
    let media = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = accept(&api, "/api/v1/namespaces?fieldSelector=metadata.name%3Ddefault", media).expect(200);
    assert_fits(
        "a list",
        &json!({"kind": "PartialObjectMetadataList", "items": [{"metadata": {"name": "default"}, "spec": null}]}),
        &list,
    );
}

#[test]
fn yaml_there_and_back() {
    let api = shared().api();
    api.namespace("yaml");
    let path = "/api/v1/namespaces/yaml/configmaps";
    let body = b"metadata:\n  name: text\ndata:\n  text: |\n    two\n    lines\n  quoted: \"yes\"\n";
    let created = api.send("POST", path, &[("content-type", "application/yaml")], body).expect(201);
    assert_eq!(created["data"], json!({"text": "two\nlines\n", "quoted": "yes"}));
    let yaml = accept(&api, &format!("{path}/text"), "application/yaml");
    assert_eq!(yaml.header("content-type"), "application/yaml");
    let back = api
        .send("PUT", &format!("{path}/text"), &[("content-type", "application/yaml")], &yaml.body)
        .expect(200);
    assert_eq!(back, created);
}

#[test]
fn lists_and_watches_in_tables() {
    let api = shared().api();
    api.namespace("table-watch");
    let path = "/api/v1/namespaces/table-watch/secrets";
    let version = api.get(path).expect(200)["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    api.post(path, &json!({"metadata": {"name": "one"}})).expect(201);
    api.post(path, &json!({"metadata": {"name": "two"}})).expect(201);
    let watch = format!("{path}?watch=1&resourceVersion={version}&timeoutSeconds=1");
    let answer = accept(&api, &watch, TABLE);
    let events: Vec<Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["object"]["columnDefinitions"].as_array().unwrap().len(), 4);
    assert!(
        events[1]["object"]["columnDefinitions"].as_array().is_none_or(Vec::is_empty),
        "columns come once"
    );
    assert_eq!(events[1]["object"]["rows"][0]["cells"][0], "two");
    assert_eq!(summary(&events[0]), "ADDED ");
}

#[test]
fn large_answers_are_compressed_on_request() {
    let api = shared().api();
    api.namespace("gzip");
    let path = "/api/v1/namespaces/gzip/configmaps";
    api.post(path, &json!({"metadata": {"name": "large"}, "data": {"text": "word ".repeat(60_000)}}))
        .expect(201);
    let plain = api.get(&format!("{path}/large"));
    assert_eq!(plain.header("content-encoding"), "");
    let packed = api.send("GET", &format!("{path}/large"), &[("accept-encoding", "gzip")], b"");
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    assert!(packed.body.starts_with(b"\x1f\x8b") && packed.body.len() * 10 < plain.body.len());
    let small = api.send("GET", "/api/v1/namespaces/gzip", &[("accept-encoding", "gzip")], b"");
    assert_eq!(small.header("content-encoding"), "", "small ones are not worth it");
}

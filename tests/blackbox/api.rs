//! API behaviour that clients rely on, over raw HTTP: writes, lists, watches, deletion, ownership of fields.

use super::harness::http::summary;
use super::harness::{Api, assert_fits, eventually, shared};
use serde_json::{Value, json};

/// The path of ConfigMaps in a new namespace.
fn configmaps(api: &Api, namespace: &str) -> String {
    api.namespace(namespace);
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

fn create(api: &Api, path: &str, name: &str) -> Value {
    api.post(path, &json!({"metadata": {"name": name, "labels": {"made": "here"}}})).expect(201)
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a decimal version")
}

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect()
}

#[test]
fn the_server_owns_metadata() {
    let api = shared().api();
    let path = configmaps(&api, "metadata");
    let body = json!({"metadata": {
        "name": "a", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "deletionTimestamp": "2001-01-01T00:00:00Z", "generation": 7,
        "selfLink": "/x",
    }});
    let created = api.post(&path, &body).expect(201);
    let expected = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "metadata", "uid": "[..]-[..]-[..]-[..]-[..]", "creationTimestamp": "20[..]Z", "deletionTimestamp": null, "selfLink": null},
    });
    assert_fits("created", &expected, &created);
    assert!(!created["metadata"]["creationTimestamp"].as_str().unwrap().starts_with("2001"));
    assert_fits(
        "managed fields",
        &json!({"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"}),
        &created["metadata"]["managedFields"]
            .get(0)
            .cloned()
            .unwrap_or_else(|| json!({"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"})),
    );
    let with_version = api.post(&path, &json!({"metadata": {"name": "b", "resourceVersion": "5"}}));
    assert_eq!(
        with_version.expect(500)["message"],
        "resourceVersion should not be set on objects to be created"
    );
    let generated = api.post(&path, &json!({"metadata": {"generateName": "gen-"}})).expect(201);
    let suffix = generated["metadata"]["name"].as_str().unwrap().strip_prefix("gen-").unwrap().to_owned();
    assert!(
        suffix.len() == 5 && suffix.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)),
        "{suffix}"
    );
}

#[test]
fn dry_runs_change_nothing() {
    let api = shared().api();
    let path = configmaps(&api, "dry-run");
    let object = create(&api, &path, "a");
    let one = format!("{path}/a");
    let body = json!({"metadata": {"name": "b"}});
    assert_eq!(api.post(&format!("{path}?dryRun=All"), &body).expect(201)["metadata"]["name"], "b");
    assert_eq!(api.get(&format!("{path}/b")).status, 404);
    let changed = api.patch("merge", &format!("{one}?dryRun=All"), &json!({"data": {"x": "y"}})).expect(200);
    assert_eq!(changed["data"]["x"], "y");
    api.delete(&format!("{one}?dryRun=All")).expect(200);
    assert_eq!(api.get(&one).expect(200), object);
}

#[test]
fn writes_that_change_nothing_are_no_writes() {
    let api = shared().api();
    let path = configmaps(&api, "no-op");
    let object = create(&api, &path, "a");
    let one = format!("{path}/a");
    assert_eq!(api.put(&one, &object).expect(200), object);
    assert_eq!(
        api.patch("merge", &one, &json!({"metadata": {"labels": {"made": "here"}}})).expect(200),
        object
    );
    let applied =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y"}});
    let first = api.patch("apply", &format!("{one}?fieldManager=me"), &applied).expect(200);
    assert_eq!(api.patch("apply", &format!("{one}?fieldManager=me"), &applied).expect(200), first);
}

#[test]
fn generation_counts_specs_and_status_is_apart() {
    let api = shared().api();
    api.namespace("generation");
    let path = "/apis/apps/v1/namespaces/generation/deployments";
    let pods =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let body = json!({
        "metadata": {"name": "d"}, "status": {"replicas": 9},
        "spec": {"paused": true, "replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": pods},
    });
    let created = api.post(path, &body).expect(201);
    assert_fits("created", &json!({"metadata": {"generation": 1}, "status": {"replicas": null}}), &created);
    let one = format!("{path}/d");
    let labelled = api.patch("merge", &one, &json!({"metadata": {"labels": {"x": "y"}}})).expect(200);
    assert_eq!(labelled["metadata"]["generation"], 1);
    let scaled = api.patch("merge", &one, &json!({"spec": {"replicas": 1}})).expect(200);
    assert_eq!(scaled["metadata"]["generation"], 2);
    let by_main = api.patch("merge", &one, &json!({"status": {"collisionCount": 7}})).expect(200);
    assert_ne!(by_main["status"]["collisionCount"], 7, "the main endpoint leaves the status alone");
    let both = json!({"spec": {"replicas": 5}, "status": {"collisionCount": 7}});
    let by_status = api.patch("merge", &format!("{one}/status"), &both).expect(200);
    assert_fits(
        "status",
        &json!({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"collisionCount": 7}}),
        &by_status,
    );
    let scale = api.get(&format!("{one}/scale")).expect(200);
    assert_fits(
        "scale",
        &json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": 1}, "status": {"selector": "a=b"}}),
        &scale,
    );
    let up = api.patch("merge", &format!("{one}/scale"), &json!({"spec": {"replicas": 3}})).expect(200);
    assert_eq!(up["spec"]["replicas"], 3);
    assert_eq!(api.get(&one).expect(200)["metadata"]["generation"], 3);
}

#[test]
fn lists_come_in_pages_of_one_moment() {
    let api = shared().api();
    let path = configmaps(&api, "pages");
    for name in ["g", "f", "e", "d", "c", "b", "a"] {
        create(&api, &path, name);
    }
    let first = api.get(&format!("{path}?limit=3")).expect(200);
    assert_eq!(names(&first), ["a", "b", "c"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 5);
    create(&api, &path, "aa");
    api.delete(&format!("{path}/g")).expect(200);
    let token = |list: &Value| list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    let second = api.get(&format!("{path}?limit=3&continue={}", token(&first))).expect(200);
    assert_eq!(names(&second), ["d", "e", "f"]);
    let third = api.get(&format!("{path}?limit=3&continue={}", token(&second))).expect(200);
    assert_eq!(names(&third), ["g", "kube-root-ca.crt"], "as of the first page");
    assert_fits("the last page", &json!({"continue": null, "remainingItemCount": null}), &third["metadata"]);
    assert_eq!((version(&second), version(&third)), (version(&first), version(&first)));
    let selected = api.get(&format!("{path}?limit=2&labelSelector=made")).expect(200);
    assert_fits(
        "with a selector",
        &json!({"remainingItemCount": null, "continue": "[..]"}),
        &selected["metadata"],
    );
    let exact = format!("{path}?resourceVersionMatch=Exact&resourceVersion={}", version(&first));
    assert_eq!(names(&api.get(&exact).expect(200)), ["a", "b", "c", "d", "e", "f", "g", "kube-root-ca.crt"]);
    let cached = api.get(&format!("{path}?resourceVersion=0&limit=1")).expect(200);
    assert_eq!(names(&cached).len(), 8, "the limit is ignored from the cache");
}

#[test]
fn the_questions_a_list_refuses() {
    let api = shared().api();
    let path = configmaps(&api, "list-rules");
    create(&api, &path, "a");
    let first = api.get(&format!("{path}?limit=1")).expect(200);
    let token = first["metadata"]["continue"].as_str().expect("a second page").to_owned();
    for (query, code, reason) in [
        ("resourceVersionMatch=NotOlderThan".to_owned(), 422, "Invalid"),
        ("resourceVersionMatch=Exact&resourceVersion=0".to_owned(), 422, "Invalid"),
        ("resourceVersionMatch=Perhaps&resourceVersion=1".to_owned(), 422, "Invalid"),
        (format!("continue={token}&resourceVersionMatch=Exact&resourceVersion=1"), 422, "Invalid"),
        (format!("continue={token}&resourceVersion=1"), 400, "BadRequest"),
        ("sendInitialEvents=true".to_owned(), 422, "Invalid"),
        ("watch=1&sendInitialEvents=true".to_owned(), 422, "Invalid"),
        ("resourceVersion=999999999".to_owned(), 504, "Timeout"),
    ] {
        let status = api.get(&format!("{path}?{query}"));
        assert_fits(&query, &json!({"kind": "Status", "code": code, "reason": reason}), &status.json());
    }
    let late = api.get(&format!("{path}/a?resourceVersion=999999999")).expect(504);
    assert_fits(
        "get",
        &json!({"message": "[..]Too large resource version: 999999999, current: [..]", "details": {"retryAfterSeconds": 1, "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}}),
        &late,
    );
}

#[test]
fn watches_tell_every_change_in_order() {
    let api = shared().api();
    let path = configmaps(&api, "watches");
    let start = version(&api.get(&path).expect(200));
    let mut watch = api.watch(&format!("{path}?watch=1&resourceVersion={start}"));
    let created = create(&api, &path, "a");
    assert_eq!(watch.event(), json!({"type": "ADDED", "object": created}));
    let changed = api.patch("merge", &format!("{path}/a"), &json!({"data": {"x": "y"}})).expect(200);
    assert_eq!(watch.event(), json!({"type": "MODIFIED", "object": changed}));
    api.delete(&format!("{path}/a")).expect(200);
    let deleted = watch.event();
    assert_fits("the end", &json!({"type": "DELETED", "object": {"data": {"x": "y"}}}), &deleted);
    assert!(version(&deleted["object"]) > version(&changed), "with the version of the deletion");
    let again = api.watch(&format!("{path}?watch=1&resourceVersion={start}&timeoutSeconds=1"));
    assert_eq!(again.rest(), ["ADDED a", "MODIFIED a", "DELETED a"]);
}

#[test]
fn watches_with_selectors_tell_comings_and_goings() {
    let api = shared().api();
    let path = configmaps(&api, "watch-selectors");
    let start = version(&api.get(&path).expect(200));
    create(&api, &path, "a");
    let one = format!("{path}/a");
    let label = |value: Value| {
        api.patch("merge", &one, &json!({"metadata": {"labels": {"tier": value}}})).expect(200)
    };
    label(json!("gold"));
    let before = api.patch("merge", &one, &json!({"data": {"x": "y"}})).expect(200);
    let lost = label(Value::Null);
    label(json!("gold"));
    api.delete(&one).expect(200);
    let query = format!("watch=1&resourceVersion={start}&labelSelector=tier%3Dgold&timeoutSeconds=1");
    let mut watch = api.watch(&format!("{path}?{query}"));
    let events: Vec<Value> = std::iter::from_fn(|| watch.next()).collect();
    let told: Vec<String> = events.iter().map(summary).collect();
    assert_eq!(told, ["ADDED a", "MODIFIED a", "DELETED a", "ADDED a", "DELETED a"]);
    let gone = &events[2]["object"];
    assert_eq!(
        (&gone["metadata"]["labels"], version(gone)),
        (&before["metadata"]["labels"], version(&lost)),
        "as it was, at the new version"
    );
    let named = format!(
        "{path}?watch=1&resourceVersion={start}&fieldSelector=metadata.name%3Dother&timeoutSeconds=1"
    );
    assert_eq!(api.watch(&named).rest(), Vec::<String>::new());
}

#[test]
fn streaming_lists_end_with_a_bookmark() {
    let api = shared().api();
    let path = configmaps(&api, "watch-list");
    create(&api, &path, "a");
    let newest = version(&create(&api, &path, "b"));
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = api.watch(&format!("{path}?{query}"));
    let told = [watch.event(), watch.event(), watch.event()].map(|event| summary(&event));
    assert_eq!(told, ["ADDED a", "ADDED b", "ADDED kube-root-ca.crt"]);
    let bookmark = watch.event();
    let expected = json!({"type": "BOOKMARK", "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"annotations": {"k8s.io/initial-events-end": "true"}}}});
    assert_fits("the bookmark", &expected, &bookmark);
    assert!(version(&bookmark["object"]) >= newest);
    create(&api, &path, "c");
    assert_eq!(summary(&watch.event()), "ADDED c");
    // A client that asks for no version gets what is there, and no bookmark that it did not ask for.
    let plain = api.watch(&format!("{path}?watch=1&timeoutSeconds=1"));
    assert_eq!(plain.rest(), ["ADDED a", "ADDED b", "ADDED c", "ADDED kube-root-ca.crt"]);
}

#[test]
fn finalizers_hold_objects() {
    let api = shared().api();
    let path = configmaps(&api, "finalizers");
    api.post(
        &path,
        &json!({"metadata": {"name": "a", "finalizers": ["example.org/one", "example.org/two"]}}),
    )
    .expect(201);
    let one = format!("{path}/a");
    let held = api.delete(&one).expect(200);
    assert_fits(
        "held",
        &json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "20[..]Z", "deletionGracePeriodSeconds": 0}}),
        &held,
    );
    assert_eq!(
        api.delete(&one).expect(200)["metadata"]["resourceVersion"],
        held["metadata"]["resourceVersion"],
        "deleting again changes nothing"
    );
    let more =
        json!({"metadata": {"finalizers": ["example.org/one", "example.org/two", "example.org/three"]}});
    let refused = api.patch("merge", &one, &more).expect(422);
    assert_fits(
        "more finalizers",
        &json!({"reason": "Invalid", "message": "[..]metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted[..]"}),
        &refused,
    );
    let again = api.post(&path, &json!({"metadata": {"name": "a"}})).expect(409);
    assert_eq!(again["message"], "object is being deleted: configmaps \"a\" already exists");
    api.patch("merge", &one, &json!({"metadata": {"finalizers": ["example.org/two"]}})).expect(200);
    api.patch("merge", &one, &json!({"metadata": {"finalizers": []}})).expect(200);
    assert_eq!(api.get(&one).status, 404, "gone with its last finalizer");
}

#[test]
fn deletion_answers_and_keeps_to_preconditions() {
    let api = shared().api();
    let path = configmaps(&api, "deletion");
    let object = create(&api, &path, "a");
    let one = format!("{path}/a");
    let with = |options: Value| {
        api.send("DELETE", &one, &[("content-type", "application/json")], options.to_string().as_bytes())
    };
    for preconditions in [json!({"uid": "another"}), json!({"resourceVersion": "1"})] {
        let refused =
            with(json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}));
        assert_eq!(refused.expect(409)["reason"], "Conflict");
    }
    let both = with(
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "orphanDependents": true}),
    );
    assert_eq!(both.expect(422)["reason"], "Invalid");
    let uid = object["metadata"]["uid"].clone();
    let gone =
        with(json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}})).expect(200);
    assert_fits(
        "deleted",
        &json!({"kind": "Status", "status": "Success", "details": {"name": "a", "kind": "configmaps", "uid": uid}}),
        &gone,
    );
    assert_fits(
        "gone",
        &json!({"reason": "NotFound", "message": "configmaps \"a\" not found", "details": {"name": "a", "kind": "configmaps"}}),
        &api.delete(&one).expect(404),
    );
    for name in ["b", "c"] {
        create(&api, &path, name);
    }
    let all = api.delete(&format!("{path}?labelSelector=made%3Dhere")).expect(200);
    assert_eq!((all["kind"].as_str(), names(&all)), (Some("ConfigMapList"), vec!["b", "c"]));
    assert_eq!(names(&api.get(&path).expect(200)), ["kube-root-ca.crt"]);
}

#[test]
fn namespaces_end_with_all_that_is_in_them() {
    let api = shared().api();
    let path = configmaps(&api, "ending");
    api.post(&path, &json!({"metadata": {"name": "held", "finalizers": ["example.org/hold"]}})).expect(201);
    let namespace = "/api/v1/namespaces/ending";
    let ending = api.delete(namespace).expect(200);
    assert_fits(
        "ending",
        &json!({"kind": "Namespace", "status": {"phase": "Terminating"}, "metadata": {"deletionTimestamp": "20[..]Z"}}),
        &ending,
    );
    let refused = api.post(&path, &json!({"metadata": {"name": "late"}})).expect(403);
    let expected = json!({
        "reason": "Forbidden",
        "message": "configmaps \"late\" is forbidden: unable to create new content in namespace ending because it is being terminated",
        "details": {"causes": [{"reason": "NamespaceTerminating", "message": "namespace ending is being terminated", "field": "metadata.namespace"}]},
    });
    assert_fits("late", &expected, &refused);
    api.patch("merge", &format!("{path}/held"), &json!({"metadata": {"finalizers": null}})).expect(200);
    eventually("the namespace's end", || {
        if api.get(namespace).status == 404 { Ok(()) } else { Err("it is there".into()) }
    });
    for name in ["default", "kube-system", "kube-public"] {
        let refused = api.delete(&format!("/api/v1/namespaces/{name}")).expect(403);
        assert_eq!(
            refused["message"],
            format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted")
        );
    }
}

#[test]
fn applying_owns_fields() {
    let api = shared().api();
    let path = configmaps(&api, "apply");
    let one = format!("{path}/a");
    let apply = |manager: &str, data: Value| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        api.patch("apply", &format!("{one}?{manager}"), &body)
    };
    apply("fieldManager=one", json!({"x": "1", "y": "1"})).expect(201);
    let conflict = apply("fieldManager=two", json!({"x": "2"})).expect(409);
    let expected = json!({
        "reason": "Conflict", "message": "Apply failed with 1 conflict: conflict with \"one\": .data.x",
        "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.x"}]},
    });
    assert_fits("conflict", &expected, &conflict);
    apply("fieldManager=two", json!({"x": "1"})).expect(200);
    let forced = apply("fieldManager=two&force=true", json!({"x": "2"})).expect(200);
    assert_eq!(forced["data"], json!({"x": "2", "y": "1"}));
    let dropped = apply("fieldManager=one", json!({})).expect(200);
    assert_eq!(dropped["data"], json!({"x": "2"}), "nobody else owned y");
    let managers: Vec<&Value> =
        dropped["metadata"]["managedFields"].as_array().unwrap().iter().map(|m| &m["manager"]).collect();
    assert!(managers.contains(&&json!("two")), "{managers:?}");
    let unknown =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "colour": "red"});
    let refused = api.patch("apply", &format!("{one}?fieldManager=one"), &unknown);
    assert!(refused.text().contains("colour"), "{}", refused.text());
    assert!(refused.status >= 400);
}

#[test]
fn owners_take_their_dependents_with_them() {
    let api = shared().api();
    let path = configmaps(&api, "owners");
    let owner = create(&api, &path, "owner");
    let reference =
        |uid: &Value| json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]);
    for (name, owners) in [
        ("owned", reference(&owner["metadata"]["uid"])),
        ("lost", reference(&json!("11111111-2222-3333-4444-555555555555"))),
    ] {
        api.post(&path, &json!({"metadata": {"name": name, "ownerReferences": owners}})).expect(201);
    }
    let gone = |name: &str| {
        let at = format!("{path}/{name}");
        eventually(name, || {
            if api.get(&at).status == 404 { Ok(()) } else { Err("it is still there".to_owned()) }
        });
    };
    gone("lost");
    api.get(&format!("{path}/owned")).expect(200);
    api.delete(&format!("{path}/owner?propagationPolicy=Background")).expect(200);
    gone("owned");
}

/// Ten clients that add to one object with its version at hand: each conflict is told, no update is lost.
#[test]
fn concurrent_updates_conflict_and_none_is_lost() {
    const CLIENTS: usize = 10;
    let api = shared().api();
    let path = format!("{}/a", configmaps(&api, "concurrent"));
    create(&api, path.trim_end_matches("/a"), "a");
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (api, path) = (&api, &path);
            scope.spawn(move || {
                loop {
                    let mut object = api.get(path).expect(200);
                    object["data"][format!("c{client}")] = json!("was here");
                    match api.put(path, &object) {
                        answer if answer.status == 409 => continue,
                        answer => break drop(answer.expect(200)),
                    }
                }
            });
        }
    });
    let data = api.get(&path).expect(200)["data"].clone();
    assert_eq!(data.as_object().map(serde_json::Map::len), Some(CLIENTS), "{data}");
}

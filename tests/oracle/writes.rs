//! What a server does to a new or changed object: the verdict with all its causes, or the object as it is stored.

use crate::differences::Findings;
use crate::generate::{Dice, mutate};
use crate::judge::Judge;
use crate::kinds::{MINOR, documents, schema, written};
use alcove_apiserver::options::WriteOptions;
use alcove_apiserver::registry::Resource;
use alcove_apiserver::rest::{Body, Caller, Encoding, Target};
use alcove_apiserver::testing::{TestEnv, server};
use alcove_apiserver::user::User;
use alcove_apiserver::{Server, bootstrap, kinds};
use alcove_object::{Status, Value, meta, time};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// A server in memory with the system's namespaces.
async fn fresh() -> Server {
    let server = server(kinds::resources(MINOR), Arc::new(TestEnv::new(1)));
    bootstrap(&server, &[]).await.expect("an empty server takes the system's namespaces");
    server
}

fn caller() -> Caller {
    Caller { user: User::component("judge"), manager: "judge".to_owned() }
}

fn body(object: &Value) -> Body {
    Body::Encoded { bytes: object.to_string().into(), encoding: Encoding::Json }
}

async fn create(
    server: &Server,
    resource: &Arc<Resource>,
    object: &Value,
    dry_run: bool,
) -> Result<Value, Status> {
    let target = Target::new(resource, "", meta::namespace(object), "")?;
    let options = WriteOptions { dry_run, ..WriteOptions::default() };
    Ok(server.create(&caller(), &target, body(object), &options).await?.object.parse())
}

async fn update(
    server: &Server,
    resource: &Arc<Resource>,
    subresource: &str,
    object: &Value,
    dry_run: bool,
) -> Result<Value, Status> {
    let target = Target::new(resource, subresource, meta::namespace(object), meta::name(object))?;
    let options = WriteOptions { dry_run, ..WriteOptions::default() };
    Ok(server.update(&caller(), &target, body(object), &options).await?.object.parse())
}

/// Compares new objects: those that somebody wrote, and what one to three changes make of them.
pub async fn creates(judge: &mut Judge, seed: u64, count: usize, findings: &mut Findings) {
    let written = written();
    let server = fresh().await;
    for i in 0..count {
        let (resource, mut object) = written[i % written.len()].clone();
        if i >= written.len() {
            change(&mut object, &resource, &mut Dice::new(seed, i));
        }
        let asked = json!({"op": "create", "object": object, "namespace": meta::namespace(&object)});
        let upstream = judge.ask_one(asked);
        let ours = create(&server, &resource, &object, true).await;
        verdict("create", &resource, ours, &upstream, &object, findings);
    }
}

/// Compares changes of stored objects.
pub async fn updates(judge: &mut Judge, seed: u64, count: usize, findings: &mut Findings) {
    let written = written();
    let server = fresh().await;
    let mut stored = Vec::new();
    for (resource, object) in &written {
        stored.push(create(&server, resource, object, false).await.ok().map(lean));
    }
    for i in 0..count {
        let resource = &written[i % written.len()].0;
        // What cannot be created is a difference of its own.
        let Some(old) = &stored[i % written.len()] else { continue };
        let mut object = old.clone();
        if i >= written.len() {
            change(&mut object, resource, &mut Dice::new(seed ^ 0x5eed, i));
        }
        let namespace = meta::namespace(old);
        let upstream =
            judge.ask_one(json!({"op": "update", "object": object, "old": old, "namespace": namespace}));
        let ours = update(&server, resource, "", &object, true).await;
        let example = json!({"old": old, "new": object});
        verdict("update", resource, ours, &upstream, &example, findings);
    }
}

/// Subresources that are an update of a part, which the judge knows.
const PARTS: [&str; 5] = ["status", "ephemeralcontainers", "resize", "finalize", "approval"];

/// Compares changes of stored objects through their subresources: of what those are for, and of what they leave alone.
pub async fn parts(judge: &mut Judge, seed: u64, count: usize, findings: &mut Findings) {
    let server = fresh().await;
    let mut stored = Vec::new();
    for (resource, object) in written() {
        let Ok(mut object) = create(&server, &resource, &object, false).await else { continue };
        if let Some(status) = status_of(&object) {
            object["status"] = status;
            object = update(&server, &resource, "status", &object, false).await.expect("a written status");
        }
        let parts = resource.subresources.iter().map(|part| part.name).filter(|part| PARTS.contains(part));
        let object = lean(object);
        stored.extend(parts.map(|part| (resource.clone(), part, object.clone())));
    }
    for i in 0..count {
        let (resource, part, old) = &stored[i % stored.len()];
        let mut dice = Dice::new(seed ^ 0x9a47, i);
        let mut object = old.clone();
        if i >= stored.len() {
            change_part(&mut object, resource, part, &mut dice);
        }
        let namespace = meta::namespace(old);
        let question = json!({
            "op": "update", "object": object, "old": old, "namespace": namespace, "subresource": part,
        });
        let upstream = judge.ask_one(question);
        // Definitions, aggregated groups and policies have statuses that only the server itself writes.
        if upstream["error"].as_str().is_some_and(|error| error.starts_with("no strategy")) {
            continue;
        }
        let ours = update(&server, resource, part, &object, true).await;
        let example = json!({"subresource": part, "old": old, "new": object});
        verdict("subresource", resource, ours, &upstream, &example, findings);
    }
}

/// The status that was written for an object, if any was.
fn status_of(object: &Value) -> Option<Value> {
    let is_its = |status: &&Value| {
        status["kind"] == object["kind"] && status["metadata"]["name"] == object["metadata"]["name"]
    };
    STATUSES.iter().find(is_its).map(|status| status["status"].clone())
}

static STATUSES: LazyLock<Vec<Value>> = LazyLock::new(|| documents(include_str!("cases/statuses.yaml")));

/// Changes mostly what the subresource is for.
fn change_part(object: &mut Value, resource: &Resource, part: &str, dice: &mut Dice) {
    let field = if matches!(part, "status" | "approval") { "status" } else { "spec" };
    let view = schema(resource).child(field).filter(|_| dice.roll(4) > 0);
    let Some(view) = view else { return change(object, resource, dice) };
    if !object[field].is_object() {
        object[field] = json!({});
    }
    for _ in 0..=dice.roll(3) {
        // Not everything that the dice point to can be changed.
        let _is_changed = (0..20).any(|_| mutate(&mut object[field], view, dice));
    }
}

/// One to three changes, of which none touches whose object it is.
fn change(object: &mut Value, resource: &Resource, dice: &mut Dice) {
    let identity = object["metadata"].clone();
    let (api_version, kind) = (object["apiVersion"].clone(), object["kind"].clone());
    for _ in 0..=dice.roll(3) {
        // Not everything that the dice point to can be changed.
        let _is_changed = (0..20).any(|_| mutate(object, schema(resource), dice));
    }
    object["apiVersion"] = api_version;
    object["kind"] = kind;
    if !object["metadata"].is_object() {
        object["metadata"] = identity.clone();
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generateName",
        "deletionTimestamp",
        "managedFields",
        // The judge has no storage, which drops it.
        "selfLink",
    ] {
        let Some(metadata) = object["metadata"].as_object_mut() else { continue };
        match identity.get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

/// Without what differs from server to server.
fn lean(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut();
    metadata.map(|metadata| metadata.remove("managedFields"));
    object
}

/// An object with all that follows from clock or chance in one form.
fn timeless(object: &Value) -> Value {
    let mut object = settled(&lean(object.clone()));
    for field in ["uid", "creationTimestamp", "resourceVersion"] {
        object["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
    }
    object
}

/// Times and UIDs that were made here look alike.
fn settled(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), settled(value))).collect(),
        Value::Array(items) => items.iter().map(settled).collect(),
        Value::String(text) if text.starts_with("2026-") && time::parse(text).is_some() => "<now>".into(),
        Value::String(text) if text.len() == 36 && text.matches('-').count() == 4 => "<uid>".into(),
        other => other.clone(),
    }
}

fn verdict(
    area: &'static str,
    resource: &Resource,
    ours: Result<Value, Status>,
    upstream: &Value,
    example: &Value,
    findings: &mut Findings,
) {
    findings.count(area);
    let kind = &resource.gvk.kind;
    // Upstream itself breaks on some objects: then it has no verdict.
    if upstream["error"].as_str().is_some_and(|error| error.starts_with("panic")) {
        return;
    }
    if let (Ok(ours), Some(upstream)) = (&ours, upstream.get("object")) {
        return findings.compare(area, kind, &timeless(ours), &timeless(upstream), example);
    }
    let ours = ours.err().map(|status| status.to_value());
    let (ours, upstream) =
        (causes(ours.as_ref()), causes(upstream.get("status").or_else(|| upstream.get("error"))));
    for (place, what) in ours.difference(&upstream) {
        findings.note(area, kind, place, format!("added {what}"), example);
    }
    for (place, what) in upstream.difference(&ours) {
        findings.note(area, kind, place, format!("missing {what}"), example);
    }
}

/// Field and text of every cause. How often it is there is not asked: upstream often judges a change twice.
fn causes(refusal: Option<&Value>) -> BTreeSet<(String, String)> {
    let Some(status) = refusal else { return BTreeSet::new() };
    let listed =
        status.pointer("/details/causes").and_then(Value::as_array).filter(|causes| !causes.is_empty());
    let Some(listed) = listed else {
        let text = status["message"].as_str().map_or_else(|| status.to_string(), str::to_owned);
        return BTreeSet::from([(String::new(), comparable(&text))]);
    };
    let text = |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    listed.iter().map(|cause| (text(cause, "field"), comparable(&text(cause, "message")))).collect()
}

/// The first line, without objects and lists: upstream shows them in the form of its Go types, and what changed in
/// further lines.
fn comparable(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().replace(" value: null", " ");
    let line = line.as_str();
    for (open, close) in [("value: {", '}'), ("value: [", ']')] {
        if let (Some(start), Some(end)) = (line.find(open), line.rfind(close)) {
            return format!("{}{}", &line[..start], &line[end + 1..]);
        }
    }
    line.to_owned()
}

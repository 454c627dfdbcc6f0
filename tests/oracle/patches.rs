//! Changes that say what to change: strategic merge patches, and applies with whom the fields belong to afterwards.

use crate::differences::Findings;
use crate::generate::{Dice, mutate};
use crate::judge::Judge;
use crate::kinds::{schema, written};
use alcove_apiserver::registry::Resource;
use alcove_object::Value;
use alcove_schema::apply::{self, Manager};
use alcove_schema::decode::{self, Report};
use alcove_schema::patch::strategic_merge;
use serde_json::{Map, json};

const TIME: &str = "2026-11-21T09:30:00Z";

/// Compares objects after strategic merge patches: changed copies of themselves, with directives here and there.
pub fn strategic(judge: &mut Judge, seed: u64, count: usize, findings: &mut Findings) {
    let written = written();
    for i in 0..count {
        let mut dice = Dice::new(seed ^ 0x9a7c, i);
        let (resource, original) = &written[i % written.len()];
        let mut patch = original.clone();
        for _ in 0..4 {
            mutate(&mut patch, schema(resource), &mut dice);
        }
        let mut patch = json!({"metadata": patch["metadata"].clone(), "spec": patch["spec"].clone()});
        direct(&mut patch, &mut dice);
        let answer = judge.ask_one(json!({"op": "strategic-merge", "object": original, "patch": patch}));
        let example = json!({"original": original, "patch": patch});
        let kind = &resource.gvk.kind;
        findings.count("strategic-merge");
        match (strategic_merge(original, &patch, schema(resource)), answer.get("object")) {
            (Ok(ours), Some(upstream)) => {
                findings.compare("strategic-merge", kind, &ours, upstream, &example);
            }
            (Err(ours), None)
                if comparable(&ours.to_string()) == comparable(answer["error"].as_str().unwrap_or("")) => {}
            (ours, _) => {
                let said = ours.map(|_| "an object".to_owned()).unwrap_or_else(|error| error.to_string());
                let upstream = answer.get("error").cloned().unwrap_or_default();
                findings.note(
                    "strategic-merge",
                    kind,
                    "",
                    format!("ours {said}, upstream {upstream}"),
                    &example,
                );
            }
        }
    }
}

/// Which of several items without keys is complained of follows from the order of Go's maps, which is chance.
fn comparable(error: &str) -> &str {
    if error.contains("does not contain declared merge key") { "no merge key" } else { error }
}

/// Puts nulls and directives into a patch.
fn direct(patch: &mut Value, dice: &mut Dice) {
    match patch {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match dice.roll(24) {
                    0 if key != "metadata" && key != "spec" => *value = Value::Null,
                    _ => direct(value, dice),
                }
            }
            match dice.roll(40) {
                0 => drop(map.insert("$patch".into(), "replace".into())),
                1 => drop(map.insert("$patch".into(), "delete".into())),
                2 => {
                    let keys: Vec<Value> = map.keys().map(|key| key.as_str().into()).collect();
                    map.insert("$retainKeys".into(), keys.into());
                }
                _ => {}
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| direct(item, dice)),
        _ => {}
    }
}

/// Compares owners of fields after each of three writes of one object.
pub fn owners(judge: &mut Judge, seed: u64, count: usize, findings: &mut Findings) {
    // The judge's types are those of client-go, which has none of what the API's extensions bring.
    let is_known = |resource: &Resource| !resource.gvk.group.starts_with("api");
    let written: Vec<_> = written().into_iter().filter(|(resource, _)| is_known(resource)).collect();
    for i in 0..count {
        let mut dice = Dice::new(seed ^ 0x0a11, i);
        let (resource, object) = &written[i % written.len()];
        let mut steps = Vec::new();
        for (manager, is_apply, force) in
            [("one", dice.roll(2) == 0, false), ("two", true, dice.roll(2) == 0), ("one", true, true)]
        {
            let mut object = plain(object);
            if !steps.is_empty() {
                for _ in 0..3 {
                    mutate(
                        &mut object["spec"],
                        schema(resource).child("spec").unwrap_or(schema(resource)),
                        &mut dice,
                    );
                }
            }
            steps.push(json!({"manager": manager, "apply": is_apply, "force": force, "object": object}));
        }
        let answer = judge.ask_one(json!({"op": "manage", "steps": steps}));
        let mut live: Option<Value> = None;
        for (step, state) in steps.iter().zip(answer["states"].as_array().into_iter().flatten()) {
            compare_step(resource, live.as_ref(), step, state, findings);
            live = state.get("object").cloned().or(live);
        }
    }
}

/// The object without what only the server writes. Objects without a spec are left as they are.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().map(|map| map.remove("status"));
    object
}

fn compare_step(
    resource: &Resource,
    live: Option<&Value>,
    step: &Value,
    state: &Value,
    findings: &mut Findings,
) {
    let kind = &resource.gvk.kind;
    let api_version = resource.gvk.api_version();
    let name = step["manager"].as_str().unwrap_or_default();
    let manager = Manager { name, api_version: &api_version, subresource: "", time: TIME };
    let view = schema(resource);
    let given = &step["object"];
    let ours = if step["apply"] == true {
        apply::apply(live, &given.into(), view, &manager, step["force"] == true, &[])
    } else {
        let mut object = given.clone();
        decode::conform(&mut object, view, &mut Report::default()).expect("generated objects conform");
        decode::fill(&mut object, view);
        apply::track_update(live, &mut object, view, &manager, &[]).map(|()| object)
    };
    findings.count("apply");
    let example = json!({"live": live, "step": step});
    match (ours, state.get("object")) {
        (Ok(ours), Some(upstream)) => {
            findings.compare("apply", kind, &entries(&ours), &entries(upstream), &example);
        }
        (Err(_), None) => {}
        (ours, _) => {
            let said = ours.map(|_| "an object".to_owned()).unwrap_or_else(|error| error.to_string());
            let upstream =
                state.pointer("/status/message").or(state.get("error")).cloned().unwrap_or_default();
            findings.note("apply", kind, "", format!("ours {said}, upstream {upstream}"), &example);
        }
    }
}

/// Whom fields belong to, by manager and operation.
fn entries(object: &Value) -> Value {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let named = entries.map(|entry| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        (format!("{}-{}", text("manager"), text("operation")), entry["fieldsV1"].clone())
    });
    Value::Object(named.collect::<Map<String, Value>>())
}

//! What needs no server: defaults, protobuf in both directions, and cells of tables.

use crate::differences::Findings;
use crate::generate::{Dice, mutate, sample};
use crate::judge::Judge;
use crate::kinds::{schema, stored, written};
use alcove_apiserver::Object;
use alcove_apiserver::http::negotiate::MetaVersion;
use alcove_apiserver::registry::Resource;
use alcove_apiserver::table::{Columns, Include, Table};
use alcove_object::Value;
use alcove_schema::decode::{self, Encoding};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

/// Objects of every kind: those that somebody wrote, what a few changes make of them, and whole inventions.
pub fn objects(seed: u64, count: usize) -> Vec<(Arc<Resource>, Value)> {
    let (resources, written) = (stored(), written());
    let mut objects = written.clone();
    for i in 0..count.saturating_sub(written.len()) {
        let mut dice = Dice::new(seed, i);
        let (resource, object) = match i % 2 {
            0 => {
                let (resource, mut object) = written[i / 2 % written.len()].clone();
                for _ in 0..8 {
                    mutate(&mut object, schema(&resource), &mut dice);
                }
                (resource, object)
            }
            _ => {
                let resource = resources[i / 2 % resources.len()].clone();
                let object = sample(schema(&resource), &mut dice, 0);
                (resource, object)
            }
        };
        objects.push((resource.clone(), named(object, &resource)));
    }
    objects
}

fn named(mut object: Value, resource: &Resource) -> Value {
    object["apiVersion"] = resource.gvk.api_version().into();
    object["kind"] = resource.gvk.kind.as_str().into();
    if !object["metadata"].is_object() {
        object["metadata"] = json!({"name": "a"});
    }
    object
}

/// The tree that we make of a body, or why we refuse it.
fn read(resource: &Resource, bytes: &[u8], encoding: Encoding) -> Result<Value, String> {
    let read = decode::decode(bytes, encoding, None, |gvk| resource.types.kind(gvk));
    read.map(|decoded| decoded.value).map_err(|error| error.message(&resource.gvk.kind, bytes))
}

/// Compares what objects are after decoding.
pub fn defaults(judge: &mut Judge, objects: &[(Arc<Resource>, Value)], findings: &mut Findings) {
    let questions: Vec<Value> = objects.iter().map(|(_, o)| json!({"op": "default", "object": o})).collect();
    for ((resource, object), answer) in objects.iter().zip(judge.ask(&questions)) {
        findings.count("defaults");
        let kind = &resource.gvk.kind;
        let ours = read(resource, object.to_string().as_bytes(), Encoding::Json).map(|mut tree| {
            resource.complete(&mut tree);
            tree
        });
        match (ours, answer.get("object")) {
            (Ok(ours), Some(upstream)) => findings.compare("defaults", kind, &ours, upstream, object),
            (Err(_), None) => {}
            (ours, _) => {
                findings.note("defaults", kind, "", format!("ours {ours:?}, upstream {answer}"), object)
            }
        }
    }
}

/// Compares protobuf in both directions.
pub fn protobuf(judge: &mut Judge, objects: &[(Arc<Resource>, Value)], findings: &mut Findings) {
    let questions: Vec<Value> =
        objects.iter().map(|(_, o)| json!({"op": "encode-protobuf", "object": o})).collect();
    let encoded = judge.ask(&questions);
    for ((resource, object), answer) in objects.iter().zip(encoded) {
        let Some(bytes) = answer.get("protobuf").and_then(Value::as_str) else { continue };
        let kind = &resource.gvk.kind;
        let tree = read(resource, object.to_string().as_bytes(), Encoding::Json).expect("both sides read it");
        let ours = decode::encode(&tree, schema(resource)).expect("what was read conforms");
        let ask = |bytes: &str| json!({"op": "decode-protobuf", "protobuf": bytes});
        let [theirs_back, ours_back] = &judge.ask(&[ask(bytes), ask(&STANDARD.encode(ours))])[..] else {
            panic!("two answers to two questions")
        };
        findings.count("encode-protobuf");
        findings.compare("encode-protobuf", kind, &ours_back["object"], &theirs_back["object"], object);
        findings.count("decode-protobuf");
        let bytes = STANDARD.decode(bytes).expect("the judge writes base64");
        match read(resource, &bytes, Encoding::Protobuf) {
            Ok(mut ours) => {
                decode::fill(&mut ours, schema(resource));
                findings.compare("decode-protobuf", kind, &ours, &theirs_back["object"], object);
            }
            Err(error) => findings.note("decode-protobuf", kind, "", error, object),
        }
    }
}

/// Compares columns and cells of tables, the wide ones included.
pub fn tables(judge: &mut Judge, objects: &[(Arc<Resource>, Value)], findings: &mut Findings) {
    for (resource, object) in objects {
        let kind = &resource.gvk.kind;
        let defaulted = judge.ask_one(json!({"op": "default", "object": object}));
        // Upstream has printers for some kinds that its server shows without them.
        let is_plain = resource.columns.iter().any(|column| column.name == "Created At");
        let is_shown = !resource.columns.is_empty() && !is_plain;
        let Some(defaulted) = defaulted.get("object").filter(|_| is_shown) else { continue };
        let answer = judge.ask_one(json!({"op": "table", "object": defaulted}));
        let Some(upstream) = answer.get("object") else { continue };
        findings.count("tables");
        let now = Timestamp::now();
        let table = Table::new(Columns::Of(resource.clone()), MetaVersion::V1, Include::None, now);
        let row = table.row(&Object { revision: 1, key: "a".into(), bytes: defaulted.to_string().into() });
        let row: Value = serde_json::from_slice(&row).expect("a row is JSON");
        let shown = |columns: &Value, cells: &Value| -> Value {
            let columns = columns.as_array().into_iter().flatten();
            let cells = cells.as_array().into_iter().flatten();
            let column = |(c, cell): (&Value, &Value)| {
                let name = c["name"].as_str().unwrap_or_default().to_owned();
                (
                    name,
                    json!({"type": c["type"], "format": c["format"], "priority": c["priority"], "cell": cell}),
                )
            };
            columns.zip(cells).map(column).collect()
        };
        let head = format!("{}{}", table.head("{}", true), Table::TAIL);
        let head: Value = serde_json::from_str(&head).expect("a table is JSON");
        let ours = shown(&head["columnDefinitions"], &row["cells"]);
        let upstream = shown(&upstream["columns"], &upstream["cells"]);
        findings.compare("tables", kind, &ours, &upstream, defaulted);
    }
}

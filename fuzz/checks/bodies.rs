//! Bodies of requests in their three encodings.

use alcove_object::{Gvk, Value};
use alcove_schema::decode::{self, Encoding, decode, encode, fill, frames};
use alcove_schema::{Minor, Types, View, builtin};
use std::sync::{Arc, LazyLock};

/// The types that bodies are read by.
pub static TYPES: LazyLock<Arc<Types>> = LazyLock::new(|| builtin::types(Minor::DEFAULT));

/// What a body without a kind is taken for.
static DEFAULT: LazyLock<Gvk> = LazyLock::new(|| Gvk::new("apps", "v1", "Deployment"));

/// All kinds, in an order of their own.
static KINDS: LazyLock<Vec<Gvk>> = LazyLock::new(|| {
    let mut kinds: Vec<Gvk> =
        TYPES.kinds().filter(|(_, view)| is_object(*view)).map(|(gvk, _)| gvk.clone()).collect();
    kinds.sort();
    kinds
});

/// WatchEvent, which is no object and never a body, is a kind too.
fn is_object(view: View<'_>) -> bool {
    view.field("kind").is_some()
}

/// A body in JSON.
pub fn json(body: &[u8]) {
    read_and_written(body, Encoding::Json);
}

/// A body in YAML.
pub fn yaml(body: &[u8]) {
    read_and_written(body, Encoding::Yaml);
}

/// A body in protobuf; without its magic bytes, two bytes that choose a kind, and the message of it.
pub fn protobuf(body: &[u8]) {
    match body {
        [b'k', b'8', b's', 0, ..] => read_and_written(body, Encoding::Protobuf),
        [high, low, message @ ..] => {
            let chosen = usize::from(u16::from_be_bytes([*high, *low])) % KINDS.len();
            let gvk = &KINDS[chosen];
            let body = frames::envelope(&gvk.api_version(), &gvk.kind, message);
            read_and_written(&body, Encoding::Protobuf);
        }
        _ => {}
    }
}

/// An object as a body of JSON gives it, with its kind's type.
pub fn object(body: &[u8]) -> Option<(Value, View<'static>)> {
    let read = decode(body, Encoding::Json, Some(&DEFAULT), |gvk| TYPES.kind(gvk)).ok()?;
    Some((read.value, TYPES.kind(&read.gvk)?))
}

fn read_and_written(body: &[u8], encoding: Encoding) {
    let Ok(read) = decode(body, encoding, Some(&DEFAULT), |gvk| TYPES.kind(gvk)) else { return };
    let _any_text = decode::strict_message(&read.strict);
    let Some(view) = TYPES.kind(&read.gvk).filter(|view| is_object(*view)) else { return };
    let mut value = read.value;
    let again = |text: &[u8], encoding| decode(text, encoding, None, |gvk| TYPES.kind(gvk));

    let text = serde_json::to_vec(&value).expect("a tree is JSON");
    let as_json = again(&text, Encoding::Json).expect("what was read can be read again");
    assert_eq!((&as_json.value, as_json.strict.len()), (&value, 0), "as JSON");
    // With a marker in front, JSON is read as the YAML that it is, but for characters that YAML does not take.
    if let Ok(as_yaml) = again(&[b"--- ", text.as_slice()].concat(), Encoding::Yaml) {
        assert_eq!(plain(as_yaml.value), plain(value.clone()), "as YAML");
    }
    // Protobuf cannot tell what is empty from what is not there, so it may take away, but only once.
    let over_protobuf = |value: &Value| {
        let bytes = encode(value, view).expect("what was read conforms to its kind");
        again(&bytes, Encoding::Protobuf).expect("what was written can be read").value
    };
    if can_be_protobuf(&value, view) {
        let once = over_protobuf(&value);
        assert_eq!(over_protobuf(&once), once, "as protobuf");
    }
    fill(&mut value, view);
    let filled = value.clone();
    fill(&mut value, view);
    assert_eq!(value, filled, "filled twice");
}

/// The tree with all numbers as floats: what has no type is kept as it is written in JSON (`1.0`), and as Go writes it
/// where it was YAML (`1`), as upstream does.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        other => other,
    }
}

/// Kinds without a message of their own are written in no protobuf.
fn can_be_protobuf(value: &Value, view: View<'_>) -> bool {
    view.fields().iter().any(|field| field.number > 0) && encode(value, view).is_ok()
}

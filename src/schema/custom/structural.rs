//! Whether a schema is structural: every value's type is known without looking at values
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema: validation.go, complete.go).

use super::{
    EMBEDDED, INT_OR_STRING, LIST_MAP_KEYS, LIST_TYPE, MAP_TYPE, PRESERVE_UNKNOWN, VALIDATIONS, inner,
    is_true, items, rules, schemas, text,
};
use alcove_object::Value;
use alcove_object::field::{Error, Path};
use serde_json::json;

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The words that a value validation takes part in logic with.
const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Everything for which a schema is not structural, sorted by text. `path` is that of the schema.
pub(super) fn errors(schema: &Value, path: &Path) -> Vec<Error> {
    let mut out = Vec::new();
    invariants(schema, Level::Root, path, &mut out);
    complete(schema, schema, path, path, &mut out);
    out.sort_by_key(Error::to_string);
    out
}

fn invariants(schema: &Value, level: Level, path: &Path, out: &mut Vec<Error>) {
    let kind = text(schema, "type");
    let (embedded, preserves) = (is_true(schema, EMBEDDED), is_true(schema, PRESERVE_UNKNOWN));
    match inner(schema, "items") {
        Some(item) => invariants(item, Level::Item, &path.child("items"), out),
        None if kind == "array" => out.push(Error::required(&path.child("items"), "must be specified")),
        None => {}
    }
    for (name, property) in schemas(schema, "properties") {
        invariants(property, Level::Field, &path.child("properties").key(name), out);
    }
    let additional = path.child("additionalProperties");
    let has_additional = schema.get("additionalProperties").is_some_and(|a| !a.is_null());
    if has_additional && level == Level::Root {
        out.push(Error::forbidden(&additional, "must not be used at the root"));
    }
    if let Some(value) = inner(schema, "additionalProperties") {
        invariants(value, Level::Field, &additional, out);
    }
    extensions(schema, path, out);
    value_validation(schema, level, path, out);
    if embedded && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        out.push(match kind {
            "" => Error::required(&path.child("type"), why),
            kind => Error::invalid(&path.child("type"), kind, why),
        });
    } else if kind.is_empty() && !is_true(schema, INT_OR_STRING) && !preserves {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        out.push(Error::required(&path.child("type"), why));
    }
    if embedded && has_additional {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        out.push(Error::forbidden(&additional, why));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        out.push(Error::invalid(&path.child("type"), kind, "must be object at the root"));
    }
    metadata(schema, level, path, out);
    if embedded && !preserves && schemas(schema, "properties").next().is_none() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        out.push(Error::required(&path.child("properties"), why));
    }
}

/// apiVersion and kind are texts, and metadata says nothing but what names look like.
fn metadata(schema: &Value, level: Level, path: &Path, out: &mut Vec<Error>) {
    let is_whole = level == Level::Root || is_true(schema, EMBEDDED);
    let properties = path.child("properties");
    for (name, property) in schemas(schema, "properties").filter(|_| is_whole) {
        let kind = text(property, "type");
        let expected = if name == "metadata" { "object" } else { "string" };
        if matches!(name.as_str(), "kind" | "apiVersion" | "metadata") && kind != expected {
            let why = format!("must be {expected}");
            out.push(Error::invalid(&properties.key(name).child("type"), kind, why));
        }
    }
    let Some(metadata) = schema.get("properties").and_then(|p| p.get("metadata")) else { return };
    let says_more =
        metadata.as_object().into_iter().flatten().any(|(keyword, value)| match keyword.as_str() {
            "type" | "default" | "description" | "title" => false,
            "properties" => value
                .as_object()
                .is_some_and(|all| all.keys().any(|name| name != "name" && name != "generateName")),
            _ => true,
        });
    if level == Level::Root && says_more {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        out.push(Error::forbidden(&properties.key("metadata"), why));
    }
}

fn extensions(schema: &Value, path: &Path, out: &mut Vec<Error>) {
    for other in [PRESERVE_UNKNOWN, EMBEDDED] {
        if is_true(schema, INT_OR_STRING) && is_true(schema, other) {
            let why = "must be false if x-kubernetes-int-or-string is true";
            out.push(Error::invalid(&path.child(other), true, why));
        }
    }
}

/// The `anyOf` that says of an int-or-string what its extension says already.
fn is_int_or_string(schema: &Value) -> bool {
    schema.get("anyOf") == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

fn value_validation(schema: &Value, level: Level, path: &Path, out: &mut Vec<Error>) {
    for junctor in JUNCTORS {
        if junctor == "anyOf" && is_int_or_string(schema) {
            continue;
        }
        for (i, validation) in items(schema, junctor).iter().enumerate() {
            // Beside an anyOf of its own, an int-or-string repeats itself in the first allOf.
            let repeats = junctor == "allOf" && i == 0 && is_int_or_string(validation);
            nested(validation, repeats, level, &path.child(junctor).index(i), out);
        }
    }
    if let Some(not) = inner(schema, "not") {
        nested(not, false, level, &path.child("not"), out);
    }
    let pattern = text(schema, "pattern");
    if let Err(why) = rules::pattern(pattern) {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        out.push(Error::invalid(&path.child("pattern"), pattern, why));
    }
}

/// What stands under a junctor judges values; it cannot specify any.
fn nested(schema: &Value, repeats: bool, level: Level, path: &Path, out: &mut Vec<Error>) {
    if !repeats {
        value_validation(schema, level, path, out);
    }
    if let Some(item) = inner(schema, "items") {
        nested(item, false, level, &path.child("items"), out);
    }
    for (name, property) in schemas(schema, "properties") {
        nested(property, false, Level::Field, &path.child("properties").key(name), out);
    }
    let is_set = |keyword: &str| match schema.get(keyword) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    for (keyword, must) in [
        ("type", "empty"),
        ("additionalProperties", "undefined"),
        ("default", "undefined"),
        ("title", "empty"),
        ("description", "empty"),
        ("nullable", "false"),
        (PRESERVE_UNKNOWN, "false"),
        (EMBEDDED, "false"),
        (INT_OR_STRING, "false"),
        (LIST_MAP_KEYS, "empty"),
        (LIST_TYPE, "undefined"),
        (MAP_TYPE, "undefined"),
        (VALIDATIONS, "empty"),
    ] {
        let is_undefined = schema.get(keyword).is_none_or(Value::is_null);
        if is_set(keyword) || must == "undefined" && !is_undefined {
            out.push(Error::forbidden(&path.child(keyword), format!("must be {must} to be structural")));
        }
    }
    if schema.get("properties").is_some_and(|properties| properties.get("metadata").is_some()) {
        let why = "must not be specified in a nested context";
        out.push(Error::forbidden(&path.child("properties").key("metadata"), why));
    }
}

/// What a value validation judges must be specified outside of it.
fn complete(validation: &Value, schema: &Value, at: &Path, judged: &Path, out: &mut Vec<Error>) {
    if let Some(not) = inner(validation, "not") {
        complete_nested(not, schema, at, &judged.child("not"), out);
    }
    for junctor in JUNCTORS {
        for (i, validation) in items(validation, junctor).iter().enumerate() {
            complete_nested(validation, schema, at, &judged.child(junctor).index(i), out);
        }
    }
}

fn complete_nested(validation: &Value, schema: &Value, at: &Path, judged: &Path, out: &mut Vec<Error>) {
    complete(validation, schema, at, judged, out);
    let mut below = |validation: &Value, specified: Option<&Value>, at: Path, judged: Path| match specified {
        Some(specified) => complete_nested(validation, specified, &at, &judged, out),
        None => out.push(Error::required(&at, format!("because it is defined in {judged}"))),
    };
    if let Some(item) = inner(validation, "items") {
        below(item, inner(schema, "items"), at.child("items"), judged.child("items"));
    }
    for (name, property) in schemas(validation, "properties") {
        let specified = schema.get("properties").and_then(|properties| properties.get(name));
        let places = [at, judged].map(|path| path.child("properties").key(name));
        let [at, judged] = places;
        below(property, specified, at, judged);
    }
}

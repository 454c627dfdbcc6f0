//! Judges the schema in a definition when the definition is written
//! (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go).

use super::expressions::Expressions;
use super::{
    EMBEDDED, LIST_MAP_KEYS, LIST_TYPE, MAP_TYPE, PRESERVE_UNKNOWN, Rules, VALIDATIONS, expressions, form,
    inner, is_true, items, schemas, structural, text, texts,
};
use crate::Types;
use crate::decode::{Report, conform};
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Value};
use serde_json::json;

/// What a schema with a status subresource may say at its root.
const ROOT_KEYWORDS: [(&str, &str); 22] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    (PRESERVE_UNKNOWN, "XPreserveUnknownFields"),
    (VALIDATIONS, "XValidations"),
];

/// All that is wrong with the schema of one version. `path` is that of `openAPIV3Schema`; `old` is the schema that the
/// version has now.
pub fn errors(schema: &Value, old: Option<&Value>, has_status: bool, path: &Path) -> Vec<Error> {
    let mut out = Vec::new();
    if has_status {
        out.extend(root_errors(schema, path));
    }
    if is_true(schema, "nullable") {
        out.push(Error::forbidden(&path.child("nullable"), "nullable cannot be true at the root"));
    }
    let structural = structural::errors(schema, path);
    let is_structural = structural.is_empty();
    out.extend(structural);
    let mut walk = Walk { out: Vec::new() };
    walk.schema(schema, path, &Around { is_root: true, ..Around::default() });
    out.extend(walk.out);
    if is_structural && out.is_empty() {
        out.extend(default_errors(schema, path));
        out.extend(expressions::admit(schema, path, old == Some(schema)));
    }
    out
}

/// Everything for which a schema is not structural; empty if it is.
pub fn structural_errors(schema: &Value, path: &Path) -> Vec<Error> {
    structural::errors(schema, path)
}

fn root_errors(schema: &Value, path: &Path) -> Option<Error> {
    let is_allowed = |keyword: &str| ROOT_KEYWORDS.iter().any(|(allowed, _)| *allowed == keyword);
    if text(schema, "type") != "object" && schema.get("type").is_some() {
        let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return Some(Error::invalid(&path.child("type"), text(schema, "type"), why));
    }
    schema.as_object()?.keys().find(|keyword| !is_allowed(keyword))?;
    let names: Vec<&str> = ROOT_KEYWORDS.iter().map(|(_, name)| *name).collect();
    let why = format!(
        "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
        names.join(" ")
    );
    Some(Error::invalid(path, schema.clone(), why))
}

/// What holds where a schema stands.
#[derive(Clone, Default)]
struct Around {
    is_root: bool,
    /// Inside of metadata, apiVersion or kind.
    in_metadata: bool,
    /// Why there may be no defaults; empty: there may.
    no_defaults: String,
}

struct Walk {
    out: Vec<Error>,
}

impl Walk {
    fn schema(&mut self, schema: &Value, path: &Path, around: &Around) {
        self.keywords(schema, path, around);
        if is_true(schema, "uniqueItems") {
            let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.out.push(Error::forbidden(&path.child("uniqueItems"), why));
        }
        self.children(schema, path, around);
        if schema.get(PRESERVE_UNKNOWN) == Some(&Value::Bool(false)) {
            let why = "must be true or undefined";
            self.out.push(Error::invalid(&path.child(PRESERVE_UNKNOWN), false, why));
        }
        self.merging(schema, path);
        self.list_keys(schema, path);
        self.expressions(schema, path);
    }

    fn children(&mut self, schema: &Value, path: &Path, around: &Around) {
        let path_is_root = around.is_root;
        let below = Around { is_root: false, ..around.clone() };
        let has_properties = schemas(schema, "properties").next().is_some();
        let additional = path.child("additionalProperties");
        match schema.get("additionalProperties") {
            Some(Value::Bool(false) | Value::Object(_)) if has_properties => {
                let why = "additionalProperties and properties are mutual exclusive";
                self.out.push(Error::forbidden(&additional, why));
            }
            _ => {}
        }
        if let Some(value) = inner(schema, "additionalProperties") {
            let why = "inside additionalProperties applying to object metadata";
            let no_defaults = if around.in_metadata { why.to_owned() } else { around.no_defaults.clone() };
            self.schema(value, &additional, &Around { no_defaults, ..below.clone() });
        }
        let is_whole = around.is_root || is_true(schema, EMBEDDED);
        for (name, property) in schemas(schema, "properties") {
            let mut around = below.clone();
            if is_whole && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
                around.in_metadata = true;
                if path_is_root {
                    around.no_defaults = format!("in top-level {name}");
                }
            }
            self.schema(property, &path.child("properties").key(name), &around);
        }
        for junctor in ["allOf", "oneOf", "anyOf"] {
            for (i, inner) in items(schema, junctor).iter().enumerate() {
                self.schema(inner, &path.child(junctor).index(i), &below);
            }
        }
        for keyword in ["not", "items"] {
            if let Some(inner) = inner(schema, keyword) {
                self.schema(inner, &path.child(keyword), &below);
            }
        }
    }

    /// Words that no schema may have, types that do not exist, and defaults where there may be none.
    fn keywords(&mut self, schema: &Value, path: &Path, around: &Around) {
        const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
        let kind = text(schema, "type");
        if !kind.is_empty() && !TYPES.contains(&kind) {
            self.out.push(Error::not_supported(&path.child("type"), kind, &TYPES));
        }
        if schema.get("default").is_some_and(|default| !default.is_null()) && !around.no_defaults.is_empty() {
            let why = format!("must not be set {}", around.no_defaults);
            self.out.push(Error::forbidden(&path.child("default"), why));
        }
        let is_set = |keyword: &str| match schema.get(keyword) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Object(map)) => !map.is_empty() || keyword == "additionalItems",
            Some(_) => true,
        };
        for keyword in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
            if is_set(keyword) {
                self.out.push(Error::forbidden(&path.child(keyword), format!("{keyword} is not supported")));
            }
        }
        if kind == "null" {
            let why = "type cannot be set to null, use nullable as an alternative";
            self.out.push(Error::forbidden(&path.child("type"), why));
        }
        if schema.get("items").is_some_and(Value::is_array) {
            let why = "items must be a schema object and not an array";
            self.out.push(Error::forbidden(&path.child("items"), why));
        }
        if around.in_metadata && is_true(schema, EMBEDDED) {
            self.out
                .push(Error::forbidden(&path.child(EMBEDDED), "must not be used inside of resource meta"));
        }
    }

    /// List types and map types.
    fn merging(&mut self, schema: &Value, path: &Path) {
        let kind = text(schema, "type");
        for (keyword, needs, supported) in [
            (MAP_TYPE, "object", &["atomic", "granular"][..]),
            (LIST_TYPE, "array", &["atomic", "set", "map"]),
        ] {
            let Some(given) = schema.get(keyword).and_then(Value::as_str) else { continue };
            if kind != needs {
                let why = format!("must be {needs} if {keyword} is specified");
                self.out.push(match kind {
                    "" => Error::required(&path.child("type"), why),
                    kind => Error::invalid(&path.child("type"), kind, why),
                });
            }
            if !supported.contains(&given) {
                self.out.push(Error::not_supported(&path.child(keyword), given, supported));
            }
        }
        let (list, item) = (text(schema, LIST_TYPE), inner(schema, "items"));
        let Some(item) = item.filter(|_| list == "set" && kind == "array") else { return };
        let at = path.child("items");
        match (text(item, "type"), text(item, LIST_TYPE), text(item, MAP_TYPE)) {
            ("array", list, _) if !matches!(list, "" | "atomic") => {
                let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
                self.out.push(Error::invalid(&at.child(LIST_TYPE), list, why));
            }
            ("object", list, map) if map != "atomic" => {
                // The value is that of the list type, upstream too.
                let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
                let value = if list.is_empty() { Value::Null } else { list.into() };
                self.out.push(Error::invalid(&at.child(MAP_TYPE), value, why));
            }
            _ => {}
        }
    }

    /// The keys of lists of type map, and nulls in lists whose items are told apart.
    fn list_keys(&mut self, schema: &Value, path: &Path) {
        let list = text(schema, LIST_TYPE);
        let keys: Vec<&str> = texts(schema, LIST_MAP_KEYS).collect();
        let keys_path = path.child(LIST_MAP_KEYS);
        if list != "map" && !keys.is_empty() {
            self.out.push(match schema.get(LIST_TYPE) {
                None => Error::required(
                    &path.child(LIST_TYPE),
                    "must be map if x-kubernetes-list-map-keys is non-empty",
                ),
                Some(_) => Error::invalid(
                    &path.child(LIST_TYPE),
                    list,
                    "must be map if x-kubernetes-list-map-keys is non-empty",
                ),
            });
        }
        let Some(item) = inner(schema, "items").filter(|_| matches!(list, "map" | "set")) else {
            if list == "map" {
                let why = "must have a schema if x-kubernetes-list-type is map";
                self.out.push(Error::required(&path.child("items"), why));
            }
            return;
        };
        let at = path.child("items");
        if is_true(item, "nullable") {
            let why = format!("cannot be nullable when x-kubernetes-list-type is {list}");
            self.out.push(Error::forbidden(&at.child("nullable"), why));
        }
        if list == "set" {
            return;
        }
        if keys.is_empty() {
            let why = "must not be empty if x-kubernetes-list-type is map";
            self.out.push(Error::required(&keys_path, why));
        }
        if text(item, "type") != "object" {
            let why = "must be object if parent array's x-kubernetes-list-type is map";
            self.out.push(Error::invalid(&at.child("type"), text(item, "type"), why));
            return;
        }
        for (i, key) in keys.iter().enumerate() {
            if keys[..i].contains(key) {
                let why = "must not contain duplicate entries";
                self.out.push(Error::invalid(&keys_path, json!(keys), why));
            }
            self.list_key(key, &keys, item, &at, &keys_path);
        }
    }

    fn list_key(&mut self, key: &str, keys: &[&str], item: &Value, at: &Path, keys_path: &Path) {
        let Some(property) = item.get("properties").and_then(|properties| properties.get(key)) else {
            let why = "entries must all be names of item properties";
            return self.out.push(Error::invalid(keys_path, json!(keys), why));
        };
        let path = at.child("properties").key(key);
        if matches!(text(property, "type"), "array" | "object") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            self.out.push(Error::invalid(&path.child("type"), text(item, "type"), why));
        }
        let is_there = texts(item, "required").any(|required| required == key)
            || property.get("default").is_some_and(|default| !default.is_null());
        if !is_there {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            self.out.push(Error::required(&path.child("default"), why));
        }
        if is_true(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            self.out.push(Error::forbidden(&path.child("nullable"), why));
        }
    }

    /// What can be said of rules without reading their expressions.
    fn expressions(&mut self, schema: &Value, path: &Path) {
        const REASONS: [&str; 4] =
            ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
        let has_newlines = |text: &str| text.contains(['\n', '\r']);
        for (i, rule) in items(schema, VALIDATIONS).iter().enumerate() {
            let path = path.child(VALIDATIONS).index(i);
            let given = |keyword: &str| (text(rule, keyword), text(rule, keyword).trim());
            let ((_, expression), (message, trimmed)) = (given("rule"), given("message"));
            let at = path.child("message");
            if expression.is_empty() {
                self.out.push(Error::required(&path.child("rule"), "rule is not specified"));
            } else if !message.is_empty() && trimmed.is_empty() {
                self.out.push(Error::invalid(&at, message, "must be non-empty if specified"));
            } else if has_newlines(trimmed) {
                self.out.push(Error::invalid(&at, message, "must not contain line breaks"));
            } else if has_newlines(expression) && trimmed.is_empty() {
                let why = "message must be specified if rule contains line breaks";
                self.out.push(Error::required(&at, why));
            }
            let (message, trimmed) = given("messageExpression");
            if !message.is_empty() && trimmed.is_empty() {
                let why = "messageExpression must be non-empty if specified";
                self.out.push(Error::required(&path.child("messageExpression"), why));
            }
            let reason = rule.get("reason").and_then(Value::as_str);
            if let Some(reason) = reason.filter(|reason| !REASONS.contains(reason)) {
                self.out.push(Error::not_supported(&path.child("reason"), reason, &REASONS));
            }
            let (field, trimmed) = given("fieldPath");
            let at = path.child("fieldPath");
            if !field.is_empty() && trimmed.is_empty() {
                self.out.push(Error::invalid(&at, field, "must be non-empty if specified"));
            }
            if has_newlines(field) {
                self.out.push(Error::invalid(&at, field, "must not contain line breaks"));
            }
        }
    }
}

/// Defaults must be valid values, and have no fields that would be pruned.
fn default_errors(schema: &Value, path: &Path) -> Vec<Error> {
    let mut out = Vec::new();
    let default = schema.get("default").filter(|default| !default.is_null());
    if let Some(default) = default {
        let at = path.child("default");
        let mut pruned = default.clone();
        if has_unknown_fields(&mut pruned, schema) {
            out.push(Error::invalid(&at, default.clone(), "must not have unknown fields"));
        } else if let Ok(rules) = Rules::compile(schema) {
            let found = rules.errors(default, None);
            let found: Vec<Error> = found.into_iter().map(|error| below(&at, error)).collect();
            let is_valid = found.is_empty();
            out.extend(found);
            if let Some(expressions) = Expressions::compile(schema, false).filter(|_| is_valid) {
                out.extend(expressions.errors(default, None, &at));
            }
        }
    }
    if let Some(item) = inner(schema, "items") {
        out.extend(default_errors(item, &path.child("items")));
    }
    for (name, property) in schemas(schema, "properties") {
        out.extend(default_errors(property, &path.child("properties").key(name)));
    }
    out
}

/// The same error further down.
fn below(path: &Path, error: Error) -> Error {
    let field = match error.field.as_str() {
        "<nil>" => path.to_string(),
        field => path.child(field).to_string(),
    };
    Error { field, ..error }
}

/// Whether pruning takes anything from a value of this schema.
fn has_unknown_fields(value: &mut Value, schema: &Value) -> bool {
    let wrapped = json!({ "type": "object", "properties": { "value": schema } });
    let gvk = Gvk::new("default.invalid", "v1", "Default");
    let types = form(&wrapped, &gvk, &Types::default());
    let Some(view) = types.kind(&gvk) else { return false };
    let mut report = Report::default();
    let mut object = json!({ "value": value.take() });
    let conforms = conform(&mut object, view, &mut report).is_ok();
    !conforms || !report.unknown.is_empty()
}

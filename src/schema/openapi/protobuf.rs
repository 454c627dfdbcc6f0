//! The protobuf form of a version 2 document: gnostic's `openapi.v2.Document`.
//!
//! The encoder knows no message: tables say which key goes where and how (from gnostic-models,
//! openapiv2/OpenAPIv2.proto). Keys that start with `x-` are vendor extensions, whose values are YAML text; JSON is
//! YAML.

use alcove_object::Value;

/// A message: its fields, where its free keys go, and where its extensions go.
struct Message {
    fields: &'static [(&'static str, u32, Kind)],
    /// The number of a repeated name-value pair for keys that are not fields.
    named: Option<(u32, Kind)>,
    /// The number of a repeated NamedAny for keys that start with `x-`.
    extensions: u32,
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Bool,
    Int,
    Double,
    /// A message of YAML text.
    Any,
    Anys,
    Message(&'static Message),
    Messages(&'static Message),
    /// A message that holds the value at this number: one side of a oneof, or a list of its own.
    In(u32, &'static Kind),
    /// A schema, or a boolean as field 2 of the same message.
    SchemaOrBool,
    /// A type name, or a list of them, as TypeItem.
    Type,
    /// A parameter: of the body, or one of the four others.
    Parameters,
}

use Kind::{Any, Anys, Bool, Double, In, Int, Parameters, SchemaOrBool, Text, Texts, Type};

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, Kind::Message(&INFO)),
        ("host", 3, Text),
        ("basePath", 4, Text),
        ("schemes", 5, Texts),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, Kind::Message(&PATHS)),
        ("definitions", 9, Kind::Message(&SCHEMAS)),
        ("security", 12, Kind::Messages(&SECURITY_REQUIREMENT)),
        ("securityDefinitions", 13, Kind::Message(&SECURITY_DEFINITIONS)),
    ],
    named: None,
    extensions: 16,
};

static INFO: Message = Message {
    fields: &[("title", 1, Text), ("version", 2, Text), ("description", 3, Text)],
    named: None,
    extensions: 7,
};

static PATHS: Message = Message { fields: &[], named: Some((2, Kind::Message(&PATH_ITEM))), extensions: 1 };

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, Kind::Message(&OPERATION)),
        ("put", 3, Kind::Message(&OPERATION)),
        ("post", 4, Kind::Message(&OPERATION)),
        ("delete", 5, Kind::Message(&OPERATION)),
        ("options", 6, Kind::Message(&OPERATION)),
        ("head", 7, Kind::Message(&OPERATION)),
        ("patch", 8, Kind::Message(&OPERATION)),
        ("parameters", 9, Parameters),
    ],
    named: None,
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Parameters),
        ("responses", 9, Kind::Message(&RESPONSES)),
        ("schemes", 10, Texts),
        ("deprecated", 11, Bool),
        ("security", 12, Kind::Messages(&SECURITY_REQUIREMENT)),
    ],
    named: None,
    extensions: 13,
};

static RESPONSES: Message =
    Message { fields: &[], named: Some((1, In(1, &Kind::Message(&RESPONSE)))), extensions: 2 };

static RESPONSE: Message = Message {
    fields: &[("description", 1, Text), ("schema", 2, In(1, &Kind::Message(&SCHEMA)))],
    named: None,
    extensions: 5,
};

static SECURITY_REQUIREMENT: Message =
    Message { fields: &[], named: Some((1, In(1, &Texts))), extensions: 0 };

static SECURITY_DEFINITIONS: Message =
    Message { fields: &[], named: Some((1, In(2, &Kind::Message(&API_KEY)))), extensions: 0 };

static API_KEY: Message = Message {
    fields: &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)],
    named: None,
    extensions: 5,
};

static SCHEMAS: Message = Message { fields: &[], named: Some((1, Kind::Message(&SCHEMA))), extensions: 0 };

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("multipleOf", 6, Double),
        ("maximum", 7, Double),
        ("exclusiveMaximum", 8, Bool),
        ("minimum", 9, Double),
        ("exclusiveMinimum", 10, Bool),
        ("maxLength", 11, Int),
        ("minLength", 12, Int),
        ("pattern", 13, Text),
        ("maxItems", 14, Int),
        ("minItems", 15, Int),
        ("uniqueItems", 16, Bool),
        ("maxProperties", 17, Int),
        ("minProperties", 18, Int),
        ("required", 19, Texts),
        ("enum", 20, Anys),
        ("additionalProperties", 21, SchemaOrBool),
        ("type", 22, Type),
        ("items", 23, In(1, &Kind::Message(&SCHEMA))),
        ("allOf", 24, Kind::Messages(&SCHEMA)),
        ("properties", 25, Kind::Message(&SCHEMAS)),
        ("discriminator", 26, Text),
        ("readOnly", 27, Bool),
        ("example", 30, Any),
    ],
    named: None,
    extensions: 31,
};

static BODY_PARAMETER: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Bool),
        ("schema", 5, Kind::Message(&SCHEMA)),
    ],
    named: None,
    extensions: 6,
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("format", 7, Text),
        ("uniqueItems", 20, Bool),
    ],
    named: None,
    extensions: 23,
};

static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("uniqueItems", 19, Bool),
    ],
    named: None,
    extensions: 22,
};

/// Encodes a document. Keys without a place in the message are left out.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    message(&DOCUMENT, document)
}

fn message(message: &Message, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let field = message.fields.iter().find(|(name, ..)| name == key);
        if let Some((_, number, kind)) = field {
            write(&mut out, *number, *kind, value);
        } else if key.starts_with("x-") && message.extensions != 0 {
            bytes(&mut out, message.extensions, &named(key, Any, value));
        } else if let Some((number, kind)) = message.named {
            bytes(&mut out, number, &named(key, kind, value));
        }
    }
    out
}

/// A name and a value: every Named message of gnostic's is shaped alike.
fn named(name: &str, kind: Kind, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 1, name.as_bytes());
    write(&mut out, 2, kind, value);
    out
}

fn write(out: &mut Vec<u8>, number: u32, kind: Kind, value: &Value) {
    match kind {
        Text => bytes(out, number, value.as_str().unwrap_or_default().as_bytes()),
        Texts => items(value).for_each(|item| write(out, number, Text, item)),
        Bool if value.as_bool() == Some(false) => {}
        Bool => varint_field(out, number, value.as_bool().unwrap_or_default().into()),
        Int => varint_field(out, number, value.as_i64().unwrap_or_default() as u64),
        Double => {
            varint(out, u64::from(number) << 3 | 1);
            out.extend(value.as_f64().unwrap_or_default().to_le_bytes());
        }
        Any => bytes(out, number, &yaml(value)),
        Anys => items(value).for_each(|item| write(out, number, Any, item)),
        Kind::Message(inner) => bytes(out, number, &message(inner, value)),
        Kind::Messages(inner) => items(value).for_each(|item| bytes(out, number, &message(inner, item))),
        In(at, inner) => write_in(out, number, at, *inner, value),
        SchemaOrBool => match value {
            Value::Bool(_) => write_in(out, number, 2, Bool, value),
            _ => write_in(out, number, 1, Kind::Message(&SCHEMA), value),
        },
        Type => match value {
            Value::Array(_) => write_in(out, number, 1, Texts, value),
            _ => write_in(out, number, 1, Text, value),
        },
        Parameters => items(value).for_each(|item| bytes(out, number, &parameter(item))),
    }
}

/// A message at `number` that holds the value at `at`.
fn write_in(out: &mut Vec<u8>, number: u32, at: u32, kind: Kind, value: &Value) {
    let mut wrapped = Vec::new();
    write(&mut wrapped, at, kind, value);
    bytes(out, number, &wrapped);
}

/// ParametersItem, in it Parameter, in it either kind.
fn parameter(value: &Value) -> Vec<u8> {
    let mut inner = Vec::new();
    match value["in"].as_str() {
        Some("body") => write(&mut inner, 1, Kind::Message(&BODY_PARAMETER), value),
        Some("path") => write_in(&mut inner, 2, 4, Kind::Message(&PATH_PARAMETER), value),
        _ => write_in(&mut inner, 2, 3, Kind::Message(&QUERY_PARAMETER), value),
    }
    let mut out = Vec::new();
    bytes(&mut out, 1, &inner);
    out
}

fn yaml(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 2, format!("{value}\n").as_bytes());
    out
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    varint(out, u64::from(number) << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    varint(out, u64::from(number) << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

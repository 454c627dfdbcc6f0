//! Custom resources in documents: the schema of their author, with what every object has put in.
//!
//! Version 2 cannot say all that a structural schema can, and kubectl takes what it reads there for the whole truth:
//! what it would judge wrongly is made untyped (k8s.io/apiextensions-apiserver, pkg/controller/openapi).

use super::schema::{Edition, Writer, kind, object};
use super::{Body, GroupVersion, ResourcePaths, custom_name};
use crate::limits::DEPTH_MAX;
use alcove_object::{Gvk, Value};
use serde_json::{Map, json};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
/// A kind whose common fields are described as those of custom resources are.
const LIKE: &str = "io.k8s.api.core.v1.ConfigMap";
const LIKE_LIST: &str = "io.k8s.api.core.v1.ConfigMapList";

/// The definitions of a group-version's custom resources: objects and lists.
pub(super) fn definitions(writer: &Writer<'_>, gv: &GroupVersion) -> Map<String, Value> {
    let mut out = Map::new();
    for resource in &gv.resources {
        if let Body::Custom { schema, list_kind, selectable } = &resource.body {
            let schema: Value = serde_json::from_str(schema).unwrap_or_default();
            let mut object = object_schema(writer, gv, &resource.kind, &schema);
            let mut list = list_schema(writer, gv, resource, list_kind);
            if writer.edition == Edition::V3 && !selectable.is_empty() {
                let field = |path: &String| json!({ "fieldPath": path.trim_start_matches('.') });
                let fields: Value = selectable.iter().map(field).collect();
                object["x-kubernetes-selectable-fields"] = fields.clone();
                list["x-kubernetes-selectable-fields"] = fields;
            }
            let name = |kind: &str| custom_name(&gv.group, &gv.version, kind);
            out.insert(name(&resource.kind), object);
            out.insert(name(list_kind), list);
        }
    }
    out
}

fn object_schema(writer: &Writer<'_>, gv: &GroupVersion, object_kind: &str, schema: &Value) -> Value {
    let v2 = writer.edition == Edition::V2;
    let mut out = match schema {
        // Properties without a schema, or beside unknown fields, would make kubectl refuse all others.
        Value::Null => object(json!({ "type": "object" })),
        schema if v2 && keeps_unknown(schema) => object(json!({ "type": "object" })),
        schema => {
            let mut out = object(schema.clone());
            walk(writer, &mut out, DEPTH_MAX);
            let properties = out.entry("properties").or_insert_with(|| json!({}));
            insert_common(writer, properties, "ObjectMeta");
            out
        }
    };
    out.insert("x-kubernetes-group-version-kind".into(), json!([kind(&gvk(gv, object_kind))]));
    out.into()
}

fn list_schema(writer: &Writer<'_>, gv: &GroupVersion, resource: &ResourcePaths, list_kind: &str) -> Value {
    let item = writer.edition.reference(&custom_name(&gv.group, &gv.version, &resource.kind));
    let mut properties = json!({
        "items": { "type": "array", "items": item, "description": format!("List of {}.", resource.plural) },
    });
    insert_common(writer, &mut properties, "ListMeta");
    json!({
        "type": "object",
        "description": format!("{list_kind} is a list of {}", resource.kind),
        "required": ["items"],
        "properties": properties,
        "x-kubernetes-group-version-kind": [kind(&gvk(gv, list_kind))],
    })
}

fn gvk(gv: &GroupVersion, kind: &str) -> Gvk {
    Gvk::new(&gv.group, &gv.version, kind)
}

/// apiVersion, kind and metadata, described as those of every kind are.
fn insert_common(writer: &Writer<'_>, properties: &mut Value, meta: &str) {
    let described = |definition: &str, field: &str| -> Value {
        writer.descriptions.of_field(definition, field).unwrap_or_default().into()
    };
    let (edition, like) = (writer.edition, if meta == "ListMeta" { LIKE_LIST } else { LIKE });
    let mut metadata = edition.reference(&format!("{META}.{meta}"));
    if edition == Edition::V3 {
        metadata = json!({ "allOf": [metadata] });
    }
    metadata["description"] = described(like, "metadata");
    for field in ["apiVersion", "kind"] {
        properties[field] = json!({ "type": "string", "description": described(LIKE, field) });
    }
    properties["metadata"] = metadata;
}

fn keeps_unknown(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == json!(true)
}

/// Puts metadata into embedded objects and, for version 2, takes out what it cannot say. Stops at the depth to which
/// schemas may nest at all.
fn walk(writer: &Writer<'_>, schema: &mut Map<String, Value>, depth: usize) {
    if writer.edition == Edition::V2 {
        weaken(schema);
    }
    if depth > 0 {
        for inner in inner_schemas(schema) {
            walk(writer, inner, depth - 1);
        }
    }
    let is = |name: &str| schema.get(name) == Some(&json!(true));
    let open = writer.edition == Edition::V2 && is("x-kubernetes-preserve-unknown-fields");
    if is("x-kubernetes-embedded-resource") && !open {
        let properties = schema.entry("properties").or_insert_with(|| json!({}));
        insert_common(writer, properties, "ObjectMeta");
        let required = schema.entry("required").or_insert_with(|| json!([]));
        for name in ["kind", "apiVersion"] {
            match required.as_array_mut() {
                Some(names) if !names.contains(&json!(name)) => names.push(name.into()),
                _ => {}
            }
        }
    }
}

fn inner_schemas(schema: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    schema
        .iter_mut()
        .flat_map(|(key, value)| -> Box<dyn Iterator<Item = &mut Value>> {
            match (key.as_str(), value) {
                ("properties", Value::Object(properties)) => Box::new(properties.values_mut()),
                ("items" | "additionalProperties", value) => Box::new(std::iter::once(value)),
                _ => Box::new(std::iter::empty()),
            }
        })
        .filter_map(Value::as_object_mut)
}

/// ToStructuralOpenAPIV2.
fn weaken(schema: &mut Map<String, Value>) {
    for junctor in ["allOf", "oneOf", "anyOf", "not", "default"] {
        schema.remove(junctor);
    }
    let is = |schema: &Map<String, Value>, name: &str| schema.get(name) == Some(&json!(true));
    let nullable = schema.remove("nullable") == Some(json!(true));
    let open = is(schema, "x-kubernetes-preserve-unknown-fields");
    if nullable || open {
        schema.remove("items");
        schema.remove("properties");
    }
    let is_type = |schema: &Map<String, Value>, name: &str| schema.get("type") == Some(&json!(name));
    let bare_array = is_type(schema, "array") && !schema.contains_key("items");
    if nullable || bare_array || open && is_type(schema, "object") {
        schema.remove("type");
    }
    if is(schema, "x-kubernetes-int-or-string") {
        schema.remove("type");
    }
    let is_nullable = |schema: &Value| schema["nullable"] == json!(true);
    if schema.get("additionalProperties").is_some_and(is_nullable) {
        schema.remove("required");
    }
    let properties = schema.get("properties").cloned().unwrap_or_default();
    if let Some(Value::Array(names)) = schema.get_mut("required") {
        names.retain(|name| !is_nullable(&properties[name.as_str().unwrap_or_default()]));
    }
}

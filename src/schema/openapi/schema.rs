//! One type as an OpenAPI schema, in the words of version 2 or 3.

use super::descriptions::Descriptions;
use crate::{Field, ListKind, Omit, Shape, Types, View};
use alcove_object::gather::Gather;
use alcove_object::{Gvk, Value};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    /// Swagger 2.0.
    V2,
    /// OpenAPI 3.0.
    V3,
}

impl Edition {
    /// A reference to a definition.
    pub fn reference(self, name: &str) -> Value {
        let place = match self {
            Edition::V2 => "#/definitions/",
            Edition::V3 => "#/components/schemas/",
        };
        json!({ "$ref": format!("{place}{name}") })
    }
}

/// What schemas are written from.
pub(super) struct Writer<'a> {
    pub edition: Edition,
    pub descriptions: &'a Descriptions,
}

/// The named types that these names reach, themselves included. Names that are not known are left out.
pub(super) fn reach<'a>(
    types: &'a Types,
    names: impl IntoIterator<Item = String>,
) -> BTreeMap<&'a str, View<'a>> {
    let mut found = BTreeMap::new();
    let mut todo: Vec<View<'a>> = names.into_iter().filter_map(|name| types.named(&name)).collect();
    while let Some(view) = todo.pop() {
        let name = &*view.schema().name;
        if name.is_empty() || found.insert(name, view).is_none() {
            match view.shape() {
                Shape::Struct(fields) => todo.extend(fields.iter().map(|f| view.at(f.schema))),
                Shape::List(inner) | Shape::Map(inner) => todo.push(view.at(*inner)),
                // Documents show these as any value.
                Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_) => {}
                _ => {}
            }
        }
    }
    found
}

impl Writer<'_> {
    /// A definition's schema.
    pub fn definition(&self, view: View<'_>) -> Value {
        let schema = view.schema();
        let mut out = self.inline(view);
        match (self.descriptions.of_type(&schema.name), &*schema.kinds) {
            (None, [kind]) if kind.kind.ends_with("List") => {
                let item = kind.kind.trim_end_matches("List");
                describe(&mut out, Some(&format!("{} is a list of objects of kind {item}.", kind.kind)));
            }
            (text, _) => describe(&mut out, text),
        }
        if !schema.kinds.is_empty() {
            out.insert("x-kubernetes-group-version-kind".into(), schema.kinds.iter().map(kind).collect());
        }
        if let Some(unions) = &schema.unions {
            out.insert("x-kubernetes-unions".into(), (**unions).clone());
        }
        Value::Object(out)
    }

    /// What a value looks like, without its name: references are left to [`Writer::within`].
    fn inline(&self, view: View<'_>) -> Map<String, Value> {
        let schema = view.schema();
        let mut out = match &schema.shape {
            Shape::Struct(fields) => self.structure(view, fields),
            Shape::Map(value) => object(json!({
                "type": "object", "additionalProperties": self.item(view.at(*value)),
            })),
            Shape::List(item) => self.list(&schema.list, schema.atomic, view.at(*item)),
            scalar => object(self.scalar(scalar, &schema.name)),
        };
        if schema.atomic && !matches!(schema.shape, Shape::List(_)) {
            out.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        if !schema.allowed.is_empty() {
            out.insert("enum".into(), schema.allowed.to_vec().into());
        }
        out
    }

    fn structure(&self, view: View<'_>, fields: &[Field]) -> Map<String, Value> {
        let mut out = object(json!({ "type": "object" }));
        let properties: Map<_, _> =
            fields.iter().map(|f| (f.name.to_string(), self.field(&view.schema().name, view, f))).gather();
        if !properties.is_empty() {
            out.insert("properties".into(), properties.into());
        }
        let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| &*f.name).collect();
        if !required.is_empty() {
            out.insert("required".into(), required.into());
        }
        out
    }

    fn field(&self, definition: &str, parent: View<'_>, field: &Field) -> Value {
        let view = parent.at(field.schema);
        let mut beside = Map::new();
        describe(&mut beside, self.descriptions.of_field(definition, &field.name));
        let default = field.default.clone().or_else(|| {
            let kept = matches!(field.omit, Omit::Never | Omit::Zero);
            if field.pointer { None } else { zero(view, kept) }
        });
        beside.extend(self.default(default));
        if !field.merge_key.is_empty() {
            beside.insert("x-kubernetes-patch-merge-key".into(), (*field.merge_key).into());
        }
        if field.granular {
            beside.insert("x-kubernetes-map-type".into(), "granular".into());
        }
        let strategies = [
            (field.patch_merge, "merge"),
            (field.patch_replace, "replace"),
            (field.retain_keys, "retainKeys"),
        ];
        let said: Vec<&str> = strategies.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        if !said.is_empty() {
            beside.insert("x-kubernetes-patch-strategy".into(), said.join(",").into());
        }
        self.within(view, beside)
    }

    /// What lists and maps hold. Go has no pointers there, so a zero value is the default.
    fn item(&self, view: View<'_>) -> Value {
        self.within(view, self.default(zero(view, true)).collect())
    }

    /// Version 2 documents carry no defaults: clients take them for what the server does.
    fn default(&self, value: Option<Value>) -> impl Iterator<Item = (String, Value)> + use<> {
        let value = value.filter(|_| self.edition == Edition::V3);
        value.into_iter().map(|value| ("default".to_owned(), value))
    }

    /// A type as seen from another one, with the words that stand beside it there.
    fn within(&self, view: View<'_>, beside: Map<String, Value>) -> Value {
        let name = &*view.schema().name;
        let mut out = match (name, self.edition) {
            ("", _) => self.inline(view),
            (_, Edition::V2) => object(self.edition.reference(name)),
            (_, Edition::V3) if beside.is_empty() => object(self.edition.reference(name)),
            // In version 3, nothing may stand beside a reference.
            (_, Edition::V3) => object(json!({ "allOf": [self.edition.reference(name)] })),
        };
        out.extend(beside);
        Value::Object(out)
    }

    fn list(&self, kind: &ListKind, stated: bool, item: View<'_>) -> Map<String, Value> {
        let mut out = object(json!({ "type": "array", "items": self.item(item) }));
        let list_type = match kind {
            ListKind::Atomic if stated => "atomic",
            ListKind::Atomic => return out,
            ListKind::Set => "set",
            ListKind::Map(keys) => {
                let keys: Vec<&str> = keys.iter().map(|k| &**k).collect();
                out.insert("x-kubernetes-list-map-keys".into(), keys.into());
                "map"
            }
        };
        out.insert("x-kubernetes-list-type".into(), list_type.into());
        out
    }

    fn scalar(&self, shape: &Shape, name: &str) -> Value {
        match (shape, self.edition) {
            (Shape::String | Shape::Duration, _) => json!({ "type": "string" }),
            (Shape::Boolean, _) => json!({ "type": "boolean" }),
            (Shape::Int32, _) => json!({ "type": "integer", "format": "int32" }),
            (Shape::Int64, _) => json!({ "type": "integer", "format": "int64" }),
            (Shape::Double, _) => json!({ "type": "number", "format": "double" }),
            (Shape::Bytes, _) => json!({ "type": "string", "format": "byte" }),
            (Shape::Time | Shape::MicroTime, _) => json!({ "type": "string", "format": "date-time" }),
            (Shape::IntOrString, Edition::V2) => json!({ "type": "string", "format": "int-or-string" }),
            (Shape::IntOrString, Edition::V3) => {
                json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
            }
            (Shape::Quantity, Edition::V2) => json!({ "type": "string" }),
            (Shape::Quantity, Edition::V3) => {
                json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] })
            }
            // Both are objects to clients, though any JSON is kept; apiextensions JSON says nothing at all.
            (Shape::Any, _) if name.ends_with(".RawExtension") || name.ends_with(".FieldsV1") => {
                json!({ "type": "object" })
            }
            _ => json!({}),
        }
    }
}

/// The default that a value held without a pointer has (k8s.io/kube-openapi/pkg/generators, mustEnforceDefault):
/// structs always, scalars unless Go omits them when empty.
fn zero(view: View<'_>, kept: bool) -> Option<Value> {
    match view.shape() {
        Shape::Struct(_) => Some(json!({})),
        Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_) => Some(json!({})),
        Shape::String if kept => Some(json!("")),
        Shape::Boolean if kept => Some(json!(false)),
        Shape::Int32 | Shape::Int64 | Shape::Double if kept => Some(json!(0)),
        _ => None,
    }
}

/// A kind, as extensions spell it.
pub(super) fn kind(gvk: &Gvk) -> Value {
    json!({ "group": gvk.group, "version": gvk.version, "kind": gvk.kind })
}

fn describe(out: &mut Map<String, Value>, text: Option<&str>) {
    if let Some(text) = text {
        out.insert("description".into(), text.into());
    }
}

/// The map of a value that is written as an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

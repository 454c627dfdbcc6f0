//! From a structural schema to the type form.

use super::{
    EMBEDDED, INT_OR_STRING, LIST_MAP_KEYS, LIST_TYPE, MAP_TYPE, PRESERVE_UNKNOWN, inner, is_true, schemas,
    text, texts,
};
use crate::limits::DEPTH_MAX;
use crate::openapi::custom_name;
use crate::{Field, ListKind, Schema, SchemaId, Shape, Types};
use alcove_object::{Gvk, Value};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The types of a custom resource's version, with its kind as the only root beside Scale. `schema` is its
/// `openAPIV3Schema`, null if it has none; `builtin` are the types that metadata and Scale are taken from.
///
/// A schema that is not structural gives a form too: what is said about it nowhere is pruned.
pub fn form(schema: &Value, gvk: &Gvk, builtin: &Types) -> Types {
    let mut builder = Builder { types: Types::default(), builtin };
    if let Some(scale) = builtin.kind(&Gvk::new("autoscaling", "v1", "Scale")) {
        builder.types.import(scale);
    }
    let mut root = builder.object(schema, true, 0);
    root.preserve_unknown |= schema.is_null();
    root.name = custom_name(&gvk.group, &gvk.version, &gvk.kind).into();
    root.kinds = [gvk.clone()].into();
    builder.types.add(root);
    builder.types
}

struct Builder<'b> {
    types: Types,
    builtin: &'b Types,
}

impl Builder<'_> {
    fn add(&mut self, schema: &Value, depth: usize) -> SchemaId {
        let built = self.build(schema, depth);
        self.types.add(built)
    }

    fn build(&mut self, schema: &Value, depth: usize) -> Schema {
        let built = match text(schema, "type") {
            _ if depth > DEPTH_MAX => custom(Shape::Any),
            _ if is_true(schema, INT_OR_STRING) => custom(Shape::IntOrString),
            "object" => match schema.get("additionalProperties") {
                Some(Value::Bool(true)) => {
                    let any = self.types.add(Schema { nullable: true, ..custom(Shape::Any) });
                    custom(Shape::Map(any))
                }
                Some(value @ Value::Object(_)) => {
                    let value = self.add(value, depth + 1);
                    custom(Shape::Map(value))
                }
                _ => self.object(schema, is_true(schema, EMBEDDED), depth),
            },
            "array" => {
                let items = inner(schema, "items").map(|items| self.add(items, depth + 1));
                let items = items.unwrap_or_else(|| self.types.add(custom(Shape::Any)));
                Schema { list: list_kind(schema), ..custom(Shape::List(items)) }
            }
            "string" => custom(Shape::String),
            "boolean" => custom(Shape::Boolean),
            "integer" => custom(Shape::Int64),
            "number" => custom(Shape::Double),
            _ if schema.get("properties").is_some() => self.object(schema, is_true(schema, EMBEDDED), depth),
            _ => custom(Shape::Any),
        };
        Schema {
            nullable: is_true(schema, "nullable"),
            atomic: text(schema, MAP_TYPE) == "atomic",
            format: text(schema, "format").into(),
            preserve_unknown: is_true(schema, PRESERVE_UNKNOWN),
            ..built
        }
    }

    /// An object with properties; `whole` ones have apiVersion, kind and metadata like any Kubernetes object.
    fn object(&mut self, schema: &Value, whole: bool, depth: usize) -> Schema {
        let required: Vec<&str> = texts(schema, "required").collect();
        let mut fields: Vec<Field> = Vec::new();
        for (name, property) in schemas(schema, "properties") {
            if whole && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                continue;
            }
            let id = self.add(property, depth + 1);
            fields.push(Field {
                required: required.contains(&name.as_str()),
                default: property.get("default").filter(|default| !default.is_null()).cloned(),
                ..Field::of(name.as_str(), id)
            });
        }
        if whole {
            let text = self.types.add(custom(Shape::String));
            let metadata = self.builtin.named(OBJECT_META).map(|view| self.types.import(view));
            let metadata = metadata.unwrap_or_else(|| self.types.add(custom(Shape::Any)));
            fields.extend([
                Field::of("apiVersion", text),
                Field::of("kind", text),
                Field::of("metadata", metadata),
            ]);
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Schema {
            embedded: whole,
            preserve_unknown: is_true(schema, PRESERVE_UNKNOWN),
            ..custom(Shape::Struct(fields.into()))
        }
    }
}

fn custom(shape: Shape) -> Schema {
    Schema { custom: true, ..Schema::of(shape) }
}

pub(super) fn list_kind(schema: &Value) -> ListKind {
    match text(schema, LIST_TYPE) {
        "set" => ListKind::Set,
        "map" => ListKind::Map(texts(schema, LIST_MAP_KEYS).map(Box::from).collect()),
        _ => ListKind::Atomic,
    }
}

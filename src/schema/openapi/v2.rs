//! OpenAPI version 2: one document for everything, in JSON and in protobuf.

use super::descriptions::Descriptions;
use super::operations::{self, Operation, PathItem};
use super::schema::{Edition, Writer, kind, object, reach};
use super::{GroupVersion, custom, protobuf, v3};
use crate::Types;
use alcove_object::Value;
use alcove_object::gather::Gather;
use serde_json::{Map, json};

/// The document of all group-versions. `version` is the server's, such as `v1.36.3`.
pub fn document(types: &Types, groups: &[GroupVersion], version: &str) -> Value {
    let descriptions = Descriptions::inflate();
    let writer = Writer { edition: Edition::V2, descriptions: &descriptions };
    let mut definitions = Map::new();
    let mut paths = Map::new();
    for gv in groups {
        let items = operations::paths(types, gv);
        for (name, view) in reach(types, v3::roots(items.values())) {
            if !definitions.contains_key(name) {
                definitions.insert(name.to_owned(), writer.definition(view));
            }
        }
        definitions.extend(custom::definitions(&writer, gv));
        paths.extend(items.iter().map(|(path, item)| (path.clone(), path_item(item))));
    }
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": version },
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": { "BearerToken": {
            "type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer Token authentication",
        } },
        "security": [{ "BearerToken": [] }],
    })
}

/// A version 2 document as gnostic's `openapi.v2.Document` message ([`V2_PROTOBUF`](super::V2_PROTOBUF)). What the
/// message has no place for is left out.
pub fn to_protobuf(document: &Value) -> Vec<u8> {
    protobuf::encode(document)
}

fn path_item(item: &PathItem) -> Value {
    let mut out: Map<_, _> = item.operations.iter().map(|o| (o.method.clone(), operation(o))).gather();
    if !item.parameters.is_empty() {
        out.insert("parameters".into(), item.parameters.iter().map(|p| p.v2()).collect());
    }
    out.into()
}

fn operation(operation: &Operation) -> Value {
    let mut out = object(json!({
        "description": operation.description,
        "operationId": operation.id,
        "tags": [operation.tag],
        "schemes": ["https"],
        "consumes": ["*/*"],
        "produces": operation.produces,
        "responses": responses(operation),
    }));
    let mut parameters: Vec<Value> = operation.parameters.iter().map(|p| p.v2()).collect();
    if let Some(request) = &operation.request {
        let schema = Edition::V2.reference(&request.definition);
        let mut body = json!({ "name": "body", "in": "body", "schema": schema });
        if request.required {
            body["required"] = true.into();
        }
        parameters.insert(0, body);
        out.insert("consumes".into(), request.media.clone().into());
    }
    if !parameters.is_empty() {
        out.insert("parameters".into(), parameters.into());
    }
    if let Some(action) = operation.action {
        out.insert("x-kubernetes-action".into(), action.into());
    }
    if let Some(gvk) = &operation.gvk {
        out.insert("x-kubernetes-group-version-kind".into(), kind(gvk));
    }
    out.into()
}

fn responses(operation: &Operation) -> Value {
    let schema = match &operation.answer {
        Some(name) => Edition::V2.reference(name),
        None => json!({ "type": "string" }),
    };
    let response = |(code, text): &(&str, &str)| {
        let body = match *code {
            "401" => json!({ "description": text }),
            _ => json!({ "description": text, "schema": schema }),
        };
        ((*code).to_owned(), body)
    };
    operation.responses.iter().map(response).gather::<Map<_, _>>().into()
}

//! OpenAPI version 3: one document per group-version, and the index of them.

use super::descriptions::Descriptions;
use super::operations::{self, Operation, PathItem};
use super::schema::{Edition, Writer, kind, reach};
use super::{GroupVersion, custom};
use crate::Types;
use alcove_object::Value;
use alcove_object::gather::Gather;
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// The document of a group-version: paths of what is served, and the schemas that they reach.
///
/// `types` are the built-in ones of the served minor, also for custom resources, whose metadata and lists need them.
pub fn document(types: &Types, gv: &GroupVersion) -> Value {
    let descriptions = Descriptions::inflate();
    let writer = Writer { edition: Edition::V3, descriptions: &descriptions };
    let paths = operations::paths(types, gv);
    let mut schemas: Map<_, _> = reach(types, roots(paths.values()))
        .into_iter()
        .map(|(name, view)| (name.to_owned(), writer.definition(view)))
        .gather();
    schemas.extend(custom::definitions(&writer, gv));
    let paths: Map<_, _> = paths.iter().map(|(path, item)| (path.clone(), path_item(item))).gather();
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "BearerToken": {
                "type": "apiKey", "in": "header", "name": "authorization",
                "description": "Bearer Token authentication",
            } },
        },
    })
}

/// The answer to `/openapi/v3`: for each path below it (`apis/apps/v1`) the URL of its document, which changes with
/// the document's content so that clients may keep it for ever.
pub fn index<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let url = |(path, hash): (&str, &str)| {
        (path.to_owned(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}") }))
    };
    json!({ "paths": documents.into_iter().map(url).gather::<Map<_, _>>() })
}

/// The definitions that operations name, and what their objects look like beside them.
pub(super) fn roots<'a>(paths: impl Iterator<Item = &'a PathItem>) -> BTreeSet<String> {
    // A custom resource's schema is verbatim and shows no references; these it always has.
    let always =
        ["ObjectMeta", "ListMeta"].map(|name| format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"));
    let named = paths.flat_map(|item| &item.operations).flat_map(|operation| {
        let request = operation.request.iter().map(|r| r.definition.clone());
        request.chain(operation.answer.clone())
    });
    named.chain(always).collect()
}

fn path_item(item: &PathItem) -> Value {
    let mut out: Map<_, _> = item.operations.iter().map(|o| (o.method.clone(), operation(o))).gather();
    if !item.parameters.is_empty() {
        out.insert("parameters".into(), item.parameters.iter().map(|p| p.v3()).collect());
    }
    out.into()
}

fn operation(operation: &Operation) -> Value {
    let mut out = json!({
        "description": operation.description,
        "operationId": operation.id,
        "tags": [operation.tag],
        "responses": responses(operation),
    });
    if !operation.parameters.is_empty() {
        out["parameters"] = operation.parameters.iter().map(|p| p.v3()).collect();
    }
    if let Some(request) = &operation.request {
        let schema = Edition::V3.reference(&request.definition);
        let content: Map<_, _> =
            request.media.iter().map(|m| ((*m).to_owned(), json!({ "schema": schema }))).gather();
        out["requestBody"] = json!({ "content": content });
        if request.required {
            out["requestBody"]["required"] = true.into();
        }
    }
    if let Some(action) = operation.action {
        out["x-kubernetes-action"] = action.into();
    }
    if let Some(gvk) = &operation.gvk {
        // An object here, a list on schemas: `kubectl explain` fails on anything else.
        out["x-kubernetes-group-version-kind"] = kind(gvk);
    }
    out
}

fn responses(operation: &Operation) -> Value {
    let schema = match &operation.answer {
        Some(name) => Edition::V3.reference(name),
        None => json!({ "type": "string" }),
    };
    let content: Map<_, _> =
        operation.produces.iter().map(|m| ((*m).to_owned(), json!({ "schema": schema }))).gather();
    let response = |(code, text): &(&str, &str)| {
        let body = match *code {
            "401" => json!({ "description": text }),
            _ => json!({ "description": text, "content": content }),
        };
        ((*code).to_owned(), body)
    };
    operation.responses.iter().map(response).gather::<Map<_, _>>().into()
}

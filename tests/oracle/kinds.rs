//! The kinds that are compared, and whole objects of each that both sides take.

use alcove_apiserver::kinds;
use alcove_apiserver::registry::Resource;
use alcove_apiserver::request::Verb;
use alcove_object::{Gvk, Value};
use alcove_schema::decode::parse_yaml;
use alcove_schema::{Minor, View};
use std::sync::Arc;

/// The minor whose libraries the judge has.
pub const MINOR: Minor = Minor(36);

/// All kinds that can be created and read again.
pub fn stored() -> Vec<Arc<Resource>> {
    let all = kinds::resources(MINOR);
    all.into_iter().filter(|r| r.verbs.has(Verb::Create) && r.verbs.has(Verb::Get)).collect()
}

/// The schema of a resource.
pub fn schema(resource: &Resource) -> View<'_> {
    resource.types.view(resource.schema)
}

/// Documents of a YAML file.
pub fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|document| !document.trim().is_empty());
    documents
        .map(|document| match parse_yaml(document.as_bytes()) {
            Ok(parsed) => parsed.value,
            Err(error) => panic!("{error}: {document}"),
        })
        .collect()
}

/// Objects that somebody wrote, each with its resource.
pub fn written() -> Vec<(Arc<Resource>, Value)> {
    let resources = stored();
    let of = |object: &Value| {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let gvk = Gvk::from_api_version(text("apiVersion"), text("kind"));
        resources.iter().find(|r| r.gvk == gvk).unwrap_or_else(|| panic!("{gvk:?} is not served")).clone()
    };
    let objects = documents(include_str!("cases/objects.yaml"));
    objects.into_iter().map(|object| (of(&object), object)).collect()
}

//! A host object as the host sent it, and what is read of it. Most events of a watch tell what an answer has told
//! already, so an object stays text until somebody wants to know more than which state of which object it is. Half of it is
//! who owns which field: of that, only what the host says is ours is kept, and as text, since it is compared and hardly ever
//! read.

use crate::host::{FIELD_MANAGER, digest};
use alcove_object::scan::{Malformed, Scanner, Text};
use alcove_object::{Value, meta, tree};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};
use serde_json::Map;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a host object is called of which the host was asked for the metadata alone.
const METADATA_ALONE: &str = "PartialObjectMetadata";

/// An object of any kind, as the host sent it.
#[derive(Clone, Debug)]
pub struct HostObject {
    json: Box<RawValue>,
    metadata: ObjectMeta,
}

/// What a host object says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The object, without who owns which field.
    pub object: Value,
    /// The fields that the host says are ours since an apply (`fieldsV1`), as text; empty if none are.
    pub fields: Box<str>,
}

impl HostObject {
    /// The object, without who owns which field.
    pub fn into_tree(self) -> Value {
        self.read().object
    }

    /// What it says.
    pub fn read(&self) -> Told {
        let json = self.json.get();
        read(json).unwrap_or_else(|Malformed| of_tree(tree(json)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its `resourceVersion` as a number; 0 if it is none.
    pub fn revision(&self) -> u64 {
        self.metadata.resource_version.as_deref().and_then(|revision| revision.parse().ok()).unwrap_or(0)
    }
}

impl Told {
    /// A digest of the fields that are ours.
    pub fn owned(&self) -> u64 {
        digest(&*self.fields)
    }

    /// Whether this is an object's metadata and nothing else of it.
    pub fn is_metadata_alone(&self) -> bool {
        self.object["kind"] == METADATA_ALONE
    }
}

fn tree(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// What an object in compact JSON says, which is how servers write it.
fn read(json: &str) -> Result<Told, Malformed> {
    let (mut object, mut told) = (Map::new(), Told::default());
    Scanner::new(json.as_bytes()).object(|json, key| {
        let part = if key.is("metadata") { metadata(json, &mut told.fields)? } else { json.tree()? };
        object.insert(key.text()?.into_owned(), part);
        Ok::<(), Malformed>(())
    })?;
    told.object = Value::Object(object);
    Ok(told)
}

/// `metadata` without `managedFields`, of which our fields are noted.
fn metadata(json: &mut Scanner<'_>, fields: &mut Box<str>) -> Result<Value, Malformed> {
    let mut metadata = Map::new();
    json.object(|json, key| {
        if key.is("managedFields") {
            return json.array(|json| applied_fields(json, fields));
        }
        metadata.insert(key.text()?.into_owned(), json.tree()?);
        Ok(())
    })?;
    Ok(Value::Object(metadata))
}

/// Notes the fields of an entry of `managedFields`, if it says what we applied to the object itself.
fn applied_fields(json: &mut Scanner<'_>, fields: &mut Box<str>) -> Result<(), Malformed> {
    let (mut found, mut is_manager, mut is_apply, mut is_of_object) = (None, false, false, true);
    json.object(|json, key| {
        if key.is("manager") {
            is_manager = json.string()?.is(FIELD_MANAGER);
        } else if key.is("operation") {
            is_apply = json.string()?.is("Apply");
        } else if key.is("subresource") {
            is_of_object = json.string()?.is("");
        } else if key.is("fieldsV1") {
            found = std::str::from_utf8(json.value()?).ok();
        } else {
            json.value()?;
        }
        Ok::<(), Malformed>(())
    })?;
    if let Some(found) = found.filter(|_| is_manager && is_apply && is_of_object) {
        *fields = found.into();
    }
    Ok(())
}

/// What an object says that was read whole.
fn of_tree(mut object: Value) -> Told {
    let entries = tree::at_mut(&mut object, "/metadata/managedFields").map(Value::take);
    let mut fields = Box::default();
    for entry in entries.as_ref().and_then(Value::as_array).into_iter().flatten() {
        // An entry that is none is nobody's.
        applied_fields(&mut Scanner::new(entry.to_string().as_bytes()), &mut fields).ok();
    }
    if entries.is_some() {
        meta::unset(&mut object, "managedFields");
    }
    Told { object, fields }
}

/// What tells one state of one object from another; not read further than that stands.
fn identity(json: &str) -> Result<ObjectMeta, Malformed> {
    let (mut metadata, mut json) = (ObjectMeta::default(), Scanner::new(json.as_bytes()));
    if !json.find("metadata")? {
        return Ok(metadata);
    }
    let walk = json.object(|json, key| {
        let field = if key.is("name") {
            &mut metadata.name
        } else if key.is("namespace") {
            &mut metadata.namespace
        } else if key.is("uid") {
            &mut metadata.uid
        } else if key.is("resourceVersion") {
            &mut metadata.resource_version
        } else {
            return json.value().map(|_| ()).map_err(Some);
        };
        *field = Some(json.string().and_then(Text::text)?.into_owned());
        // The namespace stands before one of these, in the order of upstream's fields as in that of the alphabet.
        let is_all =
            [&metadata.name, &metadata.uid, &metadata.resource_version].iter().all(|field| field.is_some());
        if is_all { Err(None) } else { Ok(()) }
    });
    match walk {
        Err(Some(malformed)) => Err(malformed),
        Ok(()) | Err(None) => Ok(metadata),
    }
}

impl<'de> Deserialize<'de> for HostObject {
    /// From JSON alone, since its text is kept; servers write an event's type before its object
    /// (k8s.io/apimachinery/pkg/apis/meta/v1: WatchEvent), so nobody reads it into something else before.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostObject, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let metadata = identity(json.get()).unwrap_or_else(|Malformed| {
            let tree = tree(json.get());
            let text = |field| Some(meta::text(&tree, field).to_owned()).filter(|text| !text.is_empty());
            let (name, namespace) = (text("name"), text("namespace"));
            let (uid, resource_version) = (text("uid"), text("resourceVersion"));
            ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() }
        });
        Ok(HostObject { json, metadata })
    }
}

impl kube::Resource for HostObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use kube::core::{ObjectList, WatchEvent};
    use serde_json::json;

    /// What a host that sends this object says.
    pub fn told(object: &Value) -> Told {
        serde_json::from_value::<HostObject>(object.clone()).unwrap().read()
    }

    fn pod() -> Value {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "a", "namespace": "h", "uid": "u", "resourceVersion": "7", "labels": { "x": "y \"z\"" },
            "managedFields": [
                { "manager": "other", "operation": "Apply", "fieldsV1": { "f:x": {} } },
                { "manager": "alcove", "operation": "Update", "fieldsV1": { "f:y": {} } },
                { "manager": "alcove", "operation": "Apply", "subresource": "status", "fieldsV1": { "f:s": {} } },
                { "manager": "alcove", "operation": "Apply", "fieldsV1": { "f:spec": { "k:{\"a\":1}": {} } } },
            ] },
          "spec": { "containers": [{ "managedFields": "no" }] } })
    }

    #[test]
    fn an_object_is_read_whole_but_for_the_owners_of_its_fields() {
        let object: HostObject = serde_json::from_value(pod()).unwrap();
        assert_eq!((object.name(), object.uid(), object.revision()), ("a", "u", 7));
        let told = object.read();
        assert_eq!(&*told.fields, "{\"f:spec\":{\"k:{\\\"a\\\":1}\":{}}}");
        let mut expected = pod();
        meta::unset(&mut expected, "managedFields");
        assert_eq!(told.object, expected);
        assert!(!told.is_metadata_alone());
        let spaced = serde_json::to_string_pretty(&pod()).unwrap();
        let spaced: HostObject = serde_json::from_str(&spaced).unwrap();
        assert_eq!((spaced.uid(), spaced.read()), ("u", told));
        let empty = serde_json::from_value::<HostObject>(json!({})).unwrap();
        assert_eq!((empty.name(), empty.revision(), empty.read().object), ("", 0, json!({})));
    }

    #[test]
    fn objects_are_read_from_lists_and_from_events() {
        let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "9" },
            "items": [pod(), {}] });
        let list: ObjectList<HostObject> = serde_json::from_str(&list.to_string()).unwrap();
        assert_eq!((list.items.len(), list.items[0].name()), (2, "a"));
        let event = format!("{{\"type\":\"ADDED\",\"object\":{}}}", pod());
        let Ok(WatchEvent::Added(object)) = serde_json::from_str::<WatchEvent<HostObject>>(&event) else {
            panic!("an event is not read")
        };
        assert_eq!(object.uid(), "u");
    }
}

//! Between a tree and the store's bytes: encoding with the place of the resourceVersion, the index that selectors
//! read, and conversion between the stored version and the served one. Reads of the stored version touch nothing.

use crate::client::Object;
use crate::registry::{FieldValue, Registry, Resource};
use alcove_object::{Status, Value, meta, scan, write};
use alcove_schema::decode::Report;
use alcove_store::{Entry, Index};
use serde_json::Map;
use std::sync::Arc;

/// What a resource's clients receive for an entry: the shared bytes, or a conversion of them.
pub(crate) fn present(resource: &Resource, entry: &Entry) -> Object {
    let bytes = match is_in_form(resource, entry) {
        true => entry.json.clone(),
        false => serde_json::to_vec(&tree(resource, entry)).expect("a tree of JSON values encodes").into(),
    };
    Object { revision: entry.revision, key: entry.key.clone(), bytes }
}

/// Whether an entry's bytes are what clients of the resource read.
fn is_in_form(resource: &Resource, entry: &Entry) -> bool {
    match &resource.custom {
        Some(custom) => custom.is_in_form(entry),
        None => resource.head.as_ref().is_none_or(|head| entry.json.starts_with(head)),
    }
}

/// An entry as a tree of the served version.
pub(crate) fn tree(resource: &Resource, entry: &Entry) -> Value {
    let mut object = scan::tree(&entry.json).expect("the store holds only JSON that this server wrote");
    match &resource.custom {
        Some(custom) if !custom.is_in_form(entry) => bring_into_form(resource, &mut object),
        Some(_) => {}
        None => convert(resource, &mut object, &resource.gvk),
    }
    object
}

/// The same with its managed fields apart, as text; `None` for what is stored in another form than it is served in.
pub(crate) fn apart<'e>(resource: &Resource, entry: &'e Entry) -> Option<(Value, &'e str)> {
    is_in_form(resource, entry).then(|| super::apart(&entry.json).ok()).flatten()
}

/// Makes of a custom object that was written in another version, or under another schema, what this version serves.
fn bring_into_form(resource: &Resource, object: &mut Value) {
    let conversion = resource.custom.as_ref().and_then(|custom| custom.conversion.as_ref());
    if let Some(kept) = conversion.and_then(|conversion| conversion.kept(object, &resource.gvk)) {
        *object = kept;
    }
    object["apiVersion"] = resource.gvk.api_version().into();
    object["kind"] = resource.gvk.kind.clone().into();
    let schema = resource.types.view(resource.schema);
    // Metadata was read before it was stored, so nothing of it can be refused now.
    let _was_read = alcove_schema::decode::conform(object, schema, &mut Report::default());
    resource.strategy.default(object);
}

/// An object of the served version, in another version of its resource.
pub(crate) fn converted(resource: &Resource, object: &Value, to: &alcove_object::Gvk) -> Value {
    let mut object = object.clone();
    convert(resource, &mut object, to);
    object
}

/// Has entries converted that a webhook must convert before they can be read as this resource's version. Cheap for
/// everything else.
pub(crate) async fn warm(resource: &Resource, entries: &[Arc<Entry>]) -> Result<(), Status> {
    let custom = resource.custom.as_ref();
    let Some((custom, conversion)) = custom.and_then(|custom| Some((custom, custom.conversion.as_ref()?)))
    else {
        return Ok(());
    };
    let old = entries.iter().filter(|entry| !custom.is_in_form(entry));
    let objects = old.filter_map(|entry| serde_json::from_slice(&entry.json).ok()).collect();
    conversion.warm(objects, &resource.gvk).await
}

/// Has an object converted that is about to be stored.
pub(crate) async fn warm_body(resource: &Resource, object: &Value) -> Result<(), Status> {
    let conversion = resource.custom.as_ref().and_then(|custom| custom.conversion.as_ref());
    let Some(conversion) = conversion.filter(|_| resource.gvk != resource.stored) else { return Ok(()) };
    let mut object = object.clone();
    meta::unset(&mut object, "resourceVersion");
    conversion.warm(vec![object], &resource.stored).await
}

/// Converts in place; nothing happens to an object that is of this version.
fn convert(resource: &Resource, object: &mut Value, to: &alcove_object::Gvk) {
    let api_version = to.api_version();
    if object["apiVersion"] == *api_version {
        return;
    }
    object["apiVersion"] = api_version.into();
    object["kind"] = to.kind.clone().into();
    resource.strategy.convert(object, to);
}

/// The store's form of an object in the served version: converted, encoded without a resourceVersion, indexed. `owners`:
/// its managed fields, if they were held [`apart`], or nothing.
pub(crate) fn body(
    registry: &Registry,
    resource: &Resource,
    object: &mut Value,
    owners: &str,
) -> alcove_store::Body {
    meta::unset(object, "resourceVersion");
    if resource.gvk == resource.stored {
        return stored_body(registry, resource, object, owners);
    }
    let mut stored = object.clone();
    match registry.kind(&resource.stored).filter(|storage| storage.custom.is_some()) {
        Some(storage) => bring_into_form(storage, &mut stored),
        None => convert(resource, &mut stored, &resource.stored),
    }
    stored_body(registry, resource, &stored, owners)
}

fn stored_body(registry: &Registry, resource: &Resource, object: &Value, owners: &str) -> alcove_store::Body {
    let (json, revision_at) = encode(object, owners);
    alcove_store::Body { json, revision_at, index: index(registry, resource, object) }
}

/// The bytes of a tree that was not stored, such as a dry run's.
pub(crate) fn unstored(key: Arc<str>, revision: u64, object: &Value) -> Object {
    Object { revision, key, bytes: serde_json::to_vec(object).expect("a tree of JSON values encodes").into() }
}

/// Whether an entry holds exactly these bytes, its resourceVersion left out.
pub(crate) fn is_same(entry: &Entry, body: &alcove_store::Body) -> bool {
    let at = body.revision_at;
    let version = entry.json.len() - body.json.len().min(entry.json.len());
    entry.revision_at == at
        && entry.json.len() == body.json.len() + version
        && entry.json[..at] == body.json[..at]
        && entry.json[at + version..] == body.json[at..]
}

/// Compact JSON, and where in it `"resourceVersion":"N",` belongs: among the sorted keys of `metadata`. There is always
/// a key behind it, since every stored object has a uid. `owners` are its managed fields if they are not in the tree.
fn encode(object: &Value, owners: &str) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(1024 + owners.len());
    let mut revision_at = 0;
    out.push(b'{');
    for (i, (key, value)) in object.as_object().into_iter().flatten().enumerate() {
        begin(&mut out, i, key);
        match (key.as_str(), value) {
            ("metadata", Value::Object(metadata)) => {
                revision_at = encode_metadata(&mut out, metadata, owners);
            }
            _ => write::write(&mut out, value),
        }
    }
    out.push(b'}');
    (out, revision_at)
}

fn encode_metadata(out: &mut Vec<u8>, metadata: &Map<String, Value>, owners: &str) -> usize {
    const OWNERS: &str = "managedFields";
    let mut revision_at = None;
    let mut owners = Some(owners).filter(|owners| !owners.is_empty());
    let is_apart = owners.is_some();
    let mut position = 0;
    out.push(b'{');
    for (key, value) in metadata.iter().filter(|(key, _)| !is_apart || *key != OWNERS) {
        if key.as_str() > OWNERS
            && let Some(owners) = owners.take()
        {
            begin(out, position, OWNERS);
            out.extend_from_slice(owners.as_bytes());
            position += 1;
        }
        if position > 0 {
            out.push(b',');
        }
        if key.as_str() > "resourceVersion" {
            revision_at.get_or_insert(out.len());
        }
        begin(out, 0, key);
        write::write(out, value);
        position += 1;
    }
    let end = out.len();
    out.push(b'}');
    revision_at.unwrap_or(end)
}

fn begin(out: &mut Vec<u8>, position: usize, key: &str) {
    if position > 0 {
        out.push(b',');
    }
    write::text(out, key);
    out.push(b':');
}

/// What selectors read, from an object in the stored version. Twins of a table (events of both groups) share one
/// index, so it has the selectable fields of all of them; their functions read the stored version.
fn index(registry: &Registry, resource: &Resource, object: &Value) -> Index {
    let mut labels: Vec<(Box<str>, Box<str>)> =
        meta::labels(object).map(|(k, v)| (k.into(), v.into())).collect();
    labels.sort_unstable();
    let fields = registry
        .selectable(resource)
        .iter()
        .filter_map(|s| match s.value {
            FieldValue::Indexed(value) => Some((s.index, value(object))),
            FieldValue::Read(_) => None,
        })
        .filter(|(_, value)| !value.is_empty())
        .map(|(index, value)| (index, value.into_boxed_str()))
        .collect();
    Index { labels: labels.into_boxed_slice(), fields }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_resource_version_belongs_between_its_neighbours() {
        let object =
            json!({"apiVersion": "v1", "metadata": {"name": "a", "namespace": "b", "uid": "c"}, "x": [1]});
        let (json, at) = encode(&object, "");
        let text = String::from_utf8(json).unwrap();
        let spliced = format!("{}\"resourceVersion\":\"7\",{}", &text[..at], &text[at..]);
        assert_eq!(
            spliced,
            r#"{"apiVersion":"v1","metadata":{"name":"a","namespace":"b","resourceVersion":"7","uid":"c"},"x":[1]}"#
        );
    }

    #[test]
    fn managed_fields_that_were_apart_come_back_to_their_place() {
        let owners = json!([{"manager": "m", "fieldsV1": {"f:x": {}}}]);
        for metadata in [
            json!({"labels": {"a": "b"}, "name": "n", "uid": "u"}),
            json!({"uid": "u"}),
            json!({"annotations": {}, "managedFields": [], "name": "n", "uid": "u"}),
        ] {
            let mut whole = json!({"kind": "K", "metadata": metadata});
            let (json, at) = encode(&whole, &owners.to_string());
            whole["metadata"]["managedFields"] = owners.clone();
            assert_eq!((json, at), encode(&whole, ""));
        }
    }

    #[test]
    fn equal_bytes_but_for_the_version_are_the_same() {
        let object = json!({"metadata": {"name": "a", "uid": "c"}});
        let (json, at) = encode(&object, "");
        let text = String::from_utf8(json.clone()).unwrap();
        let entry = Entry {
            key: "a".into(),
            revision: 7,
            json: format!("{}\"resourceVersion\":\"7\",{}", &text[..at], &text[at..]).into(),
            revision_at: at,
            index: Index::default(),
        };
        let body = |json: Vec<u8>| alcove_store::Body { json, revision_at: at, index: Index::default() };
        assert!(is_same(&entry, &body(json)));
        assert!(!is_same(&entry, &body(encode(&json!({"metadata": {"name": "a", "uid": "d"}}), "").0)));
        assert!(!is_same(&entry, &body(encode(&json!({"metadata": {"name": "a", "uid": "cc"}}), "").0)));
    }
}

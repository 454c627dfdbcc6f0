//! Lists whose items are told apart: each is there once
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype).

use super::walk;
use crate::types::{ListKind, Shape, View};
use alcove_object::Value;
use alcove_object::field::{Error, Path};
use alcove_object::gather::Gather;
use serde_json::Map;
use std::collections::HashMap;

/// All items that are there twice, in lists of type set and map.
pub(super) fn errors(value: &Value, view: View<'_>, path: &Path, out: &mut Vec<Error>) {
    walk::each(value, view, path, &mut |value, view, path| {
        let (Shape::List(_), Value::Array(items)) = (view.shape(), value) else { return };
        match &view.schema().list {
            ListKind::Atomic => {}
            ListKind::Set => {
                out.extend(twice(items).map(|i| Error::duplicate(&path.index(i), items[i].clone())));
            }
            ListKind::Map(keys) => map_errors(items, keys, path, out),
        }
    });
}

fn map_errors(items: &[Value], keys: &[Box<str>], path: &Path, out: &mut Vec<Error>) {
    let wrong = |item: &Value| !item.is_null() && !item.is_object();
    if let Some(i) = items.iter().position(wrong) {
        let why = "must be an object for an array of list-type map";
        return out.push(Error::invalid(&path.index(i), items[i].clone(), why));
    }
    let key_of = |item: &Value| {
        let key = keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
        Value::Object(key.gather::<Map<_, _>>())
    };
    let found: Vec<Value> = items.iter().map(key_of).collect();
    out.extend(twice(&found).map(|i| Error::duplicate(&path.index(i), found[i].clone())));
}

/// Where values stand for the second time.
fn twice(values: &[Value]) -> impl Iterator<Item = usize> {
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(values.len());
    let mut found = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let times = seen.entry(value.to_string()).or_insert(0);
        *times += 1;
        if *times == 2 {
            found.push(i);
        }
    }
    found.into_iter()
}

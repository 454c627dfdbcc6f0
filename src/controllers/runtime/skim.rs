//! Reading objects without the parts that nobody asks for: most of a pod is its containers and who owns which field,
//! and a controller that counts thousands of pods reads neither.

use alcove_apiserver::Object;
use alcove_object::Value;
use alcove_object::gather::Gather;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An object as a tree, without the members of these names in `metadata`, `spec` and `status`.
pub fn skim(object: &Object, unread: &[&str]) -> Value {
    if unread.is_empty() {
        return object.parse();
    }
    let parts = members(std::str::from_utf8(&object.bytes).unwrap_or_default());
    Value::Object(parts.into_iter().map(|(name, part)| (name, skim_part(part, unread))).gather())
}

fn skim_part(part: &RawValue, unread: &[&str]) -> Value {
    if !part.get().starts_with('{') {
        return tree(part);
    }
    let read = members(part.get()).into_iter().filter(|(name, _)| !unread.contains(&name.as_str()));
    Value::Object(read.map(|(name, member)| (name, tree(member))).gather())
}

fn members(json: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(json).unwrap_or_default()
}

fn tree(json: &RawValue) -> Value {
    serde_json::from_str(json.get()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    #[test]
    fn what_is_unread_is_left_out_and_all_else_is_there() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "a", "managedFields": [{ "manager": "m" }], "labels": { "containers": "x" } },
            "spec": { "containers": [{ "name": "c" }], "nodeName": "n\"1" }, "status": null, "other": [1, {}],
        });
        let bytes = Bytes::from(pod.to_string());
        let object = Object { revision: 1, key: "d/a".into(), bytes };
        let mut expected = pod.clone();
        expected["metadata"].as_object_mut().unwrap().remove("managedFields");
        expected["spec"].as_object_mut().unwrap().remove("containers");
        assert_eq!(skim(&object, &["managedFields", "containers"]), expected);
        assert_eq!(skim(&object, &[]), pod);
    }
}

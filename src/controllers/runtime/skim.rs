//! Reading objects without the parts that nobody asks for: most of a pod is its containers and who owns which field,
//! and a controller that counts thousands of pods reads neither.

use alcove_apiserver::Object;
use alcove_object::Value;
use alcove_object::gather::Gather;
use alcove_object::members::members;

/// An object as a tree, without the members of these names in `metadata`, `spec` and `status`.
pub fn skim(object: &Object, unread: &[&str]) -> Value {
    if unread.is_empty() {
        return object.parse();
    }
    let parts = members(std::str::from_utf8(&object.bytes).unwrap_or_default()).into_iter().flatten();
    Value::Object(parts.map(|(name, part)| (name.into_owned(), skim_part(part, unread))).gather())
}

fn skim_part(part: &str, unread: &[&str]) -> Value {
    let Some(read) = members(part) else { return tree(part) };
    let read = read.filter(|(name, _)| !unread.contains(&&**name));
    Value::Object(read.map(|(name, member)| (name.into_owned(), tree(member))).gather())
}

fn tree(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
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

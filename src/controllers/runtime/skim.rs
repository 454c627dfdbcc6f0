//! Reading objects without the parts that nobody asks for: most of a pod is its containers and who owns which field,
//! and a controller that counts thousands of pods reads neither.

use alcove_apiserver::Object;
use alcove_object::Value;
use alcove_object::scan::{Malformed, Scanner};
use serde_json::Map;

/// An object as a tree, without the members of these names in `metadata`, `spec` and `status`.
pub fn skim(object: &Object, unread: &[&str]) -> Value {
    if unread.is_empty() {
        return object.parse();
    }
    read(&mut Scanner::new(&object.bytes), unread).unwrap_or_default()
}

fn read(json: &mut Scanner<'_>, unread: &[&str]) -> Result<Value, Malformed> {
    members(json, |json, _| match json.peek() {
        Some(b'{') => members(json, |json, name| match unread.contains(&name) {
            true => json.value().map(|_| None),
            false => json.tree().map(Some),
        })
        .map(Some),
        _ => json.tree().map(Some),
    })
}

/// An object of those members that are read.
fn members<'a>(
    json: &mut Scanner<'a>,
    mut read: impl FnMut(&mut Scanner<'a>, &str) -> Result<Option<Value>, Malformed>,
) -> Result<Value, Malformed> {
    let mut map = Map::new();
    json.object(|json, key| {
        let name = key.text()?;
        if let Some(value) = read(json, &name)? {
            map.insert(name.into_owned(), value);
        }
        Ok::<(), Malformed>(())
    })?;
    Ok(Value::Object(map))
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

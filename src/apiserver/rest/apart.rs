//! A stored object in two: its tree without `metadata.managedFields`, and their text. They are half of most objects, and
//! few who read one look at them.

use alcove_object::{Value, members};
use serde_json::Map;

const OWNERS: &str = "managedFields";

/// The tree and the text, empty if there are no managed fields. `None`: this is no JSON object.
pub(crate) fn apart(json: &[u8]) -> Option<(Value, &str)> {
    let (mut tree, mut owners) = (Map::new(), "");
    let mut object = members::members(std::str::from_utf8(json).ok()?)?;
    for (name, text) in object.by_ref() {
        let value = match &*name {
            "metadata" => metadata(text, &mut owners)?,
            _ => serde_json::from_str(text).ok()?,
        };
        tree.insert(name.into_owned(), value);
    }
    object.is_at_end().then_some((Value::Object(tree), owners))
}

fn metadata<'a>(json: &'a str, owners: &mut &'a str) -> Option<Value> {
    let mut tree = Map::new();
    let mut metadata = members::members(json)?;
    for (name, text) in metadata.by_ref() {
        match &*name {
            OWNERS => *owners = text,
            _ => drop(tree.insert(name.into_owned(), serde_json::from_str(text).ok()?)),
        }
    }
    metadata.is_at_end().then_some(Value::Object(tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_fields_are_held_apart() {
        let json = br#"{"managedFields":1,"metadata":{"managedFields":[{"a":[]}],"name":"a"},"x":[{"metadata":{"managedFields":2}}]}"#;
        let expected = serde_json::json!({
            "managedFields": 1, "metadata": {"name": "a"}, "x": [{"metadata": {"managedFields": 2}}],
        });
        assert_eq!(apart(json), Some((expected, r#"[{"a":[]}]"#)));
        assert_eq!(apart(b"{}"), Some((serde_json::json!({}), "")));
        for broken in ["", "[]", "{", r#"{"metadata":1}"#] {
            assert_eq!(apart(broken.as_bytes()), None, "{broken}");
        }
    }
}

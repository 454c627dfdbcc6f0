//! A stored object in two: its tree without `metadata.managedFields`, and their text. They are half of most objects, and
//! few who read one look at them.

use alcove_object::Value;
use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::Map;
use serde_json::value::RawValue;
use std::cell::Cell;
use std::fmt;

/// The tree and the text, empty if there are no managed fields. `None`: this is no JSON object.
pub(crate) fn apart(json: &[u8]) -> Option<(Value, &str)> {
    let owners = Cell::new("");
    let mut reader = serde_json::Deserializer::from_slice(json);
    let tree = Members { chosen: "metadata", owners: &owners }.deserialize(&mut reader).ok()?;
    Some((tree, owners.get()))
}

/// Reads an object's members as a tree. The chosen one is metadata, or what is held apart.
struct Members<'c, 'de> {
    chosen: &'static str,
    owners: &'c Cell<&'de str>,
}

const OWNERS: &str = "managedFields";

impl<'de> DeserializeSeed<'de> for Members<'_, 'de> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = match key == self.chosen {
                false => members.next_value()?,
                true if self.chosen == OWNERS => {
                    self.owners.set(members.next_value::<&RawValue>()?.get());
                    continue;
                }
                true => members.next_value_seed(Members { chosen: OWNERS, owners: self.owners })?,
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
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

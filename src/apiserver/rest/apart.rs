//! A stored object in two: its tree without `metadata.managedFields`, and their text. They are half of most objects, and
//! few who read one look at them.

use alcove_object::Value;
use alcove_object::scan::{Malformed, Scanner};
use serde_json::Map;

const OWNERS: &str = "managedFields";

/// The tree and the text, empty if there are no managed fields. An error: this is no JSON object.
pub(crate) fn apart(json: &[u8]) -> Result<(Value, &str), Malformed> {
    let (mut tree, mut owners) = (Map::new(), &b""[..]);
    let mut json = Scanner::checked(json)?;
    json.object(|json, key| {
        let name = json.key(key)?;
        let value = if key.is("metadata") { metadata(json, &mut owners)? } else { json.tree()? };
        tree.insert(name, value);
        Ok::<(), Malformed>(())
    })?;
    let owners = std::str::from_utf8(owners).map_err(|_| Malformed)?;
    if json.is_at_end() { Ok((Value::Object(tree), owners)) } else { Err(Malformed) }
}

fn metadata<'a>(json: &mut Scanner<'a>, owners: &mut &'a [u8]) -> Result<Value, Malformed> {
    let mut tree = Map::new();
    json.object(|json, key| {
        match key.is(OWNERS) {
            true => *owners = json.value()?,
            false => drop(tree.insert(json.key(key)?, json.tree()?)),
        }
        Ok::<(), Malformed>(())
    })?;
    Ok(Value::Object(tree))
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
        assert_eq!(apart(json), Ok((expected, r#"[{"a":[]}]"#)));
        assert_eq!(apart(b"{}"), Ok((serde_json::json!({}), "")));
        for broken in ["", "[]", "{", r#"{"metadata":1}"#] {
            assert_eq!(apart(broken.as_bytes()), Err(Malformed), "{broken}");
        }
    }
}

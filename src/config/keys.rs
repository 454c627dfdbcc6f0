//! Which keys a configuration may have, without the types' whole JSON Schema: `keys.json` says it, a test writes it.
//!
//! A map of keys is a map of what is below them, a list holds what is below each item, and `null` is anything.

use crate::check::Problem;
use serde_json::Value;

/// Two keys are near if this many letters differ at most.
const NEAR_LETTERS: usize = 3;

/// Checks that all keys of a tree are known.
pub(crate) fn check(tree: &Value) -> Result<(), Problem> {
    let known = serde_json::from_str(include_str!("keys.json")).expect("a test writes the file as JSON");
    known_keys(&known, tree, "")
}

fn known_keys(known: &Value, tree: &Value, place: &str) -> Result<(), Problem> {
    match (known, tree) {
        (Value::Object(known), Value::Object(entries)) => {
            for (key, value) in entries {
                let here = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                match known.get(key) {
                    Some(below) => known_keys(below, value, &here)?,
                    None => return Err(unknown(&here, key, known.keys().map(String::as_str))),
                }
            }
            Ok(())
        }
        (Value::Array(known), Value::Array(items)) => {
            let below = known.first().unwrap_or(&Value::Null);
            let mut items = items.iter().enumerate();
            items.try_for_each(|(at, item)| known_keys(below, item, &format!("{place}[{at}]")))
        }
        _ => Ok(()),
    }
}

fn unknown<'a>(place: &str, key: &str, known: impl Iterator<Item = &'a str> + Clone) -> Problem {
    let distance = |name: &str| letters_apart(&key.to_lowercase(), &name.to_lowercase());
    let nearest = known.clone().min_by_key(|name| distance(name));
    Problem(match nearest.filter(|name| distance(name) <= NEAR_LETTERS) {
        Some(name) => format!("unknown key {place:?}; did you mean {name:?}?"),
        None => {
            let known: Vec<&str> = known.collect();
            format!("unknown key {place:?}; known keys are {}", known.join(", "))
        }
    })
}

/// How many letters must be changed, added or dropped to turn one word into the other.
fn letters_apart(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{json_schema, resolved};
    use serde_json::json;

    fn keys(root: &Value, schema: &Value) -> Value {
        let schema = resolved(root, schema);
        match (schema.get("properties").and_then(Value::as_object), schema.get("items")) {
            (Some(known), _) => known.iter().map(|(key, below)| (key.clone(), keys(root, below))).collect(),
            (None, Some(items)) => match keys(root, items) {
                Value::Null => Value::Null,
                below => json!([below]),
            },
            (None, None) => Value::Null,
        }
    }

    #[test]
    fn the_keys_are_those_of_the_types() {
        let schema = json_schema();
        let expected = format!("{:#}\n", keys(&schema, &schema));
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("keys.json");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            written, expected,
            "the types have changed; UPDATE_DOCS=1 writes src/config/keys.json anew"
        );
    }
}

//! The configuration explained: as a JSON Schema for editors and helm, and as a page for people.

use crate::types::Config;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The JSON Schema (draft 7, which helm reads) of a configuration.
pub fn json_schema() -> Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<Config>().to_value()
}

/// A schema with its reference followed, and with the one that counts where a value may also be null.
pub(crate) fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    loop {
        let choices = ["anyOf", "allOf"].iter().find_map(|key| schema.get(*key)).and_then(Value::as_array);
        let chosen = choices.and_then(|all| all.iter().find(|one| one["type"] != "null"));
        let named = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        match (chosen, named.and_then(|path| root.pointer(path))) {
            (Some(next), _) | (None, Some(next)) => schema = next,
            (None, None) => return schema,
        }
    }
}

/// A page with every key, its type, its default and what it means, in Markdown.
pub fn markdown() -> String {
    let schema = json_schema();
    let mut out = String::new();
    section(&schema, &schema, "", &Config::default().to_tree(), &mut out);
    out
}

/// One table for the plain keys of an object, then the objects in it.
fn section(root: &Value, schema: &Value, place: &str, defaults: &Value, out: &mut String) {
    let empty = Map::new();
    let keys = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let is_group = |schema: &Value| resolved(root, schema).get("properties").is_some();
    if keys.values().any(|schema| !is_group(schema)) {
        out.push_str("| key | type | default | |\n|---|---|---|---|\n");
    }
    for (key, schema) in keys.iter().filter(|(_, schema)| !is_group(schema)) {
        let default = defaults.get(key).filter(|value| !value.is_null());
        let default = default.map_or_else(String::new, |value| format!("`{value}`"));
        let text = one_line(description(root, schema));
        let _ = writeln!(out, "| `{key}` | {} | {default} | {text} |", type_name(root, schema));
    }
    for (key, schema) in keys.iter().filter(|(_, schema)| is_group(schema)) {
        let here = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        let _ = write!(out, "\n## `{here}`\n\n{}\n\n", one_line(description(root, schema)));
        section(root, resolved(root, schema), &here, &defaults[key], out);
    }
}

pub(crate) fn description<'a>(root: &'a Value, schema: &'a Value) -> &'a str {
    let text = |schema: &'a Value| schema.get("description").and_then(Value::as_str);
    text(schema).or_else(|| text(resolved(root, schema))).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn type_name(root: &Value, schema: &Value) -> String {
    let schema = resolved(root, schema);
    let choices = schema.get("enum").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    if let Some(choices) = choices {
        let names = choices.iter().filter_map(|choice| choice.get("const").unwrap_or(choice).as_str());
        return names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    }
    let types = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => vec!["any"],
    };
    let first = types.iter().find(|name| **name != "null").copied().unwrap_or("any");
    match first {
        "array" => {
            format!("list of {}", schema.get("items").map_or("any".into(), |items| type_name(root, items)))
        }
        "object" => "map".into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained() {
        fn unexplained(root: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
            for (key, schema) in
                resolved(root, schema).get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                let here = format!("{place}.{key}");
                if description(root, schema).is_empty() {
                    found.push(here.clone());
                }
                unexplained(root, schema, &here, found);
            }
        }
        let (schema, mut found) = (json_schema(), Vec::new());
        unexplained(&schema, &schema, "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn the_page_has_groups_and_defaults() {
        let page = markdown();
        assert!(page.contains("## `sync.pods`"), "{page}");
        assert!(page.contains("| `port` | integer | `1053` |"), "{page}");
        assert!(page.contains("`privileged`, `baseline`, `restricted` | `\"baseline\"`"), "{page}");
    }
}

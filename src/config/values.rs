//! The configuration as the chart's `values.yaml`: every key with its comment and default. Keys without a default are
//! there too, as comments.

use crate::document::{description, resolved};
use crate::{Config, json_schema};
use serde_json::{Map, Value};
use std::fmt::Write;

/// Where comments are folded.
const COLUMNS: usize = 110;

/// All keys but these, of the top level, with comments and defaults, as YAML.
pub fn values_yaml(without: &[&str]) -> String {
    let schema = json_schema();
    let mut out = String::new();
    keys(&schema, &schema, &Config::default().to_tree(), 0, without, &mut out);
    out
}

fn keys(root: &Value, schema: &Value, defaults: &Value, depth: usize, without: &[&str], out: &mut String) {
    let empty = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let indent = "  ".repeat(depth);
    for (key, schema) in known.iter().filter(|(key, _)| !without.contains(&key.as_str())) {
        if depth == 0 && !out.is_empty() {
            out.push('\n');
        }
        comment(description(root, schema), &indent, out);
        let default = &defaults[key];
        let group = resolved(root, schema);
        let _ = match default {
            Value::Null => writeln!(out, "{indent}# {key}:"),
            Value::Object(_) if group.get("properties").is_some() => {
                let _ = writeln!(out, "{indent}{key}:");
                keys(root, group, default, depth + 1, &[], out);
                Ok(())
            }
            default => entry(key, default, &indent, out),
        };
    }
}

/// One key with a value that has no keys of its own that we know.
fn entry(key: &str, value: &Value, indent: &str, out: &mut String) -> std::fmt::Result {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            writeln!(out, "{indent}{key}:")?;
            entries.iter().try_for_each(|(key, value)| {
                entry(&scalar(&key.clone().into()), value, &format!("{indent}  "), out)
            })
        }
        Value::Array(items) if !items.is_empty() => {
            writeln!(out, "{indent}{key}:")?;
            items.iter().try_for_each(|item| writeln!(out, "{indent}  - {}", scalar(item)))
        }
        value => writeln!(out, "{indent}{key}: {}", scalar(value)),
    }
}

/// A text stands without quotes where YAML cannot take it for anything else.
fn scalar(value: &Value) -> String {
    match value.as_str() {
        Some(text) if is_plain(text) => text.to_owned(),
        _ => value.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    is_word
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "./-_".contains(c))
        && !is_taken.contains(&text.to_lowercase().as_str())
}

fn comment(text: &str, indent: &str, out: &mut String) {
    let mut line = format!("{indent}#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            let _ = writeln!(out, "{line}");
            line = format!("{indent}#");
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use alcove_schema::decode::parse_yaml;

    #[test]
    fn the_defaults_are_read_back_as_they_are() {
        let text = values_yaml(&["apiVersion", "kind"]);
        let read = parse_yaml(text.as_bytes()).unwrap();
        assert_eq!(read.strict, None);
        assert_eq!(Config::from_tree(read.value), Ok(Config::default()));
    }

    #[test]
    fn every_key_has_its_comment() {
        let text = values_yaml(&["host"]);
        assert!(
            text.contains("  # Tag; the version of the binary or chart unless given.\n    # tag:\n"),
            "{text}"
        );
        assert!(text.contains("kubernetesVersion: \"1.36\"\n"), "{text}");
        assert!(!text.contains("\nhost:") && text.lines().all(|line| line.len() <= COLUMNS), "{text}");
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for (value, expected) in [
            ("a/b.c-1", "a/b.c-1"),
            ("1.36", "\"1.36\""),
            ("off", "\"off\""),
            ("::1/128", "\"::1/128\""),
            ("", "\"\""),
        ] {
            assert_eq!(scalar(&value.into()), expected);
        }
    }
}

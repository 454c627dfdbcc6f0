//! The configuration as the process reads it in its pod: the release's values, and what only the chart can know.

use super::{API_PORT, DATA, Release};
use alcove_object::Value;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Keys that follow from the pod and from the release's name; values that name them are refused.
pub const SET_BY_THE_CHART: [&str; 4] = ["address", "data", "host", "port"];

/// The Secret that holds it: a Secret since extra annotations, resolvers and the like are nobody else's business.
pub fn secret(release: &Release) -> Value {
    let mut secret = release.object("v1", "Secret", &release.part("config"));
    secret["type"] = "Opaque".into();
    // Not `stringData`, which no API server keeps: whoever applies it finds a conflict with whoever applied it before.
    secret["data"] = json!({ "config.yaml": BASE64_STANDARD.encode(text(release)) });
    secret
}

/// The digest that rolls the pod.
pub fn hash(release: &Release) -> String {
    Sha256::digest(text(release)).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// JSON, which is YAML, exactly as helm's `toPrettyJson` writes it: the same values give the same bytes, so a release
/// that helm adopts does not roll.
fn text(release: &Release) -> String {
    let mut tree = release.config.to_tree();
    without_nulls(&mut tree);
    if let Value::Object(tree) = &mut tree {
        SET_BY_THE_CHART.iter().for_each(|key| drop(tree.remove(*key)));
    }
    tree["host"] = json!({ "name": release.name, "namespace": release.namespace });
    tree["data"] = DATA.into();
    tree["port"] = API_PORT.into();
    as_go_writes(&format!("{tree:#}"))
}

/// Helm drops keys whose value is null.
fn without_nulls(tree: &mut Value) {
    match tree {
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Go's encoding/json escapes what HTML or JavaScript would read.
fn as_go_writes(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
        out
    })
}

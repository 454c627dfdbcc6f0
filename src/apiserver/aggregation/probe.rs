//! Asking a server what it serves: whether it answers at all, and its discovery and OpenAPI documents.

use super::read;
use super::remote::{Known, Remote};
use crate::user::User;
use alcove_object::gather::Gather;
use alcove_schema::openapi;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

/// Types that a document of version 2 refers to, from one to the next, at most; what refers deeper stays as it is.
const DEFINITIONS_MAX: usize = 10_000;

/// Whether a server answers, and what it says then. The error is the message of its condition.
pub async fn ask(remote: &Remote) -> Result<Known, String> {
    let path = remote.path();
    let url = format!("https://{}{path}", remote.address().await);
    let (code, list) = get(remote, &path)
        .await
        .map_err(|why| format!("failing or missing response from {url}: Get {url:?}: {why}"))?;
    if !(200..300).contains(&code) {
        return Err(format!("failing or missing response from {url}: bad status from {url}: {code}"));
    }
    let list: Value = serde_json::from_slice(&list).unwrap_or_default();
    let resources = list["resources"].as_array().cloned().unwrap_or_default();
    let v3 = v3(remote).await;
    let v2 = if v3.is_some() && v3 == remote.known.v3 { remote.known.v2.clone() } else { v2(remote).await };
    Ok(Known { is_available: true, resources, v3, v2 })
}

async fn get(remote: &Remote, path: &str) -> Result<(u16, Bytes), String> {
    let aggregator = User { name: "system:kube-aggregator".into(), ..User::component("") };
    let aggregator = User { groups: vec!["system:masters".into()], ..aggregator };
    read::get(remote, path, &aggregator).await
}

async fn document(remote: &Remote, path: &str) -> Option<Bytes> {
    let (code, bytes) = get(remote, path).await.ok()?;
    (code == 200).then_some(bytes)
}

/// Its document of version 3, unless what is known is the same.
async fn v3(remote: &Remote) -> Option<(String, Bytes)> {
    let index: Value = serde_json::from_slice(&document(remote, "/openapi/v3").await?).ok()?;
    let key = &remote.path()[1..];
    let url = index["paths"][key]["serverRelativeURL"].as_str()?;
    let hash = url.split_once("hash=").map_or("", |(_, hash)| hash);
    if let Some(known) = remote.known.v3.as_ref().filter(|(known, _)| known == hash && !hash.is_empty()) {
        return Some(known.clone());
    }
    let bytes = document(remote, &format!("/openapi/v3/{key}")).await?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).ok()?;
    let hash = if hash.is_empty() { openapi::hash(&bytes) } else { hash.to_owned() };
    // It stands in URLs and headers.
    let is_plain = hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let hash = if is_plain { hash } else { openapi::hash(&bytes) };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&bytes).ok()?;
    Some((hash, gzip.finish().ok()?.into()))
}

/// Its part of its document of version 2: its own paths, and the definitions that these need.
async fn v2(remote: &Remote) -> Option<Arc<Value>> {
    let whole: Value = serde_json::from_slice(&document(remote, "/openapi/v2").await?).ok()?;
    Some(Arc::new(part_of(&whole, &remote.path())))
}

fn part_of(whole: &Value, path: &str) -> Value {
    let nothing = Map::new();
    let all = |field: &str| whole[field].as_object().unwrap_or(&nothing);
    let is_own =
        |other: &str| other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let paths: Map<String, Value> =
        all("paths").iter().filter(|(other, _)| is_own(other)).map(|(k, v)| (k.clone(), v.clone())).gather();
    let mut needed: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<&Value> = paths.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                let name = map.get("$ref").and_then(Value::as_str);
                let name = name.and_then(|name| name.strip_prefix("#/definitions/"));
                if let Some(name) = name.filter(|_| needed.len() < DEFINITIONS_MAX)
                    && needed.insert(name.to_owned())
                {
                    open.extend(all("definitions").get(name));
                }
                open.extend(map.values());
            }
            _ => {}
        }
    }
    let definitions: Map<String, Value> = needed
        .into_iter()
        .filter_map(|name| Some((name.clone(), all("definitions").get(&name)?.clone())))
        .collect();
    json!({"paths": paths, "definitions": definitions})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_its_paths_and_what_they_need() {
        let whole = json!({
            "paths": {
                "/apis/g/v1/": {"get": {"schema": {"$ref": "#/definitions/A"}}},
                "/apis/g/v1beta1/": {"get": {"schema": {"$ref": "#/definitions/D"}}},
            },
            "definitions": {"A": {"properties": {"b": {"$ref": "#/definitions/B"}, "n": {"$ref": "#/definitions/N"}}},
                "B": {"items": [{"$ref": "#/definitions/A"}]}, "D": {}},
        });
        let part = part_of(&whole, "/apis/g/v1");
        assert_eq!(part["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/apis/g/v1/"]);
        assert_eq!(part["definitions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["A", "B"]);
    }
}

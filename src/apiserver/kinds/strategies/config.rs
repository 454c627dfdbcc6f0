//! ConfigMaps and Secrets: keys, size, and data that is never to change.

use crate::kinds::defaults::{fill, kinds};
use crate::kinds::tree::{flag, text};
use crate::kinds::validation::immutable;
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};
use alcove_schema::Tree;
use alcove_schema::decode::{self, Cause, DecodeError, Encoding};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};

/// All values of a ConfigMap or Secret together, in bytes. Past it: 422.
pub(crate) const DATA_BYTES_MAX: usize = 1024 * 1024;

/// ConfigMaps.
pub(crate) struct ConfigMap;

impl Strategy for ConfigMap {
    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut size = 0;
        let binary = entries(object, "binaryData");
        for (key, value) in entries(object, "data").into_iter().flatten() {
            let path = Path::new("data").key(key);
            errors.extend(key_errors(key, &path));
            if binary.is_some_and(|b| b.contains_key(key)) {
                errors.push(Error::invalid(&path, key.clone(), "duplicate of key present in binaryData"));
            }
            size += value.as_str().map_or(0, str::len);
        }
        for (key, value) in binary.into_iter().flatten() {
            errors.extend(key_errors(key, &Path::new("binaryData").key(key)));
            size += decoded_len(value);
        }
        if size > DATA_BYTES_MAX {
            errors.push(Error::too_long(&Path::new("[]"), DATA_BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = kept(object, old, &["data", "binaryData"]);
        errors.extend(self.validate(context, object));
        errors
    }
}

/// Secrets.
pub(crate) struct Secret;

impl Strategy for Secret {
    fn default(&self, object: &mut Value) {
        fill(object, kinds::SECRET);
        encode_string_data(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        if text(object, "/type").is_empty() {
            object["type"] = old["type"].clone();
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let path = Path::new("data");
        let data = entries(object, "data");
        let mut errors = Vec::new();
        for key in data.into_iter().flat_map(Map::keys) {
            errors.extend(key_errors(key, &path.key(key)));
        }
        if data.into_iter().flat_map(Map::values).map(decoded_len).sum::<usize>() > DATA_BYTES_MAX {
            errors.push(Error::too_long(&path, DATA_BYTES_MAX));
        }
        errors.extend(of_type(object, data, &path));
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors: Vec<Error> =
            immutable(object, old, "/type", &Path::new("type")).into_iter().collect();
        errors.extend(kept(object, old, &["data"]));
        errors.extend(self.validate(context, object));
        errors
    }
}

/// Service accounts, which name their secrets and say nothing else of them.
pub(crate) struct ServiceAccount;

impl Strategy for ServiceAccount {
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        for secret in object.get_mut("secrets").and_then(Value::as_array_mut).into_iter().flatten() {
            *secret = match secret.get("name") {
                Some(name) => json!({"name": name}),
                None => json!({}),
            };
        }
    }

    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, _: &Value) {
        self.prepare_create(context, object);
    }
}

/// `stringData` is a way to write `data`, and never kept.
fn encode_string_data(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let Some(Value::Object(texts)) = map.remove("stringData") else { return };
    let data = meta::child_mut(map, "data");
    for (key, value) in texts {
        let text = value.as_str().unwrap_or_default();
        data.insert(key, STANDARD.encode(text).into());
    }
}

/// What a secret of a known type must hold (k8s.io/kubernetes/pkg/apis/core/validation: ValidateSecret).
fn of_type(object: &Value, data: Option<&Map<String, Value>>, path: &Path) -> Vec<Error> {
    let has = |key: &str| data.is_some_and(|d| d.contains_key(key));
    let missing = |key: &str| (!has(key)).then(|| Error::required(&path.key(key), ""));
    match text(object, "/type") {
        "kubernetes.io/service-account-token" => {
            const ACCOUNT: &str = "kubernetes.io/service-account.name";
            let path = Path::new("metadata").child("annotations").key(ACCOUNT);
            let is_named = meta::annotation(object, ACCOUNT).is_some_and(|name| !name.is_empty());
            if is_named { Vec::new() } else { vec![Error::required(&path, "")] }
        }
        "kubernetes.io/dockercfg" => docker_config(data, ".dockercfg", path).into_iter().collect(),
        "kubernetes.io/dockerconfigjson" => {
            docker_config(data, ".dockerconfigjson", path).into_iter().collect()
        }
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            ["username", "password"].into_iter().filter_map(missing).collect()
        }
        "kubernetes.io/ssh-auth" => {
            let is_empty = data.and_then(|d| d.get("ssh-privatekey")).is_none_or(|v| decoded_len(v) == 0);
            if is_empty { vec![Error::required(&path.key("ssh-privatekey"), "")] } else { Vec::new() }
        }
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].into_iter().filter_map(missing).collect(),
        _ => Vec::new(),
    }
}

fn docker_config(data: Option<&Map<String, Value>>, key: &str, path: &Path) -> Option<Error> {
    let path = path.key(key);
    let Some(value) = data.and_then(|d| d.get(key)) else { return Some(Error::required(&path, "")) };
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    let why = match decode::untyped(&bytes, Encoding::Json) {
        Ok((Tree::Map(_) | Tree::Null, _)) => return None,
        Ok((other, _)) => {
            let kind = decode::json_kind(&other.to_value());
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        }
        Err(DecodeError { cause: Cause::Json(why), .. }) => why,
        Err(other) => other.to_string(),
    };
    Some(Error::invalid(&path, "<secret contents redacted>", why))
}

/// What may not change once `immutable` is set.
fn kept(object: &Value, old: &Value, fields: &[&str]) -> Vec<Error> {
    const WHY: &str = "field is immutable when `immutable` is set";
    if !flag(old, "/immutable") {
        return Vec::new();
    }
    let none = json!({});
    let is_same = |field: &str| object.get(field).unwrap_or(&none) == old.get(field).unwrap_or(&none);
    let mut errors = Vec::new();
    if !flag(object, "/immutable") {
        errors.push(Error::forbidden(&Path::new("immutable"), WHY));
    }
    errors.extend(fields.iter().filter(|f| !is_same(f)).map(|f| Error::forbidden(&Path::new(f), WHY)));
    errors
}

fn entries<'a>(object: &'a Value, field: &str) -> Option<&'a Map<String, Value>> {
    object.get(field).and_then(Value::as_object)
}

fn key_errors(key: &str, path: &Path) -> impl Iterator<Item = Error> {
    let messages = name::is_config_map_key(key);
    messages.into_iter().map(move |m| Error::invalid(path, key, m)).collect::<Vec<_>>().into_iter()
}

/// Bytes that a base64 text stands for.
fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

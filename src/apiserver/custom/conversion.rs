//! Conversion between versions of a custom resource by its author's webhook
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go).
//!
//! Reads and writes are made of steps that do not wait. So whoever is about to show or store objects first has all of
//! them converted with one call ([`Conversion::warm`]), and the steps find the results here by what the objects are.
//! In-process components that read without waiting see objects of another version with nothing but the version
//! exchanged; their metadata is what they are after.

use crate::outbound::ResolveService;
use crate::webhook::Webhook;
use alcove_object::{Gvk, Reason, Status, Value, meta};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// How long a conversion may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Results that are kept; past it, those are forgotten that were kept before the last time. Those of one operation are
/// kept together, however many they are.
const KEPT_MAX: usize = 1024;
/// Objects of one call; the rest follows with further calls.
const BATCH_OBJECTS_MAX: usize = 500;

/// How objects of other versions become objects of this one, and the other way round.
pub struct Conversion {
    client: Result<Webhook, String>,
    hasher: RandomState,
    kept: Mutex<Kept>,
}

/// Results by what was converted and to what. An operation that needs many has them until others have kept as many.
#[derive(Default)]
struct Kept {
    recent: HashMap<u64, Arc<Value>>,
    older: HashMap<u64, Arc<Value>>,
}

impl Kept {
    fn get(&self, key: u64) -> Option<&Arc<Value>> {
        self.recent.get(&key).or_else(|| self.older.get(&key))
    }

    fn add(&mut self, results: Vec<(u64, Arc<Value>)>) {
        if self.recent.len() + results.len() > KEPT_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.extend(results);
    }
}

impl Conversion {
    /// Reads `spec.conversion` of a definition; `None`: versions differ in nothing but their names.
    pub fn read(definition: &Value, services: &Arc<dyn ResolveService>) -> Option<Arc<Conversion>> {
        let conversion = definition.pointer("/spec/conversion")?;
        (conversion["strategy"] == "Webhook").then(|| {
            Arc::new(Conversion {
                client: Webhook::read(
                    conversion.pointer("/webhook/clientConfig").unwrap_or(&Value::Null),
                    services,
                ),
                hasher: RandomState::new(),
                kept: Mutex::default(),
            })
        })
    }

    fn key(&self, object: &Value, to: &str) -> u64 {
        self.hasher.hash_one((object.to_string(), to))
    }

    /// The object in another version, if it was converted before.
    pub fn kept(&self, object: &Value, to: &Gvk) -> Option<Value> {
        let key = self.key(object, &to.api_version());
        self.kept.lock().get(key).map(|object| (**object).clone())
    }

    /// Converts what was not converted before. Fails if the webhook does, or changes what it must not.
    ///
    /// In a box: every request and every watch could come here, and hardly any does.
    pub fn warm<'a>(&'a self, objects: Vec<Value>, to: &'a Gvk) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            let version = to.api_version();
            let (mut keys, mut new, mut results) = (Vec::new(), Vec::new(), Vec::new());
            for object in objects.into_iter().filter(|object| object["apiVersion"] != *version) {
                let key = self.key(&object, &version);
                match self.kept.lock().get(key) {
                    Some(result) => results.push((key, result.clone())),
                    None => {
                        keys.push(key);
                        new.push(object);
                    }
                }
            }
            for (batch, keys) in new.chunks(BATCH_OBJECTS_MAX).zip(keys.chunks(BATCH_OBJECTS_MAX)) {
                let from = batch[0]["apiVersion"].as_str().unwrap_or_default();
                let head = format!("conversion webhook for {from}, Kind={}", to.kind);
                let failed = |why: String| Status::new(500, Reason::UNKNOWN, format!("{head} {why}"));
                let converted =
                    self.convert(batch, &version).await.map_err(|why| failed(format!("failed: {why}")))?;
                if converted.len() != batch.len() {
                    return Err(failed(format!(
                        "returned {} objects, expected {}",
                        converted.len(),
                        batch.len()
                    )));
                }
                for (i, (before, after)) in batch.iter().zip(converted).enumerate() {
                    let after = checked(before, after, &version).map_err(|why| {
                        failed(format!("returned invalid converted object at index {i}: {why}"))
                    })?;
                    results.push((keys[i], Arc::new(after)));
                }
            }
            self.kept.lock().add(results);
            Ok(())
        })
    }

    async fn convert(&self, objects: &[Value], version: &str) -> Result<Vec<Value>, String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let uid = format!(
            "{:016x}",
            self.hasher.hash_one((objects.len(), version, &objects[0]["metadata"]["uid"].to_string()))
        );
        let review = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "request": {"uid": uid, "desiredAPIVersion": version, "objects": objects},
        });
        let answer = client.post(TIMEOUT, review.to_string().into_bytes()).await?;
        let review: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        let response = review.get("response").filter(|response| response.is_object());
        let response = response.ok_or("no response provided")?;
        if response["uid"] != *uid {
            let found = alcove_object::field::quote(response["uid"].as_str().unwrap_or_default());
            return Err(format!("expected response.uid={}, got {found}", alcove_object::field::quote(&uid)));
        }
        let (status, message) = (&response["result"]["status"], &response["result"]["message"]);
        if status != "Success" {
            return Err(match message.as_str().filter(|message| !message.is_empty()) {
                Some(message) => message.to_owned(),
                None => {
                    let status = status.as_str().unwrap_or_default();
                    format!("response.result.status was '{status}', not 'Success'")
                }
            });
        }
        Ok(response["convertedObjects"].as_array().cloned().unwrap_or_default())
    }
}

/// What the webhook made of an object, if it left alone what it must: the kind, and all metadata but labels and
/// annotations.
fn checked(before: &Value, mut after: Value, version: &str) -> Result<Value, String> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    if after["apiVersion"] != *version {
        return Err(format!(
            "invalid groupVersion (expected {version}, received {})",
            text(&after, "apiVersion")
        ));
    }
    if after["kind"] != before["kind"] {
        let (expected, found) = (text(before, "kind"), text(&after, "kind"));
        return Err(format!("invalid kind (expected {expected}, received {found})"));
    }
    let Some(given) = after.get("metadata").filter(|metadata| metadata.is_object()) else {
        return Err("missing metadata in converted object".to_owned());
    };
    for (field, words) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (expected, found) = (meta::text(before, field), given[field].as_str().unwrap_or_default());
        if expected != found {
            return Err(format!("must have the same {words}: {found} != {expected}"));
        }
    }
    let mut metadata = before["metadata"].clone();
    for field in ["labels", "annotations"] {
        match given.get(field).filter(|value| !value.is_null()) {
            Some(value) => metadata[field] = value.clone(),
            None => {
                metadata.as_object_mut().map(|metadata| metadata.remove(field));
            }
        }
    }
    after["metadata"] = metadata;
    Ok(after)
}

#[cfg(test)]
mod tests;

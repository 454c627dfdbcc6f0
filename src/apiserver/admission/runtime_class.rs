//! What a runtime class asks of its pods: that it is there, its overhead, and where they may run
//! (k8s.io/kubernetes/plugin/pkg/admission/runtimeclass).

use super::pods::{pod_spec, text};
use super::{Admission, Admitting, Attributes};
use alcove_object::{Status, Value};
use alcove_store::Store;
use serde_json::{Map, json};

/// Refuses pods of runtime classes that are not there, and completes the others.
pub struct RuntimeClass {
    store: Store,
}

impl RuntimeClass {
    /// A step that looks runtime classes up in this store.
    pub fn new(store: Store) -> RuntimeClass {
        RuntimeClass { store }
    }

    fn complete(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let name = attributes.name.to_owned();
        let refused = |why: &str| Status::forbidden("", "pods", &name, why);
        let Some(spec) = pod_spec(attributes, false) else { return Ok(()) };
        let class_name = text(spec, "runtimeClassName").to_owned();
        let overhead = match class_name.as_str() {
            "" => Value::Null,
            class_name => {
                let entry = self.store.get("runtimeclasses.node.k8s.io", class_name);
                let class: Option<Value> = entry.and_then(|entry| serde_json::from_slice(&entry.json).ok());
                let class = class.ok_or_else(|| {
                    refused(&format!("pod rejected: RuntimeClass {class_name:?} not found"))
                })?;
                schedule(spec, &class["scheduling"]).map_err(|why| refused(&why))?;
                class["overhead"]["podFixed"].clone()
            }
        };
        let given = spec.get("overhead").cloned().unwrap_or_default();
        let is_given = given.as_object().is_some_and(|given| !given.is_empty());
        match (overhead.is_null(), is_given) {
            (true, false) => Ok(()),
            (true, true) => Err(refused(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
            (false, true) if given != overhead => {
                Err(refused("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"))
            }
            (false, _) => {
                spec.insert("overhead".into(), overhead);
                Ok(())
            }
        }
    }
}

/// Adds the class's node selector and tolerations to the pod's. Fails with upstream's text when selectors differ.
fn schedule(spec: &mut Map<String, Value>, scheduling: &Value) -> Result<(), String> {
    if let Some(wanted) = scheduling["nodeSelector"].as_object() {
        let selector = spec.entry("nodeSelector").or_insert_with(|| json!({}));
        for (key, value) in wanted {
            let (own, asked) = (selector[key].as_str(), value.as_str().unwrap_or_default());
            if let Some(own) = own.filter(|own| *own != asked) {
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {asked}; pod.spec.nodeSelector[{key}] = {own}"
                ));
            }
            selector[key] = value.clone();
        }
    }
    if let Some(wanted) = scheduling["tolerations"].as_array() {
        let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
        if let Some(tolerations) = tolerations.as_array_mut() {
            let missing: Vec<Value> = wanted.iter().filter(|t| !tolerations.contains(t)).cloned().collect();
            tolerations.extend(missing);
        }
    }
    Ok(())
}

impl Admission for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.complete(attributes)))
    }
}

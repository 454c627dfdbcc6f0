//! What pods get when they are created: a priority, and tolerations for nodes that are down
//! (k8s.io/kubernetes/plugin/pkg/admission/{priority,defaulttolerationseconds}).

use super::{Admission, Admitting, Attributes};
use crate::request::Verb;
use alcove_object::{Status, Value};
use alcove_store::{Range, Store};
use serde::Deserialize;
use serde_json::{Map, json};

/// How long pods stay on a node that is not ready or not reachable, in seconds.
pub const TOLERATION_SECONDS: i64 = 300;

/// The spec of a pod that is being created, or changed where `update` says so.
pub(super) fn pod_spec<'a>(
    attributes: &'a mut Attributes<'_>,
    update: bool,
) -> Option<&'a mut Map<String, Value>> {
    let gvr = &attributes.resource.gvr;
    let is_pod = gvr.group.is_empty() && gvr.resource == "pods" && attributes.subresource.is_empty();
    let is_asked = attributes.verb == Verb::Create || (update && attributes.verb == Verb::Update);
    if !is_pod || !is_asked {
        return None;
    }
    attributes.object.get_mut("spec")?.as_object_mut()
}

pub(super) fn text<'a>(spec: &'a Map<String, Value>, field: &str) -> &'a str {
    spec.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What pods get from a PriorityClass: every pod's creation reads all classes, so nothing else of them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Class {
    metadata: ClassMetadata,
    value: i64,
    global_default: bool,
    preemption_policy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClassMetadata {
    name: String,
}

/// Turns the name of a priority class into a number.
pub struct Priority {
    store: Store,
}

impl Priority {
    /// A step that looks priority classes up in this store.
    pub fn new(store: Store) -> Priority {
        Priority { store }
    }

    fn resolve(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let name = attributes.name.to_owned();
        let Some(spec) = pod_spec(attributes, false) else { return Ok(()) };
        let class = match text(spec, "priorityClassName") {
            "" => self.default_class(),
            class => self.class(class).ok_or_else(|| {
                Status::forbidden("", "pods", &name, &format!("no PriorityClass with name {class} was found"))
            })?,
        };
        let value = class.value;
        let given = spec.get("priority").and_then(Value::as_i64);
        if given.is_some_and(|given| given != value) {
            let why = "the integer value of priority (%given%) must not be provided in pod spec; priority admission \
                controller computed %value% from the given PriorityClass name";
            let why = why
                .replace("%given%", &given.unwrap_or(0).to_string())
                .replace("%value%", &value.to_string());
            return Err(Status::forbidden("", "pods", &name, &why));
        }
        spec.insert("priority".into(), value.into());
        if text(spec, "preemptionPolicy").is_empty() {
            let policy = class.preemption_policy.unwrap_or_else(|| "PreemptLowerPriority".into());
            spec.insert("preemptionPolicy".into(), policy.into());
        }
        if text(spec, "priorityClassName").is_empty() && !class.metadata.name.is_empty() {
            spec.insert("priorityClassName".into(), class.metadata.name.into());
        }
        Ok(())
    }

    fn class(&self, name: &str) -> Option<Class> {
        let entry = self.store.get("priorityclasses.scheduling.k8s.io", name)?;
        serde_json::from_slice(&entry.json).ok()
    }

    /// Of the classes for pods that name none, the one with the lowest value; nothing if there is no such class.
    fn default_class(&self) -> Class {
        let range = Range { prefix: "", after: None, limit: 0, at: None };
        let listing = self.store.list("priorityclasses.scheduling.k8s.io", &range, &|_| true);
        let entries = listing.map(|listing| listing.entries).unwrap_or_default();
        let classes = entries.iter().filter_map(|e| serde_json::from_slice::<Class>(&e.json).ok());
        classes.filter(|class| class.global_default).min_by_key(|class| class.value).unwrap_or_default()
    }
}

impl Admission for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.resolve(attributes)))
    }
}

/// Lets pods stay for a while on a node that is not ready or not reachable, unless they say how long.
pub struct DefaultTolerationSeconds;

impl Admission for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        if let Some(spec) = pod_spec(attributes, true) {
            for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
                tolerate(spec, key);
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn tolerate(spec: &mut Map<String, Value>, key: &str) {
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if tolerations.is_null() {
        *tolerations = json!([]);
    }
    let Some(tolerations) = tolerations.as_array_mut() else { return };
    let says = tolerations.iter().filter_map(Value::as_object).any(|toleration| {
        let about = text(toleration, "key");
        (about.is_empty() || about == key) && matches!(text(toleration, "effect"), "" | "NoExecute")
    });
    if !says {
        tolerations.push(json!({
            "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS,
        }));
    }
}

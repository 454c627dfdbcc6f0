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

/// Classes that nobody may delete (k8s.io/kubernetes/pkg/registry/scheduling/priorityclass/storage).
const SYSTEM_CLASSES: [&str; 2] = ["system-node-critical", "system-cluster-critical"];

/// Turns the name of a priority class into a number, and keeps the classes in order.
pub struct Priority {
    store: Store,
}

impl Priority {
    /// A step that looks priority classes up in this store.
    pub fn new(store: Store) -> Priority {
        Priority { store }
    }

    fn resolve(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if let Some(old) = attributes.old {
            keep_priority(attributes, old);
            return Ok(());
        }
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
        let policy = class.preemption_policy.unwrap_or_else(|| "PreemptLowerPriority".into());
        let given = text(spec, "preemptionPolicy");
        if !given.is_empty() && given != policy {
            let why = format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
                 controller computed {policy} from the given PriorityClass name"
            );
            return Err(Status::forbidden("", "pods", &name, &why));
        }
        spec.insert("preemptionPolicy".into(), policy.into());
        if text(spec, "priorityClassName").is_empty() && !class.metadata.name.is_empty() {
            spec.insert("priorityClassName".into(), class.metadata.name.into());
        }
        Ok(())
    }

    fn class(&self, name: &str) -> Option<Class> {
        let entry = self.store.get("priorityclasses.scheduling.k8s.io", name)?;
        serde_json::from_slice(&entry.json).ok()
    }

    /// The class of pods that name none, or nothing at all.
    fn default_class(&self) -> Class {
        self.marked_class().unwrap_or_default()
    }

    /// 403 for a second class of pods that name none, and for who deletes what the system needs.
    fn check_class(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let gvr = &attributes.resource.gvr;
        if gvr.group != "scheduling.k8s.io" || gvr.resource != "priorityclasses" {
            return Ok(());
        }
        let forbidden = |why: &str| Err(Status::forbidden(&gvr.group, &gvr.resource, attributes.name, why));
        match attributes.verb {
            Verb::Delete if SYSTEM_CLASSES.contains(&attributes.name) => {
                forbidden("this is a system priority class and cannot be deleted")
            }
            Verb::Create | Verb::Update if attributes.object["globalDefault"] == true => {
                match self.marked_class() {
                    Some(class) if attributes.old.is_none() || class.metadata.name != attributes.name => {
                        let name = class.metadata.name;
                        forbidden(&format!(
                            "PriorityClass {name} is already marked as default. Only one default can exist"
                        ))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Of the classes that are marked for pods that name none, the one with the lowest value.
    fn marked_class(&self) -> Option<Class> {
        let range = Range { prefix: "", after: None, limit: 0, at: None };
        let listing = self.store.list("priorityclasses.scheduling.k8s.io", &range, &|_| true);
        let entries = listing.map(|listing| listing.entries).unwrap_or_default();
        let classes = entries.iter().filter_map(|e| serde_json::from_slice::<Class>(&e.json).ok());
        classes.filter(|class| class.global_default).min_by_key(|class| class.value)
    }
}

/// A change that does not say the priority leaves it.
fn keep_priority(attributes: &mut Attributes<'_>, old: &Value) {
    let Some(spec) = pod_spec(attributes, true) else { return };
    for field in ["priority", "preemptionPolicy"] {
        let kept = old.get("spec").and_then(|spec| spec.get(field));
        if let (Some(kept), false) = (kept, spec.contains_key(field)) {
            spec.insert(field.to_owned(), kept.clone());
        }
    }
}

impl Admission for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.resolve(attributes)))
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.check_class(attributes)))
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

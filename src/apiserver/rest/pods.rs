//! What is posted to pods: bindings; and what evictions need to know of pods, too.

use super::update::{Change, Part};
use super::write::Write;
use super::{Answered, Body, Caller, Target, stored};
use crate::options::WriteOptions;
use crate::server::ApiServer;
use alcove_object::field::{Error, Path};
use alcove_object::{Reason, Status, Value, condition, meta};
use serde_json::json;

impl ApiServer {
    /// Puts a pod on a node and writes its status with it: the pod as it is then. `target` is the pod's `binding`.
    pub(crate) async fn bind_with_status(
        &self,
        caller: &Caller,
        target: &Target,
        binding: Body,
        status: Value,
    ) -> Result<Answered, Status> {
        let options = WriteOptions::default();
        Write::new(self, caller, target, &options).put_on_node(binding, Some(status)).await
    }
}

impl Write<'_> {
    /// Puts a pod on a node (k8s.io/kubernetes/pkg/registry/core/pod/storage/storage.go: BindingREST).
    pub(super) async fn bind(&mut self, body: Body) -> Result<Answered, Status> {
        let mut binding = self.decode(body)?;
        self.admit_posted(&mut binding).await?;
        self.bind_admitted(binding).await
    }

    /// The same for a binding that admission has seen.
    pub(super) async fn bind_admitted(&mut self, binding: Value) -> Result<Answered, Status> {
        self.check_posted(&binding)?;
        check_target(&binding)?;
        // Read once more: a webhook may have made something of it that is no binding.
        let answered = self.put_on_node(Body::Tree(binding), None).await?;
        Ok(self.succeeded(answered))
    }

    /// `status`: what the pod's becomes, instead of only saying that it was scheduled.
    async fn put_on_node(&mut self, body: Body, status: Option<Value>) -> Result<Answered, Status> {
        let binding = self.decode(body)?;
        let text = |path: &str| binding.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let node = text("/target/name").to_owned();
        let name = self.target.name.clone();
        let now = self.now.clone();
        let edit = |pod: &mut Value| -> Result<(), Status> {
            let conflict = |why: String| Err(Status::conflict("", "pods/binding", &name, &why));
            for (what, field) in [("UID", "uid"), ("ResourceVersion", "resourceVersion")] {
                let (wanted, found) = (meta::text(&binding, field), meta::text(pod, field));
                if !wanted.is_empty() && wanted != found {
                    let why = format!(
                        "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
                    );
                    return Err(Status::conflict("", "pods", &name, &why));
                }
            }
            if meta::is_deleting(pod) {
                return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
            }
            let bound = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
            if !bound.is_empty() {
                return conflict(format!("pod {name} is already assigned to node {bound:?}"));
            }
            let gates = pod.pointer("/spec/schedulingGates").and_then(Value::as_array);
            if gates.is_some_and(|gates| !gates.is_empty()) {
                return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
            }
            pod["spec"]["nodeName"] = node.clone().into();
            for field in ["annotations", "labels"] {
                add_entries(pod, field, &binding);
            }
            match &status {
                Some(status) => pod["status"] = status.clone(),
                None => {
                    set_condition(pod, "PodScheduled", json!({"status": "True", "lastTransitionTime": now}))
                }
            }
            Ok(())
        };
        let part = if status.is_some() { Part::AnyWithStatus } else { Part::Any };
        self.change(part, Change::Edit(&edit), false).await
    }

    /// A `Status` of success, as posts to subresources answer.
    fn succeeded(&mut self, answered: Answered) -> Answered {
        let success =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        let object = stored::unstored(answered.object.key, answered.object.revision, &success);
        Answered { object, created: true, warnings: answered.warnings }
    }
}

/// A failure without a reason for a binding to no node, as upstream has it.
fn check_target(binding: &Value) -> Result<(), Status> {
    let text = |path: &str| binding.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let path = Path::new("target");
    let mut wrong = Vec::new();
    if !matches!(text("/target/kind"), "" | "Node") {
        wrong.push(Error::not_supported(&path.child("kind"), text("/target/kind"), &["Node", "<empty>"]));
    }
    if text("/target/name").is_empty() {
        wrong.push(Error::required(&path.child("name"), ""));
    }
    let texts: Vec<String> = wrong.iter().map(Error::to_string).collect();
    match texts.as_slice() {
        [] => Ok(()),
        [one] => Err(Status::new(500, Reason::UNKNOWN, one)),
        several => Err(Status::new(500, Reason::UNKNOWN, format!("[{}]", several.join(", ")))),
    }
}

/// Puts a condition into the status of an object.
pub(super) fn set_condition(object: &mut Value, kind: &str, mut said: Value) {
    said["type"] = kind.into();
    let Some(map) = object.as_object_mut() else { return };
    condition::set(meta::child_mut(map, "status").entry("conditions").or_insert(Value::Null), said);
}

fn add_entries(pod: &mut Value, field: &str, from: &Value) {
    let entries = from.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_object);
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else { return };
    meta::child_mut(meta::metadata_mut(pod), field).extend(entries.clone());
}

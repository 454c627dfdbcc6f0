//! Pods put back to where they were made: pending, on no node. What a pause of the whole cluster needs, since the pods
//! that it ended did not fail and must not end; no client can do this, for a pod never goes back while a cluster runs.

use super::{Target, stored};
use crate::errors;
use crate::server::ApiServer;
use alcove_object::{Gvr, Status, Value, meta};
use alcove_store::{CommitError, Op, Range};
use serde_json::json;

impl ApiServer {
    /// Puts all pods back that have neither ended nor are being deleted; gives how many. Whoever runs pods tells anew
    /// how they are, so it may be done more than once.
    pub async fn rewind_pods(&self) -> Result<usize, Status> {
        let registry = self.registry();
        let target = Target::named(&registry, &Gvr::new("", "v1", "pods"), "", "", "")?;
        let resource = &target.resource;
        let all = self.store.list(&resource.table, &Range::default(), &|_| true);
        let all = all.map_err(|error| Status::internal(error.to_string()))?;
        let mut count = 0;
        for entry in all.entries {
            let Some(mut pod) = rewound(stored::tree(resource, &entry)) else { continue };
            let put = Some(stored::body(&registry, resource, &mut pod, ""));
            let op = Op {
                table: resource.table.clone(),
                key: entry.key.clone(),
                expect: Some(entry.revision),
                put,
            };
            match self.store.commit(vec![op]).await {
                Ok(_) => count += 1,
                // Somebody wrote it just now: it is no pod of before the pause, or it is being deleted.
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(errors::commit(resource, &entry.key, error)),
            }
        }
        Ok(count)
    }
}

/// A pod as it was made; `None` if it has to stay as it is.
fn rewound(mut pod: Value) -> Option<Value> {
    let is_over =
        matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
    if is_over || meta::is_deleting(&pod) {
        return None;
    }
    let mut status = json!({ "phase": "Pending" });
    if let Some(class) = pod.pointer("/status/qosClass") {
        status["qosClass"] = class.clone();
    }
    pod["status"] = status;
    pod["spec"].as_object_mut()?.remove("nodeName");
    if let Some(fields) = pod["metadata"]["managedFields"].as_array_mut() {
        fields.retain(|entry| entry["subresource"] != "status");
    }
    Some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_pending_again_and_what_ended_stays() {
        let running = json!({
            "metadata": { "name": "a", "uid": "u", "managedFields": [{ "manager": "m" }, { "manager": "k", "subresource": "status" }] },
            "spec": { "nodeName": "one", "containers": [] },
            "status": { "phase": "Running", "qosClass": "Burstable", "podIP": "10.0.0.1", "startTime": "2026-01-01T00:00:00Z" },
        });
        let expected = json!({
            "metadata": { "name": "a", "uid": "u", "managedFields": [{ "manager": "m" }] },
            "spec": { "containers": [] }, "status": { "phase": "Pending", "qosClass": "Burstable" },
        });
        assert_eq!(rewound(running.clone()), Some(expected));
        for phase in ["Succeeded", "Failed"] {
            let mut over = running.clone();
            over["status"]["phase"] = phase.into();
            assert_eq!(rewound(over), None);
        }
        let mut going = running;
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(rewound(going), None);
    }
}

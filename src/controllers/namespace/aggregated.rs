//! What other API servers hold in a namespace that goes: each of their groups is emptied in the version that its server
//! likes best, as far as its server can be asked.

use super::{Namespaces, Remaining, told};
use alcove_apiserver::aggregation::{Place, Remote};
use alcove_object::{Gvr, Reason, Status, Value, meta, settled};
use std::sync::Arc;

/// What servers do not have there, or cannot do with it.
const NOT_THERE: [Reason; 2] = [Reason::NOT_FOUND, Reason::METHOD_NOT_ALLOWED];

impl Namespaces {
    /// Group-versions whose servers do not answer, each with client-go's words for that, sorted.
    pub(super) fn undiscovered(&self) -> Vec<String> {
        let registry = self.server.registry();
        let silent = registry.remotes().iter().filter(|remote| !remote.known.is_available);
        let mut told: Vec<String> = silent
            .map(|remote| {
                let version = format!("{}/{}", remote.group, remote.version);
                format!("{version}: stale GroupVersion discovery: {version}")
            })
            .collect();
        told.sort();
        told
    }

    /// Deletes what other servers have in the namespace; adds what is still there, or why it cannot be known.
    pub(super) async fn empty_aggregated(&self, namespace: &str, remaining: &mut Remaining) {
        let remotes = preferred(self.server.registry().remotes());
        for remote in &remotes {
            for resource in remote.known.resources.iter().filter(|resource| is_deletable(resource)) {
                let place = Place {
                    group: &remote.group,
                    version: &remote.version,
                    namespace,
                    resource: resource["name"].as_str().unwrap_or_default(),
                    ..Place::default()
                };
                if let Err(status) = settled(self.empty_place(&place, resource, remaining).await, &NOT_THERE)
                {
                    remaining.failures.push(status.message.clone());
                }
            }
        }
        remaining.failures.sort();
    }

    async fn empty_place(
        &self,
        place: &Place<'_>,
        resource: &Value,
        remaining: &mut Remaining,
    ) -> Result<(), Status> {
        let can_list = has_verb(resource, "list");
        if has_verb(resource, "deletecollection") {
            self.client.delete_aggregated(place).await?;
        } else if can_list {
            for item in self.items(place).await? {
                let one = Place { name: meta::name(&item), ..*place };
                settled(self.client.delete_aggregated(&one).await, &NOT_THERE)?;
            }
        }
        if !can_list {
            return Ok(());
        }
        let left = self.items(place).await?;
        if !left.is_empty() {
            let resource = told(&Gvr::new(place.group, place.version, place.resource));
            remaining.objects.insert(resource, left.len());
        }
        for finalizer in left.iter().flat_map(meta::finalizers) {
            *remaining.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    async fn items(&self, place: &Place<'_>) -> Result<Vec<Value>, Status> {
        let mut list = self.client.read_aggregated(place).await?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }
}

/// Of each group the version of a server that answers which is preferred.
fn preferred(remotes: &[Arc<Remote>]) -> Vec<Arc<Remote>> {
    let mut chosen: Vec<Arc<Remote>> = Vec::new();
    for remote in remotes.iter().filter(|remote| remote.known.is_available) {
        match chosen.iter_mut().find(|other| other.group == remote.group) {
            Some(other) if other.version_priority < remote.version_priority => *other = remote.clone(),
            Some(_) => {}
            None => chosen.push(remote.clone()),
        }
    }
    chosen
}

fn has_verb(resource: &Value, verb: &str) -> bool {
    resource["verbs"].as_array().into_iter().flatten().any(|known| known == verb)
}

/// Whether objects of a resource lie in namespaces and can be deleted.
fn is_deletable(resource: &Value) -> bool {
    let is_whole = resource["name"].as_str().is_some_and(|name| !name.contains('/'));
    is_whole && resource["namespaced"] == true && has_verb(resource, "delete")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn resources_in_namespaces_that_can_be_deleted_are_emptied() {
        for (name, namespaced, verbs, expected) in [
            ("flunders", true, json!(["delete", "list"]), true),
            ("flunders", true, json!(["get", "list"]), false),
            ("flunders", false, json!(["delete", "list"]), false),
            ("flunders/status", true, json!(["delete"]), false),
        ] {
            let resource = json!({ "name": name, "namespaced": namespaced, "verbs": verbs });
            assert_eq!(is_deletable(&resource), expected, "{resource}");
        }
    }
}

//! Ends namespaces: deletes what is in a terminating one, pods first, and then takes the `kubernetes` finalizer away
//! (k8s.io/kubernetes/pkg/controller/namespace/deletion).

mod aggregated;

use crate::pods;
use crate::runtime::{Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::options::{DeleteOptions, ListOptions, Propagation};
use alcove_apiserver::request::Verb;
use alcove_apiserver::{Client, Object, Server};
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, time};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How soon a namespace that still has content is looked at again, at first.
const CONTENT_DELAY_MIN: Duration = Duration::from_millis(200);
/// The same for one whose content has not gone for long: somebody's finalizer may hold it for ever.
const CONTENT_DELAY_MAX: Duration = Duration::from_secs(15);
/// The delay grows with the time that the end of the namespace has taken: it is this part of it.
const CONTENT_DELAY_PART: u32 = 4;
/// Objects deleted in one go before the namespace is looked at again.
const PAGE_OBJECTS: usize = 500;

/// Ends terminating namespaces.
pub struct Namespaces {
    server: Server,
    client: Client,
    env: Arc<dyn Env>,
}

/// What a terminating namespace still has.
#[derive(Default)]
struct Remaining {
    /// Objects by `resource.group`.
    objects: BTreeMap<String, usize>,
    /// Objects that wait for a finalizer, by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Group-versions whose servers do not say what they have.
    undiscovered: Vec<String>,
    /// Why something could not be deleted, sorted.
    failures: Vec<String>,
}

impl Remaining {
    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.undiscovered.is_empty() && self.failures.is_empty()
    }
}

/// Whether a creation failed since the namespace is being deleted.
pub(crate) fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|d| &d.causes);
    status.is(Reason::FORBIDDEN) && causes.into_iter().any(|c| c.reason == "NamespaceTerminating")
}

impl Namespaces {
    /// A controller that acts as this client's user on the resources that this server serves.
    pub fn new(server: Server, client: Client, env: Arc<dyn Env>) -> Namespaces {
        Namespaces { server, client, env }
    }

    /// Namespaces.
    pub fn sources() -> Vec<Source> {
        vec![Source::new(resource(), crate::runtime::by_key())]
    }

    /// Deletes what is in the namespace; gives what is still there. Pods go before everything else (KEP-5080).
    async fn empty(&self, namespace: &str) -> Result<Remaining, Status> {
        let mut remaining = Remaining { undiscovered: self.undiscovered(), ..Remaining::default() };
        let pods = pods::resource();
        self.delete_all(&pods, namespace, &mut remaining).await?;
        if !remaining.objects.is_empty() {
            return Ok(remaining);
        }
        for resource in self.server.registry().resources() {
            let deletable = resource.verbs.has(Verb::Delete) && resource.verbs.has(Verb::List);
            if resource.namespaced && deletable && resource.gvr != pods {
                self.delete_all(&resource.gvr, namespace, &mut remaining).await?;
            }
        }
        self.empty_aggregated(namespace, &mut remaining).await;
        Ok(remaining)
    }

    async fn delete_all(
        &self,
        resource: &Gvr,
        namespace: &str,
        remaining: &mut Remaining,
    ) -> Result<(), Status> {
        let page = ListOptions { limit: PAGE_OBJECTS, ..ListOptions::default() };
        let found = self.client.list(resource, namespace, &page)?.items;
        let goes = found.iter().map(|object| self.delete(resource, namespace, object));
        for left in futures_util::future::join_all(goes).await {
            if let Some(object) = left? {
                *remaining.objects.entry(told(resource)).or_default() += 1;
                for finalizer in meta::finalizers(&object) {
                    *remaining.finalizers.entry(finalizer.to_owned()).or_default() += 1;
                }
            }
        }
        if found.len() == PAGE_OBJECTS {
            *remaining.objects.entry(told(resource)).or_default() += 1;
        }
        Ok(())
    }

    /// The object as it still is, if it is not gone.
    async fn delete(
        &self,
        resource: &Gvr,
        namespace: &str,
        object: &Object,
    ) -> Result<Option<Value>, Status> {
        let tree = object.parse();
        if meta::is_deleting(&tree) {
            return Ok(Some(tree));
        }
        let options =
            DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        match self.client.delete(resource, namespace, object.name(), &options).await {
            Ok(left) => Ok(left.map(|o| o.parse())),
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Lets go of an empty namespace. It says that it is empty only if something else still holds it and it can be seen.
    async fn let_go(&self, namespace: Value, remaining: &Remaining) -> Result<(), Status> {
        let own = namespace.pointer("/spec/finalizers").and_then(Value::as_array);
        let is_held = meta::finalizers(&namespace).next().is_some()
            || own.into_iter().flatten().any(|f| f != "kubernetes");
        let namespace = match is_held {
            true => self.report(namespace, remaining).await?,
            false => namespace,
        };
        self.finalize(namespace).await
    }

    /// Says in its status what a namespace still has; gives the namespace as it is then.
    async fn report(&self, mut namespace: Value, remaining: &Remaining) -> Result<Value, Status> {
        let now = time::format(self.env.now());
        let wanted = [
            condition(
                "NamespaceDeletionDiscoveryFailure",
                undiscovered(&remaining.undiscovered),
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            condition(
                "NamespaceDeletionGroupVersionParsingFailure",
                None,
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            condition(
                "NamespaceDeletionContentFailure",
                failed(&remaining.failures),
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
            condition(
                "NamespaceContentRemaining",
                describe(&remaining.objects, "Some resources are remaining: ", "has", "resource instances"),
                "ContentRemoved",
                "All content successfully removed",
            ),
            condition(
                "NamespaceFinalizersRemaining",
                describe(
                    &remaining.finalizers,
                    "Some content in the namespace has finalizers remaining: ",
                    "in",
                    "resource instances",
                ),
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        ];
        let before = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let after: Vec<Value> = wanted
            .into_iter()
            .map(|mut c| {
                let same = before.iter().find(|b| b["type"] == c["type"] && b["status"] == c["status"]);
                c["lastTransitionTime"] =
                    same.map_or_else(|| now.clone().into(), |b| b["lastTransitionTime"].clone());
                c
            })
            .collect();
        if before == after {
            return Ok(namespace);
        }
        namespace["status"]["conditions"] = after.into();
        let told = self.client.update_subresource(&resource(), "status", "", namespace).await?;
        Ok(told.parse())
    }

    async fn finalize(&self, mut namespace: Value) -> Result<(), Status> {
        if let Some(finalizers) = namespace.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|f| f != "kubernetes");
        }
        self.client.update_subresource(&resource(), "finalize", "", namespace).await.map(drop)
    }
}

fn resource() -> Gvr {
    Gvr::new("", "v1", "namespaces")
}

fn condition(kind: &str, bad: Option<String>, good_reason: &str, good: &str) -> Value {
    let reason = match kind {
        "NamespaceDeletionDiscoveryFailure" => "DiscoveryFailed",
        "NamespaceDeletionContentFailure" => "ContentDeletionFailed",
        "NamespaceFinalizersRemaining" => "SomeFinalizersRemain",
        _ => "SomeResourcesRemain",
    };
    match bad {
        Some(message) => json!({ "type": kind, "status": "True", "reason": reason, "message": message }),
        None => json!({ "type": kind, "status": "False", "reason": good_reason, "message": good }),
    }
}

fn undiscovered(groups: &[String]) -> Option<String> {
    let told = || {
        let why = "unable to retrieve the complete list of server APIs";
        format!("Discovery failed for some groups, {} failing: {why}: {}", groups.len(), groups.join(", "))
    };
    (!groups.is_empty()).then(told)
}

fn failed(failures: &[String]) -> Option<String> {
    let told = || {
        format!("Failed to delete all resource types, {} remaining: {}", failures.len(), failures.join(", "))
    };
    (!failures.is_empty()).then(told)
}

fn content_delay(namespace: &Value, now: Timestamp) -> Duration {
    let since = time::parse(meta::text(namespace, "deletionTimestamp")).unwrap_or(now);
    let took = now.duration_since(since).unsigned_abs();
    (took / CONTENT_DELAY_PART).clamp(CONTENT_DELAY_MIN, CONTENT_DELAY_MAX)
}

/// Upstream writes the dot before a group that has no name, too.
fn told(resource: &Gvr) -> String {
    format!("{}.{}", resource.resource, resource.group)
}

fn describe(counts: &BTreeMap<String, usize>, head: &str, verb: &str, what: &str) -> Option<String> {
    if counts.is_empty() {
        return None;
    }
    let parts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} {verb} {count} {what}")).collect();
    Some(format!("{head}{}", parts.join(", ")))
}

impl Reconciler for Namespaces {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let Some(namespace) = self.client.find(&resource(), "", key)? else { return Ok(Next::Done) };
        let namespace = namespace.parse();
        let finalizers = namespace.pointer("/spec/finalizers").and_then(Value::as_array);
        let ours = finalizers.into_iter().flatten().any(|f| f == "kubernetes");
        if !meta::is_deleting(&namespace) || !ours {
            return Ok(Next::Done);
        }
        let remaining = self.empty(key).await?;
        let (result, next) = if remaining.is_empty() {
            (self.let_go(namespace, &remaining).await, Next::Done)
        } else {
            let next = Next::After(content_delay(&namespace, self.env.now()));
            (self.report(namespace, &remaining).await.map(drop), next)
        };
        match result {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            Err(status) if status.is(Reason::CONFLICT) => Ok(Next::After(Duration::ZERO)),
            result => Ok(result.map(|()| next)?),
        }
    }
}

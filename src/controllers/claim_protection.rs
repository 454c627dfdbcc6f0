//! Claims that pods use stay until no pod uses them: what admission has put into their finalizers is taken out when a
//! claim that shall go is free (k8s.io/kubernetes/pkg/controller/volume/pvcprotection).

use crate::pods;
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::admission::StorageProtection;
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::{Client, Event, Object};
use alcove_object::{Gvr, Value, meta};

/// The finalizer that admission gives to claims.
const FINALIZER: &str = StorageProtection::CLAIM;

/// Lets claims go, and protects those that came before somebody protected them.
pub struct ClaimProtection {
    client: Client,
}

impl ClaimProtection {
    /// A controller that acts as this client's user.
    pub fn new(client: Client) -> ClaimProtection {
        ClaimProtection { client }
    }

    /// Claims that go or are not protected, and the claims of pods that are gone.
    pub fn sources() -> Vec<Source> {
        let claims = |event: &Event, add: &mut dyn FnMut(Key)| match event {
            Event::Added(claim) | Event::Modified(claim) if is_concerned(claim) => add(claim.key.clone()),
            _ => {}
        };
        let pods = |event: &Event, add: &mut dyn FnMut(Key)| {
            let (Event::Added(pod) | Event::Modified(pod) | Event::Deleted(pod)) = event else { return };
            // Hardly any pod has a claim, and this is asked about every change of every pod.
            let text = std::str::from_utf8(&pod.bytes).unwrap_or_default();
            let has_claims = text.contains("\"persistentVolumeClaim\"") || text.contains("\"ephemeral\"");
            if !has_claims {
                return;
            }
            let tree = pod.parse();
            if matches!(event, Event::Deleted(_)) || is_shut_down(&tree) {
                claims_of(&tree).for_each(|claim| add(runtime::join(pod.namespace(), &claim)));
            }
        };
        vec![Source::new(claim_resource(), Box::new(claims)), Source::new(pods::resource(), Box::new(pods))]
    }

    fn is_used(&self, claim: &Value) -> Result<bool, Failure> {
        let (namespace, name) = (meta::namespace(claim), meta::name(claim));
        let pods = self.client.list(&pods::resource(), namespace, &ListOptions::default())?;
        let text = format!("{name:?}");
        let mentions = |pod: &&Object| {
            let json = std::str::from_utf8(&pod.bytes).unwrap_or_default();
            json.contains(&text) || json.contains("\"ephemeral\"")
        };
        Ok(pods.items.iter().filter(mentions).any(|pod| uses(&pod.parse(), claim)))
    }
}

fn claim_resource() -> Gvr {
    Gvr::new("", "v1", "persistentvolumeclaims")
}

/// Whether a claim has the finalizer exactly when it should not need it any more, or lacks it.
fn is_concerned(claim: &Object) -> bool {
    let claim = claim.parse();
    meta::is_deleting(&claim) == has_finalizer(&claim)
}

fn has_finalizer(claim: &Value) -> bool {
    meta::finalizers(claim).any(|finalizer| finalizer == FINALIZER)
}

/// A pod that was scheduled holds its claims, even when it has ended: those that it names until it is gone, those of its
/// own until its kubelet is done with it. One that was not finds a claim that goes, and does not start.
fn uses(pod: &Value, claim: &Value) -> bool {
    if pods::node(pod).is_none() {
        return false;
    }
    let name = meta::name(claim);
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().any(|volume| {
        let is_own = || meta::controller_of(claim).is_some_and(|owner| owner["uid"] == meta::uid(pod));
        let names = volume.pointer("/persistentVolumeClaim/claimName").is_some_and(|named| named == name);
        names || (own_claim(pod, volume).as_deref() == Some(name) && is_own() && !is_shut_down(pod))
    })
}

/// The names of the claims of a pod's volumes.
fn claims_of(pod: &Value) -> impl Iterator<Item = String> {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().filter_map(|volume| {
        let named = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str);
        named.map(str::to_owned).or_else(|| own_claim(pod, volume))
    })
}

/// The name of the claim that is made for a volume of the pod's own.
fn own_claim(pod: &Value, volume: &Value) -> Option<String> {
    let is_own = volume.get("ephemeral").is_some_and(Value::is_object);
    is_own.then(|| format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or_default()))
}

/// Whether the kubelet is done with a pod, or it was deleted by force.
fn is_shut_down(pod: &Value) -> bool {
    meta::is_deleting(pod) && pod.pointer("/metadata/deletionGracePeriodSeconds") == Some(&Value::from(0))
}

impl Reconciler for ClaimProtection {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(claim) = self.client.find(&claim_resource(), namespace, name)? else {
            return Ok(Next::Done);
        };
        let mut claim = claim.parse();
        let mut finalizers: Vec<String> = meta::finalizers(&claim).map(str::to_owned).collect();
        match (meta::is_deleting(&claim), has_finalizer(&claim)) {
            (true, true) if !self.is_used(&claim)? => finalizers.retain(|finalizer| finalizer != FINALIZER),
            (false, false) => finalizers.push(FINALIZER.to_owned()),
            _ => return Ok(Next::Done),
        }
        meta::set(&mut claim, "finalizers", finalizers);
        match self.client.update(&claim_resource(), namespace, claim).await {
            // Somebody else was faster, and its change comes as one.
            Err(status) if status.code == 404 => Ok(Next::Done),
            Err(status) => Err(status.into()),
            Ok(_) => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alcove_apiserver::options::DeleteOptions;
    use alcove_apiserver::testing::{self, TestEnv};
    use alcove_apiserver::{User, kinds};
    use alcove_schema::Minor;
    use serde_json::json;
    use std::sync::Arc;

    fn pod(node: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
            "spec": { "nodeName": node, "containers": [{ "name": "c", "image": "i" }],
                "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }] },
        })
    }

    #[test]
    fn a_claim_is_used_by_pods_that_were_scheduled() {
        let claim = json!({ "metadata": { "name": "data", "ownerReferences": [{ "uid": "u", "controller": true }] } });
        let own = |pod: &str, uid: &str, shut: bool| {
            let mut pod = json!({ "metadata": { "name": pod, "uid": uid }, "spec": { "nodeName": "n",
                "volumes": [{ "name": "ta", "ephemeral": {} }] } });
            if shut {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
                pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            }
            pod
        };
        let claim_of_own = {
            let mut claim = claim.clone();
            claim["metadata"]["name"] = "da-ta".into();
            claim
        };
        assert!(uses(&pod("n"), &claim));
        assert!(!uses(&pod(""), &claim), "not scheduled");
        assert!(uses(&own("da", "u", false), &claim_of_own));
        assert!(!uses(&own("da", "other", false), &claim_of_own), "somebody else's");
        assert!(!uses(&own("da", "u", true), &claim_of_own), "its kubelet is done with it");
        assert_eq!(claims_of(&own("da", "u", false)).collect::<Vec<_>>(), ["da-ta"]);
    }

    #[tokio::test]
    async fn a_claim_goes_when_its_last_pod_is_gone() {
        let env = Arc::new(TestEnv::new(1));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env);
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let protection = ClaimProtection::new(client.clone());
        let key: Key = "default/data".into();
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        client.create(&claim_resource(), "default", claim).await.unwrap();
        protection.reconcile(&key).await.unwrap();
        let found = client.get(&claim_resource(), "default", "data").unwrap().parse();
        assert_eq!(
            meta::finalizers(&found).collect::<Vec<_>>(),
            [FINALIZER],
            "it came before the protection"
        );

        client.create(&pods::resource(), "default", pod("n")).await.unwrap();
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        client.delete(&claim_resource(), "default", "data", &now).await.unwrap();
        protection.reconcile(&key).await.unwrap();
        assert!(client.get(&claim_resource(), "default", "data").is_ok(), "a pod uses it");
        client.delete(&pods::resource(), "default", "a", &now).await.unwrap();
        protection.reconcile(&key).await.unwrap();
        assert_eq!(client.get(&claim_resource(), "default", "data").unwrap_err().code, 404);
    }
}

//! Claims of pods' own volumes: a volume that is `ephemeral` gets a claim named POD-VOLUME that the pod owns and that
//! goes with it (k8s.io/kubernetes/pkg/controller/volume/ephemeral).
//!
//! A claim of that name that belongs to somebody else is left alone, and the pod's people are told.

use crate::events::{Kind, Recorder};
use crate::pods::{self, owner_reference};
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::{Env, Gvr, Value, meta};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::sync::Arc;

/// Makes the claims of ephemeral volumes.
pub struct EphemeralVolumes {
    client: Client,
    events: Recorder,
}

impl EphemeralVolumes {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> EphemeralVolumes {
        EphemeralVolumes { events: Recorder::new(client.clone(), env, "ephemeral_volume"), client }
    }

    /// New pods with such volumes, and claims that go: one that a pod still needs comes back. Which volumes a pod has
    /// never changes, so nothing else matters.
    pub fn sources() -> Vec<Source> {
        let pods = |event: &Event, add: &mut dyn FnMut(Key)| match event {
            Event::Added(pod) if has_ephemeral_volume(pod) => add(pod.key.clone()),
            _ => {}
        };
        let claims = |event: &Event, add: &mut dyn FnMut(Key)| {
            if let Event::Deleted(claim) = event {
                possible_pods(claim.name()).for_each(|pod| add(runtime::join(claim.namespace(), pod)));
            }
        };
        vec![Source::new(pods::resource(), Box::new(pods)), Source::new(claim_resource(), Box::new(claims))]
    }

    async fn provide(&self, pod: &Value, volume: &Value) -> Result<(), String> {
        let claim = claim(pod, volume);
        let (namespace, name) = (meta::namespace(pod), meta::name(&claim).to_owned());
        let found =
            self.client.find(&claim_resource(), namespace, &name).map_err(|status| status.to_string())?;
        if let Some(found) = found {
            return is_for_pod(&found.parse(), pod);
        }
        match self.client.create(&claim_resource(), namespace, claim).await {
            // The namespace ends and takes the pod with it.
            Err(status) if crate::namespace::is_terminating(&status) => Ok(()),
            Err(status) => Err(format!("create PVC {name}: {status}")),
            Ok(_) => Ok(()),
        }
    }
}

fn claim_resource() -> Gvr {
    Gvr::new("", "v1", "persistentvolumeclaims")
}

/// Whether a stored pod has a volume of its own, without a tree of the rest.
fn has_ephemeral_volume(pod: &Object) -> bool {
    #[derive(Deserialize)]
    struct Pod {
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        volumes: Vec<Volume>,
    }
    #[derive(Deserialize)]
    struct Volume {
        ephemeral: Option<IgnoredAny>,
    }
    let text = std::str::from_utf8(&pod.bytes).unwrap_or_default();
    // Hardly any pod has one, and this is asked of every new pod.
    let pod = text.contains("\"ephemeral\"").then(|| serde_json::from_str::<Pod>(text).ok()).flatten();
    pod.is_some_and(|pod| pod.spec.volumes.iter().any(|volume| volume.ephemeral.is_some()))
}

/// The pods that a claim of this name may be for. It does not say where the pod's name ends.
fn possible_pods(claim: &str) -> impl Iterator<Item = &str> {
    claim.match_indices('-').map(|(at, _)| &claim[..at]).filter(|pod| !pod.is_empty())
}

/// The claim of one of a pod's volumes.
fn claim(pod: &Value, volume: &Value) -> Value {
    let template = &volume["ephemeral"]["volumeClaimTemplate"];
    let name = format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or_default());
    let mut metadata = json!({ "name": name, "ownerReferences": [owner_reference(pod)] });
    for field in ["labels", "annotations"] {
        if let Some(entries) = template.pointer(&format!("/metadata/{field}")).filter(|e| !e.is_null()) {
            metadata[field] = entries.clone();
        }
    }
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"] })
}

/// Why a claim that is there is not the pod's, in upstream's words (component-helpers/storage/ephemeral).
fn is_for_pod(claim: &Value, pod: &Value) -> Result<(), String> {
    if meta::controller_of(claim).is_some_and(|owner| owner["uid"] == meta::uid(pod)) {
        return Ok(());
    }
    let name = |object: &Value| format!("{}/{}", meta::namespace(object), meta::name(object));
    Err(format!("PVC {} was not created for pod {} (pod is not owner)", name(claim), name(pod)))
}

impl Reconciler for EphemeralVolumes {
    fn name(&self) -> &'static str {
        "ephemeral-volume-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(pod) = self.client.find(&pods::resource(), namespace, name)? else { return Ok(Next::Done) };
        let pod = pod.parse();
        if meta::is_deleting(&pod) {
            return Ok(Next::Done);
        }
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
        for volume in volumes.filter(|volume| !volume["ephemeral"].is_null()) {
            if let Err(why) = self.provide(&pod, volume).await {
                let message =
                    format!("ephemeral volume {}: {why}", volume["name"].as_str().unwrap_or_default());
                self.events.tell(&pod, Kind::Warning, "FailedBinding", &message).await;
                return Err(message.into());
            }
        }
        Ok(Next::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alcove_apiserver::options::{DeleteOptions, ListOptions};
    use alcove_apiserver::testing::{self, TestEnv};
    use alcove_apiserver::{User, kinds};
    use alcove_schema::Minor;
    use bytes::Bytes;

    fn pod() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a-b" },
            "spec": { "containers": [{ "name": "c", "image": "i" }], "volumes": [
                { "name": "none", "emptyDir": {} },
                { "name": "data", "ephemeral": { "volumeClaimTemplate": {
                    "metadata": { "labels": { "l": "1" }, "annotations": { "n": "2" } },
                    "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
                } } },
            ] },
        })
    }

    #[test]
    fn only_pods_with_volumes_of_their_own_matter() {
        let of = |pod: &Value| Object { revision: 1, key: "d/a".into(), bytes: Bytes::from(pod.to_string()) };
        assert!(has_ephemeral_volume(&of(&pod())));
        let mut plain = pod();
        plain["spec"]["volumes"].as_array_mut().unwrap().pop();
        assert!(!has_ephemeral_volume(&of(&plain)));
        assert!(!has_ephemeral_volume(&of(&json!({}))));
    }

    #[test]
    fn a_claim_may_be_for_each_name_that_it_begins_with() {
        for (claim, expected) in
            [("a-b-data", &["a", "a-b"][..]), ("a", &[]), ("-a", &[]), ("web-0.x-d", &["web", "web-0.x"])]
        {
            assert_eq!(possible_pods(claim).collect::<Vec<_>>(), expected, "{claim}");
        }
    }

    #[tokio::test]
    async fn a_pod_gets_its_claim_again_and_again_but_never_somebody_elses() {
        let env = Arc::new(TestEnv::new(1));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let volumes = EphemeralVolumes::new(client.clone(), env);
        let made = client.create(&pods::resource(), "default", pod()).await.unwrap().parse();
        let key: Key = "default/a-b".into();
        let claim = || client.get(&claim_resource(), "default", "a-b-data").unwrap().parse();

        for _ in 0..2 {
            volumes.reconcile(&key).await.unwrap();
            let claim = claim();
            assert_eq!(meta::owner_references(&claim), [owner_reference(&made)]);
            assert_eq!((meta::label(&claim, "l"), meta::annotation(&claim, "n")), (Some("1"), Some("2")));
            assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
        }
        let options = DeleteOptions::default();
        client.delete(&pods::resource(), "default", "a-b", &options).await.unwrap();
        assert_eq!(volumes.reconcile(&key).await.unwrap(), Next::Done, "nothing for a pod that is gone");

        client.create(&pods::resource(), "default", pod()).await.unwrap();
        let why = volumes.reconcile(&key).await.unwrap_err().to_string();
        let expected = "ephemeral volume data: PVC default/a-b-data was not created for pod default/a-b (pod is not owner)";
        assert_eq!(why, expected);
        let events = client.list(&Gvr::new("", "v1", "events"), "default", &ListOptions::default()).unwrap();
        let told: Vec<Value> = events.items.iter().map(Object::parse).collect();
        assert_eq!((&told[0]["reason"], &told[0]["message"]), (&json!("FailedBinding"), &json!(expected)));
    }
}

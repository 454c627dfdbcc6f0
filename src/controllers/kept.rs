//! Objects that a cluster cannot be without, and that come back when somebody deletes or bends them: the service
//! `default/kubernetes` with its endpoints, and the ServiceCIDR `kubernetes`
//! (k8s.io/kubernetes/pkg/controlplane/controller/{kubernetesservice,defaultservicecidr}).
//!
//! For clusters that stand alone. With a host, the syncer keeps them as the host is.

use crate::runtime::{self, Failure, Key, Next, Queue, Reconciler, Source};
use alcove_apiserver::{Client, Event};
use alcove_object::{Gvr, Reason, Value, meta, settled};
use std::sync::Arc;
use tokio::task::JoinSet;

struct Kept {
    client: Client,
    objects: Vec<(Gvr, Value)>,
}

/// Keeps these objects as they are, as this client's user, until the tasks end. Of an object only what the cluster needs
/// is kept: a service's ports, and what endpoints say.
pub fn start(tasks: &mut JoinSet<()>, client: &Client, objects: Vec<(Gvr, Value)>) {
    let queue = Arc::<Queue>::default();
    // What is gone already tells nobody.
    (0..objects.len()).for_each(|at| queue.add(at.to_string().into()));
    let kept = Arc::new(Kept { client: client.clone(), objects });
    let sources = kept.sources();
    runtime::start(tasks, kept, client, &queue, sources);
}

impl Kept {
    /// The objects; a key is the place of one in the list.
    fn sources(&self) -> Vec<Source> {
        let source = |at: usize| {
            let (resource, object) = &self.objects[at];
            let (namespace, name) = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
            let mapper = move |event: &Event, add: &mut dyn FnMut(Key)| {
                let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
                if o.namespace() == namespace && o.name() == name {
                    add(at.to_string().into());
                }
            };
            Source::new(resource.clone(), Box::new(mapper))
        };
        (0..self.objects.len()).map(source).collect()
    }
}

/// What is kept of an object that is there.
fn parts(object: &Value) -> &'static [&'static str] {
    match object["kind"].as_str() {
        Some("Service") => &["/spec/ports"],
        Some("Endpoints") => &["/subsets"],
        Some("EndpointSlice") => &["/endpoints", "/ports"],
        _ => &[],
    }
}

impl Reconciler for Kept {
    fn name(&self) -> &'static str {
        "kubernetes-service-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let Some((resource, wanted)) = key.parse().ok().and_then(|at: usize| self.objects.get(at)) else {
            return Ok(Next::Done);
        };
        let (namespace, name) = (meta::namespace(wanted), meta::name(wanted));
        let Some(found) = self.client.find(resource, namespace, name)? else {
            let made = self.client.create(resource, namespace, wanted.clone()).await;
            settled(made, &[Reason::ALREADY_EXISTS])?;
            return Ok(Next::Done);
        };
        let mut found = found.parse();
        let bent: Vec<&str> = parts(wanted)
            .iter()
            .copied()
            .filter(|part| found.pointer(part) != wanted.pointer(part))
            .collect();
        if bent.is_empty() {
            return Ok(Next::Done);
        }
        for part in bent {
            let (parent, field) = part.rsplit_once('/').unwrap_or_default();
            if let (Some(Value::Object(parent)), Some(value)) =
                (found.pointer_mut(parent), wanted.pointer(part))
            {
                parent.insert(field.to_owned(), value.clone());
            }
        }
        self.client.update(resource, namespace, found).await?;
        Ok(Next::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, of};
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_comes_back_and_stays_straight() {
        let world = World::new().await;
        let services = of("", "services");
        let port =
            |target: u16| json!([{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": target }]);
        let service = json!({ "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "kubernetes", "namespace": "default" },
            "spec": { "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ports": port(6443) } });
        world.create(&services, service.clone()).await;
        let mut tasks = JoinSet::new();
        start(&mut tasks, &world.client, vec![(services.clone(), service)]);
        let is_straight = |all: &[Value]| all.len() == 1 && all[0]["spec"]["ports"] == port(6443);

        world.client.delete(&services, "default", "kubernetes", &Default::default()).await.unwrap();
        world.until(&services, is_straight).await;
        world
            .patch(
                &services,
                "kubernetes",
                json!({ "spec": { "ports": port(1) }, "metadata": { "labels": { "a": "b" } } }),
            )
            .await;
        let all = world.until(&services, is_straight).await;
        assert_eq!(meta::label(&all[0], "a"), Some("b"), "what nobody needs is left alone");
    }
}

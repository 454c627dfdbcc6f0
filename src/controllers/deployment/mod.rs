//! Deployments: replica sets of one template after another (k8s.io/kubernetes/pkg/controller/deployment).
//!
//! A deployment's revisions are replica sets that differ in nothing but their template. [`rollout`] decides how many
//! replicas each should have, [`status`] what the deployment reports; both are pure. This file reads and writes.

mod revisions;
mod rollout;
mod status;

use crate::claims::{self, Claims};
use crate::events::{Kind, Recorder};
use crate::pods;
use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::Client;
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType, WriteOptions};
use alcove_object::gather::Gather;
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvr, Reason, Status, Value, meta, settled};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

/// The Deployment controller.
pub struct Deployments {
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
    sets: Arc<Claims>,
}

/// A deployment and its replica sets, as they were read.
pub(crate) struct Rollout {
    deployment: Value,
    /// The set with the deployment's template, once there is one.
    new: Option<Value>,
    /// The other sets, oldest first.
    old: Vec<Value>,
}

impl Rollout {
    fn sets(&self) -> impl Iterator<Item = &Value> {
        self.old.iter().chain(&self.new)
    }
}

fn resource() -> Gvr {
    Gvr::new("apps", "v1", "deployments")
}

fn set_resource() -> Gvr {
    Gvr::new("apps", "v1", "replicasets")
}

/// `spec.replicas` of a deployment or a set.
pub(crate) fn replicas(object: &Value) -> i64 {
    object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

/// A count in `status`.
pub(crate) fn reported(object: &Value, field: &str) -> i64 {
    object.get("status").and_then(|s| s.get(field)).and_then(Value::as_i64).unwrap_or(0)
}

impl Deployments {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> Deployments {
        let events = Recorder::new(client.clone(), env.clone(), "deployment-controller");
        let sets = Arc::new(Claims {
            client: client.clone(),
            owners: resource(),
            kind: "Deployment",
            owned: set_resource(),
            finalizer: None,
            unread: &["managedFields"],
            astray: Mutex::default(),
        });
        Deployments { client, env, events, sets }
    }

    /// Deployments and their replica sets. Pods matter only to a `Recreate`, which looks at them by itself when a set's
    /// status changes.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        vec![Source::new(resource(), runtime::by_key()), self.sets.source()]
    }

    /// The deployment's sets, oldest first.
    async fn claim(&self, deployment: &Value) -> Result<Vec<Value>, Status> {
        let Some(selector) = claims::selector_of(deployment) else { return Ok(Vec::new()) };
        let mut claimed = self.sets.of(deployment, &selector).await?;
        claimed.sort_by(|a, b| {
            let age = |set| (meta::text(set, "creationTimestamp").to_owned(), meta::name(set).to_owned());
            age(a).cmp(&age(b))
        });
        Ok(claimed)
    }

    async fn patch_set(&self, set: &Value, patch: Value) -> Result<Value, Status> {
        let (namespace, name, options) = (meta::namespace(set), meta::name(set), WriteOptions::default());
        let kind = PatchType::Strategic;
        self.client
            .patch(&set_resource(), "", namespace, name, kind, patch, &options)
            .await
            .map(|o| o.parse())
    }

    /// The rollout with a set for the current template: found, or made. The revision annotations are up to date after.
    async fn with_new_set(&self, mut rollout: Rollout) -> Result<Rollout, Status> {
        let revision = revisions::next(&rollout);
        match rollout.new.take() {
            Some(found) => {
                let annotations = revisions::annotations(&rollout.deployment, &found, revision);
                let same = found.pointer("/metadata/annotations") == Some(&annotations);
                rollout.new = Some(match same {
                    true => found,
                    false => {
                        self.patch_set(&found, json!({ "metadata": { "annotations": annotations } })).await?
                    }
                });
            }
            None => rollout.new = Some(self.create_set(&rollout, revision).await?),
        }
        self.note_revision(&mut rollout).await?;
        Ok(rollout)
    }

    async fn create_set(&self, rollout: &Rollout, revision: i64) -> Result<Value, Status> {
        let wanted = rollout::new_set_replicas(rollout);
        let set = revisions::new_set(&rollout.deployment, revision, wanted);
        let namespace = meta::namespace(&rollout.deployment);
        match self.client.create(&set_resource(), namespace, set.clone()).await {
            Ok(made) => {
                self.tell_scaled(&rollout.deployment, meta::name(&set), 0, wanted).await;
                Ok(made.parse())
            }
            Err(status) if status.is(Reason::ALREADY_EXISTS) => {
                self.resolve_collision(rollout, &set, status).await
            }
            Err(status) => Err(status),
        }
    }

    /// A set of that name is there: it is ours already, or another template has the same hash, and the deployment
    /// counts the collision so that the next hash differs.
    async fn resolve_collision(
        &self,
        rollout: &Rollout,
        set: &Value,
        status: Status,
    ) -> Result<Value, Status> {
        let deployment = &rollout.deployment;
        let found = self.client.get(&set_resource(), meta::namespace(deployment), meta::name(set))?.parse();
        let ours = meta::controller_of(&found).is_some_and(|o| o["uid"] == meta::uid(deployment));
        if ours && revisions::is_same_template(&deployment["spec"]["template"], &found["spec"]["template"]) {
            return Ok(found);
        }
        let mut changed = deployment.clone();
        changed["status"]["collisionCount"] = (reported(deployment, "collisionCount") + 1).into();
        self.client.update_subresource(&resource(), "status", meta::namespace(deployment), changed).await?;
        Err(status)
    }

    async fn note_revision(&self, rollout: &mut Rollout) -> Result<(), Status> {
        let revision = rollout
            .new
            .as_ref()
            .and_then(|set| meta::annotation(set, revisions::REVISION))
            .map(str::to_owned);
        let Some(revision) = revision else { return Ok(()) };
        if meta::annotation(&rollout.deployment, revisions::REVISION) == Some(&revision) {
            return Ok(());
        }
        let patch = json!({ "metadata": { "annotations": { revisions::REVISION: revision } } });
        let (namespace, name) = (meta::namespace(&rollout.deployment), meta::name(&rollout.deployment));
        let options = WriteOptions::default();
        // As upstream does: a change of annotations beside the status is no new generation.
        let patched = self
            .client
            .patch(&resource(), "status", namespace, name, PatchType::Merge, patch, &options)
            .await?;
        rollout.deployment = patched.parse();
        Ok(())
    }

    /// Writes the replica counts that the rollout asks for.
    async fn scale(&self, rollout: &mut Rollout, counts: &[(String, i64)]) -> Result<(), Status> {
        let deployment = rollout.deployment.clone();
        for set in rollout.old.iter_mut().chain(&mut rollout.new) {
            let Some((_, wanted)) = counts.iter().find(|(name, _)| name == meta::name(set)) else { continue };
            let annotations = revisions::size_annotations(&deployment);
            let before = replicas(set);
            let same_size = annotations.iter().all(|(k, v)| meta::annotation(set, k) == Some(v));
            if before == *wanted && same_size {
                continue;
            }
            let annotations: serde_json::Map<String, Value> =
                annotations.into_iter().map(|(k, v)| (k.to_owned(), v.into())).gather();
            let patch = json!({ "metadata": { "annotations": annotations }, "spec": { "replicas": wanted } });
            *set = self.patch_set(set, patch).await?;
            if before != *wanted {
                self.tell_scaled(&deployment, meta::name(set), before, *wanted).await;
            }
        }
        Ok(())
    }

    async fn tell_scaled(&self, deployment: &Value, set: &str, from: i64, to: i64) {
        let direction = if to >= from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
        self.events.tell(deployment, Kind::Normal, "ScalingReplicaSet", &message).await;
    }

    /// Deletes old sets beyond the history limit.
    async fn clean_up(&self, rollout: &Rollout) -> Result<(), Status> {
        for set in rollout::expendable(rollout) {
            let options = DeleteOptions::of(set);
            let gone =
                self.client.delete(&set_resource(), meta::namespace(set), meta::name(set), &options).await;
            settled(gone, &[Reason::NOT_FOUND])?;
        }
        Ok(())
    }

    fn has_running_old_pods(&self, rollout: &Rollout) -> Result<bool, Status> {
        let selector = Labels::from_object(rollout.deployment.pointer("/spec/selector")).ok().flatten();
        let options = ListOptions { labels: selector.unwrap_or_default(), ..ListOptions::default() };
        let new = rollout.new.as_ref().map(meta::uid).unwrap_or_default();
        let found = self.client.list(&pods::resource(), meta::namespace(&rollout.deployment), &options)?;
        Ok(found.items.iter().any(|pod| {
            let pod = pod.parse();
            !pods::is_finished(&pod) && meta::controller_of(&pod).is_some_and(|o| o["uid"] != new)
        }))
    }

    async fn advance(&self, mut rollout: Rollout) -> Result<(Rollout, Next), Status> {
        let paused = rollout.deployment.pointer("/spec/paused") == Some(&Value::Bool(true));
        if paused || rollout::is_scaling(&rollout) {
            let counts = rollout::proportional(&rollout);
            self.scale(&mut rollout, &counts).await?;
            return Ok((rollout, Next::Done));
        }
        if rollout.deployment.pointer("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
            let counts = rollout::stop_old(&rollout);
            self.scale(&mut rollout, &counts).await?;
            if self.has_running_old_pods(&rollout)? {
                // Pods that end change no set any more once its status is zero, so look again soon.
                return Ok((rollout, Next::After(rollout::RECREATE_DELAY)));
            }
            rollout = self.with_new_set(rollout).await?;
        } else {
            rollout = self.with_new_set(rollout).await?;
        }
        let counts = rollout::rolling(&rollout);
        self.scale(&mut rollout, &counts).await?;
        if rollout::is_complete(&rollout) {
            self.clean_up(&rollout).await?;
        }
        Ok((rollout, Next::Done))
    }

    async fn report(&self, rollout: &Rollout) -> Result<Next, Status> {
        let (wanted, next) = status::of(rollout, self.env.now());
        if rollout.deployment.get("status") == Some(&wanted) {
            return Ok(next);
        }
        let mut changed = rollout.deployment.clone();
        changed["status"] = wanted;
        self.client
            .update_subresource(&resource(), "status", meta::namespace(&rollout.deployment), changed)
            .await?;
        Ok(next)
    }

    async fn sync(&self, deployment: Value) -> Result<Next, Status> {
        let claimed = self.claim(&deployment).await?;
        let rollout = revisions::split(deployment, claimed);
        if meta::is_deleting(&rollout.deployment) {
            return self.report(&rollout).await;
        }
        let (rollout, next) = self.advance(rollout).await?;
        let due = self.report(&rollout).await?;
        Ok(if next == Next::Done { due } else { next })
    }
}

impl Reconciler for Deployments {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(deployment) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        let deployment = deployment.parse();
        match self.sync(deployment).await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            Err(status) if crate::namespace::is_terminating(&status) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

//! The steps of a StatefulSet's plan as writes, and what is told of them.

use super::plan::Step;
use super::{StatefulSets, claim_resource, identity, retention};
use crate::events::Kind;
use crate::namespace::is_terminating;
use crate::pods;
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_object::{Reason, Status, Value, meta};
use serde_json::json;

/// What is done to a pod, as events say it.
#[derive(Clone, Copy)]
enum Verb {
    Create,
    Update,
    Delete,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Verb::Create => "Create",
            Verb::Update => "Update",
            Verb::Delete => "Delete",
        }
    }
}

impl StatefulSets {
    /// Takes one step.
    pub(super) async fn take(&self, set: &Value, step: Step) -> Result<(), Status> {
        match step {
            Step::Create(pod) => self.create(set, pod).await,
            Step::Delete(pod) => self.delete(set, &pod).await,
            Step::Keep(pod) => self.keep(set, &pod).await,
        }
    }

    /// Tells of what was done to a pod; an end of the namespace is not worth an event.
    async fn tell(&self, set: &Value, verb: Verb, pod: &str, result: &Result<(), Status>) {
        let (verb, name) = (verb.name(), meta::name(set));
        match result {
            Ok(()) => {
                let message = format!("{verb} Pod {pod} in StatefulSet {name} successful");
                self.events.tell(set, Kind::Normal, &format!("Successful{verb}"), &message).await;
            }
            Err(status) if is_terminating(status) => {}
            Err(status) => {
                let message = format!("{verb} Pod {pod} in StatefulSet {name} failed error: {status}");
                self.events.tell(set, Kind::Warning, &format!("Failed{verb}"), &message).await;
            }
        }
    }

    async fn create(&self, set: &Value, pod: Value) -> Result<(), Status> {
        let name = meta::name(&pod).to_owned();
        let claims = self.ensure_claims(set, &pod).await;
        if claims.is_err() {
            self.tell(set, Verb::Create, &name, &claims).await;
            return claims;
        }
        let made = match self.client.create(&pods::resource(), meta::namespace(set), pod).await {
            Ok(made) => Ok(made.parse()),
            // Somebody else's pod has the name.
            Err(status) if status.is(Reason::ALREADY_EXISTS) => return Err(status),
            Err(status) => Err(status),
        };
        let result = match made {
            Ok(made) => self.settle_claims(set, &made).await,
            Err(status) => Err(status),
        };
        self.tell(set, Verb::Create, &name, &result).await;
        result
    }

    async fn delete(&self, set: &Value, pod: &Value) -> Result<(), Status> {
        let options = DeleteOptions::of(pod);
        let (namespace, name) = (meta::namespace(pod), meta::name(pod));
        let result = match self.client.delete(&pods::resource(), namespace, name, &options).await {
            Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => return Ok(()),
            result => result.map(drop),
        };
        self.tell(set, Verb::Delete, name, &result).await;
        result
    }

    async fn keep(&self, set: &Value, pod: &Value) -> Result<(), Status> {
        let correction = identity::correction(set, pod);
        if pods::phase(pod) == "Pending" || correction.as_ref().is_some_and(|patch| patch["spec"].is_object())
        {
            self.ensure_claims(set, pod).await?;
        }
        self.settle_claims(set, pod).await?;
        let Some(mut patch) = correction else { return Ok(()) };
        patch["metadata"]["uid"] = meta::uid(pod).into();
        let (namespace, name, options) = (meta::namespace(pod), meta::name(pod), WriteOptions::default());
        let kind = PatchType::Strategic;
        let result =
            match self.client.patch(&pods::resource(), "", namespace, name, kind, patch, &options).await {
                Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => return Ok(()),
                result => result.map(drop),
            };
        self.tell(set, Verb::Update, name, &result).await;
        result
    }

    /// Makes the claims of a pod that are not there. One that is about to go must be gone first.
    async fn ensure_claims(&self, set: &Value, pod: &Value) -> Result<(), Status> {
        let Some(ordinal) = identity::ordinal(set, pod) else { return Ok(()) };
        for claim in identity::claims(set, ordinal) {
            let (namespace, name) = (meta::namespace(set), meta::name(&claim).to_owned());
            match self.client.find(&claim_resource(), namespace, &name)? {
                Some(found) if meta::is_deleting(&found.parse()) => {
                    return Err(Status::conflict(
                        &claim_resource().group,
                        &claim_resource().resource,
                        &name,
                        &format!("pvc {name} is being deleted"),
                    ));
                }
                Some(_) => {}
                None => self.create_claim(set, meta::name(pod), claim).await?,
            }
        }
        Ok(())
    }

    async fn create_claim(&self, set: &Value, pod: &str, claim: Value) -> Result<(), Status> {
        let (set_name, claim_name) = (meta::name(set), meta::name(&claim).to_owned());
        match self.client.create(&claim_resource(), meta::namespace(set), claim).await {
            Ok(_) => {
                let message =
                    format!("Create Claim {claim_name} Pod {pod} in StatefulSet {set_name} success");
                self.events.tell(set, Kind::Normal, "SuccessfulCreate", &message).await;
                Ok(())
            }
            Err(status) if status.is(Reason::ALREADY_EXISTS) => Ok(()),
            Err(status) if is_terminating(&status) => Err(status),
            Err(status) => {
                let message = format!(
                    "Create Claim {claim_name} for Pod {pod} in StatefulSet {set_name} failed error: {status}"
                );
                self.events.tell(set, Kind::Warning, "FailedCreate", &message).await;
                Err(status)
            }
        }
    }

    /// Gives the claims of a pod the owners that the set's policy says.
    async fn settle_claims(&self, set: &Value, pod: &Value) -> Result<(), Status> {
        let Some(ordinal) = identity::ordinal(set, pod) else { return Ok(()) };
        let first = identity::start(set);
        let is_condemned = !(first..first + identity::replicas(set)).contains(&ordinal);
        for name in identity::claim_names(set, ordinal) {
            let Some(claim) = self.client.find(&claim_resource(), meta::namespace(set), &name)? else {
                continue;
            };
            let claim = claim.parse();
            let Some(owners) = retention::owners(&claim, set, pod, is_condemned) else { continue };
            if retention::is_taken(&claim, set, pod) {
                let message = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, \
                     the retention policy is ignored for this claim"
                );
                self.events.tell(set, Kind::Warning, "ConflictingController", &message).await;
            }
            let version = meta::text(&claim, "resourceVersion");
            let patch = json!({ "metadata": { "ownerReferences": owners, "resourceVersion": version } });
            let (namespace, options) = (meta::namespace(set), WriteOptions::default());
            let kind = PatchType::Merge;
            self.client.patch(&claim_resource(), "", namespace, &name, kind, patch, &options).await?;
        }
        Ok(())
    }
}

//! Writes to the host: server-side apply and delete, each bound to the object that was looked at, through one gate.

use crate::engine::Syncer;
use crate::error::Error;
use crate::host::{FIELD_MANAGER, Facts, digest};
use crate::host_object::{HostObject, Told};
use crate::rules::Rule;
use crate::translate::{self, Owner};
use alcove_object::{Value, meta};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, Request};
use kube::{Api, Resource};
use serde_json::json;
use std::future::Future;
use std::time::Duration;

/// How long the host may take to answer a write: what kube-apiserver takes itself at most is a minute, and what takes
/// half of it is tried again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An apply with this `resourceVersion` creates an object and never changes one: where there is none the version is not
/// looked at, and no object that anybody can write has the store's first one.
pub const ONLY_CREATE: &str = "1";

/// Server-side apply by our field manager. The host is not asked to warn of fields that are there twice, for which it would
/// read the object a second time, as YAML (k8s.io/apiserver/pkg/endpoints/handlers/patch.go: applyPatcher). We write none
/// twice, and a field that the host does not know fails any apply.
pub fn applying() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).validation_ignore()
}

impl Syncer {
    /// The host's API for the objects of a rule.
    pub fn api(&self, rule: &Rule) -> Api<HostObject> {
        let resource = rule.host_resource();
        match rule.is_cluster_wide() {
            true => Api::all_with(self.host_client.clone(), &resource),
            false => Api::namespaced_with(self.host_client.clone(), &self.tenant.host_namespace, &resource),
        }
    }

    /// One request to the host, when it may be asked.
    pub async fn ask<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        self.pressure.wait().await;
        let answer = match tokio::time::timeout(ANSWER_TIMEOUT, request).await {
            Ok(answer) => answer.map_err(Error::of),
            Err(_) => Err(Error::silence(ANSWER_TIMEOUT)),
        };
        self.metrics.asked_host(answer.as_ref().map_or_else(Error::code, |_| 200));
        match &answer {
            Err(error @ Error::Unavailable { retry_after, why, .. })
                if self.pressure.pushed(*retry_after) =>
            {
                tracing::warn!(why, "{}", error.advice());
            }
            Err(Error::Unavailable { .. }) => {}
            _ if self.pressure.eased() => tracing::info!("the host can be asked again"),
            _ => {}
        }
        answer
    }

    /// Notes what the host answered to a write with this digest. What went meanwhile is looked at again.
    pub fn answered(&self, rule: &'static Rule, told: &Told, sent: u64) {
        let owner = self.owner(rule, &told.object);
        let key = owner.as_ref().map(|owner| rule.key(&owner.namespace, &owner.name));
        if !self.host.answered(rule, owner, told, sent) {
            key.into_iter().for_each(|key| self.queue.add(key));
        }
    }

    /// Makes an object on the host, which answers with its metadata alone: what else it says, we have just said.
    pub async fn make(
        &self,
        resource: &ApiResource,
        params: &PatchParams,
        object: &Value,
    ) -> kube::Result<HostObject> {
        let path = HostObject::url_path(resource, Some(&self.tenant.host_namespace));
        let request = Request::new(path).patch_metadata(meta::name(object), params, &Patch::Apply(object));
        self.host_client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Applies what the tenant wants to the host, unless that was applied before and still stands. Gives the host's
    /// object if it was written.
    pub async fn apply(
        &self,
        rule: &'static Rule,
        mut wanted: Value,
        known: Option<&Facts>,
    ) -> Result<Option<Value>, Error> {
        let sent = digest(&wanted);
        if known.is_some_and(|facts| facts.is_intact(sent) || facts.is_deleting) {
            return Ok(None);
        }
        let mut params = applying();
        match known {
            // It must still be the object that we looked at; then our fields are ours, whoever changed them.
            Some(facts) => {
                meta::set(&mut wanted, "uid", facts.uid.clone());
                params = params.force();
            }
            None => meta::set(&mut wanted, "resourceVersion", ONLY_CREATE),
        }
        let api = self.api(rule);
        let answer = self.ask(api.patch(meta::name(&wanted), &params, &Patch::Apply(&wanted))).await;
        let applied = answer?.read();
        self.answered(rule, &applied, sent);
        Ok(Some(applied.object))
    }

    /// Applies a tenant's own pod conditions (readiness gates) to the host pod's status.
    pub async fn apply_conditions(
        &self,
        rule: &'static Rule,
        name: &str,
        known: &Facts,
        pod: &Value,
    ) -> Result<(), Error> {
        let Some(conditions) = translate::gate_conditions(pod) else { return Ok(()) };
        let sent = digest(&conditions);
        if known.conditions == Some(sent) {
            return Ok(());
        }
        let body = json!({
            "apiVersion": rule.host_resource().api_version, "kind": rule.kind,
            "metadata": { "name": name, "namespace": self.tenant.host_namespace, "uid": known.uid },
            "status": { "conditions": conditions },
        });
        let params = applying().force();
        let api = self.api(rule);
        self.ask(api.patch_status(name, &params, &Patch::Apply(&body))).await?;
        self.host.note_conditions(rule, name, &known.uid, sent);
        Ok(())
    }

    /// Deletes a host object of ours. `grace` in seconds; `None`: the host's default.
    pub async fn delete_on_host(
        &self,
        rule: &'static Rule,
        name: &str,
        facts: &Facts,
        grace: Option<u32>,
    ) -> Result<(), Error> {
        let params = DeleteParams {
            grace_period_seconds: grace,
            preconditions: Some(Preconditions { uid: Some(facts.uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        let api = self.api(rule);
        match self.ask(api.delete(name, &params)).await {
            Err(Error::Host(kube::Error::Api(status))) if status.code == 404 => {
                self.host_object_gone(rule, name, &facts.uid);
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// What the host said, in the tenant's terms.
    pub fn in_tenant_terms(&self, object: &Value, text: &str) -> String {
        let owner = Owner {
            namespace: meta::namespace(object).to_owned(),
            name: meta::name(object).to_owned(),
            uid: String::new(),
        };
        translate::in_tenant_terms(&self.tenant, &owner, text)
    }
}

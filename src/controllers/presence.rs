//! One object in every namespace: the service account `default` and the ConfigMap `kube-root-ca.crt`
//! (kube-controller-manager's serviceaccount and root-ca-certificate-publisher controllers). What differs between
//! them is data.

use crate::runtime::{Failure, Key, Mapper, Next, Reconciler, Source};
use alcove_apiserver::{Client, Event};
use alcove_object::{Gvr, Reason, Status, Value, meta};
use serde_json::json;
use std::sync::Arc;

/// What each namespace must have.
pub struct Presence {
    /// The controller's name.
    pub name: &'static str,
    /// Acts as this client's user.
    pub client: Client,
    /// The resource.
    pub resource: Gvr,
    /// The object without its namespace. What stands in `data` is kept as it is here; the rest is only set at first.
    pub object: Value,
}

impl Presence {
    /// Every namespace has a service account `default`.
    pub fn default_service_account(client: Client) -> Presence {
        Presence {
            name: "serviceaccount-controller",
            client,
            resource: Gvr::new("", "v1", "serviceaccounts"),
            object: json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } }),
        }
    }

    /// Every namespace has the cluster's CA certificate, for pods to trust the API server by.
    pub fn root_ca(client: Client, certificate: &str) -> Presence {
        let why = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as \
                   the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
                   Kubernetes clusters.";
        Presence {
            name: "root-ca-certificate-publisher",
            client,
            resource: Gvr::new("", "v1", "configmaps"),
            object: json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "kube-root-ca.crt", "annotations": { "kubernetes.io/description": why } },
                "data": { "ca.crt": certificate },
            }),
        }
    }

    /// Namespaces, and the objects themselves, so that one deleted or edited by hand comes back.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let name = meta::name(&self.object).to_owned();
        let objects: Mapper = Box::new(move |event, add| match event {
            Event::Modified(o) | Event::Deleted(o) if o.name() == name => add(o.namespace().into()),
            _ => {}
        });
        vec![
            Source::new(Gvr::new("", "v1", "namespaces"), crate::runtime::by_key()),
            Source::new(self.resource.clone(), objects),
        ]
    }

    async fn restore(&self, namespace: &str, mut found: Value) -> Result<(), Status> {
        match self.object.get("data") {
            Some(data) if found.get("data") != Some(data) => {
                found["data"] = data.clone();
                self.client.update(&self.resource, namespace, found).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

impl Reconciler for Presence {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let Some(namespace) = self.client.find(&Gvr::new("", "v1", "namespaces"), "", key)? else {
            return Ok(Next::Done);
        };
        let namespace = namespace.parse();
        if meta::is_deleting(&namespace) {
            return Ok(Next::Done);
        }
        let result = match self.client.get(&self.resource, key, meta::name(&self.object)) {
            Ok(found) => self.restore(key, found.parse()).await,
            Err(status) if status.is(Reason::NOT_FOUND) => {
                self.client.create(&self.resource, key, self.object.clone()).await.map(drop)
            }
            Err(status) => Err(status),
        };
        match result {
            // Somebody else was faster, or the namespace ends: the next event tells.
            Err(status) if status.is(Reason::ALREADY_EXISTS) || status.is(Reason::NOT_FOUND) => {
                Ok(Next::Done)
            }
            Err(status) if status.is(Reason::FORBIDDEN) => Ok(Next::Done),
            result => Ok(result.map(|()| Next::Done)?),
        }
    }
}

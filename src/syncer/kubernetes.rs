//! The tenant's service `default/kubernetes`: where its pods reach its API server. On the host that is a Service named
//! like the virtual cluster, made by whoever runs the tenant; its address and ports are the tenant's service's.
//!
//! The tenant's Endpoints are not written: pods reach the server through the host's Service, and who would read
//! endpoints inside the tenant could not connect to a host-side address that is a loopback one in `alcove dev`.

use crate::engine::Syncer;
use crate::error::Error;
use crate::host::{Pauses, tree};
use alcove_apiserver::options::DeleteOptions;
use alcove_object::{Gvr, Reason, Status, Value, meta};
use futures_util::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value as Json, json};
use std::sync::Arc;

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";

/// Keeps the tenant's service as the host's is.
pub async fn follow(syncer: Arc<Syncer>) {
    let Some(rule) = crate::rules::rule("services") else { return };
    let only = watcher::Config::default().fields(&format!("metadata.name={}", syncer.tenant.cluster));
    let mut events = watcher(syncer.api(rule), only).backoff(Pauses::default()).boxed();
    while let Some(event) = events.next().await {
        let (Ok(watcher::Event::Apply(host)) | Ok(watcher::Event::InitApply(host))) = event else { continue };
        if let Err(error) = syncer.show_kubernetes(host).await {
            tracing::warn!(%error, "cannot write the service default/kubernetes");
        }
    }
}

impl Syncer {
    async fn show_kubernetes(&self, host: DynamicObject) -> Result<(), Error> {
        let Some(spec) = tree(host).and_then(|host| kubernetes_spec(&host)) else { return Ok(()) };
        let services = Gvr::new("", "v1", "services");
        let known = match self.client.get(&services, NAMESPACE, NAME) {
            Ok(known) => Some(known.parse()),
            Err(status) if status.is(Reason::NOT_FOUND) => None,
            Err(status) => return Err(status.into()),
        };
        match known {
            Some(mut known) if known["spec"]["clusterIP"] == spec["clusterIP"] => {
                if known["spec"]["ports"] == spec["ports"] {
                    return Ok(());
                }
                known["spec"]["ports"] = spec["ports"].clone();
                self.client.update(&services, NAMESPACE, known).await?;
                return Ok(());
            }
            // An address cannot be changed, so the service is made again.
            Some(known) => {
                let options =
                    DeleteOptions { uid: Some(meta::uid(&known).to_owned()), ..DeleteOptions::default() };
                self.client.delete(&services, NAMESPACE, NAME, &options).await?;
            }
            None => {}
        }
        let made = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": NAME, "namespace": NAMESPACE,
                          "labels": { "component": "apiserver", "provider": "kubernetes" } },
            "spec": spec,
        });
        match self.client.create(&services, NAMESPACE, made).await {
            Err(status) if !status.is(Reason::ALREADY_EXISTS) => Err(Error::from(status as Status)),
            _ => Ok(()),
        }
    }
}

/// The tenant's spec for the host's service; `None` while that has no address.
fn kubernetes_spec(host: &Value) -> Option<Json> {
    let ip = host.pointer("/spec/clusterIP")?.as_str().filter(|ip| !ip.is_empty() && *ip != "None")?;
    let mut ports = host.pointer("/spec/ports")?.clone();
    for port in ports.as_array_mut().into_iter().flatten() {
        port.as_object_mut().map(|port| port.remove("nodePort"));
    }
    let mut spec = json!({ "type": "ClusterIP", "clusterIP": ip, "ports": ports, "sessionAffinity": "None" });
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(value) = host["spec"].get(field) {
            spec[field] = value.clone();
        }
    }
    Some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_and_ports_are_the_hosts_and_node_ports_are_not() {
        let host = json!({ "spec": { "type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ports": [{ "name": "https", "port": 443, "targetPort": 8443, "nodePort": 30443 }] } });
        let spec = kubernetes_spec(&host).unwrap();
        assert_eq!(spec["clusterIPs"], json!(["10.96.0.9"]));
        assert_eq!(spec["ports"], json!([{ "name": "https", "port": 443, "targetPort": 8443 }]));
        assert_eq!(kubernetes_spec(&json!({ "spec": { "ports": [] } })), None);
    }
}

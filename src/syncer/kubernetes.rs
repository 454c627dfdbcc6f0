//! The tenant's services that are doors to its own control plane: `default/kubernetes`, where its pods reach its API
//! server, and `kube-system/kube-dns`, where they reach its DNS. On the host each is a Service made by whoever runs the
//! tenant, `NAME` and `NAME-dns`; its address and ports are the tenant's service's.
//!
//! Their endpoints are in [`doors`](crate::doors).

use crate::engine::Syncer;
use crate::error::Error;
use crate::host::Pauses;
use crate::host_object::HostObject;
use crate::translate::Resolver;
use alcove_apiserver::options::DeleteOptions;
use alcove_controllers::runtime::Key;
use alcove_object::gather::Gather;
use alcove_object::{Gvr, Reason, Value, settled};
use futures_util::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Marks the tenant's services that show one of the host's, and are never made there.
pub const DOOR: &str = "alcove.dev/door";
/// What pods wait for until the address of the tenant's DNS is known.
pub const RESOLVER: &str = "resolver|";

/// A service of the tenant that shows one of the host's.
#[derive(Clone, Copy)]
pub struct Door {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    /// What is to be done with its addresses.
    opened: fn(&Syncer, &Json),
}

/// Where pods reach the API server.
pub static KUBERNETES: Door = Door {
    namespace: "default",
    name: "kubernetes",
    labels: &[("component", "apiserver"), ("provider", "kubernetes")],
    opened: |_, _| {},
};

/// Where pods reach DNS.
pub static DNS: Door = Door {
    namespace: "kube-system",
    name: "kube-dns",
    labels: &[
        ("k8s-app", "kube-dns"),
        ("kubernetes.io/cluster-service", "true"),
        ("kubernetes.io/name", "CoreDNS"),
        (DOOR, "true"),
    ],
    opened: |syncer, spec| {
        let addresses = spec["clusterIPs"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let mut addresses: Vec<String> = addresses.map(str::to_owned).collect();
        if addresses.is_empty() {
            addresses.extend(spec["clusterIP"].as_str().map(str::to_owned));
        }
        *syncer.resolver.lock() = Some(Resolver { addresses });
        syncer.uses.woken(&Key::from(RESOLVER)).into_iter().for_each(|pod| syncer.queue.add(pod));
    },
};

/// Keeps the tenant's service as the host's of this name is.
pub async fn follow(syncer: Arc<Syncer>, door: &'static Door, host_name: String) {
    let Some(rule) = crate::rules::rule("services") else { return };
    let only = watcher::Config::default().fields(&format!("metadata.name={host_name}"));
    let mut events = watcher(syncer.api(rule), only).backoff(Pauses::default()).boxed();
    while let Some(event) = events.next().await {
        let (Ok(watcher::Event::Apply(host)) | Ok(watcher::Event::InitApply(host))) = event else { continue };
        if let Err(error) = syncer.show_door(door, host).await {
            tracing::warn!(%error, service = door.name, "cannot write a service of the control plane");
        }
    }
}

impl Syncer {
    async fn show_door(&self, door: &Door, host: HostObject) -> Result<(), Error> {
        let Some(spec) = door_spec(&host.into_tree()) else { return Ok(()) };
        (door.opened)(self, &spec);
        if door.name == KUBERNETES.name {
            self.show_block(&spec).await?;
        }
        let services = Gvr::new("", "v1", "services");
        let known = self.client.find(&services, door.namespace, door.name)?;
        match known.map(|known| known.parse()) {
            Some(mut known) if known["spec"]["clusterIP"] == spec["clusterIP"] => {
                if known["spec"]["ports"] == spec["ports"] {
                    return Ok(());
                }
                known["spec"]["ports"] = spec["ports"].clone();
                self.client.update(&services, door.namespace, known).await?;
                return Ok(());
            }
            // An address cannot be changed, so the service is made again.
            Some(known) => {
                let options = DeleteOptions::of(&known);
                self.client.delete(&services, door.namespace, door.name, &options).await?;
            }
            None => {}
        }
        let labels: serde_json::Map<String, Json> =
            door.labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).gather();
        let made = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": door.name, "namespace": door.namespace, "labels": labels },
            "spec": spec,
        });
        let made = self.client.create(&services, door.namespace, made).await;
        Ok(settled(made, &[Reason::ALREADY_EXISTS])?)
    }
}

/// The tenant's spec for the host's service; `None` while that has no address.
fn door_spec(host: &Value) -> Option<Json> {
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
        let spec = door_spec(&host).unwrap();
        assert_eq!(spec["clusterIPs"], json!(["10.96.0.9"]));
        assert_eq!(spec["ports"], json!([{ "name": "https", "port": 443, "targetPort": 8443 }]));
        assert_eq!(door_spec(&json!({ "spec": { "ports": [] } })), None);
    }
}

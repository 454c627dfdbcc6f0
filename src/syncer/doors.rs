//! Where the tenant's own control plane really is: the endpoints of the host's Services for it, shown as endpoints of
//! the tenant's `default/kubernetes` and `kube-system/kube-dns`, for those who look there instead of at the Service.
//!
//! Loopback addresses, as `alcove dev` has them, are not shown: endpoints may not name them.

use crate::engine::Syncer;
use crate::host::{FIELD_MANAGER, Pauses};
use crate::host_object::HostObject;
use crate::translate::{SERVICE_NAME, is_local_address};
use alcove_apiserver::options::{PatchType, WriteOptions};
use alcove_object::{Gvr, Status, Value, meta};
use futures_util::StreamExt;
use kube::Api;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keeps Endpoints and slices of a tenant's service as those of the host's service are.
pub async fn follow(syncer: Arc<Syncer>, namespace: &'static str, name: &'static str, host_service: String) {
    let kind = GroupVersionKind::gvk("discovery.k8s.io", "v1", "EndpointSlice");
    let resource = ApiResource::from_gvk_with_plural(&kind, "endpointslices");
    let api: Api<HostObject> =
        Api::namespaced_with(syncer.host_client.clone(), &syncer.tenant.host_namespace, &resource);
    let only = watcher::Config::default().labels(&format!("{SERVICE_NAME}={host_service}"));
    let mut events = watcher(api, only).backoff(Pauses::default()).boxed();
    let mut slices: BTreeMap<String, Value> = BTreeMap::new();
    let mut is_whole = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => (slices, is_whole) = (BTreeMap::new(), false),
            Ok(watcher::Event::InitApply(slice) | watcher::Event::Apply(slice)) => {
                let slice = slice.into_tree();
                slices.insert(meta::name(&slice).to_owned(), slice);
            }
            Ok(watcher::Event::InitDone) => is_whole = true,
            Ok(watcher::Event::Delete(slice)) => {
                slices.remove(meta::name(&slice.into_tree()));
            }
            Err(_) => continue,
        }
        if !is_whole || slices.is_empty() {
            continue;
        }
        if let Err(error) = syncer.show_endpoints(namespace, name, slices.values()).await {
            tracing::warn!(%error, service = name, "cannot write endpoints of the control plane");
        }
    }
}

impl Syncer {
    async fn show_endpoints(
        &self,
        namespace: &str,
        name: &str,
        slices: impl Iterator<Item = &Value> + Clone,
    ) -> Result<(), Status> {
        for wanted in shown(name, slices) {
            let gvr = match wanted["kind"] == "Endpoints" {
                true => Gvr::new("", "v1", "endpoints"),
                false => Gvr::new("discovery.k8s.io", "v1", "endpointslices"),
            };
            let options =
                WriteOptions { force: true, field_manager: FIELD_MANAGER.into(), ..WriteOptions::default() };
            let name = meta::name(&wanted).to_owned();
            self.client.patch(&gvr, "", namespace, &name, PatchType::Apply, wanted, &options).await?;
        }
        Ok(())
    }
}

/// Ready addresses of slices by family, each with the ports.
fn shown<'a>(name: &str, slices: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut by_family: BTreeMap<&str, (Vec<Value>, Value)> = BTreeMap::new();
    for slice in slices {
        let family = slice["addressType"].as_str().unwrap_or_default();
        let (addresses, ports) = by_family.entry(family).or_default();
        *ports = slice["ports"].clone();
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let is_ready = endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false));
            let all = endpoint["addresses"].as_array().into_iter().flatten().filter(|_| is_ready);
            addresses.extend(all.filter(|a| a.as_str().is_some_and(|a| !is_local_address(a))).cloned());
        }
    }
    let mut out = Vec::new();
    let mut subsets = Vec::new();
    for (family, (addresses, ports)) in by_family {
        if addresses.is_empty() {
            continue;
        }
        let endpoints: Vec<Value> =
            addresses.iter().map(|a| json!({ "addresses": [a], "conditions": { "ready": true } })).collect();
        let slice =
            if family == "IPv4" { name.to_owned() } else { format!("{name}-{}", family.to_lowercase()) };
        out.push(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": slice, "labels": { SERVICE_NAME: name } },
            "addressType": family, "endpoints": endpoints, "ports": ports,
        }));
        let entries: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
        subsets.push(json!({ "addresses": entries, "ports": ports }));
    }
    if !subsets.is_empty() {
        let labels = json!({ "endpointslice.kubernetes.io/skip-mirror": "true" });
        out.push(json!({ "apiVersion": "v1", "kind": "Endpoints",
                         "metadata": { "name": name, "labels": labels }, "subsets": subsets }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_addresses_are_shown_and_loopback_is_not() {
        let ports = json!([{ "name": "https", "port": 8443, "protocol": "TCP" }]);
        let slice = |family: &str, endpoints: Value| json!({ "addressType": family, "endpoints": endpoints, "ports": ports });
        let four = slice(
            "IPv4",
            json!([{ "addresses": ["10.0.0.7"], "nodeName": "n", "targetRef": { "name": "demo-0" } },
                   { "addresses": ["10.0.0.8"], "conditions": { "ready": false } }, { "addresses": ["127.0.0.1"] }]),
        );
        let six = slice("IPv6", json!([{ "addresses": ["2001:db8::7"] }]));
        let shown = shown("kubernetes", [&four, &six].into_iter());
        let names: Vec<&str> = shown.iter().map(meta::name).collect();
        assert_eq!(names, ["kubernetes", "kubernetes-ipv6", "kubernetes"]);
        let ready = json!([{ "addresses": ["10.0.0.7"], "conditions": { "ready": true } }]);
        assert_eq!(shown[0]["endpoints"], ready);
        assert_eq!(shown[2]["subsets"][0], json!({ "addresses": [{ "ip": "10.0.0.7" }], "ports": ports }));
        let alone = slice("IPv4", json!([{ "addresses": ["127.0.0.1"] }]));
        assert!(super::shown("kubernetes", [&alone].into_iter()).is_empty());
    }
}

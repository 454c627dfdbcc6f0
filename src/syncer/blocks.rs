//! The ServiceCIDR `kubernetes` of a tenant with a host. Addresses come from the host, whose ranges the tenant may not
//! read; so the object claims no more than what is known for certain: the addresses of `default/kubernetes`, each as a
//! block of its own. Which address a service can have is the host's to say, whatever ServiceCIDRs the tenant makes.

use crate::engine::Syncer;
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_object::{Gvr, Reason, Status, Value, settled};
use serde_json::json;
use std::net::IpAddr;

const NAME: &str = "kubernetes";

impl Syncer {
    /// Makes the object say the addresses of this spec. Blocks cannot be changed, so one that says others is made anew.
    pub(crate) async fn show_block(&self, spec: &Value) -> Result<(), Status> {
        let (resource, cidrs) = (Gvr::new("networking.k8s.io", "v1", "servicecidrs"), blocks(spec));
        if cidrs.is_empty() {
            return Ok(());
        }
        if let Some(known) = self.client.find(&resource, "", NAME)? {
            let known = known.parse();
            if known["spec"]["cidrs"] == json!(cidrs) {
                return Ok(());
            }
            let options = DeleteOptions::of(&known);
            settled(self.client.delete(&resource, "", NAME, &options).await, &[Reason::NOT_FOUND])?;
            let (free, options) = (json!({ "metadata": { "finalizers": null } }), WriteOptions::default());
            let freed = self.client.patch(&resource, "", "", NAME, PatchType::Merge, free, &options).await;
            settled(freed, &[Reason::NOT_FOUND])?;
        }
        let made = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": { "name": NAME },
            "spec": { "cidrs": cidrs },
        });
        settled(self.client.create(&resource, "", made).await, &[Reason::ALREADY_EXISTS])
    }
}

/// The addresses of a service as blocks.
fn blocks(spec: &Value) -> Vec<String> {
    let ips = spec["clusterIPs"].as_array().into_iter().flatten().chain([&spec["clusterIP"]]);
    let ips = ips.filter_map(|ip| ip.as_str()?.parse::<IpAddr>().ok());
    let mut blocks: Vec<String> =
        ips.map(|ip| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })).collect();
    let mut seen = std::collections::HashSet::new();
    blocks.retain(|block| seen.insert(block.clone()));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_blocks_of_their_own() {
        for (spec, expected) in [
            (json!({ "clusterIP": "10.0.0.1" }), json!(["10.0.0.1/32"])),
            (
                json!({ "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"] }),
                json!(["10.0.0.1/32", "fd00::1/128"]),
            ),
            (json!({ "clusterIP": "None", "clusterIPs": ["None"] }), json!([])),
        ] {
            assert_eq!(json!(blocks(&spec)), expected, "{spec}");
        }
    }
}

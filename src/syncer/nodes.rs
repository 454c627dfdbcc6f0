//! Virtual nodes: a node is there while it carries a tenant's pods. It shows nothing of the host's node but its name.

use alcove_object::{Env, Value, time};
use serde_json::json;

/// Marks nodes that the syncer made.
pub const VIRTUAL: &str = "alcove.dev/virtual-node";

/// A virtual node. Sizes are round numbers, not the host's.
pub fn node(name: &str, version: &str, env: &dyn Env) -> Value {
    let now = time::format(env.now());
    let size = json!({ "cpu": "16", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": {
            VIRTUAL: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        } },
        "status": {
            "addresses": [{ "type": "Hostname", "address": name }],
            "allocatable": size, "capacity": size,
            "conditions": [{ "type": "Ready", "status": "True", "reason": "HostNodeReady",
                "message": "the host runs pods on this node", "lastHeartbeatTime": now, "lastTransitionTime": now }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
            "nodeInfo": { "architecture": "amd64", "operatingSystem": "linux", "osImage": "", "kernelVersion": "",
                "containerRuntimeVersion": "", "kubeletVersion": version, "kubeProxyVersion": "", "bootID": "",
                "machineID": "", "systemUUID": "" },
        },
    })
}

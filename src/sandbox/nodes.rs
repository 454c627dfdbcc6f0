//! Node objects: made at a start, the surplus of an earlier start removed.

use crate::{Config, NODES_MAX, node_resource};
use alcove_apiserver::Client;
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType, WriteOptions};
use alcove_controllers::runtime::Failure;
use alcove_object::{Env, Reason, selector, time};
use serde_json::{Value, json};

/// Marks nodes that this room made.
const SANDBOX_LABEL: &str = "alcove.dev/sandbox";

/// Makes the nodes `node-1` to `node-N` as they should be and removes others of ours.
pub async fn register(client: &Client, env: &dyn Env, config: &Config) -> Result<(), Failure> {
    let count = config.nodes.min(NODES_MAX);
    for number in 1..=count {
        match client.create(&node_resource(), "", node(number)).await {
            Ok(_) => {}
            Err(status) if status.is(Reason::ALREADY_EXISTS) => {}
            Err(status) => return Err(status.into()),
        }
        let status = json!({ "status": node_status(number, env, config) });
        client
            .patch(
                &node_resource(),
                "status",
                "",
                &name(number),
                PatchType::Strategic,
                status,
                &WriteOptions::default(),
            )
            .await?;
    }
    let ours = ListOptions {
        labels: selector::Labels(vec![selector::Requirement {
            key: SANDBOX_LABEL.into(),
            operator: selector::Operator::Exists,
            values: Vec::new(),
        }]),
        ..ListOptions::default()
    };
    let wanted: Vec<String> = (1..=count).map(name).collect();
    for node in client.list(&node_resource(), "", &ours)?.items {
        if !wanted.iter().any(|w| w == node.name()) {
            client.delete(&node_resource(), "", node.name(), &DeleteOptions::default()).await?;
        }
    }
    Ok(())
}

fn name(number: u16) -> String {
    format!("node-{number}")
}

/// A node's address, derived from its name; pods report it as their host's.
pub fn address(node: &str) -> String {
    let number: u16 = node.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    format!("172.20.0.{}", number.saturating_add(1))
}

fn node(number: u16) -> Value {
    let name = name(number);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": {
            SANDBOX_LABEL: "true",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
        } },
    })
}

fn node_status(number: u16, env: &dyn Env, config: &Config) -> Value {
    let now = time::format(env.now());
    let resources = json!({ "cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi", "pods": "1000" });
    let healthy = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    let conditions: Vec<Value> = healthy
        .iter()
        .map(|(kind, status, reason, message)| {
            json!({ "type": kind, "status": status, "reason": reason, "message": message,
                    "lastHeartbeatTime": now, "lastTransitionTime": now })
        })
        .collect();
    json!({
        "addresses": [
            { "type": "InternalIP", "address": address(&name(number)) },
            { "type": "Hostname", "address": name(number) },
        ],
        "allocatable": resources, "capacity": resources, "conditions": conditions,
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "osImage": "alcove sandbox",
            "kernelVersion": "simulated", "containerRuntimeVersion": "simulated://1",
            "kubeletVersion": config.kubelet_version, "kubeProxyVersion": "",
            "bootID": "", "machineID": "", "systemUUID": "",
        },
    })
}

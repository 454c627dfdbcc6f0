//! The kubelets of all simulated nodes: pods that are bound become Running and Ready, pods that are meant to end
//! succeed, pods that are being deleted go.

use crate::addresses::Addresses;
use crate::{nodes, pod_status, pods};
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_apiserver::{Client, Event};
use alcove_controllers::events::{Kind, Recorder};
use alcove_controllers::runtime::{self, Failure, Key, Mapper, Next, Reconciler};
use alcove_object::{Env, Reason, Status, meta, time};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// All simulated kubelets.
pub struct Kubelet {
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
    addresses: Mutex<Addresses>,
}

impl Kubelet {
    /// Kubelets that act as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> Kubelet {
        let events = Recorder::new(client.clone(), env.clone(), "kubelet");
        Kubelet { client, env, events, addresses: Mutex::default() }
    }

    /// Keeps the addresses and asks for pods that are on a node.
    pub fn mapper(self: Arc<Self>) -> Mapper {
        Box::new(move |event, add| match event {
            Event::Added(pod) | Event::Modified(pod) => {
                let tree = pod.parse();
                if let Some(address) = tree.pointer("/status/podIP").and_then(Value::as_str)
                    && let Ok(address) = address.parse()
                {
                    self.addresses.lock().note(&pod.key, address);
                }
                if tree.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|n| !n.is_empty()) {
                    add(pod.key.clone());
                }
            }
            Event::Deleted(pod) => self.addresses.lock().release(&pod.key),
            Event::Bookmark { .. } => {}
        })
    }

    async fn remove(&self, key: &Key, pod: &Value) -> Result<(), Status> {
        let (namespace, name) = runtime::split(key);
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::of(pod) };
        self.client.delete(&pods(), namespace, name, &options).await.map(drop)
    }

    async fn report(&self, key: &Key, pod: &Value, status: Value) -> Result<(), Status> {
        if pod_status::is_reported(pod, &status) {
            return Ok(());
        }
        let (namespace, name) = runtime::split(key);
        let patch = json!({ "metadata": { "uid": meta::uid(pod) }, "status": status });
        let options = WriteOptions::default();
        self.client
            .patch(&pods(), "status", namespace, name, PatchType::Strategic, patch, &options)
            .await
            .map(drop)
    }

    /// What people look for under a pod's events: that its containers run.
    async fn tell_started(&self, pod: &Value) {
        let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            let message = format!("Started simulated container {name}");
            self.events.tell(pod, Kind::Normal, "Started", &message).await;
        }
    }

    /// How long until the pod's containers end; `None` for pods that run for ever.
    fn time_left(&self, pod: &Value) -> Option<Duration> {
        let run_time = pod_status::run_time(pod)?;
        let started = pod.pointer("/status/startTime").and_then(Value::as_str).and_then(time::parse);
        let ran = started.map_or(Duration::ZERO, |s| self.env.now().duration_since(s).unsigned_abs());
        Some(run_time.saturating_sub(ran))
    }
}

impl Reconciler for Kubelet {
    fn name(&self) -> &'static str {
        "sandbox-kubelet"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(pod) = self.client.find(&pods(), namespace, name)? else { return Ok(Next::Done) };
        let pod = pod.parse();
        let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        let result = if meta::is_deleting(&pod) {
            self.remove(key, &pod).await.map(|()| Next::Done)
        } else if matches!(phase, "Succeeded" | "Failed") {
            Ok(Next::Done)
        } else if phase == "Running" && self.time_left(&pod) == Some(Duration::ZERO) {
            self.report(key, &pod, pod_status::succeeded(&pod, self.env.now())).await.map(|()| Next::Done)
        } else {
            let address = self.addresses.lock().give(key).ok_or("no pod address is free; delete pods")?;
            let host =
                nodes::address(pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default());
            let status = pod_status::running(&pod, &address.to_string(), &host, self.env.now());
            let next = self.time_left(&pod).map_or(Next::Done, Next::After);
            let result = self.report(key, &pod, status).await.map(|()| next);
            if result.is_ok() && phase != "Running" {
                self.tell_started(&pod).await;
            }
            result
        };
        match result {
            Ok(next) => Ok(next),
            // Gone or replaced meanwhile: the watch tells of what came instead.
            Err(status) if status.is(Reason::NOT_FOUND) || status.is(Reason::CONFLICT) => Ok(Next::Done),
            Err(status) => Err(status.into()),
        }
    }
}

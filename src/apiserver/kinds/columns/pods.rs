//! The columns of pods: readiness, the status in one word, restarts.

use super::{age, name, reading, show, string, text_at, wide};
use crate::kinds::tree::{flag, int, list, some, text};
use crate::registry::Column;
use alcove_object::{Value, condition, meta, time};
use jiff::Timestamp;

/// What the columns look at.
const PATHS: &[&str] = &[
    "metadata/deletionTimestamp",
    "spec/containers/*/name",
    "spec/initContainers/*/name",
    "spec/initContainers/*/restartPolicy",
    "spec/nodeName",
    "spec/readinessGates",
    "status/conditions/*/reason",
    "status/conditions/*/status",
    "status/conditions/*/type",
    "status/containerStatuses/*/lastState",
    "status/containerStatuses/*/ready",
    "status/containerStatuses/*/restartCount",
    "status/containerStatuses/*/state",
    "status/initContainerStatuses/*/lastState",
    "status/initContainerStatuses/*/name",
    "status/initContainerStatuses/*/ready",
    "status/initContainerStatuses/*/restartCount",
    "status/initContainerStatuses/*/started",
    "status/initContainerStatuses/*/state",
    "status/nominatedNodeName",
    "status/phase",
    "status/podIPs",
    "status/reason",
];

pub(crate) fn pod() -> Vec<Column> {
    let columns = vec![
        name(),
        string("Ready", "Containers that are ready, of all that keep running.", |pod, _| {
            let summary = Summary::of(pod);
            format!("{}/{}", summary.ready, summary.total).into()
        }),
        string("Status", "The pod's state in one word.", |pod, _| Summary::of(pod).reason.into()),
        string("Restarts", "Restarts of its containers, and time since the last one.", |pod, now| {
            Summary::of(pod).restarts(now).into()
        }),
        age(),
        wide(string("IP", "Address of the pod.", text_at!("/status/podIPs/0/ip" or "<none>"))),
        wide(string("Node", "Node that the pod is bound to.", text_at!("/spec/nodeName" or "<none>"))),
        wide(string(
            "Nominated Node",
            "Node that the pod will be bound to once preempted pods are gone.",
            text_at!("/status/nominatedNodeName" or "<none>"),
        )),
        wide(string("Readiness Gates", "Readiness gates that are true, of all.", |pod, _| gates(pod).into())),
    ];
    reading(PATHS, columns)
}

/// What the columns say together.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    restarted: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let sidecars = list(pod, "/spec/initContainers").iter().filter(|c| is_sidecar(c)).count();
        let mut summary = Summary {
            ready: 0,
            total: list(pod, "/spec/containers").len() + sidecars,
            reason: phase_reason(pod),
            restarts: 0,
            restarted: None,
        };
        let sidecar_restarts = summary.count_init_containers(pod);
        let initialized = condition::is_true(pod, "Initialized");
        let Some(sidecar_restarts) =
            sidecar_restarts.or_else(|| initialized.then(|| sidecar_restarts_of(pod)))
        else {
            return summary.deleted(pod);
        };
        (summary.restarts, summary.restarted) = sidecar_restarts;
        summary.count_containers(pod);
        summary.deleted(pod)
    }

    /// Counts init containers up to the first that is not done. Gives the restarts of the sidecars when all are done.
    fn count_init_containers(&mut self, pod: &Value) -> Option<(i64, Option<Timestamp>)> {
        for (i, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            self.add_restarts(status);
            let sidecar = has_sidecar(pod, text(status, "/name"));
            let terminated = some(status, "/state/terminated");
            let waiting = text(status, "/state/waiting/reason");
            if terminated.is_some_and(|t| int(t, "/exitCode") == 0) {
                continue;
            }
            if sidecar && flag(status, "/started") {
                self.ready += usize::from(flag(status, "/ready"));
                continue;
            }
            self.reason = match terminated {
                Some(terminated) => format!("Init:{}", end_reason(terminated)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{i}/{}", list(pod, "/spec/initContainers").len()),
            };
            return None;
        }
        Some(sidecar_restarts_of(pod))
    }

    fn count_containers(&mut self, pod: &Value) {
        let mut has_running = false;
        let mut error_reason = String::new();
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.add_restarts(status);
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(terminated) = some(status, "/state/terminated") {
                self.reason = end_reason(terminated);
                if int(terminated, "/exitCode") != 0 {
                    error_reason.clone_from(&self.reason);
                }
            } else if flag(status, "/ready") && some(status, "/state/running").is_some() {
                has_running = true;
                self.ready += 1;
            }
        }
        // A pod of which one container has completed is judged by the others.
        if self.reason == "Completed" {
            let is_ready = list(pod, "/status/conditions")
                .iter()
                .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
            if has_running && is_ready {
                self.reason = "Running".into();
            } else if !error_reason.is_empty() {
                self.reason = error_reason;
            } else if has_running {
                self.reason = "NotReady".into();
            }
        }
    }

    fn add_restarts(&mut self, status: &Value) {
        self.restarts += int(status, "/restartCount");
        self.restarted = self.restarted.max(last_end(status));
    }

    fn deleted(mut self, pod: &Value) -> Summary {
        if meta::is_deleting(pod) {
            let is_terminal = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
            if text(pod, "/status/reason") == "NodeLost" {
                self.reason = "Unknown".into();
            } else if !is_terminal {
                self.reason = "Terminating".into();
            }
        }
        self
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.restarted {
            Some(then) if self.restarts != 0 => {
                format!("{} ({} ago)", self.restarts, show::human(now.duration_since(then)))
            }
            _ => self.restarts.to_string(),
        }
    }
}

/// What the pod itself says before its containers are looked at.
fn phase_reason(pod: &Value) -> String {
    let gated = list(pod, "/status/conditions")
        .iter()
        .any(|c| text(c, "/type") == "PodScheduled" && text(c, "/reason") == "SchedulingGated");
    match text(pod, "/status/reason") {
        _ if gated => "SchedulingGated".into(),
        "" => text(pod, "/status/phase").into(),
        reason => reason.into(),
    }
}

/// Why a container ended.
fn end_reason(terminated: &Value) -> String {
    match (text(terminated, "/reason"), int(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn last_end(status: &Value) -> Option<Timestamp> {
    time::parse(text(status, "/lastState/terminated/finishedAt"))
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

fn has_sidecar(pod: &Value, name: &str) -> bool {
    list(pod, "/spec/initContainers").iter().any(|c| text(c, "/name") == name && is_sidecar(c))
}

/// Restarts of the sidecars whose status was looked at, and the last one's time.
fn sidecar_restarts_of(pod: &Value) -> (i64, Option<Timestamp>) {
    let statuses = list(pod, "/status/initContainerStatuses").iter();
    statuses
        .filter(|status| has_sidecar(pod, text(status, "/name")))
        .fold((0, None), |(count, last), status| {
            (count + int(status, "/restartCount"), last.max(last_end(status)))
        })
}

fn gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let is_true = |gate: &&Value| condition::is_true(pod, text(gate, "/conditionType"));
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}

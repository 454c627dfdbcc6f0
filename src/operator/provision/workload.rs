//! The pod of the control plane, and what looks after it.

use super::{API_PORT, CONFIG_HASH, Release, UID, VOLUME, config, put};
use alcove_object::Value;
use serde_json::json;

/// Where the configuration is in the pod.
const CONFIG_DIR: &str = "/etc/alcove";
/// How long the process may take to end: its requests get five seconds to finish, and the store closes.
const TERMINATION_GRACE_SECONDS: u32 = 20;

/// The StatefulSet, and budget and monitor where they are wanted.
pub fn objects(release: &Release) -> Vec<Value> {
    let control_plane = &release.config.control_plane;
    let mut all = Vec::new();
    if control_plane.pod_disruption_budget.enabled {
        all.push(disruption_budget(release));
    }
    if control_plane.service_monitor.enabled {
        all.push(service_monitor(release));
    }
    all.push(stateful_set(release));
    all
}

fn stateful_set(release: &Release) -> Value {
    let mut set = release.object("apps/v1", "StatefulSet", &release.name);
    set["spec"] = json!({
        "replicas": 1,
        "serviceName": release.part("headless"),
        // A pod that does not become ready must not keep a better one from taking its place.
        "podManagementPolicy": "Parallel",
        // Whoever deletes the tenant says what becomes of its data.
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
        "selector": { "matchLabels": release.selector() },
        "template": pod(release),
    });
    let storage = &release.config.control_plane.storage;
    if storage.persistent {
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "resources": { "requests": { "storage": storage.size } },
        });
        put(&mut spec, "storageClassName", storage.class.clone());
        // Templates of claims cannot change, so their labels are only those that never do. The list is applied as a
        // whole, so it says what would be defaulted: it would differ from itself otherwise.
        let metadata = json!({ "name": "data", "labels": release.selector() });
        set["spec"]["volumeClaimTemplates"] = json!([{
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": metadata, "spec": spec, "status": { "phase": "Pending" },
        }]);
    }
    set
}

fn pod(release: &Release) -> Value {
    let control_plane = &release.config.control_plane;
    let mut labels = release.selector();
    for (key, value) in &control_plane.labels {
        // What selects the pod is not for others to choose.
        if labels.get(key).is_none() {
            labels[key] = value.clone().into();
        }
    }
    let mut annotations = json!(control_plane.annotations);
    annotations[CONFIG_HASH] = config::hash(release).into();
    let mut volumes = vec![
        json!({ "name": "config", "secret": { "secretName": release.part("config"), "defaultMode": 0o440 } }),
    ];
    if !control_plane.storage.persistent {
        volumes.push(json!({ "name": "data", "emptyDir": { "sizeLimit": control_plane.storage.size } }));
    }
    let mut spec = json!({
        "serviceAccountName": release.name,
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": UID, "runAsGroup": UID,
            "fsGroup": UID, "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container(release)],
        "volumes": volumes,
    });
    let pull_secrets: Vec<Value> =
        control_plane.image.pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    put(&mut spec, "imagePullSecrets", pull_secrets);
    put(&mut spec, "nodeSelector", json!(control_plane.node_selector));
    put(&mut spec, "tolerations", control_plane.tolerations.clone());
    put(&mut spec, "affinity", json!(control_plane.affinity));
    put(&mut spec, "priorityClassName", control_plane.priority_class_name.clone());
    json!({ "metadata": { "labels": labels, "annotations": annotations }, "spec": spec })
}

fn container(release: &Release) -> Value {
    let (config, control_plane) = (&release.config, &release.config.control_plane);
    let tag = control_plane.image.tag.as_ref().unwrap_or(&release.version);
    let mut ports = vec![json!({ "name": "https", "containerPort": API_PORT, "protocol": "TCP" })];
    if config.dns.enabled {
        ports.push(json!({ "name": "dns", "containerPort": config.dns.port, "protocol": "UDP" }));
        ports.push(json!({ "name": "dns-tcp", "containerPort": config.dns.port, "protocol": "TCP" }));
    }
    let mut container = json!({
        "name": "alcove",
        "image": format!("{}:{tag}", control_plane.image.repository),
        "imagePullPolicy": control_plane.image.pull_policy,
        "env": [
            { "name": "ALCOVE_LOG", "value": control_plane.log },
            { "name": "ALCOVE_POD_UID", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.uid" } } },
        ],
        "args": ["serve", "--config", format!("{CONFIG_DIR}/config.yaml")],
        "ports": ports,
        // Looked at every second until it serves, since it is there in less than one; it may take minutes with a large
        // store on a slow volume.
        "startupProbe": probe("/readyz", 1, 300),
        "readinessProbe": probe("/readyz", 5, 3),
        "livenessProbe": probe("/livez", 10, 6),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [
            { "name": "config", "mountPath": CONFIG_DIR, "readOnly": true },
            { "name": "data", "mountPath": VOLUME },
        ],
    });
    put(&mut container, "resources", json!(control_plane.resources));
    container
}

fn probe(path: &str, period_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": "https", "scheme": "HTTPS" },
        "periodSeconds": period_seconds, "timeoutSeconds": 5, "failureThreshold": failures,
    })
}

fn disruption_budget(release: &Release) -> Value {
    let mut budget = release.object("policy/v1", "PodDisruptionBudget", &release.name);
    budget["spec"] = json!({ "maxUnavailable": 0, "selector": { "matchLabels": release.selector() } });
    budget
}

/// Metrics need a right, so Prometheus shows a client certificate that has that right alone. The tenant writes the
/// Secret.
fn service_monitor(release: &Release) -> Value {
    let key = |key: &str| json!({ "name": release.part("metrics"), "key": key });
    let mut monitor = release.object("monitoring.coreos.com/v1", "ServiceMonitor", &release.name);
    monitor["spec"] = json!({
        "selector": { "matchLabels": release.part_selector("api") },
        "endpoints": [{
            "port": "https", "scheme": "https", "path": "/metrics",
            "tlsConfig": {
                "serverName": "kubernetes.default.svc",
                "ca": { "secret": key("ca.crt") },
                "cert": { "secret": key("tls.crt") },
                "keySecret": key("tls.key"),
            },
        }],
    });
    monitor
}

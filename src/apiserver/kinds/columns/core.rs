//! The columns of the core group, but for pods.

use super::{age, column, name, reading, show, string, text_at, wide};
use crate::kinds::tree::{flag, int, list, some, text};
use crate::registry::{Cell, Column};
use alcove_object::{Value, meta};
use jiff::Timestamp;

pub(crate) fn config_map() -> Vec<Column> {
    let data = string("Data", "Number of keys.", |object, _| {
        (map_len(object, "data") + map_len(object, "binaryData")).into()
    });
    vec![name(), data, age()]
}

pub(crate) fn secret() -> Vec<Column> {
    vec![
        name(),
        string("Type", "What the secret is for.", text_at!("/type")),
        string("Data", "Number of keys.", |object, _| map_len(object, "data").into()),
        age(),
    ]
}

fn map_len(object: &Value, key: &str) -> usize {
    object.get(key).and_then(Value::as_object).map_or(0, serde_json::Map::len)
}

pub(crate) fn service_account() -> Vec<Column> {
    vec![name(), age()]
}

pub(crate) fn namespace() -> Vec<Column> {
    vec![name(), string("Status", "State of the namespace.", text_at!("/status/phase")), age()]
}

pub(crate) fn component_status() -> Vec<Column> {
    fn healthy(object: &Value) -> Option<&Value> {
        list(object, "/conditions").iter().find(|c| text(c, "/type") == "Healthy")
    }
    vec![
        name(),
        string("Status", "Whether the component is healthy.", |object, _| {
            match healthy(object).map(|c| text(c, "/status")) {
                Some("True") => "Healthy".into(),
                Some(_) => "Unhealthy".into(),
                None => "Unknown".into(),
            }
        }),
        string("Message", "What the component says.", |object, _| {
            healthy(object).map_or("", |c| text(c, "/message")).into()
        }),
        string("Error", "What is wrong with it.", |object, _| {
            healthy(object).map_or("", |c| text(c, "/error")).into()
        }),
    ]
}

pub(crate) fn endpoints() -> Vec<Column> {
    vec![name(), string("Endpoints", "Addresses with ports.", |object, _| addresses(object).into()), age()]
}

/// Up to three addresses; those of subsets without ports stand alone.
fn addresses(endpoints: &Value) -> String {
    let subsets = list(endpoints, "/subsets");
    if subsets.is_empty() {
        return "<none>".into();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let ips = || list(subset, "/addresses").iter().map(|a| text(a, "/ip"));
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in ports {
            let port = int(port, "/port");
            all.extend(
                ips().map(
                    |ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") },
                ),
            );
        }
    }
    show::some_of(&all, 3)
}

pub(crate) fn pod_template() -> Vec<Column> {
    vec![
        name(),
        string("Containers", "Names of the template's containers.", |object, _| {
            show::containers(object.pointer("/template/spec"), "name").into()
        }),
        string("Images", "Images of the template's containers.", |object, _| {
            show::containers(object.pointer("/template/spec"), "image").into()
        }),
        string("Pod Labels", "Labels of the template.", |object, _| {
            show::labels(object.pointer("/template/metadata/labels")).into()
        }),
    ]
}

pub(crate) fn resource_quota() -> Vec<Column> {
    vec![
        name(),
        string("Request", "Used and allowed, but for limits.", |quota, _| usage(quota, false).into()),
        string("Limit", "Used and allowed of limits.", |quota, _| usage(quota, true).into()),
        age(),
    ]
}

/// `name: used/hard` of every resource that is, or is not, a limit.
fn usage(quota: &Value, limits: bool) -> String {
    let hard = quota.pointer("/status/hard").and_then(Value::as_object);
    let used = quota.pointer("/status/used");
    let shown = hard.into_iter().flatten().filter(|(name, _)| name.starts_with("limits.") == limits);
    let shown = shown.map(|(name, hard)| {
        let used = used.and_then(|u| u.get(name)).map_or_else(|| "0".into(), show::plain);
        format!("{name}: {used}/{}", show::plain(hard))
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub(crate) fn service() -> Vec<Column> {
    vec![
        name(),
        string("Type", "How the service is reached.", text_at!("/spec/type")),
        string(
            "Cluster-IP",
            "Address inside the cluster.",
            text_at!("/spec/clusterIPs/0" unless missing "<none>"),
        ),
        string("External-IP", "Addresses outside the cluster.", |service, _| external_ips(service).into()),
        string("Port(s)", "Ports, node ports and protocols.", |service, _| ports(service).into()),
        age(),
        wide(string("Selector", "Which pods serve.", |service, _| {
            show::labels(service.pointer("/spec/selector")).into()
        })),
    ]
}

fn external_ips(service: &Value) -> String {
    let own = || list(service, "/spec/externalIPs").iter().filter_map(Value::as_str).map(str::to_owned);
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => match own().collect::<Vec<_>>() {
            none if none.is_empty() => "<none>".into(),
            some => some.join(","),
        },
        "LoadBalancer" => match ingress_points(service).into_iter().chain(own()).collect::<Vec<_>>() {
            none if none.is_empty() => "<pending>".into(),
            some => some.join(","),
        },
        "ExternalName" => text(service, "/spec/externalName").into(),
        _ => "<unknown>".into(),
    }
}

/// The addresses in `status.loadBalancer`, sorted, each once.
pub(super) fn ingress_points(object: &Value) -> Vec<String> {
    let points = list(object, "/status/loadBalancer/ingress").iter();
    let shown = points.map(|p| match text(p, "/ip") {
        "" => text(p, "/hostname"),
        ip => ip,
    });
    let mut shown: Vec<String> = shown.filter(|s| !s.is_empty()).map(str::to_owned).collect();
    shown.sort_unstable();
    shown.dedup();
    shown
}

fn ports(service: &Value) -> String {
    let shown = list(service, "/spec/ports").iter().map(|port| {
        let (number, protocol) = (int(port, "/port"), text(port, "/protocol"));
        match int(port, "/nodePort") {
            ..=0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    });
    match shown.collect::<Vec<_>>() {
        none if none.is_empty() => "<none>".into(),
        some => some.join(","),
    }
}

pub(crate) fn node() -> Vec<Column> {
    // Not the images that it has, which are most of a real node.
    const PATHS: &[&str] = &[
        "metadata/labels",
        "spec/unschedulable",
        "status/addresses",
        "status/conditions/*/status",
        "status/conditions/*/type",
        "status/nodeInfo",
    ];
    let columns = vec![
        name(),
        string("Status", "Whether the node is ready and takes pods.", |node, _| node_status(node).into()),
        string("Roles", "Roles by the node's labels.", |node, _| roles(node).into()),
        age(),
        string("Version", "Version of its kubelet.", text_at!("/status/nodeInfo/kubeletVersion")),
        wide(string("Internal-IP", "First internal address.", |node, _| address(node, "InternalIP").into())),
        wide(string("External-IP", "First external address.", |node, _| address(node, "ExternalIP").into())),
        wide(string(
            "OS-Image",
            "Its operating system.",
            text_at!("/status/nodeInfo/osImage" or "<unknown>"),
        )),
        wide(string("Kernel-Version", "Its kernel.", |node, _| kernel(node).into())),
        wide(string(
            "Container-Runtime",
            "Its container runtime.",
            text_at!("/status/nodeInfo/containerRuntimeVersion" or "<unknown>"),
        )),
    ];
    reading(PATHS, columns)
}

fn node_status(node: &Value) -> String {
    // The last condition of a type counts.
    let ready = list(node, "/status/conditions").iter().rfind(|c| text(c, "/type") == "Ready");
    let status = match ready.map(|c| text(c, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if flag(node, "/spec/unschedulable") { format!("{status},SchedulingDisabled") } else { status.into() }
}

fn roles(node: &Value) -> String {
    let role = |(key, value)| match str::strip_prefix(key, "node-role.kubernetes.io/") {
        Some(role) => role,
        None if key == "kubernetes.io/role" => value,
        None => "",
    };
    let mut roles: Vec<&str> = meta::labels(node).map(role).filter(|r| !r.is_empty()).collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let found = list(node, "/status/addresses").iter().find(|a| text(a, "/type") == kind);
    found.map_or("<none>", |a| text(a, "/address"))
}

fn kernel(node: &Value) -> String {
    let kernel = match text(node, "/status/nodeInfo/kernelVersion") {
        "" => "<unknown>",
        kernel => kernel,
    };
    match text(node, "/status/nodeInfo/architecture") {
        "" => kernel.into(),
        architecture => format!("{kernel} ({architecture})"),
    }
}

pub(crate) fn persistent_volume() -> Vec<Column> {
    vec![
        name(),
        string("Capacity", "Its size.", |volume, _| size(volume, "/spec/capacity").into()),
        string("Access Modes", "How it can be mounted.", |volume, _| {
            access_modes(volume, "/spec/accessModes").into()
        }),
        string(
            "Reclaim Policy",
            "What becomes of it when its claim is gone.",
            text_at!("/spec/persistentVolumeReclaimPolicy"),
        ),
        string("Status", "Whether it is available, bound or released.", |volume, _| phase(volume).into()),
        string("Claim", "The claim that it is bound to.", |volume, _| match some(volume, "/spec/claimRef") {
            Some(claim) => format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")).into(),
            None => "".into(),
        }),
        string("StorageClass", "Its storage class.", |volume, _| class(volume).into()),
        string("VolumeAttributesClass", "Its attributes class.", volume_attributes_class),
        string("Reason", "Why it is in this state.", text_at!("/status/reason")),
        age(),
        wide(string(
            "VolumeMode",
            "File system or block device.",
            text_at!("/spec/volumeMode" unless missing "<unset>"),
        )),
    ]
}

pub(crate) fn persistent_volume_claim() -> Vec<Column> {
    fn if_bound(claim: &Value, shown: fn(&Value) -> String) -> Value {
        if text(claim, "/spec/volumeName").is_empty() { "".into() } else { shown(claim).into() }
    }
    vec![
        name(),
        string("Status", "Whether it is bound.", |claim, _| phase(claim).into()),
        string("Volume", "The volume that it is bound to.", text_at!("/spec/volumeName")),
        string("Capacity", "Size of the volume.", |claim, _| {
            if_bound(claim, |c| size(c, "/status/capacity"))
        }),
        string("Access Modes", "How the volume can be mounted.", |claim, _| {
            if_bound(claim, |c| access_modes(c, "/status/accessModes"))
        }),
        string("StorageClass", "Its storage class.", |claim, _| class(claim).into()),
        string("VolumeAttributesClass", "Its attributes class.", volume_attributes_class),
        age(),
        wide(string(
            "VolumeMode",
            "File system or block device.",
            text_at!("/spec/volumeMode" unless missing "<unset>"),
        )),
    ]
}

fn phase(object: &Value) -> &str {
    if meta::is_deleting(object) { "Terminating" } else { text(object, "/status/phase") }
}

fn size(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(|c| c.get("storage")).map_or_else(|| "0".into(), show::plain)
}

fn class(object: &Value) -> &str {
    let beta = meta::annotation(object, "volume.beta.kubernetes.io/storage-class");
    beta.unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

fn volume_attributes_class(object: &Value, _: Timestamp) -> Value {
    some(object, "/spec/volumeAttributesClassName").cloned().unwrap_or_else(|| "<unset>".into())
}

/// Access modes by their short names, in a fixed order.
fn access_modes(object: &Value, pointer: &str) -> String {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let modes = list(object, pointer);
    let shown = SHORT.iter().filter(|(mode, _)| modes.iter().any(|m| m == mode)).map(|(_, short)| *short);
    shown.collect::<Vec<_>>().join(",")
}

pub(crate) fn event() -> Vec<Column> {
    vec![
        string("Last Seen", "Time since it happened last.", |event, now| last_seen(event, now).into()),
        string("Type", "Normal or Warning.", text_at!("/type")),
        string("Reason", "What happened, in one word.", text_at!("/reason")),
        string("Object", "What it happened to.", |event, _| target(event).into()),
        wide(string("Subobject", "Which part of it.", |event, _| about(event, "fieldPath").into())),
        wide(string("Source", "Who says so.", |event, _| source(event).into())),
        string("Message", "What happened.", |event, _| message(event).trim().into()),
        wide(string("First Seen", "Time since it happened first.", |event, now| {
            first_seen(event, now).into()
        })),
        wide(string("Count", "How often it happened.", |event, _| count(event).into())),
        wide(Column { format: "name", ..column("Name", "string", "Name of the event.", Cell::Name) }),
    ]
}

// Cells are made from either form of an event, core's and that of events.k8s.io.

fn either<'a>(event: &'a Value, core: &str, new: &str) -> &'a str {
    match text(event, core) {
        "" => text(event, new),
        found => found,
    }
}

fn about<'a>(event: &'a Value, field: &str) -> &'a str {
    let object = some(event, "/involvedObject").or_else(|| some(event, "/regarding"));
    object.and_then(|o| o.get(field)).and_then(Value::as_str).unwrap_or_default()
}

fn message(event: &Value) -> &str {
    either(event, "/message", "/note")
}

fn first_seen(event: &Value, now: Timestamp) -> String {
    let pointers = ["/firstTimestamp", "/deprecatedFirstTimestamp"];
    let set = pointers.into_iter().find(|p| some(event, p).is_some());
    show::since(event, set.unwrap_or("/eventTime"), now)
}

fn last_seen(event: &Value, now: Timestamp) -> String {
    if some(event, "/series").is_some() {
        return show::since(event, "/series/lastObservedTime", now);
    }
    let pointers = ["/lastTimestamp", "/deprecatedLastTimestamp"];
    match pointers.into_iter().find(|p| some(event, p).is_some()) {
        Some(pointer) => show::since(event, pointer, now),
        None => first_seen(event, now),
    }
}

fn count(event: &Value) -> i64 {
    match some(event, "/series") {
        Some(series) => int(series, "/count"),
        None => match int(event, "/count") + int(event, "/deprecatedCount") {
            0 => 1,
            count => count,
        },
    }
}

fn target(event: &Value) -> String {
    let kind = about(event, "kind").to_lowercase();
    match about(event, "name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Value) -> String {
    let component = [
        text(event, "/source/component"),
        text(event, "/deprecatedSource/component"),
        either(event, "/reportingComponent", "/reportingController"),
    ];
    let host = [
        text(event, "/source/host"),
        text(event, "/deprecatedSource/host"),
        text(event, "/reportingInstance"),
    ];
    let component = component.into_iter().find(|t| !t.is_empty()).unwrap_or_default();
    match host.into_iter().find(|t| !t.is_empty()) {
        Some(host) => format!("{component}, {host}"),
        None => component.into(),
    }
}

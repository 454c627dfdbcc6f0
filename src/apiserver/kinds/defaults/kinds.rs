//! Defaults of the kinds that run no pods.

use super::Fill::{Bool, Count, Empty, Inside, Int, Text, Texts, Word};
use super::{Rule, fill};
use crate::kinds::tree::{int, list, some, text};
use alcove_object::{Value, meta};
use serde_json::json;

const RBAC: &str = "rbac.authorization.k8s.io";

pub(crate) const SECRET: &[Rule] = &[("type", Text("Opaque"))];

pub(crate) const ENDPOINTS: &[Rule] = &[("subsets/*/ports/*/protocol", Text("TCP"))];

pub(crate) const ENDPOINT_SLICE: &[Rule] = &[("ports/*/name", Word("")), ("ports/*/protocol", Word("TCP"))];

pub(crate) const PERSISTENT_VOLUME: &[Rule] = &[
    ("status+/phase", Text("Pending")),
    ("spec/persistentVolumeReclaimPolicy", Text("Retain")),
    ("spec/volumeMode", Word("Filesystem")),
    ("spec", Inside(VOLUME_SOURCES)),
];

/// Where volumes come from, those inside of attachments too.
const VOLUME_SOURCES: &[Rule] = &[
    ("hostPath/type", Text("")),
    ("iscsi/iscsiInterface", Text("default")),
    ("rbd/pool", Text("rbd")),
    ("rbd/user", Text("admin")),
    ("rbd/keyring", Text("/etc/ceph/keyring")),
    ("azureDisk/cachingMode", Word("ReadWrite")),
    ("azureDisk/fsType", Word("ext4")),
    ("azureDisk/readOnly", Bool(false)),
    ("azureDisk/kind", Word("Shared")),
    ("scaleIO/storageMode", Text("ThinProvisioned")),
    ("scaleIO/fsType", Text("xfs")),
];

pub(crate) const VOLUME_ATTACHMENT: &[Rule] = &[("spec/source/inlineVolumeSpec", Inside(VOLUME_SOURCES))];

pub(crate) const PERSISTENT_VOLUME_CLAIM: &[Rule] =
    &[("status+/phase", Text("Pending")), ("spec/volumeMode", Word("Filesystem"))];

pub(crate) const STORAGE_CLASS: &[Rule] =
    &[("reclaimPolicy", Word("Delete")), ("volumeBindingMode", Word("Immediate"))];

pub(crate) const CSI_DRIVER: &[Rule] = &[
    ("spec/attachRequired", Bool(true)),
    ("spec/podInfoOnMount", Bool(false)),
    ("spec/storageCapacity", Bool(false)),
    ("spec/fsGroupPolicy", Word("ReadWriteOnceWithFSType")),
    ("spec/volumeLifecycleModes", Texts("Persistent")),
    ("spec/requiresRepublish", Bool(false)),
    ("spec/seLinuxMount", Bool(false)),
];

pub(crate) const PRIORITY_CLASS: &[Rule] = &[("preemptionPolicy", Word("PreemptLowerPriority"))];

pub(crate) const INGRESS_CLASS: &[Rule] = &[("spec/parameters/scope", Word("Cluster"))];

const WEBHOOK: &[Rule] = &[
    ("failurePolicy", Word("Fail")),
    ("matchPolicy", Word("Equivalent")),
    ("namespaceSelector", Empty),
    ("objectSelector", Empty),
    ("timeoutSeconds", Int(10)),
    ("clientConfig/service/port", Int(443)),
    ("rules/*/scope", Word("*")),
];

pub(crate) const VALIDATING_WEBHOOKS: &[Rule] = &[("webhooks/*", Inside(WEBHOOK))];

pub(crate) const MUTATING_WEBHOOKS: &[Rule] =
    &[("webhooks/*", Inside(WEBHOOK)), ("webhooks/*/reinvocationPolicy", Word("Never"))];

const MATCH_RESOURCES: &[Rule] = &[
    ("matchPolicy", Word("Equivalent")),
    ("namespaceSelector", Empty),
    ("objectSelector", Empty),
    ("resourceRules/*/scope", Word("*")),
    ("excludeResourceRules/*/scope", Word("*")),
];

/// Admission policies, validating and mutating.
pub(crate) const ADMISSION_POLICY: &[Rule] =
    &[("spec/failurePolicy", Word("Fail")), ("spec/matchConstraints", Inside(MATCH_RESOURCES))];

/// Bindings of admission policies.
pub(crate) const ADMISSION_POLICY_BINDING: &[Rule] = &[("spec/matchResources", Inside(MATCH_RESOURCES))];

pub(crate) const API_SERVICE: &[Rule] = &[("spec/service/port", Int(443))];

pub(crate) const FLOW_SCHEMA: &[Rule] = &[("spec/matchingPrecedence", Count(1000))];

pub(crate) const PRIORITY_LEVEL: &[Rule] = &[
    ("spec/exempt/nominalConcurrencyShares", Int(0)),
    ("spec/exempt/lendablePercent", Int(0)),
    ("spec/limited/nominalConcurrencyShares", Int(30)),
    ("spec/limited/lendablePercent", Int(0)),
    ("spec/limited/limitResponse/queuing/queues", Count(64)),
    ("spec/limited/limitResponse/queuing/handSize", Count(8)),
    ("spec/limited/limitResponse/queuing/queueLengthLimit", Count(50)),
];

pub(crate) const NETWORK_POLICY: &[Rule] =
    &[("spec/ingress/*/ports/*/protocol", Word("TCP")), ("spec/egress/*/ports/*/protocol", Word("TCP"))];

pub(crate) fn network_policy(object: &mut Value) {
    fill(object, NETWORK_POLICY);
    let Some(spec) = object.get("spec").filter(|s| s.is_object()) else { return };
    if list(spec, "/policyTypes").is_empty() {
        let has_egress = !list(spec, "/egress").is_empty();
        object["spec"]["policyTypes"] =
            if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
}

/// Role bindings and cluster role bindings.
pub(crate) fn role_binding(object: &mut Value) {
    fill(object, &[("roleRef/apiGroup", Text(RBAC))]);
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if matches!(text(subject, "/kind"), "User" | "Group") {
            fill(subject, &[("apiGroup", Text(RBAC))]);
        }
    }
}

/// A namespace is labelled with its name and starts out active.
pub(crate) fn namespace(object: &mut Value) {
    let name = meta::name(object).to_owned();
    if !name.is_empty() {
        meta::child_mut(meta::metadata_mut(object), "labels")
            .insert("kubernetes.io/metadata.name".into(), name.into());
    }
    fill(object, &[("status+/phase", Text("Active"))]);
}

/// A node has all of its capacity to give away unless it says otherwise.
pub(crate) fn node(object: &mut Value) {
    object.get_mut("spec").into_iter().for_each(|spec| same_first(spec, "podCIDR", "podCIDRs", Value::clone));
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    if status.get("allocatable").is_none_or(Value::is_null)
        && let Some(capacity) = status.get("capacity").filter(|c| !c.is_null()).cloned()
    {
        status.insert("allocatable".into(), capacity);
    }
}

/// Limits of containers: the default is the maximum, the default request the default or the minimum.
pub(crate) fn limit_range(object: &mut Value) {
    let limits = object.pointer_mut("/spec/limits").and_then(Value::as_array_mut);
    for item in limits.into_iter().flatten().filter(|item| text(item, "/type") == "Container") {
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let Some(values) = item.get(from).and_then(Value::as_object).cloned() else { continue };
            let Some(item) = item.as_object_mut() else { continue };
            let target = meta::child_mut(item, to);
            for (name, value) in values {
                target.entry(name).or_insert(value);
            }
        }
    }
}

const AUTOSCALER_UP: &[Rule] = &[("selectPolicy", Word("Max")), ("stabilizationWindowSeconds", Int(0))];
const AUTOSCALER_DOWN: &[Rule] = &[("selectPolicy", Word("Max"))];

/// Autoscalers of both versions. That of v1 has its other metrics and its behavior in annotations.
pub(crate) fn horizontal_pod_autoscaler(object: &mut Value) {
    let is_v1 = text(object, "/apiVersion") == "autoscaling/v1";
    let has_metrics = meta::annotation(object, "autoscaling.alpha.kubernetes.io/metrics").is_some();
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else { return };
    fill(spec, &[("minReplicas", Int(1))]);
    if is_v1 {
        let rules: &[Rule] = if has_metrics { &[] } else { &[("targetCPUUtilizationPercentage", Int(80))] };
        return fill(spec, rules);
    }
    if list(spec, "/metrics").is_empty() {
        let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
        spec["metrics"] = json!([{"type": "Resource", "resource": cpu}]);
    }
    if some(spec, "/behavior").is_none() {
        return;
    }
    fill(spec, &[("behavior/scaleUp", Empty), ("behavior/scaleDown", Empty)]);
    fill(
        spec,
        &[("behavior/scaleUp", Inside(AUTOSCALER_UP)), ("behavior/scaleDown", Inside(AUTOSCALER_DOWN))],
    );
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    for (direction, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        let rules =
            spec.pointer_mut("/behavior").and_then(|b| b.get_mut(direction)).and_then(Value::as_object_mut);
        if let Some(rules) = rules
            && rules.get("policies").is_none_or(Value::is_null)
        {
            rules.insert("policies".into(), policies);
        }
    }
}

const SERVICE: &[Rule] =
    &[("sessionAffinity", Text("None")), ("type", Text("ClusterIP")), ("ports/*/protocol", Text("TCP"))];

pub(crate) fn service(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else { return };
    fill(spec, SERVICE);
    match text(spec, "/sessionAffinity") {
        "None" => {
            spec.as_object_mut().map(|map| map.remove("sessionAffinityConfig"));
        }
        "ClientIP" => fill(spec, &[("sessionAffinityConfig+/clientIP+/timeoutSeconds", Int(10800))]),
        _ => {}
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let number = int(port, "/port");
        let is_unset = port.get("targetPort").is_none_or(|t| t.is_null() || *t == 0 || *t == "");
        if let (true, Some(port)) = (is_unset, port.as_object_mut()) {
            port.insert("targetPort".into(), number.into());
        }
    }
    let kind = text(spec, "/type").to_owned();
    let is_external = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !list(spec, "/externalIPs").is_empty());
    if is_external {
        fill(spec, &[("externalTrafficPolicy", Text("Cluster"))]);
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        fill(spec, &[("internalTrafficPolicy", Word("Cluster"))]);
    }
    if kind == "LoadBalancer" {
        fill(spec, &[("allocateLoadBalancerNodePorts", Bool(true))]);
        let points = object.pointer_mut("/status/loadBalancer/ingress").and_then(Value::as_array_mut);
        for point in points.into_iter().flatten().filter(|p| !text(p, "/ip").is_empty()) {
            fill(point, &[("ipMode", Word("VIP"))]);
        }
    }
}

const DEVICE_REQUEST: &[Rule] =
    &[("allocationMode", Text("ExactCount")), ("tolerations/*/operator", Text("Equal"))];

/// Resource claims and their templates; `spec` is where the claim's spec stands.
fn device_requests(spec: &mut Value) {
    let requests = spec.pointer_mut("/devices/requests").and_then(Value::as_array_mut);
    for request in requests.into_iter().flatten() {
        request.get_mut("exactly").into_iter().for_each(device_request);
        let subs = request.get_mut("firstAvailable").and_then(Value::as_array_mut);
        subs.into_iter().flatten().for_each(device_request);
    }
}

fn device_request(request: &mut Value) {
    fill(request, DEVICE_REQUEST);
    if text(request, "/allocationMode") == "ExactCount" {
        fill(request, &[("count", Count(1))]);
    }
}

pub(crate) fn resource_claim(object: &mut Value) {
    object.get_mut("spec").into_iter().for_each(device_requests);
    fill(object, &[("status/allocation/devices/results/*/tolerations/*/operator", Text("Equal"))]);
}

pub(crate) fn resource_claim_template(object: &mut Value) {
    object.pointer_mut("/spec/spec").into_iter().for_each(device_requests);
}

/// Definitions of custom resources (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go).
pub(crate) fn custom_resource_definition(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else { return };
    if some(spec, "/conversion").is_none() {
        fill(spec, &[("conversion+/strategy", Text("None"))]);
    }
    fill(spec, &[("conversion/webhook/clientConfig/service/port", Int(443))]);
    let kind = text(spec, "/names/kind").to_owned();
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        let mut fill_name = |name: &str, value: String| {
            let there = names.get(name).and_then(Value::as_str).unwrap_or_default();
            if there.is_empty() && !kind.is_empty() {
                names.insert(name.into(), value.into());
            }
        };
        fill_name("singular", kind.to_lowercase());
        fill_name("listKind", format!("{kind}List"));
    }
    let stored = list(spec, "/versions").iter().find(|version| version["storage"] == true);
    let stored = stored.and_then(|version| version.get("name")).cloned();
    if let (true, Some(stored)) = (list(object, "/status/storedVersions").is_empty(), stored)
        && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
    {
        status.insert("storedVersions".into(), json!([stored]));
    }
}

/// A field and a list that say the same: where both are there the field counts, and it is the list's first item. Items
/// of the list are made of the field's value by `item`.
pub(super) fn same_first(object: &mut Value, field: &str, list: &str, item: fn(&Value) -> Value) {
    let Some(map) = object.as_object_mut() else { return };
    let given = map.get(field).filter(|value| value.as_str().is_some_and(|text| !text.is_empty())).cloned();
    let first = map.get(list).and_then(Value::as_array).and_then(|items| items.first()).cloned();
    match (given, first) {
        (Some(given), first) if first.as_ref() != Some(&item(&given)) => {
            map.insert(list.to_owned(), json!([item(&given)]));
        }
        (None, Some(first)) => {
            let value = first.get("ip").cloned().unwrap_or(first);
            if value != "" {
                map.insert(field.to_owned(), value);
            }
        }
        _ => {}
    }
}

/// What devices of a slice say of themselves.
pub(crate) const RESOURCE_POOL_STATUS_REQUEST: &[Rule] = &[("spec/limit", Int(100))];

pub(crate) const RESOURCE_SLICE: &[Rule] =
    &[("spec/devices/*/nodeAllocatableResourceMappings/*/allocationMultiplier", Text("1"))];

//! The columns of storage.k8s.io, resource.k8s.io and storagemigration.k8s.io.

use super::network::show_default;
use super::{
    age, boolean, column, computed, count_at, flag_at, int_at, integer, name, show, string, text_at,
};
use crate::kinds::tree::{int, list, some, text};
use crate::registry::Column;
use alcove_object::{Value, condition, meta};

pub(crate) fn csi_node() -> Vec<Column> {
    vec![name(), integer("Drivers", "Number of drivers on the node.", count_at!("/spec/drivers")), age()]
}

pub(crate) fn csi_driver() -> Vec<Column> {
    vec![
        name(),
        boolean("AttachRequired", "Whether volumes are attached before they are mounted.", |driver, _| {
            some(driver, "/spec/attachRequired").cloned().unwrap_or(Value::Bool(true))
        }),
        boolean("PodInfoOnMount", "Whether the driver is told of the pod.", flag_at!("/spec/podInfoOnMount")),
        boolean(
            "StorageCapacity",
            "Whether capacity counts in scheduling.",
            flag_at!("/spec/storageCapacity"),
        ),
        string("TokenRequests", "Audiences of the tokens that it gets.", |driver, _| {
            audiences(driver).into()
        }),
        boolean(
            "RequiresRepublish",
            "Whether it is called again and again.",
            flag_at!("/spec/requiresRepublish"),
        ),
        string("Modes", "What kinds of volumes it serves.", |driver, _| {
            let modes: Vec<&str> =
                list(driver, "/spec/volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
            let modes = modes.join(",");
            if modes.is_empty() { "<none>".into() } else { modes.into() }
        }),
        age(),
    ]
}

fn audiences(driver: &Value) -> String {
    if some(driver, "/spec/tokenRequests").is_none() {
        return "<unset>".into();
    }
    list(driver, "/spec/tokenRequests").iter().map(|t| text(t, "/audience")).collect::<Vec<_>>().join(",")
}

pub(crate) fn storage_class() -> Vec<Column> {
    const DEFAULT: &[&str] =
        &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let name = column(
        "Name",
        "string",
        "Name of the object.",
        computed(|class, _| show_default(class, DEFAULT).into()),
    );
    vec![
        Column { format: "name", ..name },
        string("Provisioner", "Who makes the volumes.", text_at!("/provisioner")),
        string(
            "ReclaimPolicy",
            "What becomes of a volume without a claim.",
            text_at!("/reclaimPolicy" unless missing "Delete"),
        ),
        string(
            "VolumeBindingMode",
            "When claims are bound.",
            text_at!("/volumeBindingMode" unless missing "Immediate"),
        ),
        string("AllowVolumeExpansion", "Whether claims may grow.", flag_at!("/allowVolumeExpansion")),
        age(),
    ]
}

pub(crate) fn volume_attributes_class() -> Vec<Column> {
    vec![
        name(),
        string("DriverName", "The driver that knows the attributes.", text_at!("/driverName")),
        age(),
    ]
}

pub(crate) fn volume_attachment() -> Vec<Column> {
    vec![
        name(),
        Column { format: "name", ..string("Attacher", "Who attaches.", text_at!("/spec/attacher")) },
        string("PV", "The volume.", text_at!("/spec/source/persistentVolumeName")),
        string("Node", "The node.", text_at!("/spec/nodeName")),
        boolean("Attached", "Whether it is attached.", flag_at!("/status/attached")),
        age(),
    ]
}

pub(crate) fn device_class() -> Vec<Column> {
    vec![name(), age()]
}

pub(crate) fn device_taint_rule() -> Vec<Column> {
    vec![
        name(),
        string("Key", "Key of the taint.", text_at!("/spec/taint/key")),
        string("Value", "Value of the taint.", text_at!("/spec/taint/value")),
        string("Effect", "Effect of the taint.", text_at!("/spec/taint/effect")),
        string("TimeAdded", "Time since it holds.", |rule, now| match some(rule, "/spec/taint/timeAdded") {
            Some(_) => show::since(rule, "/spec/taint/timeAdded", now).into(),
            None => "".into(),
        }),
        age(),
    ]
}

pub(crate) fn resource_claim() -> Vec<Column> {
    vec![
        name(),
        string("State", "Pending, allocated, reserved.", |claim, _| claim_state(claim).into()),
        age(),
    ]
}

fn claim_state(claim: &Value) -> String {
    let is_allocated = some(claim, "/status/allocation").is_some();
    let is_reserved = is_allocated && !list(claim, "/status/reservedFor").is_empty();
    let is_deleted = meta::is_deleting(claim);
    let states = [
        ("deleted", is_deleted),
        ("pending", !is_allocated && !is_deleted),
        ("allocated", is_allocated),
        ("reserved", is_reserved),
    ];
    states.iter().filter(|(_, holds)| *holds).map(|(state, _)| *state).collect::<Vec<_>>().join(",")
}

pub(crate) fn resource_claim_template() -> Vec<Column> {
    vec![name(), age()]
}

pub(crate) fn resource_pool_status_request() -> Vec<Column> {
    fn devices(request: &Value, field: &str) -> Value {
        let pools =
            counted_pools(request).map(|pools| pools.iter().map(|pool| int(pool, field)).sum::<i64>());
        pools.map_or_else(|| "-".into(), |sum| sum.to_string().into())
    }
    vec![
        name(),
        string("Driver", "The driver whose pools are asked for.", text_at!("/spec/driver")),
        string("Total", "Devices of all pools.", |request, _| devices(request, "/totalDevices")),
        string("Available", "Devices that are free.", |request, _| devices(request, "/availableDevices")),
        string("Allocated", "Devices that are taken.", |request, _| devices(request, "/allocatedDevices")),
        string("Unavailable", "Devices that cannot be had.", |request, _| {
            devices(request, "/unavailableDevices")
        }),
        string("Errors", "Pools that are not valid.", |request, _| {
            let is_wrong = |pool: &&Value| some(pool, "/validationError").is_some();
            let wrong = counted_pools(request).map(|pools| pools.iter().filter(is_wrong).count());
            wrong.map_or_else(|| "-".into(), |count| count.to_string().into())
        }),
        integer("Pools", "Pools that match.", int_at!("/status/poolCount")),
        string("Status", "How far the answer is.", |request, _| pools_state(request).into()),
        string("Completed", "Time since it was answered.", |request, now| {
            match condition::find(request, "Complete").filter(|c| text(c, "/status") == "True") {
                Some(condition) => show::since(condition, "/lastTransitionTime", now).into(),
                None => "<none>".into(),
            }
        }),
    ]
}

/// The pools of a request, unless it failed or nobody has answered.
fn counted_pools(request: &Value) -> Option<&[Value]> {
    some(request, "/status")?;
    (pools_state(request) != "Failed").then(|| list(request, "/status/pools"))
}

fn pools_state(request: &Value) -> String {
    let holding = list(request, "/status/conditions").iter().filter(|c| text(c, "/status") == "True");
    let mut states = holding.map(|c| text(c, "/type")).filter(|kind| matches!(*kind, "Complete" | "Failed"));
    let (count, told) = (int(request, "/status/poolCount"), list(request, "/status/pools").len());
    match states.next() {
        Some("Complete") if usize::try_from(count).is_ok_and(|count| count > told) => {
            format!("Complete ({told}/{count} pools)")
        }
        state => state.unwrap_or("Pending").to_owned(),
    }
}

pub(crate) fn resource_slice() -> Vec<Column> {
    vec![
        name(),
        string("Node", "The node that has the devices.", text_at!("/spec/nodeName")),
        string("Driver", "The driver that offers them.", text_at!("/spec/driver")),
        string("Pool", "The pool that they belong to.", text_at!("/spec/pool/name")),
        age(),
    ]
}

pub(crate) fn storage_version_migration() -> Vec<Column> {
    vec![
        Column { format: "", ..name() },
        string("Resource", "What is migrated.", |migration, _| {
            match (text(migration, "/spec/resource/resource"), text(migration, "/spec/resource/group")) {
                (resource, "") => resource.into(),
                (resource, group) => format!("{resource}.{group}").into(),
            }
        }),
        string("Status", "State of the migration.", |migration, _| {
            let holding =
                list(migration, "/status/conditions").iter().filter(|c| text(c, "/status") == "True");
            let mut state = holding
                .map(|c| text(c, "/type"))
                .filter(|t| matches!(*t, "Running" | "Failed" | "Succeeded"));
            state.next_back().unwrap_or("Unknown").into()
        }),
    ]
}

//! The columns of apps/v1 and of replication controllers.

use super::{age, int_at, integer, name, reading, show, string, wide};
use crate::kinds::tree::{int, text};
use crate::registry::Column;
use alcove_object::{Value, meta};

/// What the columns of workloads look at.
const PATHS: &[&str] = &[
    "spec/replicas",
    "spec/selector",
    "spec/template/spec/containers/*/image",
    "spec/template/spec/containers/*/name",
    "spec/template/spec/nodeSelector",
    "status",
];

/// Names and images of the containers in the template at `/spec/template`.
fn template() -> [Column; 2] {
    [
        wide(string("Containers", "Names of the template's containers.", |object, _| {
            show::containers(object.pointer("/spec/template/spec"), "name").into()
        })),
        wide(string("Images", "Images of the template's containers.", |object, _| {
            show::containers(object.pointer("/spec/template/spec"), "image").into()
        })),
    ]
}

/// The selector, `<none>` when it asks for nothing.
fn selector() -> Column {
    wide(string("Selector", "Which pods belong to the object.", |object, _| {
        show::selector_or_none(object.pointer("/spec/selector")).into()
    }))
}

fn replicas() -> [Column; 4] {
    [
        name(),
        integer("Desired", "Number of pods asked for.", int_at!("/spec/replicas")),
        integer("Current", "Number of pods there are.", int_at!("/status/replicas")),
        integer("Ready", "Number of pods that are ready.", int_at!("/status/readyReplicas")),
    ]
}

pub(crate) fn replica_set() -> Vec<Column> {
    reading(PATHS, replicas().into_iter().chain([age()]).chain(template()).chain([selector()]).collect())
}

pub(crate) fn replication_controller() -> Vec<Column> {
    let selector = wide(string("Selector", "Which pods belong to the object.", |object, _| {
        show::labels(object.pointer("/spec/selector")).into()
    }));
    reading(PATHS, replicas().into_iter().chain([age()]).chain(template()).chain([selector]).collect())
}

pub(crate) fn deployment() -> Vec<Column> {
    let selector = wide(string("Selector", "Which pods belong to the object.", |object, _| {
        show::selector(object.pointer("/spec/selector")).into()
    }));
    let numbers = [
        name(),
        string("Ready", "Pods that are ready, of those asked for.", |object, _| ready(object).into()),
        string("Up-to-date", "Pods of the newest template.", int_at!("/status/updatedReplicas")),
        string("Available", "Pods that are ready for long enough.", int_at!("/status/availableReplicas")),
        age(),
    ];
    reading(PATHS, numbers.into_iter().chain(template()).chain([selector]).collect())
}

pub(crate) fn stateful_set() -> Vec<Column> {
    let ready = string("Ready", "Pods that are ready, of those asked for.", |object, _| ready(object).into());
    reading(PATHS, [name(), ready, age()].into_iter().chain(template()).collect())
}

fn ready(object: &Value) -> String {
    format!("{}/{}", int(object, "/status/readyReplicas"), int(object, "/spec/replicas"))
}

pub(crate) fn daemon_set() -> Vec<Column> {
    let numbers = [
        name(),
        integer("Desired", "Nodes that should run a pod.", int_at!("/status/desiredNumberScheduled")),
        integer(
            "Current",
            "Nodes that run one of those they should.",
            int_at!("/status/currentNumberScheduled"),
        ),
        integer("Ready", "Nodes whose pod is ready.", int_at!("/status/numberReady")),
        integer(
            "Up-to-date",
            "Nodes whose pod is of the newest template.",
            int_at!("/status/updatedNumberScheduled"),
        ),
        integer("Available", "Nodes whose pod is ready for long enough.", int_at!("/status/numberAvailable")),
        string("Node Selector", "Labels that a node must have.", |object, _| {
            show::labels(object.pointer("/spec/template/spec/nodeSelector")).into()
        }),
        age(),
    ];
    reading(PATHS, numbers.into_iter().chain(template()).chain([selector()]).collect())
}

pub(crate) fn controller_revision() -> Vec<Column> {
    vec![
        name(),
        string("Controller", "The object whose past this is.", |object, _| {
            match meta::controller_of(object) {
                Some(owner) => owner_name(owner).into(),
                None => "<none>".into(),
            }
        }),
        string("Revision", "Number of the revision.", int_at!("/revision")),
        age(),
    ]
}

/// An owner as `kind.group/name`.
fn owner_name(owner: &Value) -> String {
    let (group, _) = alcove_object::gvk::split_api_version(text(owner, "/apiVersion"));
    let kind = text(owner, "/kind").to_lowercase();
    let name = text(owner, "/name");
    if kind.is_empty() && group.is_empty() {
        return name.to_owned();
    }
    if group.is_empty() { format!("{kind}/{name}") } else { format!("{kind}.{group}/{name}") }
}

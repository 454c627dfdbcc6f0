//! The core group, `v1`.

use super::columns::{core as columns, created, none, pods};
use super::row::{Row, row};
use super::select;
use super::strategies::{cluster, config, events, pod, quota, ruled, service};
use super::warnings;
use crate::registry::{Deletion, NameRule, SubresourceKind, VerbSet};
use crate::request::Verb::{Create, Delete, Get, List, Patch, Update, Watch};
use alcove_object::Gvk;

pub(super) fn rows() -> Vec<Row> {
    vec![
        row("v1", "bindings", "Binding", none).verbs(&[Create]),
        row("v1", "componentstatuses", "ComponentStatus", columns::component_status)
            .cluster()
            .verbs(&[Get, List])
            .short(&["cs"]),
        row("v1", "configmaps", "ConfigMap", columns::config_map).strategy(&config::ConfigMap).short(&["cm"]),
        row("v1", "endpoints", "Endpoints", columns::endpoints)
            .strategy(&ruled::ENDPOINTS)
            .warns(warnings::endpoints)
            .short(&["ep"])
            .creates_on_update(),
        event("v1").selectable(select::EVENT),
        row("v1", "limitranges", "LimitRange", created)
            .strategy(&ruled::LIMIT_RANGE)
            .short(&["limits"])
            .creates_on_update(),
        namespaces(),
        row("v1", "nodes", "Node", columns::node)
            .strategy(&cluster::Node)
            .warns(warnings::node)
            .cluster()
            .short(&["no"])
            .connects(&[("proxy", "NodeProxyOptions")])
            .status()
            .selectable(select::NODE),
        row("v1", "persistentvolumeclaims", "PersistentVolumeClaim", columns::persistent_volume_claim)
            .strategy(&ruled::PERSISTENT_VOLUME_CLAIM)
            .warns(warnings::claim)
            .short(&["pvc"])
            .status()
            .returns_deleted(),
        row("v1", "persistentvolumes", "PersistentVolume", columns::persistent_volume)
            .strategy(&ruled::PERSISTENT_VOLUME)
            .warns(warnings::volume)
            .cluster()
            .short(&["pv"])
            .status()
            .returns_deleted(),
        pods(),
        row("v1", "podtemplates", "PodTemplate", columns::pod_template)
            .strategy(&ruled::POD_TEMPLATE)
            .warns(warnings::pod_template)
            .counts_all()
            .returns_deleted(),
        row(
            "v1",
            "replicationcontrollers",
            "ReplicationController",
            super::columns::apps::replication_controller,
        )
        .strategy(&ruled::REPLICATION_CONTROLLER)
        .warns(warnings::maker)
        .short(&["rc"])
        .all()
        .scale()
        .status()
        .counts_spec()
        .deletion(Deletion::Orphan)
        .selectable(select::REPLICATION_CONTROLLER),
        row("v1", "resourcequotas", "ResourceQuota", columns::resource_quota)
            .strategy(&quota::ResourceQuota)
            .short(&["quota"])
            .status()
            .returns_deleted(),
        row("v1", "secrets", "Secret", columns::secret)
            .strategy(&config::Secret)
            .warns(warnings::secret)
            .selectable(select::SECRET),
        row("v1", "serviceaccounts", "ServiceAccount", columns::service_account)
            .strategy(&config::ServiceAccount)
            .warns(warnings::service_account)
            .short(&["sa"])
            .posts("token", Gvk::new("authentication.k8s.io", "v1", "TokenRequest"), SubresourceKind::Token)
            .returns_deleted(),
        row("v1", "services", "Service", columns::service)
            .strategy(&service::Service)
            .short(&["svc"])
            .all()
            .connects(&[("proxy", "ServiceProxyOptions")])
            .status()
            .names(NameRule::Label)
            .creates_on_update()
            .returns_deleted()
            .selectable(select::SERVICE),
    ]
}

/// Events of both groups: one table, kept in the core form.
pub(super) fn event(api: &'static str) -> Row {
    row(api, "events", "Event", columns::event)
        .strategy(&events::Event)
        .short(&["ev"])
        .creates_on_update()
        .deletion(Deletion::Unsupported)
        .stored_as("", "v1")
}

fn namespaces() -> Row {
    row("v1", "namespaces", "Namespace", columns::namespace)
        .strategy(&cluster::Namespace)
        .cluster()
        .verbs(&[Create, Delete, Get, List, Patch, Update, Watch])
        .short(&["ns"])
        .own("finalize", VerbSet::of(&[Update]), SubresourceKind::Part)
        .status()
        .names(NameRule::Label)
        .deletion(Deletion::Namespace)
        .returns_deleted()
        .selectable(select::NAMESPACE)
}

fn pods() -> Row {
    row("v1", "pods", "Pod", pods::pod)
        .strategy(&pod::Pod)
        .warns(warnings::pod)
        .short(&["po"])
        .all()
        .connects(&[("attach", "PodAttachOptions")])
        .posts("binding", Gvk::new("", "v1", "Binding"), SubresourceKind::Binding)
        .part("ephemeralcontainers")
        .posts("eviction", Gvk::new("policy", "v1", "Eviction"), SubresourceKind::Eviction)
        .connects(&[("exec", "PodExecOptions")])
        .own("log", VerbSet::of(&[Get]), SubresourceKind::Connect)
        .connects(&[("portforward", "PodPortForwardOptions"), ("proxy", "PodProxyOptions")])
        .part("resize")
        .status_but(&["metadata.deletionTimestamp", "metadata.ownerReferences"])
        .counts_spec()
        .deletion(Deletion::Graceful)
        .returns_deleted()
        .selectable(select::POD)
}

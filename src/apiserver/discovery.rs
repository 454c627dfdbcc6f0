//! Discovery: which groups, versions and resources are served, in the old form (one document per group and version)
//! and in the aggregated one (k8s.io/apiserver/pkg/endpoints/discovery).
//!
//! Documents are rendered once per registry and then served as bytes. The registry's order is the order of discovery,
//! which matters: clients resolve a bare resource name to the first group that has it.

use crate::aggregation::{Remote, document, local};
use crate::custom::by_priority;
use crate::registry::{Registry, Resource, Subresource, SubresourceKind, VerbSet};
use crate::request::Verb;
use alcove_object::Gvk;
use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Verbs in the order in which discovery lists them.
const VERBS: [Verb; 8] = [
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];

/// The documents of one registry.
pub struct Documents {
    registry: Arc<Registry>,
    /// Old documents by path without slashes at the end: `/apis`, `/apis/apps`, `/apis/apps/v1`, `/api`, `/api/v1`.
    legacy: HashMap<String, Bytes>,
    /// Aggregated documents of `/api` and `/apis`.
    aggregated: [Aggregated; 2],
}

/// An aggregated document.
#[derive(Clone)]
pub struct Aggregated {
    /// The JSON.
    pub json: Bytes,
    /// Its ETag, quotes included.
    pub etag: String,
}

/// The newest documents, made again when the registry has changed.
#[derive(Default)]
pub struct Discovery {
    newest: ArcSwapOption<Documents>,
}

impl Discovery {
    /// The documents of this registry. `address` is what `/api` tells clients to connect to.
    pub fn documents(&self, registry: Arc<Registry>, address: &str) -> Arc<Documents> {
        if let Some(newest) =
            self.newest.load_full().filter(|newest| Arc::ptr_eq(&newest.registry, &registry))
        {
            return newest;
        }
        let made = Arc::new(Documents::new(registry, address));
        self.newest.store(Some(made.clone()));
        made
    }
}

/// A group as discovery tells it.
struct Group<'a> {
    name: &'a str,
    priority: i64,
    /// Preferred first.
    versions: Vec<Version<'a>>,
}

struct Version<'a> {
    name: &'a str,
    priority: i64,
    served: Served<'a>,
}

/// Who serves a version.
enum Served<'a> {
    /// This server: these, in registry order.
    Here(Vec<&'a Resource>),
    /// Another one.
    There(&'a Remote),
}

fn groups(registry: &Registry) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for resource in registry.resources() {
        let gvr = &resource.gvr;
        let (group_priority, priority) =
            local::built_in(&gvr.group, &gvr.version).unwrap_or(local::CUSTOM_PRIORITIES);
        let group = match groups.iter().position(|group| group.name == gvr.group) {
            Some(at) => at,
            None => {
                groups.push(Group { name: &gvr.group, priority: group_priority, versions: Vec::new() });
                groups.len() - 1
            }
        };
        let versions = &mut groups[group].versions;
        match versions.iter_mut().find(|version| version.name == gvr.version) {
            Some(Version { served: Served::Here(resources), .. }) => resources.push(resource),
            _ => {
                versions.push(Version { name: &gvr.version, priority, served: Served::Here(vec![resource]) })
            }
        }
    }
    registry.remotes().iter().for_each(|remote| insert(&mut groups, remote));
    groups
}

/// Puts what another server serves where its priorities say.
fn insert<'a>(groups: &mut Vec<Group<'a>>, remote: &'a Remote) {
    let at = groups.iter().position(|group| group.name == remote.group).unwrap_or_else(|| {
        let is_behind = |group: &Group<'_>| group.priority < remote.group_priority;
        let at = groups.iter().position(is_behind).unwrap_or(groups.len());
        groups
            .insert(at, Group { name: &remote.group, priority: remote.group_priority, versions: Vec::new() });
        at
    });
    let versions = &mut groups[at].versions;
    versions.retain(|version| version.name != remote.version);
    let version =
        Version { name: &remote.version, priority: remote.version_priority, served: Served::There(remote) };
    versions.push(version);
    versions.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| by_priority(a.name, b.name)));
}

impl Documents {
    fn new(registry: Arc<Registry>, address: &str) -> Documents {
        let groups = groups(&registry);
        let (core, named): (Vec<Group<'_>>, Vec<Group<'_>>) =
            groups.into_iter().partition(|group| group.name.is_empty());
        let mut legacy = HashMap::new();
        let api = json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        });
        legacy.insert("/api".to_owned(), bytes(&api));
        let list: Vec<Value> = named.iter().map(group_value).collect();
        legacy.insert(
            "/apis".to_owned(),
            bytes(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list})),
        );
        for group in core.iter().chain(&named) {
            let name = group.name;
            let prefix = if name.is_empty() { "/api".to_owned() } else { format!("/apis/{name}") };
            for version in &group.versions {
                // What another server serves, it tells itself.
                if let Served::Here(resources) = &version.served {
                    let list = resource_list(name, version.name, resources);
                    legacy.insert(format!("{prefix}/{}", version.name), bytes(&list));
                }
            }
            if !name.is_empty() {
                let mut group = group_value(group);
                group["kind"] = "APIGroup".into();
                group["apiVersion"] = "v1".into();
                legacy.insert(prefix, bytes(&group));
            }
        }
        let aggregated = [aggregated(&core), aggregated(&named)];
        Documents { registry, legacy, aggregated }
    }

    /// The old document of a path, slash at the end or not.
    pub fn legacy(&self, path: &str) -> Option<Bytes> {
        self.legacy.get(path.trim_end_matches('/')).cloned()
    }

    /// The aggregated document of `/api` or `/apis`.
    pub fn aggregated(&self, path: &str) -> Option<&Aggregated> {
        match path.trim_end_matches('/') {
            "/api" => Some(&self.aggregated[0]),
            "/apis" => Some(&self.aggregated[1]),
            _ => None,
        }
    }

    /// The paths of all old documents, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.legacy.keys().map(String::as_str).collect();
        paths.sort_unstable();
        paths
    }
}

fn bytes(value: &Value) -> Bytes {
    let mut text = value.to_string().into_bytes();
    text.push(b'\n');
    text.into()
}

fn group_value(group: &Group<'_>) -> Value {
    let name = group.name;
    let version = |v: &str| json!({"groupVersion": format!("{name}/{v}"), "version": v});
    let all: Vec<Value> = group.versions.iter().map(|served| version(served.name)).collect();
    json!({"name": name, "preferredVersion": all.first(), "versions": all})
}

/// The verbs of a set as discovery lists them.
pub fn verb_names(set: VerbSet) -> Vec<&'static str> {
    VERBS.iter().filter(|verb| set.has(**verb)).map(|verb| verb.as_str()).collect()
}

/// The verbs of a resource as discovery lists them; those of custom resources stand in an order of their own
/// (k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_discovery_controller.go).
pub fn resource_verbs(resource: &Resource) -> Vec<&'static str> {
    match resource.custom {
        Some(_) => {
            vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
        }
        None => verb_names(resource.verbs),
    }
}

/// The verbs of a subresource. Connections are listed by what their methods count as.
pub fn subresource_verbs(sub: &Subresource) -> Vec<&'static str> {
    match (sub.kind, sub.name) {
        (SubresourceKind::Connect, "proxy") => vec!["create", "delete", "get", "patch", "update"],
        (SubresourceKind::Connect, _) if sub.verbs.has(Verb::Connect) => vec!["create", "get"],
        _ => verb_names(sub.verbs),
    }
}

fn resource_list(group: &str, version: &str, resources: &[&Resource]) -> Value {
    let group_version = alcove_object::gvk::join_api_version(group, version);
    let mut list: Vec<Value> = Vec::new();
    for resource in resources {
        list.push(legacy_resource(resource));
        list.extend(resource.subresources.iter().map(|sub| legacy_subresource(resource, sub)));
    }
    let mut out = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": list});
    if !group.is_empty() {
        out["apiVersion"] = "v1".into();
    }
    out
}

fn legacy_resource(resource: &Resource) -> Value {
    let mut out = json!({
        "name": resource.gvr.resource,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.gvk.kind,
        "verbs": resource_verbs(resource),
    });
    insert_names(&mut out, resource);
    insert_kind_if_other(&mut out, resource, &resource.gvk);
    // What is stored can be watched, and nothing else can: not reviews, nor component statuses.
    if resource.verbs.has(Verb::Watch) {
        out["storageVersionHash"] = storage_hash(&resource.stored).into();
    }
    out
}

fn legacy_subresource(resource: &Resource, sub: &Subresource) -> Value {
    let mut out = json!({
        "name": format!("{}/{}", resource.gvr.resource, sub.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.gvk.kind,
        "verbs": subresource_verbs(sub),
    });
    insert_kind_if_other(&mut out, resource, &sub.gvk);
    out
}

/// Group and version stand only where they differ from the list's.
fn insert_kind_if_other(out: &mut Value, resource: &Resource, gvk: &Gvk) {
    if gvk.group != resource.gvr.group || gvk.version != resource.gvr.version {
        out["group"] = gvk.group.clone().into();
        out["version"] = gvk.version.clone().into();
    }
}

fn insert_names(out: &mut Value, resource: &Resource) {
    for (key, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !names.is_empty() {
            out[key] = names.clone().into();
        }
    }
}

/// Tells clients when the stored version changes (k8s.io/apiserver/pkg/endpoints/discovery/storageversionhash.go).
fn storage_hash(stored: &Gvk) -> String {
    let name = format!("{}/{}/{}", stored.group, stored.version, stored.kind);
    let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    BASE64_STANDARD.encode(&digest.as_ref()[..8])
}

fn aggregated(groups: &[Group<'_>]) -> Aggregated {
    let items: Vec<Value> = groups.iter().map(aggregated_group).collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let json = bytes(&list);
    let digest = ring::digest::digest(&ring::digest::SHA512, &json);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    Aggregated { json, etag: format!("\"{hex}\"") }
}

fn aggregated_group(group: &Group<'_>) -> Value {
    let mut metadata = Map::new();
    if !group.name.is_empty() {
        metadata.insert("name".into(), group.name.into());
    }
    let versions = group.versions.iter().map(|version| match &version.served {
        Served::Here(resources) => {
            let resources: Vec<Value> =
                resources.iter().map(|resource| aggregated_resource(resource)).collect();
            json!({"version": version.name, "resources": resources, "freshness": "Current"})
        }
        Served::There(remote) => {
            document::aggregated_version(version.name, &remote.known.resources, remote.known.is_available)
        }
    });
    json!({"metadata": metadata, "versions": versions.collect::<Vec<_>>()})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let mut out = json!({
        "resource": resource.gvr.resource,
        "responseKind": response_kind(resource, &resource.gvk),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource_verbs(resource),
    });
    insert_names(&mut out, resource);
    if !resource.subresources.is_empty() {
        let subresource = |sub: &Subresource| {
            json!({
                "subresource": sub.name,
                "responseKind": response_kind(resource, &sub.gvk),
                "verbs": subresource_verbs(sub),
            })
        };
        out["subresources"] = resource.subresources.iter().map(subresource).collect();
    }
    out
}

/// Empty group and version mean those of the enclosing version; custom kinds name them as upstream does. Never null: old
/// clients would crash.
fn response_kind(resource: &Resource, gvk: &Gvk) -> Value {
    let is_same =
        resource.custom.is_none() && gvk.group == resource.gvr.group && gvk.version == resource.gvr.version;
    let (group, version) = if is_same { ("", "") } else { (gvk.group.as_str(), gvk.version.as_str()) };
    json!({"group": group, "version": version, "kind": gvk.kind})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_hashes_equal_upstreams() {
        // Values that kube-apiserver serves.
        assert_eq!(storage_hash(&Gvk::new("", "v1", "Pod")), "xPOwRZ+Yhw8=");
        assert_eq!(storage_hash(&Gvk::new("apps", "v1", "Deployment")), "8aSe+NMegvE=");
    }
}

//! All served resources, to be looked up by path, by kind, and walked in the order of discovery.

use super::{FieldValue, Resource, Selectable};
use crate::aggregation::Remote;
use crate::request::RequestInfo;
use alcove_object::{Gvk, Gvr};
use std::collections::HashMap;
use std::sync::Arc;

/// The served resources. Never changes: a new one takes its place when custom resources come or go.
#[derive(Default)]
pub struct Registry {
    resources: Vec<Arc<Resource>>,
    /// Positions in `resources`, sorted by group, version, plural.
    by_resource: Vec<usize>,
    /// Positions in `resources`, sorted by kind, version, group.
    by_kind: Vec<usize>,
    /// The selectable fields of each table, sorted by index label: of all resources that share it.
    selectable: HashMap<Arc<str>, Vec<Selectable>>,
    /// What other servers serve.
    remotes: Vec<Arc<Remote>>,
    /// Built-in resources that are switched off, which the server's own parts work with all the same.
    unserved: Vec<Arc<Resource>>,
}

fn resource_key(gvr: &Gvr) -> (&str, &str, &str) {
    (&gvr.group, &gvr.version, &gvr.resource)
}

impl Registry {
    /// A registry of these resources; their order is the order of discovery. Of two with the same path the first wins.
    pub fn new(resources: Vec<Arc<Resource>>) -> Registry {
        let (resources, unserved): (Vec<_>, Vec<_>) =
            resources.into_iter().partition(|resource| resource.is_served);
        let mut by_resource: Vec<usize> = (0..resources.len()).collect();
        by_resource.sort_by_key(|&i| resource_key(&resources[i].gvr));
        by_resource.dedup_by(|b, a| resources[*a].gvr == resources[*b].gvr);
        let mut by_kind: Vec<usize> = (0..resources.len()).collect();
        by_kind.sort_by_key(|&i| &resources[i].gvk);
        by_kind.dedup_by(|b, a| resources[*a].gvk == resources[*b].gvk);
        let selectable = selectable_by_table(resources.iter().chain(&unserved));
        Registry { resources, by_resource, by_kind, selectable, remotes: Vec::new(), unserved }
    }

    /// The same with other servers beside it.
    pub fn with_remotes(self, remotes: Vec<Arc<Remote>>) -> Registry {
        Registry { remotes, ..self }
    }

    /// What other servers serve.
    pub fn remotes(&self) -> &[Arc<Remote>] {
        &self.remotes
    }

    /// The other server that answers a request: for a group-version, its discovery and all that is in it.
    pub fn remote(&self, info: &RequestInfo) -> Option<&Arc<Remote>> {
        if self.remotes.is_empty() {
            return None;
        }
        if info.is_resource {
            return self.remote_of(&info.group, &info.version);
        }
        let (group, version) = info.path.strip_prefix("/apis/")?.trim_end_matches('/').split_once('/')?;
        self.remote_of(group, version)
    }

    /// The other server that serves a group-version.
    pub fn remote_of(&self, group: &str, version: &str) -> Option<&Arc<Remote>> {
        self.remotes.iter().find(|remote| remote.group == group && remote.version == version)
    }

    /// The resources that are switched off and still there for the server's own parts.
    pub fn unserved(&self) -> &[Arc<Resource>] {
        &self.unserved
    }

    /// All resources in the order of discovery.
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// The resource of a path that clients reach.
    pub fn resource(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<Resource>> {
        let asked = (group, version, resource);
        let found = self.by_resource.binary_search_by(|&i| resource_key(&self.resources[i].gvr).cmp(&asked));
        found.ok().map(|at| &self.resources[self.by_resource[at]])
    }

    /// A resource by its names, for the server's own parts: also one that is switched off.
    pub fn gvr(&self, gvr: &Gvr) -> Option<&Arc<Resource>> {
        let unserved = || self.unserved.iter().find(|resource| resource.gvr == *gvr);
        self.resource(&gvr.group, &gvr.version, &gvr.resource).or_else(unserved)
    }

    /// The resource of a kind, for the server's own parts: also one that is switched off.
    pub fn kind(&self, gvk: &Gvk) -> Option<&Arc<Resource>> {
        let found = self.by_kind.binary_search_by(|&i| self.resources[i].gvk.cmp(gvk));
        let unserved = || self.unserved.iter().find(|resource| resource.gvk == *gvk);
        found.ok().map(|at| &self.resources[self.by_kind[at]]).or_else(unserved)
    }

    /// The indexed fields of a resource's table, those of its twins included, sorted by index label.
    pub fn selectable(&self, resource: &Resource) -> &[Selectable] {
        self.selectable.get(&resource.table).map_or(&[], Vec::as_slice)
    }

    /// The first resource in discovery order of a group, whatever its version.
    pub fn in_group(&self, group: &str, resource: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|r| r.gvr.group == group && r.gvr.resource == resource)
    }
}

fn selectable_by_table<'a>(
    resources: impl Iterator<Item = &'a Arc<Resource>>,
) -> HashMap<Arc<str>, Vec<Selectable>> {
    let mut tables: HashMap<Arc<str>, Vec<Selectable>> = HashMap::new();
    for resource in resources {
        let indexed = resource.selectable.iter().filter(|s| matches!(s.value, FieldValue::Indexed(_)));
        tables.entry(resource.table.clone()).or_default().extend(indexed.cloned());
    }
    for fields in tables.values_mut() {
        fields.sort_by_key(|s| s.index);
        fields.dedup_by_key(|s| s.index);
    }
    tables
}

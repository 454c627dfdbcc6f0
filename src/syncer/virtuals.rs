//! What the tenant is shown of things that the host keeps for it: the nodes that carry its pods and the volumes of its
//! claims. Each is there exactly while something of the tenant's uses it.

use crate::engine::Syncer;
use crate::features::State;
use crate::nodes;
use crate::rules::Rule;
use crate::translate::{MIRROR, node_name, volume};
use alcove_apiserver::Event;
use alcove_apiserver::options::ListOptions;
use alcove_controllers::runtime::{Key, Mapper, Source, split};
use alcove_object::{Gvr, Reason, Status, Value, meta};
use std::sync::Arc;

/// Resources of which the tenant is shown some that no rule brings.
const RESOURCES: [&str; 2] = ["nodes", "persistentvolumes"];

/// Whether this shows something of what uses it, so that it changes when that does.
pub fn follows(key: &str) -> bool {
    key.starts_with("persistentvolumes|")
}

fn gvr(resource: &str) -> Gvr {
    Gvr::new("", "v1", resource)
}

impl Syncer {
    /// What the tenant does to them.
    pub fn virtual_sources(self: &Arc<Self>) -> Vec<Source> {
        RESOURCES
            .into_iter()
            .map(|resource| Source::new(gvr(resource), self.virtual_mapper(resource)))
            .collect()
    }

    fn virtual_mapper(self: &Arc<Self>, resource: &'static str) -> Mapper {
        let this = self.clone();
        Box::new(move |event, add| {
            let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
            // A kubelet's or a user's word about a node is no business of ours.
            if follows(&format!("{resource}|")) || !matches!(event, Event::Modified(_)) {
                let key: Key = format!("{resource}|{}", o.key).into();
                this.uses.users(&format!("={key}")).into_iter().for_each(&mut *add);
                add(key);
            }
        })
    }

    /// Asks for all of them, since who used them may have gone while nobody watched.
    pub fn ask_for_virtuals(&self) {
        for resource in RESOURCES {
            let found = self.client.list(&gvr(resource), "", &ListOptions::default());
            for object in found.map(|l| l.items).unwrap_or_default() {
                self.queue.add(format!("{resource}|{}", object.key).into());
            }
        }
    }

    /// One of them is there exactly while it is used.
    pub async fn sync_virtual(&self, key: &str, resource: &str, name: &str) -> Result<(), Status> {
        if self.uses.is_used(key) {
            return match resource {
                "nodes" => self.ensure_node(name).await,
                _ => self.show_volume(key).await,
            };
        }
        let Some(object) = self.client.find(&gvr(resource), "", name)? else { return Ok(()) };
        let object = object.parse();
        if [nodes::VIRTUAL, MIRROR].iter().all(|mark| meta::label(&object, mark).is_none()) {
            return Ok(());
        }
        self.remove_mirror(&gvr(resource), &object).await
    }

    /// The volume of a claim, as the claim says it is.
    async fn show_volume(&self, key: &str) -> Result<(), Status> {
        let claims = self.uses.users(key);
        let Some((_, claim)) = claims.first().and_then(|claim| claim.split_once('|')) else { return Ok(()) };
        let (namespace, name) = split(claim);
        let Some(claim) = self.client.find(&gvr("persistentvolumeclaims"), namespace, name)? else {
            return Ok(());
        };
        let claim = claim.parse();
        let Some(wanted) = volume(&claim).filter(|v| crate::translate::volume_name(&claim) == meta::name(v))
        else {
            return Ok(());
        };
        self.apply_part(&gvr("persistentvolumes"), "", wanted.clone()).await?;
        self.apply_part(&gvr("persistentvolumes"), "status", wanted).await.map(drop)
    }

    /// What the tenant calls a node of the host.
    pub fn node_name(&self, host_name: &str) -> String {
        let name = node_name(&self.tenant, &self.allowed, host_name);
        self.host.note_node(&name, host_name);
        name
    }

    /// Whether a rule says what is shown under this name, rather than that it is used.
    pub fn is_ruled(&self, rule: &'static Rule, name: &str) -> bool {
        match self.features.state(rule.resource) {
            _ if !RESOURCES.contains(&rule.resource) => true,
            State::Starting => true,
            State::On => self.host.name_of(rule, name).is_some(),
            State::Off(_) | State::NotWanted => false,
        }
    }

    /// Makes a virtual node, if it is not there.
    pub async fn ensure_node(&self, name: &str) -> Result<(), Status> {
        let nodes = gvr("nodes");
        if self.client.find(&nodes, "", name)?.is_some() {
            return Ok(());
        }
        let node = nodes::node(name, &self.kubelet_version, self.env.as_ref());
        let made = match self.client.create(&nodes, "", node.clone()).await {
            Err(status) if status.is(Reason::ALREADY_EXISTS) => return Ok(()),
            made => made?,
        };
        let mut made: Value = made.parse();
        made["status"] = node["status"].clone();
        self.client.update_subresource(&nodes, "status", "", made).await.map(drop)
    }
}

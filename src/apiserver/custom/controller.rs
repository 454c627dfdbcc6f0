//! Follows the definitions in the store: serves what they define, writes their status, cleans up after them.

use super::names::Names;
use super::resources::{in_order, resources, signature};
use super::{CLEANUP_FINALIZER, status, text};
use crate::client::{Client, Event, Object};
use crate::options::{DeleteOptions, ListOptions};
use crate::outbound::{ResolveService, StoreServices};
use crate::registry::Resource;
use crate::server::Server;
use crate::user::User;
use alcove_object::{Gvr, Reason, Status, Value, condition, meta, time};
use alcove_schema::builtin;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before definitions that could not be listed or watched are tried again.
const REOPEN_DELAY: Duration = Duration::from_secs(1);
/// How soon instances that hold on to themselves are looked at again; doubles each time.
const CLEANUP_DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest time between two looks.
const CLEANUP_DELAY_MAX: Duration = Duration::from_secs(10);
/// Instances read at once while they are deleted.
const PAGE_OBJECTS: usize = 500;

/// The definitions of a server, and what they serve.
pub struct Definitions {
    server: Server,
    client: Client,
    services: Arc<dyn ResolveService>,
    /// What is served without any definition.
    builtin: Vec<Arc<Resource>>,
    known: BTreeMap<String, Known>,
    /// Definitions that go: when to look again at their instances, and how long to wait after that.
    going: BTreeMap<String, (Instant, Duration)>,
    is_changed: bool,
}

/// What is kept of a definition.
struct Known {
    group: String,
    names: Names,
    is_refused: bool,
    signature: String,
    resources: Vec<Arc<Resource>>,
}

fn definitions() -> Gvr {
    Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

impl Definitions {
    /// Serves what the definitions in the store define. To be called once, before the server answers anybody.
    pub fn load(server: &Server) -> Result<Definitions, Status> {
        let client = server.client(User::component("system:apiserver"), "kube-apiserver");
        let builtin = server.registry().resources().to_vec();
        let mut this = Definitions {
            server: server.clone(),
            client,
            services: Arc::new(StoreServices::new(server.store.clone())),
            builtin,
            known: BTreeMap::new(),
            going: BTreeMap::new(),
            is_changed: false,
        };
        for object in this.client.list(&definitions(), "", &ListOptions::default())?.items {
            // What was written after its definition was written under it.
            this.take_in(&object.parse(), object.revision);
        }
        this.publish();
        Ok(this)
    }

    /// Follows the definitions until it is dropped.
    pub async fn run(mut self) {
        loop {
            if let Err(status) = self.follow().await {
                tracing::warn!(error = %status, "cannot follow custom resource definitions");
                tokio::time::sleep(REOPEN_DELAY).await;
            }
        }
    }

    /// Takes in the state, then events until the watch ends.
    async fn follow(&mut self) -> Result<(), Status> {
        let list = self.client.list(&definitions(), "", &ListOptions::default())?;
        let names: BTreeSet<&str> = list.items.iter().map(Object::name).collect();
        let gone: Vec<String> =
            self.known.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        let resource_version = list.revision.to_string();
        self.take(list.items.into_iter().map(Event::Added).collect(), gone).await;
        let options = ListOptions { resource_version, ..ListOptions::default() };
        let mut watch = self.client.watch(&definitions(), "", &options)?;
        loop {
            let next = self.going.iter().min_by_key(|(_, (due, _))| *due);
            let next = next.map(|(name, (due, _))| (name.clone(), *due));
            let (name, due) = next.unwrap_or_else(|| (String::new(), Instant::now()));
            tokio::select! {
                events = watch.next() => match events {
                    Some(events) => self.take(events?, Vec::new()).await,
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(due), if !name.is_empty() => self.clean_up_or_wait(&name).await,
            }
        }
    }

    /// Takes events in, serves what follows from them, and only then says so.
    async fn take(&mut self, events: Vec<Event>, mut gone: Vec<String>) {
        let mut statuses: BTreeMap<String, Value> = BTreeMap::new();
        for event in events {
            match event {
                Event::Added(object) | Event::Modified(object) => {
                    let definition = object.parse();
                    let since = self.server.store.revision();
                    match self.take_in(&definition, since) {
                        Some(status) => statuses.insert(object.name().to_owned(), status),
                        None => statuses.remove(object.name()),
                    };
                    gone.retain(|name| name != object.name());
                }
                Event::Deleted(object) => gone.push(object.name().to_owned()),
                Event::Bookmark { .. } => {}
            }
        }
        for name in gone {
            statuses.remove(&name);
            statuses.extend(self.forget(&name));
        }
        self.publish();
        for (name, status) in statuses {
            self.write_status(&name, status).await;
        }
    }

    /// Notes a definition as it is now. Gives it with another status if that is to be written.
    fn take_in(&mut self, definition: &Value, since: u64) -> Option<Value> {
        let name = meta::name(definition).to_owned();
        let group = text(definition, "/spec/group").to_owned();
        let is_other = |known: &(&String, &Known)| *known.0 != name && known.1.group == group;
        let others = self.known.iter().filter(is_other).map(|(_, known)| &known.names);
        let current = status::accepted_names(definition);
        let accepted = Names::read(definition, "/spec/names").ask(&current, others);
        let is_refused = accepted.conflict.is_some();
        let is_served = !is_refused || condition::is_true(definition, "Established");
        let signature = format!("{is_served} {}", signature(definition, &accepted.names));
        let known = self.known.get(&name).filter(|known| known.signature == signature);
        let resources = match known {
            Some(known) => known.resources.clone(),
            None if is_served => self.build(definition, &accepted.names, since),
            None => Vec::new(),
        };
        self.is_changed |= known.is_none();
        let names = accepted.names.clone();
        self.known.insert(name.clone(), Known { group, names, is_refused, signature, resources });
        if meta::is_deleting(definition) {
            self.going.entry(name).or_insert_with(|| (Instant::now(), CLEANUP_DELAY_MIN));
            return None;
        }
        let now = time::format(self.server.env.now());
        let settled = status::settled(definition, &accepted, &now);
        (settled != *definition).then_some(settled)
    }

    fn build(&self, definition: &Value, names: &Names, since: u64) -> Vec<Arc<Resource>> {
        let types = builtin::types(self.server.minor);
        resources(definition, names, &types, since, &self.services).unwrap_or_else(|error| {
            let name = meta::name(definition);
            tracing::error!(definition = name, %error, "a stored definition does not compile and is not served");
            Vec::new()
        })
    }

    /// Forgets a definition that is gone. Its names are free: gives the statuses of those that waited for them.
    fn forget(&mut self, name: &str) -> Vec<(String, Value)> {
        self.going.remove(name);
        let Some(gone) = self.known.remove(name) else { return Vec::new() };
        self.is_changed = true;
        let waits = |known: &(&String, &Known)| known.1.is_refused && known.1.group == gone.group;
        let waiting: Vec<String> = self.known.iter().filter(waits).map(|(name, _)| name.clone()).collect();
        let mut statuses = Vec::new();
        for name in waiting {
            if let Ok(object) = self.client.get(&definitions(), "", &name) {
                let status = self.take_in(&object.parse(), self.server.store.revision());
                statuses.extend(status.map(|status| (name, status)));
            }
        }
        statuses
    }

    /// Serves what is known, if that is something else than before.
    fn publish(&mut self) {
        if std::mem::take(&mut self.is_changed) {
            let custom = self.known.values().flat_map(|known| known.resources.iter().cloned()).collect();
            let all = self.builtin.iter().cloned().chain(in_order(custom)).collect();
            self.server.replace_resources(all);
        }
    }

    async fn write_status(&self, name: &str, definition: Value) {
        match self.client.update_subresource(&definitions(), "status", "", definition).await {
            // Changed or gone meanwhile: the event of that comes.
            Err(status) if status.is(Reason::CONFLICT) || status.is(Reason::NOT_FOUND) => {}
            Err(status) => tracing::warn!(definition = name, error = %status, "cannot write status"),
            Ok(_) => {}
        }
    }

    async fn clean_up_or_wait(&mut self, name: &str) {
        let is_done = self.clean_up(name).await.unwrap_or_else(|status| {
            tracing::warn!(definition = name, error = %status, "cannot delete instances");
            false
        });
        if is_done {
            self.going.remove(name);
        } else if let Some((due, delay)) = self.going.get_mut(name) {
            *due = Instant::now() + *delay;
            *delay = (*delay * 2).min(CLEANUP_DELAY_MAX);
        }
    }

    /// Deletes the instances of a definition that goes, and lets it go when none is left. Whether that is done.
    async fn clean_up(&self, name: &str) -> Result<bool, Status> {
        let mut definition = match self.client.get(&definitions(), "", name) {
            Ok(object) => object.parse(),
            Err(status) if status.is(Reason::NOT_FOUND) => return Ok(true),
            Err(status) => return Err(status),
        };
        let others: Vec<String> =
            meta::finalizers(&definition).filter(|f| *f != CLEANUP_FINALIZER).map(str::to_owned).collect();
        if others.len() == meta::finalizers(&definition).count() {
            return Ok(true);
        }
        let resource = self.known.get(name).and_then(|known| known.resources.first().cloned());
        let left = match &resource {
            Some(resource) => self.delete_instances(&resource.gvr).await?,
            None => 0,
        };
        let now = time::format(self.server.env.now());
        let condition = match (left, &resource) {
            (0, None) => ("Terminating", false, "NeverEstablished", "resource was never established"),
            (0, _) => ("Terminating", false, "InstanceDeletionCompleted", "removed all instances"),
            _ => {
                ("Terminating", true, "InstanceDeletionInProgress", "CustomResource deletion is in progress")
            }
        };
        let before = definition.clone();
        status::set_condition(&mut definition, condition, &now);
        if left == 0 {
            meta::set(&mut definition, "finalizers", others);
        }
        if definition != before {
            self.client.update_subresource(&definitions(), "status", "", definition).await?;
        }
        Ok(left == 0)
    }

    /// Deletes all instances; gives how many are still there.
    async fn delete_instances(&self, resource: &Gvr) -> Result<usize, Status> {
        let mut options = ListOptions { limit: PAGE_OBJECTS, ..ListOptions::default() };
        let mut left = 0;
        loop {
            let page = self.client.list(resource, "", &options)?;
            for object in &page.items {
                let (namespace, name) = (object.namespace(), object.name());
                match self.client.delete(resource, namespace, name, &DeleteOptions::default()).await {
                    Ok(still_there) => left += usize::from(still_there.is_some()),
                    Err(status) if status.is(Reason::NOT_FOUND) => {}
                    Err(status) => return Err(status),
                }
            }
            if page.continue_token.is_empty() {
                return Ok(left);
            }
            options.continue_token = page.continue_token;
        }
    }
}

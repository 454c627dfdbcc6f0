//! Watches of resources that come and go: those that the registry serves by now, or that somebody has a use for.

use super::{Listener, Mapper, Queue, feed};
use alcove_apiserver::Client;
use alcove_object::Gvr;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::{AbortHandle, JoinSet};

/// Running watches, one for each table. They end when this is dropped.
pub struct Feeds {
    controller: &'static str,
    client: Client,
    queue: Arc<Queue>,
    running: HashMap<Arc<str>, (Gvr, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Feeds {
    /// None yet. What they find goes to this queue.
    pub fn new(controller: &'static str, client: Client, queue: Arc<Queue>) -> Feeds {
        Feeds { controller, client, queue, running: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Watches exactly these resources, each named with its table; gives those that are watched no longer.
    pub fn set(
        &mut self,
        wanted: HashMap<Arc<str>, Gvr>,
        mapper: impl Fn(&Arc<str>, &Gvr) -> Mapper,
    ) -> Vec<Gvr> {
        let mut gone = Vec::new();
        self.running.retain(|table, (resource, task)| {
            let stays = wanted.get(table) == Some(resource);
            if !stays {
                task.abort();
                gone.push(resource.clone());
            }
            stays
        });
        while self.tasks.try_join_next().is_some() {}
        for (table, resource) in wanted {
            if self.running.contains_key(&table) {
                continue;
            }
            let mapper = mapper(&table, &resource);
            let listener = Listener { controller: self.controller, mapper, queue: self.queue.clone() };
            let feed = feed(self.client.clone(), resource.clone(), vec![listener]);
            self.running.insert(table, (resource, self.tasks.spawn(feed)));
        }
        gone
    }
}

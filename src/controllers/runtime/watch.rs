//! Watches as sources of keys. A source lists and watches one resource for ever: it starts with the current state,
//! goes on after its last revision when a watch ends, and starts anew when history is gone.

use super::{Facts, Key, Queue};
use alcove_apiserver::options::{ListOptions, VersionMatch};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::Gvr;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long to wait before a watch that could not be opened is tried again.
const REOPEN_DELAY: Duration = Duration::from_secs(1);

/// Turns an event into keys, and keeps whatever index the reconciler needs up to date.
pub type Mapper = Box<dyn Fn(&Event, &mut dyn FnMut(Key)) + Send + Sync>;

/// One watched resource.
pub struct Source {
    /// What is watched.
    pub resource: Gvr,
    /// What an event means to the reconciler.
    pub mapper: Mapper,
}

impl Source {
    /// All objects of a resource.
    pub fn new(resource: Gvr, mapper: Mapper) -> Source {
        Source { resource, mapper }
    }
}

/// The key of the object itself.
pub fn by_key() -> Mapper {
    Box::new(|event, add| {
        if let Event::Added(o) | Event::Modified(o) | Event::Deleted(o) = event {
            add(o.key.clone());
        }
    })
}

/// What one reconciler makes of what a watch tells.
pub struct Listener {
    /// The reconciler's name, for logs.
    pub controller: &'static str,
    /// What an event means to it.
    pub mapper: Mapper,
    /// Where its keys go.
    pub queue: Arc<Queue>,
}

/// Watches for ever, tells all listeners of every event, and puts what they find into their queues.
pub fn feed(client: Client, resource: Gvr, listeners: Vec<Listener>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut position = Position::default();
        loop {
            let mut watch = match client.watch(&resource, "", &position.options()) {
                Ok(watch) => watch,
                Err(status) => {
                    let controller = listeners.first().map(|first| first.controller);
                    tracing::warn!(controller, %resource, error = %status, "cannot watch");
                    position.revision = None;
                    tokio::time::sleep(REOPEN_DELAY).await;
                    continue;
                }
            };
            position.seen.clear();
            while let Some(next) = watch.next().await {
                let Ok(events) = next else {
                    position.revision = None;
                    break;
                };
                for event in &events {
                    for told in position.advance(event).iter().chain([event]) {
                        listeners.iter().for_each(|listener| listener.tell(&resource, told));
                    }
                }
                Facts::forget();
            }
        }
    })
}

impl Listener {
    fn tell(&self, resource: &Gvr, event: &Event) {
        let map = || (self.mapper)(event, &mut |key| self.queue.add(key));
        if catch_unwind(AssertUnwindSafe(map)).is_err() {
            tracing::error!(controller = self.controller, %resource, "an event was not understood");
        }
    }
}

/// Watches that several reconcilers share: one for each resource.
#[derive(Default)]
pub struct Shared(BTreeMap<Gvr, Vec<Listener>>);

impl Shared {
    /// Adds one reconciler's sources.
    pub fn add(&mut self, controller: &'static str, queue: &Arc<Queue>, sources: Vec<Source>) {
        for Source { resource, mapper } in sources {
            let listener = Listener { controller, mapper, queue: queue.clone() };
            self.0.entry(resource).or_default().push(listener);
        }
    }

    /// Starts the watches, each in a task of its own.
    pub fn start(self, tasks: &mut JoinSet<()>, client: &Client) {
        for (resource, listeners) in self.0 {
            tasks.spawn(feed(client.clone(), resource, listeners));
        }
    }
}

/// How far a source has come, and which keys it has told of, so that what was deleted unseen is told as deleted.
#[derive(Default)]
struct Position {
    /// Where the next watch goes on; `None`: with the whole state.
    revision: Option<u64>,
    known: HashSet<Key>,
    /// Keys told since the watch began, while the whole state is being told.
    seen: HashSet<Key>,
}

impl Position {
    fn options(&self) -> ListOptions {
        let whole = self.revision.is_none();
        ListOptions {
            resource_version: self.revision.map_or_else(String::new, |r| r.to_string()),
            send_initial_events: whole.then_some(true),
            version_match: whole.then_some(VersionMatch::NotOlderThan),
            bookmarks: true,
            ..ListOptions::default()
        }
    }

    /// Takes an event in; gives the deletions that must be told before it. Those carry an empty object.
    fn advance(&mut self, event: &Event) -> Vec<Event> {
        match event {
            Event::Added(o) | Event::Modified(o) => {
                self.known.insert(o.key.clone());
                match &mut self.revision {
                    Some(revision) => *revision = o.revision,
                    None => drop(self.seen.insert(o.key.clone())),
                }
            }
            Event::Deleted(o) => {
                self.known.remove(&o.key);
                self.seen.remove(&o.key);
                self.revision = self.revision.map(|_| o.revision);
            }
            Event::Bookmark { revision, initial_end } => {
                let complete = *initial_end && self.revision.is_none();
                if complete || self.revision.is_some() {
                    self.revision = Some(*revision);
                }
                if complete {
                    return self.vanished(*revision);
                }
            }
        }
        Vec::new()
    }

    fn vanished(&mut self, revision: u64) -> Vec<Event> {
        let seen = std::mem::take(&mut self.seen);
        let gone: Vec<Key> = self.known.difference(&seen).cloned().collect();
        self.known = seen;
        gone.into_iter()
            .map(|key| Event::Deleted(Object { revision, key, bytes: Bytes::from_static(b"{}") }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(key: &str, revision: u64) -> Event {
        Event::Added(Object { revision, key: key.into(), bytes: Bytes::from_static(b"{}") })
    }

    #[test]
    fn a_new_start_tells_what_was_deleted_unseen() {
        let mut position = Position::default();
        for event in [added("a", 5), added("b", 3), Event::Bookmark { revision: 9, initial_end: true }] {
            assert!(position.advance(&event).is_empty());
        }
        assert_eq!(position.revision, Some(9));
        position.revision = None; // history was gone
        assert!(position.advance(&added("b", 12)).is_empty());
        let told = position.advance(&Event::Bookmark { revision: 20, initial_end: true });
        assert!(matches!(&told[..], [Event::Deleted(o)] if &*o.key == "a"));
    }

    #[test]
    fn a_watch_cut_off_in_its_first_state_starts_anew() {
        let mut position = Position::default();
        position.advance(&added("a", 5));
        assert_eq!(position.revision, None);
        assert_eq!(position.options().send_initial_events, Some(true));
    }
}

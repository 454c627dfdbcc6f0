//! The index as new as the store whenever it is asked.
//!
//! There is no task that follows the store. Whoever asks after something was written first takes in what changed, which
//! costs a look at five tables; so a Service answers from the very moment in which its creation was acknowledged, and
//! an idle cluster does nothing.

use crate::index::{Index, Part};
use alcove_apiserver::options::{ListOptions, VersionMatch};
use alcove_apiserver::{Client, Event, Server, User, Watch};
use alcove_object::{Gvr, Status};
use futures_util::FutureExt;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Follows the kinds that DNS needs.
pub struct Follower {
    server: Server,
    client: Client,
    state: RwLock<State>,
}

/// What was taken in.
#[derive(Default)]
pub struct State {
    /// The store's revision up to which the index is complete.
    pub revision: u64,
    /// What DNS knows.
    pub index: Index,
    watches: [Option<Watch>; PARTS.len()],
}

/// The parts, in the order of their watches.
const PARTS: [Part; 5] = [Part::Services, Part::Slices, Part::Pods, Part::Namespaces, Part::Nodes];

fn resource(part: Part) -> Gvr {
    match part {
        Part::Services => Gvr::new("", "v1", "services"),
        Part::Slices => Gvr::new("discovery.k8s.io", "v1", "endpointslices"),
        Part::Pods => Gvr::new("", "v1", "pods"),
        Part::Namespaces => Gvr::new("", "v1", "namespaces"),
        Part::Nodes => Gvr::new("", "v1", "nodes"),
    }
}

impl Follower {
    /// Follows this server's objects, and takes in what is there.
    pub fn new(server: &Server) -> Result<Follower, Status> {
        let client = server.client(User::component("system:serviceaccount:kube-system:alcove-dns"), "alcove");
        let mut state = State::default();
        state.catch_up(server, &client)?;
        Ok(Follower { server: server.clone(), client, state: RwLock::new(state) })
    }

    /// The state as of now. Must be called within the runtime, and the guard not be held while waiting.
    pub fn state(&self) -> Result<RwLockReadGuard<'_, State>, Status> {
        let state = self.state.read();
        if state.revision >= self.server.store.revision() {
            return Ok(state);
        }
        drop(state);
        let mut state = self.state.write();
        state.catch_up(&self.server, &self.client)?;
        Ok(RwLockWriteGuard::downgrade(state))
    }
}

impl State {
    /// Takes in what was published until now.
    fn catch_up(&mut self, server: &Server, client: &Client) -> Result<(), Status> {
        let revision = server.store.revision();
        for (part, watch) in PARTS.into_iter().zip(&mut self.watches) {
            follow(part, watch, &mut self.index, client)?;
        }
        self.revision = self.revision.max(revision);
        Ok(())
    }
}

/// Takes in what a watch has to tell without waiting. One that lost its place starts anew with the whole state.
fn follow(part: Part, watch: &mut Option<Watch>, index: &mut Index, client: &Client) -> Result<(), Status> {
    if let Some(watch) = watch
        && drain(part, watch, index)
    {
        return Ok(());
    }
    index.clear(part);
    let whole = ListOptions {
        send_initial_events: Some(true),
        version_match: Some(VersionMatch::NotOlderThan),
        timeout_seconds: Some(i64::from(u32::MAX)),
        ..ListOptions::default()
    };
    let mut new = client.watch(&resource(part), "", &whole)?;
    let complete = drain(part, &mut new, index);
    *watch = complete.then_some(new);
    match complete {
        true => Ok(()),
        false => Err(Status::internal(format!("{} cannot be watched", resource(part)))),
    }
}

/// False when the watch ended.
fn drain(part: Part, watch: &mut Watch, index: &mut Index) -> bool {
    // What is there is given at once; a watch that would wait has told everything.
    while let Some(told) = watch.next().now_or_never() {
        let Some(Ok(events)) = told else { return false };
        for event in &events {
            match event {
                Event::Added(object) | Event::Modified(object) => {
                    index.put(part, &object.key, Some(&object.bytes));
                }
                Event::Deleted(object) => index.put(part, &object.key, None),
                Event::Bookmark { .. } => {}
            }
        }
    }
    true
}

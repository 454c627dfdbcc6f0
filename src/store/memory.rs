//! The state that answers every read: tables of shared entries, each with its recent history.
//!
//! One writer changes it, any number of readers look at it through short read locks per table. The writer applies a
//! group table by table and raises `revision` last. A reader that holds a table's lock therefore sees that table
//! exactly as it was at `max(revision, newest change of the table)`, whatever else the writer is in the middle of.

use crate::entry::Entry;
use crate::error::Error;
use crate::history::History;
use crate::store::{Change, ChangeKind, Listing, Range, Usage};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// All tables, and how far they have come.
pub(crate) struct Memory {
    tables: RwLock<HashMap<Arc<str>, Arc<Table>>>,
    revision: AtomicU64,
    /// Revisions below this are compacted in every table.
    floor: AtomicU64,
    closed: AtomicBool,
    /// Told when `revision` rises, and at the end.
    advanced: Notify,
}

/// One table. Tables are made at their first use and stay.
pub(crate) struct Table {
    pub(crate) name: Arc<str>,
    state: RwLock<State>,
    /// Told when the table changes, and at the end.
    pub(crate) changed: Notify,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Arc<str>, Arc<Entry>>,
    /// Bytes of the entries' JSON together.
    bytes: u64,
    history: History,
}

impl Memory {
    pub(crate) fn new(revision: u64, floor: u64) -> Memory {
        Memory {
            tables: RwLock::default(),
            revision: AtomicU64::new(revision),
            floor: AtomicU64::new(floor),
            closed: AtomicBool::new(false),
            advanced: Notify::new(),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.tables.read().get(name).cloned()
    }

    pub(crate) fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.read().values().cloned().collect()
    }

    pub(crate) fn table_or_new(&self, name: &str) -> Arc<Table> {
        if let Some(table) = self.table(name) {
            return table;
        }
        let name: Arc<str> = name.into();
        let fresh =
            || Arc::new(Table { name: name.clone(), state: RwLock::default(), changed: Notify::new() });
        self.tables.write().entry(name.clone()).or_insert_with(fresh).clone()
    }

    /// Raises the published revision. Every change up to it must have been applied.
    pub(crate) fn publish(&self, revision: u64) {
        debug_assert!(revision >= self.revision(), "revisions never fall");
        self.revision.store(revision, Ordering::Release);
        self.advanced.notify_waiters();
    }

    /// Waits until the revision is published. False: the store closed before that.
    pub(crate) async fn reached(&self, revision: u64) -> bool {
        loop {
            let advanced = self.advanced.notified();
            if self.revision() >= revision {
                return true;
            }
            if self.is_closed() {
                return false;
            }
            advanced.await;
        }
    }

    /// Makes revisions below `floor` unknown, in every table. Nobody is woken: a watch that waits has told everything.
    /// The floor rises last: where it stands, nothing below it can be read any more.
    pub(crate) fn compact(&self, floor: u64) {
        for table in self.tables() {
            let forgotten = table.state.write().history.forget(floor);
            drop(forgotten);
        }
        self.floor.fetch_max(floor, Ordering::AcqRel);
    }

    /// Ends all watches once they have told what is there.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.advanced.notify_waiters();
        for table in self.tables() {
            table.changed.notify_waiters();
        }
    }

    pub(crate) fn list(
        &self,
        table: &str,
        range: &Range<'_>,
        matches: &dyn Fn(&Entry) -> bool,
    ) -> Result<Listing, Error> {
        // Before the table is looked up: a table that is not there then had nothing at this revision.
        let published = self.revision();
        match self.table(table) {
            Some(table) => table.list(self, range, matches),
            None => {
                let revision = check(range.at, self.floor(), published)?;
                Ok(Listing { revision, entries: Vec::new(), remaining: 0 })
            }
        }
    }
}

/// Judges an asked revision; none means the newest.
fn check(asked: Option<u64>, oldest: u64, newest: u64) -> Result<u64, Error> {
    match asked {
        Some(asked) if asked > newest => Err(Error::Future { asked, newest }),
        Some(asked) if asked < oldest => Err(Error::Compacted { asked, oldest }),
        Some(asked) => Ok(asked),
        None => Ok(newest),
    }
}

/// What one look at a table's history gives a watch.
pub(crate) enum News {
    /// Changes, at least one.
    Changes(Vec<Arc<Change>>),
    /// None up to this revision.
    NoneUpTo(u64),
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.state.read().entries.get(key).cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.state.read().entries.len()
    }

    /// Applies changes in revision order; keeps at most `history_bytes_max` of history.
    pub(crate) fn apply(&self, changes: Vec<Arc<Change>>, history_bytes_max: usize) {
        let mut state = self.state.write();
        for change in changes {
            let before = change.old().map_or(0, |old| old.json.len() as u64);
            let after = if change.is_delete() { 0 } else { change.entry().json.len() as u64 };
            state.bytes = state.bytes.saturating_add(after).saturating_sub(before);
            match &change.kind {
                ChangeKind::Put { entry, .. } => {
                    state.entries.insert(entry.key.clone(), entry.clone());
                }
                ChangeKind::Delete { old, .. } => {
                    state.entries.remove(&old.key);
                }
            }
            state.history.push(change);
        }
        let forgotten = state.history.trim(history_bytes_max);
        drop(state);
        drop(forgotten);
    }

    /// How much the newest states are.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.state.read();
        Usage { objects: state.entries.len() as u64, bytes: state.bytes }
    }

    /// Puts entries in place that were there before this process. The error is a key that is there twice.
    pub(crate) fn load(&self, entries: Vec<Arc<Entry>>) -> Result<(), String> {
        let mut state = self.state.write();
        let count = entries.len();
        state.bytes = entries.iter().map(|entry| entry.json.len() as u64).sum();
        state.entries = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        if state.entries.len() < count { Err(format!("an object of {}", self.name)) } else { Ok(()) }
    }

    /// Adds a change that was made before this process; the entries show it already.
    pub(crate) fn load_change(&self, change: Arc<Change>, history_bytes_max: usize) {
        let history = &mut self.state.write().history;
        history.push(change);
        history.trim(history_bytes_max);
    }

    /// Whether a watch may start after a revision.
    pub(crate) fn check_start(&self, memory: &Memory, after: u64) -> Result<(), Error> {
        let state = self.state.read();
        let oldest = memory.floor().max(state.history.dropped());
        if after < oldest { Err(Error::Compacted { asked: after, oldest }) } else { Ok(()) }
    }

    /// What a watch that has told everything up to `after` tells next, at most `max` changes.
    pub(crate) fn news(&self, memory: &Memory, after: u64, max: usize) -> Result<News, Error> {
        let state = self.state.read();
        let dropped = state.history.dropped();
        if after < dropped {
            return Err(Error::Compacted { asked: after, oldest: memory.floor().max(dropped) });
        }
        let changes: Vec<_> = state.history.after(after).take(max).cloned().collect();
        // Read under the lock: see the head of this file for why everything up to it has been seen.
        Ok(if changes.is_empty() {
            News::NoneUpTo(after.max(memory.revision()))
        } else {
            News::Changes(changes)
        })
    }

    /// Up to which revision a reader at `after` knows everything.
    pub(crate) fn position(&self, memory: &Memory, after: u64) -> u64 {
        let state = self.state.read();
        if state.history.newest() > after { after } else { after.max(memory.revision()) }
    }

    fn list(
        &self,
        memory: &Memory,
        range: &Range<'_>,
        matches: &dyn Fn(&Entry) -> bool,
    ) -> Result<Listing, Error> {
        let state = self.state.read();
        let newest = memory.revision().max(state.history.newest());
        let oldest = memory.floor().max(state.history.dropped());
        let revision = check(range.at, oldest, newest)?;
        let (entries, remaining) = if state.history.newest() <= revision {
            select(state.range(range), range.limit, matches)
        } else {
            select(state.range_at(range, revision).into_values(), range.limit, matches)
        };
        Ok(Listing { revision, entries, remaining })
    }
}

impl State {
    fn range<'a>(&'a self, range: &Range<'a>) -> impl Iterator<Item = &'a Arc<Entry>> {
        let prefix = range.prefix;
        let start = match range.after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.entries
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, entry)| entry)
    }

    /// The range as it was: what it is now, with the changes since then undone, newest first.
    fn range_at<'a>(&'a self, range: &Range<'a>, revision: u64) -> BTreeMap<&'a str, &'a Arc<Entry>> {
        let in_range =
            |key: &str| key.starts_with(range.prefix) && range.after.is_none_or(|after| key > after);
        let mut entries: BTreeMap<&str, &Arc<Entry>> = self.range(range).map(|e| (&*e.key, e)).collect();
        for change in self.history.after(revision).rev().filter(|c| in_range(&c.entry().key)) {
            match change.old() {
                Some(old) => entries.insert(&old.key, old),
                None => entries.remove(&*change.entry().key),
            };
        }
        entries
    }
}

/// Matching entries up to the limit, and how many of any kind follow.
fn select<'a>(
    mut range: impl Iterator<Item = &'a Arc<Entry>>,
    limit: usize,
    matches: &dyn Fn(&Entry) -> bool,
) -> (Vec<Arc<Entry>>, usize) {
    let mut found = Vec::new();
    while let Some(entry) = range.next() {
        if !matches(entry) {
            continue;
        }
        found.push(entry.clone());
        if found.len() == limit {
            return (found, range.count());
        }
    }
    (found, 0)
}

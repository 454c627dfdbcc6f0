//! The store as other rooms see it.

use crate::entry::{Body, Entry};
use crate::error::{CommitError, Error, OpenError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where entries are kept.
    pub medium: Medium,
    /// How long history is kept for watches and exact lists. Older revisions answer [`Error::Compacted`].
    /// Upstream's default is 5 minutes; shorter makes clients list again, longer costs memory and disk.
    pub history: Duration,
    /// Bytes of replaced and deleted object states kept per table at most, whatever their age.
    pub history_bytes_max: usize,
}

/// Where entries are kept.
#[derive(Clone, Debug)]
pub enum Medium {
    /// Nowhere: for tests and throw-away clusters.
    Memory,
    /// In `DIR/state.db` (SQLite, WAL, synchronous FULL).
    Sqlite {
        /// The data directory; made (mode 0700) when missing.
        dir: PathBuf,
    },
}

/// One operation of a transaction.
#[derive(Clone, Debug)]
pub struct Op {
    /// The table, such as `deployments.apps`.
    pub table: Arc<str>,
    /// The key: `namespace/name`, or a name.
    pub key: Arc<str>,
    /// The revision that the entry must be at; `None`: it must not be there.
    pub expect: Option<u64>,
    /// The new state; `None` deletes.
    pub put: Option<Body>,
}

/// Which part of a table.
#[derive(Clone, Debug, Default)]
pub struct Range<'a> {
    /// Only keys that start with this, such as `default/`; empty for all.
    pub prefix: &'a str,
    /// Only keys after this one.
    pub after: Option<&'a str>,
    /// At most this many matching entries; 0 for no limit.
    pub limit: usize,
    /// The state at this revision; `None` for the newest.
    pub at: Option<u64>,
}

/// A consistent piece of a table.
#[derive(Debug)]
pub struct Listing {
    /// The store's revision that the piece shows.
    pub revision: u64,
    /// Matching entries in key order.
    pub entries: Vec<Arc<Entry>>,
    /// How many keys of the range follow the last entry, matching or not.
    pub remaining: usize,
}

/// One change of one entry.
#[derive(Clone, Debug)]
pub struct Change {
    /// The revision of the change.
    pub revision: u64,
    /// What it was.
    pub kind: ChangeKind,
}

/// What a change was.
#[derive(Clone, Debug)]
pub enum ChangeKind {
    /// A new or changed entry, and its state before.
    Put {
        /// The state after.
        entry: Arc<Entry>,
        /// The state before; `None` for a new entry.
        old: Option<Arc<Entry>>,
    },
    /// A deleted entry: its last state, restamped with the revision of the deletion, and as it was.
    Delete {
        /// The last state with the deletion's revision.
        entry: Arc<Entry>,
        /// The last state as it was stored.
        old: Arc<Entry>,
    },
}

/// The store. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub struct Store {}

#[allow(unused_variables)]
impl Store {
    /// Opens a store and starts its writer. Must be called inside a tokio runtime.
    pub fn open(config: Config) -> Result<Store, OpenError> {
        todo!("the store room's own work")
    }

    /// The newest published revision. Starts at 1, never falls, not even over restarts.
    pub fn revision(&self) -> u64 {
        todo!()
    }

    /// The oldest revision that exact lists and watches can still start from.
    pub fn oldest(&self) -> u64 {
        todo!()
    }

    /// The newest state of one entry.
    pub fn get(&self, table: &str, key: &str) -> Option<Arc<Entry>> {
        todo!()
    }

    /// A consistent piece of a table, filtered by `matches`.
    pub fn list(
        &self,
        table: &str,
        range: &Range<'_>,
        matches: &dyn Fn(&Entry) -> bool,
    ) -> Result<Listing, Error> {
        todo!()
    }

    /// How many entries a table has.
    pub fn count(&self, table: &str) -> usize {
        todo!()
    }

    /// Changes of one table after a revision. A revision in the future waits for it.
    pub fn watch(&self, table: &str, after: u64) -> Result<Watch, Error> {
        todo!()
    }

    /// Waits until the revision is published; false if it is not within the time.
    pub async fn wait_for(&self, revision: u64, timeout: Duration) -> bool {
        todo!()
    }

    /// Does all operations or none, durably, and gives the entries as stored (a deletion gives the restamped last
    /// state). Dropping the future does not take the transaction back.
    pub async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Arc<Entry>>, CommitError> {
        todo!()
    }

    /// Forgets history before a revision.
    pub async fn compact(&self, revision: u64) -> Result<(), CommitError> {
        todo!()
    }

    /// Finishes what was sent, closes the medium, ends all watches.
    pub async fn close(&self) {
        todo!()
    }
}

/// A stream of changes of one table, in revision order, without gaps.
#[derive(Debug)]
pub struct Watch {}

impl Watch {
    /// Waits for changes and gives all that are there, at most `max`, never an empty list. `None`: the store closed.
    /// [`Error::Compacted`]: this reader was too slow, and what it would see next is gone.
    pub async fn next(&mut self, max: usize) -> Option<Result<Vec<Change>, Error>> {
        let _ = max;
        todo!()
    }

    /// The store's revision up to which this watch has told everything.
    pub fn position(&self) -> u64 {
        todo!()
    }
}

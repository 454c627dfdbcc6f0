//! The store as other rooms see it.

use crate::backend::{Backend, Nothing};
use crate::entry::{Body, Entry};
use crate::error::{CommitError, Error, OpenError};
use crate::memory::Memory;
use crate::sqlite;
use crate::watch::Watch;
use crate::writer::{Message, Request, Writer};
use parking_lot::Mutex;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Transactions that wait for the writer, in KiB of new states, each operation counted as one KiB at least. Callers
/// beyond that wait in [`Store::commit`], first come, first served.
const QUEUE_KIB_MAX: u32 = 64 << 10;

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
    /// In `DIR/state.db` (SQLite, WAL, synchronous FULL). Behind `DIR/lock` only one process uses it.
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

/// How much is stored: the newest states alone, history aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub objects: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
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

impl Op {
    /// What the operation weighs in a queue.
    pub(crate) fn bytes(&self) -> usize {
        self.put.as_ref().map_or(0, |body| body.json.len())
    }
}

impl Change {
    /// The state after a put; the last state, restamped, of a deletion.
    pub fn entry(&self) -> &Arc<Entry> {
        match &self.kind {
            ChangeKind::Put { entry, .. } | ChangeKind::Delete { entry, .. } => entry,
        }
    }

    /// The state before; `None` for a new entry.
    pub fn old(&self) -> Option<&Arc<Entry>> {
        match &self.kind {
            ChangeKind::Put { old, .. } => old.as_ref(),
            ChangeKind::Delete { old, .. } => Some(old),
        }
    }

    /// Whether the entry is gone after it.
    pub fn is_delete(&self) -> bool {
        matches!(self.kind, ChangeKind::Delete { .. })
    }
}

/// The store. Cheap to clone; the last clone closes it: its drop waits for what was sent to be written.
#[derive(Clone)]
pub struct Store {
    memory: Arc<Memory>,
    writer: Arc<WriterHandle>,
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store").field("revision", &self.revision()).finish_non_exhaustive()
    }
}

/// The way to the writer.
struct WriterHandle {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.finish();
    }
}

impl WriterHandle {
    fn finish(&self) {
        let _ = self.queue.send(Message::Close);
        // The lock is held meanwhile: whoever comes second returns after the writer has ended, too.
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl Store {
    /// Opens a store and starts its writer. Blocks while it loads what is there.
    pub fn open(config: Config) -> Result<Store, OpenError> {
        let (memory, backend): (Memory, Box<dyn Backend>) = match &config.medium {
            Medium::Memory => (Memory::new(1, 0), Box::new(Nothing)),
            Medium::Sqlite { dir } => {
                let (memory, sqlite) = sqlite::open(dir, config.history_bytes_max)?;
                (memory, Box::new(sqlite))
            }
        };
        let memory = Arc::new(memory);
        let writer = Writer::new(memory.clone(), backend, &config);
        let (queue, messages) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&messages))
            .map_err(|source| OpenError::Io { path: config.medium.path(), source })?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize));
        let writer = Arc::new(WriterHandle { queue, room, thread: Mutex::new(Some(thread)) });
        Ok(Store { memory, writer })
    }

    /// Whether it takes writes: its writer is there. It ends when the store is closed, or when its medium fails.
    pub fn is_open(&self) -> bool {
        !self.memory.is_closed()
    }

    /// The newest published revision. Starts at 1, never falls, not even over restarts.
    pub fn revision(&self) -> u64 {
        self.memory.revision()
    }

    /// The oldest revision that exact lists and watches can still start from. A table whose history outgrew
    /// [`Config::history_bytes_max`] starts later; [`Error::Compacted`] says where.
    pub fn oldest(&self) -> u64 {
        self.memory.floor().max(1)
    }

    /// The newest state of one entry.
    pub fn get(&self, table: &str, key: &str) -> Option<Arc<Entry>> {
        self.memory.table(table)?.get(key)
    }

    /// A consistent piece of a table, filtered by `matches`, which runs under the table's read lock: keep it short.
    pub fn list(
        &self,
        table: &str,
        range: &Range<'_>,
        matches: &dyn Fn(&Entry) -> bool,
    ) -> Result<Listing, Error> {
        self.memory.list(table, range, matches)
    }

    /// How many entries a table has.
    pub fn count(&self, table: &str) -> usize {
        self.memory.table(table).map_or(0, |table| table.count())
    }

    /// How much all tables hold together, those left out that are named. Cheap enough to ask with every write; beside
    /// a write that is just being applied it may be off by that write.
    pub fn usage(&self, except: &[&str]) -> Usage {
        let tables = self.memory.tables().into_iter().filter(|table| !except.contains(&&*table.name));
        tables.map(|table| table.usage()).fold(Usage::default(), |sum, usage| Usage {
            objects: sum.objects + usage.objects,
            bytes: sum.bytes + usage.bytes,
        })
    }

    /// Changes of one table after a revision. A revision in the future waits for it, and for none before it.
    pub fn watch(&self, table: &str, after: u64) -> Result<Watch, Error> {
        Watch::open(self.memory.clone(), self.memory.table_or_new(table), after)
    }

    /// Waits until the revision is published; false if it is not within the time.
    pub async fn wait_for(&self, revision: u64, timeout: Duration) -> bool {
        if self.revision() >= revision {
            return true;
        }
        tokio::time::timeout(timeout, self.memory.reached(revision)).await.unwrap_or(false)
    }

    /// Does all operations or none, durably, and gives the entries as stored (a deletion gives the restamped last
    /// state). Each operation gets a revision of its own, consecutive within the transaction. To delete what is not
    /// there is a conflict. Dropping the future does not take the transaction back.
    pub async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Arc<Entry>>, CommitError> {
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        let kib: usize = ops.iter().map(|op| op.bytes().div_ceil(1024).max(1)).sum();
        let kib = u32::try_from(kib).unwrap_or(u32::MAX).min(QUEUE_KIB_MAX);
        let room = self.writer.room.clone().acquire_many_owned(kib).await.map_err(|_| CommitError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.send(Message::Commit(Request { ops, reply, room }))?;
        answer.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Forgets history below a revision: it, and what comes after, can still be asked for. A revision in the future
    /// counts as the newest one.
    pub async fn compact(&self, revision: u64) -> Result<(), CommitError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Compact(revision, reply))?;
        answer.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Finishes what was sent, closes the medium, ends all watches. Reads go on from memory.
    pub async fn close(&self) {
        let writer = self.writer.clone();
        if tokio::task::spawn_blocking(move || writer.finish()).await.is_err() {
            tracing::error!("the store could not be closed in the background");
        }
    }

    fn send(&self, message: Message) -> Result<(), CommitError> {
        self.writer.queue.send(message).map_err(|_| CommitError::Closed)
    }
}

impl Medium {
    /// Where it is, for error texts.
    fn path(&self) -> PathBuf {
        match self {
            Medium::Memory => PathBuf::from("memory"),
            Medium::Sqlite { dir } => dir.clone(),
        }
    }
}

//! Revisions, transactions, watches, compaction: the tenant's memory, and the only room that knows SQL.
//!
//! State lives twice: in memory, ordered and shared, which answers every read, list and watch; and in a
//! `backend::Backend` (SQLite, or nothing at all for tests), which makes it durable. One writer task takes all
//! transactions, checks them against the newest state, gives revisions, commits a whole group with one fsync, and
//! only then publishes, in revision order.
//!
//! **Invariants.** An acknowledged transaction survives kill -9 and power loss. Nothing unacknowledged is visible
//! before it is durable. Watches are ordered, gap-free and duplicate-free; what is no longer known answers
//! [`Error::Compacted`] at once. A dropped caller cannot tear a transaction: the writer owns it. This room must not
//! know what an object means: it moves bytes, keys, and the few [`Index`] fields that selectors read.

mod backend;
pub mod entry;
pub mod error;
mod history;
mod memory;
mod plan;
mod sqlite;
pub mod store;
mod watch;
mod writer;

pub use entry::{Body, Entry, Index, field_label};
pub use error::{CommitError, Error, OpenError};
pub use store::{Change, ChangeKind, Config, Listing, Medium, Op, Range, Store, Usage};
pub use watch::Watch;

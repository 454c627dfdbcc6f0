//! What can go wrong, one type per question asked.

use std::path::PathBuf;

/// A read that history no longer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The revision is older than what is kept.
    #[error("revision {asked} is compacted; the oldest one kept is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: u64,
        /// The oldest that can be answered.
        oldest: u64,
    },
    /// The revision is not there yet.
    #[error("revision {asked} is in the future; the newest one is {newest}")]
    Future {
        /// The revision asked for.
        asked: u64,
        /// The newest that is there.
        newest: u64,
    },
}

/// A transaction that did not happen: nothing of it is visible.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The entry is not at the revision that the operation names (or is there, or is not).
    #[error("{key} is at revision {found:?}, not at the expected one")]
    Conflict {
        /// The key whose expectation failed.
        key: String,
        /// The revision it is at; `None` if it is not there.
        found: Option<u64>,
    },
    /// The medium refused the write, such as a full disk. Reads go on; later writes are tried again. If the process
    /// ends before one of them succeeds, what had reached the medium may be found there by the next.
    #[error("the store cannot write: {0}")]
    Medium(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// Why a store could not be opened. Each text says what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum OpenError {
    #[error(
        "{path} is on a network file system ({filesystem}), where locks and fsync cannot be trusted; put the data directory on a local disk"
    )]
    NetworkFilesystem { path: PathBuf, filesystem: String },
    #[error("another alcove process uses {path}; stop it, or choose another data directory")]
    InUse { path: PathBuf },
    #[error(
        "{path} was written by a newer alcove: its schema version is {found}, this binary knows up to {known}; run the newer binary, or restore a snapshot made by an older one"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error(
        "{path} is damaged ({detail}); nothing was changed. Move it away and restore a snapshot with `alcove restore`, or start with an empty directory"
    )]
    Corrupt { path: PathBuf, detail: String },
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("cannot open {path}: {detail}")]
    Medium { path: PathBuf, detail: String },
}

//! Durability: an append-only file of object states, in SQLite.
//!
//! Two tables do the work. `objects` holds states by the revision that wrote them; `ended` says which revision ended
//! which state. A create appends to the first, a deletion to the second, an update to both: every state is written
//! once, no index is kept, and a group touches just the ends of two trees. What is live is what has not ended; what
//! happened lately is what began or ended after the floor. Nothing but [`load`] reads: memory answers everything.
//!
//! WAL with `synchronous=FULL` makes each group durable with one sync; the writer runs checkpoints after it has
//! answered. `locking_mode=EXCLUSIVE` keeps the WAL's index in this process' memory.

mod codec;
mod directory;
mod load;
mod open;

use crate::backend::{Backend, Planned};
use crate::entry::Entry;
use crate::error::OpenError;
use crate::memory::Memory;
use directory::Lock;
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a page: small enough that a changed page is cheap to log, large enough that pods of 2 KiB share one.
const PAGE_BYTES: usize = 8 << 10;
/// Bytes of page cache. The file is only appended to and pruned, so more would not help.
const CACHE_BYTES: usize = 1 << 20;
/// Bytes of write-ahead log after which it is copied back into the file.
const WAL_BYTES_MAX: usize = 4 << 20;
/// Bytes of log that are copied back, and the log cut off, as soon as there is a pause, so that a quiet tenant is small.
const WAL_BYTES_IDLE: usize = 256 << 10;
/// Forgotten states deleted in one step; other groups wait for a step.
const PRUNE_ROWS: usize = 512;
/// Free pages given back to the file system in one step.
const VACUUM_PAGES: usize = 256;
/// Free pages that are kept for reuse whatever the size of the file.
const FREE_PAGES_KEPT: usize = 64;

/// The SQLite medium.
pub(crate) struct Sqlite {
    database: Connection,
    /// Row ids in `tables` by name.
    tables: HashMap<Arc<str>, i64>,
    floor: u64,
    /// About how many bytes the write-ahead log holds.
    wal_bytes: usize,
    /// Held for as long as the database is open.
    _lock: Lock,
}

/// Opens or makes the database in a directory and reads it into memory.
pub(crate) fn open(dir: &Path, history_bytes_max: usize) -> Result<(Memory, Sqlite), OpenError> {
    directory::prepare(dir)?;
    let lock = Lock::take(dir)?;
    let path = dir.join("state.db");
    let database = open::open(&path)?;
    let loaded = load::load(&database, history_bytes_max).map_err(|error| error.at(&path))?;
    open::allow_changes(&database).map_err(|error| open::refuse(&path, &error))?;
    // What is left of a log whose writer was killed.
    let log = std::fs::metadata(dir.join("state.db-wal")).map_or(0, |log| log.len());
    let wal_bytes = usize::try_from(log).unwrap_or(usize::MAX);
    let sqlite = Sqlite { database, tables: loaded.tables, floor: loaded.floor, wal_bytes, _lock: lock };
    Ok((loaded.memory, sqlite))
}

impl Backend for Sqlite {
    fn write(&mut self, group: &[Planned]) -> Result<(), String> {
        let known = &self.tables;
        let (fresh, bytes) = transaction(&self.database, |database| append(database, known, group))?;
        self.tables.extend(fresh);
        self.wal_bytes += bytes;
        Ok(())
    }

    fn set_floor(&mut self, floor: u64) -> Result<(), String> {
        transaction(&self.database, |database| {
            database.execute("UPDATE meta SET value = ?1 WHERE name = 'floor'", [floor])
        })?;
        self.floor = floor;
        self.wal_bytes += PAGE_BYTES;
        Ok(())
    }

    fn prune(&mut self) -> Result<bool, String> {
        let deleted = transaction(&self.database, |database| delete_ended(database, self.floor))?;
        self.wal_bytes += deleted * PAGE_BYTES / 2;
        if deleted == PRUNE_ROWS {
            return Ok(true);
        }
        let more = vacuum(&self.database).map_err(|error| error.to_string())?;
        if more {
            self.wal_bytes += VACUUM_PAGES * PAGE_BYTES;
        } else {
            self.database.release_memory().map_err(|error| error.to_string())?;
        }
        Ok(more)
    }

    fn is_untidy(&self) -> bool {
        self.wal_bytes >= WAL_BYTES_IDLE
    }

    fn tidy(&mut self, idle: bool) {
        if self.wal_bytes < if idle { WAL_BYTES_IDLE } else { WAL_BYTES_MAX } {
            return;
        }
        self.wal_bytes = 0;
        // There are no other readers, so either copies the whole log. After PASSIVE the next group starts it anew in the
        // room that it has, after TRUNCATE it has none.
        let mode = if idle { "TRUNCATE" } else { "PASSIVE" };
        let checkpoint = format!("PRAGMA wal_checkpoint({mode})");
        if let Err(error) = self.database.query_row(&checkpoint, [], |_| Ok(())) {
            tracing::warn!(%error, "cannot copy the write-ahead log back; it grows until that works");
        }
    }
}

/// Runs work in one transaction: all of it is durable afterwards, or none.
fn transaction<T>(
    database: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, String> {
    let run = || {
        database.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(database)?;
        database.execute_batch("COMMIT")?;
        Ok(done)
    };
    run().map_err(|error: rusqlite::Error| {
        // Some errors have rolled back already; then there is nothing left to do.
        if !database.is_autocommit()
            && let Err(error) = database.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "cannot roll back");
        }
        error.to_string()
    })
}

type Tables = Vec<(Arc<str>, i64)>;

/// Appends a group. Gives the tables that it uses for the first time, and about how many bytes it takes in the log.
fn append(
    database: &Connection,
    known: &HashMap<Arc<str>, i64>,
    group: &[Planned],
) -> rusqlite::Result<(Tables, usize)> {
    let mut fresh = Tables::new();
    let mut bytes = 2 * PAGE_BYTES;
    let mut begin = database
        .prepare("INSERT INTO objects (revision, tbl, key, head, json) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut end = database.prepare("INSERT INTO ended (revision, was) VALUES (?1, ?2)")?;
    for Planned { table, change } in group {
        if !change.is_delete() {
            let entry: &Entry = change.entry();
            let found = known.get(&table.name).copied();
            let found =
                found.or_else(|| fresh.iter().find(|(name, _)| *name == table.name).map(|(_, id)| *id));
            let id = match found {
                Some(id) => id,
                None => {
                    database.execute("INSERT INTO tables (name) VALUES (?1)", [&*table.name])?;
                    fresh.push((table.name.clone(), database.last_insert_rowid()));
                    database.last_insert_rowid()
                }
            };
            let head = codec::head(entry);
            bytes += head.len() + entry.json.len() + entry.key.len();
            begin.execute(params![entry.revision, id, &*entry.key, head, &*entry.json])?;
        }
        if let Some(old) = change.old() {
            bytes += 16;
            end.execute(params![change.revision, old.revision])?;
        }
    }
    Ok((fresh, bytes))
}

/// Deletes the oldest states that ended at or below the floor; gives how many.
fn delete_ended(database: &Connection, floor: u64) -> rusqlite::Result<usize> {
    let bounds = params![floor, PRUNE_ROWS];
    database.execute(
        "DELETE FROM objects WHERE revision IN (SELECT was FROM ended WHERE revision <= ?1 ORDER BY revision LIMIT ?2)",
        bounds,
    )?;
    database.execute(
        "DELETE FROM ended WHERE revision IN (SELECT revision FROM ended WHERE revision <= ?1 ORDER BY revision LIMIT ?2)",
        bounds,
    )
}

/// Gives free pages back when they are more than a quarter of the file. True: there is more to give.
fn vacuum(database: &Connection) -> rusqlite::Result<bool> {
    let number = |pragma: &str| database.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let free = usize::try_from(number("PRAGMA freelist_count")?).unwrap_or(0);
    let pages = usize::try_from(number("PRAGMA page_count")?).unwrap_or(0);
    if free <= FREE_PAGES_KEPT || free <= pages / 4 {
        return Ok(false);
    }
    // The statement works one page per step, so it has to be run to its end.
    let mut statement = database.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_fails_midway_leaves_nothing() {
        let database = Connection::open_in_memory().expect("memory opens");
        database.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").expect("a fresh database");
        let count = || database.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        for _ in 0..2 {
            let failed = transaction(&database, |database| {
                database.execute("INSERT INTO t VALUES (1)", [])?;
                database.execute("INSERT INTO t VALUES (1)", [])
            });
            assert!(failed.is_err_and(|text| text.contains("UNIQUE")));
            assert_eq!(count(), Ok(0));
        }
        transaction(&database, |database| database.execute("INSERT INTO t VALUES (1)", []))
            .expect("a new try");
        assert_eq!(count(), Ok(1));
    }
}

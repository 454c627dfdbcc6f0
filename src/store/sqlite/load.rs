//! Reading the file into memory: live entries, and the history that watches resume from.
//!
//! One pass over all states in revision order. It reads every page that matters and checks every row, so it also is
//! the integrity check, at the price of the load itself: checksums per row, and no revision missing after the floor.

use super::{codec, open};
use crate::entry::Entry;
use crate::error::OpenError;
use crate::memory::{Memory, Table};
use crate::store::{Change, ChangeKind};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

pub(super) struct Loaded {
    pub(super) memory: Memory,
    pub(super) tables: HashMap<Arc<str>, i64>,
    pub(super) floor: u64,
}

/// Why a file was not loaded.
pub(super) enum LoadError {
    /// SQLite could not read it.
    Sqlite(rusqlite::Error),
    /// It was read, and is wrong.
    Wrong(String),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> LoadError {
        LoadError::Sqlite(error)
    }
}

impl LoadError {
    pub(super) fn at(self, path: &Path) -> OpenError {
        match self {
            LoadError::Sqlite(error) => open::refuse(path, &error),
            LoadError::Wrong(detail) => open::corrupt(path, &detail),
        }
    }
}

/// A state that has ended, until the pass reaches the revision that ended it.
struct Old {
    table: Arc<Table>,
    entry: Arc<Entry>,
}

/// The pass over all states.
struct Pass {
    history_bytes_max: usize,
    /// Which revision ended a state.
    ended: HashMap<u64, u64>,
    /// States by the revision, still ahead, that ends them.
    ending: BTreeMap<u64, Old>,
    /// The newest revision whose change is known; before the first one, the floor.
    last: u64,
}

pub(super) fn load(database: &Connection, history_bytes_max: usize) -> Result<Loaded, LoadError> {
    let floor: u64 =
        database.query_row("SELECT value FROM meta WHERE name = 'floor'", [], |row| row.get(0))?;
    let newest = |sql: &str| database.query_row(sql, [], |row| row.get::<_, Option<u64>>(0));
    let revision = newest("SELECT max(revision) FROM objects")?
        .max(newest("SELECT max(revision) FROM ended")?)
        .unwrap_or(1)
        .max(floor);
    let memory = Memory::new(revision, floor);
    let tables = read_tables(database, &memory)?;
    let mut live: HashMap<i64, Vec<Arc<Entry>>> = HashMap::new();
    let mut pass =
        Pass { history_bytes_max, ended: read_ended(database)?, ending: BTreeMap::new(), last: floor.max(1) };

    let mut statement =
        database.prepare("SELECT revision, tbl, key, head, json FROM objects ORDER BY revision")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let revision: u64 = row.get(0)?;
        let id: i64 = row.get(1)?;
        let ended = pass.ended.remove(&revision);
        if ended.is_some_and(|ended| ended <= floor) {
            continue;
        }
        let wrong = |what: &str| LoadError::Wrong(format!("the state of revision {revision}: {what}"));
        let bytes =
            |column| row.get_ref(column)?.as_bytes().map_err(|_| wrong("a column is of the wrong type"));
        let key = std::str::from_utf8(bytes(2)?).map_err(|_| wrong("its key is not text"))?;
        let entry = Arc::new(codec::entry(revision, key, bytes(3)?, bytes(4)?).map_err(wrong)?);
        let table = tables.get(&id).ok_or_else(|| wrong("its table is unknown"))?;
        pass.reach(table, &entry, floor)?;
        match ended {
            Some(ended) => {
                pass.ending.insert(ended, Old { table: table.clone(), entry });
            }
            None => live.entry(id).or_default().push(entry),
        }
    }
    pass.finish(floor, revision)?;
    for (id, entries) in live {
        tables[&id].load(entries).map_err(|key| LoadError::Wrong(format!("{key} is there twice")))?;
    }
    let tables = tables.into_iter().map(|(id, table)| (table.name.clone(), id)).collect();
    Ok(Loaded { memory, tables, floor })
}

fn read_tables(database: &Connection, memory: &Memory) -> rusqlite::Result<HashMap<i64, Arc<Table>>> {
    let mut statement = database.prepare("SELECT id, name FROM tables")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| row.map(|(id, name)| (id, memory.table_or_new(&name)))).collect()
}

fn read_ended(database: &Connection) -> rusqlite::Result<HashMap<u64, u64>> {
    let mut statement = database.prepare("SELECT was, revision FROM ended")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

impl Pass {
    /// A state begins: tells the deletions before it, then itself, if that is history.
    fn reach(&mut self, table: &Arc<Table>, entry: &Arc<Entry>, floor: u64) -> Result<(), LoadError> {
        self.tell_deletions(entry.revision)?;
        let old = self.ending.remove(&entry.revision).map(|old| old.entry);
        if old.as_ref().is_some_and(|old| old.key != entry.key) {
            return Err(LoadError::Wrong(format!("revision {} ends another object", entry.revision)));
        }
        if entry.revision > floor {
            self.tell(
                table,
                Change { revision: entry.revision, kind: ChangeKind::Put { entry: entry.clone(), old } },
            )?;
        }
        Ok(())
    }

    /// What ended before a revision without another state's beginning was deleted.
    fn tell_deletions(&mut self, before: u64) -> Result<(), LoadError> {
        while let Some(first) = self.ending.first_entry()
            && *first.key() < before
        {
            let (revision, Old { table, entry: old }) = first.remove_entry();
            let entry = Arc::new(old.restamped(revision));
            self.tell(&table, Change { revision, kind: ChangeKind::Delete { entry, old } })?;
        }
        Ok(())
    }

    fn tell(&mut self, table: &Arc<Table>, change: Change) -> Result<(), LoadError> {
        if change.revision != self.last + 1 {
            return Err(LoadError::Wrong(format!("revision {} is missing", self.last + 1)));
        }
        self.last = change.revision;
        table.load_change(Arc::new(change), self.history_bytes_max);
        Ok(())
    }

    fn finish(mut self, floor: u64, revision: u64) -> Result<(), LoadError> {
        self.tell_deletions(u64::MAX)?;
        // Below the floor pruning may have been stopped between any two steps.
        if let Some((was, ended)) = self.ended.into_iter().find(|(_, ended)| *ended > floor) {
            return Err(LoadError::Wrong(format!("revision {ended} ends {was}, which is missing")));
        }
        if self.last != revision.max(1) {
            return Err(LoadError::Wrong(format!("revision {} is missing", self.last + 1)));
        }
        Ok(())
    }
}

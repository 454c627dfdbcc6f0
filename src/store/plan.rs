//! What a group of transactions would do: checked against the newest state, the earlier ones of the group included.

use crate::backend::Planned;
use crate::entry::Entry;
use crate::error::CommitError;
use crate::memory::{Memory, Table};
use crate::store::{Change, ChangeKind, Op};
use std::collections::HashMap;
use std::sync::Arc;

/// Table and key.
type Place = (Arc<str>, Arc<str>);

/// A group in the making. Nothing of it is visible to anybody.
pub(crate) struct Plan<'a> {
    memory: &'a Memory,
    /// The newest revision given.
    pub(crate) revision: u64,
    pub(crate) changes: Vec<Planned>,
    /// What the group so far has made of the places it touched.
    touched: HashMap<Place, Option<Arc<Entry>>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(memory: &'a Memory) -> Plan<'a> {
        Plan { memory, revision: memory.revision(), changes: Vec::new(), touched: HashMap::new() }
    }

    /// Adds a transaction, and gives the entries that it answers with; or adds nothing.
    pub(crate) fn add(&mut self, ops: Vec<Op>) -> Result<Vec<Arc<Entry>>, CommitError> {
        self.check(&ops)?;
        Ok(ops.into_iter().map(|op| self.perform(op)).collect())
    }

    fn check(&self, ops: &[Op]) -> Result<(), CommitError> {
        // What earlier operations of this very transaction leave behind; revisions are consecutive.
        let mut left: HashMap<(&str, &str), Option<u64>> = HashMap::new();
        for (op, revision) in ops.iter().zip(self.revision + 1..) {
            let found = match left.get(&(&*op.table, &*op.key)) {
                Some(found) => *found,
                None => self.newest(&op.table, &op.key).map(|entry| entry.revision),
            };
            let deletes_nothing = found.is_none() && op.put.is_none();
            if found != op.expect || deletes_nothing {
                return Err(CommitError::Conflict { key: op.key.to_string(), found });
            }
            if ops.len() > 1 {
                left.insert((&op.table, &op.key), op.put.as_ref().map(|_| revision));
            }
        }
        Ok(())
    }

    fn newest(&self, table: &Arc<str>, key: &Arc<str>) -> Option<Arc<Entry>> {
        match self.touched.get(&(table.clone(), key.clone())) {
            Some(entry) => entry.clone(),
            None => self.memory.table(table).and_then(|table| table.get(key)),
        }
    }

    /// Does a checked operation.
    fn perform(&mut self, op: Op) -> Arc<Entry> {
        self.revision += 1;
        let revision = self.revision;
        let table = self.memory.table_or_new(&op.table);
        let old = self.newest(&op.table, &op.key);
        let (kind, entry, left) = match (op.put, old) {
            (Some(body), old) => {
                let key = old.as_ref().map_or(op.key, |old| old.key.clone());
                let entry = Arc::new(body.stamped(key, revision));
                (ChangeKind::Put { entry: entry.clone(), old }, entry.clone(), Some(entry))
            }
            (None, Some(old)) => {
                let entry = Arc::new(old.restamped(revision));
                (ChangeKind::Delete { entry: entry.clone(), old }, entry, None)
            }
            (None, None) => unreachable!("check() refuses to delete what is not there"),
        };
        self.touched.insert((table.name.clone(), entry.key.clone()), left);
        self.changes.push(Planned { table, change: Arc::new(Change { revision, kind }) });
        entry
    }
}

/// The changes of a group by table, each in revision order.
pub(crate) fn by_table(changes: Vec<Planned>) -> Vec<(Arc<Table>, Vec<Arc<Change>>)> {
    let mut tables: Vec<(Arc<Table>, Vec<Arc<Change>>)> = Vec::new();
    for Planned { table, change } in changes {
        match tables.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &table)) {
            Some((_, changes)) => changes.push(change),
            None => tables.push((table, vec![change])),
        }
    }
    tables
}

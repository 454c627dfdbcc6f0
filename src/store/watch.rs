//! A cursor over one table's history.

use crate::error::Error;
use crate::memory::{Memory, News, Table};
use crate::store::Change;
use std::fmt;
use std::sync::Arc;

/// A stream of changes of one table, in revision order, without gaps. Costs two pointers and a number while idle.
pub struct Watch {
    memory: Arc<Memory>,
    table: Arc<Table>,
    /// Everything up to this revision has been told.
    after: u64,
}

impl fmt::Debug for Watch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Watch({} after {})", self.table.name, self.after)
    }
}

impl Watch {
    pub(crate) fn open(memory: Arc<Memory>, table: Arc<Table>, after: u64) -> Result<Watch, Error> {
        table.check_start(&memory, after)?;
        Ok(Watch { memory, table, after })
    }

    /// Waits for changes and gives all that are there, at most `max`, never an empty list. `None`: the store closed.
    /// [`Error::Compacted`]: this reader was too slow, and what it would see next is gone. May be dropped and called
    /// again at any time without losing a change.
    pub async fn next(&mut self, max: usize) -> Option<Result<Vec<Arc<Change>>, Error>> {
        let table = self.table.clone();
        loop {
            // Made before looking, so that a change between looking and waiting wakes us.
            let changed = table.changed.notified();
            match table.news(&self.memory, self.after, max.max(1)) {
                Err(error) => return Some(Err(error)),
                Ok(News::Changes(changes)) => {
                    self.after = changes.last().map_or(self.after, |change| change.revision);
                    return Some(Ok(changes));
                }
                Ok(News::NoneUpTo(revision)) => self.after = revision,
            }
            if self.memory.is_closed() {
                return None;
            }
            changed.await;
        }
    }

    /// The store's revision up to which this watch has told everything: what a bookmark may say. Never ahead of a
    /// change that [`Watch::next`] has yet to give.
    pub fn position(&self) -> u64 {
        self.table.position(&self.memory, self.after)
    }
}

//! What happened to one table lately: the changes that watches and exact lists of older revisions are made of.

use crate::store::Change;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a change costs beside the bytes of the states that only history still holds: its own record and theirs.
const CHANGE_OVERHEAD_BYTES: usize = 128;

/// Changes in revision order. All changes after `dropped` are here, none before.
#[derive(Default)]
pub(crate) struct History {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// The revision of the newest change that was forgotten; 0 if none was.
    dropped: u64,
    /// The revision of the newest change ever told; 0 if there was none.
    newest: u64,
}

impl History {
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    pub(crate) fn push(&mut self, change: Arc<Change>) {
        debug_assert!(change.revision > self.newest, "changes come in revision order");
        self.newest = change.revision;
        self.bytes += cost(&change);
        self.changes.push_back(change);
    }

    /// The changes after a revision, oldest first.
    pub(crate) fn after(
        &self,
        revision: u64,
    ) -> impl DoubleEndedIterator<Item = &Arc<Change>> + ExactSizeIterator {
        // Readers are mostly just behind the newest change: look there before searching.
        let start = match self.changes.back() {
            Some(last) if last.revision > revision => {
                self.changes.partition_point(|c| c.revision <= revision)
            }
            _ => self.changes.len(),
        };
        self.changes.range(start..)
    }

    /// Forgets changes up to a revision, and gives them so that they are freed outside of the lock.
    pub(crate) fn forget(&mut self, upto: u64) -> Vec<Arc<Change>> {
        let count = self.changes.partition_point(|c| c.revision <= upto);
        self.forget_first(count)
    }

    /// Forgets the oldest changes until no more than `bytes_max` are held.
    pub(crate) fn trim(&mut self, bytes_max: usize) -> Vec<Arc<Change>> {
        let mut left = self.bytes;
        let count = self
            .changes
            .iter()
            .take_while(|change| {
                let over = left > bytes_max;
                left -= if over { cost(change) } else { 0 };
                over
            })
            .count();
        self.forget_first(count)
    }

    fn forget_first(&mut self, count: usize) -> Vec<Arc<Change>> {
        let forgotten: Vec<_> = self.changes.drain(..count).collect();
        for change in &forgotten {
            self.bytes -= cost(change);
            self.dropped = change.revision;
        }
        if self.changes.capacity() > 64 && self.changes.len() < self.changes.capacity() / 4 {
            self.changes.shrink_to(self.changes.len() * 2);
        }
        forgotten
    }
}

/// What a change costs for as long as it is history.
pub(crate) fn cost(change: &Change) -> usize {
    let old = change.old().map_or(0, |old| old.json.len());
    let last = if change.is_delete() { change.entry().json.len() } else { 0 };
    CHANGE_OVERHEAD_BYTES + old + last
}

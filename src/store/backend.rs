//! What makes groups of changes durable.

use crate::memory::Table;
use crate::store::Change;
use std::sync::Arc;

/// A change and the table that it belongs to.
pub(crate) struct Planned {
    pub(crate) table: Arc<Table>,
    pub(crate) change: Arc<Change>,
}

/// A medium, driven by the writer alone. An error is a text for people; after one, nothing of the call is durable
/// and the next call tries anew.
pub(crate) trait Backend: Send {
    /// Makes a group durable, all or nothing.
    fn write(&mut self, group: &[Planned]) -> Result<(), String>;

    /// Says durably that revisions below `floor` are unknown from now on.
    fn set_floor(&mut self, floor: u64) -> Result<(), String>;

    /// Frees a little of what lies below the floor. False: nothing is left to free.
    fn prune(&mut self) -> Result<bool, String>;

    /// Whether a pause is worth being used to tidy.
    fn is_untidy(&self) -> bool {
        false
    }

    /// Keeps itself small, after the group has been answered. `idle`: there is a pause, and time to do it well.
    fn tidy(&mut self, idle: bool) {
        let _ = idle;
    }
}

/// No medium at all.
pub(crate) struct Nothing;

impl Backend for Nothing {
    fn write(&mut self, _: &[Planned]) -> Result<(), String> {
        Ok(())
    }

    fn set_floor(&mut self, _: u64) -> Result<(), String> {
        Ok(())
    }

    fn prune(&mut self) -> Result<bool, String> {
        Ok(false)
    }
}

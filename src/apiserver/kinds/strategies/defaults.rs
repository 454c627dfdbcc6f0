//! Kinds with nothing special but their defaults.

use crate::kinds::defaults::{Rule, fill};
use crate::registry::{Context, Strategy};
use alcove_object::Value;

/// Defaults that are rules.
pub(crate) struct Filled(pub(crate) &'static [Rule]);

impl Strategy for Filled {
    fn default(&self, object: &mut Value) {
        fill(object, self.0);
    }

    // Some defaults stand in the status, which a new object has just lost.
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        fill(object, self.0);
    }
}

/// Defaults that are a function.
pub(crate) struct By(pub(crate) fn(&mut Value));

impl Strategy for By {
    fn default(&self, object: &mut Value) {
        (self.0)(object);
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        (self.0)(object);
    }
}

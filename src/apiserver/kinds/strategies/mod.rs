//! The strategies: what is special about single kinds.

pub(super) mod defaults;

pub(super) use defaults::{By, Filled};

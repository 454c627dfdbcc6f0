//! What a Kubernetes object is, as far as every room agrees: identity, metadata, names, quantities, times,
//! selectors, and the `Status` that says why a request failed.
//!
//! An object is a [`serde_json::Value`] tree while somebody works on it, and bytes everywhere else. This room
//! gives names to what is inside such a tree and knows no kind in particular.
//!
//! **Invariants.** Pure: no clock, no randomness, no I/O; what needs them takes an [`env::Env`]. Nothing here
//! panics on input. It must not know schemas, storage, HTTP or any single resource kind.

pub mod condition;
pub mod env;
pub mod field;
pub mod gather;
pub mod gvk;
pub mod lean;
pub mod meta;
pub mod name;
pub mod quantity;
pub mod scan;
pub mod selector;
pub mod status;
pub mod time;
pub mod tree;
pub mod validate;
pub mod write;

pub use env::Env;
pub use gvk::{Gvk, Gvr};
pub use quantity::Quantity;
pub use serde_json::Value;
pub use status::{Reason, Status, settled};

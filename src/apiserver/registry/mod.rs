//! The resource registry: one descriptor per served resource, and the strategy hooks of the kinds that need one.
//!
//! A descriptor is data: scope, verbs, names, subresources, rules for names, generation and updates, selectable
//! fields, table columns. Built-in kinds come from rows in [`crate::kinds`], custom resources will come from their
//! definitions; the pipeline cannot tell them apart.

mod lookup;
mod resource;
mod strategy;

pub use lookup::Registry;
pub use resource::{
    Cell, Column, Deletion, Generation, NameRule, Resource, Rules, Selectable, Subresource, SubresourceKind,
    VerbSet,
};
pub use strategy::{Context, Plain, Strategy};

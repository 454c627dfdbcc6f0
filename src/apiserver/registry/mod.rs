//! The resource registry: one descriptor per served resource, and the strategy hooks of the kinds that need one.
//!
//! A descriptor is data: scope, verbs, names, subresources, rules for names, generation and updates, selectable
//! fields, table columns. Built-in kinds come from rows in [`crate::kinds`], custom resources from their definitions
//! ([`crate::custom`]); the pipeline is the same.

mod custom;
mod gates;
mod lookup;
mod resource;
mod strategy;

pub use custom::{Custom, head};
pub use gates::{Gated, Gates};
pub use lookup::Registry;
pub use resource::{
    Cell, Column, Deletion, FieldValue, Generation, NameRule, Resource, Rules, ScalePaths, Selectable,
    Subresource, SubresourceKind, VerbSet,
};
pub use strategy::{Context, Hooks, Plain, Strategy};

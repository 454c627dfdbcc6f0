//! The one form in which alcove knows types, and everything that is driven by it.
//!
//! Built-in kinds of every served minor and custom resources are the same thing here: a [`Types`] arena of
//! [`Schema`]s. Decoding JSON, YAML and protobuf, strict field validation, pruning, strategic merge patch,
//! server-side apply and OpenAPI read that form and nothing else; none of them knows a kind by name.
//!
//! **Invariants.** Pure: functions from values to values, no clock, no I/O. No recursion without a depth limit
//! ([`limits`]). What works for a built-in kind works for a custom one. This room must not know HTTP, storage, or
//! what a controller does; defaulting code and validation rules of single kinds live with the API server's registry.

pub mod apply;
pub mod builtin;
pub mod custom;
mod declared;
pub mod decode;
mod go;
pub mod limits;
pub mod openapi;
pub mod patch;
mod tree;
pub mod types;

pub use declared::declare;
pub use tree::Tree;
pub use types::{End, Field, InOrder, ListKind, Minor, Omit, Schema, SchemaId, Shape, Types, View};

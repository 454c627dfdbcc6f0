//! Who may do what, over TLS: plain users with certificates, service accounts with tokens, and strangers.

#![allow(clippy::unwrap_used)] // in tests a panic is the failure

mod certificates;
mod roles;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod world;

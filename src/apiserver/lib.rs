//! The Kubernetes API: one resource pipeline, driven by a table of resource descriptors, behind HTTP and behind an
//! in-process [`Client`].
//!
//! A request becomes a [`request::RequestInfo`] once; authentication, authorization, admission, routing, audit and
//! metrics all read that value. Reads, lists and watches move the store's shared bytes and parse nothing. A write
//! parses its body once, runs decode → default → patch → strategy → admit → validate, and hands bytes to the store.
//!
//! **Invariants.** No handler per kind: a kind is a row in [`kinds`] plus, if it is special, one strategy file.
//! Errors become `metav1.Status` in one place. Nothing outside this room knows HTTP serving. This room must not know
//! that a host cluster exists.

pub mod admission;
pub mod aggregation;
pub mod authn;
pub mod authorization;
pub mod bootstrap;
pub mod certs;
pub mod client;
pub mod cron;
pub mod custom;
pub mod discovery;
mod errors;
pub mod flow;
pub mod health;
pub mod http;
pub mod kinds;
pub mod metrics;
pub mod openapi;
pub mod options;
pub mod outbound;
pub mod pod_security;
pub mod quota;
pub mod registry;
pub mod request;
pub mod rest;
pub mod reviews;
pub mod server;
mod system;
pub mod table;
pub mod testing;
pub mod user;
pub mod version;
pub mod webhook;

pub use bootstrap::bootstrap;
pub use client::{Client, Event, Object, ObjectList, Watch};
pub use server::{ApiServer, Server, ServerConfig};
pub use system::SystemEnv;
pub use user::User;

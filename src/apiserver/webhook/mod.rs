//! Calls out of the server: HTTPS to webhooks that tenants name, for admission and whatever else asks them.
//!
//! [`ClientConfig`] is `clientConfig` of a configuration, read once with its authority; [`Webhooks`] finds where it
//! leads and sends one review. Services are found by a [`ResolveService`], so that this room need not know how their
//! addresses are reached.
//!
//! **Invariants.** TLS always, judged by the given authority alone. An answer has a size and a time; redirects are not
//! followed. Nothing of the caller's (tokens, headers) goes along.

mod client;
mod config;
mod services;

pub use client::Webhooks;
pub(crate) use client::{cause, tls_cause};
pub use config::ClientConfig;
pub use services::{ResolveService, StoreServices};

/// Bytes of an answer; past it, the call has failed.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

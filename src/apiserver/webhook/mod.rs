//! Reviews sent to webhooks that tenants name, for admission and conversion.
//!
//! A [`Webhook`] is `clientConfig` of a configuration, read once; it sends one review and gives the answer.
//!
//! **Invariants.** An answer has a size and a time. Nothing of the caller's (tokens, headers) goes along.

mod client;
mod config;

pub use config::Webhook;

/// Bytes of an answer; past it, the call has failed.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

//! HTTPS to servers outside: webhooks that tenants name, and API servers that serve groups of ours.
//!
//! A [`Peer`] is one such server with the connections that are open to it. Where it is said to be a Service, a
//! [`ResolveService`] finds an address, so that this room need not know how these are reached.
//!
//! **Invariants.** TLS always, judged by the given authority alone. Redirects are not followed. Nothing goes along but
//! the request that a caller made. Errors read as Go's client writes them, since people see them in the answers to
//! their requests.

mod peer;
mod services;
mod trust;

pub use peer::{Peer, Place, collect};
pub use services::{ResolveService, StoreServices};
pub use trust::{Tls, builder, bundle};

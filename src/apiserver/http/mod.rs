//! The HTTP front: everything between a socket and the resource pipeline.
//!
//! [`serve`] takes connections, TLS and shutdown; [`handle`] takes one request through authentication, limits and
//! authorization; [`resource`] and [`plain`] turn it into an operation of [`crate::server::ApiServer`], or into one of
//! the documents that are no objects; [`objects`], [`watch`] and [`respond`] write the answer.
//!
//! **Invariants.** What a request is about is read once, in [`request`]. A client that hangs up tears no write. A panic
//! ends one request. Lists and watches go out as slices of the store's bytes. This room must not know what a kind means.

mod activity;
pub mod body;
mod coalesce;
pub mod handle;
mod impersonation;
pub mod limits;
pub mod negotiate;
pub mod objects;
mod openapi;
pub mod options;
pub mod plain;
pub mod pretty;
mod protobuf;
pub mod request;
pub mod resource;
pub mod respond;
pub mod serve;
pub mod splice;
pub mod watch;

pub use limits::Limits;
pub use serve::{provider, serve, tls_config};

use crate::authn::Authenticator;
use crate::discovery::Discovery;
use crate::flow::Gate;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::openapi::OpenApi;
use crate::server::Server;
use std::sync::Arc;

/// What a front needs beside the server.
pub struct FrontConfig {
    /// The API behind it.
    pub server: Server,
    /// Tells who sends a request.
    pub authenticator: Authenticator,
    /// The checks of `/livez` and `/readyz`.
    pub health: Health,
    /// Limits.
    pub limits: Limits,
    /// Where requests get their seats.
    pub gate: Arc<Gate>,
    /// `host:port` under which clients reach the server; `/api` tells it.
    pub address: String,
}

/// The HTTP front of one server.
pub struct Front {
    pub(crate) server: Server,
    pub(crate) authenticator: Authenticator,
    pub(crate) health: Health,
    pub(crate) limits: Limits,
    pub(crate) gate: Arc<Gate>,
    pub(crate) address: String,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) discovery: Discovery,
    pub(crate) openapi: OpenApi,
    /// Turns true when the server shuts down: watches end on it.
    pub(crate) closing: tokio::sync::watch::Sender<bool>,
}

impl Front {
    /// A front that serves nobody yet.
    pub fn new(config: FrontConfig) -> Arc<Front> {
        Arc::new(Front {
            server: config.server,
            authenticator: config.authenticator,
            health: config.health,
            limits: config.limits,
            gate: config.gate,
            address: config.address,
            metrics: Arc::default(),
            discovery: Discovery::default(),
            openapi: OpenApi::default(),
            closing: tokio::sync::watch::Sender::new(false),
        })
    }
}

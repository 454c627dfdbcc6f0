//! What can go wrong in a command. Each text is a sentence that says what to do.

use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start: {source}")]
    Runtime { source: std::io::Error },
    #[error("cannot use {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("there is no place to keep data: set --data, $XDG_DATA_HOME or $HOME")]
    NoDataDirectory,
    #[error("say where to keep data: --data DIR, or `data: DIR` in the configuration file")]
    NoData,
    #[error(
        "port {port} is taken; stop what uses it, or choose another one with --port (0 takes a free one)"
    )]
    PortTaken { port: u16 },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("--port {first} leaves no room for {count} clusters; choose a lower one")]
    PortsEnd { first: u16, count: usize },
    #[error("{path}: {detail}")]
    Config { path: PathBuf, detail: String },
    #[error("--runtime-config: {0}")]
    RuntimeConfig(#[from] alcove_schema::builtin::BadRuntimeConfig),
    #[error("the log filter {filter:?} is not understood: {detail}")]
    LogFilter { filter: String, detail: String },
    #[error(transparent)]
    Store(#[from] alcove_store::OpenError),
    #[error(transparent)]
    Certificates(#[from] alcove_apiserver::certs::Error),
    #[error(transparent)]
    Keys(#[from] alcove_apiserver::authn::KeyError),
    #[error("the cluster cannot be set up: {0}")]
    Bootstrap(#[from] alcove_object::Status),
    #[error("the simulated nodes cannot be set up: {0}")]
    Nodes(alcove_controllers::runtime::Failure),
    #[error("the host cluster cannot be reached: {0}")]
    Host(String),
    #[error(
        "namespace {namespace} belongs to the tenant {other}; give {name} a namespace of its own, or let them share it with isolation.sharedWith: [{other}]"
    )]
    Neighbour { name: String, other: String, namespace: String },
    #[error(transparent)]
    Dns(#[from] alcove_dns::Error),
    #[error(transparent)]
    OnHost(#[from] crate::host::Error),
    #[error(transparent)]
    Contexts(#[from] crate::contexts::Error),
    #[error(transparent)]
    Tenants(#[from] crate::tenants::Error),
    #[error(transparent)]
    Command(#[from] crate::commands::Error),
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    #[error("{what} was not ready after {seconds} s; look at the log with --log info")]
    NotReady { what: String, seconds: u64 },
}

impl Error {
    /// The error with its causes, each once.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.contains(&next) {
                text = format!("{text}: {next}");
            }
            cause = error.source();
        }
        text
    }
}

//! exec, attach, port-forward, logs and the proxies: this room authorizes and admits them, somebody else answers.

use super::{Caller, Target};
use alcove_object::Status;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

/// A streamed HTTP body, request or response.
pub type HttpBody =
    http_body_util::combinators::UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync + 'static>>;

/// One connection to be answered.
pub struct Connection {
    /// Who asks.
    pub caller: Caller,
    /// The subresource of the object that it goes to.
    pub target: Target,
    /// What follows the subresource in the path (proxies).
    pub tail: String,
    /// The request, query included; `hyper::upgrade::on` works on it.
    pub request: http::Request<HttpBody>,
}

/// Answers connections: the syncer by relaying to the host, an embedded host by itself.
pub trait Connector: Send + Sync {
    /// Answers one connection.
    fn connect(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<HttpBody>, Status>> + Send + '_>>;
}

//! exec, attach, port-forward, logs and the proxies: this room authorizes and admits them, somebody else answers.

use super::write::Write;
use super::{Caller, Target};
use crate::options::WriteOptions;
use crate::request::Verb;
use crate::server::ApiServer;
use alcove_object::field::quote;
use alcove_object::{Status, Value};
use alcove_schema::Minor;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A streamed HTTP body, request or response.
pub type HttpBody =
    http_body_util::combinators::UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync + 'static>>;

/// A body with nothing in it.
pub fn no_body() -> HttpBody {
    HttpBody::new(http_body_util::Empty::new().map_err(|never| match never {}))
}

/// One connection to be answered.
pub struct Connection {
    /// Who asks.
    pub caller: Caller,
    /// The subresource of the object that it goes to.
    pub target: Target,
    /// What follows the subresource in the path (proxies).
    pub tail: String,
    /// What it is asked for with (PodExecOptions and its like), for admission to see. Null: admission is not asked.
    pub options: Value,
    /// The request, query included; `hyper::upgrade::on` works on it.
    pub request: http::Request<HttpBody>,
}

/// What ends with a request that asks to become something else: its places among the connections that are open and the
/// requests that are under way. It stands in the request's extensions; whoever takes the connection over keeps those
/// until its last byte.
#[derive(Clone, Default)]
pub struct Held(Vec<Arc<dyn Any + Send + Sync>>);

impl Held {
    /// Lets something end with the request.
    pub fn keep<B>(request: &mut http::Request<B>, what: Arc<dyn Any + Send + Sync>) {
        request.extensions_mut().get_or_insert_default::<Held>().0.push(what);
    }
}

/// Answers connections: the syncer by relaying to the host, an embedded host by itself.
pub trait Connector: Send + Sync {
    /// Answers one connection.
    fn connect(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<HttpBody>, Status>> + Send + '_>>;
}

impl ApiServer {
    /// Admits a connection and hands it to the connector. Logs are read, not connected to: no step sees them. 403 for who may get but not create what runs in pods, 404 when
    /// its object is not there, 503 without a connector.
    pub async fn connect(&self, connection: Connection) -> Result<http::Response<HttpBody>, Status> {
        self.authorize_create(&connection)?;
        let name = object_name(&connection.target)?.to_owned();
        let parent = Target { subresource: None, name, ..connection.target.clone() };
        self.get_newest(&parent)?;
        if !connection.options.is_null() {
            let options = WriteOptions::default();
            let mut write = Write::new(self, &connection.caller, &connection.target, &options);
            let mut object = connection.options.clone();
            write.mutate(Verb::Connect, &mut object, None).await?;
            write.admit(Verb::Connect, &mut object, None).await?;
        }
        match &self.connector {
            Some(connector) => connector.connect(connection).await,
            None => Err(Status::unavailable("nothing that runs pods is connected to this server")),
        }
    }
}

impl ApiServer {
    /// What a WebSocket's GET starts in a pod needs the right to create it, as the POST of older clients does: whoever
    /// may only read must not run commands (k8s.io/kubernetes/pkg/registry/core/pod/rest/authorize.go, from 1.35 on).
    fn authorize_create(&self, connection: &Connection) -> Result<(), Status> {
        let runs = matches!(connection.target.subresource_name(), "exec" | "attach" | "portforward");
        if !runs || self.minor < Minor(35) || connection.request.method() == http::Method::POST {
            return Ok(());
        }
        let action = connection.target.action(Verb::Create);
        let gvr = &connection.target.resource.gvr;
        let allowed = self.authorizer.authorize(&connection.caller.user, &action);
        allowed.map_err(|why| Status::forbidden(&gvr.group, &gvr.resource, action.name, &why))
    }
}

/// The object that a connection goes to: proxies take `[scheme:]name[:port]`
/// (k8s.io/apimachinery/pkg/util/net/port_split.go). 400 for what is no such thing.
fn object_name(target: &Target) -> Result<&str, Status> {
    if target.subresource_name() != "proxy" {
        return Ok(&target.name);
    }
    let parts: Vec<&str> = target.name.split(':').collect();
    let name = match parts.as_slice() {
        ["" | "http" | "https", name, _port] => *name,
        [name] | [name, _] => *name,
        _ => "",
    };
    if !name.is_empty() {
        return Ok(name);
    }
    let one = &target.resource.singular;
    Err(Status::bad_request(format!("invalid {one} request {}", quote(&target.name))))
}

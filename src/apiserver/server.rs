//! The API server itself: what all requests share, and the operations that HTTP and the in-process client call.

use crate::admission::Admission;
use crate::authorization::{Action, Authorizer};
use crate::client::{Client, Object, ObjectList, Watch};
use crate::options::{DeleteOptions, ListOptions, PatchType, WriteOptions};
use crate::registry::{Registry, Resource};
use crate::rest::{Answered, Body, Caller, Connection, Connector, Deleted, HttpBody, Target};
use crate::user::User;
use alcove_object::{Env, Status};
use alcove_schema::Minor;
use alcove_store::Store;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What a server is made of.
pub struct ServerConfig {
    /// The minor version served.
    pub minor: Minor,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// Where objects live.
    pub store: Store,
    /// The served resources, in the order of discovery.
    pub resources: Vec<Arc<Resource>>,
    /// Admission steps, in the order in which they run.
    pub admission: Vec<Arc<dyn Admission>>,
    /// Decides who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Answers exec, logs, port-forward and the proxies; without one they fail with 503.
    pub connector: Option<Arc<dyn Connector>>,
}

/// A shared server: cheap to clone.
pub type Server = Arc<ApiServer>;

/// The Kubernetes API over one store.
pub struct ApiServer {
    /// The minor version served.
    pub minor: Minor,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// Where objects live.
    pub store: Store,
    registry: ArcSwap<Registry>,
    pub(crate) admission: Vec<Arc<dyn Admission>>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) connector: Option<Arc<dyn Connector>>,
}

#[allow(unused_variables)]
impl ApiServer {
    /// Puts a server together.
    pub fn new(config: ServerConfig) -> Server {
        Arc::new(ApiServer {
            minor: config.minor,
            env: config.env,
            store: config.store,
            registry: ArcSwap::from_pointee(Registry::new(config.resources)),
            admission: config.admission,
            authorizer: config.authorizer,
            connector: config.connector,
        })
    }

    /// The resources served right now.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.load_full()
    }

    /// Serves other resources from now on. Requests that are under way finish with what they started with.
    pub fn replace_registry(&self, registry: Registry) {
        self.registry.store(Arc::new(registry));
    }

    /// The API as one user sees it, without a socket. `manager` owns the fields that it writes.
    pub fn client(self: &Arc<Self>, user: User, manager: &str) -> Client {
        Client::new(self.clone(), Caller { user, manager: manager.to_owned() })
    }

    /// 403 unless the user may do this.
    pub fn authorize(&self, user: &User, action: &Action<'_>) -> Result<(), Status> {
        self.authorizer.authorize(user, action).map_err(|reason| action.forbidden(user, &reason))
    }

    /// One object, or its `status` or `scale`. `resource_version` as sent: empty or `0`, or the oldest acceptable.
    pub async fn get(&self, target: &Target, resource_version: &str) -> Result<Object, Status> {
        todo!("pipeline")
    }

    /// A page of objects.
    pub async fn list(&self, target: &Target, options: &ListOptions) -> Result<ObjectList, Status> {
        todo!("pipeline")
    }

    /// Events of a collection. Errors that upstream sends on the started stream come from the watch itself.
    pub async fn watch(&self, target: &Target, options: &ListOptions) -> Result<Watch, Status> {
        todo!("pipeline")
    }

    /// Creates an object, or posts to a subresource (binding, eviction, token).
    pub async fn create(
        &self,
        caller: &Caller,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> Result<Answered, Status> {
        todo!("pipeline")
    }

    /// Replaces an object or a subresource of it.
    pub async fn update(
        &self,
        caller: &Caller,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> Result<Answered, Status> {
        todo!("pipeline")
    }

    /// Patches an object or a subresource of it. The body's encoding is JSON, and for applies JSON or YAML.
    pub async fn patch(
        &self,
        caller: &Caller,
        target: &Target,
        kind: PatchType,
        body: Body,
        options: &WriteOptions,
    ) -> Result<Answered, Status> {
        todo!("pipeline")
    }

    /// Deletes an object, or starts its end.
    pub async fn delete(
        &self,
        caller: &Caller,
        target: &Target,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        todo!("pipeline")
    }

    /// Deletes what the list options select, one by one, and gives the list as it was.
    pub async fn delete_collection(
        &self,
        caller: &Caller,
        target: &Target,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<ObjectList, Status> {
        todo!("pipeline")
    }

    /// Admits a connection and hands it to the connector.
    pub async fn connect(&self, connection: Connection) -> Result<http::Response<HttpBody>, Status> {
        todo!("pipeline")
    }
}

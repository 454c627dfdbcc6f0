//! The in-process client: the Kubernetes API without a socket, for controllers, the syncer and the sandbox.
//!
//! It takes the same way through the pipeline as a request from the wire (authorization, admission, validation
//! included); only HTTP and encoding are left out. Reads and watches hand out the store's shared bytes; who needs a
//! tree parses it and drops it again, so that no object is held twice.

use crate::aggregation::read::{delete, read};
use crate::aggregation::{Place, Remote};
use crate::authorization::Action;
use crate::options::{DeleteOptions, ListOptions, PatchType, WriteOptions};
use crate::request::Verb;
pub use crate::rest::Watch;
use crate::rest::{Body, Caller, DeletedAnswer, Target};
use crate::server::Server;
use crate::user::User;
use alcove_object::{Gvr, Reason, Status, Value, meta, scan, time};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

/// What a write comes to. In a box, so that the whole way of a write is compiled here once: the body of an `async fn` is
/// compiled anew in every crate that awaits it, with all that it awaits itself.
pub type Written<'a, T> = BoxFuture<'a, Result<T, Status>>;

/// The Kubernetes API as one user sees it. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    server: Server,
    caller: Caller,
}

/// One object as the store has it: JSON bytes that all readers share, resourceVersion included.
#[derive(Clone, Debug)]
pub struct Object {
    /// `metadata.resourceVersion` as a number.
    pub revision: u64,
    /// `namespace/name`, or the name of a cluster-scoped object.
    pub key: Arc<str>,
    /// The whole object in JSON.
    pub bytes: Bytes,
}

impl Object {
    /// The namespace, empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&self.key, |(_, name)| name)
    }

    /// The object as a tree.
    pub fn parse(&self) -> Value {
        scan::tree(&self.bytes).expect("the store holds only JSON that this server wrote")
    }
}

/// A page of objects.
#[derive(Clone, Debug)]
pub struct ObjectList {
    /// The store's revision when the page was read: where a watch goes on.
    pub revision: u64,
    /// The objects, in key order.
    pub items: Vec<Object>,
    /// Token for the next page, empty on the last one.
    pub continue_token: String,
    /// How many items follow this page, when that is known.
    pub remaining: Option<u64>,
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new object, or one that a selector now matches.
    Added(Object),
    /// A changed object.
    Modified(Object),
    /// An object's last state, with the revision of its deletion.
    Deleted(Object),
    /// Everything up to this revision was told. `initial_end`: the initial state is complete.
    Bookmark {
        /// The revision.
        revision: u64,
        /// Whether this ends the initial events of a watch-list.
        initial_end: bool,
    },
}

impl Client {
    /// The API of this server for this caller.
    pub(crate) fn new(server: Server, caller: Caller) -> Client {
        Client { server, caller }
    }

    /// The same API as another user.
    pub fn as_user(&self, user: User) -> Client {
        Client { server: self.server.clone(), caller: Caller { user, manager: self.caller.manager.clone() } }
    }

    fn target(
        &self,
        resource: &Gvr,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Target, Status> {
        Target::named(&self.server.registry(), resource, subresource, namespace, name)
    }

    fn authorize(&self, target: &Target, verb: Verb) -> Result<(), Status> {
        self.server.authorize(&self.caller.user, &target.action(verb))
    }

    /// One object. `namespace` is empty for cluster-scoped resources.
    pub fn get(&self, resource: &Gvr, namespace: &str, name: &str) -> Result<Object, Status> {
        let target = self.target(resource, "", namespace, name)?;
        self.authorize(&target, Verb::Get)?;
        self.server.get_newest(&target)
    }

    /// Objects of one namespace, or of all when `namespace` is empty.
    pub fn list(&self, resource: &Gvr, namespace: &str, options: &ListOptions) -> Result<ObjectList, Status> {
        let target = self.target(resource, "", namespace, "")?;
        self.authorize(&target, Verb::List)?;
        self.server.list_now(&target, options)
    }

    /// What another server has in a place, as it tells this user. 404 when nobody serves that group-version.
    pub async fn read_aggregated(&self, place: &Place<'_>) -> Result<Value, Status> {
        let verb = if place.name.is_empty() { Verb::List } else { Verb::Get };
        read(&*self.remote(place, verb)?, place, &self.caller.user).await
    }

    /// Deletes what another server has in a place, one object or a whole collection.
    pub async fn delete_aggregated(&self, place: &Place<'_>) -> Result<(), Status> {
        let verb = if place.name.is_empty() { Verb::DeleteCollection } else { Verb::Delete };
        delete(&*self.remote(place, verb)?, place, &self.caller.user).await
    }

    /// Who serves a place, if this user may do this there.
    fn remote(&self, place: &Place<'_>, verb: Verb) -> Result<Arc<Remote>, Status> {
        let action = Action {
            is_resource: true,
            verb: verb.as_str(),
            group: place.group,
            version: place.version,
            resource: place.resource,
            subresource: place.subresource,
            namespace: place.namespace,
            name: place.name,
            path: "",
        };
        self.server.authorize(&self.caller.user, &action)?;
        let registry = self.server.registry();
        let remote = registry.remote_of(place.group, place.version);
        remote.cloned().ok_or_else(|| place.unexplained("get", 404, b""))
    }

    /// Events after `options.resource_version`, or with the current state first when it is empty or
    /// `send_initial_events` is set.
    pub fn watch(&self, resource: &Gvr, namespace: &str, options: &ListOptions) -> Result<Watch, Status> {
        let target = self.target(resource, "", namespace, "")?;
        self.authorize(&target, Verb::Watch)?;
        self.server.watch_now(&target, options)
    }

    /// One object, or nothing if it is not there.
    pub fn find(&self, resource: &Gvr, namespace: &str, name: &str) -> Result<Option<Object>, Status> {
        match self.get(resource, namespace, name) {
            Ok(found) => Ok(Some(found)),
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// A token for a service account, and when it ends. `spec` is that of a TokenRequest.
    pub async fn request_token(
        &self,
        namespace: &str,
        account: &str,
        spec: Value,
    ) -> Result<(String, Timestamp), Status> {
        let accounts = Gvr::new("", "v1", "serviceaccounts");
        let request =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
        let answer = self.create_subresource(&accounts, "token", namespace, account, request).await?;
        let text = |field: &str| answer["status"][field].as_str().unwrap_or_default();
        let ends = time::parse(text("expirationTimestamp"))
            .ok_or_else(|| Status::internal("a token without an end".to_owned()))?;
        Ok((text("token").to_owned(), ends))
    }

    /// Creates an object and gives it as stored.
    pub fn create<'a>(&'a self, resource: &'a Gvr, namespace: &'a str, object: Value) -> Written<'a, Object> {
        Box::pin(async move {
            let target = self.target(resource, "", namespace, "")?;
            self.authorize(&target, Verb::Create)?;
            let options = WriteOptions::default();
            Ok(self.server.create(&self.caller, &target, Body::Tree(object), &options).await?.object)
        })
    }

    /// Replaces an object. A resourceVersion in it is a precondition.
    pub fn update<'a>(&'a self, resource: &'a Gvr, namespace: &'a str, object: Value) -> Written<'a, Object> {
        self.update_subresource(resource, "", namespace, object)
    }

    /// Replaces an object through a subresource, such as `status`.
    pub fn update_subresource<'a>(
        &'a self,
        resource: &'a Gvr,
        subresource: &'a str,
        namespace: &'a str,
        object: Value,
    ) -> Written<'a, Object> {
        Box::pin(async move {
            let target = self.target(resource, subresource, namespace, meta::name(&object))?;
            self.authorize(&target, Verb::Update)?;
            let options = WriteOptions::default();
            Ok(self.server.update(&self.caller, &target, Body::Tree(object), &options).await?.object)
        })
    }

    /// Posts to a subresource, such as `binding`; gives the answer's tree.
    pub fn create_subresource<'a>(
        &'a self,
        resource: &'a Gvr,
        subresource: &'a str,
        namespace: &'a str,
        name: &'a str,
        object: Value,
    ) -> Written<'a, Value> {
        Box::pin(async move {
            let target = self.target(resource, subresource, namespace, name)?;
            self.authorize(&target, Verb::Create)?;
            let options = WriteOptions::default();
            Ok(self.server.create(&self.caller, &target, Body::Tree(object), &options).await?.object.parse())
        })
    }

    /// Puts a pod on a node and writes its status, in one write: what a post of this Binding and a put to `status` would
    /// do one after the other, with the rights and checks of both. A `uid` and a `resourceVersion` in the Binding are
    /// preconditions. Gives the pod as it is then.
    pub fn bind_with_status(&self, binding: Value, status: Value) -> Written<'_, Object> {
        Box::pin(async move {
            let pods = Gvr::new("", "v1", "pods");
            let (namespace, name) = (meta::namespace(&binding).to_owned(), meta::name(&binding).to_owned());
            let target = self.target(&pods, "binding", &namespace, &name)?;
            self.authorize(&target, Verb::Create)?;
            self.authorize(&self.target(&pods, "status", &namespace, &name)?, Verb::Update)?;
            let binding = Body::Tree(binding);
            Ok(self.server.bind_with_status(&self.caller, &target, binding, status).await?.object)
        })
    }

    /// Patches an object, or a subresource of it when that is not empty.
    #[allow(clippy::too_many_arguments)] // what a PATCH request says, no more
    pub fn patch<'a>(
        &'a self,
        resource: &'a Gvr,
        subresource: &'a str,
        namespace: &'a str,
        name: &'a str,
        kind: PatchType,
        patch: Value,
        options: &'a WriteOptions,
    ) -> Written<'a, Object> {
        Box::pin(async move {
            let target = self.target(resource, subresource, namespace, name)?;
            self.authorize(&target, Verb::Patch)?;
            Ok(self.server.patch(&self.caller, &target, kind, Body::Tree(patch), options).await?.object)
        })
    }

    /// Deletes an object. `None`: it is gone; otherwise it stays until its finalizers or grace end.
    pub fn delete<'a>(
        &'a self,
        resource: &'a Gvr,
        namespace: &'a str,
        name: &'a str,
        options: &'a DeleteOptions,
    ) -> Written<'a, Option<Object>> {
        Box::pin(async move {
            let target = self.target(resource, "", namespace, name)?;
            self.authorize(&target, Verb::Delete)?;
            let deleted = self.server.delete(&self.caller, &target, options).await?;
            Ok(match deleted.answer {
                DeletedAnswer::Object(object) if !deleted.gone => Some(object),
                _ => None,
            })
        })
    }
}

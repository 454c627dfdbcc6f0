//! What every cluster has from its first moment: the system's namespaces, and the objects that kinds ask for.

use crate::client::Client;
use crate::server::Server;
use crate::user::User;
use alcove_object::{Gvk, Reason, Status, Value, meta, settled};
use futures_util::future::try_join_all;
use serde_json::json;

/// Namespaces that the server itself makes, and makes again when it starts
/// (k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces).
pub const SYSTEM_NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what a cluster must have and does not have yet: the system's namespaces, then `objects`
/// ([`crate::kinds::bootstrap::objects`]).
pub async fn bootstrap(server: &Server, objects: &[Value]) -> Result<(), Status> {
    let client = server.client(User::component("system:apiserver"), "kube-apiserver");
    let namespaces = SYSTEM_NAMESPACES
        .iter()
        .map(|name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
    // All of a kind together, so that they share a commit.
    try_join_all(namespaces.map(|object| make(server, &client, object))).await?;
    try_join_all(objects.iter().map(|object| make(server, &client, object.clone()))).await?;
    Ok(())
}

async fn make(server: &Server, client: &Client, object: Value) -> Result<(), Status> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let kind = Gvk::from_api_version(text("apiVersion"), text("kind"));
    let registry = server.registry();
    // A kind that this minor does not serve is nothing to make.
    let Some(resource) = registry.kind(&kind) else { return Ok(()) };
    let namespace = meta::namespace(&object).to_owned();
    if client.get(&resource.gvr, &namespace, meta::name(&object)).is_ok() {
        return Ok(());
    }
    settled(client.create(&resource.gvr, &namespace, object).await, &[Reason::ALREADY_EXISTS])
}

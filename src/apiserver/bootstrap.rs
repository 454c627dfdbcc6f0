//! What every cluster has from its first moment: the system's namespaces.

use crate::server::Server;
use crate::user::User;
use alcove_object::{Gvr, Reason, Status};
use serde_json::json;

/// Namespaces that the server itself makes, and makes again when it starts
/// (k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces).
pub const SYSTEM_NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what a cluster must have and does not have yet.
pub async fn bootstrap(server: &Server) -> Result<(), Status> {
    let client = server.client(User::component("system:apiserver"), "kube-apiserver");
    let namespaces = Gvr::new("", "v1", "namespaces");
    for name in SYSTEM_NAMESPACES {
        if client.get(&namespaces, "", name).is_ok() {
            continue;
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match client.create(&namespaces, "", namespace).await {
            Err(status) if !status.is(Reason::ALREADY_EXISTS) => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

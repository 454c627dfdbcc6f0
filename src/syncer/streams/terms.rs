//! What the host says about an object, in the words of its tenant.

use crate::translate::{self, Owner, Tenant, host_name};
use alcove_object::{Reason, Status, Value, meta};

/// One object's names on both sides.
pub struct Terms {
    tenant: Tenant,
    owner: Owner,
    /// Namespace on the host.
    pub host_namespace: String,
    /// Name on the host.
    pub host_name: String,
}

impl Terms {
    /// Of this object of the tenant.
    pub fn new(tenant: &Tenant, object: &Value) -> Terms {
        let (namespace, name) = (meta::namespace(object), meta::name(object));
        Terms {
            tenant: tenant.clone(),
            owner: Owner { namespace: namespace.to_owned(), name: name.to_owned(), uid: String::new() },
            host_namespace: tenant.host_namespace.clone(),
            host_name: host_name(tenant, namespace, name),
        }
    }

    /// A text.
    pub fn text(&self, text: &str) -> String {
        translate::in_tenant_terms(&self.tenant, &self.owner, text)
    }

    /// A refusal. That our own credentials are not taken is nothing that the tenant could do anything about; what they
    /// may not do names the platform team's accounts, so it is said in other words.
    pub fn status(&self, mut status: Status) -> Status {
        let message = self.text(&status.message);
        if status.code == 401 {
            tracing::warn!(said = status.message, "the host does not take the syncer's credentials");
            return Status::unavailable(
                "the host cluster does not let this cluster in now; ask the platform team",
            );
        }
        if status.is(Reason::FORBIDDEN)
            && status.message.contains(" cannot ")
            && status.message.contains("User \"")
        {
            tracing::warn!(said = status.message, "the syncer lacks a right on the host");
            let why = "this cluster may not do that on its host; ask the platform team";
            let kind = status.details.as_ref().map_or("pods", |details| &*details.kind);
            return Status::forbidden("", kind, &self.owner.name, why);
        }
        status.message = message;
        if let Some(details) = &mut status.details {
            details.uid.clear();
            if details.name == self.host_name {
                details.name = self.owner.name.clone();
            }
            for cause in &mut details.causes {
                cause.message = self.text(&cause.message);
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn terms() -> Terms {
        let tenant = Tenant { cluster: "demo".into(), host_namespace: "team-a".into() };
        Terms::new(&tenant, &json!({ "metadata": { "namespace": "default", "name": "web" } }))
    }

    fn said(status: Status) -> (u16, String) {
        let status = terms().status(status);
        (status.code, status.message.clone())
    }

    #[test]
    fn the_hosts_names_do_not_show() {
        let waiting =
            r#"container "main" in pod "web-x-default-x-demo" is waiting to start: ContainerCreating"#;
        let ours = r#"container "main" in pod "web" is waiting to start: ContainerCreating"#;
        assert_eq!(said(Status::bad_request(waiting)), (400, ours.to_owned()));
        let status = terms().status(Status::not_found("", "pods", "web-x-default-x-demo"));
        assert_eq!(status.details.as_ref().unwrap().name, "web");
        assert_eq!(status.message, r#"pods "web" not found"#);
    }

    #[test]
    fn the_syncers_troubles_are_not_the_tenants() {
        assert_eq!(said(Status::unauthorized()).0, 503);
        let right = r#"User "system:serviceaccount:team-a:demo" cannot create resource "pods/exec" in API group "" in the namespace "team-a""#;
        let (code, message) = said(Status::forbidden("", "pods", "web-x-default-x-demo", right));
        assert_eq!(code, 403);
        assert_eq!(
            message,
            r#"pods "web" is forbidden: this cluster may not do that on its host; ask the platform team"#
        );
        let policy = Status::forbidden("", "pods", "web-x-default-x-demo", "no shells on Fridays");
        assert_eq!(said(policy), (403, r#"pods "web" is forbidden: no shells on Fridays"#.to_owned()));
    }
}

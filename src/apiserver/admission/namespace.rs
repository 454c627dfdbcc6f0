//! NamespaceLifecycle: nothing new in a namespace that is missing or ending, and the system's own namespaces stay
//! (k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle).

use super::{Admission, Admitting, Attributes};
use crate::request::Verb;
use alcove_object::status::{Cause, Details};
use alcove_object::{Status, Value};
use alcove_store::Store;

/// Namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// The admission step.
pub struct NamespaceLifecycle {
    store: Store,
}

impl NamespaceLifecycle {
    /// A step that looks namespaces up in this store.
    pub fn new(store: Store) -> NamespaceLifecycle {
        NamespaceLifecycle { store }
    }

    fn check(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let gvr = &attributes.resource.gvr;
        let is_namespace = gvr.group.is_empty() && gvr.resource == "namespaces";
        if is_namespace && attributes.verb == Verb::Delete && IMMORTAL.contains(&attributes.name) {
            return Err(Status::forbidden(
                "",
                "namespaces",
                attributes.name,
                "this namespace may not be deleted",
            ));
        }
        let is_write = matches!(attributes.verb, Verb::Create | Verb::Update);
        // Whoever asks what they may do in a namespace need not know whether it exists.
        let is_review = gvr.group == "authorization.k8s.io";
        if !is_write || is_review || is_namespace || attributes.namespace.is_empty() {
            return Ok(());
        }
        let namespace = self.store.get("namespaces", attributes.namespace);
        let namespace = namespace.ok_or_else(|| Status::not_found("", "namespaces", attributes.namespace))?;
        match namespace.index.field("status.phase") {
            "Terminating" if attributes.verb == Verb::Create => Err(terminating(attributes)),
            _ => Ok(()),
        }
    }
}

/// 403 with the cause that clients look for.
fn terminating(attributes: &Attributes<'_>) -> Status {
    let (gvr, namespace) = (&attributes.resource.gvr, attributes.namespace);
    let name = match attributes.name {
        "" => attributes.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default(),
        name => name,
    };
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = Status::forbidden(&gvr.group, &gvr.resource, name, &why);
    status.details.get_or_insert_with(Details::default).causes.push(Cause {
        reason: "NamespaceTerminating".into(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".into(),
    });
    status
}

impl Admission for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.check(attributes)))
    }
}

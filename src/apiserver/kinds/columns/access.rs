//! The columns of rbac.authorization.k8s.io and certificates.k8s.io.

use super::{age, name, show, string, text_at, wide};
use crate::kinds::tree::{int, list, some, text};
use crate::registry::Column;
use alcove_object::{Value, condition};
use jiff::SignedDuration;

/// Role bindings and cluster role bindings.
pub(crate) fn role_binding() -> Vec<Column> {
    vec![
        name(),
        string("Role", "The role that is granted.", |binding, _| {
            format!("{}/{}", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name")).into()
        }),
        age(),
        wide(string("Users", "Users that it is granted to.", |binding, _| subjects(binding, "User").into())),
        wide(string("Groups", "Groups that it is granted to.", |binding, _| {
            subjects(binding, "Group").into()
        })),
        wide(string("ServiceAccounts", "Service accounts that it is granted to.", |binding, _| {
            subjects(binding, "ServiceAccount").into()
        })),
    ]
}

fn subjects(binding: &Value, kind: &str) -> String {
    let found = list(binding, "/subjects").iter().filter(|s| text(s, "/kind") == kind);
    let shown = found.map(|s| match kind {
        "ServiceAccount" => format!("{}/{}", text(s, "/namespace"), text(s, "/name")),
        _ => text(s, "/name").to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub(crate) fn certificate_signing_request() -> Vec<Column> {
    vec![
        name(),
        age(),
        string("SignerName", "Who is asked to sign.", text_at!("/spec/signerName" or "<none>")),
        string("Requestor", "Who asks.", text_at!("/spec/username")),
        string("RequestedDuration", "How long the certificate should be valid.", |csr, _| {
            match some(csr, "/spec/expirationSeconds") {
                Some(_) => show::human(SignedDuration::from_secs(int(csr, "/spec/expirationSeconds"))).into(),
                None => "<none>".into(),
            }
        }),
        string("Condition", "Whether it is approved and issued.", |csr, _| condition(csr).into()),
    ]
}

fn condition(csr: &Value) -> String {
    let has = |kind| condition::find(csr, kind).is_some();
    let mut shown = match () {
        () if has("Denied") => "Denied".to_owned(),
        () if has("Approved") => "Approved".to_owned(),
        () => "Pending".to_owned(),
    };
    if has("Failed") {
        shown.push_str(",Failed");
    }
    if !text(csr, "/status/certificate").is_empty() {
        shown.push_str(",Issued");
    }
    shown
}

pub(crate) fn cluster_trust_bundle() -> Vec<Column> {
    vec![name(), string("SignerName", "Whose bundle it is.", text_at!("/spec/signerName" or "<none>"))]
}

pub(crate) fn pod_certificate_request() -> Vec<Column> {
    vec![
        name(),
        string("PodName", "The pod that asks.", text_at!("/spec/podName")),
        string("ServiceAccountName", "Its service account.", text_at!("/spec/serviceAccountName")),
        string("NodeName", "Its node.", text_at!("/spec/nodeName")),
        string("SignerName", "Who is asked to sign.", text_at!("/spec/signerName")),
        string("State", "Pending, Issued, Denied or Failed.", |request, _| {
            let mut conditions = list(request, "/status/conditions").iter().map(|c| text(c, "/type"));
            conditions.rfind(|c| matches!(*c, "Issued" | "Denied" | "Failed")).unwrap_or("Pending").into()
        }),
        string("UnverifiedUserAnnotations", "What the pod's author adds for the signer.", |request, _| {
            show::labels(request.pointer("/spec/unverifiedUserAnnotations")).into()
        }),
    ]
}

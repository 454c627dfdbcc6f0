//! Who may do what: `authentication.k8s.io/v1`, `authorization.k8s.io/v1`, `rbac.authorization.k8s.io/v1` and
//! `certificates.k8s.io/v1`.

use super::columns::access as columns;
use super::columns::{created, none};
use super::row::{Row, row};
use super::select;
use super::strategies::{access, certificates, ruled};
use crate::registry::NameRule;
use crate::request::Verb::Create;

/// Reviews are asked and answered, never kept.
fn review(api: &'static str, plural: &'static str, kind: &'static str) -> Row {
    row(api, plural, kind, none).verbs(&[Create])
}

pub(super) fn authentication() -> Vec<Row> {
    let api = "authentication.k8s.io/v1";
    vec![
        review(api, "selfsubjectreviews", "SelfSubjectReview").cluster(),
        review(api, "tokenreviews", "TokenReview").cluster(),
    ]
}

pub(super) fn authorization() -> Vec<Row> {
    let api = "authorization.k8s.io/v1";
    vec![
        review(api, "localsubjectaccessreviews", "LocalSubjectAccessReview"),
        review(api, "selfsubjectaccessreviews", "SelfSubjectAccessReview").cluster(),
        review(api, "selfsubjectrulesreviews", "SelfSubjectRulesReview").cluster(),
        review(api, "subjectaccessreviews", "SubjectAccessReview").cluster(),
    ]
}

pub(super) fn rbac() -> Vec<Row> {
    let rbac = |plural, kind, columns| {
        row("rbac.authorization.k8s.io/v1", plural, kind, columns)
            .names(NameRule::PathSegment)
            .creates_on_update()
    };
    vec![
        rbac("clusterrolebindings", "ClusterRoleBinding", columns::role_binding)
            .strategy(&access::RoleBinding { namespaced: false })
            .cluster(),
        rbac("clusterroles", "ClusterRole", created).strategy(&access::Role { namespaced: false }).cluster(),
        rbac("rolebindings", "RoleBinding", columns::role_binding)
            .strategy(&access::RoleBinding { namespaced: true }),
        rbac("roles", "Role", created).strategy(&access::Role { namespaced: true }),
    ]
}

pub(super) fn certificates() -> Vec<Row> {
    let api = "certificates.k8s.io/v1";
    vec![
        row(
            api,
            "certificatesigningrequests",
            "CertificateSigningRequest",
            columns::certificate_signing_request,
        )
        .cluster()
        .short(&["csr"])
        .names(NameRule::PathSegment)
        .part("approval")
        .status()
        .strategy(&certificates::CertificateSigningRequest)
        .selectable(select::CERTIFICATE_SIGNING_REQUEST),
        row(api, "clustertrustbundles", "ClusterTrustBundle", columns::cluster_trust_bundle)
            .also(&["v1beta1", "v1alpha1"])
            .strategy(&ruled::CLUSTER_TRUST_BUNDLE)
            .cluster()
            .names(NameRule::PathSegment)
            .conditional()
            .selectable(select::CLUSTER_TRUST_BUNDLE),
        row(api, "podcertificaterequests", "PodCertificateRequest", columns::pod_certificate_request)
            .also(&["v1beta1", "v1alpha1"])
            .strategy(&ruled::POD_CERTIFICATE_REQUEST)
            .status_but(&["metadata"])
            .conditional()
            .selectable(select::POD_CERTIFICATE_REQUEST),
    ]
}

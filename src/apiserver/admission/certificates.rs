//! Who may approve and sign requests for certificates, and what may not be asked for: CertificateApproval,
//! CertificateSigning and CertificateSubjectRestriction in one step, since they share their kind and their question
//! (k8s.io/kubernetes/plugin/pkg/admission/certificates).

use super::{Admission, Admitting, Attributes};
use crate::authorization::{Action, Authorizer, MASTERS};
use crate::kinds::strategies::certificates::parse;
use crate::request::Verb;
use crate::user::User;
use alcove_object::{Status, Value};
use std::sync::Arc;

const GROUP: &str = "certificates.k8s.io";
const RESOURCE: &str = "certificatesigningrequests";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// The admission step.
pub struct Certificates {
    authorizer: Arc<dyn Authorizer>,
}

impl Certificates {
    /// A step that asks this authorizer about signers.
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Certificates {
        Certificates { authorizer }
    }

    fn check(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let gvr = &attributes.resource.gvr;
        if gvr.group != GROUP || gvr.resource != RESOURCE {
            return Ok(());
        }
        let checked = match (attributes.verb, attributes.subresource, attributes.old) {
            (Verb::Create | Verb::Update, "", _) => check_subject(attributes.object),
            (Verb::Update, "approval", Some(old)) => self.check_signer(attributes.user, "approve", old),
            (Verb::Update, "status", Some(old)) if is_signed_anew(attributes.object, old) => {
                self.check_signer(attributes.user, "sign", old)
            }
            _ => Ok(()),
        };
        checked.map_err(|why| Status::forbidden(GROUP, RESOURCE, attributes.name, &why))
    }

    /// Whether the user may do this with requests to the signer, by its name or by its whole domain.
    fn check_signer(&self, user: &User, verb: &str, request: &Value) -> Result<(), String> {
        let signer = signer(request);
        let domain = signer.split('/').next().unwrap_or_default();
        let names = [signer.to_owned(), format!("{domain}/*")];
        let may = |name: &String| {
            let action = Action {
                is_resource: true,
                verb,
                group: GROUP,
                version: "*",
                resource: "signers",
                subresource: "",
                namespace: "",
                name,
                path: "",
            };
            self.authorizer.authorize(user, &action).is_ok()
        };
        match names.iter().any(may) {
            true => Ok(()),
            false => Err(format!("user not permitted to {verb} requests with signerName {signer:?}")),
        }
    }
}

fn signer(request: &Value) -> &str {
    request.pointer("/spec/signerName").and_then(Value::as_str).unwrap_or_default()
}

fn is_signed_anew(request: &Value, old: &Value) -> bool {
    ["/status/certificate", "/status/conditions"].iter().any(|at| request.pointer(at) != old.pointer(at))
}

/// Nobody becomes a member of `system:masters` by a request.
fn check_subject(request: &Value) -> Result<(), String> {
    if signer(request) != CLIENT_SIGNER {
        return Ok(());
    }
    let is_master = parse(request, |request| {
        let organizations = request.certification_request_info.subject.iter_organization();
        organizations.filter_map(|name| name.as_str().ok()).any(|name| name == MASTERS)
    });
    match is_master {
        Ok(false) => Ok(()),
        Ok(true) => Err(format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")),
        Err(error) => Err(format!("failed to parse CSR: {error}")),
    }
}

impl Admission for Certificates {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.check(attributes)))
    }
}

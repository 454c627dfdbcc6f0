//! Signs requests for certificates that somebody has approved, and takes old requests away
//! (k8s.io/kubernetes/pkg/controller/certificates). [`signers`] says what each signer signs, [`life`] how long what it
//! signs lives and how long requests are kept; both are pure.

mod life;
mod signers;

use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::Client;
use alcove_apiserver::certs::{Authority, CertificateRequest};
use alcove_apiserver::options::DeleteOptions;
use alcove_object::{Env, Gvr, Reason, Status, Value, condition, meta, settled, time};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::sync::Arc;

/// Signs requests and takes old ones away.
pub struct Certificates {
    client: Client,
    authority: Arc<Authority>,
    env: Arc<dyn Env>,
}

impl Certificates {
    /// A controller that acts as this client's user and signs with this authority.
    pub fn new(client: Client, authority: Arc<Authority>, env: Arc<dyn Env>) -> Certificates {
        Certificates { client, authority, env }
    }

    /// Requests.
    pub fn sources() -> Vec<Source> {
        vec![Source::new(resource(), runtime::by_key())]
    }

    /// What a request has come to: a certificate, or why there is none. `None`: it is not ours to sign.
    fn sign(&self, object: &Value) -> Result<Option<Signed>, Failure> {
        let signer = object["spec"]["signerName"].as_str().unwrap_or_default();
        let Some(check) = signers::check(signer).filter(|_| is_to_be_signed(object)) else { return Ok(None) };
        let usages = object["spec"]["usages"].as_array().into_iter().flatten();
        let usages: Vec<&str> = usages.filter_map(Value::as_str).collect();
        let checked = CertificateRequest::of(object)
            .and_then(|request| check(&request, &usages).map_err(|why| why.to_string()).map(|()| request));
        let request = match checked {
            Ok(request) => request,
            Err(why) => return Ok(Some(Signed::Not(why))),
        };
        let asked = object["spec"]["expirationSeconds"].as_i64();
        let end = self.authority.until().ok_or("the authority's certificate cannot be read")?;
        let validity = life::of_certificate(asked, self.env.now(), end)?;
        let certificate = self.authority.certify(&request, &usages, validity, &*self.env)?;
        Ok(Some(Signed::Certificate(certificate)))
    }

    async fn write(&self, mut object: Value, signed: Signed) -> Result<(), Status> {
        match signed {
            Signed::Certificate(pem) => object["status"]["certificate"] = BASE64_STANDARD.encode(pem).into(),
            Signed::Not(why) => condition::set(
                &mut object["status"]["conditions"],
                json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why,
                    "lastUpdateTime": time::format(self.env.now()),
                }),
            ),
        }
        let written = self.client.update_subresource(&resource(), "status", "", object).await;
        // Changed or gone meanwhile: its event brings it back.
        settled(written, &[Reason::CONFLICT, Reason::NOT_FOUND])
    }
}

enum Signed {
    Certificate(String),
    Not(String),
}

fn resource() -> Gvr {
    Gvr::new("certificates.k8s.io", "v1", "certificatesigningrequests")
}

/// Whether a request is approved, and nothing has come of it yet.
fn is_to_be_signed(object: &Value) -> bool {
    let has = |kind: &str| condition::find(object, kind).is_some();
    has("Approved") && !has("Denied") && !has("Failed") && !life::is_issued(object)
}

impl Reconciler for Certificates {
    fn name(&self) -> &'static str {
        "certificate-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let Some(object) = self.client.find(&resource(), "", key)? else { return Ok(Next::Done) };
        let object = object.parse();
        let next = match life::of_request(&object).map(|end| end.duration_since(self.env.now())) {
            Some(left) if !left.is_positive() => {
                let options = DeleteOptions::of(&object);
                let deleted = self.client.delete(&resource(), "", meta::name(&object), &options).await;
                settled(deleted, &[Reason::CONFLICT, Reason::NOT_FOUND])?;
                return Ok(Next::Done);
            }
            Some(left) => Next::After(left.unsigned_abs()),
            None => Next::Done,
        };
        if let Some(signed) = self.sign(&object)? {
            self.write(object, signed).await?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;

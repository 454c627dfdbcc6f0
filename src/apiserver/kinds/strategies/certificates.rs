//! CertificateSigningRequests: who asks is who sends the request, what is asked never changes, and conditions come
//! through the subresource that they belong to (k8s.io/kubernetes/pkg/registry/certificates, pkg/apis/certificates).

use crate::kinds::tree::{list, some, text};
use crate::kinds::validation::items;
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::gather::Gather;
use alcove_object::{Value, name, time};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The shortest life of a certificate that may be asked for, in seconds.
const EXPIRATION_SECONDS_MIN: i64 = 600;
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const APPROVED: &str = "Approved";
const DENIED: &str = "Denied";
const FAILED: &str = "Failed";
/// Everything that a certificate can be for, sorted.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Requests for certificates.
pub(crate) struct CertificateSigningRequest;

impl Strategy for CertificateSigningRequest {
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
        for field in ["username", "uid", "groups", "extra"] {
            spec.remove(field);
        }
        let user = context.user;
        for (field, value) in [("username", &user.name), ("uid", &user.uid)] {
            if !value.is_empty() {
                spec.insert(field.into(), value.as_str().into());
            }
        }
        if !user.groups.is_empty() {
            spec.insert("groups".into(), user.groups.clone().into());
        }
        if !user.extra.is_empty() {
            let extra = user.extra.iter().map(|(key, values)| (key.clone(), values.clone().into()));
            spec.insert("extra".into(), Value::Object(extra.gather()));
        }
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        object["spec"] = old["spec"].clone();
    }

    fn prepare_subresource(&self, context: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
        let now = time::format(context.env.now());
        let before = list(old, "/status/conditions");
        let mut conditions = list(object, "/status/conditions").to_vec();
        if subresource == "status" {
            for kind in [APPROVED, DENIED] {
                keep(&mut conditions, before, kind);
            }
        }
        conditions.iter_mut().for_each(|condition| stamp(condition, before, &now));
        if subresource == "approval" {
            object["spec"] = old["spec"].clone();
            object["status"] = old.get("status").cloned().unwrap_or_else(|| json!({}));
        }
        if !conditions.is_empty() {
            object["status"]["conditions"] = conditions.into();
        } else if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("conditions");
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let spec = Path::new("spec");
        let mut errors = Vec::new();
        if let Err(why) = parse(object, |_| ()) {
            errors.push(Error::invalid(&spec.child("request"), text(object, "/spec/request"), why));
        }
        errors.extend(usages(object, &spec.child("usages")));
        errors.extend(signer(text(object, "/spec/signerName"), &spec.child("signerName")));
        let expiration = some(object, "/spec/expirationSeconds").and_then(Value::as_i64);
        if let Some(seconds) = expiration.filter(|seconds| *seconds < EXPIRATION_SECONDS_MIN) {
            let why = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(Error::invalid(&spec.child("expirationSeconds"), seconds, why));
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, _: &Value, _: &Value) -> Vec<Error> {
        // Nothing that a client sends here is kept but metadata.
        Vec::new()
    }

    fn validate_subresource(
        &self,
        _: &Context<'_>,
        subresource: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<Error> {
        let path = Path::new("status").child("conditions");
        let mut errors = conditions(object, &path);
        let of = |object: &Value, kind: &str| -> Vec<Value> {
            let conditions = list(object, "/status/conditions").iter();
            conditions.filter(|condition| text(condition, "/type") == kind).cloned().collect()
        };
        for kind in [APPROVED, DENIED, FAILED] {
            let (now, before) = (of(object, kind), of(old, kind));
            if now.len() < before.len() {
                let why = format!("updates may not remove a condition of type {kind:?}");
                errors.push(Error::forbidden(&path, why));
            } else if subresource == "status" && kind != FAILED && now != before {
                let what = if now.len() > before.len() { "add" } else { "modify" };
                let why = format!("updates may not {what} a condition of type {kind:?}");
                errors.push(Error::forbidden(&path, why));
            }
        }
        let before = text(old, "/status/certificate");
        if !before.is_empty() && text(object, "/status/certificate") != before {
            let why = "updates may not modify existing certificate content";
            errors.push(Error::forbidden(&Path::new("status").child("certificate"), why));
        }
        errors.extend(issued(object, old));
        errors
    }
}

/// What is wrong with a certificate that is new here. Upstream leaves alone what follows one that was wrong already.
fn issued(object: &Value, old: &Value) -> Option<Error> {
    let of =
        |request: &Value| BASE64_STANDARD.decode(text(request, "/status/certificate")).unwrap_or_default();
    let (new, before) = (of(object), of(old));
    let why = certificates(&new).err().filter(|_| new != before && certificates(&before).is_ok())?;
    Some(Error::invalid(&Path::new("status").child("certificate"), "<certificate data>", why))
}

/// Whether these are certificates in PEM, or nothing.
fn certificates(pem: &[u8]) -> Result<(), String> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(pem).map_while(Result::ok).collect();
    for block in &blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        X509Certificate::from_der(&block.contents).map_err(|_| "x509: malformed certificate")?;
    }
    if blocks.is_empty() && !pem.is_empty() {
        return Err("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    Ok(())
}

/// Puts conditions of a kind back as they were, unless some came or went.
fn keep(conditions: &mut [Value], before: &[Value], kind: &str) {
    let is_kind = |condition: &&Value| text(condition, "/type") == kind;
    let old: Vec<&Value> = before.iter().filter(is_kind).collect();
    let new = conditions.iter_mut().filter(|condition| text(condition, "/type") == kind);
    let new: Vec<&mut Value> = new.collect();
    if old.len() == new.len() {
        new.into_iter().zip(old).for_each(|(new, old)| new.clone_from(old));
    }
}

/// Fills in when a condition was updated and when it began to hold.
fn stamp(condition: &mut Value, before: &[Value], now: &str) {
    if !condition.is_object() {
        return;
    }
    if text(condition, "/lastUpdateTime").is_empty() {
        condition["lastUpdateTime"] = now.into();
    }
    if text(condition, "/lastTransitionTime").is_empty() {
        let is_same = |old: &&Value| ["/type", "/status"].iter().all(|p| text(old, p) == text(condition, p));
        let since = before.iter().find(is_same).map_or("", |old| text(old, "/lastTransitionTime"));
        let since = if since.is_empty() { now } else { since }.to_owned();
        condition["lastTransitionTime"] = since.into();
    }
}

fn conditions(object: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let status = object.get("status").unwrap_or(&Value::Null);
    for (at, condition) in items(status, "conditions", &Path::new("status")) {
        let (kind, state) = (text(condition, "/type"), text(condition, "/status"));
        if kind.is_empty() {
            errors.push(Error::required(&at.child("type"), ""));
        }
        let allowed: &[&str] = if [APPROVED, DENIED, FAILED].contains(&kind) {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        match state {
            "" => errors.push(Error::required(&at.child("status"), "")),
            state if !allowed.contains(&state) => {
                errors.push(Error::not_supported(&at.child("status"), state, allowed));
            }
            _ => {}
        }
        let other = if kind == APPROVED { DENIED } else { APPROVED };
        if [APPROVED, DENIED].contains(&kind) && seen.contains(&other) {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.push(Error::invalid(path, kind, why));
        }
        if seen.contains(&kind) {
            errors.push(Error::duplicate(&at.child("type"), kind));
        }
        seen.push(kind);
    }
    errors
}

fn usages(object: &Value, path: &Path) -> Vec<Error> {
    let usages = list(object, "/spec/usages");
    if usages.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = Vec::new();
    for (i, usage) in usages.iter().enumerate() {
        let word = usage.as_str().unwrap_or_default();
        if !USAGES.contains(&word) {
            errors.push(Error::not_supported(&path.index(i), word, &USAGES));
        }
        if usages[..i].contains(usage) {
            errors.push(Error::duplicate(&path.index(i), word));
        }
    }
    errors
}

/// `example.com/signer-name`.
pub(crate) fn signer(signer: &str, path: &Path) -> Vec<Error> {
    if signer.is_empty() {
        return vec![Error::required(path, "")];
    }
    if signer == LEGACY_SIGNER {
        return vec![Error::invalid(
            path,
            signer,
            "the legacy signerName is not allowed via this API version",
        )];
    }
    let form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    let Some((domain, rest)) = signer.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        return vec![Error::invalid(path, signer, form)];
    };
    let mut errors = Vec::new();
    if !domain.contains('.') {
        errors.push(Error::invalid(
            path,
            domain,
            "should be a domain with at least two segments separated by dots",
        ));
    }
    for part in [domain, rest] {
        let messages = name::dns_subdomain(part, false).into_iter();
        errors.extend(messages.map(|message| Error::invalid(path, part, message)));
    }
    errors
}

/// Shows the request in an object, in PKCS#10, whose signature is good. The error says what is wrong with it.
pub(crate) fn parse<T>(
    object: &Value,
    show: impl FnOnce(&X509CertificationRequest<'_>) -> T,
) -> Result<T, String> {
    let not_pem = "PEM block type must be CERTIFICATE REQUEST";
    let pem = BASE64_STANDARD.decode(text(object, "/spec/request")).map_err(|_| not_pem)?;
    let der = CertificateSigningRequestDer::from_pem_slice(&pem).map_err(|_| not_pem)?;
    let (_, request) = X509CertificationRequest::from_der(&der).map_err(|error| error.to_string())?;
    request.verify_signature().map_err(|error| error.to_string())?;
    Ok(show(&request))
}

//! AdmissionReview, version 1: what a webhook is asked, and what its answer comes to
//! (k8s.io/apiserver/pkg/admission/plugin/webhook/{request,errors}).

use crate::admission::Attributes;
use crate::admission::matching::{Match, request};
use alcove_object::field::quote;
use alcove_object::status::Details;
use alcove_object::{Reason, Status, Value};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

/// A review to be sent.
pub(super) struct Review {
    pub uid: String,
    pub body: Vec<u8>,
    /// The object as it is sent.
    pub object: Value,
}

/// What a webhook said.
#[derive(Debug)]
pub(super) struct Verdict {
    pub denied: Option<Status>,
    pub patch: Option<Value>,
    pub warnings: Vec<String>,
}

impl Review {
    /// The review of a request.
    pub fn new(attributes: &Attributes<'_>, found: &Match, uid: String) -> Review {
        let mut request = request(attributes, found, &uid);
        let object = found.object(attributes);
        request["object"] = object.clone();
        request["oldObject"] = found.old(attributes);
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        Review { uid, body: review.to_string().into_bytes(), object }
    }
}

/// Reads an answer. Fails with a sentence on one that cannot be used.
pub(super) fn verdict(answer: &[u8], uid: &str, hook: &str, is_mutating: bool) -> Result<Verdict, String> {
    let invalid = |why: String| format!("received invalid webhook response: {why}");
    let review: Value = serde_json::from_slice(answer).map_err(|error| {
        format!("failed to call webhook: couldn't get version/kind; json parse error: {error}")
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let response = review.get("response").filter(|response| response.is_object());
    let response = response.ok_or_else(|| invalid("webhook response was absent".into()))?;
    if response["uid"] != uid {
        let found = quote(&text(&response["uid"]));
        return Err(invalid(format!("expected response.uid={}, got {found}", quote(uid))));
    }
    let (version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
    if (&*version, &*kind) != ("admission.k8s.io/v1", "AdmissionReview") {
        return Err(invalid(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {version}, Kind={kind}"
        )));
    }
    let patch = response["patch"].as_str().filter(|patch| !patch.is_empty());
    let patch_type = response.get("patchType").filter(|given| !given.is_null()).map(text);
    match (is_mutating, patch, &patch_type) {
        (false, Some(_), _) => {
            return Err(invalid("validating webhook may not return response.patch".into()));
        }
        (false, _, Some(_)) => {
            return Err(invalid("validating webhook may not return response.patchType".into()));
        }
        (true, Some(_), None) => {
            return Err(invalid("webhook returned response.patch but not response.patchType".into()));
        }
        (true, None, Some(_)) => {
            return Err(invalid("webhook returned response.patchType but not response.patch".into()));
        }
        (true, Some(_), Some(given)) if given != "JSONPatch" => {
            return Err(format!("unsupported patch type {}", quote(given)));
        }
        _ => {}
    }
    let undecodable = |why: String| format!("received undecodable patch in webhook response: {why}");
    let patch = match patch {
        None => None,
        Some(patch) => {
            let bytes = BASE64_STANDARD.decode(patch).map_err(|error| undecodable(error.to_string()))?;
            Some(serde_json::from_slice(&bytes).map_err(|error| undecodable(error.to_string()))?)
        }
    };
    let warnings = response["warnings"].as_array().into_iter().flatten();
    Ok(Verdict {
        denied: (response["allowed"] != true).then(|| denied(hook, &response["status"])),
        patch,
        warnings: warnings.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// The Status of a refusal: the webhook's own, with its name before the message.
fn denied(hook: &str, status: &Value) -> Status {
    let head = format!("admission webhook {} denied the request", quote(hook));
    let text = |field: &str| status[field].as_str().unwrap_or_default();
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{head} without explanation"),
        ("", reason) => format!("{head}: {reason}"),
        (message, _) => format!("{head}: {message}"),
    };
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let reason = Reason(text("reason").to_owned().into());
    let denied = Status::new(code.unwrap_or(400), reason, message);
    match serde_json::from_value::<Details>(status["details"].clone()) {
        Ok(details) => denied.with_details(details),
        Err(_) => denied,
    }
}

//! `metav1.Status`: the answer to a request that failed, with upstream's reasons, codes and texts
//! (k8s.io/apimachinery/pkg/api/errors). Clients switch on `reason` and `details`; kubectl and helm print
//! `message` as it is.

use crate::field::{self, quote};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Why a request failed, in upstream's words. Kept as text since aggregated servers and webhooks add their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Reason(pub Cow<'static, str>);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Reason { $($(#[$doc])* pub const $name: Reason = Reason(Cow::Borrowed($text));)* }
    };
}
reasons! {
    /// 400: the request cannot be understood.
    BAD_REQUEST = "BadRequest";
    /// 401: no or wrong credentials.
    UNAUTHORIZED = "Unauthorized";
    /// 403.
    FORBIDDEN = "Forbidden";
    /// 404.
    NOT_FOUND = "NotFound";
    /// 405.
    METHOD_NOT_ALLOWED = "MethodNotAllowed";
    /// 406.
    NOT_ACCEPTABLE = "NotAcceptable";
    /// 409 on create.
    ALREADY_EXISTS = "AlreadyExists";
    /// 409 on update, patch and delete.
    CONFLICT = "Conflict";
    /// 410: the resource version or continue token is too old.
    EXPIRED = "Expired";
    /// 413.
    REQUEST_ENTITY_TOO_LARGE = "RequestEntityTooLarge";
    /// 415.
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType";
    /// 422: the object is not valid; the causes say where.
    INVALID = "Invalid";
    /// 429.
    TOO_MANY_REQUESTS = "TooManyRequests";
    /// 500.
    INTERNAL_ERROR = "InternalError";
    /// 500 with a time to wait.
    SERVER_TIMEOUT = "ServerTimeout";
    /// 503.
    SERVICE_UNAVAILABLE = "ServiceUnavailable";
    /// 504.
    TIMEOUT = "Timeout";
    /// A reason nobody gave.
    UNKNOWN = "";
}

/// One field's or one owner's part in a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Cause {
    /// Machine-readable cause, such as `FieldValueInvalid`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'static, str>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, such as `spec.containers[0].name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What a failure is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Name of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural resource in 404 and 409, kind in 422, as upstream has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry per field or owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds to wait before the next try; sent as `Retry-After` too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A failed request. Also the error type of everything that answers requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status(Box<Body>);

/// The parts of a [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Body {
    /// HTTP status code.
    pub code: u16,
    /// Reason that clients switch on.
    pub reason: Reason,
    /// Text that people read.
    pub message: String,
    /// What it is about.
    pub details: Option<Details>,
    /// A fresh continue token, only in 410 answers to an expired one.
    pub continue_token: String,
    /// Texts for `Warning` headers of the answer; they are no part of what the body says.
    pub warnings: Vec<String>,
}

impl std::ops::Deref for Status {
    type Target = Body;
    fn deref(&self) -> &Body {
        &self.0
    }
}

impl std::ops::DerefMut for Status {
    fn deref_mut(&mut self) -> &mut Body {
        &mut self.0
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// How messages spell a resource: `deployments.apps`, or `pods` in the core group.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl Status {
    /// A status from its parts, without details.
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> Status {
        Status(Box::new(Body { code, reason, message: message.into(), ..Body::default() }))
    }

    /// The same status with details.
    pub fn with_details(mut self, details: Details) -> Status {
        self.0.details = Some(details);
        self
    }

    /// The same status with further texts for `Warning` headers.
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Status {
        self.0.warnings.extend(warnings);
        self
    }

    /// A refusal before a resource is asked: the code's own text, with empty details as upstream's router has them
    /// (k8s.io/apimachinery/pkg/api/errors: NewGenericServerResponse).
    pub fn unrouted(code: u16, reason: Reason, message: impl Into<String>) -> Status {
        Status::new(code, reason, message).with_details(Details::default())
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, Reason::BAD_REQUEST, message)
    }

    /// 401.
    pub fn unauthorized() -> Status {
        Status::new(401, Reason::UNAUTHORIZED, "Unauthorized")
    }

    /// 403 about one object: `pods "a" is forbidden: WHY`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let about = qualified(group, resource);
        let message = match (about.as_str(), name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{about} is forbidden: {why}"),
            _ => format!("{about} {} is forbidden: {why}", quote(name)),
        };
        Status::new(403, Reason::FORBIDDEN, message).about(group, resource, name)
    }

    /// 404: `pods "a" not found`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} {} not found", qualified(group, resource), quote(name));
        Status::new(404, Reason::NOT_FOUND, message).about(group, resource, name)
    }

    /// 404 for a path below a served group that names no resource.
    pub fn no_such_resource() -> Status {
        Status::new(404, Reason::NOT_FOUND, "the server could not find the requested resource")
            .with_details(Details::default())
    }

    /// 405 as the API answers it for whatever it does not route.
    pub fn unrouted_method() -> Status {
        let message = "the server does not allow this method on the requested resource";
        Status::unrouted(405, Reason::METHOD_NOT_ALLOWED, message)
    }

    /// 405: the resource does not know this verb.
    pub fn method_not_supported(group: &str, resource: &str, action: &str) -> Status {
        let message =
            format!("{action} is not supported on resources of kind \"{}\"", qualified(group, resource));
        Status::new(405, Reason::METHOD_NOT_ALLOWED, message).about(group, resource, "")
    }

    /// 409 on create: `pods "a" already exists`.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} {} already exists", qualified(group, resource), quote(name));
        Status::new(409, Reason::ALREADY_EXISTS, message).about(group, resource, name)
    }

    /// 409: `Operation cannot be fulfilled on pods "a": WHY`.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let about = qualified(group, resource);
        let message = format!("Operation cannot be fulfilled on {about} {}: {why}", quote(name));
        Status::new(409, Reason::CONFLICT, message).about(group, resource, name)
    }

    /// 410: a resource version or continue token that is no longer known.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(410, Reason::EXPIRED, message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Status {
        Status::new(413, Reason::REQUEST_ENTITY_TOO_LARGE, message)
    }

    /// 422 with one cause per field error. `kind` is the kind, not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[field::Error]) -> Status {
        let about = qualified(group, kind);
        let message = match errors {
            [] => format!("{about} {} is invalid", quote(name)),
            _ => format!("{about} {} is invalid: {}", quote(name), field::join(errors)),
        };
        let causes = errors.iter().map(field::Error::cause).collect();
        let details = Details {
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
            causes,
            ..Details::default()
        };
        Status::new(422, Reason::INVALID, message).with_details(details)
    }

    /// 429 with the seconds to wait.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Status {
        Status::new(429, Reason::TOO_MANY_REQUESTS, message)
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    /// 500: `Internal error occurred: WHY`.
    pub fn internal(why: impl fmt::Display) -> Status {
        let causes = vec![Cause { message: why.to_string(), ..Cause::default() }];
        Status::new(500, Reason::INTERNAL_ERROR, format!("Internal error occurred: {why}"))
            .with_details(Details { causes, ..Details::default() })
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Status {
        Status::new(503, Reason::SERVICE_UNAVAILABLE, message)
    }

    /// 504 with the seconds to wait.
    pub fn timeout(message: impl Into<String>, retry_after_seconds: u32) -> Status {
        Status::new(504, Reason::TIMEOUT, format!("Timeout: {}", message.into()))
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    fn about(self, group: &str, resource: &str, name: &str) -> Status {
        self.with_details(Details {
            name: name.into(),
            group: group.into(),
            kind: resource.into(),
            ..Details::default()
        })
    }

    /// Whether the reason is this one.
    pub fn is(&self, reason: Reason) -> bool {
        self.reason == reason
    }

    /// The `Status` object as clients receive it.
    pub fn to_value(&self) -> serde_json::Value {
        let mut metadata = serde_json::Map::new();
        if !self.continue_token.is_empty() {
            metadata.insert("continue".into(), self.continue_token.clone().into());
        }
        let mut out = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": if self.code < 400 { "Success" } else { "Failure" }, "code": self.code,
        });
        if !self.message.is_empty() {
            out["message"] = self.message.clone().into();
        }
        if self.reason != Reason::UNKNOWN {
            out["reason"] = self.reason.0.clone().into();
        }
        if let Some(details) = &self.details {
            out["details"] = serde_json::to_value(details).expect("details hold only strings and numbers");
        }
        out
    }

    /// A status from an object that another server or a host sent; `None` if it is not one.
    pub fn from_value(value: &serde_json::Value) -> Option<Status> {
        if value.get("kind")?.as_str()? != "Status" {
            return None;
        }
        let text = |key: &str| value.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let code =
            value.get("code").and_then(|v| v.as_u64()).and_then(|n| u16::try_from(n).ok()).unwrap_or(500);
        let details = value.get("details").and_then(|d| serde_json::from_value(d.clone()).ok());
        Some(Status(Box::new(Body {
            code,
            reason: Reason(Cow::Owned(text("reason"))),
            message: text("message"),
            details,
            continue_token: value
                .pointer("/metadata/continue")
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned(),
            warnings: Vec::new(),
        })))
    }
}

/// What came of a write that has nothing left to do when it fails for one of these reasons: what it was about is gone, is
/// there already, or was changed by somebody else.
pub fn settled<T>(written: Result<T, Status>, reasons: &[Reason]) -> Result<(), Status> {
    match written {
        Err(status) if !reasons.contains(&status.reason) => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;

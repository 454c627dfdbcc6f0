//! Reviews: questions about users that look like objects and are never stored (authentication.k8s.io and
//! authorization.k8s.io). `kubectl auth can-i`, `kubectl auth whoami`, helm and kubelets ask them.
//!
//! Answers come from the same authenticator and authorizer that judge requests.

use crate::authn::{Authenticator, INVALID_TOKEN};
use crate::authorization::Action;
use crate::rest::Target;
use crate::server::Server;
use crate::user::User;
use alcove_object::field::{self, Path};
use alcove_object::gather::Gather;
use alcove_object::{Status, Value, meta, time};
use serde_json::{Map, json};

/// Whether a target is a review.
pub fn is_review(target: &Target) -> bool {
    let gvr = &target.resource.gvr;
    target.subresource.is_none()
        && matches!(
            (gvr.group.as_str(), gvr.resource.as_str()),
            ("authentication.k8s.io", "tokenreviews" | "selfsubjectreviews")
                | (
                    "authorization.k8s.io",
                    "subjectaccessreviews"
                        | "localsubjectaccessreviews"
                        | "selfsubjectaccessreviews"
                        | "selfsubjectrulesreviews"
                )
        )
}

/// Who answers reviews.
pub struct Gate<'a> {
    /// Knows who a token stands for.
    pub authenticator: &'a Authenticator,
    /// Knows who may do what.
    pub server: &'a Server,
}

impl Gate<'_> {
    /// Fills in the status of a review that this user posted.
    pub async fn answer(&self, user: &User, target: &Target, review: &mut Value) -> Result<(), Status> {
        let status = match target.resource.gvr.resource.as_str() {
            "tokenreviews" => self.token(review).await?,
            "selfsubjectreviews" => {
                let now = time::format(self.server.env.now());
                meta::set(review, "creationTimestamp", now);
                json!({"userInfo": user_value(user)})
            }
            "selfsubjectaccessreviews" => {
                check_metadata("SelfSubjectAccessReview", review, "must be empty")?;
                self.access("SelfSubjectAccessReview", review, user)?
            }
            "selfsubjectrulesreviews" => self.rules(user, review)?,
            "localsubjectaccessreviews" => {
                let subject = subject(review);
                check_namespace(review, target)?;
                check_metadata("LocalSubjectAccessReview", review, "must be empty except for namespace")?;
                self.access("LocalSubjectAccessReview", review, &subject)?
            }
            _ => {
                let subject = subject(review);
                check_metadata("SubjectAccessReview", review, "must be empty")?;
                self.access("SubjectAccessReview", review, &subject)?
            }
        };
        review["status"] = status;
        Ok(())
    }

    async fn token(&self, review: &Value) -> Result<Value, Status> {
        let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let audiences: Vec<String> = texts(review.pointer("/spec/audiences"));
        Ok(match self.authenticator.token(token, &audiences).await {
            Ok(found) => {
                let mut status = json!({"authenticated": true, "user": user_value(&found.user)});
                if !found.audiences.is_empty() {
                    status["audiences"] = found.audiences.into();
                }
                status
            }
            Err(error) if error == INVALID_TOKEN => json!({"user": {}, "error": error}),
            // Upstream asks several judges, of which the last one knows nothing of our tokens.
            Err(error) => json!({"user": {}, "error": format!("[{INVALID_TOKEN}, {error}]")}),
        })
    }

    fn access(&self, kind: &str, review: &Value, subject: &User) -> Result<Value, Status> {
        let spec = review.get("spec").cloned().unwrap_or_default();
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (resource, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
        let is_resource = match (resource, path) {
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (both, _) => return Err(exactly_one(kind, both.is_some())),
        };
        if kind != "SelfSubjectAccessReview" && subject.name.is_empty() && subject.groups.is_empty() {
            let why = "at least one of user or group must be specified";
            let error = field::Error::invalid(&Path::new("spec").child("user"), "", why);
            return Err(Status::invalid("authorization.k8s.io", kind, "", &[error]));
        }
        let attributes = if is_resource { "/resourceAttributes" } else { "/nonResourceAttributes" };
        let of = |key: &str| text(&format!("{attributes}/{key}"));
        let action = Action {
            is_resource,
            verb: of("verb"),
            group: of("group"),
            version: of("version"),
            resource: of("resource"),
            subresource: of("subresource"),
            namespace: of("namespace"),
            name: of("name"),
            path: of("path"),
        };
        Ok(match self.server.authorizer.authorize(subject, &action) {
            Ok(()) => match self.server.authorizer.why(subject, &action) {
                why if why.is_empty() => json!({"allowed": true}),
                why => json!({"allowed": true, "reason": why}),
            },
            Err(reason) if reason.is_empty() => json!({"allowed": false}),
            Err(reason) => json!({"allowed": false, "reason": reason}),
        })
    }

    fn rules(&self, user: &User, review: &Value) -> Result<Value, Status> {
        let namespace = review.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let rules = self.server.authorizer.rules(user, namespace);
        let mut status = json!({
            "resourceRules": rules.resource,
            "nonResourceRules": rules.non_resource,
            "incomplete": rules.incomplete,
        });
        if !rules.error.is_empty() {
            status["evaluationError"] = rules.error.into();
        }
        Ok(status)
    }
}

fn exactly_one(kind: &str, both: bool) -> Status {
    let path = Path::new("spec").child("resourceAttributes");
    let why = match both {
        true => "cannot be specified in combination with resourceAttributes",
        false => "exactly one of nonResourceAttributes or resourceAttributes must be specified",
    };
    let path = if both { Path::new("spec").child("nonResourceAttributes") } else { path };
    Status::invalid("authorization.k8s.io", kind, "", &[field::Error::invalid(&path, Value::Null, why)])
}

/// A local review is about the namespace it is posted to and no other.
fn check_namespace(review: &Value, target: &Target) -> Result<(), Status> {
    let asked =
        review.pointer("/spec/resourceAttributes/namespace").and_then(Value::as_str).unwrap_or_default();
    if asked == target.namespace {
        return Ok(());
    }
    let why = format!("spec.resourceAttributes.namespace must match namespace: {}", target.namespace);
    Err(Status::bad_request(why))
}

/// 422 for a review with metadata of its own.
fn check_metadata(kind: &str, review: &Value, why: &str) -> Result<(), Status> {
    let metadata = review.get("metadata").unwrap_or(&Value::Null);
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let is_said = |(key, value): (&String, &Value)| {
        !matches!(&**key, "namespace" | "managedFields") && !is_empty(value)
    };
    if !metadata.as_object().into_iter().flatten().any(is_said) {
        return Ok(());
    }
    let wrong = field::Error::invalid(&Path::new("metadata"), metadata.clone(), why);
    Err(Status::invalid("authorization.k8s.io", kind, "", &[wrong]))
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The user that a review is about.
fn subject(review: &Value) -> User {
    let spec = review.get("spec").cloned().unwrap_or_default();
    let text = |key: &str| spec.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let extra = spec.get("extra").and_then(Value::as_object).into_iter().flatten();
    User {
        name: text("user"),
        uid: text("uid"),
        groups: texts(spec.get("groups")),
        extra: extra.map(|(key, values)| (key.clone(), texts(Some(values)))).gather(),
    }
}

/// A user as reviews show it.
fn user_value(user: &User) -> Value {
    let mut out = Map::new();
    if !user.name.is_empty() {
        out.insert("username".into(), user.name.clone().into());
    }
    if !user.uid.is_empty() {
        out.insert("uid".into(), user.uid.clone().into());
    }
    if !user.groups.is_empty() {
        out.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        let extra = user.extra.iter().map(|(key, values)| (key.clone(), Value::from(values.clone())));
        out.insert("extra".into(), extra.gather::<Map<_, _>>().into());
    }
    out.into()
}

//! `serviceaccounts/token`: a token for a service account, bound to what the request names
//! (k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage/token.go).

use super::write::{OTHER_NAMESPACE, Write};
use super::{Answered, Body, stored};
use crate::authn::{Bound, Claims, Reference, ServiceAccountTokens};
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Status, Value, meta, time};
use serde_json::json;

const GROUP: &str = "authentication.k8s.io";
/// How long a token is good unless the request says it, in seconds.
const SECONDS_DEFAULT: i64 = 60 * 60;
/// The shortest time that may be asked for, in seconds.
const SECONDS_MIN: i64 = 10 * 60;
/// The longest time that may be asked for, in seconds.
const SECONDS_MAX: i64 = 1 << 32;
/// What the ServiceAccount admission step asks for in the volumes that it adds, in seconds. Clients of old read such a
/// token once and never again, so it is good for [`SECONDS_EXTENDED`].
pub(crate) const SECONDS_OF_POD_VOLUMES: i64 = 60 * 60 + 7;
/// How long a token of a pod's standard volume is really good, in seconds.
const SECONDS_EXTENDED: i64 = 365 * 24 * 60 * 60;

impl Write<'_> {
    /// Issues a token. Nothing is stored.
    pub(super) async fn request_token(&mut self, body: Body) -> Result<Answered, Status> {
        let Some(tokens) = self.server.tokens.clone() else {
            return Err(Status::unavailable("no component of this server answers this subresource"));
        };
        let mut request = self.decode(body)?;
        self.check_place(&request)?;
        let account = self.server.store.get(&self.resource().table, &self.target.key());
        let account =
            account.map(|entry| stored::tree(self.resource(), &entry)).ok_or_else(|| self.not_found())?;
        self.check_uid(&request, &account)?;
        self.complete_request(&mut request, &account, &tokens);
        check_seconds(&request)?;
        self.admit_posted(&mut request).await?;
        let claims = self.claims(&request, &account, &tokens)?;
        let token = tokens
            .issue(&claims)
            .map_err(|error| Status::internal(format!("failed to generate token: {error}")))?;
        let until = claims.iat.saturating_add(seconds(&request));
        let until = jiff::Timestamp::from_second(until).unwrap_or(jiff::Timestamp::MAX);
        request["status"] = json!({"token": token, "expirationTimestamp": time::format(until)});
        let object = stored::unstored(self.target.key().into(), 0, &request);
        Ok(self.answered(object, true))
    }

    /// 400 for a body about another namespace than the path, 422 for one about another service account.
    fn check_place(&self, request: &Value) -> Result<(), Status> {
        let (name, namespace) = (meta::name(request), meta::namespace(request));
        if !namespace.is_empty() && namespace != self.target.namespace {
            return Err(Status::bad_request(OTHER_NAMESPACE));
        }
        if !name.is_empty() && name != self.target.name {
            let why = "must match the service account name if specified";
            let wrong = Error::invalid(&Path::new("metadata").child("name"), name, why);
            return Err(Status::invalid(GROUP, "TokenRequest", &self.target.name, &[wrong]));
        }
        Ok(())
    }

    fn check_uid(&self, request: &Value, account: &Value) -> Result<(), Status> {
        let (asked, found) = (meta::uid(request), meta::uid(account));
        if asked.is_empty() || asked == found {
            return Ok(());
        }
        let why = format!(
            "the UID in the token request ({asked}) does not match the UID of the service account ({found})"
        );
        Err(Status::conflict(GROUP, "TokenRequest", &self.target.name, &why))
    }

    fn complete_request(&self, request: &mut Value, account: &Value, tokens: &ServiceAccountTokens) {
        for field in ["name", "namespace", "uid"] {
            meta::set(request, field, meta::text(account, field));
        }
        meta::set(request, "creationTimestamp", self.now.clone());
        let has_audiences = |spec: &Value| {
            spec.get("audiences").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
        };
        let spec = &mut request["spec"];
        if !has_audiences(spec) {
            spec["audiences"] = tokens.audiences().into();
        }
        if spec.get("expirationSeconds").is_none_or(Value::is_null) {
            spec["expirationSeconds"] = SECONDS_DEFAULT.into();
        }
        spec.as_object_mut().map(|spec| spec.entry("boundObjectRef").or_insert(Value::Null));
        request["status"] = json!({"token": "", "expirationTimestamp": null});
    }

    fn claims(
        &self,
        request: &Value,
        account: &Value,
        tokens: &ServiceAccountTokens,
    ) -> Result<Claims, Status> {
        let now = self.server.env.now().as_second();
        let audiences: Vec<String> = request
            .pointer("/spec/audiences")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let mut bound = Bound {
            namespace: self.target.namespace.clone(),
            serviceaccount: reference(account),
            ..Bound::default()
        };
        if let Some(object) = request.pointer("/spec/boundObjectRef").filter(|object| !object.is_null()) {
            self.bind_token(&mut bound, object)?;
        }
        let mut lasts = seconds(request);
        let is_own = audiences.iter().all(|audience| tokens.audiences().contains(audience));
        if bound.pod.is_some() && lasts == SECONDS_OF_POD_VOLUMES && is_own {
            bound.warnafter = Some(now.saturating_add(lasts));
            lasts = SECONDS_EXTENDED;
        }
        let (namespace, name) = (&self.target.namespace, &self.target.name);
        Ok(Claims {
            aud: audiences,
            exp: now.saturating_add(lasts),
            iat: now,
            iss: crate::authn::ISSUER.into(),
            jti: self.server.env.uid(),
            kubernetes: bound,
            nbf: now,
            sub: format!("system:serviceaccount:{namespace}:{name}"),
        })
    }

    fn bind_token(&self, bound: &mut Bound, object: &Value) -> Result<(), Status> {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let gvk = Gvk::from_api_version(text("apiVersion"), text("kind"));
        let (plural, namespace) = match (gvk.group.as_str(), gvk.kind.as_str()) {
            ("", "Pod") => ("pods", self.target.namespace.as_str()),
            ("", "Secret") => ("secrets", self.target.namespace.as_str()),
            ("", "Node") => ("nodes", ""),
            _ => {
                let (group, version, kind) = (&gvk.group, &gvk.version, &gvk.kind);
                let why = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
                return Err(Status::bad_request(why));
            }
        };
        let found = self.look_up(plural, namespace, text("name"));
        let found = found.ok_or_else(|| Status::not_found("", plural, text("name")))?;
        let field = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if plural == "pods" && field("/spec/serviceAccountName") != self.target.name {
            let name = &self.target.name;
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {name:?} to pod running with different serviceaccount name."
            )));
        }
        if !text("uid").is_empty() && text("uid") != meta::uid(&found) {
            let why = format!(
                "the UID in the bound object reference ({}) does not match the UID in record. The object might have \
                 been deleted and then recreated",
                text("uid")
            );
            return Err(Status::conflict(&gvk.group, &gvk.kind, text("name"), &why));
        }
        match plural {
            "pods" => {
                bound.pod = Some(reference(&found));
                bound.node = match field("/spec/nodeName") {
                    "" => None,
                    node => Some(match self.look_up("nodes", "", node) {
                        Some(node) => reference(&node),
                        None => Reference { name: node.into(), uid: String::new() },
                    }),
                };
            }
            "secrets" => bound.secret = Some(reference(&found)),
            _ => bound.node = Some(reference(&found)),
        }
        Ok(())
    }

    fn look_up(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = self.registry.resource("", "v1", plural)?;
        let entry = self.server.store.get(&resource.table, &super::target::key_of(namespace, name))?;
        Some(stored::tree(resource, &entry))
    }
}

fn seconds(request: &Value) -> i64 {
    request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(SECONDS_DEFAULT)
}

fn reference(object: &Value) -> Reference {
    Reference { name: meta::name(object).into(), uid: meta::uid(object).into() }
}

/// 422 for a time that is too short or too long.
fn check_seconds(request: &Value) -> Result<(), Status> {
    let path = Path::new("spec").child("expirationSeconds");
    let why = match seconds(request) {
        short if short < SECONDS_MIN => "may not specify a duration less than 10 minutes",
        long if long > SECONDS_MAX => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let wrong = Error::invalid(&path, seconds(request), why);
    Err(Status::invalid(GROUP, "TokenRequest", "", &[wrong]))
}

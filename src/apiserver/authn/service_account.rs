//! Service-account tokens: what they say, and whether they still hold.
//!
//! A token is good while its signature and times are, and while what it is bound to exists: its service account by
//! name and UID, and its pod, secret or node if it names one. That is looked up on every request, so that deleting any
//! of them ends its tokens (k8s.io/kubernetes/pkg/serviceaccount/claims.go).

use super::keys::SigningKeys;
use super::{Authenticating, TokenUser, Tokens};
use crate::user::User;
use alcove_object::{Env, Value, time};
use alcove_store::Store;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// Who issues tokens, and the audience of those that name none.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// How far clocks may differ, and how long a token outlives the deletion of what it is bound to, in seconds.
const LEEWAY_SECONDS: i64 = 60;
/// Bytes of a token at most; longer ones are no tokens of ours.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Tokens whose signature is remembered as good. Past it all are forgotten, and checked again.
const VERIFIED_MAX: usize = 1024;

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// For whom the token is good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Who issued it.
    pub iss: String,
    /// Its own name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// Whom and what it is bound to.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Bound,
    /// From when on it is good.
    pub nbf: i64,
    /// The user name.
    pub sub: String,
}

/// Whom and what a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The service account's namespace.
    pub namespace: String,
    /// The node of the pod, or the node that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    /// The pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    /// The secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    /// The service account.
    pub serviceaccount: Reference,
    /// After this time a token of an old client should have been renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// An object by name and UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Its UID; empty for a node that is not there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// Issues and judges service-account tokens of one cluster.
pub struct ServiceAccountTokens {
    keys: SigningKeys,
    store: Store,
    env: Arc<dyn Env>,
    /// Claims by digest of tokens whose signature was good.
    verified: Mutex<HashMap<[u8; 32], Arc<Claims>>>,
}

impl std::fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ServiceAccountTokens({:?})", self.keys)
    }
}

/// What the checks need of a stored object.
#[derive(Default, Deserialize)]
struct Stored {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    deletion_timestamp: Option<String>,
}

impl ServiceAccountTokens {
    /// Tokens signed by these keys, bound to objects of this store.
    pub fn new(keys: SigningKeys, store: Store, env: Arc<dyn Env>) -> ServiceAccountTokens {
        ServiceAccountTokens { keys, store, env, verified: Mutex::default() }
    }

    /// The audiences of the API server itself.
    pub fn audiences(&self) -> Vec<String> {
        vec![ISSUER.to_owned()]
    }

    /// A signed token.
    pub fn issue(&self, claims: &Claims) -> Result<String, String> {
        self.keys.sign(&serde_json::to_value(claims).map_err(|error| error.to_string())?)
    }

    /// `/.well-known/openid-configuration`, for relying parties that verify tokens themselves. The keys are where the
    /// issuer is: whoever reached that reaches them, which an address that the server listens on need not be.
    pub fn configuration(&self) -> Value {
        json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [super::keys::ALGORITHM],
        })
    }

    /// `/openid/v1/jwks`.
    pub fn key_set(&self) -> Value {
        self.keys.key_set()
    }

    fn judge(&self, token: &str, audiences: &[String]) -> Result<TokenUser, String> {
        let claims = self.verified(token)?;
        let own = self.audiences();
        let wanted = if audiences.is_empty() { &own } else { audiences };
        // A token that names no audience is for the API server.
        let given = if claims.aud.is_empty() { &own } else { &claims.aud };
        let shared: Vec<String> =
            given.iter().filter(|audience| wanted.contains(audience)).cloned().collect();
        if shared.is_empty() {
            let quoted = crate::authorization::quoted::<String>;
            return Err(format!(
                "token audiences {} is invalid for the target audiences {}",
                quoted(given),
                quoted(wanted)
            ));
        }
        self.check_times(&claims)?;
        self.check_bounds(&claims.kubernetes)?;
        Ok(TokenUser { user: user(&claims), audiences: shared })
    }

    /// The claims of a token with a good signature, which never changes and is costly to check.
    fn verified(&self, token: &str) -> Result<Arc<Claims>, String> {
        let foreign = || super::INVALID_TOKEN.to_owned();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(foreign());
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let digest: [u8; 32] = digest.as_ref().try_into().map_err(|_| foreign())?;
        if let Some(claims) = self.verified.lock().get(&digest) {
            return Ok(claims.clone());
        }
        let payload = self.keys.verify(token).ok_or_else(foreign)??;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| foreign())?;
        if claims.iss != ISSUER {
            return Err(foreign());
        }
        let claims = Arc::new(claims);
        let mut verified = self.verified.lock();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(digest, claims.clone());
        Ok(claims)
    }

    fn check_times(&self, claims: &Claims) -> Result<(), String> {
        let now = self.env.now().as_second();
        let why = match () {
            () if now - LEEWAY_SECONDS > claims.exp => "service account token has expired",
            () if now + LEEWAY_SECONDS < claims.nbf => "service account token is not valid yet",
            () if now + LEEWAY_SECONDS < claims.iat => "service account token is issued in the future",
            () => return Ok(()),
        };
        Err(why.into())
    }

    fn check_bounds(&self, bound: &Bound) -> Result<(), String> {
        let namespace = bound.namespace.as_str();
        let account = &bound.serviceaccount;
        let found = self.find("serviceaccounts", namespace, &account.name);
        let found = found.ok_or_else(|| format!("serviceaccounts {:?} not found", account.name))?;
        if found.uid != account.uid {
            let (found, claimed) = (&found.uid, &account.uid);
            return Err(format!("service account UID ({found}) does not match claim ({claimed})"));
        }
        if self.is_gone(&found) {
            return Err(format!("service account {namespace}/{} has been deleted", account.name));
        }
        // The node of a pod's token only tells where the pod was.
        let node = bound.node.as_ref().filter(|_| bound.pod.is_none());
        for (what, table, namespace, reference) in [
            ("secret", "secrets", namespace, bound.secret.as_ref()),
            ("pod", "pods", namespace, bound.pod.as_ref()),
            ("node", "nodes", "", node),
        ] {
            let Some(reference) = reference else { continue };
            let invalidated = || "service account token has been invalidated".to_owned();
            let found = self.find(table, namespace, &reference.name).ok_or_else(invalidated)?;
            if found.uid != reference.uid {
                let upper = if what == "node" { "Node" } else { what };
                let (found, claimed) = (&found.uid, &reference.uid);
                return Err(format!(
                    "{upper} UID ({found}) does not match service account {what} ref claim ({claimed})"
                ));
            }
            if self.is_gone(&found) {
                return Err(invalidated());
            }
        }
        Ok(())
    }

    fn find(&self, table: &str, namespace: &str, name: &str) -> Option<Metadata> {
        let entry = match namespace {
            "" => self.store.get(table, name)?,
            namespace => self.store.get(table, &format!("{namespace}/{name}"))?,
        };
        serde_json::from_slice::<Stored>(&entry.json).ok().map(|stored| stored.metadata)
    }

    /// Whether its deletion is longer ago than clocks may differ.
    fn is_gone(&self, found: &Metadata) -> bool {
        let deleted = found.deletion_timestamp.as_deref().and_then(time::parse);
        deleted.is_some_and(|at| at.as_second() < self.env.now().as_second() - LEEWAY_SECONDS)
    }
}

/// Whom a token stands for (k8s.io/apiserver/pkg/authentication/serviceaccount).
fn user(claims: &Claims) -> User {
    let Bound { namespace, serviceaccount, pod, node, .. } = &claims.kubernetes;
    let mut extra = Vec::new();
    let mut add = |key: &str, value: String| {
        if !value.is_empty() {
            extra.push((format!("authentication.kubernetes.io/{key}"), vec![value]));
        }
    };
    if !claims.jti.is_empty() {
        add("credential-id", format!("JTI={}", claims.jti));
    }
    for (name, uid, reference) in [("node-name", "node-uid", node), ("pod-name", "pod-uid", pod)] {
        if let Some(reference) = reference {
            add(name, reference.name.clone());
            add(uid, reference.uid.clone());
        }
    }
    let account = User::service_account(namespace, &serviceaccount.name);
    User { uid: serviceaccount.uid.clone(), extra, ..account }
}

impl Tokens for ServiceAccountTokens {
    fn authenticate<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Authenticating<'a> {
        Box::pin(std::future::ready(self.judge(token, audiences)))
    }
}

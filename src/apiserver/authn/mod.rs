//! Authentication: who sends a request. Client certificates, then bearer tokens, then nobody in particular.
//!
//! As upstream: the first credential that is good wins; credentials that are all bad are a 401, never anonymous
//! (k8s.io/apiserver/pkg/authentication/request/union, anonymous).

mod keys;
mod service_account;
mod x509;

pub use keys::{KeyError, SigningKeys};
pub use service_account::{Bound, Claims, ISSUER, Reference, ServiceAccountTokens};
pub use x509::{ClientCertificates, DeferredVerifier, Identity, X509Error};

use crate::user::{AUTHENTICATED, User};
use alcove_object::Status;
use http::{HeaderMap, header};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Why a token stands for nobody when there is no better reason: it is none of ours.
pub const INVALID_TOKEN: &str = "invalid bearer token";

/// A token's answer, which may need to look something up.
pub type Authenticating<'a> = Pin<Box<dyn Future<Output = Result<TokenUser, String>> + Send + 'a>>;

/// Whom a token stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUser {
    /// The user.
    pub user: User,
    /// The audiences that token and question share.
    pub audiences: Vec<String>,
}

/// Judges bearer tokens: service accounts, bootstrap tokens, OIDC.
pub trait Tokens: Send + Sync {
    /// Whom the token stands for, for one of these audiences (none: the API server's own). The error says why it
    /// stands for nobody; only `TokenReview` shows it.
    fn authenticate<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Authenticating<'a>;
}

/// Everything that can tell who sends a request.
#[derive(Clone)]
pub struct Authenticator {
    /// Judges client certificates; without it they are bad credentials.
    pub certificates: Option<Arc<ClientCertificates>>,
    /// Judges bearer tokens; without it they are bad credentials.
    pub tokens: Option<Arc<dyn Tokens>>,
    /// Whether requests without credentials are `system:anonymous` instead of 401.
    pub anonymous: bool,
}

impl Authenticator {
    /// Who sends this request. 401 for bad credentials, and for none when nobody may be anonymous.
    pub async fn authenticate(&self, identity: &Identity, headers: &HeaderMap) -> Result<User, Status> {
        let mut has_bad_credentials = false;
        match identity.user(self.certificates.as_deref()) {
            Some(Ok(user)) => return Ok(authenticated(user)),
            Some(Err(error)) => {
                tracing::info!(%error, "client certificate refused");
                has_bad_credentials = true;
            }
            None => {}
        }
        if let Some(token) = bearer_token(headers) {
            match self.token(token, &[]).await {
                Ok(token) => return Ok(token.user),
                Err(error) => {
                    tracing::info!(%error, "bearer token refused");
                    has_bad_credentials = true;
                }
            }
        }
        if self.anonymous && !has_bad_credentials {
            Ok(User::anonymous())
        } else {
            Err(Status::unauthorized())
        }
    }

    /// Whom a bearer token stands for.
    pub async fn token(&self, token: &str, audiences: &[String]) -> Result<TokenUser, String> {
        let Some(tokens) = &self.tokens else { return Err(INVALID_TOKEN.into()) };
        let found = tokens.authenticate(token, audiences).await?;
        Ok(TokenUser { user: authenticated(found.user), ..found })
    }
}

/// Whoever proved who they are is in `system:authenticated`.
fn authenticated(mut user: User) -> User {
    if !user.groups.iter().any(|group| group == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

/// The token of an `Authorization: Bearer` header. Other schemes are no credentials here.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneToken;

    impl Tokens for OneToken {
        fn authenticate<'a>(&'a self, token: &'a str, _: &'a [String]) -> Authenticating<'a> {
            let user = User { name: "ada".into(), ..User::default() };
            let answer = if token == "good" {
                Ok(TokenUser { user, ..TokenUser::default() })
            } else {
                Err("no".into())
            };
            Box::pin(std::future::ready(answer))
        }
    }

    #[tokio::test]
    async fn bad_credentials_are_never_anonymous() {
        let authenticator =
            Authenticator { certificates: None, tokens: Some(Arc::new(OneToken)), anonymous: true };
        for (authorization, expected) in [
            (None, Ok("system:anonymous")),
            (Some("Bearer good"), Ok("ada")),
            (Some("bearer  good "), Ok("ada")),
            (Some("Bearer bad"), Err(401)),
            (Some("Basic Z29vZDpnb29k"), Ok("system:anonymous")),
            (Some("Bearer"), Ok("system:anonymous")),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            let user = authenticator.authenticate(&Identity::none(), &headers).await;
            let user = user.map(|user| user.name).map_err(|status| status.code);
            assert_eq!(user.as_deref(), expected.as_ref().map(|name| *name), "{authorization:?}");
        }
        let closed = Authenticator { anonymous: false, ..authenticator };
        assert_eq!(closed.authenticate(&Identity::none(), &HeaderMap::new()).await.unwrap_err().code, 401);
    }
}

//! Secrets of type `kubernetes.io/service-account-token`: whoever makes one for a service account gets a token in it
//! that is good as long as the Secret is there (kube-controller-manager's tokens controller). The token is an ordinary
//! one, bound to the Secret, so that deleting the Secret or the account ends it at once.

use crate::runtime::{Failure, Key, Mapper, Next, Reconciler, Source, split};
use alcove_apiserver::options::{DeleteOptions, ListOptions};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::{Gvr, Reason, Status, Value, meta};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::sync::Arc;

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// The longest time that may be asked for: the Secret's life is the limit.
const SECONDS: i64 = 1 << 32;

/// Fills Secrets with tokens.
pub struct TokenSecrets {
    client: Client,
    root_ca: String,
}

impl TokenSecrets {
    /// `root_ca`: the certificate, in PEM, that goes with each token.
    pub fn new(client: Client, root_ca: &str) -> TokenSecrets {
        TokenSecrets { client, root_ca: BASE64_STANDARD.encode(root_ca) }
    }

    /// Secrets of this type, and those of accounts that come or go.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let of_type: Mapper = Box::new(|event, add| {
            if let Event::Added(o) | Event::Modified(o) = event
                && is_token_secret(o)
            {
                add(o.key.clone());
            }
        });
        let this = self.clone();
        let of_account: Mapper = Box::new(move |event, add| {
            let (Event::Added(account) | Event::Deleted(account)) = event else { return };
            let found = this.client.list(&secrets(), account.namespace(), &ListOptions::default());
            let items = found.map(|list| list.items).unwrap_or_default().into_iter();
            items.filter(is_token_secret).for_each(|secret| add(secret.key));
        });
        vec![Source::new(secrets(), of_type), Source::new(accounts(), of_account)]
    }

    async fn fill(&self, namespace: &str, mut secret: Value) -> Result<(), Status> {
        let Some(name) = meta::annotation(&secret, ACCOUNT_NAME).map(str::to_owned) else { return Ok(()) };
        let Some(account) = self.client.find(&accounts(), namespace, &name)? else {
            return self.delete(namespace, &secret).await;
        };
        let account = account.parse();
        match meta::annotation(&secret, ACCOUNT_UID) {
            Some(uid) if !uid.is_empty() && uid != meta::uid(&account) => {
                return self.delete(namespace, &secret).await;
            }
            _ => {}
        }
        let before = secret.clone();
        if meta::annotation(&secret, ACCOUNT_UID).is_none_or(str::is_empty) {
            secret["metadata"]["annotations"][ACCOUNT_UID] = meta::uid(&account).into();
        }
        secret["data"]["ca.crt"] = self.root_ca.as_str().into();
        if secret["data"]["namespace"].is_null() {
            secret["data"]["namespace"] = BASE64_STANDARD.encode(namespace).into();
        }
        if secret["data"]["token"].as_str().is_none_or(str::is_empty) {
            let token = self.token(namespace, &name, &secret).await?;
            secret["data"]["token"] = BASE64_STANDARD.encode(token).into();
        }
        if secret == before {
            return Ok(());
        }
        self.client.update(&secrets(), namespace, secret).await.map(drop)
    }

    async fn token(&self, namespace: &str, account: &str, secret: &Value) -> Result<String, Status> {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": [], "expirationSeconds": SECONDS, "boundObjectRef": {
                "apiVersion": "v1", "kind": "Secret", "name": meta::name(secret), "uid": meta::uid(secret) } },
        });
        let answer =
            self.client.create_subresource(&accounts(), "token", namespace, account, request).await?;
        Ok(answer["status"]["token"].as_str().unwrap_or_default().to_owned())
    }

    async fn delete(&self, namespace: &str, secret: &Value) -> Result<(), Status> {
        let options = DeleteOptions::of(secret);
        self.client.delete(&secrets(), namespace, meta::name(secret), &options).await.map(drop)
    }
}

fn secrets() -> Gvr {
    Gvr::new("", "v1", "secrets")
}

fn accounts() -> Gvr {
    Gvr::new("", "v1", "serviceaccounts")
}

/// Most Secrets are of other types and need not be read.
fn is_token_secret(secret: &Object) -> bool {
    secret.bytes.windows(TYPE.len()).any(|window| window == TYPE.as_bytes())
}

impl Reconciler for TokenSecrets {
    fn name(&self) -> &'static str {
        "tokens-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = split(key);
        let Some(secret) = self.client.find(&secrets(), namespace, name)? else { return Ok(Next::Done) };
        let secret = secret.parse();
        if secret["type"] != TYPE || meta::is_deleting(&secret) {
            return Ok(Next::Done);
        }
        match self.fill(namespace, secret).await {
            // Changed or gone meanwhile: its event brings it back.
            Err(status) if status.is(Reason::CONFLICT) || status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            done => Ok(done.map(|()| Next::Done)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alcove_apiserver::testing::{self, TestEnv};
    use alcove_apiserver::{User, kinds};
    use alcove_object::Env;
    use alcove_schema::Minor;

    /// The Secret `token`, once it is as expected; `None`: once it is gone.
    async fn once(client: &Client, is: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        let mut watch = client.watch(&secrets(), "default", &ListOptions::default()).unwrap();
        loop {
            let found = client.get(&secrets(), "default", "token").ok().map(|secret| secret.parse());
            if is(found.as_ref()) {
                return found;
            }
            watch.next().await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_secret_gets_a_token_and_goes_with_its_account() {
        let env = Arc::new(TestEnv::new(7));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let account =
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "robot" } });
        let account = client.create(&accounts(), "default", account).await.unwrap().parse();
        let env: Arc<dyn Env> = env;
        let authority = testing::authority();
        let _tasks = crate::start(&server, &env, &authority);
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "type": TYPE,
            "metadata": { "name": "token", "annotations": { ACCOUNT_NAME: "robot" } } });
        client.create(&secrets(), "default", secret).await.unwrap();

        let filled = once(&client, |s| s.is_some_and(|s| !s["data"]["token"].is_null())).await.unwrap();
        let text = |key: &str| {
            let bytes = BASE64_STANDARD.decode(filled["data"][key].as_str().unwrap()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(meta::annotation(&filled, ACCOUNT_UID), Some(meta::uid(&account)));
        assert_eq!((text("namespace").as_str(), text("ca.crt").as_str()), ("default", authority.pem()));
        assert_eq!(text("token").split('.').count(), 3);

        client.delete(&accounts(), "default", "robot", &DeleteOptions::default()).await.unwrap();
        once(&client, |s| s.is_none()).await;
    }
}

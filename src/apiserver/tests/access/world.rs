//! A server with roles, tokens and admission as the product puts them together, and what tests ask of it.

use crate::support::{Answer, Connection};
use alcove_apiserver::admission::{Admission, Certificates, Escalation, NamespaceLifecycle, ServiceAccount};
use alcove_apiserver::authn::{ServiceAccountTokens, SigningKeys};
use alcove_apiserver::authorization::{self, Rbac};
use alcove_apiserver::testing::front::Https;
use alcove_apiserver::testing::{TestEnv, memory_store};
use alcove_apiserver::{ApiServer, ServerConfig, kinds};
use alcove_schema::Minor;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
pub const GROUP: &str = "rbac.authorization.k8s.io";
pub const CORE: &str = "/api/v1/namespaces/default";
pub const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

pub struct World {
    pub env: Arc<TestEnv>,
    pub https: Https,
    pub admin: Connection,
}

impl World {
    pub async fn new() -> World {
        let (env, store) = (Arc::new(TestEnv::new(1)), memory_store());
        let rbac = Rbac::new(store.clone());
        let keys = SigningKeys::generate().unwrap();
        let admission: Vec<Arc<dyn Admission>> = vec![
            Arc::new(NamespaceLifecycle::new(store.clone())),
            Arc::new(ServiceAccount::new(store.clone(), env.clone())),
            Arc::new(Certificates::new(rbac.clone())),
            Arc::new(Escalation::new(rbac.clone())),
        ];
        let server = ApiServer::new(ServerConfig {
            minor: Minor::DEFAULT,
            env: env.clone(),
            resources: kinds::resources(Minor::DEFAULT),
            admission,
            authorizer: rbac,
            connector: None,
            tokens: Some(Arc::new(ServiceAccountTokens::new(keys, store.clone(), env.clone()))),
            store,
        });
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        authorization::bootstrap::reconcile(&server).await.unwrap();
        let https = Https::start(server).await;
        let admin = Connection::admin(&https).await;
        World { env, https, admin }
    }

    pub async fn user(&self, name: &str, groups: &[&str]) -> Connection {
        let day = Duration::from_secs(24 * 60 * 60);
        let issued = self.https.authority.client(name, groups, Timestamp::now(), day).unwrap();
        Connection::open(&self.https, Some(&issued), &["http/1.1"]).await
    }

    pub async fn stranger(&self) -> Connection {
        Connection::open(&self.https, None, &["http/1.1"]).await
    }

    pub async fn made(&mut self, path: &str, object: Value) -> Value {
        let made = self.admin.post(path, &object).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    /// Gives a user a cluster role of their own.
    pub async fn allow(&mut self, user: &str, rules: Value) {
        let role = json!({"metadata": {"name": user}, "rules": rules});
        self.made(&format!("{RBAC}/clusterroles"), role).await;
        let binding = json!({
            "metadata": {"name": user}, "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": GROUP, "kind": "User", "name": user}],
        });
        self.made(&format!("{RBAC}/clusterrolebindings"), binding).await;
    }

    pub async fn account(&mut self, name: &str) -> Value {
        self.made(&format!("{CORE}/serviceaccounts"), json!({"metadata": {"name": name}})).await
    }

    pub async fn token(&mut self, account: &str, spec: Value) -> Answer {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
        });
        self.admin.post(&format!("{CORE}/serviceaccounts/{account}/token"), &request).await
    }
}

pub fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["status"]["token"].as_str().unwrap().to_owned()
}

pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub async fn with_token(
    connection: &mut Connection,
    token: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    connection.send(method, path, &headers, body).await
}

pub async fn whoami(connection: &mut Connection, token: &str) -> Answer {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    with_token(connection, token, Method::POST, WHOAMI, &review).await
}

pub fn message(answer: &Answer) -> String {
    answer.json()["message"].as_str().unwrap_or_default().to_owned()
}

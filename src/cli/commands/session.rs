//! A way to a tenant's API: its kubeconfig, with an address that leads there from this machine.

use super::{Error, forward};
use crate::contexts::{Entry, Mark};
use crate::host::{Certificate, Host, certificate, deepest, kind};
use crate::tenants::{self, Tenant};
use alcove_schema::decode::yaml_tree;
use alcove_syncer::kubeconfig;
use kube::config::KubeConfigOptions;
use serde_json::{Value, json};

/// How a tenant is to be reached.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The address; without it the exposed one, else a port that is forwarded.
    pub server: Option<String>,
    /// The port of this machine that is forwarded.
    pub local_port: Option<u16>,
}

/// A tenant that can be reached as long as this lives.
pub struct Session {
    /// The address.
    pub server: String,
    /// Cluster and user for a kubeconfig.
    pub entry: Entry,
    /// The forwarded port, where one is needed.
    pub forward: Option<forward::Forward>,
}

/// Whether an address leads anywhere from outside the host cluster.
pub fn is_outside(server: &str) -> bool {
    let Ok(uri) = server.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let is_service = host.ends_with(".svc") || host.contains(".svc.");
    let is_here = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    !is_service && !is_here && host.contains(['.', ':'])
}

/// The name of a tenant's context: the same from everywhere, and no other tenant's.
pub fn context_name(name: &str, namespace: &str, parent: Option<&str>) -> String {
    format!("alcove_{name}_{namespace}_{}", parent.unwrap_or("in-cluster"))
}

/// The kubeconfig that the tenant wrote to its Secret.
pub async fn kubeconfig(host: &Host, tenant: &Tenant) -> Result<Value, crate::Error> {
    let secret_name = tenant.kubeconfig_secret();
    let secret = host.get(&kind("v1", "Secret"), &tenant.namespace, &secret_name).await?;
    let text = secret.as_ref().and_then(|secret| tenants::secret_text(secret, "value"));
    let Some(text) = text else {
        let pod = host.get(&kind("v1", "Pod"), &tenant.namespace, &tenant.pod()).await.unwrap_or_default();
        let state = format!("{:?}", tenant.state(pod.as_ref()));
        let (name, namespace) = (tenant.name.clone(), tenant.namespace.clone());
        return Err(Error::NoKubeconfig { name, namespace, secret: secret_name, state }.into());
    };
    yaml_tree(&text).map_err(|detail| {
        let (namespace, secret) = (tenant.namespace.clone(), secret_name);
        Error::BadKubeconfig { namespace, secret, detail }.into()
    })
}

/// Opens a way to a tenant and makes sure that it answers.
pub async fn open(host: &Host, tenant: &Tenant, way: &Way) -> Result<Session, crate::Error> {
    let tree = kubeconfig(host, tenant).await?;
    let told = tree.pointer("/clusters/0/cluster/server").and_then(Value::as_str).unwrap_or_default();
    let name = context_name(&tenant.name, &tenant.namespace, host.context.as_deref());
    let (server, forward) = match &way.server {
        Some(server) => (server.clone(), None),
        None if is_outside(told) && way.local_port.is_none() => (told.to_owned(), None),
        None => {
            let liked = earlier_port(host, &name);
            let forward =
                forward::start(host, &tenant.namespace, &tenant.name, way.local_port, liked).await?;
            (format!("https://127.0.0.1:{}", forward.port), Some(forward))
        }
    };
    let entry = entry(host, tenant, &tree, &server, name)?;
    let session = Session { server, entry, forward };
    session.check(tenant).await?;
    Ok(session)
}

/// What goes into a kubeconfig for a tenant.
pub fn entry(
    host: &Host,
    tenant: &Tenant,
    tree: &Value,
    server: &str,
    name: String,
) -> Result<Entry, crate::Error> {
    let mut cluster = tree.pointer("/clusters/0/cluster").cloned().unwrap_or(json!({}));
    cluster["server"] = server.into();
    let user = tree.pointer("/users/0/user").cloned().unwrap_or(json!({}));
    let previous = host.files.as_ref().map(|files| files.current()).transpose()?.flatten();
    let mark = Mark {
        tenant: tenant.name.clone(),
        namespace: tenant.namespace.clone(),
        parent: host.context.clone(),
        // Who connects again comes back to where they were before the first time.
        previous: match &host.files {
            Some(files) if previous.as_deref() == Some(&name) => {
                files.mark(&name)?.and_then(|mark| mark.previous)
            }
            _ => previous,
        },
    };
    Ok(Entry { name, cluster, user, namespace: None, mark })
}

/// The port that the same context had before, so that programs that hold it go on.
fn earlier_port(host: &Host, context: &str) -> Option<u16> {
    let merged = host.files.as_ref()?.merged().ok()?;
    let cluster = merged.clusters.into_iter().find(|cluster| cluster.name == context)?.cluster?;
    let uri: http::Uri = cluster.server?.parse().ok()?;
    (uri.host() == Some("127.0.0.1")).then(|| uri.port_u16()).flatten()
}

impl Session {
    /// A whole kubeconfig for this session alone.
    pub fn kubeconfig(&self) -> Value {
        let name = &self.entry.name;
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{ "name": name, "cluster": self.entry.cluster }],
            "users": [{ "name": name, "user": self.entry.user }],
            "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
        })
    }

    /// A client of the tenant.
    pub async fn client(&self) -> Result<kube::Client, String> {
        let parsed = kubeconfig::from_tree(self.kubeconfig())?;
        let config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
        kube::Client::try_from(config.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    async fn check(&self, tenant: &Tenant) -> Result<(), Error> {
        let failed = |detail: String| Error::NoAnswer {
            name: tenant.name.clone(),
            server: self.server.clone(),
            detail,
        };
        let client = self.client().await.map_err(failed)?;
        let request = http::Request::get("/readyz").body(Vec::new());
        let request = request.map_err(|error| failed(error.to_string()))?;
        let answer = client.request_text(request).await;
        answer.map(drop).map_err(|error| failed(why(&error)))
    }
}

/// Why a tenant does not answer, with what to do.
pub fn why(error: &kube::Error) -> String {
    match certificate(error) {
        Some(Certificate::NotYetValid) => {
            "its certificate is not valid yet, so the clock of this machine is slow, or that of the host is fast; set them right".into()
        }
        Some(Certificate::Expired) => {
            "its certificate has expired, so the clock of this machine is fast, or the tenant could not renew it; set the clock right, or look at the tenant's log".into()
        }
        Some(Certificate::Other(detail)) => {
            format!("its certificate is not for this address ({detail}); add the name with --set 'expose.names=[NAME]', or leave --server out")
        }
        None => match error {
            kube::Error::Api(status) if status.code == 401 => {
                "it does not accept the kubeconfig in its Secret; delete the Secret, and the tenant writes it anew".into()
            }
            kube::Error::Api(status) => status.message.clone(),
            error => format!("{}; `alcove doctor` tells more", deepest(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_within_the_host_are_forwarded() {
        for (server, expected) in [
            ("https://red.red.svc", false),
            ("https://red.red.svc.cluster.local:443", false),
            ("https://localhost:8443", false),
            ("https://127.0.0.1:8443", false),
            ("https://red", false),
            ("https://192.0.2.7", true),
            ("https://red.example.com", true),
            ("https://[2001:db8::1]", true),
            ("nonsense", false),
        ] {
            assert_eq!(is_outside(server), expected, "{server}");
        }
    }
}

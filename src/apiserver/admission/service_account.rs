//! ServiceAccount: every pod runs as a service account that is there, gets its pull secrets, and reads its token from a
//! volume that is made for it (k8s.io/kubernetes/plugin/pkg/admission/serviceaccount).

use super::pods::{pod_spec, text};
use super::{Admission, Admitting, Attributes};
use crate::rest::token::SECONDS_OF_POD_VOLUMES;
use alcove_object::{Env, Status, Value, meta};
use alcove_store::Store;
use serde_json::{Map, json};
use std::sync::Arc;
use std::time::Duration;

const TABLE: &str = "serviceaccounts";
const DEFAULT: &str = "default";
/// How long a pod waits for the account `default`, which a controller makes in every new namespace. Upstream looks ten
/// times, 100 to 200 ms apart.
const DEFAULT_ACCOUNT_WAIT: Duration = Duration::from_millis(1500);
/// Where containers look for their token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// Characters that are drawn for a volume's name.
const SUFFIX_LENGTH: usize = 5;
const MIRROR_POD: &str = "kubernetes.io/config.mirror";
const ENFORCE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

/// The admission step.
pub struct ServiceAccount {
    store: Store,
    env: Arc<dyn Env>,
}

impl ServiceAccount {
    /// A step that looks accounts up in this store.
    pub fn new(store: Store, env: Arc<dyn Env>) -> ServiceAccount {
        ServiceAccount { store, env }
    }

    async fn complete(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let (name, namespace) = (shown_name(attributes), attributes.namespace.to_owned());
        let is_mirror = meta::annotation(attributes.object, MIRROR_POD).is_some();
        let Some(spec) = pod_spec(attributes, false) else { return Ok(()) };
        let forbidden = |why: String| Status::forbidden("", "pods", &name, &why);
        if is_mirror {
            return check_mirror(spec).map_err(forbidden);
        }
        let wanted = match (text(spec, "serviceAccountName"), text(spec, "serviceAccount")) {
            ("", "") => DEFAULT,
            ("", old) => old,
            (new, _) => new,
        };
        let wanted = wanted.to_owned();
        let account = self.account(&namespace, &wanted, DEFAULT_ACCOUNT_WAIT).await;
        let account = account.ok_or_else(|| forbidden(missing(&namespace, &wanted)))?;
        spec.insert("serviceAccountName".into(), wanted.as_str().into());
        spec.insert("serviceAccount".into(), wanted.into());
        if mounts_token(spec, &account) {
            mount_token(spec, &format!("{VOLUME_PREFIX}{}", self.env.name_suffix(SUFFIX_LENGTH)));
        }
        if list(spec.get("imagePullSecrets")).is_empty() {
            let secrets = list(account.get("imagePullSecrets"));
            if !secrets.is_empty() {
                spec.insert("imagePullSecrets".into(), secrets.to_vec().into());
            }
        }
        check_secrets(spec, &account).map_err(forbidden)
    }

    /// What must hold whatever other steps changed meanwhile.
    async fn check(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let (name, namespace) = (shown_name(attributes), attributes.namespace.to_owned());
        let is_mirror = meta::annotation(attributes.object, MIRROR_POD).is_some();
        let Some(spec) = pod_spec(attributes, false) else { return Ok(()) };
        let forbidden = |why: String| Status::forbidden("", "pods", &name, &why);
        if is_mirror {
            return check_mirror(spec).map_err(forbidden);
        }
        let wanted = text(spec, "serviceAccountName");
        if wanted.is_empty() {
            return Err(forbidden(format!("no service account specified for pod {namespace}/{name}")));
        }
        let account = self.account(&namespace, wanted, Duration::ZERO).await;
        let account = account.ok_or_else(|| forbidden(missing(&namespace, wanted)))?;
        check_secrets(spec, &account).map_err(forbidden)
    }

    /// The account; `default` is waited for.
    async fn account(&self, namespace: &str, name: &str, patience: Duration) -> Option<Value> {
        let key = format!("{namespace}/{name}");
        let find = || {
            let entry = self.store.get(TABLE, &key)?;
            serde_json::from_slice(&entry.json).ok()
        };
        if let Some(account) = find() {
            return Some(account);
        }
        if name != DEFAULT || patience.is_zero() {
            return None;
        }
        // Opened before looking again, so that what comes between is not missed.
        let mut watch = self.store.watch(TABLE, self.store.revision()).ok()?;
        let appears = async {
            loop {
                if let Some(account) = find() {
                    return Some(account);
                }
                watch.next(usize::MAX).await?.ok()?;
            }
        };
        tokio::time::timeout(patience, appears).await.ok()?
    }
}

fn missing(namespace: &str, name: &str) -> String {
    format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found")
}

/// The name in a refusal: a name that is yet to be generated shows as its prefix.
fn shown_name(attributes: &Attributes<'_>) -> String {
    let object = &*attributes.object;
    let names = [attributes.name, meta::name(object), meta::text(object, "generateName"), "Unknown"];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The pod's word goes before the account's; without one, yes.
fn mounts_token(spec: &Map<String, Value>, account: &Value) -> bool {
    const FIELD: &str = "automountServiceAccountToken";
    let pods = spec.get(FIELD).and_then(Value::as_bool);
    pods.or_else(|| account.get(FIELD).and_then(Value::as_bool)).unwrap_or(true)
}

/// Mounts the token where a container mounts nothing else; a volume of ours that is there already is used again.
fn mount_token(spec: &mut Map<String, Value>, new_name: &str) {
    let names = list(spec.get("volumes")).iter().filter_map(|volume| volume.get("name")?.as_str());
    let existing = names.into_iter().find(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let volume = existing.clone().unwrap_or_else(|| new_name.to_owned());
    let mut is_used = false;
    for containers in ["initContainers", "containers"] {
        let containers = spec.get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers {
            let is_taken =
                list(container.get("volumeMounts")).iter().any(|mount| mount["mountPath"] == TOKEN_PATH);
            if !is_taken && container.is_object() {
                let mount = json!({"name": volume, "readOnly": true, "mountPath": TOKEN_PATH});
                push(&mut container["volumeMounts"], mount);
                is_used = true;
            }
        }
    }
    if is_used && existing.is_none() {
        push(spec.entry("volumes").or_insert(Value::Null), token_volume(&volume));
    }
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": SECONDS_OF_POD_VOLUMES, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            ]}},
        ],
    }})
}

/// A pod that a kubelet made for itself has no account and no secrets.
fn check_mirror(spec: &Map<String, Value>) -> Result<(), String> {
    if !text(spec, "serviceAccountName").is_empty() {
        return Err("a mirror pod may not reference service accounts".into());
    }
    if !secrets(spec).is_empty() || !list(spec.get("imagePullSecrets")).is_empty() {
        return Err("a mirror pod may not reference secrets".into());
    }
    let volumes = list(spec.get("volumes")).iter();
    let sources = volumes.flat_map(|volume| list(volume.pointer("/projected/sources")));
    if sources.into_iter().any(|source| source.get("serviceAccountToken").is_some()) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections".into());
    }
    Ok(())
}

/// An account that says so lets its pods use the secrets that it names and no others.
fn check_secrets(spec: &Map<String, Value>, account: &Value) -> Result<(), String> {
    let enforced = meta::annotation(account, ENFORCE_SECRETS);
    if !enforced.is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")) {
        return Ok(());
    }
    let names = |field: &str| -> Vec<&str> {
        list(account.get(field)).iter().filter_map(|reference| reference.get("name")?.as_str()).collect()
    };
    let (allowed, account_name) = (names("secrets"), meta::name(account));
    for (user, secret) in secrets(spec) {
        if !allowed.contains(&secret) {
            return Err(format!(
                "{user}=\"{secret}\" is not allowed because service account {account_name} does not reference that secret"
            ));
        }
    }
    let allowed = names("imagePullSecrets");
    for (i, reference) in list(spec.get("imagePullSecrets")).iter().enumerate() {
        let name = text_of(reference, "name");
        if !allowed.contains(&name) {
            return Err(format!(
                "imagePullSecrets[{i}].name=\"{name}\" is not allowed because service account {account_name} does not \
                 reference that imagePullSecret"
            ));
        }
    }
    Ok(())
}

fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The secrets that volumes and environments name, and where.
fn secrets(spec: &Map<String, Value>) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    for volume in list(spec.get("volumes")) {
        if let Some(secret) = volume.get("secret") {
            found.push(("volume with secret.secretName".to_owned(), text_of(secret, "secretName")));
        }
    }
    for (field, what) in [("initContainers", "init container"), ("containers", "container")] {
        for container in list(spec.get(field)) {
            let name = text_of(container, "name");
            for variable in list(container.get("env")) {
                if let Some(key) = variable.pointer("/valueFrom/secretKeyRef") {
                    let user = format!(
                        "{what} {name} with envVar {} referencing secret.secretName",
                        text_of(variable, "name")
                    );
                    found.push((user, text_of(key, "name")));
                }
            }
            for source in list(container.get("envFrom")) {
                if let Some(secret) = source.get("secretRef") {
                    let user = format!("{what} {name} with envFrom referencing secret.secretName");
                    found.push((user, text_of(secret, "name")));
                }
            }
        }
    }
    found
}

impl Admission for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(self.complete(attributes))
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(self.check(attributes))
    }
}

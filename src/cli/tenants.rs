//! Tenants as they are on a host: how to find them, what they are called there, and how they are.
//!
//! This is the border to whatever installs tenants: names and labels stand here alone.

use crate::host::{self, Host, kind};
use alcove_object::gather::Gather;
use alcove_object::{meta, name::is_dns1123_label};
use alcove_operator::provision::{APP, TENANT};
use alcove_schema::decode::yaml_tree;
use kube::core::ApiResource;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Label of everything that the syncer makes on the host: the tenant's name.
pub const SYNCED: &str = "alcove.dev/cluster";
/// Annotation of a StatefulSet: since when its tenant is paused.
pub const PAUSED: &str = "alcove.dev/paused";
/// Annotation of a namespace that `alcove create` made: for which tenant.
pub const MADE_FOR: &str = "alcove.dev/created-for";
/// Who manages what helm may adopt.
const HELM: &str = "Helm";

/// The kind of what runs a tenant.
pub fn stateful_sets() -> ApiResource {
    kind("apps/v1", "StatefulSet")
}

/// What went wrong in looking for a tenant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{name:?} cannot be the name of a tenant: {why}")]
    Name { name: String, why: String },
    #[error(
        "there is no tenant {name} {place}; `alcove list` shows those that are there, `alcove create {name}` makes it"
    )]
    Missing { name: String, place: String },
    #[error("there are tenants {name} in namespaces {}; say which one with -n", namespaces.join(", "))]
    Ambiguous { name: String, namespaces: Vec<String> },
}

/// A tenant on a host.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The StatefulSet that runs it.
    pub set: Value,
}

impl Tenant {
    fn of(set: Value) -> Option<Tenant> {
        let name = meta::label(&set, TENANT)?.to_owned();
        (meta::name(&set) == name).then(|| Tenant { name, namespace: meta::namespace(&set).to_owned(), set })
    }

    /// The pod of its control plane.
    pub fn pod(&self) -> String {
        pod(&self.name)
    }

    /// The Secret with its kubeconfig.
    pub fn kubeconfig_secret(&self) -> String {
        kubeconfig_secret(&self.name)
    }

    /// The Secret with its configuration.
    pub fn config_secret(&self) -> String {
        format!("{}-config", self.name)
    }

    /// Its claim, if it keeps its store on one.
    pub fn claim(&self) -> Option<String> {
        claim(&self.set)
    }

    /// Since when it is paused.
    pub fn paused(&self) -> Option<&str> {
        meta::annotation(&self.set, PAUSED)
    }

    /// How many pods its control plane should have.
    pub fn replicas(&self) -> i64 {
        self.set.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
    }

    /// The image of its control plane.
    pub fn image(&self) -> &str {
        self.set.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default()
    }

    /// The version of alcove that runs it.
    pub fn alcove_version(&self) -> &str {
        meta::label(&self.set, "app.kubernetes.io/version").unwrap_or_default()
    }

    /// How it is, as far as its StatefulSet and its pod tell.
    pub fn state(&self, pod: Option<&Value>) -> State {
        let ready = self.set.pointer("/status/readyReplicas").and_then(Value::as_i64).unwrap_or(0) > 0;
        if meta::is_deleting(&self.set) {
            State::Terminating
        } else if self.replicas() == 0 {
            State::Paused
        } else if ready {
            State::Running
        } else if pod.is_some_and(|pod| trouble(pod).is_some_and(|trouble| trouble.is_failure)) {
            State::Failed
        } else {
            State::Pending
        }
    }
}

/// How a tenant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves.
    Running,
    /// It comes up.
    Pending,
    /// It is scaled to zero.
    Paused,
    /// It cannot come up by itself.
    Failed,
    /// It goes.
    Terminating,
}

/// What keeps a pod from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Kubernetes' word for it.
    pub reason: String,
    /// What Kubernetes says.
    pub message: String,
    /// Whether it will not mend itself.
    pub is_failure: bool,
}

/// Reasons of waiting containers that do not go away by waiting.
const FAILURES: [&str; 8] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// What keeps a pod from running, as its status tells.
pub fn trouble(pod: &Value) -> Option<Trouble> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let unscheduled = conditions.clone().find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
    if let Some(condition) = unscheduled {
        let (reason, message) = (text(condition, "reason"), text(condition, "message"));
        return Some(Trouble { reason, message, is_failure: false });
    }
    let statuses = ["initContainerStatuses", "containerStatuses"];
    let statuses = statuses.iter().filter_map(|key| pod["status"][*key].as_array()).flatten();
    for status in statuses {
        let waiting = &status["state"]["waiting"];
        let reason = text(waiting, "reason");
        if FAILURES.contains(&reason.as_str()) {
            let last = &status["lastState"]["terminated"];
            let ended = last["exitCode"].as_i64().map(|code| format!("it ended with exit code {code}"));
            let message =
                Some(text(waiting, "message")).filter(|m| !m.is_empty() && reason != "CrashLoopBackOff");
            let message = message.or(ended).unwrap_or_else(|| text(waiting, "message"));
            return Some(Trouble { reason, message, is_failure: true });
        }
    }
    let is_over = matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Failed"));
    is_over.then(|| Trouble {
        reason: text(&pod["status"], "reason"),
        message: text(&pod["status"], "message"),
        is_failure: true,
    })
}

/// The pod of a tenant's control plane.
pub fn pod(name: &str) -> String {
    format!("{name}-0")
}

/// The Secret with a tenant's kubeconfig.
pub fn kubeconfig_secret(name: &str) -> String {
    format!("{name}-kubeconfig")
}

/// The claim of a tenant's StatefulSet.
pub fn claim(set: &Value) -> Option<String> {
    let template = set.pointer("/spec/volumeClaimTemplates/0/metadata/name")?.as_str()?;
    Some(format!("{template}-{}-0", meta::name(set)))
}

/// Selects the objects that a tenant's installation is made of.
pub fn installed(name: &str) -> String {
    format!("{}={},{TENANT}={name}", APP.0, APP.1)
}

/// Selects what the syncer made for a tenant.
pub fn synced(name: &str) -> String {
    format!("{SYNCED}={name}")
}

/// Selects helm's own records of a release.
pub fn helm_records(name: &str) -> String {
    format!("owner={},name={name}", HELM.to_lowercase())
}

/// Checks a name: it stands in names of host objects.
pub fn check_name(name: &str) -> Result<String, String> {
    let longest = alcove_config::NAME_MAX;
    if let Some(error) = is_dns1123_label(name).first() {
        return Err(format!("{name:?} cannot be the name of a tenant: {error}"));
    }
    if name.len() > longest {
        return Err(format!(
            "{name:?} cannot be the name of a tenant: it has more than {longest} characters"
        ));
    }
    Ok(name.to_owned())
}

/// The tenants of one namespace, or of all that the user may look at. The second value tells what was not looked at.
pub async fn list(
    host: &Host,
    namespace: Option<&str>,
) -> Result<(Vec<Tenant>, Option<String>), host::Error> {
    let selector = format!("{}={}", APP.0, APP.1);
    let sets = |namespace: String| {
        let selector = selector.clone();
        async move { host.list(&stateful_sets(), &namespace, &selector).await }
    };
    let tenants = |sets: Vec<Value>| sets.into_iter().filter_map(Tenant::of).collect::<Vec<_>>();
    if let Some(namespace) = namespace {
        return Ok((tenants(sets(namespace.to_owned()).await?), None));
    }
    match sets(String::new()).await {
        Ok(found) => return Ok((tenants(found), None)),
        Err(error) if error.is_forbidden() => {}
        Err(error) => return Err(error),
    }
    // Not all at once: then each namespace that can be seen, or at least one's own.
    let mut namespaces: Vec<String> = match host.list_metadata(&kind("v1", "Namespace"), "", "").await {
        Ok(found) => found.iter().map(|namespace| meta::name(namespace).to_owned()).collect(),
        Err(error) if error.is_forbidden() => vec![host.default_namespace.clone()],
        Err(error) => return Err(error),
    };
    namespaces.sort();
    let (mut found, mut refused, mut refusal) = (Vec::new(), 0, None);
    for answer in futures_util::future::join_all(namespaces.iter().cloned().map(sets)).await {
        match answer {
            Ok(sets) => found.extend(tenants(sets)),
            Err(error) if error.is_forbidden() => {
                refused += 1;
                refusal = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(refusal) = refusal.filter(|_| refused == namespaces.len()) {
        return Err(refusal);
    }
    let looked = namespaces.len() - refused;
    let note = format!(
        "you may not look into all namespaces, so this is what is in {looked} of them; name others with -n"
    );
    Ok((found, Some(note)))
}

/// The tenant of a name: in the namespace that the user named, else in the one of that name, else wherever it is.
pub async fn find(host: &Host, name: &str) -> Result<Tenant, crate::Error> {
    check_name(name).map_err(|why| Error::Name {
        name: name.into(),
        why: why.rsplit(": ").next().unwrap_or_default().into(),
    })?;
    let missing = |place: String| Error::Missing { name: name.to_owned(), place };
    if let Some(namespace) = &host.namespace {
        let set = host.get(&stateful_sets(), namespace, name).await?;
        return Ok(set.and_then(Tenant::of).ok_or_else(|| missing(format!("in namespace {namespace}")))?);
    }
    let tenants = match list(host, None).await {
        Ok((tenants, _)) => tenants,
        Err(error) if error.is_forbidden() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut named: Vec<Tenant> = tenants.into_iter().filter(|tenant| tenant.name == name).collect();
    match named.len() {
        1 => Ok(named.remove(0)),
        0 => {
            // Who may not list may still know where it is.
            let known = match host.get(&stateful_sets(), name, name).await {
                Err(error) if error.is_forbidden() => None,
                known => known?,
            };
            let place = format!("in the namespaces of {} that you may look into", host.called());
            Ok(known.and_then(Tenant::of).ok_or_else(|| missing(place))?)
        }
        _ => {
            let namespaces = named.into_iter().map(|tenant| tenant.namespace).collect();
            Err(Error::Ambiguous { name: name.to_owned(), namespaces }.into())
        }
    }
}

/// How many pods each tenant has on the host, by namespace and name; what cannot be seen is left out.
pub async fn pod_counts(host: &Host, tenants: &[Tenant]) -> BTreeMap<(String, String), usize> {
    let pods = kind("v1", "Pod");
    let one = |tenant: &Tenant| {
        let key = (tenant.namespace.clone(), tenant.name.clone());
        let (pods, selector) = (pods.clone(), synced(&tenant.name));
        async move {
            let found = host.list_metadata(&pods, &key.0, &selector).await.ok()?;
            Some((key, found.len()))
        }
    };
    let counts = futures_util::future::join_all(tenants.iter().map(one)).await;
    counts.into_iter().flatten().gather()
}

/// The configuration of a tenant, as it was installed; `Null` if it cannot be read.
pub async fn config(host: &Host, tenant: &Tenant) -> Result<Value, host::Error> {
    let secret = host.get(&kind("v1", "Secret"), &tenant.namespace, &tenant.config_secret()).await?;
    let text = secret.as_ref().and_then(|secret| secret_text(secret, "config.yaml"));
    Ok(text.and_then(|text| yaml_tree(&text).ok()).unwrap_or(Value::Null))
}

/// A text in a Secret.
pub fn secret_text(secret: &Value, key: &str) -> Option<String> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let bytes = BASE64_STANDARD.decode(secret["data"][key].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// A change of a Secret that sets a text, or takes it out.
pub fn secret_change(key: &str, text: Option<&str>) -> Value {
    use base64::prelude::{BASE64_STANDARD, Engine};
    json!({ "data": { key: text.map(|text| BASE64_STANDARD.encode(text)) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_are_told() {
        assert_eq!(check_name("red").as_deref(), Ok("red"));
        for bad in ["", "Red", "a.b", "-a", &"a".repeat(41)] {
            assert!(check_name(bad).unwrap_err().contains("cannot be the name of a tenant"), "{bad}");
        }
    }

    #[test]
    fn trouble_is_read_from_a_pod() {
        let cases = [
            (
                json!({ "phase": "Running", "conditions": [{ "type": "PodScheduled", "status": "True" }] }),
                None,
            ),
            (
                json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room" }] }),
                Some(("Unschedulable", "no room", false)),
            ),
            (
                json!({ "containerStatuses": [{ "state": { "waiting": { "reason": "ImagePullBackOff", "message": "not found" } } }] }),
                Some(("ImagePullBackOff", "not found", true)),
            ),
            (
                json!({ "containerStatuses": [{ "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
                    "lastState": { "terminated": { "exitCode": 1 } } }] }),
                Some(("CrashLoopBackOff", "it ended with exit code 1", true)),
            ),
            (
                json!({ "containerStatuses": [{ "state": { "waiting": { "reason": "ContainerCreating" } } }] }),
                None,
            ),
        ];
        for (status, expected) in cases {
            let found = trouble(&json!({ "status": status }));
            let found = found.as_ref().map(|t| (t.reason.as_str(), t.message.as_str(), t.is_failure));
            assert_eq!(found, expected, "{status}");
        }
    }
}

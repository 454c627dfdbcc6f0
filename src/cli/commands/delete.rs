//! `alcove delete`: a tenant and everything that it left on its host, in an order in which nothing comes back.

use super::{Error, connect};
use crate::host::{self, Change, Host, HostArguments, Only, kind};
use crate::output::{self, Progress};
use crate::tenants::{self, MADE_FOR};
use alcove_object::meta;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::select_all;
use kube::core::ApiResource;
use kube::discovery::{Discovery, Scope, verbs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

/// `alcove delete`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant.
    #[arg(value_parser = tenants::check_name)]
    pub name: String,
    /// Does not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Keeps the claims: that of the tenant's own store, and those of its pods. A tenant made with the same name in the
    /// same namespace goes on with them.
    #[arg(long)]
    pub keep_data: bool,
    /// Deletes the namespace, too, if `alcove create` made it.
    #[arg(long, conflicts_with = "keep_data")]
    pub delete_namespace: bool,
    /// Removes what the tenant has on the host and leaves what it is made of to helm, which calls this before it
    /// uninstalls.
    #[arg(long, hide = true, conflicts_with = "delete_namespace")]
    pub synced_only: bool,
    /// Is content if the tenant is not there.
    #[arg(long)]
    pub ignore_not_found: bool,
    /// How long to wait until all is gone.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = connect::timeout)]
    pub timeout: Duration,
    #[command(flatten)]
    pub host: HostArguments,
}

pub const EXAMPLES: &str = "\
Examples:
  alcove delete red
  alcove delete red --yes --delete-namespace
  alcove delete red --keep-data               create it again with the same name and namespace to go on

Deleted are the control plane, all that the tenant had on the host (pods, services, claims, secrets, ...), its kubeconfigs,
and the contexts that `alcove connect` wrote. It stops where it cannot go on, and may be run again.";

/// How one kind is found on the host: those that can be listed and deleted.
struct Kinds {
    namespaced: Vec<ApiResource>,
    cluster_wide: Vec<ApiResource>,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    let host = Host::find(&arguments.host).await?;
    let name = &arguments.name;
    let namespace = match tenants::find(&host, name).await {
        Ok(tenant) => tenant.namespace,
        Err(crate::Error::Tenants(tenants::Error::Missing { .. })) => {
            let namespace = host.namespace.clone().unwrap_or_else(|| name.clone());
            match leftovers(&host, name, &namespace).await? {
                true => namespace,
                false if arguments.ignore_not_found => return Ok(ExitCode::SUCCESS),
                false => {
                    let place = format!("in namespace {namespace}");
                    return Err(tenants::Error::Missing { name: name.clone(), place }.into());
                }
            }
        }
        Err(error) => return Err(error),
    };
    if arguments.delete_namespace && !is_made_by_us(&host, &namespace, name).await? {
        return Err(Error::NotOurNamespace { namespace }.into());
    }
    confirm(&arguments, &namespace)?;
    eprintln!("deleting the tenant {name} in namespace {namespace} of {}", host.called());
    let progress = Progress::start();
    let parts = if arguments.synced_only { Parts::Synced } else { Parts::All };
    let removed =
        everything(&host, name, &namespace, parts, arguments.keep_data, arguments.timeout, &progress).await?;
    if arguments.delete_namespace {
        delete_namespace(&host, &namespace, arguments.timeout).await?;
        progress.done(&format!("namespace {namespace} is gone"));
    }
    for context in forget_contexts(&host, name, &namespace)? {
        progress.done(&format!("context {context} is gone from the kubeconfig"));
    }
    output::print(&format!("tenant {name} deleted: {}", in_words(&removed)));
    if arguments.keep_data {
        eprintln!("  its claims stay in namespace {namespace}");
    } else if !arguments.delete_namespace && is_made_by_us(&host, &namespace, name).await.unwrap_or(false) {
        eprintln!(
            "  namespace {namespace}, which `alcove create` made, stays: kubectl delete namespace {namespace}"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn confirm(arguments: &Arguments, namespace: &str) -> Result<(), Error> {
    if arguments.yes {
        return Ok(());
    }
    let what = match arguments.keep_data {
        true => "everything in it but its claims",
        false => "everything in it and its data",
    };
    let loss = format!("deleting {} in namespace {namespace} ends {what}", arguments.name);
    match output::confirm(&format!("{loss}. Go on?")) {
        Some(true) => Ok(()),
        Some(false) => Err(Error::Declined),
        None => Err(Error::Unconfirmed { loss }),
    }
}

async fn is_made_by_us(host: &Host, namespace: &str, name: &str) -> Result<bool, crate::Error> {
    let found = match host.get(&kind("v1", "Namespace"), "", namespace).await {
        Err(error) if error.is_forbidden() => None,
        found => found?,
    };
    Ok(found.is_some_and(|found| meta::annotation(&found, MADE_FOR) == Some(name)))
}

/// Whether an earlier deletion, or somebody's hand, left something.
async fn leftovers(host: &Host, name: &str, namespace: &str) -> Result<bool, crate::Error> {
    let kinds = ["Pod", "Service", "Secret", "PersistentVolumeClaim"].map(|name| kind("v1", name));
    for (kind, selector) in kinds.iter().flat_map(|kind| selectors(name).map(|selector| (kind, selector))) {
        if !host.list_metadata(kind, namespace, &selector).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Everything of a tenant: what it is made of, and what it has on the host.
fn selectors(name: &str) -> [String; 2] {
    [format!("{}={name}", alcove_operator::provision::TENANT), tenants::synced(name)]
}

/// What of a tenant is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Everything.
    All,
    /// What it has on the host; what it is made of stays, its process excepted.
    Synced,
}

/// What was removed, counted by kind.
pub type Removed = BTreeMap<String, usize>;

/// Who keeps Endpoints for Services, as a label of them tells: they go with their Services.
const KEPT_FOR_SERVICES: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");

/// Removes a tenant wholly and waits until it is gone. Errors: rights, and what is still there when time is up.
pub async fn everything(
    host: &Host,
    name: &str,
    namespace: &str,
    parts: Parts,
    keep_data: bool,
    timeout: Duration,
    progress: &Progress,
) -> Result<Removed, crate::Error> {
    let work = async {
        let kinds = kinds(host).await?;
        let elsewhere = elsewhere(host, name, namespace).await;
        let mut removed = Removed::new();
        // First who would write everything anew.
        stop(host, name, namespace, &mut removed).await?;
        progress.done("the control plane is stopped");
        let made_of = (parts == Parts::All).then(|| selectors(name)[0].clone());
        for selector in std::iter::once(tenants::synced(name)).chain(made_of) {
            let these = find(host, &kinds, namespace, &selector, keep_data).await?;
            remove(host, namespace, &these, &mut removed).await?;
            gone(host, namespace, &these, &selector).await;
            let what = if selector == tenants::synced(name) {
                "what it had on the host"
            } else {
                "what it was made of"
            };
            progress.done(&format!("{what} is gone"));
        }
        for (kind, namespace, name) in elsewhere {
            match host.delete(&kind, &namespace, &name, None).await {
                Ok(true) => count(&mut removed, &kind),
                Ok(false) => {}
                Err(_) => progress.note(&format!(
                    "{} {name} in namespace {namespace} stays, since you may not delete it; ask its owner to",
                    kind.kind
                )),
            }
        }
        if parts == Parts::Synced {
            return Ok(removed);
        }
        remove_helm_records(host, name, namespace, &mut removed).await?;
        Ok::<_, crate::Error>(removed)
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(removed) => removed,
        Err(_) => Err(still_there(host, name, namespace, keep_data, timeout).await.into()),
    }
}

/// What is left when time is up, with what holds it.
async fn still_there(host: &Host, name: &str, namespace: &str, keep_data: bool, timeout: Duration) -> Error {
    let mut left = Vec::new();
    if let Ok(kinds) = kinds(host).await {
        for selector in selectors(name) {
            left.extend(find(host, &kinds, namespace, &selector, keep_data).await.unwrap_or_default());
        }
    }
    let held = left.iter().find(|(_, object)| meta::finalizers(object).next().is_some());
    let detail = held.map_or_else(String::new, |(kind, object)| {
        let finalizers = meta::finalizers(object).collect::<Vec<_>>().join(", ");
        format!(": {} {} waits for {finalizers}", kind.kind, meta::name(object))
    });
    let what = match left.as_slice() {
        [] => format!("the tenant {name}"),
        [(kind, object)] => format!("{} {}", kind.kind, meta::name(object)),
        [(kind, object), more @ ..] => {
            format!("{} {} and {} more", kind.kind, meta::name(object), more.len())
        }
    };
    Error::StillThere { what, seconds: timeout.as_secs(), detail }
}

/// Undoes a `create` that failed, as far as it can.
pub async fn roll_back(host: &Host, name: &str, namespace: &str, with_namespace: bool) {
    let timeout = Duration::from_secs(60);
    let removed = everything(host, name, namespace, Parts::All, false, timeout, &Progress::silent()).await;
    let namespace_gone = match with_namespace {
        true => delete_namespace(host, namespace, timeout).await,
        false => Ok(()),
    };
    match removed.is_ok() && namespace_gone.is_ok() {
        true => eprintln!("  what was made is removed again"),
        false => eprintln!(
            "  what was made could not be removed wholly: `alcove delete {name} -n {namespace}` does it"
        ),
    }
}

/// All kinds of the host that can be listed and deleted. Events go by themselves, and what the host's controllers keep
/// for Services goes with these.
async fn kinds(host: &Host) -> Result<Kinds, host::Error> {
    let failed = |error| host::Error::of(host, "list the kinds", error);
    let discovery = match Discovery::new(host.client.clone()).run_aggregated().await {
        Ok(discovery) => discovery,
        Err(_) => Discovery::new(host.client.clone()).run().await.map_err(failed)?,
    };
    let mut kinds = Kinds { namespaced: Vec::new(), cluster_wide: Vec::new() };
    for group in discovery.groups() {
        for (kind, capabilities) in group.recommended_resources() {
            let works = capabilities.supports_operation(verbs::LIST)
                && capabilities.supports_operation(verbs::DELETE);
            if !works || kind.kind == "Event" {
                continue;
            }
            match capabilities.scope {
                Scope::Namespaced => kinds.namespaced.push(kind),
                // Others are never part of a tenant.
                Scope::Cluster if kind.group == "rbac.authorization.k8s.io" => kinds.cluster_wide.push(kind),
                Scope::Cluster => {}
            }
        }
    }
    Ok(kinds)
}

type Found = Vec<(ApiResource, Value)>;

/// What the syncer made for a tenant, with metadata alone.
pub async fn synced_objects(host: &Host, name: &str, namespace: &str) -> Result<Found, crate::Error> {
    let kinds = kinds(host).await?;
    Ok(find(host, &kinds, namespace, &tenants::synced(name), false).await?)
}

/// What a selector finds, of all kinds. What somebody may not list is not theirs to delete either; what they must be
/// able to list is checked by [`stop`].
async fn find(
    host: &Host,
    kinds: &Kinds,
    namespace: &str,
    selector: &str,
    keep_data: bool,
) -> Result<Found, host::Error> {
    let all = kinds.namespaced.iter().chain(&kinds.cluster_wide);
    let lists =
        join_all(all.map(|kind| async move { (kind, host.list_metadata(kind, namespace, selector).await) }));
    let mut found = Vec::new();
    for (kind, list) in lists.await {
        let list = match list {
            Ok(list) => list,
            Err(host::Error::Forbidden { .. } | host::Error::Status { .. }) if !is_common(kind) => continue,
            Err(error) => return Err(error),
        };
        if keep_data && kind.kind == "PersistentVolumeClaim" {
            continue;
        }
        let ours = list.into_iter().filter(|object| {
            let goes_with_owner = meta::controller_of(object).is_some() && kind.kind != "Pod";
            let goes_with_service = meta::label(object, KEPT_FOR_SERVICES.0) == Some(KEPT_FOR_SERVICES.1);
            !goes_with_owner
                && !goes_with_service
                && (!host::is_cluster_wide(kind) || is_of(object, namespace))
        });
        found.extend(ours.map(|object| (kind.clone(), object)));
    }
    Ok(found)
}

/// Kinds that every tenant has.
fn is_common(kind: &ApiResource) -> bool {
    kind.group.is_empty() && ["Pod", "Service", "Secret", "ConfigMap"].contains(&kind.kind.as_str())
}

/// Whether an object belongs to the release of this namespace: cluster-wide ones of equal tenants have equal labels.
pub fn is_of(object: &Value, namespace: &str) -> bool {
    match meta::namespace(object) {
        "" => meta::annotation(object, "meta.helm.sh/release-namespace") == Some(namespace),
        place => place == namespace,
    }
}

fn count(removed: &mut Removed, kind: &ApiResource) {
    *removed.entry(kind.kind.clone()).or_default() += 1;
}

/// Removes the StatefulSet and its pod, and waits until the process is gone.
async fn stop(host: &Host, name: &str, namespace: &str, removed: &mut Removed) -> Result<(), crate::Error> {
    // Looked for before the set goes, so that it is told of whether the host's garbage collector is faster or not.
    let before = process(host, name, namespace).await?;
    if host.delete(&tenants::stateful_sets(), namespace, name, None).await? {
        count(removed, &tenants::stateful_sets());
    }
    let after = process(host, name, namespace).await?;
    let pods = kind("v1", "Pod");
    if before.is_some() || after.is_some() {
        count(removed, &pods);
    }
    let Some(running) = after else { return Ok(()) };
    host.delete(&pods, namespace, meta::name(&running), Some(meta::uid(&running))).await?;
    gone(host, namespace, &vec![(pods, running)], &selectors(name)[0]).await;
    Ok(())
}

/// The pod that the tenant runs in, if there is one.
async fn process(host: &Host, name: &str, namespace: &str) -> Result<Option<Value>, host::Error> {
    let found = host.get(&kind("v1", "Pod"), namespace, &tenants::pod(name)).await?;
    Ok(found.filter(|pod| meta::label(pod, alcove_operator::provision::TENANT) == Some(name)))
}

async fn remove(
    host: &Host,
    namespace: &str,
    these: &Found,
    removed: &mut Removed,
) -> Result<(), crate::Error> {
    let deleted = join_all(these.iter().map(|(kind, object)| async move {
        // The UID is not named: what took the place of one of ours under its name and labels is ours as well.
        let answer = host.delete(kind, namespace, meta::name(object), None).await;
        (kind, answer)
    }));
    for (kind, answer) in deleted.await {
        if answer? {
            count(removed, kind);
        }
    }
    Ok(())
}

/// Waits until these objects are gone.
pub async fn gone(host: &Host, namespace: &str, these: &Found, selector: &str) {
    let mut left: BTreeSet<String> = these.iter().map(|(_, object)| meta::uid(object).to_owned()).collect();
    let mut kinds: BTreeMap<String, ApiResource> = BTreeMap::new();
    for (kind, _) in these {
        kinds.insert(kind.kind.clone(), kind.clone());
    }
    let only = Only::Labelled(selector.to_owned());
    let follows = kinds.values().map(|kind| host.follow(kind, namespace, &only).boxed());
    let mut changes = select_all(follows);
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while !left.is_empty() {
        match changes.next().await {
            Some(Change::Is(kind, object)) => {
                seen.entry(kind).or_default().insert(meta::uid(&object).to_owned());
            }
            Some(Change::Went(_, object)) => drop(left.remove(meta::uid(&object))),
            Some(Change::Known(kind)) => {
                let there = seen.remove(&kind).unwrap_or_default();
                let of_kind = these.iter().filter(|(known, _)| known.kind == kind);
                for (_, object) in of_kind.filter(|(_, object)| !there.contains(meta::uid(object))) {
                    left.remove(meta::uid(object));
                }
            }
            // What was seen before may have gone while nobody looked.
            Some(Change::Anew(kind)) => drop(seen.remove(&kind)),
            Some(Change::Failed(_)) => {}
            None => return,
        }
    }
}

/// Kubeconfigs that the tenant wrote to other namespaces.
async fn elsewhere(host: &Host, name: &str, namespace: &str) -> Vec<(ApiResource, String, String)> {
    let found = host.get(&tenants::stateful_sets(), namespace, name).await.ok().flatten();
    let tenant =
        tenants::Tenant { name: name.into(), namespace: namespace.into(), set: found.unwrap_or_default() };
    let config = tenants::config(host, &tenant).await.unwrap_or_default();
    let secrets = config.pointer("/kubeconfig/additional").and_then(Value::as_array).into_iter().flatten();
    let named = secrets.filter_map(|secret| {
        let place = secret["namespace"].as_str().filter(|place| *place != namespace)?;
        Some((place.to_owned(), secret["name"].as_str()?.to_owned()))
    });
    let argo = &config["kubeconfig"]["argoCd"];
    let argo = (argo["enabled"] == true).then(|| {
        let place = argo["namespace"].as_str().unwrap_or("argocd").to_owned();
        (place, format!("alcove-{namespace}-{name}"))
    });
    named.chain(argo).map(|(place, name)| (kind("v1", "Secret"), place, name)).collect()
}

/// Helm's own records, which would show a release that is not there any more.
async fn remove_helm_records(
    host: &Host,
    name: &str,
    namespace: &str,
    removed: &mut Removed,
) -> Result<(), crate::Error> {
    let secrets = kind("v1", "Secret");
    let records = host.list(&secrets, namespace, &tenants::helm_records(name)).await?;
    for record in records.iter().filter(|record| record["type"] == "helm.sh/release.v1") {
        if host.delete(&secrets, namespace, meta::name(record), Some(meta::uid(record))).await? {
            count(removed, &secrets);
        }
    }
    Ok(())
}

async fn delete_namespace(host: &Host, namespace: &str, timeout: Duration) -> Result<(), crate::Error> {
    let namespaces = kind("v1", "Namespace");
    if !host.delete(&namespaces, "", namespace, None).await? {
        return Ok(());
    }
    match tokio::time::timeout(timeout, host.until_gone(&namespaces, "", namespace)).await {
        Ok(()) => Ok(()),
        Err(_) => {
            let what = format!("namespace {namespace}");
            Err(Error::StillThere { what, seconds: timeout.as_secs(), detail: String::new() }.into())
        }
    }
}

/// Takes the tenant's contexts out of the user's kubeconfig; gives their names.
fn forget_contexts(host: &Host, name: &str, namespace: &str) -> Result<Vec<String>, crate::Error> {
    let Some(files) = &host.files else { return Ok(Vec::new()) };
    let mut gone = Vec::new();
    for (context, mark) in files.marks()? {
        let is_ours = mark.tenant == name && mark.namespace == namespace && mark.parent == host.context;
        if is_ours {
            files.remove(&context)?;
            gone.push(context);
        }
    }
    Ok(gone)
}

/// `3 Pods, 1 Service`.
fn in_words(removed: &Removed) -> String {
    let one = |(kind, count): (&String, &usize)| match count {
        1 => format!("1 {kind}"),
        _ => format!("{count} {}", plural(kind)),
    };
    match removed.is_empty() {
        true => "there was nothing left of it".into(),
        false => format!("removed {}", removed.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) if !kind.ends_with("way") => format!("{stem}ies"),
        _ if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_counted_in_words() {
        let removed = [("Ingress", 2), ("NetworkPolicy", 2), ("Pod", 3), ("Secret", 1)];
        let removed: Removed = removed.map(|(kind, count)| (kind.to_owned(), count)).into();
        assert_eq!(in_words(&removed), "removed 2 Ingresses, 2 NetworkPolicies, 3 Pods, 1 Secret");
        assert_eq!(in_words(&Removed::new()), "there was nothing left of it");
    }
}

//! `alcove create`: a tenant from nothing, or with `--update` from what it is.

mod values;
mod wait;

pub use wait::{Standing, Until, last_words, ready};

use super::session::{self, Way};
use super::{Error, connect, delete};
use crate::host::{self, Host, HostArguments, Right, in_words, kind, kind_of, missing};
use crate::output::{self, Progress};
use crate::tenants::{self, Tenant};
use alcove_config::{Config, ExposeType, KubernetesVersion};
use alcove_object::meta;
use alcove_operator::provision::{self, Release};
use futures_util::future::try_join_all;
use kube::core::ApiResource;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// `alcove create`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant's name: a DNS label of at most 40 characters.
    #[arg(value_parser = tenants::check_name)]
    pub name: String,
    /// A file with values, such as docs/configuration.md lists; `-` is standard input. Later files win over earlier
    /// ones.
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    pub values: Vec<PathBuf>,
    /// One value, as KEY.KEY=VALUE; the value is YAML. It wins over files.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The Kubernetes version that the tenant serves.
    #[arg(long, value_name = "MINOR", value_parser = version)]
    pub kubernetes_version: Option<KubernetesVersion>,
    /// Makes the tenant reachable from outside the host cluster.
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true, default_missing_value = "LoadBalancer", value_parser = ["LoadBalancer", "NodePort", "ClusterIP"])]
    pub expose: Option<String>,
    /// The image of the control plane, with or without a tag.
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How long to wait until the tenant is ready.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = connect::timeout)]
    pub timeout: Duration,
    /// Whether to connect when the tenant is ready.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub connect: bool,
    /// Whether to make the namespace if it is not there.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub create_namespace: bool,
    /// Changes a tenant that is there: what is not said stays as it is.
    #[arg(long)]
    pub update: bool,
    /// Prints the objects as YAML and does nothing.
    #[arg(long)]
    pub print: bool,
    #[command(flatten)]
    pub host: HostArguments,
}

pub const EXAMPLES: &str = "\
Examples:
  alcove create red                                   the tenant red in the namespace red; connects to it
  alcove create red -n team-a --connect=false         in a namespace that is there; only makes it
  alcove create red --kubernetes-version 1.35 --expose
  alcove create red --values red.yaml --set controlPlane.storage.class=fast
  alcove create red --update --set sync.pods.podSecurity=restricted
  alcove create red --print | kubectl apply -f -      everything but the namespace, for GitOps

Values are those of docs/configuration.md and of the chart. What is installed is the chart's object set: helm can take it
over with `helm upgrade --install red manifests/chart -n red`. `alcove doctor red` tells what a tenant waits for.";

fn version(text: &str) -> Result<KubernetesVersion, String> {
    text.parse()
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, crate::Error> {
    if arguments.print && !arguments.update {
        let namespace = arguments.host.namespace.clone().unwrap_or_else(|| arguments.name.clone());
        print(&release(&arguments, &namespace, json!({}))?);
        return Ok(ExitCode::SUCCESS);
    }
    // What is wrong with the values is told before the host is asked anything.
    release(&arguments, &arguments.name, json!({}))?;
    let host = Host::find(&arguments.host).await?;
    let namespace = host.namespace.clone().unwrap_or_else(|| arguments.name.clone());
    match arguments.update {
        true => update(&host, &namespace, &arguments).await,
        false => create(&host, &namespace, &arguments).await,
    }
}

fn print(release: &Release) {
    let objects = provision::objects(release);
    output::print(&objects.iter().map(output::yaml).collect::<Vec<_>>().join("---\n"));
}

/// What is to be installed; `base` is what the tenant has already.
fn release(arguments: &Arguments, namespace: &str, base: Value) -> Result<Release, Error> {
    // A mistake is told with the file or the flag that brought it; what only fits together with later ones is none.
    let mut tree = base;
    let mut steps: Vec<(String, Value)> = Vec::new();
    for path in &arguments.values {
        values::merge(&mut tree, values::file(path)?);
        steps.push((path.display().to_string(), tree.clone()));
    }
    for assignment in &arguments.set {
        values::set(&mut tree, assignment)?;
        steps.push((format!("--set {assignment}"), tree.clone()));
    }
    let mut flags = json!({});
    if let Some(version) = &arguments.kubernetes_version {
        flags["kubernetesVersion"] = version.to_string().into();
    }
    if let Some(expose) = &arguments.expose {
        flags["expose"]["type"] = expose.clone().into();
    }
    if let Some(image) = &arguments.image {
        flags["controlPlane"]["image"] = values::image(image);
    }
    values::merge(&mut tree, flags);
    let config = values::checked(tree, steps)?;
    let (name, version) = (arguments.name.clone(), crate::version::VERSION.to_owned());
    Ok(Release { name, namespace: namespace.to_owned(), version, config })
}

async fn create(host: &Host, namespace: &str, arguments: &Arguments) -> Result<ExitCode, crate::Error> {
    let release = release(arguments, namespace, json!({}))?;
    let objects = provision::objects(&release);
    let found = look(host, namespace).await?;
    if found == Namespace::Missing && !arguments.create_namespace {
        return Err(Error::NoNamespace { namespace: namespace.to_owned() }.into());
    }
    if found != Namespace::Missing {
        refuse_neighbours(host, &release).await?;
    }
    check_rights(host, &release, &objects, found == Namespace::Missing).await?;
    if found != Namespace::Missing {
        refuse_foreign(host, &release, &objects).await?;
    }
    eprintln!("creating the tenant {} in namespace {namespace} of {}", release.name, host.called());
    let progress = Progress::start();
    prepare_namespace(host, &release, &found, &progress).await?;
    let set = match apply_all(host, &objects, false).await {
        Ok(set) => set,
        Err(error) => {
            // Half a tenant is of no use to anybody.
            let made = found == Namespace::Missing;
            delete::roll_back(host, &release.name, namespace, made).await;
            return Err(error.into());
        }
    };
    progress.done(&format!("{} objects are written", objects.len()));
    let until = if arguments.connect { Until::Serving } else { Until::Ready };
    let standing = Standing::new(set, "", is_exposed(&release.config)).until(until);
    ready(host, namespace, standing, arguments.timeout, &progress).await?;
    output::print(&format!("tenant {} created in namespace {namespace}", release.name));
    go_on(host, &release, arguments.connect).await
}

/// What the namespace is like.
#[derive(Clone, Debug, PartialEq)]
enum Namespace {
    Missing,
    There(Value),
    /// The user may not look at it.
    Unknown,
}

async fn look(host: &Host, namespace: &str) -> Result<Namespace, crate::Error> {
    match host.get(&kind("v1", "Namespace"), "", namespace).await {
        Ok(None) => Ok(Namespace::Missing),
        Ok(Some(found)) if meta::is_deleting(&found) => {
            Err(Error::NamespaceGoes { namespace: namespace.to_owned() }.into())
        }
        Ok(Some(found)) => Ok(Namespace::There(found)),
        Err(error) if error.is_forbidden() => Ok(Namespace::Unknown),
        Err(error) => Err(error.into()),
    }
}

async fn refuse_neighbours(host: &Host, release: &Release) -> Result<(), crate::Error> {
    let (name, namespace) = (release.name.clone(), release.namespace.clone());
    let (tenants, _) = match tenants::list(host, Some(&namespace)).await {
        // What may not be read is told together with all other rights.
        Err(error) if error.is_forbidden() => return Ok(()),
        found => found?,
    };
    if tenants.iter().any(|tenant| tenant.name == name) {
        return Err(Error::Exists { name, namespace }.into());
    }
    let allowed = &release.config.isolation.shared_with;
    match tenants.into_iter().find(|tenant| !allowed.contains(&tenant.name)) {
        Some(other) => Err(Error::SecondTenant { namespace, other: other.name }.into()),
        None => Ok(()),
    }
}

/// All rights that creating and waiting need, so that the first refusal is not found halfway.
async fn check_rights(
    host: &Host,
    release: &Release,
    objects: &[Value],
    new_namespace: bool,
) -> Result<(), crate::Error> {
    let namespace = release.namespace.as_str();
    let mut rights = Vec::new();
    for object in objects {
        let kind = kind_of(object);
        let place = if host::is_cluster_wide(&kind) { "" } else { namespace };
        rights.extend(
            ["get", "create", "patch"].map(|verb| Right::new(verb, &kind.group, &kind.plural, place)),
        );
    }
    for resource in ["pods", "secrets", "events", "persistentvolumeclaims"] {
        rights.extend(["list", "watch"].map(|verb| Right::new(verb, "", resource, namespace)));
    }
    rights.push(Right::new("list", "apps", "statefulsets", namespace));
    if new_namespace {
        rights.push(Right::new("create", "", "namespaces", ""));
    }
    let missing = missing(host, rights).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let (cluster, within): (Vec<Right>, Vec<Right>) =
        missing.into_iter().partition(|right| right.namespace.is_empty());
    let mut parts = Vec::new();
    if !within.is_empty() {
        parts.push(format!("{} in namespace {namespace}", in_words(&within)));
    }
    if !cluster.is_empty() {
        parts.push(format!("{} in the whole cluster", in_words(&cluster)));
    }
    Err(Error::Rights { host: host.called(), missing: parts.join("; ") }.into())
}

/// Objects of somebody else that have our names are not taken over.
async fn refuse_foreign(host: &Host, release: &Release, objects: &[Value]) -> Result<(), crate::Error> {
    let look = |object: &Value| {
        let (kind, name) = (kind_of(object), meta::name(object).to_owned());
        async move {
            let found = match host.get(&kind, &release.namespace, &name).await {
                // Kinds that the host does not have are told when they are written.
                Err(host::Error::Status { code: 404, .. }) => None,
                found => found?,
            };
            let foreign = found.is_some_and(|o| meta::label(&o, provision::TENANT) != Some(&release.name));
            Ok::<_, host::Error>(foreign.then(|| format!("{} {name}", kind.kind)))
        }
    };
    let found: Vec<String> = try_join_all(objects.iter().map(look)).await?.into_iter().flatten().collect();
    match found.is_empty() {
        true => Ok(()),
        false => {
            let namespace = release.namespace.clone();
            Err(Error::Foreign { namespace, objects: found.join(", ") }.into())
        }
    }
}

/// Makes the namespace, or gives the one that is there its labels, where nobody gave it others.
async fn prepare_namespace(
    host: &Host,
    release: &Release,
    found: &Namespace,
    progress: &Progress,
) -> Result<(), crate::Error> {
    let mut wanted = provision::namespace(release);
    let namespace = &release.namespace;
    match found {
        Namespace::Missing => {
            wanted["metadata"]["annotations"] = json!({ tenants::MADE_FOR: release.name });
            host.create(&wanted).await?;
            progress.done(&format!("namespace {namespace} is made"));
        }
        Namespace::There(found) => {
            let labels: Vec<(&str, &str)> = meta::labels(&wanted).collect();
            for (key, value) in labels {
                match meta::label(found, key) {
                    Some(known) if known == value => {}
                    Some(known) => {
                        progress.note(&format!("namespace {namespace} keeps its label {key}={known}"))
                    }
                    None => {
                        let change = json!({ "metadata": { "labels": { key: value } } });
                        match host.merge(&kind("v1", "Namespace"), "", namespace, &change).await {
                            Err(error) if error.is_forbidden() => progress.note(&format!(
                                "you may not label namespace {namespace}; ask the platform team for {key}={value}"
                            )),
                            done => drop(done?),
                        }
                    }
                }
            }
        }
        Namespace::Unknown => {}
    }
    Ok(())
}

/// Writes all objects in their order; gives the StatefulSet as the host has it.
async fn apply_all(host: &Host, objects: &[Value], force: bool) -> Result<Value, host::Error> {
    let mut set = Value::Null;
    for object in objects {
        let written = host.apply(object, force).await?;
        if object["kind"] == "StatefulSet" {
            set = written;
        }
    }
    Ok(set)
}

fn is_exposed(config: &Config) -> bool {
    config.expose.service_type == ExposeType::LoadBalancer && config.kubeconfig.server.is_none()
}

/// Connects, or says how to.
async fn go_on(host: &Host, release: &Release, connect: bool) -> Result<ExitCode, crate::Error> {
    let (name, namespace) = (&release.name, &release.namespace);
    let place = if name == namespace { String::new() } else { format!(" -n {namespace}") };
    if !connect {
        eprintln!(
            "\nNext:\n  alcove connect {name}{place}\n  alcove connect {name}{place} -- kubectl get namespaces"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let set = host.get(&tenants::stateful_sets(), namespace, name).await?.unwrap_or_default();
    let tenant = Tenant { name: name.clone(), namespace: namespace.clone(), set };
    let session = session::open(host, &tenant, &Way::default()).await?;
    let other = if session.forward.is_some() { " in another terminal" } else { "" };
    eprintln!("\nNext{other}:\n  kubectl get namespaces\n  kubectl create deployment web --image=nginx\n");
    connect::stay(host, &tenant, session, true).await
}

async fn update(host: &Host, namespace: &str, arguments: &Arguments) -> Result<ExitCode, crate::Error> {
    let name = arguments.name.clone();
    let tenant = match tenants::find(host, &name).await {
        Err(crate::Error::Tenants(tenants::Error::Missing { .. })) => {
            return Err(Error::NothingToUpdate { name, namespace: namespace.to_owned() }.into());
        }
        found => found?,
    };
    let base = installed_values(host, &tenant).await?;
    let release = release(arguments, &tenant.namespace, base.clone())?;
    if arguments.print {
        print(&release);
        return Ok(ExitCode::SUCCESS);
    }
    let before = values::checked(base, Vec::new())?;
    if before.control_plane.storage != release.config.control_plane.storage {
        let storage = &release.config.control_plane.storage;
        let what = format!("{} of {}", storage.class.as_deref().unwrap_or("the default class"), storage.size);
        return Err(Error::ClaimIsFixed { name, what }.into());
    }
    let mut objects = provision::objects(&release);
    check_rights(host, &release, &objects, false).await?;
    refuse_foreign(host, &release, &objects).await?;
    let is_paused = tenant.replicas() == 0;
    if is_paused {
        let sets = objects.iter_mut().filter(|object| object["kind"] == "StatefulSet");
        sets.for_each(|set| set["spec"]["replicas"] = 0.into());
    }
    eprintln!("changing the tenant {name} in namespace {} of {}", tenant.namespace, host.called());
    let progress = Progress::start();
    let pod = host.get(&kind("v1", "Pod"), &tenant.namespace, &tenant.pod()).await?;
    let set = apply_all(host, &objects, true).await?;
    let gone = prune(host, &release, &objects).await?;
    progress.done(&format!("{} objects are written, {gone} removed", objects.len()));
    if is_paused {
        output::print(&format!("tenant {name} changed; it is paused, `alcove resume {name}` starts it"));
        return Ok(ExitCode::SUCCESS);
    }
    let is_same = set["spec"]["template"] == tenant.set["spec"]["template"];
    let old_pod = pod.as_ref().filter(|_| !is_same).map(meta::uid).unwrap_or_default();
    let standing = Standing::new(set, old_pod, is_exposed(&release.config));
    ready(host, &tenant.namespace, standing, arguments.timeout, &progress).await?;
    output::print(&format!("tenant {name} changed in namespace {}", tenant.namespace));
    Ok(ExitCode::SUCCESS)
}

/// The values that a tenant was installed with.
async fn installed_values(host: &Host, tenant: &Tenant) -> Result<Value, crate::Error> {
    let mut tree = tenants::config(host, tenant).await?;
    match tree.as_object_mut() {
        // In the pod, these are nobody's choice.
        Some(entries) => {
            ["host", "data", "port", "address"].iter().for_each(|key| drop(entries.remove(*key)));
            Ok(tree)
        }
        None => Ok(json!({})),
    }
}

/// Kinds of which a release may have objects at one time and none at another.
fn optional_kinds() -> Vec<ApiResource> {
    [
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("networking.k8s.io/v1", "Ingress"),
        ("gateway.networking.k8s.io/v1", "TLSRoute"),
        ("policy/v1", "PodDisruptionBudget"),
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
        ("v1", "ResourceQuota"),
        ("v1", "LimitRange"),
        ("v1", "Service"),
    ]
    .map(|(version, name)| kind(version, name))
    .to_vec()
}

/// Removes what the release had and does not want any more.
async fn prune(host: &Host, release: &Release, wanted: &[Value]) -> Result<usize, crate::Error> {
    let is_wanted = |kind: &ApiResource, name: &str| {
        wanted.iter().any(|object| object["kind"] == kind.kind.as_str() && meta::name(object) == name)
    };
    let mut gone = 0;
    for kind in optional_kinds() {
        let found =
            match host.list_metadata(&kind, &release.namespace, &tenants::installed(&release.name)).await {
                Ok(found) => found,
                // A kind that the host does not have, or that is not the user's business.
                Err(host::Error::Status { code: 404, .. } | host::Error::Forbidden { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
        let ours = found.iter().filter(|object| delete::is_of(object, &release.namespace));
        for object in ours.filter(|object| !is_wanted(&kind, meta::name(object))) {
            let was_there =
                host.delete(&kind, &release.namespace, meta::name(object), Some(meta::uid(object))).await?;
            gone += usize::from(was_there);
        }
    }
    Ok(gone)
}

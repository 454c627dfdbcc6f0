//! What a client should know although nothing is wrong: warnings about new and changed objects, in upstream's words
//! (k8s.io/kubernetes/pkg/api/{pod,node,persistentvolumeclaim} and the WarningsOnCreate of its strategies).
//!
//! A kind's row names the function that warns. Objects are told apart by what is in them; whether a changed one is worth
//! looking at again says its generation, as upstream has it.

mod forms;
mod keys;
mod network;
mod nodes;
mod overlaps;
mod ports;

pub(super) use forms::{address, block};
pub(super) use keys::secret;
pub(super) use network::{endpoint_slice, endpoints, ingress, network_policy};
pub(super) use nodes::{node, runtime_class, storage_capacity, storage_class, volume};

use super::tree::{field_text, int, list, some, text};
use super::validation::{APP_ARMOR_CONTAINER, app_armor_profile};
use alcove_object::field::Path;
use alcove_object::{Value, meta, name};

/// Annotations of pods that nobody reads any more.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// The seccomp profile of a pod, of old.
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// The same of a container, before its name.
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// From these on, an indexed Job may lose track of indexes that fail (pkg/api/job).
const MANY_COMPLETIONS: i64 = 100_000;
const MUCH_PARALLELISM: i64 = 10_000;

/// Volumes that are on their way out, in the order in which upstream looks.
const OLD_VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Pods, when they are new.
pub(super) fn pod(object: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some() {
        return Vec::new();
    }
    let mut warnings = name_warnings(object, "the Pod's hostname");
    warnings.extend(of_pod(object, &|path: &str| path.to_owned()));
    warnings
}

/// Whoever makes pods of `spec.template`, whose names begin with its own.
pub(super) fn maker(object: &Value, old: Option<&Value>) -> Vec<String> {
    let names = if old.is_none() { name_warnings(object, "Pod names and hostnames") } else { Vec::new() };
    names.into_iter().chain(template(object, old, "/spec/template", "spec.template")).collect()
}

/// Jobs.
pub(super) fn job(object: &Value, old: Option<&Value>) -> Vec<String> {
    let names = if old.is_none() { name_warnings(object, "Pod names and hostnames") } else { Vec::new() };
    names.into_iter().chain(job_spec(object, old, "/spec", "spec")).collect()
}

/// StatefulSets.
pub(super) fn stateful_set(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = set(object, old);
    // Upstream's place in a change is this one.
    let more = if old.is_some() { "Spec." } else { "" };
    for (i, claim) in list(object, "/spec/volumeClaimTemplates").iter().enumerate() {
        let place = |path: &str| format!("spec.volumeClaimTemplates[{i}].{more}{path}");
        warnings.extend(claim_spec(claim.get("spec"), &place));
    }
    if int(object, "/spec/revisionHistoryLimit") < 0 {
        let why = "a negative value retains all historical revisions; a value >= 0 is recommended";
        warnings.push(format!("spec.revisionHistoryLimit: {why}"));
    }
    warnings
}

/// Accounts that limit which Secrets pods may mount, when they begin to.
pub(super) fn service_account(object: &Value, old: Option<&Value>) -> Vec<String> {
    const ENFORCES: &str = "kubernetes.io/enforce-mountable-secrets";
    let has = |account: &Value| meta::annotation(account, ENFORCES).is_some();
    let is_new = has(object) && !old.is_some_and(has);
    let why = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
    is_new.then(|| format!("metadata.annotations[{ENFORCES}]: {why}")).into_iter().collect()
}

/// Whoever makes pods of `spec.template` and says nothing about names.
pub(super) fn set(object: &Value, old: Option<&Value>) -> Vec<String> {
    template(object, old, "/spec/template", "spec.template")
}

/// Templates themselves.
pub(super) fn pod_template(object: &Value, old: Option<&Value>) -> Vec<String> {
    template(object, old, "/template", "template")
}

/// CronJobs.
pub(super) fn cron_job(object: &Value, old: Option<&Value>) -> Vec<String> {
    let names = if old.is_none() { name_warnings(object, "Pod names and hostnames") } else { Vec::new() };
    let told = job_spec(object, old, "/spec/jobTemplate/spec", "spec.jobTemplate.spec");
    let mut warnings: Vec<String> = names.into_iter().chain(told).collect();
    if old.is_some() && text(object, "/spec/schedule").contains("TZ") {
        // Upstream's place is this one.
        let why = "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
                   https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        warnings.push(why.to_owned());
    }
    warnings
}

/// What a Job is to do, at a place.
fn job_spec(object: &Value, old: Option<&Value>, pointer: &str, path: &str) -> Vec<String> {
    if is_settled(object, old) {
        return Vec::new();
    }
    let spec = object.pointer(pointer).unwrap_or(&Value::Null);
    let is_large = field_text(spec, "completionMode") == "Indexed"
        && int(spec, "/completions") > MANY_COMPLETIONS
        && int(spec, "/parallelism") > MUCH_PARALLELISM;
    let told = is_large.then(|| {
        format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher \
             than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
    });
    let pods = template(object, old, &format!("{pointer}/template"), &format!("{path}.template"));
    told.into_iter().chain(pods).collect()
}

/// Claims.
pub(super) fn claim(object: &Value, _: Option<&Value>) -> Vec<String> {
    const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
    let mut warnings = Vec::new();
    if meta::annotation(object, CLASS).is_some() {
        let path = Path::new("metadata").child("annotations").key(CLASS);
        warnings.push(format!("{path}: deprecated since v1.8; use \"storageClassName\" attribute instead"));
    }
    warnings.extend(claim_spec(object.get("spec"), &|path: &str| format!("spec.{path}")));
    warnings
}

fn claim_spec(spec: Option<&Value>, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let spec = spec.unwrap_or(&Value::Null);
    ["requests", "limits"]
        .iter()
        .filter_map(|kind| fraction(spec, &["resources", kind], "storage", at))
        .collect()
}

fn template(object: &Value, old: Option<&Value>, pointer: &str, path: &str) -> Vec<String> {
    if is_settled(object, old) {
        return Vec::new();
    }
    object.pointer(pointer).map(|pod| of_pod(pod, &|rest: &str| format!("{path}.{rest}"))).unwrap_or_default()
}

/// Whether a change left alone what an object asks for.
fn is_settled(object: &Value, old: Option<&Value>) -> bool {
    old.is_some_and(|old| meta::generation(old) == meta::generation(object))
}

fn name_warnings(object: &Value, what: &str) -> Vec<String> {
    let wrong = name::dns_label(meta::name(object), false);
    let told = (!wrong.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in {what}, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            wrong.join(" ")
        )
    });
    told.into_iter().collect()
}

/// A pod or a template of one. `at` gives a place in it as text.
fn of_pod(pod: &Value, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut warnings = Vec::new();
    for key in
        pod.pointer("/spec/nodeSelector").and_then(Value::as_object).into_iter().flat_map(|map| map.keys())
    {
        if let Some(why) = nodes::why_old(key) {
            warnings.push(format!("{}: {why}", at(&format!("spec.nodeSelector[{key}]"))));
        }
    }
    warnings.extend(nodes::affinity(pod, at));
    for (i, constraint) in list(pod, "/spec/topologySpreadConstraints").iter().enumerate() {
        let place = |field: &str| at(&format!("spec.topologySpreadConstraints[{i}].{field}"));
        let key = field_text(constraint, "topologyKey");
        if let Some(why) = nodes::why_old(key) {
            warnings.push(format!("{}: {key} is {why}", place("topologyKey")));
        }
        warnings.extend(without_selector(constraint, &place("labelSelector")));
    }
    for (key, why) in OLD_ANNOTATIONS {
        if meta::annotation(pod, key).is_some() {
            warnings.push(format!("{}: {why}", at(&format!("metadata.annotations[{key}]"))));
        }
    }
    warnings.extend(volumes(pod, at));
    warnings.extend(overlaps::overlaps(pod));
    warnings.extend(twice(pod, "hostAliases", "ip", at));
    warnings.extend(twice(pod, "imagePullSecrets", "name", at));
    for (i, secret) in list(pod, "/spec/imagePullSecrets").iter().enumerate() {
        if field_text(secret, "name").is_empty() {
            warnings.push(format!(
                "{}: invalid empty name \"\"",
                at(&format!("spec.imagePullSecrets[{i}].name"))
            ));
        }
    }
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let of_spec = |path: &str| at(&format!("spec.{path}"));
    for resource in ["memory", "ephemeral-storage"] {
        warnings.extend(fraction(spec, &["overhead"], resource, &of_spec));
    }
    warnings.extend(old_profile(pod, spec, SECCOMP_POD, at));
    for (container, place) in containers(pod) {
        let name = field_text(container, "name");
        warnings.extend(old_profile(pod, container, &format!("{SECCOMP_CONTAINER}{name}"), at));
        let field = place.strip_prefix("spec.").and_then(|place| place.split('[').next());
        warnings.extend(old_app_armor(pod, container, field.unwrap_or_default(), at));
        warnings.extend(of_container(container, &|path: &str| at(&format!("{place}.{path}"))));
    }
    warnings.extend(ports::ports(pod, at));
    if int(pod, "/spec/terminationGracePeriodSeconds") < 0 {
        let path = at("spec.terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    warnings.extend(affinities(pod, at));
    for (i, server) in list(pod, "/spec/dnsConfig/nameservers").iter().enumerate() {
        let place = at(&format!("spec.dnsConfig.nameservers[{i}]"));
        warnings.extend(address(server.as_str().unwrap_or_default(), &place));
    }
    for (i, alias) in list(pod, "/spec/hostAliases").iter().enumerate() {
        warnings.extend(address(field_text(alias, "ip"), &at(&format!("spec.hostAliases[{i}].ip"))));
    }
    warnings
}

/// An annotation for a seccomp profile, where a pod or a container has no field for it.
fn old_profile(pod: &Value, of: &Value, key: &str, at: &dyn Fn(&str) -> String) -> Option<String> {
    let is_alone = some(of, "/securityContext/seccompProfile").is_none();
    let place = at(&format!("metadata.annotations[{key}]"));
    (is_alone && meta::annotation(pod, key).is_some())
        .then(|| format!("{place}: non-functional in v1.27+; use the \"seccompProfile\" field instead"))
}

/// An annotation for the AppArmor profile of a container, where no field says the same. What was made a field of it in a
/// new pod has no owner.
fn old_app_armor(pod: &Value, container: &Value, field: &str, at: &dyn Fn(&str) -> String) -> Option<String> {
    const PROFILE: &str = "/securityContext/appArmorProfile";
    let name = field_text(container, "name");
    let key = format!("{APP_ARMOR_CONTAINER}{name}");
    let said = meta::annotation(pod, &key)?;
    let own =
        format!("/fieldsV1/f:spec/f:{field}/k:{{\"name\":\"{name}\"}}/f:securityContext/f:appArmorProfile");
    // A pod lies in no other object.
    let is_set = match at("").is_empty() {
        true => list(pod, "/metadata/managedFields").iter().any(|entry| entry.pointer(&own).is_some()),
        false => some(container, PROFILE).is_some(),
    };
    let meant = app_armor_profile(said);
    let is_same = meant.is_some() && some(pod, &format!("/spec{PROFILE}")) == meant.as_ref();
    let place = at(&format!("metadata.annotations[{key}]"));
    (!is_set && !is_same)
        .then(|| format!("{place}: deprecated since v1.30; use the \"appArmorProfile\" field instead"))
}

fn without_selector(term: &Value, place: &str) -> Option<String> {
    let is_missing = term.get("labelSelector").is_none_or(Value::is_null);
    is_missing.then(|| format!("{place}: a null labelSelector results in matching no pod"))
}

fn affinities(pod: &Value, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut warnings = Vec::new();
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (field, term) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            ("preferredDuringSchedulingIgnoredDuringExecution", ".podAffinityTerm"),
        ] {
            for (i, given) in list(pod, &format!("/spec/affinity/{kind}/{field}")).iter().enumerate() {
                let place = at(&format!("spec.affinity.{kind}.{field}[{i}]{term}.labelSelector"));
                let given = if term.is_empty() { Some(given) } else { given.get("podAffinityTerm") };
                warnings.extend(given.and_then(|given| without_selector(given, &place)));
            }
        }
    }
    warnings
}

fn volumes(pod: &Value, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut warnings = Vec::new();
    for (i, volume) in list(pod, "/spec/volumes").iter().enumerate() {
        for (kind, why) in OLD_VOLUMES.iter().filter(|(kind, _)| volume.get(*kind).is_some()) {
            // Upstream writes this one otherwise than the field is called.
            let told = if *kind == "storageos" { "storageOS" } else { kind };
            warnings.push(format!("{}: {why}", at(&format!("spec.volumes[{i}].{told}"))));
        }
        let spec = volume.pointer("/ephemeral/volumeClaimTemplate/spec");
        let place = |path: &str| at(&format!("spec.volumes[{i}].ephemeral.volumeClaimTemplate.spec.{path}"));
        warnings.extend(claim_spec(spec, &place));
    }
    warnings
}

/// Items of a list that say the same in a field as one before.
fn twice(pod: &Value, items: &str, field: &str, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let given: Vec<&str> =
        list(pod, &format!("/spec/{items}")).iter().map(|item| field_text(item, field)).collect();
    let again = given.iter().enumerate().filter(|(i, value)| given[..*i].contains(value));
    again
        .map(|(i, value)| {
            format!("{}: duplicate {field} {value:?}", at(&format!("spec.{items}[{i}].{field}")))
        })
        .collect()
}

/// A quantity of bytes that is no whole number.
fn fraction(tree: &Value, parents: &[&str], resource: &str, at: &dyn Fn(&str) -> String) -> Option<String> {
    let given = parents.iter().try_fold(tree, |tree, parent| tree.get(*parent))?.get(resource)?.as_str()?;
    let amount = alcove_object::quantity::Quantity::parse(given).ok()?;
    let place = at(&format!("{}[{resource}]", parents.join(".")));
    (amount.whole().is_none())
        .then(|| format!("{place}: fractional byte value {given:?} is invalid, must be an integer"))
}

/// All containers with their places, in upstream's order.
fn containers(pod: &Value) -> impl Iterator<Item = (&Value, String)> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(move |field| {
        let all = list(pod, &format!("/spec/{field}")).iter().enumerate();
        all.map(move |(i, container)| (container, format!("spec.{field}[{i}]")))
    })
}

fn of_container(container: &Value, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut warnings = Vec::new();
    for resource in ["memory", "ephemeral-storage"] {
        for kind in ["limits", "requests"] {
            warnings.extend(fraction(container, &["resources", kind], resource, at));
        }
    }
    let variables = list(container, "/env");
    for (i, variable) in variables.iter().enumerate() {
        let name = field_text(variable, "name");
        let is_again = variables[..i].iter().any(|before| field_text(before, "name") == name);
        let reference = format!("$({name})");
        let value = field_text(variable, "value");
        let hides = variable.get("valueFrom").is_some() || value == reference || !value.contains(&reference);
        if is_again && hides {
            let why = "which may be dropped when using apply";
            warnings
                .push(format!("{}: hides previous definition of {name:?}, {why}", at(&format!("env[{i}]"))));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(spec: Value) -> Value {
        json!({ "metadata": { "name": "a", "generation": 1 }, "spec": { "template": { "spec": spec } } })
    }

    #[test]
    fn makers_of_pods_are_warned_of_their_template() {
        let container = |more: Value| {
            let mut container = json!({ "name": "c", "image": "i" });
            for (field, value) in more.as_object().unwrap() {
                container[field] = value.clone();
            }
            json!({ "containers": [container] })
        };
        let here = "spec.template.spec";
        for (spec, expected) in [
            (container(json!({})), vec![]),
            (
                container(json!({ "env": [{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }] })),
                vec![format!(
                    "{here}.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply"
                )],
            ),
            (
                container(
                    json!({ "env": [{ "name": "A", "value": "1" }, { "name": "A", "value": "$(A)2" }] }),
                ),
                vec![],
            ),
            (
                container(json!({ "resources": { "limits": { "memory": "100m", "cpu": "100m" } } })),
                vec![format!(
                    "{here}.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer"
                )],
            ),
            (
                container(json!({ "ports": [
                    { "containerPort": 80, "protocol": "TCP", "name": "p" },
                    { "containerPort": 80, "protocol": "TCP" },
                    { "containerPort": 81, "protocol": "TCP", "name": "p" },
                    { "containerPort": 81, "protocol": "TCP", "hostPort": 8 } ] })),
                vec![
                    format!(
                        "{here}.containers[0].ports[1]: duplicate port definition with {here}.containers[0].ports[0]"
                    ),
                    format!(
                        "{here}.containers[0].ports[3]: overlapping port definition with {here}.containers[0].ports[2]"
                    ),
                    format!(
                        "{here}.containers[0].ports[2]: duplicate port name \"p\" with {here}.containers[0].ports[0], \
                         services and probes that select ports by name will use {here}.containers[0].ports[0]"
                    ),
                ],
            ),
            (
                json!({ "nodeSelector": { "beta.kubernetes.io/os": "linux" }, "volumes": [{ "name": "v", "gitRepo": {} }],
                    "imagePullSecrets": [{ "name": "" }], "terminationGracePeriodSeconds": -1 }),
                vec![
                    format!(
                        "{here}.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"
                    ),
                    format!(
                        "{here}.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"
                    ),
                    format!("{here}.imagePullSecrets[0].name: invalid empty name \"\""),
                    format!(
                        "{here}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
                    ),
                ],
            ),
        ] {
            let object = deployment(spec);
            assert_eq!(maker(&object, None), expected, "{object}");
            assert_eq!(maker(&object, Some(&object)), Vec::<String>::new(), "nothing of it changed");
        }
    }

    #[test]
    fn names_that_are_no_labels_are_told() {
        let pod_named = |name: &str| json!({ "metadata": { "name": name }, "spec": {} });
        assert!(pod(&pod_named("a"), None).is_empty());
        let told = pod(&pod_named("a.b"), None);
        let start = "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS \
                     label is recommended: [";
        assert!(told.len() == 1 && told[0].starts_with(start), "{told:?}");
        assert!(pod(&pod_named("a.b"), Some(&pod_named("a.b"))).is_empty());
    }

    #[test]
    fn classes_in_annotations_are_old() {
        let with =
            |annotation: &str| json!({ "metadata": { "annotations": { annotation: "c" } }, "spec": {} });
        assert_eq!(ingress(&with("kubernetes.io/ingress.class"), None).len(), 1);
        assert!(ingress(&with("other"), None).is_empty());
        assert_eq!(claim(&with("volume.beta.kubernetes.io/storage-class"), None).len(), 1);
        assert!(claim(&with("other"), None).is_empty());
    }
}

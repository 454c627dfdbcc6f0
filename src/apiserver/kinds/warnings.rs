//! What a client should know although nothing is wrong: warnings about new and changed objects, in upstream's words
//! (k8s.io/kubernetes/pkg/api/{pod,node,persistentvolumeclaim} and the WarningsOnCreate of its strategies).
//!
//! A kind's row names the function that warns. Objects are told apart by what is in them; whether a changed one is worth
//! looking at again says its generation, as upstream has it.

use super::tree::{field_text, int, list, text};
use alcove_object::field::Path;
use alcove_object::{Value, meta, name};
use std::collections::{BTreeMap, HashMap};

/// Labels of nodes that are called otherwise today (pkg/api/node: deprecatedNodeLabels).
const OLD_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

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

/// Volumes that are on their way out, in the order in which upstream looks.
const OLD_VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
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
    let place = ("/spec/jobTemplate/spec/template", "spec.jobTemplate.spec.template");
    names.into_iter().chain(template(object, old, place.0, place.1)).collect()
}

/// Ingresses that say their class in the old way.
pub(super) fn ingress(object: &Value, old: Option<&Value>) -> Vec<String> {
    const CLASS: &str = "kubernetes.io/ingress.class";
    let is_old =
        meta::annotation(object, CLASS).is_some() && object.pointer("/spec/ingressClassName").is_none();
    let warning = format!("annotation {CLASS:?} is deprecated, please use 'spec.ingressClassName' instead");
    (old.is_none() && is_old).then_some(warning).into_iter().collect()
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
    if old.is_some_and(|old| meta::generation(old) == meta::generation(object)) {
        return Vec::new();
    }
    object.pointer(pointer).map(|pod| of_pod(pod, &|rest: &str| format!("{path}.{rest}"))).unwrap_or_default()
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
        if let Some((_, why)) = OLD_LABELS.iter().find(|(old, _)| old == key) {
            warnings.push(format!("{}: {why}", at(&format!("spec.nodeSelector[{key}]"))));
        }
    }
    for (i, constraint) in list(pod, "/spec/topologySpreadConstraints").iter().enumerate() {
        let place = |field: &str| at(&format!("spec.topologySpreadConstraints[{i}].{field}"));
        let key = field_text(constraint, "topologyKey");
        if let Some((_, why)) = OLD_LABELS.iter().find(|(old, _)| *old == key) {
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
    for (container, place) in containers(pod) {
        warnings.extend(of_container(container, &|path: &str| at(&format!("{place}.{path}"))));
    }
    warnings.extend(ports(pod, at));
    if int(pod, "/spec/terminationGracePeriodSeconds") < 0 {
        let path = at("spec.terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    warnings.extend(affinities(pod, at));
    warnings
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
            warnings.push(format!("{}: {why}", at(&format!("spec.volumes[{i}].{kind}"))));
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
    let milli = alcove_object::quantity::Quantity::parse(given).ok()?.milli_value();
    let place = at(&format!("{}[{resource}]", parents.join(".")));
    (milli % 1000 != 0)
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

/// Ports of containers that are in each other's way: first their numbers, then their names.
fn ports<'a>(pod: &'a Value, at: &dyn Fn(&str) -> String) -> Vec<String> {
    let all: Vec<(&'a Value, String)> = containers(pod)
        .flat_map(|(container, place)| {
            let ports = list(container, "/ports").iter().enumerate();
            ports.map(move |(i, port)| (port, format!("{place}.ports[{i}]"))).collect::<Vec<_>>()
        })
        .map(|(port, place)| (port, at(&place)))
        .collect();
    let mut warnings = Vec::new();
    let mut known: BTreeMap<(i64, &str), Vec<(&Value, &str)>> = BTreeMap::new();
    for (port, place) in &all {
        let others = known.entry((int(port, "/containerPort"), text(port, "/protocol"))).or_default();
        for (other, first) in others.iter() {
            warnings.extend(
                overlap(port, other).map(|how| format!("{place}: {how} port definition with {first}")),
            );
        }
        others.push((port, place));
    }
    let mut names: HashMap<&str, &str> = HashMap::new();
    for (port, place) in &all {
        let name = text(port, "/name");
        match names.get(name) {
            _ if name.is_empty() => {}
            Some(first) => warnings.push(format!(
                "{place}: duplicate port name {name:?} with {first}, services and probes that select ports by name will \
                 use {first}"
            )),
            None => {
                names.insert(name, place);
            }
        }
    }
    warnings
}

/// How two definitions of one port get into each other's way, if they do.
fn overlap(port: &Value, other: &Value) -> Option<&'static str> {
    let host = |port: &Value| (text(port, "/hostIP").to_owned(), int(port, "/hostPort"));
    let (one, two) = (host(port), host(other));
    if one == two {
        Some("duplicate")
    } else if one.1 == 0 || two.1 == 0 {
        Some("overlapping")
    } else {
        (one.1 == two.1 && (one.0.is_empty() != two.0.is_empty())).then_some("dangerously ambiguous")
    }
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

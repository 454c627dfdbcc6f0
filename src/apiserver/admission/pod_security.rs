//! PodSecurity: the labels of a namespace say which pods it takes and of which it warns
//! (k8s.io/pod-security-admission/admission). Without labels a namespace takes all. There is no audit log, so labels for
//! it are judged and nothing follows from them.

use super::{Admission, Admitting, Attributes};
use crate::pod_security::{LATEST, Level, Violation, text, violations};
use crate::request::Verb;
use alcove_object::field::{Error, Path};
use alcove_object::{Status, Value, meta};
use alcove_store::{Range, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// How many pods of a namespace are looked at when it gets a stricter level; a warning says so when there are more.
const JUDGED_PODS_MAX: usize = 3_000;
/// How long that may take; a warning says how far it came.
const JUDGING_TIME_MAX: Duration = Duration::from_secs(1);

/// Where kinds have their template of pods, by group and resource.
const TEMPLATES: [(&str, &str, &str); 8] = [
    ("", "replicationcontrollers", "/spec/template"),
    ("", "podtemplates", "/template"),
    ("apps", "replicasets", "/spec/template"),
    ("apps", "deployments", "/spec/template"),
    ("apps", "statefulsets", "/spec/template"),
    ("apps", "daemonsets", "/spec/template"),
    ("batch", "jobs", "/spec/template"),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template"),
];

/// Subresources of pods through which their specs are changed.
const PARTS: [&str; 3] = ["", "ephemeralcontainers", "resize"];

/// The admission step.
pub struct PodSecurity {
    store: Store,
    minor: u32,
}

/// A level, and by the rules of which minor; `None`: the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rules {
    level: Level,
    minor: Option<u32>,
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            None => write!(f, "{}:latest", self.level.name()),
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.name()),
        }
    }
}

/// What the labels of a namespace say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    enforce: Rules,
    audit: Rules,
    warn: Rules,
}

impl Policy {
    /// What labels say, and what is wrong with them. Who writes nonsense gets the strictest level enforced.
    fn of<'a>(label: &dyn Fn(&str) -> Option<&'a str>) -> (Policy, Vec<Error>) {
        let mut errors = Vec::new();
        let mut read = |mode: &str, otherwise: Level| {
            let path = |key: &str| Path::new("metadata").child("labels").key(key);
            let (key, version_key) = (
                format!("pod-security.kubernetes.io/{mode}"),
                format!("pod-security.kubernetes.io/{mode}-version"),
            );
            let said = label(&key);
            let level = said.map(|name| Level::ALL.into_iter().find(|level| level.name() == name));
            if let (Some(name), Some(None)) = (said, level) {
                let why = "must be one of privileged, baseline, restricted";
                errors.push(Error::invalid(&path(&key), name, why));
            }
            let version = label(&version_key);
            let minor = version.map(minor);
            if let (Some(version), Some(None)) = (version, minor) {
                errors.push(Error::invalid(&path(&version_key), version, "must be \"latest\" or \"v1.x\""));
            }
            let rules = Rules {
                level: level.map_or(Level::Privileged, |level| level.unwrap_or(otherwise)),
                minor: minor.flatten().flatten(),
            };
            (rules, level.flatten().is_some(), version.is_some(), said.is_some())
        };
        let (enforce, is_enforced, ..) = read("enforce", Level::Restricted);
        let (audit, ..) = read("audit", Level::Privileged);
        let (mut warn, _, has_version, is_said) = read("warn", Level::Privileged);
        // What is enforced on pods is told to who writes a template of them.
        if !is_said && is_enforced && enforce.level > warn.level {
            warn.level = enforce.level;
            if !has_version {
                warn.minor = enforce.minor;
            }
        }
        (Policy { enforce, audit, warn }, errors)
    }
}

/// The minor that a version names: `Some(None)` for the newest, `None` if it is no version.
fn minor(version: &str) -> Option<Option<u32>> {
    if version == "latest" {
        return Some(None);
    }
    let digits = version.strip_prefix("v1.")?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_number && (digits.len() == 1 || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| is_plain).map(Some)
}

impl PodSecurity {
    /// A step that looks namespaces and pods up in this store. `minor`: the Kubernetes minor that is served, whose rules
    /// are the newest.
    pub fn new(store: Store, minor: u32) -> PodSecurity {
        PodSecurity { store, minor }
    }

    fn judge(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if !matches!(attributes.verb, Verb::Create | Verb::Update) {
            return Ok(());
        }
        let (gvr, part) = (attributes.resource.gvr.clone(), attributes.subresource);
        match (gvr.group.as_str(), gvr.resource.as_str()) {
            ("", "namespaces") if part.is_empty() => self.namespace(attributes),
            ("", "pods") if PARTS.contains(&part) => self.pod(attributes),
            (group, resource) if part.is_empty() => {
                let is_it = |row: &&(&str, &str, &str)| row.0 == group && row.1 == resource;
                TEMPLATES.iter().find(is_it).map_or(Ok(()), |(.., at)| self.template(attributes, at))
            }
            _ => Ok(()),
        }
    }

    /// What a namespace takes. What is wrong with its labels was told when they were written.
    fn policy(&self, namespace: &str) -> Policy {
        let entry = self.store.get("namespaces", namespace);
        Policy::of(&|key| entry.as_ref().and_then(|entry| entry.index.label(key))).0
    }

    fn violations(&self, rules: Rules, pod: &Value) -> Vec<Violation> {
        let minor = rules.minor.unwrap_or(LATEST).min(self.minor);
        violations(rules.level, minor, &pod["metadata"], &pod["spec"])
    }

    /// Warns of a pod, or of what would become pods.
    fn warn(&self, rules: Rules, pod: &Value) -> Option<String> {
        let found = self.violations(rules, pod);
        (!found.is_empty()).then(|| format!("would violate PodSecurity \"{rules}\": {}", text(&found)))
    }

    fn pod(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let policy = self.policy(attributes.namespace);
        if [policy.enforce, policy.warn].iter().all(|rules| rules.level == Level::Privileged) {
            return Ok(());
        }
        if attributes.old.is_some_and(|old| !changes(attributes.object, old)) {
            return Ok(());
        }
        let found = self.violations(policy.enforce, attributes.object);
        if !found.is_empty() {
            let why = format!("violates PodSecurity \"{}\": {}", policy.enforce, text(&found));
            return Err(Status::forbidden("", "pods", attributes.name, &why));
        }
        attributes.warnings.extend(self.warn(policy.warn, attributes.object));
        Ok(())
    }

    /// A kind whose pods somebody else makes is never refused, since its pods are.
    fn template(&self, attributes: &mut Attributes<'_>, at: &str) -> Result<(), Status> {
        let policy = self.policy(attributes.namespace);
        if let Some(template) = attributes.object.pointer(at).filter(|template| !template.is_null()) {
            attributes.warnings.extend(self.warn(policy.warn, template));
        }
        Ok(())
    }

    fn namespace(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let of = |namespace: &Value| Policy::of(&|key| meta::label(namespace, key));
        let (policy, errors) = of(attributes.object);
        let before = attributes.old.map(of);
        if !errors.is_empty() && before.as_ref().is_none_or(|(_, before)| *before != errors) {
            return Err(Status::invalid("", "Namespace", attributes.name, &errors));
        }
        let Some((before, _)) = before else { return Ok(()) };
        let (now, before) = (policy.enforce, before.enforce);
        let is_looser = now.minor == before.minor && now.level <= before.level;
        if now != before && now.level != Level::Privileged && !is_looser {
            attributes.warnings.extend(self.of_pods(attributes.name, now));
        }
        Ok(())
    }

    /// Warns of the pods that a namespace has and would not take any more.
    fn of_pods(&self, namespace: &str, rules: Rules) -> Vec<String> {
        let begun = Instant::now();
        let prefix = format!("{namespace}/");
        let range = Range { prefix: &prefix, ..Range::default() };
        let Ok(listing) = self.store.list("pods", &range, &|_| true) else {
            return vec!["failed to list pods while checking new PodSecurity enforce level".into()];
        };
        let all = listing.entries.len();
        let pods =
            listing.entries.iter().map(|entry| serde_json::from_slice(&entry.json).unwrap_or_default());
        // By what is forbidden: the first pod of that kind by name, and how many there are.
        let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
        let mut judged = 0;
        for pod in one_of_each_first(pods.collect()).iter().take(JUDGED_PODS_MAX) {
            judged += 1;
            let reasons: Vec<&str> = self.violations(rules, pod).iter().map(|found| found.reason).collect();
            if !reasons.is_empty() {
                let (first, count) =
                    found.entry(reasons.join(", ")).or_insert_with(|| (meta::name(pod).to_owned(), 0));
                *count += 1;
                if meta::name(pod) < first.as_str() {
                    *first = meta::name(pod).to_owned();
                }
            }
            if begun.elapsed() > JUDGING_TIME_MAX {
                break;
            }
        }
        let mut warnings = Vec::new();
        if judged < all {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {judged} of {all} existing pods"
            ));
        }
        if !found.is_empty() {
            warnings.push(format!(
                "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{rules}\""
            ));
        }
        let mut of_pods: Vec<String> = found
            .into_iter()
            .map(|(reasons, (first, count))| match count {
                1 => format!("{first}: {reasons}"),
                2 => format!("{first} (and 1 other pod): {reasons}"),
                _ => format!("{first} (and {} other pods): {reasons}", count - 1),
            })
            .collect();
        of_pods.sort();
        warnings.extend(of_pods);
        warnings
    }
}

/// Pods that are somebody's come after the first one of theirs.
fn one_of_each_first(pods: Vec<Value>) -> Vec<Value> {
    let mut owners = BTreeSet::new();
    let (mut first, others): (Vec<Value>, Vec<Value>) = pods.into_iter().partition(|pod| {
        meta::controller_of(pod)
            .is_none_or(|owner| owners.insert(owner["uid"].as_str().unwrap_or_default().to_owned()))
    });
    first.extend(others);
    first
}

/// Whether a change of a pod is one that is judged: containers that come or go, and images.
fn changes(new: &Value, old: &Value) -> bool {
    let containers = |pod: &Value, list: &str| -> Vec<(Value, Value)> {
        let items = pod["spec"][list].as_array().into_iter().flatten();
        items.map(|container| (container["name"].clone(), container["image"].clone())).collect()
    };
    let images = |pod: &Value, list: &str| -> Vec<Value> {
        containers(pod, list).into_iter().map(|(_, image)| image).collect()
    };
    let is_replaced = |list: &str| images(new, list) != images(old, list);
    let before = containers(old, "ephemeralContainers");
    is_replaced("containers")
        || is_replaced("initContainers")
        || containers(new, "ephemeralContainers").iter().any(|container| !before.contains(container))
}

impl Admission for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.judge(attributes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(labels: &[(&str, &str)]) -> (String, String) {
        let label = |key: &str| {
            let name = key.strip_prefix("pod-security.kubernetes.io/").unwrap();
            labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value)
        };
        let (policy, errors) = Policy::of(&label);
        let shown = format!("{} {} {}", policy.enforce, policy.audit, policy.warn);
        (shown, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn labels_say_what_is_taken() {
        let rows: [(&[(&str, &str)], &str); 7] = [
            (&[], "privileged:latest privileged:latest privileged:latest"),
            (&[("enforce", "baseline")], "baseline:latest privileged:latest baseline:latest"),
            (
                &[("enforce", "restricted"), ("enforce-version", "v1.25")],
                "restricted:v1.25 privileged:latest restricted:v1.25",
            ),
            (
                &[("enforce", "restricted"), ("enforce-version", "v1.25"), ("warn-version", "latest")],
                "restricted:v1.25 privileged:latest restricted:latest",
            ),
            (
                &[("enforce", "restricted"), ("warn", "privileged")],
                "restricted:latest privileged:latest privileged:latest",
            ),
            (
                &[("enforce", "baseline"), ("warn", "restricted")],
                "baseline:latest privileged:latest restricted:latest",
            ),
            (
                &[("audit", "restricted"), ("audit-version", "v1.0")],
                "privileged:latest restricted:v1.0 privileged:latest",
            ),
        ];
        for (labels, expected) in rows {
            assert_eq!(policy(labels), (expected.to_owned(), String::new()), "{labels:?}");
        }
    }

    #[test]
    fn nonsense_is_told_and_closes_the_namespace() {
        let (rules, errors) = policy(&[("enforce", "strict"), ("warn", "loud"), ("warn-version", "v1.01")]);
        assert_eq!(rules, "restricted:latest privileged:latest privileged:latest");
        for part in [
            "must be one of privileged, baseline, restricted",
            "must be \"latest\" or \"v1.x\"",
            "warn-version",
        ] {
            assert!(errors.contains(part), "{errors}");
        }
    }
}

//! The Pod Security Standards: what a pod may ask of its node, at which level, by the rules of which version. One row per
//! check, in upstream's order and with its words (k8s.io/pod-security-admission/policy).
//!
//! Pure: who judges which pods by which level is decided elsewhere, in the tenant by the labels of its namespaces, on the
//! way to the host by what the platform team allows.

mod baseline;
mod find;
mod restricted;
#[cfg(test)]
mod tests;

use alcove_object::Value;
use baseline::BASELINE;
use restricted::RESTRICTED;
use std::fmt;

/// How much a pod may ask for, from all to little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Anything.
    Privileged,
    /// Nothing that would take over its node.
    Baseline,
    /// What today's best practice leaves.
    Restricted,
}

impl Level {
    /// All levels.
    pub const ALL: [Level; 3] = [Level::Privileged, Level::Baseline, Level::Restricted];

    /// Its name in labels.
    pub fn name(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

/// The minor of Kubernetes 1 whose rules are meant, where all that are known are.
pub const LATEST: u32 = u32::MAX;

/// One check.
struct Check {
    /// The field in question, which names the check.
    field: &'static str,
    /// The first minor whose rules have it.
    since: u32,
    /// The field of the looser check of `baseline` that it stands for; empty: none.
    replaces: &'static str,
    /// What is forbidden, given how many values are.
    reason: fn(usize) -> &'static str,
    /// What is wrong with a pod, and how many values are; `None`: nothing.
    find: fn(&Judged<'_>) -> Option<(usize, String)>,
}

/// A pod, or a template of pods, and the minor by whose rules it is judged.
struct Judged<'a> {
    metadata: &'a Value,
    spec: &'a Value,
    minor: u32,
}

impl Judged<'_> {
    /// Who is root in a user namespace of the pod's own is nobody outside of it, which 1.35 takes into account.
    fn is_relaxed(&self) -> bool {
        self.minor >= 35 && self.spec["hostUsers"] == false
    }
}

/// What a pod must not ask for. Shown as upstream does: `privileged (container "a" must not set ...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field in question.
    pub field: &'static str,
    /// What is forbidden, in a word or two.
    pub reason: &'static str,
    /// Who has it.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.detail)
    }
}

/// What a pod asks for beyond its level, by the rules of a minor or of the [`LATEST`]. `metadata` and `spec` are those of
/// a pod or of a template of pods; without metadata, annotations are not judged.
pub fn violations(level: Level, minor: u32, metadata: &Value, spec: &Value) -> Vec<Violation> {
    let pod = Judged { metadata, spec, minor };
    let is_there = |check: &&Check| check.since <= minor;
    let restricted = || RESTRICTED.iter().filter(is_there);
    let checks: Vec<&Check> = match level {
        Level::Privileged => return Vec::new(),
        Level::Baseline => BASELINE.iter().filter(is_there).collect(),
        Level::Restricted => {
            let is_replaced = |check: &&Check| restricted().any(|other| other.replaces == check.field);
            BASELINE.iter().filter(is_there).filter(|check| !is_replaced(check)).chain(restricted()).collect()
        }
    };
    let found = checks.into_iter().filter_map(|check| {
        let (count, detail) = (check.find)(&pod)?;
        Some(Violation { field: check.field, reason: (check.reason)(count), detail })
    });
    found.collect()
}

/// All of it in one text.
pub fn text(violations: &[Violation]) -> String {
    let texts: Vec<String> = violations.iter().map(Violation::to_string).collect();
    texts.join(", ")
}

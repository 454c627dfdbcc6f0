//! What a job says of its pods' failures and successes (k8s.io/kubernetes/pkg/apis/batch/validation).

use super::rules::domain_prefixed_path;
use super::{by, items, non_negative, template};
use crate::kinds::tree::{field, int, list, some, text};
use alcove_object::field::{Error, Path, quote};
use alcove_object::{Value, name};
use std::collections::BTreeSet;

const PARALLELISM_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
/// Beyond so many completions, jobs with a limit per index have tighter limits.
const COMPLETIONS_SOFT_MAX: i64 = 100_000;
const HIGH_PARALLELISM_MAX: i64 = 10_000;
const HIGH_FAILED_INDEXES_MAX: i64 = 10_000;
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const PATTERNS_MAX: usize = 20;
const MANAGER_BYTES_MAX: usize = 63;
const INDEXES_BYTES_MAX: usize = 64 * 1024;

/// What holds for the spec of a job, and for that of a template of jobs, which has no selector.
pub(crate) fn job_spec(spec: &Value, path: &Path) -> Vec<Error> {
    const NUMBERS: [&str; 7] = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    let mut errors: Vec<Error> = NUMBERS.iter().filter_map(|f| non_negative(spec, f, path)).collect();
    if field(spec, "maxFailedIndexes").is_some() && field(spec, "backoffLimitPerIndex").is_none() {
        let why = "when maxFailedIndexes is specified";
        errors.push(Error::required(&path.child("backoffLimitPerIndex"), why));
    }
    if let Some(manager) = field(spec, "managedBy") {
        let at = path.child("managedBy");
        errors.extend(domain_prefixed_path(manager, &at));
        if manager.as_str().is_some_and(|manager| manager.len() > MANAGER_BYTES_MAX) {
            errors.push(Error::too_long(&at, MANAGER_BYTES_MAX));
        }
    }
    errors.extend(completion(spec, path));
    errors.extend(failure_policy(spec, &path.child("podFailurePolicy")));
    errors.extend(success_policy(spec, &path.child("successPolicy")));
    errors.extend(replacement_policy(spec, path));
    let pods = some(spec, "/template").map(|t| template(t, &path.child("template")));
    errors.extend(pods.into_iter().flatten());
    errors.extend(restart_policy(spec, path));
    errors
}

fn completion(spec: &Value, path: &Path) -> Vec<Error> {
    const MODES: [&str; 2] = ["NonIndexed", "Indexed"];
    let mut errors = Vec::new();
    let mode = field(spec, "completionMode").and_then(Value::as_str);
    if let Some(mode) = mode.filter(|mode| !MODES.contains(mode)) {
        errors.push(Error::not_supported(&path.child("completionMode"), mode, &MODES));
    }
    let number = |name: &str| field(spec, name).and_then(Value::as_i64);
    match mode {
        Some("Indexed") => errors.extend(indexed(number, path)),
        None | Some("NonIndexed") => {
            for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                let why = "requires indexed completion mode";
                errors.extend(number(name).map(|given| Error::invalid(&path.child(name), given, why)));
            }
        }
        Some(_) => {}
    }
    errors
}

fn indexed(number: impl Fn(&str) -> Option<i64>, path: &Path) -> Vec<Error> {
    let (completions, parallelism) = (number("completions"), number("parallelism"));
    let failed = number("maxFailedIndexes");
    let mut errors = Vec::new();
    if completions.is_none() {
        errors.push(Error::required(&path.child("completions"), "when completion mode is Indexed"));
    }
    let mut at_most = |name: &str, given: Option<i64>, max: i64, rest: &str| {
        if let Some(given) = given.filter(|given| *given > max) {
            let why = format!("must be less than or equal to {max}{rest}");
            errors.push(Error::invalid(&path.child(name), given, why));
        }
    };
    at_most("parallelism", parallelism, PARALLELISM_MAX, " when completion mode is Indexed");
    at_most("maxFailedIndexes", failed, FAILED_INDEXES_MAX, "");
    let is_high = completions.is_some_and(|completions| completions > COMPLETIONS_SOFT_MAX)
        && number("backoffLimitPerIndex").is_some();
    if is_high {
        let rest = format!(
            " when completions are above {COMPLETIONS_SOFT_MAX} and used with backoff limit per index"
        );
        at_most("parallelism", parallelism, HIGH_PARALLELISM_MAX, &rest);
        at_most("maxFailedIndexes", failed, HIGH_FAILED_INDEXES_MAX, &rest);
    }
    let at = path.child("maxFailedIndexes");
    match (completions, failed) {
        (Some(completions), Some(failed)) if failed > completions => {
            errors.push(Error::invalid(&at, failed, "must be less than or equal to completions"));
        }
        (_, None) if is_high => {
            let why = format!("must be specified when completions is above {COMPLETIONS_SOFT_MAX}");
            errors.push(Error::required(&at, why));
        }
        _ => {}
    }
    errors
}

fn replacement_policy(spec: &Value, path: &Path) -> Option<Error> {
    let given = field(spec, "podReplacementPolicy")?.as_str()?;
    let allowed: &[&str] = match field(spec, "podFailurePolicy") {
        Some(_) => &["Failed"],
        None => &["Failed", "TerminatingOrFailed"],
    };
    let at = path.child("podReplacementPolicy");
    (!allowed.contains(&given)).then(|| Error::not_supported(&at, given, allowed))
}

fn restart_policy(spec: &Value, path: &Path) -> Option<Error> {
    let path = path.child("template").child("spec").child("restartPolicy");
    match text(spec, "/template/spec/restartPolicy") {
        "" | "Always" => Some(Error::required(&path, "valid values: \"OnFailure\", \"Never\"")),
        policy @ "OnFailure" if some(spec, "/podFailurePolicy").is_some() => {
            let why = "only \"Never\" is supported when podFailurePolicy is specified";
            Some(Error::invalid(&path, policy, why))
        }
        "OnFailure" | "Never" => None,
        policy => Some(Error::not_supported(&path, policy, &["OnFailure", "Never"])),
    }
}

/// Which failures of pods count.
fn failure_policy(spec: &Value, path: &Path) -> Vec<Error> {
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    let Some(policy) = field(spec, "podFailurePolicy") else { return Vec::new() };
    let lists = ["/template/spec/containers", "/template/spec/initContainers"].into_iter();
    let containers: BTreeSet<&str> = lists.flat_map(|l| list(spec, l)).map(|c| text(c, "/name")).collect();
    let mut errors = Vec::new();
    let count = list(policy, "/rules").len();
    if count > RULES_MAX {
        errors.push(Error::too_many(&path.child("rules"), count, RULES_MAX));
    }
    for (at, rule) in items(policy, "rules", path) {
        let place = at.child("action");
        match text(rule, "/action") {
            "" => errors.push(Error::required(&place, format!("valid values: {}", words(&ACTIONS)))),
            "FailIndex" if field(spec, "backoffLimitPerIndex").is_none() => {
                let why = "requires the backoffLimitPerIndex to be set";
                errors.push(Error::invalid(&place, "FailIndex", why));
            }
            action if !ACTIONS.contains(&action) => {
                errors.push(Error::not_supported(&place, action, &ACTIONS));
            }
            _ => {}
        }
        let codes = field(rule, "onExitCodes");
        let has_conditions = !list(rule, "/onPodConditions").is_empty();
        errors
            .extend(codes.iter().flat_map(|codes| exit_codes(codes, &containers, &at.child("onExitCodes"))));
        errors.extend(pod_conditions(rule, &at));
        let why = match (codes.is_some(), has_conditions) {
            (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push(without_value(&at, why));
    }
    errors
}

/// A list as Go's `%q` prints it.
fn words(allowed: &[&str]) -> String {
    format!("[{}]", allowed.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "))
}

pub(super) fn without_value(path: &Path, why: impl Into<String>) -> Error {
    Error { value: None, ..Error::invalid(path, Value::Null, why) }
}

fn pod_conditions(rule: &Value, path: &Path) -> Vec<Error> {
    const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
    let mut errors = Vec::new();
    let count = list(rule, "/onPodConditions").len();
    if count > PATTERNS_MAX {
        errors.push(Error::too_many(&path.child("onPodConditions"), count, PATTERNS_MAX));
    }
    for (at, pattern) in items(rule, "onPodConditions", path) {
        errors.extend(by(name::is_qualified_name, text(pattern, "/type"), &at.child("type")));
        let at = at.child("status");
        match text(pattern, "/status") {
            "" => errors.push(Error::required(&at, format!("valid values: {}", words(&STATUSES)))),
            status if !STATUSES.contains(&status) => {
                errors.push(Error::not_supported(&at, status, &STATUSES));
            }
            _ => {}
        }
    }
    errors
}

fn exit_codes(codes: &Value, containers: &BTreeSet<&str>, path: &Path) -> Vec<Error> {
    const OPERATORS: [&str; 2] = ["In", "NotIn"];
    let (operator, at) = (text(codes, "/operator"), path.child("operator"));
    let mut errors = Vec::new();
    match operator {
        "" => errors.push(Error::required(&at, format!("valid values: {}", words(&OPERATORS)))),
        other if !OPERATORS.contains(&other) => {
            errors.push(Error::not_supported(&at, other, &OPERATORS));
        }
        _ => {}
    }
    if let Some(container) = field(codes, "containerName").and_then(Value::as_str)
        && !containers.contains(container)
    {
        let why = "must be one of the container or initContainer names in the pod template";
        errors.push(Error::invalid(&path.child("containerName"), container, why));
    }
    let values = list(codes, "/values");
    let at = path.child("values");
    match values.len() {
        0 => errors.push(Error::invalid(
            &at,
            some(codes, "/values").cloned().unwrap_or_default(),
            "at least one value is required",
        )),
        count if count > EXIT_CODES_MAX => errors.push(Error::too_many(&at, count, EXIT_CODES_MAX)),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (i, code) in values.iter().filter_map(Value::as_i64).enumerate() {
        if operator == "In" && code == 0 {
            errors.push(Error::invalid(&at.index(i), code, "must not be 0 for the In operator"));
        }
        if !seen.insert(code) {
            errors.push(Error::duplicate(&at.index(i), code));
        }
    }
    if !values.is_sorted_by_key(Value::as_i64) {
        errors.push(Error::invalid(&at, values.to_vec(), "must be ordered"));
    }
    errors
}

/// When a job has succeeded before all of its pods have.
fn success_policy(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(policy) = field(spec, "successPolicy") else { return Vec::new() };
    if text(spec, "/completionMode") != "Indexed" {
        return vec![Error::invalid(path, policy.clone(), "requires indexed completion mode")];
    }
    let completions = int(spec, "/completions");
    let count = list(policy, "/rules").len();
    let at = path.child("rules");
    let mut errors = Vec::new();
    match count {
        0 => {
            let why = "at least one rules must be specified when the successPolicy is specified";
            errors.push(Error::required(&at, why));
        }
        count if count > RULES_MAX => errors.push(Error::too_many(&at, count, RULES_MAX)),
        _ => {}
    }
    errors.extend(items(policy, "rules", path).flat_map(|(at, rule)| success_rule(rule, completions, &at)));
    errors
}

fn success_rule(rule: &Value, completions: i64, path: &Path) -> Vec<Error> {
    let indexes = field(rule, "succeededIndexes").and_then(Value::as_str);
    let count = field(rule, "succeededCount").and_then(Value::as_i64);
    let mut errors = Vec::new();
    if indexes.is_none() && count.is_none() {
        let why = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(Error::required(path, why));
    }
    let mut total = 0;
    if let Some(indexes) = indexes {
        let at = path.child("succeededIndexes");
        if indexes.len() > INDEXES_BYTES_MAX {
            errors.push(Error::too_long(&at, INDEXES_BYTES_MAX));
        }
        match total_of(indexes, completions) {
            Ok(found) => total = found,
            Err(why) => {
                let why = format!("error parsing succeededIndexes: {why}");
                errors.push(Error::invalid(&at, indexes, why));
            }
        }
    }
    let Some(count) = count else { return errors };
    errors.extend(non_negative(rule, "succeededCount", path));
    let at = path.child("succeededCount");
    if count > completions {
        let why =
            format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.push(Error::invalid(&at, count, why));
    }
    if indexes.is_some() && count > total {
        let why = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.push(Error::invalid(&at, count, why));
    }
    errors
}

/// How many indexes `1,3-5` are, each below `completions`, rising.
pub(super) fn total_of(indexes: &str, completions: i64) -> Result<i64, String> {
    let (mut last, mut total) = (None, 0);
    for interval in indexes.split(',').filter(|_| !indexes.is_empty()) {
        let (first, end) = interval_of(interval, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

pub(super) fn interval_of(interval: &str, completions: i64) -> Result<(i64, i64), String> {
    let index = |text: &str| -> Result<i64, String> {
        let number: i64 = text
            .parse()
            .map_err(|_| format!("cannot convert string to integer for index: {}", quote(text)))?;
        if number >= completions { Err(format!("too large index: {}", quote(text))) } else { Ok(number) }
    };
    let parts: Vec<&str> = interval.split('-').collect();
    match parts[..] {
        [one] => index(one).map(|one| (one, one)),
        [first, last] => {
            let (first, last) = (index(first)?, index(last)?);
            if first >= last {
                return Err(format!("non-increasing order, previous: {first}, current: {last}"));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
            quote(interval)
        )),
    }
}

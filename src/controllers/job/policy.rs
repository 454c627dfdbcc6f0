//! What a job's policies say: how a failed pod counts, and when enough indexes succeeded
//! (k8s.io/kubernetes/pkg/controller/job/{pod_failure_policy,success_policy}.go). Pure.

use super::indexes::Indexes;
use super::number;
use alcove_object::{Value, meta};

/// What a failed pod means for its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts towards the limits. So does one of which the policy says nothing.
    Count,
    /// It counts towards no limit.
    Ignore,
    /// Its index failed, and counts.
    FailIndex,
    /// The job failed, with this message.
    FailJob(String),
}

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// What a failed pod means for its job: the first rule that fits says it.
pub fn on_failure(job: &Value, pod: &Value) -> Verdict {
    list(job, "/spec/podFailurePolicy/rules")
        .enumerate()
        .find_map(|(at, rule)| {
            let why = reason(rule, pod)?;
            match rule["action"].as_str()? {
                "Ignore" => Some(Verdict::Ignore),
                "FailIndex" => Some(Verdict::FailIndex),
                "Count" => Some(Verdict::Count),
                action @ "FailJob" => {
                    Some(Verdict::FailJob(format!("{why} matching {action} rule at index {at}")))
                }
                _ => None,
            }
        })
        .unwrap_or(Verdict::Count)
}

/// Why a rule fits a pod, if it does.
fn reason(rule: &Value, pod: &Value) -> Option<String> {
    let (namespace, name) = (meta::namespace(pod), meta::name(pod));
    if let Some(wanted) = rule.get("onExitCodes").filter(|w| !w.is_null()) {
        let (container, code) = failed_container(wanted, pod)?;
        return Some(format!(
            "Container {container} for pod {namespace}/{name} failed with exit code {code}"
        ));
    }
    let fits = |condition: &&Value| {
        let mut patterns = list(rule, "/onPodConditions");
        patterns.any(|p| p["type"] == condition["type"] && p["status"] == condition["status"])
    };
    let condition = list(pod, "/status/conditions").find(fits)?["type"].as_str()?;
    Some(format!("Pod {namespace}/{name} has condition {condition}"))
}

/// The first container that ended with a code that is asked for, and the code.
fn failed_container<'a>(wanted: &Value, pod: &'a Value) -> Option<(&'a str, i64)> {
    let is_in = |code: i64| list(wanted, "/values").any(|value| value.as_i64() == Some(code));
    let fits = |code: i64| match wanted["operator"].as_str() {
        Some("In") => is_in(code),
        Some("NotIn") => !is_in(code),
        _ => false,
    };
    let only = wanted["containerName"].as_str();
    let ended = list(pod, "/status/containerStatuses").chain(list(pod, "/status/initContainerStatuses"));
    ended
        .filter_map(|container| {
            let code = container.pointer("/state/terminated")?["exitCode"].as_i64().unwrap_or(0);
            Some((container["name"].as_str().unwrap_or_default(), code))
        })
        .find(|(name, code)| only.is_none_or(|only| only == *name) && *code != 0 && fits(*code))
}

/// Why these indexes are enough for the job to succeed, if they are.
pub fn on_success(job: &Value, completions: u32, succeeded: &Indexes) -> Option<String> {
    if succeeded.count() == 0 {
        return None;
    }
    let is_enough = |rule: &Value| {
        let count = number(rule, "/succeededCount").and_then(|count| u64::try_from(count).ok());
        let Some(text) = rule["succeededIndexes"].as_str() else {
            return count.is_some_and(|count| succeeded.count() >= count);
        };
        let wanted = Indexes::parse(text, completions);
        let common = wanted.count_common(succeeded);
        wanted.count() > 0 && (common == wanted.count() || count.is_some_and(|count| common >= count))
    };
    let at = list(job, "/spec/successPolicy/rules").position(is_enough)?;
    Some(format!("Matched rules at index {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A failed pod with these containers, init containers and conditions.
    fn pod(containers: &[(&str, i64)], init: &[(&str, i64)], conditions: &[(&str, &str)]) -> Value {
        let ended = |all: &[(&str, i64)]| -> Value {
            let one = |(name, code): &(&str, i64)| json!({ "name": name, "state": { "terminated": { "exitCode": code } } });
            all.iter().map(one).collect()
        };
        let conditions: Value =
            conditions.iter().map(|(kind, status)| json!({ "type": kind, "status": status })).collect();
        json!({ "metadata": { "name": "mypod", "namespace": "default" }, "status": { "phase": "Failed",
            "containerStatuses": ended(containers), "initContainerStatuses": ended(init), "conditions": conditions } })
    }

    fn codes(action: &str, operator: &str, values: &[i64]) -> Value {
        json!({ "action": action, "onExitCodes": { "operator": operator, "values": values } })
    }

    /// Rules, pods and answers are those of upstream's TestMatchPodFailurePolicy.
    #[test]
    fn the_first_rule_that_fits_decides() {
        let condition = |action: &str| {
            json!({ "action": action,
            "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] })
        };
        let named = json!({ "action": "FailJob",
            "onExitCodes": { "containerName": "main-container", "operator": "In", "values": [1, 2, 3] } });
        let fail = |message: &str| Verdict::FailJob(message.to_owned());
        let exit = fail(
            "Container main-container for pod default/mypod failed with exit code 2 matching FailJob rule at index 1",
        );
        for (name, rules, pod, expected) in [
            (
                "unknown action is passed over",
                json!([codes("UnknownAction", "In", &[2]), codes("FailJob", "In", &[2])]),
                pod(&[("main-container", 2)], &[], &[]),
                exit.clone(),
            ),
            (
                "ignored before failed",
                json!([codes("Ignore", "In", &[1, 2, 3]), codes("FailJob", "In", &[2])]),
                pod(&[("main-container", 2)], &[], &[]),
                Verdict::Ignore,
            ),
            (
                "not in",
                json!([codes("Ignore", "In", &[1]), codes("FailJob", "NotIn", &[5, 6, 7])]),
                pod(&[("main-container", 2)], &[], &[]),
                exit,
            ),
            (
                "a zero fits nothing",
                json!([codes("FailJob", "NotIn", &[5])]),
                pod(&[("main-container", 0)], &[], &[]),
                Verdict::Count,
            ),
            ("another container", json!([named]), pod(&[("monitoring", 1)], &[], &[]), Verdict::Count),
            (
                "an init container",
                json!([codes("FailJob", "In", &[5])]),
                pod(&[], &[("init", 5)], &[]),
                fail(
                    "Container init for pod default/mypod failed with exit code 5 matching FailJob rule at index 0",
                ),
            ),
            (
                "a container that still runs",
                json!([codes("FailJob", "In", &[5])]),
                json!({ "status": { "containerStatuses": [{ "name": "c", "state": { "running": {} } }] } }),
                Verdict::Count,
            ),
            (
                "condition",
                json!([condition("FailJob")]),
                pod(&[], &[], &[("DisruptionTarget", "True")]),
                fail("Pod default/mypod has condition DisruptionTarget matching FailJob rule at index 0"),
            ),
            (
                "condition of another status",
                json!([condition("Ignore")]),
                pod(&[], &[], &[("DisruptionTarget", "False")]),
                Verdict::Count,
            ),
            (
                "the index",
                json!([codes("FailIndex", "In", &[2])]),
                pod(&[("c", 2)], &[], &[]),
                Verdict::FailIndex,
            ),
            (
                "counted before ignored",
                json!([codes("Count", "In", &[2]), condition("Ignore")]),
                pod(&[("c", 2)], &[], &[("DisruptionTarget", "True")]),
                Verdict::Count,
            ),
            ("no policy", json!(null), pod(&[("c", 2)], &[], &[]), Verdict::Count),
        ] {
            let job = json!({ "spec": { "podFailurePolicy": { "rules": rules } } });
            assert_eq!(on_failure(&job, &pod), expected, "{name}");
        }
    }

    /// Rules and answers are those of upstream's TestMatchSuccessPolicy.
    #[test]
    fn enough_indexes_are_enough() {
        for (rules, completions, succeeded, expected) in [
            (json!([]), 10, "0-9", None),
            (json!([{ "succeededCount": 2 }]), 10, "", None),
            (json!([{ "succeededCount": 2 }]), 10, "1,3", Some(0)),
            (json!([{ "succeededCount": 3 }]), 10, "1,3", None),
            (json!([{ "succeededIndexes": "invalid" }]), 10, "0-9", None),
            (json!([{ "succeededIndexes": "0-3,6" }]), 10, "0-4,6,7", Some(0)),
            (json!([{ "succeededIndexes": "0-3,6" }]), 10, "0-4", None),
            (json!([{ "succeededIndexes": "0-10", "succeededCount": 3 }]), 20, "1,2,15", None),
            (json!([{ "succeededIndexes": "0-10", "succeededCount": 3 }]), 20, "1,2,9", Some(0)),
            (json!([{ "succeededIndexes": "8,9" }, { "succeededCount": 1 }]), 10, "3", Some(1)),
        ] {
            let job = json!({ "spec": { "successPolicy": { "rules": rules } } });
            let met = on_success(&job, completions, &Indexes::parse(succeeded, completions));
            assert_eq!(met, expected.map(|at| format!("Matched rules at index {at}")), "{job} {succeeded}");
        }
    }
}

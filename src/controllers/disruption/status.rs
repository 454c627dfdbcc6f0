//! What a disruption budget says of its pods: how many there should be, how many must be healthy, how many are. Pure.

use crate::pods;
use alcove_object::{Value, condition, meta, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use std::time::Duration;

/// How long an eviction that was allowed may take until the pod is being deleted.
const DELETION: Duration = Duration::from_secs(2 * 60);
const CONDITION: &str = "DisruptionAllowed";

/// How many pods there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// In all.
    pub expected: i64,
    /// Healthy ones, at least.
    pub healthy: i64,
}

/// Whether a budget's numbers are shares of what the pods' controllers ask for.
pub fn needs_scale(budget: &Value) -> bool {
    !budget["spec"]["maxUnavailable"].is_null() || budget["spec"]["minAvailable"].is_string()
}

/// What a budget demands of so many pods. `scale` is what their controllers ask for.
pub fn demand(budget: &Value, pods: usize, scale: i64) -> Result<Demand, String> {
    let spec = &budget["spec"];
    if !spec["maxUnavailable"].is_null() {
        let unavailable = share(&spec["maxUnavailable"], scale)?;
        return Ok(Demand { expected: scale, healthy: (scale - unavailable).max(0) });
    }
    match &spec["minAvailable"] {
        Value::Null => Ok(Demand { expected: 0, healthy: 0 }),
        Value::Number(number) => {
            let expected = i64::try_from(pods).unwrap_or(i64::MAX);
            Ok(Demand { expected, healthy: number.as_i64().unwrap_or(0) })
        }
        percent => Ok(Demand { expected: scale, healthy: share(percent, scale)? }),
    }
}

/// A number, or a share of a whole, rounded up.
fn share(value: &Value, whole: i64) -> Result<i64, String> {
    let Some(text) = value.as_str() else { return Ok(value.as_i64().unwrap_or(0)) };
    let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<i64>().ok());
    let percent = percent.ok_or("invalid value for IntOrString: invalid type: string is not a percentage")?;
    let parts = whole.saturating_mul(percent);
    Ok(parts.div_euclid(100) + i64::from(parts.rem_euclid(100) != 0))
}

/// A budget's new status.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub status: Value,
    /// Pods that an eviction was allowed for and that nobody deleted.
    pub spared: Vec<String>,
    /// When the next of the evictions that are under way must have come about.
    pub recheck: Option<Duration>,
}

/// The status that follows from the pods that a budget selects.
pub fn of(budget: &Value, pods: &[Value], demand: Demand, now: Timestamp) -> Outcome {
    let old = &budget["status"];
    let mut disrupted = Map::new();
    let (mut spared, mut recheck) = (Vec::new(), None);
    for pod in pods.iter().filter(|pod| !meta::is_deleting(pod)) {
        let Some(since) = old["disruptedPods"][meta::name(pod)].as_str() else { continue };
        match left(since, now) {
            None => spared.push(meta::name(pod).to_owned()),
            Some(left) => {
                disrupted.insert(meta::name(pod).to_owned(), since.into());
                recheck = Some(recheck.map_or(left, |first: Duration| first.min(left)));
            }
        }
    }
    let is_healthy = |pod: &&Value| {
        !meta::is_deleting(pod) && !disrupted.contains_key(meta::name(pod)) && pods::is_ready(pod)
    };
    let healthy = i64::try_from(pods.iter().filter(is_healthy).count()).unwrap_or(i64::MAX);
    // A budget without pods allows nothing, so that it is safe when its first pods come.
    let allowed = if demand.expected > 0 { (healthy - demand.healthy).max(0) } else { 0 };
    let generation = meta::generation(budget);
    let mut status = json!({
        "currentHealthy": healthy, "desiredHealthy": demand.healthy, "expectedPods": demand.expected,
        "disruptionsAllowed": allowed, "observedGeneration": generation,
        "conditions": old["conditions"].as_array().cloned().unwrap_or_default(),
    });
    if !disrupted.is_empty() {
        status["disruptedPods"] = disrupted.into();
    }
    let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
    say(&mut status, allowed > 0, reason, "", now);
    Outcome { status, spared, recheck }
}

/// How long an eviction may still take; `None`: it has had its time.
fn left(since: &str, now: Timestamp) -> Option<Duration> {
    let end = time::parse(since)?.checked_add(SignedDuration::try_from(DELETION).ok()?).ok()?;
    (end >= now).then(|| end.duration_since(now).unsigned_abs())
}

/// The status of a budget about which nothing is known any more: nothing may be disrupted.
pub fn failed(budget: &Value, why: &str, now: Timestamp) -> Value {
    let mut status = budget["status"].as_object().cloned().unwrap_or_default();
    for field in ["currentHealthy", "desiredHealthy", "expectedPods"] {
        status.entry(field).or_insert_with(|| 0.into());
    }
    status.insert("disruptionsAllowed".into(), 0.into());
    status.entry("conditions").or_insert_with(|| json!([]));
    let mut status = Value::from(status);
    say(&mut status, false, "SyncFailed", why, now);
    status
}

fn say(status: &mut Value, holds: bool, reason: &str, message: &str, now: Timestamp) {
    let mut said = json!({
        "type": CONDITION, "status": condition::status(holds), "reason": reason, "message": message,
        "lastTransitionTime": time::format(now),
    });
    if let Some(generation) = status["observedGeneration"].as_i64().filter(|generation| *generation != 0) {
        said["observedGeneration"] = generation.into();
    }
    condition::set(&mut status["conditions"], said);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn budget(spec: Value, status: Value) -> Value {
        json!({ "metadata": { "name": "b", "generation": 3 }, "spec": spec, "status": status })
    }

    fn pod(name: &str, ready: bool) -> Value {
        let ready = if ready { "True" } else { "False" };
        json!({ "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": ready }] } })
    }

    #[test]
    fn demands_follow_from_numbers_and_shares() {
        let cases = [
            (json!({ "minAvailable": 2 }), 5, 0, (5, 2), false),
            (json!({ "minAvailable": "50%" }), 5, 7, (7, 4), true),
            (json!({ "maxUnavailable": 2 }), 5, 7, (7, 5), true),
            (json!({ "maxUnavailable": 9 }), 5, 7, (7, 0), true),
            (json!({ "maxUnavailable": "30%" }), 5, 10, (10, 7), true),
            (json!({ "maxUnavailable": "1%" }), 5, 10, (10, 9), true),
            (json!({}), 5, 10, (0, 0), false),
        ];
        for (spec, pods, scale, (expected, healthy), scales) in cases {
            let budget = budget(spec, Value::Null);
            assert_eq!(demand(&budget, pods, scale), Ok(Demand { expected, healthy }), "{budget}");
            assert_eq!(needs_scale(&budget), scales, "{budget}");
        }
        assert!(demand(&budget(json!({ "maxUnavailable": "x" }), Value::Null), 1, 1).is_err());
    }

    #[test]
    fn healthy_pods_beyond_the_demand_may_be_disrupted() {
        let mut going = pod("going", true);
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let pods = [pod("a", true), pod("b", true), pod("c", true), pod("sick", false), going];
        let since = |minute: u32| json!(format!("2026-01-01T00:{minute:02}:00Z"));
        // disruptedPods, what of them stays, healthy, allowed, spared, recheck
        let cases = [
            (json!({}), json!(null), 3, 1, &[][..], None),
            (json!({ "a": since(9) }), json!({ "a": since(9) }), 2, 0, &[], Some(60)),
            (json!({ "a": since(7), "gone": since(9), "going": since(9) }), json!(null), 3, 1, &["a"], None),
            (
                json!({ "a": since(9), "sick": since(10) }),
                json!({ "a": since(9), "sick": since(10) }),
                2,
                0,
                &[],
                Some(60),
            ),
        ];
        for (disrupted, stays, healthy, allowed, spared, recheck) in cases {
            let budget = budget(json!({}), json!({ "disruptedPods": disrupted }));
            let outcome = of(&budget, &pods, Demand { expected: 5, healthy: 2 }, now());
            let status = &outcome.status;
            assert_eq!(status.get("disruptedPods").unwrap_or(&Value::Null), &stays);
            assert_eq!(
                (&status["currentHealthy"], &status["disruptionsAllowed"]),
                (&json!(healthy), &json!(allowed))
            );
            assert_eq!(
                (&*outcome.spared, outcome.recheck),
                (
                    &*spared.iter().map(|s| s.to_string()).collect::<Vec<_>>(),
                    recheck.map(Duration::from_secs)
                )
            );
        }
        let none = of(&budget(json!({}), json!({})), &pods, Demand { expected: 0, healthy: 0 }, now());
        assert_eq!(none.status["disruptionsAllowed"], 0, "no pods, so nothing is allowed");
    }

    #[test]
    fn the_condition_turns_when_its_answer_does() {
        let pods = [pod("a", true)];
        let status_of = |status: Value, healthy: i64| {
            of(&budget(json!({}), status), &pods, Demand { expected: 1, healthy }, now()).status
        };
        let first = status_of(json!({}), 0);
        let expected = json!([{ "type": CONDITION, "status": "True", "reason": "SufficientPods", "message": "",
            "observedGeneration": 3, "lastTransitionTime": "2026-01-01T00:10:00Z" }]);
        assert_eq!(first["conditions"], expected);
        let mut older = first.clone();
        older["conditions"][0]["lastTransitionTime"] = "2025-01-01T00:00:00Z".into();
        assert_eq!(
            status_of(older.clone(), 0)["conditions"][0]["lastTransitionTime"],
            "2025-01-01T00:00:00Z"
        );
        let turned = status_of(older.clone(), 1)["conditions"].clone();
        assert_eq!(turned[0]["reason"], "InsufficientPods");
        assert_eq!(turned[0]["lastTransitionTime"], "2026-01-01T00:10:00Z");
        let failed = failed(&budget(json!({}), older), "no such thing", now());
        assert_eq!((&failed["disruptionsAllowed"], &failed["currentHealthy"]), (&json!(0), &json!(1)));
        assert_eq!(failed["conditions"][0]["reason"], "SyncFailed");
        assert_eq!(failed["conditions"][0]["message"], "no such thing");
    }
}

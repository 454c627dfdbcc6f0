//! How many replicas each of a deployment's sets should have. Pure: a rollout in, counts out.

use super::revisions::DESIRED;
use super::{Rollout, replicas, reported};
use alcove_object::{Value, meta};
use std::time::Duration;

/// How soon a `Recreate` that waits for old pods to end looks again.
pub(super) const RECREATE_DELAY: Duration = Duration::from_millis(500);

type Counts = Vec<(String, i64)>;

fn limit(deployment: &Value, field: &str, round_up: bool) -> i64 {
    let total = replicas(deployment);
    match deployment.pointer(&format!("/spec/strategy/rollingUpdate/{field}")) {
        Some(Value::Number(n)) => n.as_i64().unwrap_or(0),
        Some(Value::String(s)) => {
            let percent: i64 = s.trim_end_matches('%').parse().unwrap_or(0);
            if round_up { (total * percent + 99) / 100 } else { total * percent / 100 }
        }
        _ => 0,
    }
}

fn is_rolling(deployment: &Value) -> bool {
    deployment.pointer("/spec/strategy/type").and_then(Value::as_str) != Some("Recreate")
}

/// Pods that may exist beyond the replica count.
pub(super) fn max_surge(deployment: &Value) -> i64 {
    if is_rolling(deployment) { limit(deployment, "maxSurge", true) } else { 0 }
}

/// Pods that may be missing. At least one, if no surge is allowed either, or nothing could ever move.
pub(super) fn max_unavailable(deployment: &Value) -> i64 {
    let total = replicas(deployment);
    if !is_rolling(deployment) || total == 0 {
        return 0;
    }
    let unavailable = limit(deployment, "maxUnavailable", false);
    let unavailable = if unavailable == 0 && max_surge(deployment) == 0 { 1 } else { unavailable };
    unavailable.min(total)
}

fn total<'a>(sets: impl Iterator<Item = &'a Value>, count: impl Fn(&Value) -> i64) -> i64 {
    sets.map(count).sum()
}

/// The size of the new set right now: all at once for `Recreate`, within the surge otherwise.
pub(super) fn new_set_replicas(rollout: &Rollout) -> i64 {
    let wanted = replicas(&rollout.deployment);
    if !is_rolling(&rollout.deployment) {
        return wanted;
    }
    let current = rollout.new.as_ref().map_or(0, replicas);
    let room = wanted + max_surge(&rollout.deployment) - total(rollout.sets(), replicas);
    if room <= 0 { current } else { current + room.min(wanted - current) }
}

/// One step of a rolling update: grow the new set if there is room, else shrink the old ones.
pub(super) fn rolling(rollout: &Rollout) -> Counts {
    let Some(new) = &rollout.new else { return Vec::new() };
    let wanted = replicas(&rollout.deployment);
    let target = match replicas(new) {
        current if current >= wanted => wanted,
        _ => new_set_replicas(rollout),
    };
    if target != replicas(new) {
        return vec![(meta::name(new).to_owned(), target)];
    }
    let mut counts = shrink_old(rollout, new);
    counts.push((meta::name(new).to_owned(), target));
    counts
}

/// Shrinks old sets: unhealthy replicas first, then as many as availability allows.
fn shrink_old(rollout: &Rollout, new: &Value) -> Counts {
    let wanted = replicas(&rollout.deployment);
    let min_available = wanted - max_unavailable(&rollout.deployment);
    let new_unavailable = replicas(new) - reported(new, "availableReplicas");
    let mut budget = total(rollout.sets(), replicas) - min_available - new_unavailable;
    let mut counts: Counts =
        rollout.old.iter().map(|set| (meta::name(set).to_owned(), replicas(set))).collect();
    if budget <= 0 {
        return Vec::new();
    }
    for ((_, count), set) in counts.iter_mut().zip(&rollout.old) {
        let unhealthy = (*count - reported(set, "availableReplicas")).clamp(0, budget);
        *count -= unhealthy;
        budget -= unhealthy;
    }
    let available = total(rollout.sets(), |set| reported(set, "availableReplicas"));
    let mut budget = available - min_available;
    for (_, count) in &mut counts {
        let step = (*count).min(budget).max(0);
        *count -= step;
        budget -= step;
    }
    counts
}

/// Old sets at zero.
pub(super) fn stop_old(rollout: &Rollout) -> Counts {
    rollout.old.iter().map(|set| (meta::name(set).to_owned(), 0)).collect()
}

/// Whether the deployment's size was changed since its sets were last scaled.
pub(super) fn is_scaling(rollout: &Rollout) -> bool {
    let wanted = replicas(&rollout.deployment).to_string();
    rollout
        .sets()
        .filter(|set| replicas(set) > 0)
        .any(|set| meta::annotation(set, DESIRED).is_some_and(|desired| desired != wanted))
}

/// Spreads a changed size over all sets with replicas, in proportion to what they have; leftovers go to the largest.
pub(super) fn proportional(rollout: &Rollout) -> Counts {
    let wanted = replicas(&rollout.deployment);
    let active: Vec<&Value> = rollout.sets().filter(|set| replicas(set) > 0).collect();
    if let [only] = active[..] {
        return vec![(meta::name(only).to_owned(), wanted)];
    }
    if active.is_empty() {
        let newest = rollout.new.as_ref().or(rollout.old.last());
        return newest.map(|set| (meta::name(set).to_owned(), wanted)).into_iter().collect();
    }
    let is_saturated = rollout
        .new
        .as_ref()
        .is_some_and(|new| replicas(new) == wanted && reported(new, "availableReplicas") == wanted);
    if is_saturated {
        return stop_old(rollout);
    }
    spread(&rollout.deployment, active, wanted)
}

fn spread(deployment: &Value, mut sets: Vec<&Value>, wanted: i64) -> Counts {
    let now: i64 = sets.iter().map(|set| replicas(set)).sum();
    let allowed = if wanted > 0 { wanted + max_surge(deployment) } else { 0 };
    let mut left = allowed - now;
    if left > 0 {
        sets.sort_by_key(|set| {
            (std::cmp::Reverse(replicas(set)), std::cmp::Reverse(meta::text(set, "creationTimestamp")))
        });
    } else {
        sets.sort_by_key(|set| (std::cmp::Reverse(replicas(set)), meta::text(set, "creationTimestamp")));
    }
    let mut counts = Counts::new();
    for set in &sets {
        let current = replicas(set);
        let share = (current as f64 * allowed as f64 / now.max(1) as f64).round() as i64 - current;
        let share = if left > 0 { share.clamp(0, left) } else { share.clamp(left, 0) };
        left -= share;
        counts.push((meta::name(set).to_owned(), current + share));
    }
    if let Some((_, count)) = counts.first_mut() {
        *count = (*count + left).max(0);
    }
    counts
}

/// Whether every replica is of the new template and available, and nothing else is left.
pub(super) fn is_complete(rollout: &Rollout) -> bool {
    let wanted = replicas(&rollout.deployment);
    let Some(new) = &rollout.new else { return false };
    reported(new, "replicas") == wanted
        && reported(new, "availableReplicas") == wanted
        && total(rollout.sets(), |set| reported(set, "replicas")) == wanted
}

/// Old, empty sets beyond `spec.revisionHistoryLimit`, oldest first.
pub(super) fn expendable(rollout: &Rollout) -> Vec<&Value> {
    let keep = rollout.deployment.pointer("/spec/revisionHistoryLimit").and_then(Value::as_u64).unwrap_or(10)
        as usize;
    let idle = |set: &&Value| {
        replicas(set) == 0
            && reported(set, "replicas") == 0
            && reported(set, "observedGeneration") >= meta::generation(set)
            && !meta::is_deleting(set)
    };
    let surplus = rollout.old.len().saturating_sub(keep);
    let mut sets: Vec<&Value> = rollout.old.iter().filter(idle).collect();
    sets.sort_by_key(|set| {
        meta::annotation(set, super::revisions::REVISION).and_then(|r| r.parse::<i64>().ok()).unwrap_or(0)
    });
    sets.truncate(surplus);
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(replicas: i64, surge: Value, unavailable: Value) -> Value {
        json!({ "metadata": { "name": "web" }, "spec": { "replicas": replicas, "strategy": { "type": "RollingUpdate",
            "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } } } })
    }

    fn set(name: &str, wanted: i64, available: i64) -> Value {
        json!({ "metadata": { "name": name }, "spec": { "replicas": wanted },
                "status": { "replicas": wanted, "availableReplicas": available } })
    }

    #[test]
    fn percentages_round_surge_up_and_unavailable_down() {
        let d = deployment(10, json!("25%"), json!("25%"));
        assert_eq!((max_surge(&d), max_unavailable(&d)), (3, 2));
        let d = deployment(3, json!(0), json!("10%"));
        assert_eq!((max_surge(&d), max_unavailable(&d)), (0, 1), "something must be able to move");
    }

    #[test]
    fn a_rolling_update_steps_within_its_limits() {
        let cases = [
            // (new, old) wanted/available -> counts
            ((0, 0), (10, 10), vec![("new", 3)]),
            ((3, 0), (10, 10), vec![("old", 8), ("new", 3)]),
            ((3, 3), (8, 8), vec![("new", 5)]),
            ((10, 10), (3, 3), vec![("old", 0), ("new", 10)]),
            ((10, 10), (0, 0), vec![("old", 0), ("new", 10)]),
        ];
        for ((new, new_available), (old, old_available), expected) in cases {
            let rollout = Rollout {
                deployment: deployment(10, json!("25%"), json!("25%")),
                new: Some(set("new", new, new_available)),
                old: vec![set("old", old, old_available)],
            };
            let expected: Counts = expected.into_iter().map(|(n, c)| (n.to_owned(), c)).collect();
            assert_eq!(rolling(&rollout), expected, "new {new}/{new_available} old {old}/{old_available}");
        }
    }

    #[test]
    fn unhealthy_old_replicas_go_first() {
        let rollout = Rollout {
            deployment: deployment(10, json!(0), json!(2)),
            new: Some(set("new", 0, 0)),
            old: vec![set("broken", 5, 3), set("fine", 5, 5)],
        };
        // 10 - 8 = 2 may go, and the two unhealthy ones are as many.
        let counts = rolling(&rollout);
        assert_eq!(counts[0], ("broken".to_owned(), 3));
        assert_eq!(counts[1], ("fine".to_owned(), 5));
    }

    #[test]
    fn a_changed_size_is_spread_in_proportion() {
        let rollout = Rollout {
            deployment: deployment(20, json!(0), json!(2)),
            new: Some(set("new", 4, 4)),
            old: vec![set("old", 6, 6)],
        };
        let mut counts = proportional(&rollout);
        counts.sort();
        assert_eq!(counts, vec![("new".to_owned(), 8), ("old".to_owned(), 12)]);
    }
}

//! How fast an autoscaler may go: what it wanted and did lately, its own rules, and its bounds
//! (k8s.io/kubernetes/pkg/controller/podautoscaler/horizontal.go: normalizeDesiredReplicas). Pure: times are given.

use alcove_object::Value;
use jiff::{SignedDuration, Timestamp};

/// How long a wish for more replicas holds back a later one for less, where no rule says (kube-controller-manager's
/// --horizontal-pod-autoscaler-downscale-stabilization), in seconds.
const DOWNSCALE_SECONDS: i64 = 300;
/// Without rules, replicas grow by this factor at most in one go.
const GROWTH_FACTOR: i64 = 2;
/// Without rules, replicas may always grow to this number.
const GROWTH_REPLICAS_MIN: i64 = 4;
/// What an autoscaler wanted and did is forgotten after this time, the longest window of rules, in seconds.
const MEMORY_SECONDS_MAX: i64 = 3600;

/// What an autoscaler wanted and did lately.
#[derive(Clone, Debug, Default)]
pub struct History {
    wanted: Vec<(Timestamp, i64)>,
    added: Vec<(Timestamp, i64)>,
    removed: Vec<(Timestamp, i64)>,
}

/// What the metrics ask for, and what they may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub current: i64,
    pub desired: i64,
    pub min: i64,
    pub max: i64,
    /// `spec.behavior`; null: upstream's rules for those who give none.
    pub behavior: &'a Value,
    pub now: Timestamp,
}

/// A condition: whether it holds, its reason and its message.
pub type Said = (bool, &'static str, &'static str);

/// What comes of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub replicas: i64,
    /// `AbleToScale`.
    pub able: Said,
    /// `ScalingLimited`.
    pub limited: Said,
}

const READY: Said = (true, "ReadyForNewScale", "recommended size matches current size");
const DOWN_STABILIZED: Said = (
    true,
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABILIZED: Said = (
    true,
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: Said = (false, "DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_MANY: Said =
    (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Said =
    (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_FAST_UP: Said =
    (true, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: Said =
    (true, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

impl History {
    /// A history that begins with the replicas that are there, so that a start scales nothing down at once.
    pub fn new(current: i64, now: Timestamp) -> History {
        History { wanted: vec![(now, current)], ..History::default() }
    }

    /// Grants what may be granted of a wish, and remembers the wish.
    pub fn grant(&mut self, wish: &Wish<'_>) -> Granted {
        self.forget(wish.now);
        let stable = self.stabilized(wish);
        self.wanted.push((wish.now, wish.desired));
        let able = match stable == wish.desired {
            true => READY,
            false if wish.behavior.is_null() || wish.desired < wish.current => DOWN_STABILIZED,
            false => UP_STABILIZED,
        };
        let (replicas, limit) =
            if wish.behavior.is_null() { bounded(wish, stable) } else { self.paced(wish, stable) };
        Granted { replicas, able, limited: if replicas == stable { WITHIN } else { limit } }
    }

    /// Remembers that a wish was carried out.
    pub fn note(&mut self, before: i64, after: i64, now: Timestamp) {
        if after > before {
            self.added.push((now, after - before));
        } else {
            self.removed.push((now, before - after));
        }
    }

    fn forget(&mut self, now: Timestamp) {
        for list in [&mut self.wanted, &mut self.added, &mut self.removed] {
            list.retain(|(at, _)| is_within(*at, MEMORY_SECONDS_MAX, now));
        }
    }

    fn lately(&self, seconds: i64, now: Timestamp) -> impl Iterator<Item = i64> {
        self.wanted.iter().filter(move |(at, _)| is_within(*at, seconds, now)).map(|(_, wanted)| *wanted)
    }

    /// A wish, held back by earlier ones.
    fn stabilized(&self, wish: &Wish<'_>) -> i64 {
        let window = |direction: &str| wish.behavior[direction]["stabilizationWindowSeconds"].as_i64();
        let down = window("scaleDown").unwrap_or(DOWNSCALE_SECONDS);
        let high = self.lately(down, wish.now).fold(wish.desired, i64::max);
        if wish.behavior.is_null() {
            return high;
        }
        let up = window("scaleUp").unwrap_or(0);
        let low = self.lately(up, wish.now).fold(wish.desired, i64::min);
        // Without change between the two, the lower one first.
        wish.current.max(low).min(high)
    }

    /// A stabilized wish within its rules and bounds, and what would have limited it.
    fn paced(&self, wish: &Wish<'_>, stable: i64) -> (i64, Said) {
        if stable > wish.current {
            let pace = self.pace(wish, "scaleUp").max(wish.current);
            let (most, limit) = if wish.max > pace { (pace, TOO_FAST_UP) } else { (wish.max, TOO_MANY) };
            return (stable.min(most), limit);
        }
        if stable < wish.current {
            let pace = self.pace(wish, "scaleDown").min(wish.current);
            let (least, limit) = if wish.min < pace { (pace, TOO_FAST_DOWN) } else { (wish.min, TOO_FEW) };
            return (stable.max(least), limit);
        }
        (stable, WITHIN)
    }

    /// How far the rules of a direction let the replicas go now.
    fn pace(&self, wish: &Wish<'_>, direction: &str) -> i64 {
        let rules = &wish.behavior[direction];
        let (goes_up, select) = (direction == "scaleUp", rules["selectPolicy"].as_str().unwrap_or("Max"));
        if select == "Disabled" {
            return wish.current;
        }
        let policies = rules["policies"].as_array().into_iter().flatten();
        let reach = policies.map(|policy| {
            let seconds = policy["periodSeconds"].as_i64().unwrap_or(0);
            let sum = |list: &[(Timestamp, i64)]| -> i64 {
                list.iter()
                    .filter(|(at, _)| is_within(*at, seconds, wish.now))
                    .map(|(_, change)| change)
                    .sum()
            };
            let begin = wish.current - sum(&self.added) + sum(&self.removed);
            let value = policy["value"].as_i64().unwrap_or(0);
            let signed = if goes_up { value } else { -value };
            match policy["type"].as_str() {
                Some("Percent") => {
                    let share = begin as f64 * (1.0 + signed as f64 / 100.0);
                    // Up it must change something, down it is cut.
                    (if goes_up { share.ceil() } else { share.trunc() }) as i64
                }
                _ => begin.saturating_add(signed),
            }
        });
        // The largest change is the highest number up and the lowest one down.
        let most = if goes_up == (select != "Min") { reach.max() } else { reach.min() };
        most.unwrap_or(wish.current)
    }
}

fn is_within(at: Timestamp, seconds: i64, now: Timestamp) -> bool {
    now.duration_since(at) < SignedDuration::from_secs(seconds)
}

/// A wish within bounds, where nobody gave rules.
fn bounded(wish: &Wish<'_>, stable: i64) -> (i64, Said) {
    let pace = wish.current.saturating_mul(GROWTH_FACTOR).max(GROWTH_REPLICAS_MIN);
    let (most, limit) = if wish.max > pace { (pace, TOO_FAST_UP) } else { (wish.max, TOO_MANY) };
    if stable < wish.min { (wish.min, TOO_FEW) } else { (stable.min(most), limit) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// Wishes at times, each with the replicas that come of it and why it was not granted in full.
    fn play(behavior: Value, steps: &[(i64, i64, i64, &str)]) {
        let mut current = 4;
        let mut history = History::new(current, at(0));
        for (seconds, desired, expected, why) in steps {
            let now = at(*seconds);
            let wish = Wish { current, desired: *desired, min: 2, max: 20, behavior: &behavior, now };
            let granted = history.grant(&wish);
            let reasons = [granted.able, granted.limited].map(|said| said.1);
            let reasons: Vec<&str> = reasons
                .into_iter()
                .filter(|r| !matches!(*r, "ReadyForNewScale" | "DesiredWithinRange"))
                .collect();
            assert_eq!((granted.replicas, &*reasons.join(",")), (*expected, *why), "at {seconds}");
            if granted.replicas != current {
                history.note(current, granted.replicas, now);
            }
            current = granted.replicas;
        }
    }

    #[test]
    fn without_rules_replicas_double_at_most_and_shrink_late() {
        play(
            Value::Null,
            &[
                (0, 5, 5, ""),
                (15, 30, 10, "ScaleUpLimit"),
                (30, 30, 20, "TooManyReplicas"),
                (45, 1, 20, "ScaleDownStabilized,TooManyReplicas"),
                (400, 1, 2, "TooFewReplicas"),
            ],
        );
    }

    #[test]
    fn rules_set_the_pace() {
        let behavior = json!({
            "scaleUp": { "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                { "type": "Pods", "value": 2, "periodSeconds": 60 },
                { "type": "Percent", "value": 10, "periodSeconds": 60 } ] },
            "scaleDown": { "stabilizationWindowSeconds": 30, "selectPolicy": "Min", "policies": [
                { "type": "Percent", "value": 50, "periodSeconds": 60 },
                { "type": "Pods", "value": 1, "periodSeconds": 60 } ] },
        });
        play(
            behavior,
            &[
                (0, 10, 6, "ScaleUpLimit"),
                (30, 10, 6, "ScaleUpLimit"),
                (61, 10, 8, "ScaleUpLimit"),
                (70, 2, 8, "ScaleDownStabilized"),
                (130, 2, 7, "ScaleDownLimit"),
                (140, 2, 7, "ScaleDownLimit"),
            ],
        );
    }

    #[test]
    fn a_direction_may_be_off_and_growth_may_wait() {
        let behavior = json!({
            "scaleUp": { "stabilizationWindowSeconds": 60, "policies": [
                { "type": "Percent", "value": 100, "periodSeconds": 15 } ] },
            "scaleDown": { "selectPolicy": "Disabled", "stabilizationWindowSeconds": 0 },
        });
        play(behavior, &[(10, 6, 4, "ScaleUpStabilized"), (71, 6, 6, ""), (80, 2, 6, "ScaleDownLimit")]);
    }
}

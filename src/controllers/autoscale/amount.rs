//! How many replicas one number asks for that is not of pods: a metric of an object, or of something outside
//! (k8s.io/kubernetes/pkg/controller/podautoscaler/replica_calculator.go). Pure.

use super::metrics::{Proposal, ceil, is_near, milli, quantity};
use crate::pods;
use alcove_object::Value;
use serde_json::json;

/// What a metric of the kinds `Object` and `External` asks.
#[derive(Clone, Debug)]
pub struct Amount<'a> {
    /// What was measured, in thousandths.
    pub value: i64,
    /// The part of the metric with its target.
    pub target: &'a Value,
    /// `spec.behavior`.
    pub behavior: &'a Value,
    /// The replicas that are asked for now.
    pub current: i64,
    /// The replicas that are there.
    pub running: i64,
}

impl Amount<'_> {
    /// How many replicas are needed, of which these are the pods; `None`: there is no target. The error is upstream's.
    pub fn answer(&self, pods: &[Value]) -> Option<Result<Proposal, String>> {
        match (milli(&self.target["averageValue"]), milli(&self.target["value"])) {
            (Some(average), _) => Some(Ok(self.for_each(average))),
            (None, Some(whole)) => Some(self.in_all(whole, pods)),
            (None, None) => None,
        }
    }

    /// Each replica takes its part.
    fn for_each(&self, target: i64) -> Proposal {
        let (value, target, running) = (self.value as f64, target as f64, self.running as f64);
        let near = is_near(self.behavior, value / (target * running));
        let replicas = if near { self.running } else { ceil(value / target) };
        Proposal { replicas, status: json!({ "averageValue": quantity(ceil(value / running)) }) }
    }

    /// The replicas that are ready bring the whole to what it is.
    fn in_all(&self, target: i64, pods: &[Value]) -> Result<Proposal, String> {
        let ratio = self.value as f64 / target as f64;
        let status = json!({ "value": quantity(self.value) });
        if is_near(self.behavior, ratio) {
            return Ok(Proposal { replicas: self.current, status });
        }
        if pods.is_empty() {
            let why = "no pods returned by selector while calculating replica count";
            return Err(format!("unable to calculate ready pods: {why}"));
        }
        let ready = pods.iter().filter(|p| pods::phase(p) == "Running" && pods::is_ready(p)).count();
        Ok(Proposal { replicas: ceil(ratio * ready as f64).min(i32::MAX.into()), status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers are those of upstream's TestReplicaCalc tests of objects and external metrics.
    #[test]
    fn numbers_ask_for_replicas() {
        let pod = |phase: &str, ready: &str| json!({ "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] } });
        let running = |count: usize| vec![pod("Running", "True"); count];
        let mut some = running(3);
        some.extend([pod("Running", "False"), pod("Pending", "False")]);
        let whole = |value: &str| json!({ "type": "Value", "value": value });
        let each = |value: &str| json!({ "type": "AverageValue", "averageValue": value });
        for (value, target, current, pods, replicas, shown) in [
            (20_000, whole("15"), 3, running(3), 4, "20"),
            (8_600, whole("4400m"), 3, running(3), 6, "8600m"),
            (15_000, whole("15"), 3, running(3), 3, "15"),
            (20_000, whole("15"), 5, some, 4, "20"),
            (12_000, whole("20"), 5, running(5), 3, "12"),
            (8_600, each("2150m"), 3, running(3), 4, "2867m"),
            (8_600, each("2150m"), 5, running(5), 4, "1720m"),
            (26_000, each("10"), 3, running(3), 3, "8667m"),
        ] {
            let behavior = json!({});
            let amount = Amount { value, target: &target, behavior: &behavior, current, running: current };
            let proposal = amount.answer(&pods).unwrap().unwrap();
            let status = proposal.status.as_object().unwrap().values().next().unwrap().clone();
            assert_eq!((proposal.replicas, status), (replicas, json!(shown)), "{value} {target} {current}");
        }
        let (target, behavior) = (whole("1"), json!({}));
        let amount = Amount { value: 9_000, target: &target, behavior: &behavior, current: 1, running: 1 };
        let why =
            "unable to calculate ready pods: no pods returned by selector while calculating replica count";
        assert_eq!(amount.answer(&[]).unwrap().unwrap_err(), why);
        assert_eq!(Amount { target: &behavior, ..amount }.answer(&running(1)), None);
    }
}

//! How many replicas the use of a resource asks for (k8s.io/kubernetes/pkg/controller/podautoscaler/replica_calculator.go).
//! Pure.

use crate::pods;
use alcove_apiserver::quota::amounts;
use alcove_object::gather::Gather;
use alcove_object::quantity::{Format, Quantity};
use alcove_object::{Value, condition, meta, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// How long a pod may take to start before its use of the processor counts whatever it is.
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_mins(5);
/// A pod that became unready within this time of its start has never been ready.
const INITIAL_READINESS: SignedDuration = SignedDuration::from_secs(30);
/// Use that differs from the target by less changes nothing.
const TOLERANCE: f64 = 0.1;

/// The window of a measurement that does not say it.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// What one pod used, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    value: i64,
    at: Timestamp,
    window: SignedDuration,
}

/// What pods used of a resource, all containers together or this one alone, by the pods' names. `items` are PodMetrics.
pub fn of_resource<'a>(
    items: &'a [Value],
    resource: &str,
    container: Option<&str>,
) -> BTreeMap<&'a str, Usage> {
    let usage = |metrics: &Value| {
        let containers = metrics["containers"].as_array()?;
        let asked = containers.iter().filter(|c| container.is_none_or(|name| c["name"] == name));
        let amount = |container: &Value| {
            let amount = container["usage"].get(resource)?;
            Quantity::from_value(amount).ok().map(|amount| amount.milli_value())
        };
        let values: Option<Vec<i64>> = asked.map(amount).collect();
        let window = time::Duration::parse(metrics["window"].as_str().unwrap_or("0s")).unwrap_or_default();
        Some(Usage {
            value: values.filter(|values| !values.is_empty())?.into_iter().fold(0, i64::saturating_add),
            at: metrics["timestamp"].as_str().and_then(time::parse)?,
            window: SignedDuration::from_nanos(window.nanoseconds),
        })
    };
    items.iter().filter_map(|metrics| Some((meta::name(metrics), usage(metrics)?))).gather()
}

/// What a metric says of pods, by their names. `items` are MetricValues.
pub fn of_pods(items: &[Value]) -> BTreeMap<&str, Usage> {
    let usage = |item: &Value| {
        let window = item["windowSeconds"].as_i64().map_or(WINDOW, SignedDuration::from_secs);
        Some(Usage {
            value: milli(&item["value"])?,
            at: item["timestamp"].as_str().and_then(time::parse)?,
            window,
        })
    };
    items.iter().filter_map(|item| Some((item["describedObject"]["name"].as_str()?, usage(item)?))).gather()
}

/// A quantity in thousandths.
pub fn milli(quantity: &Value) -> Option<i64> {
    let given = Some(quantity).filter(|quantity| !quantity.is_null())?;
    Quantity::from_value(given).ok().map(|quantity| quantity.milli_value())
}

/// A quantity from thousandths.
pub fn quantity(milli: i64) -> String {
    Quantity::parse(&format!("{milli}m")).unwrap_or_default().to_string()
}

/// Whether use so near to its target changes nothing.
pub fn is_near(behavior: &Value, ratio: f64) -> bool {
    let tolerance = |direction: &str| {
        milli(&behavior[direction]["tolerance"]).map_or(TOLERANCE, |given| given as f64 / 1000.0)
    };
    (1.0 - tolerance("scaleDown")..=1.0 + tolerance("scaleUp")).contains(&ratio)
}

/// What a metric of the kinds `Resource`, `ContainerResource` and `Pods` asks; the latter has no resource.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub resource: &'a str,
    /// Only this container of each pod.
    pub container: Option<&'a str>,
    /// The part of the metric with its target.
    pub target: &'a Value,
    /// `spec.behavior`.
    pub behavior: &'a Value,
    pub current: i64,
    pub now: Timestamp,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub replicas: i64,
    /// `current` of the metric's status.
    pub status: Value,
}

/// How much is used of what should be, and what to show of it.
struct Ratio {
    ratio: f64,
    utilization: Option<i64>,
    average: i64,
}

impl Question<'_> {
    /// How many replicas these pods need that used so much. The error is upstream's.
    pub fn answer(&self, pods: &[Value], usages: &BTreeMap<&str, Usage>) -> Result<Proposal, String> {
        if pods.is_empty() {
            return Err("no pods returned by selector while calculating replica count".to_owned());
        }
        let groups = Groups::of(pods, usages, self.resource, self.now);
        let mut values: BTreeMap<&str, i64> = usages
            .iter()
            .filter(|(name, _)| !groups.ignored.contains(**name) && !groups.unready.contains(**name))
            .map(|(name, usage)| (*name, usage.value))
            .gather();
        if values.is_empty() {
            return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
        }
        let of = |pod| Ok::<_, String>((meta::name(pod), self.request(pod)?));
        // Amounts are compared with nothing that pods ask for.
        let asking = self.utilization().map_or(&[][..], |_| pods);
        let requests: BTreeMap<&str, i64> = asking.iter().map(of).collect::<Result<_, _>>()?;
        let first = self.ratio(&values, &requests)?;
        let keeps = |replicas: i64| self.proposal(replicas, &first);
        let counts_unready = !groups.unready.is_empty() && first.ratio > 1.0;
        if !counts_unready && groups.missing.is_empty() {
            let replicas = if self.is_near(first.ratio) {
                self.current
            } else {
                ceil(first.ratio * groups.ready as f64)
            };
            return Ok(keeps(replicas));
        }
        // Who is not heard of holds back the change: all is used on the way down, nothing on the way up.
        for name in groups.missing.iter().filter(|_| first.ratio != 1.0) {
            values.insert(name, if first.ratio < 1.0 { self.all(requests.get(name)) } else { 0 });
        }
        if counts_unready {
            values.extend(groups.unready.iter().map(|name| (*name, 0)));
        }
        let second = self.ratio(&values, &requests)?.ratio;
        let turns = (first.ratio < 1.0 && second > 1.0) || (first.ratio > 1.0 && second < 1.0);
        let replicas = ceil(second * values.len() as f64);
        let goes_back =
            (second < 1.0 && replicas > self.current) || (second > 1.0 && replicas < self.current);
        Ok(keeps(if self.is_near(second) || turns || goes_back { self.current } else { replicas }))
    }

    fn utilization(&self) -> Option<i64> {
        self.target["averageUtilization"].as_i64().filter(|_| self.target["averageValue"].is_null())
    }

    fn average(&self) -> i64 {
        milli(&self.target["averageValue"]).unwrap_or(0)
    }

    /// What a pod is taken to use of which nothing is known.
    fn all(&self, request: Option<&i64>) -> i64 {
        match self.utilization() {
            Some(target) => request.copied().unwrap_or(0).saturating_mul(target.max(100)) / 100,
            None => self.average(),
        }
    }

    fn is_near(&self, ratio: f64) -> bool {
        is_near(self.behavior, ratio)
    }

    /// What a pod asks for, in thousandths.
    fn request(&self, pod: &Value) -> Result<i64, String> {
        let (resource, name) = (self.resource, meta::name(pod));
        let of = |value: &Value| {
            amounts::read(value["resources"].get("requests")).get(resource).map(Quantity::milli_value)
        };
        let whole = amounts::read(pod["spec"]["resources"].get("requests"));
        if self.container.is_none() && whole.keys().any(|name| matches!(&**name, "cpu" | "memory")) {
            return of(&pod["spec"])
                .ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"));
        }
        let list = |field: &str| pod["spec"][field].as_array().map_or(&[][..], Vec::as_slice).iter();
        let lasting =
            list("containers").chain(list("initContainers").filter(|c| c["restartPolicy"] == "Always"));
        let mut asked = lasting.filter(|c| self.container.is_none_or(|name| c["name"] == name)).peekable();
        if let (None, Some(container)) = (asked.peek(), self.container) {
            return Err(format!("container {container} not found in Pod {name}"));
        }
        asked.try_fold(0_i64, |sum, container| {
            let own = of(container).ok_or_else(|| {
                let container = container["name"].as_str().unwrap_or_default();
                format!("missing request for {resource} in container {container} of Pod {name}")
            })?;
            Ok(sum.saturating_add(own))
        })
    }

    fn ratio(&self, values: &BTreeMap<&str, i64>, requests: &BTreeMap<&str, i64>) -> Result<Ratio, String> {
        let Some(target) = self.utilization() else {
            let sum = values.values().fold(0_i64, |sum, value| sum.saturating_add(*value));
            let average = sum / values.len().max(1) as i64;
            return Ok(Ratio { ratio: average as f64 / self.average() as f64, utilization: None, average });
        };
        let known = values.iter().filter_map(|(name, value)| Some((*value, *requests.get(name)?)));
        let (used, asked, count) =
            known.fold((0_i64, 0_i64, 0_i64), |(used, asked, count), (value, request)| {
                (used.saturating_add(value), asked.saturating_add(request), count + 1)
            });
        if asked == 0 {
            return Err("no metrics returned matched known pods".to_owned());
        }
        let utilization = used.saturating_mul(100) / asked;
        let ratio = utilization as f64 / target as f64;
        Ok(Ratio { ratio, utilization: Some(utilization), average: used / count.max(1) })
    }

    fn proposal(&self, replicas: i64, ratio: &Ratio) -> Proposal {
        let whole = self.resource == "memory" && ratio.average % 1000 == 0;
        let average = match whole {
            true => Quantity::new(ratio.average / 1000, Format::BinarySi).to_string(),
            false => quantity(ratio.average),
        };
        let mut status = json!({ "averageValue": average });
        if let Some(utilization) = ratio.utilization {
            status["averageUtilization"] = utilization.into();
        }
        Proposal { replicas, status }
    }
}

pub(super) fn ceil(number: f64) -> i64 {
    // Past the ends, a cast stays there.
    number.ceil() as i64
}

/// Pods by how much is known of them.
#[derive(Default)]
struct Groups<'a> {
    ready: usize,
    unready: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
    ignored: BTreeSet<&'a str>,
}

impl<'a> Groups<'a> {
    fn of(pods: &'a [Value], usages: &BTreeMap<&str, Usage>, resource: &str, now: Timestamp) -> Groups<'a> {
        let mut groups = Groups::default();
        for pod in pods {
            let name = meta::name(pod);
            let group = match usages.get(name) {
                _ if meta::is_deleting(pod) || pods::phase(pod) == "Failed" => &mut groups.ignored,
                _ if pods::phase(pod) == "Pending" => &mut groups.unready,
                None => &mut groups.missing,
                Some(usage) if resource == "cpu" && !is_telling(pod, usage, now) => &mut groups.unready,
                Some(_) => {
                    groups.ready += 1;
                    continue;
                }
            };
            group.insert(name);
        }
        groups
    }
}

/// Whether what a pod uses of the processor is more than its start.
fn is_telling(pod: &Value, usage: &Usage, now: Timestamp) -> bool {
    let at = |value: &Value| value.as_str().and_then(time::parse);
    let Some(condition) = condition::find(pod, "Ready") else { return false };
    let (Some(started), Some(turned)) =
        (at(&pod["status"]["startTime"]), at(&condition["lastTransitionTime"]))
    else {
        return false;
    };
    let is_unready = condition["status"] == "False";
    if started.saturating_add(CPU_INITIALIZATION).is_ok_and(|end| end > now) {
        let is_early = turned.saturating_add(usage.window).is_ok_and(|first| usage.at < first);
        return !is_unready && !is_early;
    }
    let was_never_ready = started.saturating_add(INITIAL_READINESS).is_ok_and(|end| end > turned);
    !(is_unready && was_never_ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn pod(name: &str, phase: &str, started: &str) -> Value {
        json!({
            "metadata": { "name": name },
            "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1", "memory": "1Gi" } } }] },
            "status": { "phase": phase, "startTime": started, "conditions": [
                { "type": "Ready", "status": "True", "lastTransitionTime": started }] },
        })
    }

    fn used(name: &str, cpu: &str) -> Value {
        json!({ "metadata": { "name": name }, "timestamp": "2026-01-01T00:59:50Z", "window": "30s",
            "containers": [{ "name": "c", "usage": { "cpu": cpu, "memory": "512Mi" } }] })
    }

    fn answer(target: Value, current: i64, pods: &[Value], metrics: &[Value]) -> Result<Proposal, String> {
        let behavior = json!({});
        let question = Question {
            resource: "cpu",
            container: None,
            target: &target,
            behavior: &behavior,
            current,
            now: now(),
        };
        question.answer(pods, &of_resource(metrics, "cpu", None))
    }

    #[test]
    fn use_asks_for_replicas() {
        let old = "2026-01-01T00:00:00Z";
        let half = json!({ "averageUtilization": 50 });
        let running = |count: usize| -> Vec<Value> {
            (0..count).map(|i| pod(&format!("p{i}"), "Running", old)).collect()
        };
        let use_of = |amounts: &[&str]| -> Vec<Value> {
            amounts.iter().enumerate().map(|(i, cpu)| used(&format!("p{i}"), cpu)).collect()
        };
        let mut with_pending = running(2);
        with_pending[1]["status"]["phase"] = "Pending".into();
        let mut with_failed = running(3);
        with_failed[2]["status"]["phase"] = "Failed".into();
        let mut young = running(2);
        young[1]["status"]["startTime"] = "2026-01-01T00:59:45Z".into();
        young[1]["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-01T00:59:45Z".into();
        let cases = [
            ("twice as much", half.clone(), running(2), use_of(&["1", "1"]), 4),
            ("half as much", half.clone(), running(4), use_of(&["250m", "250m", "250m", "250m"]), 2),
            ("nearly right", half.clone(), running(2), use_of(&["540m", "540m"]), 2),
            ("one is pending, up", half.clone(), with_pending.clone(), use_of(&["1"]), 2),
            ("one is pending, down", half.clone(), with_pending, use_of(&["100m"]), 1),
            ("one is missing, up", half.clone(), running(2), use_of(&["2"]), 4),
            ("one is missing, down", half.clone(), running(2), use_of(&["100m"]), 2),
            ("one has failed", half.clone(), with_failed, use_of(&["1", "1", "1"]), 4),
            ("one starts", half.clone(), young, use_of(&["500m", "900m"]), 2),
            ("an amount", json!({ "averageValue": "250m" }), running(2), use_of(&["500m", "500m"]), 4),
        ];
        for (what, target, pods, metrics, expected) in cases {
            let current = pods.len() as i64;
            assert_eq!(answer(target, current, &pods, &metrics).map(|p| p.replicas), Ok(expected), "{what}");
        }
        let shown = answer(half, 2, &running(2), &use_of(&["1", "500m"])).unwrap().status;
        assert_eq!(shown, json!({ "averageUtilization": 75, "averageValue": "750m" }));
    }

    #[test]
    fn what_is_not_known_is_told() {
        let pods = [pod("p0", "Running", "2026-01-01T00:00:00Z")];
        let half = json!({ "averageUtilization": 50 });
        let mut silent = pods.clone();
        silent[0]["spec"]["containers"][0].as_object_mut().unwrap().remove("resources");
        let cases = [
            (&[][..], vec![used("p0", "1")], "no pods returned by selector while calculating replica count"),
            (&pods, vec![used("other", "1")], "no metrics returned matched known pods"),
            (&silent, vec![used("p0", "1")], "missing request for cpu in container c of Pod p0"),
        ];
        for (pods, metrics, expected) in cases {
            assert_eq!(answer(half.clone(), 1, pods, &metrics).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_container_may_be_asked_alone() {
        let mut pods = [pod("p0", "Running", "2026-01-01T00:00:00Z")];
        let sidecar = json!({ "name": "s", "resources": { "requests": { "cpu": "100m" } } });
        pods[0]["spec"]["containers"].as_array_mut().unwrap().push(sidecar);
        let mut metrics = [used("p0", "1")];
        metrics[0]["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "s", "usage": { "cpu": "100m" } }));
        let (target, behavior) = (json!({ "averageUtilization": 50 }), json!({}));
        let of = |container: Option<&'static str>| {
            let question = Question {
                resource: "cpu",
                container,
                target: &target,
                behavior: &behavior,
                current: 1,
                now: now(),
            };
            question
                .answer(&pods, &of_resource(&metrics, "cpu", container))
                .map(|proposal| proposal.status["averageValue"].clone())
        };
        assert_eq!(of(None), Ok(json!("1100m")));
        assert_eq!(of(Some("s")), Ok(json!("100m")));
        assert_eq!(
            of(Some("none")),
            Err("did not receive metrics for targeted pods (pods might be unready)".into())
        );
    }
}

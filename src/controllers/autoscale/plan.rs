//! How many replicas an autoscaler wants, and what it says of itself: bounds, metrics that cannot be read, conditions.
//! Pure.

use super::metrics::Proposal;
use alcove_object::{Value, meta, time};
use jiff::Timestamp;
use serde_json::json;

/// What an autoscaler makes of the replicas that there are.
#[derive(Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Somebody set none at all, which turns the autoscaler off.
    Off,
    /// There are too many or too few: so many there should be, and why.
    Outside(i64, &'static str),
    /// The metrics decide.
    Within,
}

/// Whether so many replicas are within what an autoscaler allows.
pub fn bounds(autoscaler: &Value, current: i64) -> Bounds {
    let number = |field: &str| autoscaler["spec"][field].as_i64();
    let (min, max) = (number("minReplicas").unwrap_or(1), number("maxReplicas").unwrap_or(i64::MAX));
    match current {
        0 => Bounds::Off,
        _ if current > max => Bounds::Outside(max, "Current number of replicas above Spec.MaxReplicas"),
        _ if current < min => Bounds::Outside(min, "Current number of replicas below Spec.MinReplicas"),
        _ => Bounds::Within,
    }
}

/// Why a metric says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The reason in the condition `ScalingActive`, and of an event.
    pub reason: &'static str,
    /// What happened.
    pub why: String,
    /// The same for the list of all metrics.
    pub summary: String,
}

/// Why none of an autoscaler's metrics can be read where no metrics API is served. `resource` is what its API answers.
pub fn unread(autoscaler: &Value, resource: &str) -> Vec<Unread> {
    let metrics = autoscaler["spec"]["metrics"].as_array().into_iter().flatten();
    metrics.map(|metric| unread_metric(metric, meta::namespace(autoscaler), resource)).collect()
}

fn unread_metric(metric: &Value, namespace: &str, resource: &str) -> Unread {
    let text = |pointer: &str| metric.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/type");
    let source = match kind {
        "ContainerResource" => &metric["containerResource"],
        "Resource" => &metric["resource"],
        _ => &Value::Null,
    };
    let of_resource = || {
        let name = source["name"].as_str().unwrap_or_default();
        let how = if source["target"]["averageValue"].is_null() { "utilization" } else { "usage" };
        format!(
            "failed to get {name} {how}: unable to get metrics for resource {name}: unable to fetch metrics from \
             resource metrics API: {resource}"
        )
    };
    let custom = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered";
    let of = |reason: &'static str, why: String, what: &str| {
        let summary = format!("failed to get {what} metric value: {why}");
        Unread { reason, why, summary }
    };
    match kind {
        "Resource" => {
            let what = format!("{} resource", text("/resource/name"));
            of("FailedGetResourceMetric", of_resource(), &what)
        }
        "ContainerResource" => {
            let what = format!("{} container", text("/containerResource/container"));
            of("FailedGetContainerResourceMetric", of_resource(), &what)
        }
        "Pods" => {
            let why = format!("unable to get metric {}: {custom}", text("/pods/metric/name"));
            of("FailedGetPodsMetric", why, "pods")
        }
        "Object" => {
            let (kind, object) = (text("/object/describedObject/kind"), text("/object/describedObject/name"));
            let name = text("/object/metric/name");
            let why = format!("unable to get metric {name}: {kind} on {namespace} {object}/{custom}");
            of("FailedGetObjectMetric", why, "object")
        }
        "External" => {
            let name = text("/external/metric/name");
            let why = format!(
                "unable to get external metric {namespace}/{name}: unable to fetch metrics from external metrics API: no \
                 external metrics API (external.metrics.k8s.io) registered"
            );
            of("FailedGetExternalMetric", why, &format!("{name} external"))
        }
        other => {
            let why = format!("unknown metric source type {other:?}");
            Unread { reason: "InvalidMetricSourceType", summary: why.clone(), why }
        }
    }
}

impl Unread {
    /// The same metric, unread for another reason: its API answered, but nothing comes of the answer.
    pub fn because(self, metric: &Value, why: &str) -> Unread {
        let source =
            if metric["type"] == "Resource" { &metric["resource"] } else { &metric["containerResource"] };
        let how = if source["target"]["averageValue"].is_null() { "utilization" } else { "usage" };
        let why = format!("failed to get {} {how}: {why}", source["name"].as_str().unwrap_or_default());
        Unread { reason: self.reason, summary: self.summary.replace(&self.why, &why), why }
    }
}

/// What a metric asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    pub replicas: i64,
    /// What the metric is called.
    pub name: String,
    /// Its entry in `status.currentMetrics`.
    pub status: Value,
}

/// What a metric says, or why it says nothing.
pub type Reading = Result<Proposed, Unread>;

/// What a metric of a resource asks for.
pub fn proposed(metric: &Value, proposal: Proposal) -> Proposed {
    let kind = metric["type"].as_str().unwrap_or_default();
    let (field, container) =
        if kind == "Resource" { ("resource", "") } else { ("containerResource", "container ") };
    let source = &metric[field];
    let resource = source["name"].as_str().unwrap_or_default();
    let name = match source["target"]["averageValue"].is_null() {
        true => format!("{resource} {container}resource utilization (percentage of request)"),
        false => format!("{resource} resource"),
    };
    let mut status = json!({ "name": resource, "current": proposal.status });
    if let Some(container) = source["container"].as_str() {
        status["container"] = container.into();
    }
    Proposed { replicas: proposal.replicas, name, status: json!({ "type": kind, field: status }) }
}

/// `status.currentMetrics`: an entry for every metric, an empty one for those that say nothing.
pub fn current_metrics(readings: &[Reading]) -> Value {
    let entry = |reading: &Reading| match reading {
        Ok(proposed) => proposed.status.clone(),
        Err(_) => json!({ "type": "" }),
    };
    readings.iter().map(entry).collect()
}

/// The most that a metric asks for, and that metric's name. What cannot be read must not lead to fewer replicas.
pub fn decide(readings: &[Reading], current: i64) -> Result<(i64, String), Vec<&Unread>> {
    let unread: Vec<&Unread> = readings.iter().filter_map(|reading| reading.as_ref().err()).collect();
    let read = readings.iter().filter_map(|reading| reading.as_ref().ok());
    // Of equals the first one.
    let most = read.rev().max_by_key(|proposed| proposed.replicas);
    match most {
        Some(most) if unread.is_empty() || most.replicas >= current => Ok((most.replicas, most.name.clone())),
        _ => Err(unread),
    }
}

/// The failure of metrics together, of so many in all.
pub fn summary(unread: &[&Unread], count: usize) -> String {
    let first = unread.first().map_or("", |first| &first.summary);
    format!("invalid metrics ({} invalid out of {count}), first error is: {first}", unread.len())
}

/// Sets the number of replicas that there are, which is not written when it is none.
pub fn set_current(status: &mut Value, current: i64) {
    let Some(status) = status.as_object_mut() else { return };
    if current == 0 {
        status.remove("currentReplicas");
    } else {
        status.insert("currentReplicas".into(), current.into());
    }
}

/// Sets a condition; its time moves when its status does.
pub fn set_condition(
    status: &mut Value,
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let text = if holds { "True" } else { "False" };
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    let found = conditions.iter().position(|condition| condition["type"] == kind);
    let since = found
        .map(|at| &conditions[at])
        .filter(|condition| condition["status"] == text)
        .map_or_else(|| time::format(now).into(), |condition| condition["lastTransitionTime"].clone());
    let condition = json!({
        "type": kind, "status": text, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    match found {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_without_metrics() {
        let autoscaler = json!({ "spec": { "minReplicas": 2, "maxReplicas": 5 } });
        let cases = [
            (0, Bounds::Off),
            (1, Bounds::Outside(2, "Current number of replicas below Spec.MinReplicas")),
            (2, Bounds::Within),
            (5, Bounds::Within),
            (6, Bounds::Outside(5, "Current number of replicas above Spec.MaxReplicas")),
        ];
        for (current, expected) in cases {
            assert_eq!(bounds(&autoscaler, current), expected, "{current}");
        }
        assert_eq!(bounds(&json!({ "spec": { "maxReplicas": 5 } }), 1), Bounds::Within, "one is the least");
    }

    #[test]
    fn metrics_that_nobody_serves_are_told_in_upstreams_words() {
        let gone = "the server could not find the requested resource (get pods.metrics.k8s.io)";
        let utilization = json!({ "type": "Utilization", "averageUtilization": 50 });
        let metrics = json!([
            { "type": "Resource", "resource": { "name": "cpu", "target": utilization } },
            { "type": "ContainerResource", "containerResource": { "name": "memory", "container": "c",
                "target": { "type": "AverageValue", "averageValue": "1Mi" } } },
            { "type": "Pods", "pods": { "metric": { "name": "qps" } } },
            { "type": "Object", "object": { "metric": { "name": "hits" },
                "describedObject": { "kind": "Ingress", "name": "i" } } },
            { "type": "External", "external": { "metric": { "name": "queue" } } },
            { "type": "Odd" },
        ]);
        let autoscaler = json!({ "metadata": { "namespace": "d" }, "spec": { "metrics": metrics } });
        let found = unread(&autoscaler, gone);
        let reasons: Vec<&str> = found.iter().map(|unread| unread.reason).collect();
        let expected = [
            "FailedGetResourceMetric",
            "FailedGetContainerResourceMetric",
            "FailedGetPodsMetric",
            "FailedGetObjectMetric",
            "FailedGetExternalMetric",
            "InvalidMetricSourceType",
        ];
        assert_eq!(reasons, expected);
        let cpu = format!(
            "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from \
             resource metrics API: {gone}"
        );
        assert_eq!(found[0].why, cpu);
        assert!(found[1].why.starts_with("failed to get memory usage: "), "{}", found[1].why);
        assert_eq!(found[1].summary, format!("failed to get c container metric value: {}", found[1].why));
        let all = format!(
            "invalid metrics (6 invalid out of 6), first error is: failed to get cpu resource metric value: {cpu}"
        );
        assert_eq!(summary(&found.iter().collect::<Vec<_>>(), 6), all);
    }

    #[test]
    fn the_most_that_is_asked_for_counts() {
        let target = json!({ "averageUtilization": 50 });
        let metric =
            |name: &str| json!({ "type": "Resource", "resource": { "name": name, "target": target } });
        let asks = |name: &str, replicas: i64| {
            let status = json!({ "averageValue": "1" });
            Ok(proposed(&metric(name), Proposal { replicas, status }))
        };
        let silent = || {
            let autoscaler = json!({ "spec": { "metrics": [metric("cpu")] } });
            Err(unread(&autoscaler, "gone").remove(0).because(&metric("cpu"), "no metrics"))
        };
        let cpu = "cpu resource utilization (percentage of request)";
        let memory = "memory resource utilization (percentage of request)";
        let cases = [
            (vec![asks("cpu", 3), asks("memory", 5)], Some((5, memory))),
            (vec![asks("cpu", 5), asks("memory", 5)], Some((5, cpu))),
            (vec![asks("cpu", 2), asks("memory", 1)], Some((2, cpu))),
            (vec![asks("cpu", 5), silent()], Some((5, cpu))),
            (vec![asks("cpu", 2), silent()], None),
            (vec![silent()], None),
        ];
        for (readings, expected) in cases {
            let expected = expected.map(|(replicas, name)| (replicas, name.to_owned()));
            assert_eq!(decide(&readings, 4).ok(), expected, "{readings:?}");
        }
        let readings: Vec<Reading> = vec![asks("cpu", 2), silent()];
        let why = "failed to get cpu utilization: no metrics";
        assert_eq!(readings[1].as_ref().unwrap_err().why, why);
        assert_eq!(
            readings[1].as_ref().unwrap_err().summary,
            format!("failed to get cpu resource metric value: {why}")
        );
        let shown = json!([
            { "type": "Resource", "resource": { "name": "cpu", "current": { "averageValue": "1" } } },
            { "type": "" },
        ]);
        assert_eq!(current_metrics(&readings), shown);
    }

    #[test]
    fn a_conditions_time_moves_with_its_status() {
        let at = |minute: u32| format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap();
        let mut status = json!({});
        set_condition(&mut status, "AbleToScale", true, "A", "a", at(1));
        set_condition(&mut status, "ScalingActive", false, "B", "b", at(1));
        set_condition(&mut status, "AbleToScale", true, "C", "c", at(2));
        set_condition(&mut status, "ScalingActive", true, "D", "d", at(3));
        let times: Vec<&Value> =
            status["conditions"].as_array().unwrap().iter().map(|c| &c["lastTransitionTime"]).collect();
        assert_eq!(times, ["2026-01-01T00:01:00Z", "2026-01-01T00:03:00Z"]);
        assert_eq!(status["conditions"][0]["reason"], "C");
    }
}

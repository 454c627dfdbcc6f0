//! How many replicas an autoscaler wants, and what it says of itself: bounds, metrics that cannot be read, conditions.
//! Pure.

use super::metrics::Proposal;
use alcove_object::{Value, condition, meta, time};
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

/// The part of a metric that says what is measured, and what for.
pub fn source(metric: &Value) -> &Value {
    match metric["type"].as_str() {
        Some("Resource") => &metric["resource"],
        Some("ContainerResource") => &metric["containerResource"],
        Some("Pods") => &metric["pods"],
        Some("Object") => &metric["object"],
        Some("External") => &metric["external"],
        _ => &Value::Null,
    }
}

/// A metric that says nothing, since its source said this instead.
pub fn unread(metric: &Value, why: &str) -> Unread {
    let source = source(metric);
    let text = |pointer: &str| source.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_average = !source["target"]["averageValue"].is_null();
    let of = |reason: &'static str, what: &str, inner: &str, why: String| {
        let summary = format!("failed to get {what} metric value: {inner}{why}");
        Unread { reason, why, summary }
    };
    let of_resource = || {
        let how = if is_average { "usage" } else { "utilization" };
        format!("failed to get {} {how}: {why}", text("/name"))
    };
    let name = text("/metric/name");
    match metric["type"].as_str().unwrap_or_default() {
        "Resource" => {
            of("FailedGetResourceMetric", &format!("{} resource", text("/name")), "", of_resource())
        }
        "ContainerResource" => {
            let what = format!("{} container", text("/container"));
            of("FailedGetContainerResourceMetric", &what, "", of_resource())
        }
        "Pods" => of("FailedGetPodsMetric", "pods", "", why.to_owned()),
        "Object" => {
            let inner = format!("failed to get {name} object metric: ");
            of("FailedGetObjectMetric", "object", if is_average { &inner } else { "" }, why.to_owned())
        }
        "External" => {
            let inner = match is_average {
                true => format!("failed to get {name} external metric: "),
                false => format!("failed to get external metric {name}: "),
            };
            of("FailedGetExternalMetric", &format!("{name} external"), &inner, why.to_owned())
        }
        other => {
            let why = format!("unknown metric source type {other:?}");
            Unread { reason: "InvalidMetricSourceType", summary: why.clone(), why }
        }
    }
}

/// A label selector as upstream's messages show it.
pub fn in_go(selector: &Value) -> String {
    if selector.is_null() {
        return "nil".to_owned();
    }
    let labels: String =
        meta::entries(selector.get("matchLabels")).map(|(key, value)| format!("{key}: {value},")).collect();
    let expression = |expression: &Value| {
        let text = |field: &str| expression[field].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        let (key, operator, values) = (text("key"), text("operator"), values.join(" "));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    let expressions: String = expressions.map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
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

/// What a metric asks for.
pub fn proposed(metric: &Value, proposal: Proposal) -> Proposed {
    let kind = metric["type"].as_str().unwrap_or_default();
    let source = source(metric);
    let text = |pointer: &str| source.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_average = !source["target"]["averageValue"].is_null();
    let (resource, measured) = (text("/name"), text("/metric/name"));
    let external = || format!("external metric {measured}({})", in_go(&source["metric"]["selector"]));
    let (field, name) = match kind {
        "Resource" if is_average => ("resource", format!("{resource} resource")),
        "Resource" => ("resource", format!("{resource} resource utilization (percentage of request)")),
        "ContainerResource" if is_average => ("containerResource", format!("{resource} resource")),
        "ContainerResource" => {
            let name = format!("{resource} container resource utilization (percentage of request)");
            ("containerResource", name)
        }
        "Pods" => ("pods", format!("pods metric {measured}")),
        // Upstream calls these so, too.
        "Object" if is_average => ("object", external()),
        "Object" => ("object", format!("{} metric {measured}", text("/describedObject/kind"))),
        _ => ("external", external()),
    };
    let mut status = json!({ "current": proposal.status });
    for field in ["name", "container", "metric", "describedObject"] {
        if let Some(value) = source.get(field).filter(|value| !value.is_null()) {
            status[field] = value.clone();
        }
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
    let said = json!({
        "type": kind, "status": condition::status(holds), "reason": reason, "message": message,
        "lastTransitionTime": time::format(now),
    });
    condition::set(&mut status["conditions"], said);
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
    fn metrics_that_say_nothing_are_told_in_upstreams_words() {
        let average = json!({ "type": "AverageValue", "averageValue": "1" });
        let value = json!({ "type": "Value", "value": "1" });
        let utilization = json!({ "type": "Utilization", "averageUtilization": 50 });
        let object = |target: &Value| {
            json!({ "type": "Object", "object": { "metric": { "name": "hits" }, "target": target,
                "describedObject": { "kind": "Ingress", "name": "i" } } })
        };
        let external = |target: &Value| json!({ "type": "External", "external": { "metric": { "name": "queue" }, "target": target } });
        let cases = [
            (
                json!({ "type": "Resource", "resource": { "name": "cpu", "target": utilization } }),
                [
                    "FailedGetResourceMetric",
                    "failed to get cpu utilization: oh",
                    "failed to get cpu resource metric value: ",
                ],
            ),
            (
                json!({ "type": "ContainerResource", "containerResource": { "name": "memory", "container": "c", "target": average } }),
                [
                    "FailedGetContainerResourceMetric",
                    "failed to get memory usage: oh",
                    "failed to get c container metric value: ",
                ],
            ),
            (
                json!({ "type": "Pods", "pods": { "metric": { "name": "qps" }, "target": average } }),
                ["FailedGetPodsMetric", "oh", "failed to get pods metric value: "],
            ),
            (object(&value), ["FailedGetObjectMetric", "oh", "failed to get object metric value: "]),
            (
                object(&average),
                [
                    "FailedGetObjectMetric",
                    "oh",
                    "failed to get object metric value: failed to get hits object metric: ",
                ],
            ),
            (
                external(&average),
                [
                    "FailedGetExternalMetric",
                    "oh",
                    "failed to get queue external metric value: failed to get queue external metric: ",
                ],
            ),
            (
                external(&value),
                [
                    "FailedGetExternalMetric",
                    "oh",
                    "failed to get queue external metric value: failed to get external metric queue: ",
                ],
            ),
            (json!({ "type": "Odd" }), ["InvalidMetricSourceType", "unknown metric source type \"Odd\"", ""]),
        ];
        for (metric, [reason, why, before]) in cases {
            let found = unread(&metric, "oh");
            assert_eq!((found.reason, &*found.why), (reason, why));
            assert_eq!(found.summary, format!("{before}{why}"));
        }
        let found = unread(&external(&value), "oh");
        let all = "invalid metrics (2 invalid out of 3), first error is: failed to get queue external metric value: \
                   failed to get external metric queue: oh";
        assert_eq!(summary(&[&found, &found], 3), all);
    }

    #[test]
    fn every_kind_of_metric_is_shown_with_what_it_measures() {
        let selector = json!({ "matchLabels": { "a": "b" },
            "matchExpressions": [{ "key": "k", "operator": "In", "values": ["x", "y"] }] });
        let shown = "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{\
                     LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}";
        let (average, value) = (json!({ "averageValue": "1" }), json!({ "value": "1" }));
        let (ingress, metric) =
            (json!({ "kind": "Ingress", "name": "i" }), json!({ "name": "m", "selector": selector }));
        let cases = [
            ("Pods", "pods", json!({ "metric": metric, "target": average }), "pods metric m".to_owned()),
            (
                "Object",
                "object",
                json!({ "metric": metric, "describedObject": ingress, "target": value }),
                "Ingress metric m".to_owned(),
            ),
            (
                "Object",
                "object",
                json!({ "metric": { "name": "m" }, "describedObject": ingress, "target": average }),
                "external metric m(nil)".to_owned(),
            ),
            (
                "External",
                "external",
                json!({ "metric": metric, "target": value }),
                format!("external metric m({shown})"),
            ),
        ];
        for (kind, field, source, name) in cases {
            let mut expected = source.clone();
            expected.as_object_mut().unwrap().remove("target");
            expected["current"] = json!({ "value": "3" });
            let proposal = Proposal { replicas: 2, status: json!({ "value": "3" }) };
            let proposed = proposed(&json!({ "type": kind, field: source }), proposal);
            assert_eq!(proposed.name, name);
            assert_eq!(proposed.status, json!({ "type": kind, field: expected }));
        }
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
        let silent = || Err(unread(&metric("cpu"), "no metrics"));
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

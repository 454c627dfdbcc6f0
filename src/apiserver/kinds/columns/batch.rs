//! The columns of batch/v1 and of autoscalers.

use super::{age, boolean, int_at, integer, name, reading, show, string, text_at, wide};
use crate::kinds::strategies::scaling::Autoscaler;
use crate::kinds::tree::{int, list, some, text};
use crate::registry::{Column, Strategy};
use alcove_object::{Gvk, Value, condition, meta, time};
use jiff::Timestamp;

pub(crate) fn job() -> Vec<Column> {
    const PATHS: &[&str] = &[
        "metadata/deletionTimestamp",
        "spec/completions",
        "spec/parallelism",
        "spec/selector",
        "spec/template/spec/containers/*/image",
        "spec/template/spec/containers/*/name",
        "status",
    ];
    let columns = vec![
        name(),
        string("Status", "State of the job.", |job, _| job_status(job).into()),
        string("Completions", "Pods that succeeded, of those asked for.", |job, _| completions(job).into()),
        string("Duration", "How long the job ran, or has run so far.", |job, now| duration(job, now).into()),
        age(),
        wide(string("Containers", "Names of the template's containers.", |job, _| {
            show::containers(job.pointer("/spec/template/spec"), "name").into()
        })),
        wide(string("Images", "Images of the template's containers.", |job, _| {
            show::containers(job.pointer("/spec/template/spec"), "image").into()
        })),
        wide(string("Selector", "Which pods belong to the job.", |job, _| {
            show::selector_or_none(job.pointer("/spec/selector")).into()
        })),
    ];
    reading(PATHS, columns)
}

fn job_status(job: &Value) -> &'static str {
    let is = |kind| condition::is_true(job, kind);
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if meta::is_deleting(job) => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let succeeded = int(job, "/status/succeeded");
    match (some(job, "/spec/completions"), int(job, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, now: Timestamp) -> String {
    let Some(start) = time::parse(text(job, "/status/startTime")) else { return String::new() };
    let end = time::parse(text(job, "/status/completionTime")).unwrap_or(now);
    show::human(end.duration_since(start))
}

pub(crate) fn cron_job() -> Vec<Column> {
    const PATHS: &[&str] = &[
        "spec/jobTemplate/spec/selector",
        "spec/jobTemplate/spec/template/spec/containers/*/image",
        "spec/jobTemplate/spec/template/spec/containers/*/name",
        "spec/schedule",
        "spec/suspend",
        "spec/timeZone",
        "status",
    ];
    let columns = vec![
        name(),
        string("Schedule", "When jobs start, in cron's form.", text_at!("/spec/schedule")),
        string("Timezone", "The time zone of the schedule.", |object, _| {
            match some(object, "/spec/timeZone") {
                Some(zone) => zone.clone(),
                None => "<none>".into(),
            }
        }),
        boolean("Suspend", "Whether no further jobs start.", |object, _| {
            show::truth(object.pointer("/spec/suspend")).into()
        }),
        integer("Active", "Number of jobs that run.", |object, _| {
            list(object, "/status/active").len().into()
        }),
        string("Last Schedule", "Time since the last job was started.", |object, now| {
            match some(object, "/status/lastScheduleTime") {
                Some(_) => show::since(object, "/status/lastScheduleTime", now).into(),
                None => "<none>".into(),
            }
        }),
        age(),
        wide(string("Containers", "Names of the template's containers.", |object, _| {
            show::containers(object.pointer("/spec/jobTemplate/spec/template/spec"), "name").into()
        })),
        wide(string("Images", "Images of the template's containers.", |object, _| {
            show::containers(object.pointer("/spec/jobTemplate/spec/template/spec"), "image").into()
        })),
        wide(string("Selector", "Which pods belong to a job.", |object, _| {
            show::selector_or_none(object.pointer("/spec/jobTemplate/spec/selector")).into()
        })),
    ];
    reading(PATHS, columns)
}

pub(crate) fn horizontal_pod_autoscaler() -> Vec<Column> {
    vec![
        name(),
        string("Reference", "What is scaled.", |hpa, _| {
            format!("{}/{}", text(hpa, "/spec/scaleTargetRef/kind"), text(hpa, "/spec/scaleTargetRef/name"))
                .into()
        }),
        string("Targets", "Each metric: what it is and what it should be.", |hpa, _| {
            match text(hpa, "/apiVersion") {
                "autoscaling/v1" => metrics(&with_metrics(hpa)).into(),
                _ => metrics(hpa).into(),
            }
        }),
        string("MinPods", "Fewest pods.", |hpa, _| match some(hpa, "/spec/minReplicas") {
            Some(min) => min.to_string().into(),
            None => "<unset>".into(),
        }),
        string("MaxPods", "Most pods.", int_at!("/spec/maxReplicas")),
        string("Replicas", "Pods there were when last looked at.", int_at!("/status/currentReplicas")),
        age(),
    ]
}

/// An autoscaler of v1 in the form that has metrics.
fn with_metrics(hpa: &Value) -> Value {
    let mut converted = hpa.clone();
    Autoscaler.convert(&mut converted, &Gvk::new("autoscaling", "v2", "HorizontalPodAutoscaler"));
    converted
}

/// Metrics shown before the rest is only counted.
const METRICS_SHOWN: usize = 2;

fn metrics(hpa: &Value) -> String {
    let statuses = list(hpa, "/status/currentMetrics");
    let specs = list(hpa, "/spec/metrics").iter().enumerate();
    let all: Vec<String> = specs.map(|(i, spec)| metric(spec, statuses.get(i))).collect();
    if all.is_empty() {
        return "<none>".into();
    }
    let shown = all[..all.len().min(METRICS_SHOWN)].join(", ");
    match all.len().saturating_sub(METRICS_SHOWN) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// One metric as `current/target`, resources with their name.
fn metric(spec: &Value, status: Option<&Value>) -> String {
    let field = match text(spec, "/type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".into(),
    };
    let target = |name: &str| some(spec, &format!("/{field}/target/{name}")).map(show::plain);
    let current = |name: &str| {
        let value = status.and_then(|s| some(s, &format!("/{field}/current/{name}")));
        value.map_or_else(|| "<unknown>".into(), show::plain)
    };
    let percent = |value: String| if value.starts_with('<') { value } else { format!("{value}%") };
    let name = text(spec, &format!("/{field}/name"));
    match (field, target("averageValue")) {
        ("resource" | "containerResource", Some(target)) => {
            format!("{name}: {}/{target}", current("averageValue"))
        }
        ("resource" | "containerResource", None) => {
            let target = target("averageUtilization").map_or_else(|| "<auto>".into(), percent);
            format!("{name}: {}/{target}", percent(current("averageUtilization")))
        }
        ("pods", target) => format!("{}/{}", current("averageValue"), target.unwrap_or_default()),
        (_, Some(target)) => format!("{}/{target} (avg)", current("averageValue")),
        (_, None) => format!("{}/{}", current("value"), target("value").unwrap_or_default()),
    }
}

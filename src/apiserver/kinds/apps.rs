//! `apps/v1`, `batch/v1`, `autoscaling/v1` and `v2`: what runs pods.

use super::columns::apps as columns;
use super::columns::batch;
use super::row::{Row, row};
use super::select;
use super::strategies::{cron_job, job, scaling, sets, workload as special};
use super::warnings;
use crate::registry::{Deletion, Generation, NameRule};

pub(super) fn apps() -> Vec<Row> {
    let apps = "apps/v1";
    vec![
        row(apps, "controllerrevisions", "ControllerRevision", columns::controller_revision)
            .strategy(&sets::ControllerRevision),
        row(apps, "daemonsets", "DaemonSet", columns::daemon_set)
            .strategy(&sets::DaemonSet)
            .warns(warnings::set)
            .short(&["ds"])
            .all()
            .status()
            .counts_spec(),
        row(apps, "deployments", "Deployment", columns::deployment)
            .strategy(&special::Deployment)
            .warns(warnings::maker)
            .short(&["deploy"])
            .all()
            .scale()
            .status_but(&["metadata.labels"])
            .counts(Generation::SpecAndAnnotations),
        row(apps, "replicasets", "ReplicaSet", columns::replica_set)
            .strategy(&special::ReplicaSet)
            .warns(warnings::maker)
            .short(&["rs"])
            .all()
            .scale()
            .status()
            .counts_spec(),
        row(apps, "statefulsets", "StatefulSet", columns::stateful_set)
            .strategy(&sets::StatefulSet)
            .warns(warnings::stateful_set)
            .short(&["sts"])
            .all()
            .scale()
            .status()
            .names(NameRule::Label)
            .counts_spec(),
    ]
}

pub(super) fn batch() -> Vec<Row> {
    vec![
        row("batch/v1", "cronjobs", "CronJob", batch::cron_job)
            .strategy(&cron_job::CronJob)
            .warns(warnings::cron_job)
            .short(&["cj"])
            .all()
            .status()
            .counts_spec(),
        row("batch/v1", "jobs", "Job", batch::job)
            .strategy(&job::Job)
            .warns(warnings::job)
            .all()
            .status()
            .counts_spec()
            .deletion(Deletion::Orphan)
            .selectable(select::JOB),
    ]
}

/// v2 first, since it is preferred and loses nothing.
pub(super) fn autoscaling() -> Vec<Row> {
    vec![
        row(
            "autoscaling/v2",
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            batch::horizontal_pod_autoscaler,
        )
        .also(&["v1"])
        .strategy(&scaling::Autoscaler)
        .short(&["hpa"])
        .all()
        .status(),
    ]
}

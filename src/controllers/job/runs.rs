//! Whole runs of jobs on a server, with all controllers.

use super::*;
use crate::testing::{World, of, set_status};
use alcove_object::condition;

fn spec(more: Value) -> Value {
    let mut spec = json!({ "template": { "metadata": { "finalizers": ["example.com/kept"] }, "spec": {
        "restartPolicy": "Never", "containers": [{ "name": "c", "image": "broken" }] } } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "namespace": "default" }, "spec": spec })
}

fn ended(phase: &str, code: i64) -> Value {
    json!({ "phase": phase, "containerStatuses": [{ "name": "c", "image": "i", "imageID": "i", "ready": false,
        "restartCount": 0, "state": { "terminated": { "exitCode": code, "finishedAt": "2026-11-21T09:00:00Z" } } }] })
}

/// The active pod of an index, as soon as there is one.
async fn active(world: &World, index: Option<u32>) -> Value {
    let fits = |pod: &&Value| pods::is_active(pod) && indexes::of(pod) == index;
    let found = world.until(&of("", "pods"), |all| all.iter().any(|pod| fits(&pod))).await;
    found.iter().find(fits).unwrap().clone()
}

/// The job's status once it has ended, and the reasons of its conditions in order.
async fn end(world: &World) -> (Value, Vec<String>) {
    let found = world.until(&of("batch", "jobs"), |all| end_of(&all[0]).is_some()).await;
    let status = found[0]["status"].clone();
    let conditions = status["conditions"].as_array().unwrap().iter();
    let reason = |c: &Value| format!("{}:{}", c["type"].as_str().unwrap(), c["reason"].as_str().unwrap());
    (status.clone(), conditions.map(reason).collect())
}

#[tokio::test(start_paused = true)]
async fn a_failure_policy_ends_a_job_at_once() {
    let world = World::new().await;
    let rules = json!([{ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
        { "action": "FailJob", "onExitCodes": { "operator": "In", "values": [42] } }]);
    let job = spec(json!({ "backoffLimit": 0, "podFailurePolicy": { "rules": rules } }));
    world.create(&of("batch", "jobs"), job).await;
    let first = active(&world, None).await;
    let mut disrupted = ended("Failed", 1);
    disrupted["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True" }]);
    set_status(&world.client, &first, disrupted).await;
    let second = active(&world, None).await;
    assert_ne!(
        meta::uid(&first),
        meta::uid(&second),
        "an ignored failure is made up for, whatever the limit"
    );
    set_status(&world.client, &second, ended("Failed", 42)).await;
    let (status, conditions) = end(&world).await;
    assert_eq!(conditions, ["FailureTarget:PodFailurePolicy", "Failed:PodFailurePolicy"]);
    let name = meta::name(&second);
    let message = format!(
        "Container c for pod default/{name} failed with exit code 42 matching FailJob rule at index 1"
    );
    assert_eq!(status["conditions"][1]["message"], message);
    assert_eq!(status["failed"], 1, "the ignored failure does not count");
    assert_eq!(status["uncountedTerminatedPods"], json!({}));
    for pod in world.list(&of("", "pods")) {
        assert_eq!(meta::finalizers(&pod).collect::<Vec<_>>(), ["example.com/kept"], "the template's stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_policy_ends_a_job_once_its_other_pods_are_gone() {
    let world = World::new().await;
    let mut job = spec(json!({ "completionMode": "Indexed", "completions": 3, "parallelism": 3,
        "successPolicy": { "rules": [{ "succeededIndexes": "1" }] } }));
    job["spec"]["template"]["metadata"] = json!({});
    world.create(&of("batch", "jobs"), job).await;
    world.until(&of("", "pods"), |all| all.len() == 3).await;
    set_status(&world.client, &active(&world, Some(1)).await, ended("Succeeded", 0)).await;
    let (status, conditions) = end(&world).await;
    assert_eq!(conditions, ["SuccessCriteriaMet:SuccessPolicy", "Complete:SuccessPolicy"]);
    assert_eq!(status["conditions"][0]["message"], "Matched rules at index 0");
    assert_eq!((&status["succeeded"], &status["completedIndexes"]), (&json!(1), &json!("1")));
    assert!(status.get("failed").is_none(), "what was not needed did not fail");
    assert!(status.get("active").is_none() && status["terminating"] == 0);
    world.until(&of("", "pods"), |all| all.len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_index_beyond_its_limit_fails_alone() {
    let world = World::new().await;
    let job = spec(
        json!({ "completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 1 }),
    );
    world.create(&of("batch", "jobs"), job).await;
    let failures = |pod: &Value| indexes::failures_before(pod).counted;
    let first = active(&world, Some(0)).await;
    assert_eq!(failures(&first), 0);
    set_status(&world.client, &first, ended("Failed", 1)).await;
    let second = active(&world, Some(0)).await;
    assert_eq!(failures(&second), 1);
    set_status(&world.client, &second, ended("Failed", 1)).await;
    world.until(&of("batch", "jobs"), |all| all[0]["status"]["failedIndexes"] == "0").await;
    set_status(&world.client, &active(&world, Some(1)).await, ended("Succeeded", 0)).await;
    let (status, conditions) = end(&world).await;
    assert_eq!(conditions, ["FailureTarget:FailedIndexes", "Failed:FailedIndexes"]);
    assert_eq!(status["conditions"][1]["message"], "Job has failed indexes");
    assert_eq!((&status["succeeded"], &status["failed"]), (&json!(1), &json!(2)));
    assert_eq!((&status["completedIndexes"], &status["failedIndexes"]), (&json!("1"), &json!("0")));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_job_starts_anew_and_loses_no_failure_to_it() {
    let world = World::new().await;
    let (jobs, pods) = (of("batch", "jobs"), of("", "pods"));
    let mut job = spec(json!({ "parallelism": 2, "completions": 2 }));
    job["spec"]["template"]["metadata"] = json!({});
    world.create(&jobs, job).await;
    world.until(&pods, |all| all.len() == 2).await;
    world.patch(&jobs, "j", json!({ "spec": { "suspend": true } })).await;
    world.until(&pods, |all| all.is_empty()).await;
    let is_idle =
        |all: &[Value]| holding(&all[0], "Suspended").is_some() && all[0]["status"]["terminating"] == 0;
    let suspended = world.until(&jobs, is_idle).await;
    assert!(
        suspended[0]["status"].get("startTime").is_none() && suspended[0]["status"].get("failed").is_none()
    );
    world.patch(&jobs, "j", json!({ "spec": { "suspend": false, "parallelism": 1 } })).await;
    world.until(&pods, |all| all.len() == 1).await;
    let resumed = world.until(&jobs, |all| all[0]["status"]["active"] == 1).await;
    assert_eq!(condition::find(&resumed[0], "Suspended").unwrap()["status"], "False");
    assert!(resumed[0]["status"]["startTime"].is_string() && resumed[0]["status"].get("failed").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_job_of_another_manager_is_left_alone() {
    let world = World::new().await;
    let jobs = of("batch", "jobs");
    world
        .create(&jobs, spec(json!({ "managedBy": "example.com/other", "ttlSecondsAfterFinished": 0 })))
        .await;
    let mut own = spec(json!({}));
    own["metadata"]["name"] = "own".into();
    world.create(&jobs, own).await;
    world.until(&jobs, |all| all.iter().any(|job| job["status"]["active"] == 1)).await;
    let other = world.list(&jobs).into_iter().find(|job| meta::name(job) == "j").unwrap();
    assert_eq!(other["status"], json!({}));
    assert_eq!(world.list(&of("", "pods")).len(), 1);
    let (now, options) = (time::format(world.env.now()), WriteOptions::default());
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": now });
    let patch = json!({ "status": { "startTime": now, "completionTime": now,
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")] } });
    world.client.patch(&jobs, "status", "default", "j", PatchType::Merge, patch, &options).await.unwrap();
    world.until(&jobs, |all| all.len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_job_that_is_gone_are_let_go_whatever_their_labels() {
    let world = World::new().await;
    let (jobs, pods) = (of("batch", "jobs"), of("", "pods"));
    let mut job = spec(json!({ "manualSelector": true, "selector": { "matchLabels": { "a": "b" } } }));
    job["spec"]["template"]["metadata"] = json!({ "labels": { "a": "b" } });
    world.create(&jobs, job).await;
    world.until(&pods, |all| all.len() == 1).await;
    let options = DeleteOptions { propagation: Some(Propagation::Orphan), ..DeleteOptions::default() };
    world.client.delete(&jobs, "default", "j", &options).await.unwrap();
    world.until(&jobs, |all| all.is_empty()).await;
    let is_free = |pod: &Value| meta::finalizers(pod).next().is_none() && meta::controller_of(pod).is_none();
    world.until(&pods, |all| all.len() == 1 && is_free(&all[0])).await;
}

//! CronJobs: jobs that begin by a schedule (k8s.io/kubernetes/pkg/controller/cronjob).
//!
//! A job's name says which minute it is for. So a job that was made just before a crash is found and not made twice.

mod plan;

use crate::events::{Kind, Recorder};
use crate::runtime::{self, Facts, Failure, Key, Mapper, Next, Queue, Reconciler, Source};
use alcove_apiserver::options::{DeleteOptions, ListOptions, Propagation};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::{Env, Gvr, Reason, Status, Value, meta};
use parking_lot::Mutex;
use plan::{Plan, Tell};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// The CronJob controller.
pub struct CronJobs {
    client: Client,
    env: Arc<dyn Env>,
    events: Recorder,
    queue: Arc<Queue>,
    /// Schedule and time zone by key.
    schedules: Mutex<HashMap<Key, When>>,
}

/// When a CronJob runs, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct When {
    schedule: String,
    time_zone: String,
}

fn resource() -> Gvr {
    Gvr::new("batch", "v1", "cronjobs")
}

fn job_resource() -> Gvr {
    Gvr::new("batch", "v1", "jobs")
}

impl CronJobs {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>, queue: Arc<Queue>) -> CronJobs {
        let events = Recorder::new(client.clone(), env.clone(), "cronjob-controller");
        CronJobs { client, env, events, queue, schedules: Mutex::default() }
    }

    /// CronJobs and their jobs. A new schedule counts from its next time on: what it would have run before is not made up.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let this = self.clone();
        let cron_jobs: Mapper = Box::new(move |event, add| match event {
            Event::Added(o) | Event::Modified(o) => match this.new_schedule(o) {
                Some(wait) => this.queue.add_after(o.key.clone(), wait),
                None => add(o.key.clone()),
            },
            Event::Deleted(o) => drop(this.schedules.lock().remove(&o.key)),
            Event::Bookmark { .. } => {}
        });
        let jobs: Mapper = Box::new(|event, add| {
            let (Event::Added(o) | Event::Modified(o) | Event::Deleted(o)) = event else { return };
            let facts = Facts::of(o);
            if let Some(owner) = facts.controller().filter(|owner| owner.kind == "CronJob") {
                add(runtime::join(o.namespace(), &owner.name));
            }
        });
        vec![Source::new(resource(), cron_jobs), Source::new(job_resource(), jobs)]
    }

    /// How long to wait for the next time, if the schedule is another one than before.
    fn new_schedule(&self, cron_job: &Object) -> Option<std::time::Duration> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Specified {
            spec: When,
        }
        let when = serde_json::from_slice::<Specified>(&cron_job.bytes).unwrap_or_default().spec;
        let before = self.schedules.lock().insert(cron_job.key.clone(), when.clone())?;
        if before == when {
            return None;
        }
        plan::wait_for_next(&cron_job.parse(), self.env.now())
    }

    /// All jobs of a CronJob, whatever their labels are by now.
    fn jobs(&self, cron_job: &Value) -> Result<Vec<Value>, Status> {
        let list = self.client.list(&job_resource(), meta::namespace(cron_job), &ListOptions::default())?;
        let is_own = |job: &&Object| {
            let facts = Facts::of(job);
            facts.controller().is_some_and(|o| o.kind == "CronJob" && o.uid == meta::uid(cron_job))
        };
        Ok(list.items.iter().filter(is_own).map(Object::parse).collect())
    }

    async fn tell(&self, cron_job: &Value, tell: &Tell) {
        self.events.tell(cron_job, tell.kind, tell.reason, &tell.message).await;
    }

    /// Deletes a job with its pods and forgets it. False: it could not be deleted, which an event tells.
    async fn delete(&self, cron_job: &mut Value, name: &str, uid: &str) -> bool {
        let options = DeleteOptions {
            uid: Some(uid.to_owned()),
            propagation: Some(Propagation::Background),
            ..DeleteOptions::default()
        };
        let deleted = self.client.delete(&job_resource(), meta::namespace(cron_job), name, &options).await;
        if let Err(status) = deleted {
            let message = format!("Deleted job: {status}");
            self.events.tell(cron_job, Kind::Warning, "FailedDelete", &message).await;
            return false;
        }
        plan::drop_active(cron_job, uid);
        self.events.tell(cron_job, Kind::Normal, "SuccessfulDelete", &format!("Deleted job {name}")).await;
        true
    }

    /// Forgets active jobs that somebody deleted.
    async fn forget_missing(&self, cron_job: &mut Value, jobs: &[Value]) -> Result<(), Status> {
        for reference in active(cron_job) {
            let (name, uid) = (text(&reference, "name"), text(&reference, "uid"));
            let is_listed = jobs.iter().any(|job| meta::uid(job) == uid);
            if is_listed || self.client.find(&job_resource(), meta::namespace(cron_job), name)?.is_some() {
                continue;
            }
            let message = format!("Active job went missing: {name}");
            self.events.tell(cron_job, Kind::Normal, "MissingJob", &message).await;
            plan::drop_active(cron_job, uid);
        }
        Ok(())
    }

    async fn carry_out(&self, cron_job: &mut Value, plan: &Plan) -> Result<(), Status> {
        let Some(at) = plan.start else { return Ok(()) };
        if cron_job["spec"]["concurrencyPolicy"] == "Replace" {
            for reference in active(cron_job) {
                let name = text(&reference, "name");
                if !self.delete(cron_job, name, text(&reference, "uid")).await {
                    let namespace = meta::namespace(cron_job);
                    return Err(Status::internal(format!("could not replace job {namespace}/{name}")));
                }
            }
        }
        let job = plan::job(cron_job, at);
        let name = meta::name(&job).to_owned();
        match self.client.create(&job_resource(), meta::namespace(cron_job), job).await {
            Ok(job) => {
                let message = format!("Created job {name}");
                self.events.tell(cron_job, Kind::Normal, "SuccessfulCreate", &message).await;
                plan::note_start(cron_job, &job.parse(), at);
                Ok(())
            }
            // The namespace ends and takes the CronJob with it.
            Err(status) if crate::namespace::is_terminating(&status) => Ok(()),
            Err(status) if status.is(Reason::ALREADY_EXISTS) => self.note_existing(cron_job, &name, plan),
            Err(status) => {
                let message = format!("Error creating job: {status}");
                self.events.tell(cron_job, Kind::Warning, "FailedCreate", &message).await;
                Err(status)
            }
        }
    }

    /// The job is there already: one that was made before a crash is noted, one of somebody else is theirs.
    fn note_existing(&self, cron_job: &mut Value, name: &str, plan: &Plan) -> Result<(), Status> {
        let job = self.client.get(&job_resource(), meta::namespace(cron_job), name)?.parse();
        let is_own = meta::controller_of(&job).is_some_and(|owner| owner["uid"] == meta::uid(cron_job));
        if let (true, false, Some(at)) = (is_own, plan::is_active(cron_job, meta::uid(&job)), plan.start) {
            plan::note_start(cron_job, &job, at);
        }
        Ok(())
    }

    async fn sync(&self, mut cron_job: Value) -> Result<Next, Status> {
        if cron_job["status"].is_null() {
            cron_job["status"] = json!({});
        }
        let before = cron_job["status"].clone();
        let jobs = self.jobs(&cron_job)?;
        for job in plan::surplus(&cron_job, &jobs) {
            self.delete(&mut cron_job, meta::name(job), meta::uid(job)).await;
        }
        let told = plan::observe(&mut cron_job, &jobs);
        for tell in &told {
            self.tell(&cron_job, tell).await;
        }
        self.forget_missing(&mut cron_job, &jobs).await?;
        let plan = plan::of(&cron_job, self.env.now());
        for tell in &plan.tell {
            self.tell(&cron_job, tell).await;
        }
        let done = self.carry_out(&mut cron_job, &plan).await;
        if cron_job["status"] != before {
            let namespace = meta::namespace(&cron_job).to_owned();
            self.client.update_subresource(&resource(), "status", &namespace, cron_job).await?;
        }
        done?;
        Ok(plan.again.map_or(Next::Done, Next::After))
    }
}

fn active(cron_job: &Value) -> Vec<Value> {
    cron_job["status"]["active"].as_array().cloned().unwrap_or_default()
}

fn text<'a>(reference: &'a Value, field: &str) -> &'a str {
    reference[field].as_str().unwrap_or_default()
}

impl Reconciler for CronJobs {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(cron_job) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        match self.sync(cron_job.parse()).await {
            Err(status) if status.is(Reason::NOT_FOUND) => Ok(Next::Done),
            result => Ok(result?),
        }
    }
}

//! Waiting for a tenant: what has happened so far, and what it hangs on. Everything is followed, nothing is polled.

use crate::commands::findings::{self, Finding};
use crate::commands::session::is_outside;
use crate::host::{Change, Host, Only, kind};
use crate::output::Progress;
use crate::tenants;
use alcove_object::{condition, meta};
use alcove_operator::provision::SERVED_BY;
use alcove_schema::decode::yaml_tree;
use futures_util::StreamExt;
use futures_util::stream::select_all;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a start may hang on something before that is told.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// Its process serves: a forwarded port leads to it.
    Serving,
    /// The host has seen that it serves, so its Service leads there as well.
    #[default]
    Ready,
}

/// What is known of a tenant that comes up.
#[derive(Default)]
pub struct Standing {
    /// Its name.
    name: String,
    until: Until,
    /// The UID of the pod that is on its way out, which does not count.
    old_pod: String,
    /// Whether it should have an address outside the host.
    exposed: bool,
    set: Value,
    claim: Option<Value>,
    pod: Option<Value>,
    secret: Option<Value>,
    events: BTreeMap<String, Value>,
    told: Vec<String>,
    last: Option<Finding>,
    told_trouble: Option<Finding>,
    failure: Option<String>,
}

impl Standing {
    /// Nothing has happened yet. `set`: the StatefulSet as it was written; `old_pod`: the UID of the pod to be replaced.
    pub fn new(set: Value, old_pod: &str, exposed: bool) -> Standing {
        let name = meta::name(&set).to_owned();
        Standing { name, set, old_pod: old_pod.to_owned(), exposed, ..Standing::default() }
    }

    /// The same, but only until a forwarded port can lead there. One with an address of its own has to be ready.
    pub fn until(mut self, until: Until) -> Standing {
        self.until = if self.exposed { Until::Ready } else { until };
        self
    }

    /// Takes a change in.
    pub fn see(&mut self, change: Change) {
        let is_gone = matches!(change, Change::Went(..));
        match change {
            Change::Is(kind, object) | Change::Went(kind, object) => {
                let state = (!is_gone).then(|| object.clone());
                match kind.as_str() {
                    "StatefulSet" if !is_gone => self.set = object,
                    "Pod" => self.pod = state.filter(|pod| meta::uid(pod) != self.old_pod),
                    "PersistentVolumeClaim" => self.claim = state,
                    "Secret" => self.secret = state,
                    "Event" if !is_gone => {
                        self.events.insert(meta::uid(&object).to_owned(), object);
                    }
                    _ => {}
                }
                self.failure = None;
            }
            Change::Known(_) => self.failure = None,
            Change::Anew(_) => {}
            Change::Failed(why) => self.failure = Some(why),
        }
    }

    /// Whether what is waited for has come.
    pub fn is_ready(&self) -> bool {
        let stands = self.pod_is_ready() || self.until == Until::Serving && self.pod_serves();
        stands && self.server().is_some_and(|server| !self.exposed || is_outside(&server))
    }

    /// Whether the pod has said itself that it serves. The kubelet tells up to two seconds later.
    fn pod_serves(&self) -> bool {
        let said = self.secret.as_ref().and_then(|secret| meta::annotation(secret, SERVED_BY));
        said.is_some() && said == self.pod.as_ref().map(meta::uid)
    }

    fn pod_is_ready(&self) -> bool {
        let ready = self.pod.as_ref().and_then(|pod| condition::find(pod, "Ready"));
        ready.is_some_and(|ready| ready["status"] == "True")
    }

    fn server(&self) -> Option<String> {
        let text = tenants::secret_text(self.secret.as_ref()?, "value")?;
        let tree = yaml_tree(&text).ok()?;
        Some(tree.pointer("/clusters/0/cluster/server")?.as_str()?.to_owned())
    }

    /// All steps that are done, in order.
    fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        let claim = self.claim.as_ref().filter(|claim| claim["status"]["phase"] == "Bound");
        steps.extend(claim.map(|claim| format!("claim {} is bound", meta::name(claim))));
        if let Some(pod) = &self.pod {
            let name = meta::name(pod);
            let node = pod.pointer("/spec/nodeName").and_then(Value::as_str);
            steps.extend(node.map(|node| format!("pod {name} is on node {node}")));
            let pulls = self.events.values().find(|event| {
                event["involvedObject"]["uid"] == meta::uid(pod) && event["reason"] == "Pulling"
            });
            steps.extend(pulls.map(|_| format!("pod {name} pulls its image")));
            if self.pod_is_ready() {
                steps.push(format!("pod {name} is ready"));
            }
        }
        if let Some(server) = self.server() {
            steps.push("its kubeconfig is there".to_owned());
            if self.exposed && is_outside(&server) {
                steps.push(format!("it is reached at {server}"));
            }
        }
        steps
    }

    /// What keeps it, as far as the host tells.
    pub fn trouble(&self) -> Option<Finding> {
        let events: Vec<Value> = self.events.values().cloned().collect();
        let claim = self.claim.as_ref().and_then(|claim| findings::of_claim(claim, &events));
        let pod = self.pod.as_ref().and_then(|pod| findings::of_control_plane(pod, &events));
        let set = self.pod.is_none().then(|| findings::of_set(&self.set, &events)).flatten();
        claim.or(pod).or(set)
    }

    /// Tells what is new.
    fn tell(&mut self, progress: &Progress) {
        for step in self.steps() {
            if !self.told.contains(&step) {
                progress.done(&step);
                self.told.push(step);
            }
        }
    }

    /// Tells what it hangs on, if it has hung on the same for the whole time since this was asked last.
    fn tell_trouble(&mut self, progress: &Progress) {
        let trouble = self.trouble();
        if let Some(found) = &trouble
            && trouble == self.last
            && trouble != self.told_trouble
        {
            progress.note(&format!("waiting: {}: {}", found.place, found.what));
            progress.note(&format!("         {}", found.advice));
            self.told_trouble.clone_from(&trouble);
        }
        self.last = trouble;
    }

    /// Why it is not ready, when there is no more time.
    fn verdict(&self) -> (String, String) {
        // What was known of a host that does not answer any more is old.
        if let Some(failure) = &self.failure {
            return (
                format!("the host does not answer: {failure}"),
                "check that the host cluster runs".into(),
            );
        }
        if let Some(found) = self.trouble() {
            return (format!("{}: {}", found.place, found.what), found.advice);
        }
        let patience = "Give it more time with --timeout.".to_owned();
        if self.pod.is_none() {
            return (
                "the host has made no pod for it".into(),
                "See the events of its StatefulSet; the host's controller manager may be down.".into(),
            );
        }
        if !self.pod_is_ready() {
            return (format!("its pod {} runs but is not ready", tenants::pod(&self.name)), patience);
        }
        match self.server() {
            None => ("it serves, but has written no kubeconfig".into(), format!("Its log says why: kubectl logs {}", tenants::pod(&self.name))),
            Some(_) => ("the host gives it no address outside".into(), "The host needs a load balancer for expose.type=LoadBalancer; without one, leave --expose out.".into()),
        }
    }
}

/// Waits until a tenant is ready and tells how far it is. The error says why it is not, and what to do.
pub async fn ready(
    host: &Host,
    namespace: &str,
    mut standing: Standing,
    timeout: Duration,
    progress: &Progress,
) -> Result<(), crate::commands::Error> {
    let name = standing.name.clone();
    let only = Only::Named;
    let mut watched = vec![
        host.follow(&kind("v1", "Pod"), namespace, &only(tenants::pod(&name))).boxed(),
        host.follow(&kind("v1", "Secret"), namespace, &only(tenants::kubeconfig_secret(&name))).boxed(),
        host.follow(&kind("v1", "Event"), namespace, &Only::All).boxed(),
    ];
    if let Some(claim) = tenants::claim(&standing.set) {
        watched.push(host.follow(&kind("v1", "PersistentVolumeClaim"), namespace, &only(claim)).boxed());
    }
    let mut changes = select_all(watched);
    let waiting = async {
        // Most of what a start hangs on is over in a moment, and nobody needs to read of it.
        let mut beat = tokio::time::interval(PATIENCE);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => standing.see(change),
                    None => return,
                },
                _ = beat.tick() => standing.tell_trouble(progress),
            }
            standing.tell(progress);
            if standing.is_ready() {
                return;
            }
        }
    };
    if tokio::time::timeout(timeout, waiting).await.is_ok() {
        return Ok(());
    }
    let (why, advice) = standing.verdict();
    let why = match why.contains("again and again") {
        true => format!("{why}{}", last_words(host, namespace, &name).await),
        false => why,
    };
    Err(crate::commands::Error::NotReady { name, seconds: timeout.as_secs(), why, advice })
}

/// The last line that a process wrote before it ended.
pub async fn last_words(host: &Host, namespace: &str, name: &str) -> String {
    let pod = tenants::pod(name);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?previous=true&tailLines=1");
    match host.text(&path).await {
        Ok(text) if !text.trim().is_empty() => format!("; its last words: {}", text.trim()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine};
    use serde_json::json;

    fn is(object: Value) -> Change {
        Change::Is(object["kind"].as_str().unwrap().to_owned(), object)
    }

    fn pod(uid: &str, ready: &str) -> Value {
        json!({ "kind": "Pod", "metadata": { "name": "red-0", "uid": uid }, "spec": { "nodeName": "one" },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] } })
    }

    fn secret(server: &str) -> Value {
        let text = format!("clusters: [{{name: red, cluster: {{server: '{server}'}}}}]");
        json!({ "kind": "Secret", "data": { "value": BASE64_STANDARD.encode(text) } })
    }

    fn set() -> Value {
        json!({ "metadata": { "name": "red", "uid": "s" } })
    }

    #[test]
    fn it_is_ready_with_pod_and_kubeconfig() {
        let mut standing = Standing::new(set(), "old", false);
        standing.see(is(pod("old", "True")));
        standing.see(is(secret("https://red.red.svc")));
        assert!(!standing.is_ready(), "the old pod does not count");
        standing.see(is(pod("new", "False")));
        assert!(!standing.is_ready());
        standing.see(is(pod("new", "True")));
        assert!(standing.is_ready());
        assert_eq!(
            standing.steps(),
            ["pod red-0 is on node one", "pod red-0 is ready", "its kubeconfig is there"]
        );
    }

    #[test]
    fn a_pod_that_serves_is_enough_for_who_forwards_a_port() {
        let serving = |uid: &str| {
            let mut secret = secret("https://red.red.svc");
            secret["metadata"] = json!({ "annotations": { SERVED_BY: uid } });
            secret
        };
        let mut standing = Standing::new(set(), "", false).until(Until::Serving);
        standing.see(is(serving("earlier")));
        standing.see(is(pod("p", "False")));
        assert!(!standing.is_ready(), "an earlier pod wrote it");
        standing.see(is(serving("p")));
        assert!(standing.is_ready());
        standing.until = Until::Ready;
        assert!(!standing.is_ready());
        let exposed = Standing::new(set(), "", true).until(Until::Serving);
        assert_eq!(exposed.until, Until::Ready);
    }

    #[test]
    fn one_that_is_exposed_is_ready_with_its_address() {
        let mut standing = Standing::new(set(), "", true);
        standing.see(is(pod("p", "True")));
        standing.see(is(secret("https://red.red.svc")));
        assert!(!standing.is_ready());
        assert!(standing.verdict().1.contains("load balancer"));
        standing.see(is(secret("https://192.0.2.7")));
        assert!(standing.is_ready());
    }

    #[test]
    fn what_it_hangs_on_is_told() {
        let mut standing = Standing::new(set(), "", false);
        assert!(standing.verdict().0.contains("no pod"));
        standing.see(is(
            json!({ "kind": "Event", "type": "Warning", "reason": "FailedCreate", "metadata": { "uid": "e" },
            "message": "exceeded quota: x", "involvedObject": { "uid": "s" } }),
        ));
        assert!(standing.verdict().0.contains("quota"));
        standing.see(is(pod("p", "False")));
        assert!(standing.verdict().0.contains("not ready"));
        standing.see(Change::Failed("connection refused".into()));
        assert!(standing.verdict().0.contains("connection refused"));
    }
}

//! Takes old events away: they are news, and nobody else deletes them (kube-apiserver's --event-ttl).

use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::options::DeleteOptions;
use alcove_apiserver::{Client, Object};
use alcove_object::{Env, Gvr, Reason, time};
use jiff::Timestamp;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// How long an event is kept after its last change: upstream's default.
const EVENT_LIFE: Duration = Duration::from_secs(3_600);

/// Deletes events whose time is over.
pub struct EventExpiry {
    client: Client,
    env: Arc<dyn Env>,
}

impl EventExpiry {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> EventExpiry {
        EventExpiry { client, env }
    }

    /// Events. Those of `events.k8s.io` are the same ones.
    pub fn sources() -> Vec<Source> {
        vec![Source::new(resource(), runtime::by_key())]
    }
}

fn resource() -> Gvr {
    Gvr::new("", "v1", "events")
}

/// What is read of an event: only times that the server wrote, since clients may write anything.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    creation_timestamp: String,
    managed_fields: Vec<Write>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Write {
    time: String,
}

impl Metadata {
    fn of(event: &Object) -> Metadata {
        serde_json::from_slice::<Event>(&event.bytes).unwrap_or_default().metadata
    }

    /// How much of its time an event has left.
    fn left(&self, now: Timestamp) -> Duration {
        let writes = self.managed_fields.iter().map(|write| &write.time);
        let times = writes.chain([&self.creation_timestamp]).filter_map(|text| time::parse(text));
        let age =
            times.max().map_or(EVENT_LIFE, |last| now.duration_since(last).try_into().unwrap_or_default());
        EVENT_LIFE.saturating_sub(age)
    }
}

impl Reconciler for EventExpiry {
    fn name(&self) -> &'static str {
        "event-ttl-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (namespace, name) = runtime::split(key);
        let Some(event) = self.client.find(&resource(), namespace, name)? else { return Ok(Next::Done) };
        let event = Metadata::of(&event);
        let left = event.left(self.env.now());
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        let options = DeleteOptions { uid: Some(event.uid), ..DeleteOptions::default() };
        match self.client.delete(&resource(), namespace, name, &options).await {
            Err(status) if !status.is(Reason::NOT_FOUND) => Err(status.into()),
            _ => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alcove_apiserver::testing::{self, TestEnv};
    use alcove_apiserver::{User, kinds};
    use alcove_schema::Minor;
    use serde_json::json;

    #[tokio::test]
    async fn an_event_goes_an_hour_after_its_last_change_whatever_it_says() {
        let env = Arc::new(TestEnv::new(1));
        let server = testing::server(kinds::resources(Minor::DEFAULT), env.clone());
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let expiry = EventExpiry::new(client.clone(), env.clone());
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" },
            "involvedObject": { "kind": "Pod", "namespace": "default", "name": "p" },
            "lastTimestamp": "9999-01-01T00:00:00Z",
        });
        client.create(&resource(), "default", event).await.unwrap();
        let key: Key = "default/e".into();
        env.advance(3000);
        assert_eq!(expiry.reconcile(&key).await.unwrap(), Next::After(Duration::from_secs(600)));

        let mut event = client.get(&resource(), "default", "e").unwrap().parse();
        event["count"] = 2.into();
        client.update(&resource(), "default", event).await.unwrap();
        env.advance(3599);
        assert_eq!(expiry.reconcile(&key).await.unwrap(), Next::After(Duration::from_secs(1)));
        env.advance(1);
        assert_eq!(expiry.reconcile(&key).await.unwrap(), Next::Done);
        assert!(client.get(&resource(), "default", "e").is_err_and(|s| s.is(Reason::NOT_FOUND)));
    }
}

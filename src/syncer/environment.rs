//! Keeps the service variables of namespaces on the host while pods there use them. A pod comes to the host only after
//! its variables are those of now; a service that changes later is written a little after, together with others that
//! change, since running containers do not see it anyway.

use crate::derived::VARIABLES;
use crate::engine::Syncer;
use crate::error::Error;
use crate::translate::{self, KUBERNETES};
use crate::uses::used;
use alcove_apiserver::Object;
use alcove_apiserver::options::ListOptions;
use alcove_controllers::events::Kind;
use alcove_controllers::runtime::{Key, Next, split};
use alcove_object::{Gvr, Status, Value, meta};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// What keys of service variables begin with: `environment|namespace`, or `environment|` for `kubernetes` alone.
pub const ENVIRONMENT: &str = "environment";
/// How long a changed service waits for others before variables are written anew.
const CHANGE_DELAY: Duration = Duration::from_secs(1);

/// What variables were last written from, by scope: how many services, and their newest revision.
#[derive(Debug, Default)]
pub struct Environments(Mutex<HashMap<String, Source>>);

type Source = (usize, u64);

fn source(services: &[Object]) -> Source {
    (services.len(), services.iter().map(|service| service.revision).max().unwrap_or_default())
}

impl Syncer {
    /// The services that containers of a scope are told of, without reading them.
    fn services_of(&self, scope: &str) -> Result<Vec<Object>, Status> {
        let services = Gvr::new("", "v1", "services");
        let mut found = match scope {
            "" => Vec::new(),
            namespace => self.client.list(&services, namespace, &ListOptions::default())?.items,
        };
        let (namespace, name) = KUBERNETES;
        // A namespace's own service of this name goes before.
        if !found.iter().any(|service| service.name() == name) {
            found.extend(self.client.find(&services, namespace, name)?);
        }
        Ok(found)
    }

    /// Whether the host has the variables of now.
    pub fn has_variables(&self, scope: &str) -> Result<bool, Status> {
        let name = translate::environment_name(&self.tenant, scope);
        let stands = self.derived.get(&VARIABLES, &name).is_some_and(|held| held.mark.is_some());
        Ok(stands && self.environments.0.lock().get(scope) == Some(&source(&self.services_of(scope)?)))
    }

    /// A service came, changed or went.
    pub fn service_moved(&self, service: &Key) {
        let (namespace, name) = split(service);
        let scopes = match (namespace, name) {
            KUBERNETES => self.environments.0.lock().keys().cloned().collect(),
            _ => vec![namespace.to_owned()],
        };
        for key in scopes.iter().map(|scope| used(ENVIRONMENT, "", scope)) {
            if self.uses.is_used(&key) {
                self.queue.add_after(key, CHANGE_DELAY);
            }
        }
    }

    /// The variables of one scope.
    pub async fn sync_environment(&self, key: &Key, scope: &str) -> Result<Next, Error> {
        if !self.features.is_answered(VARIABLES.feature) {
            return Ok(Next::Done);
        }
        if !self.uses.is_used(key) {
            self.environments.0.lock().remove(scope);
            let name = translate::environment_name(&self.tenant, scope);
            self.drop_derived(&VARIABLES, &name).await?;
            return Ok(Next::Done);
        }
        let objects = self.services_of(scope)?;
        let made_from = source(&objects);
        let services: Vec<Value> = objects.iter().map(Object::parse).collect();
        let (wanted, left_out) = translate::environment(&self.tenant, scope, &services);
        let known = self.derived.get(&VARIABLES, meta::name(&wanted)).and_then(|held| held.mark);
        if known.as_deref() != meta::annotation(&wanted, translate::DIGEST) {
            self.put_derived(&VARIABLES, wanted).await?;
            self.tell_left_out(scope, &left_out).await;
        }
        self.environments.0.lock().insert(scope.to_owned(), made_from);
        self.uses.woken(key).into_iter().for_each(|pod| self.queue.add(pod));
        Ok(Next::Done)
    }

    async fn tell_left_out(&self, namespace: &str, services: &[String]) {
        let Some(first) = services.first() else { return };
        let Ok(namespace) = self.client.get(&Gvr::new("", "v1", "namespaces"), "", namespace) else { return };
        let message = format!(
            "Containers are not told of {} services from {first} on in their environment: there are too many; use DNS, or \
             enableServiceLinks: false",
            services.len()
        );
        self.events.tell(&namespace.parse(), Kind::Warning, "ServiceVariablesCut", &message).await;
    }
}

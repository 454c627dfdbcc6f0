//! What the host lets its tenants do: what the chart's roles grant and no more, but for what a test takes away. So every
//! test of the syncer is one of those roles, too.

use super::host::NAMESPACE;
use alcove_apiserver::User;
use alcove_apiserver::authorization::{Action, Authorizer};
use alcove_operator::provision::{GRANTS, Scope};
use parking_lot::Mutex;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Rights {
    denied: Mutex<Option<String>>,
    unwritable: Mutex<Option<String>>,
    asked: Mutex<BTreeMap<String, usize>>,
}

impl Rights {
    /// How often tenants asked for this, such as `patch pods/status`.
    pub fn asked(&self, what: &str) -> usize {
        self.asked.lock().get(what).copied().unwrap_or(0)
    }

    pub fn deny(&self, resource: Option<&str>) {
        *self.denied.lock() = resource.map(str::to_owned);
    }

    pub fn deny_writes(&self, resource: Option<&str>) {
        *self.unwritable.lock() = resource.map(str::to_owned);
    }
}

impl Authorizer for Rights {
    fn authorize(&self, user: &User, action: &Action<'_>) -> Result<(), String> {
        if !user.name.starts_with("kubernetes-admin") || !action.is_resource {
            return Ok(());
        }
        let is_read = matches!(action.verb, "list" | "watch");
        if self.denied.lock().as_deref().is_some_and(|denied| is_read && action.resource == denied) {
            return Err(String::new());
        }
        if self.unwritable.lock().as_deref().is_some_and(|denied| !is_read && action.resource == denied) {
            return Err(String::new());
        }
        let resource = match action.subresource {
            "" => action.resource.to_owned(),
            subresource => format!("{}/{subresource}", action.resource),
        };
        *self.asked.lock().entry(format!("{} {resource}", action.verb)).or_default() += 1;
        let scope = if action.namespace == NAMESPACE { Scope::Namespace } else { Scope::Cluster };
        let granted = GRANTS
            .iter()
            .any(|grant| grant.scope == scope && grant.covers(action.group, &resource, action.verb));
        let (group, verb) = (action.group, action.verb);
        granted.then_some(()).ok_or_else(|| format!("no role of the chart grants {verb} {group}/{resource}"))
    }
}

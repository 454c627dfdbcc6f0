//! One webhook of a configuration, read once: where it is, what it wants to see, and what holds when it cannot be asked.

use super::unjudged;
use crate::admission::Attributes;
use crate::admission::conditions::Conditions;
use crate::admission::matching::{Constraints, Match};
use crate::admission::seen::Seen;
use crate::outbound::ResolveService;
use crate::webhook::Webhook;
use alcove_object::{Status, Value, meta};
use alcove_store::Store;
use std::sync::Arc;
use std::time::Duration;

/// How long a webhook has when it does not say.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A webhook.
pub(super) struct Hook {
    pub name: String,
    /// What tells it from those of other configurations.
    pub key: String,
    pub client: Result<Webhook, String>,
    pub constraints: Constraints,
    pub conditions: Conditions,
    pub fails_closed: bool,
    pub takes_dry_runs: bool,
    pub wants_again: bool,
    pub timeout: Duration,
}

/// The webhooks of a configuration.
pub(super) fn read(configuration: &Value, services: &Arc<dyn ResolveService>) -> Vec<Hook> {
    let hooks = configuration["webhooks"].as_array().into_iter().flatten();
    let of = meta::name(configuration);
    hooks.map(|hook| one(of, hook, services)).collect()
}

fn one(configuration: &str, hook: &Value, services: &Arc<dyn ResolveService>) -> Hook {
    let text = |field: &str| hook[field].as_str().unwrap_or_default();
    let timeout = hook["timeoutSeconds"].as_u64().filter(|seconds| *seconds > 0).map(Duration::from_secs);
    Hook {
        name: text("name").to_owned(),
        key: format!("{configuration}/{}", text("name")),
        client: Webhook::read(&hook["clientConfig"], services),
        constraints: Constraints::read(hook),
        conditions: Conditions::read(&hook["matchConditions"], false),
        fails_closed: text("failurePolicy") != "Ignore",
        takes_dry_runs: matches!(text("sideEffects"), "None" | "NoneOnDryRun"),
        wants_again: text("reinvocationPolicy") == "IfNeeded",
        timeout: timeout.unwrap_or(TIMEOUT),
    }
}

impl Hook {
    /// What of the request the webhook is to see; `None`: nothing. Fails if that cannot be told and nothing may pass.
    pub fn concerns(&self, attributes: &Attributes<'_>, store: &Store) -> Result<Option<Match>, Status> {
        let Some(found) = self.constraints.find(attributes, store) else { return Ok(None) };
        match self.holds(attributes, &found) {
            Ok(true) => Ok(Some(found)),
            Ok(false) => Ok(None),
            Err(why) if self.fails_closed => Err(unjudged(self, &why)),
            Err(_) => Ok(None),
        }
    }

    fn holds(&self, attributes: &Attributes<'_>, found: &Match) -> Result<bool, String> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        self.conditions.hold(&Seen::new(attributes, found).variables(&Value::Null))
    }
}

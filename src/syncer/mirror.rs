//! What the host has for the whole cluster and the tenant is shown: its object is applied to the tenant under our field
//! manager, so that a tenant's edit or deletion is put back, and goes when the host's goes.

use crate::engine::Syncer;
use crate::error::Error;
use crate::host::{Applied, FIELD_MANAGER, digest};
use crate::host_object::HostObject;
use crate::rules::Rule;
use crate::translate::{Context, MIRROR};
use alcove_apiserver::options::{DeleteOptions, PatchType, WriteOptions};
use alcove_controllers::runtime::Next;
use alcove_object::tree::at;
use alcove_object::{Gvr, Reason, Status, Value, meta, settled};

type Mirror = fn(&Context<'_>, &Value) -> Option<Value>;

impl Syncer {
    /// A host object that the tenant is shown under this name.
    pub async fn sync_up(&self, rule: &'static Rule, mirror: Mirror, name: &str) -> Result<Next, Error> {
        let current = self.tenant_object(rule, "", name)?;
        let Some(host_name) = self.host.name_of(rule, name) else {
            if let Some(current) = current.filter(|object| meta::label(object, MIRROR).is_some()) {
                self.remove_mirror(&rule.gvr(), &current).await?;
            }
            return Ok(Next::Done);
        };
        let seen = self.host.take_any_seen(rule, &host_name);
        let applied = self.host.facts(rule, &host_name).and_then(|facts| facts.applied);
        let is_intact = current.as_ref().zip(applied).is_some_and(|(c, a)| owned_fields(c) == a.owned);
        let host = match seen {
            Some(host) => host,
            None if is_intact => return Ok(Next::Done),
            None => {
                let api = self.api(rule);
                let found = self.ask(api.get_opt(&host_name)).await?;
                let Some(host) = found.map(HostObject::into_tree) else { return Ok(Next::Done) };
                host
            }
        };
        let Some(wanted) = mirror(&self.context(), &host) else { return Ok(Next::Done) };
        let sent = digest(&wanted);
        if is_intact && applied.is_some_and(|applied| applied.sent == sent) {
            return Ok(Next::Done);
        }
        let written = self.apply_mirror(rule, wanted).await?;
        self.host.note_applied(rule, &host_name, Applied { sent, owned: owned_fields(&written) });
        Ok(Next::Done)
    }

    async fn apply_mirror(&self, rule: &Rule, wanted: Value) -> Result<Value, Status> {
        let gvr = rule.gvr();
        let mut applied = self.apply_part(&gvr, "", wanted.clone()).await;
        // What cannot be changed is made again.
        if applied.as_ref().is_err_and(|status| status.is(Reason::INVALID))
            && let Some(current) = self.tenant_object(rule, "", meta::name(&wanted))?
        {
            self.remove_mirror(&gvr, &current).await?;
            applied = self.apply_part(&gvr, "", wanted.clone()).await;
        }
        let applied = applied?;
        match wanted.get("status") {
            Some(_) => self.apply_part(&gvr, "status", wanted).await,
            None => Ok(applied),
        }
    }

    /// Applies our fields of a tenant's object that belongs to no namespace.
    pub async fn apply_part(&self, gvr: &Gvr, subresource: &str, wanted: Value) -> Result<Value, Status> {
        let options =
            WriteOptions { force: true, field_manager: FIELD_MANAGER.into(), ..WriteOptions::default() };
        let name = meta::name(&wanted).to_owned();
        let kind = PatchType::Apply;
        let applied = self.client.patch(gvr, subresource, "", &name, kind, wanted, &options).await?;
        Ok(applied.parse())
    }

    /// Deletes a tenant's object that we made.
    pub async fn remove_mirror(&self, gvr: &Gvr, object: &Value) -> Result<(), Status> {
        let options = DeleteOptions::of(object);
        let gone = self.client.delete(gvr, "", meta::name(object), &options).await;
        settled(gone, &[Reason::NOT_FOUND, Reason::CONFLICT])
    }
}

/// A digest of the fields of a tenant's object that its `managedFields` say were applied by us and are still ours.
fn owned_fields(object: &Value) -> u64 {
    let entries = at(object, "/metadata/managedFields").and_then(Value::as_array);
    let ours = entries.into_iter().flatten().find(|entry| {
        let is =
            |field: &str, text: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default() == text;
        is("manager", FIELD_MANAGER) && is("operation", "Apply") && is("subresource", "")
    });
    digest(ours.and_then(|entry| entry.get("fieldsV1")).unwrap_or(&Value::Null))
}

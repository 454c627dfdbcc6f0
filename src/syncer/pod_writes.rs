//! Writes of pods to the host. A pod is made once, whole; afterwards most of it stands, so what is on the host is read
//! first, and only what may change is written, each part by the way that the API has for it.

use crate::engine::Syncer;
use crate::error::Error;
use crate::host::{FIELD_MANAGER, Facts, digest};
use crate::host_object::{HostObject, Told};
use crate::rules::Rule;
use crate::translate::{self, Amended};
use crate::write::{ONLY_CREATE, applying};
use alcove_object::{Value, meta};
use kube::api::{Patch, PatchParams};

impl Syncer {
    /// Makes a pod on the host.
    pub async fn make_pod(&self, rule: &'static Rule, wanted: Value) -> Result<(), Error> {
        let sent = digest(&wanted);
        let mut pod = translate::without_ephemeral(wanted);
        meta::set(&mut pod, "resourceVersion", ONLY_CREATE);
        let name = meta::name(&pod);
        self.host.begin_making(rule, name);
        let made = self.ask(self.make(&rule.host_resource(), &applying(), &pod)).await;
        if let Ok(made) = &made {
            self.answered(rule, &made.read(), sent);
        }
        let revision = made.as_ref().ok().map(HostObject::revision);
        self.host.end_making(rule, name, revision).into_iter().for_each(|key| self.queue.add(key));
        made.map(drop)
    }

    /// Changes on the host what may change of a pod, unless it stands. Gives the host's pod if it is not
    /// as its watch told it.
    pub async fn amend_pod(
        &self,
        rule: &'static Rule,
        wanted: Value,
        pod: &Value,
        host_name: &str,
        facts: &Facts,
    ) -> Result<Option<Value>, Error> {
        let sent = digest(&wanted);
        if facts.is_intact(sent) || facts.is_deleting {
            return Ok(None);
        }
        let api = self.api(rule);
        let Some(host) = self.ask(api.get_opt(host_name)).await?.map(|found| found.read()) else {
            self.host_object_gone(rule, host_name, &facts.uid);
            return Ok(None);
        };
        if meta::uid(&host.object) != facts.uid {
            // Another one took its place: its watch tells.
            return Ok(None);
        }
        let changes = amended(&host, &wanted, meta::generation(pod) > 1);
        let is_written = changes != Amended::default();
        let (mut newest, mut rest) = (host, changes.pod);
        for (part, patch) in [("ephemeralcontainers", changes.ephemeral), ("resize", changes.resize)] {
            let Some(mut patch) = patch else { continue };
            meta::set(&mut patch, "uid", facts.uid.clone());
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patched =
                self.ask(api.patch_subresource(part, host_name, &params, &Patch::Strategic(&patch))).await?;
            newest = patched.read();
            // What was applied once and went another way now is no longer ours to apply.
            rest = amended(&newest, &wanted, false).pod;
        }
        if let Some(mut changed) = rest {
            meta::set(&mut changed, "uid", facts.uid.clone());
            let params = applying().force();
            let applied = self.ask(api.patch(host_name, &params, &Patch::Apply(&changed))).await?;
            newest = applied.read();
        }
        self.answered(rule, &newest, sent);
        // What was read may say more than its watch has told, and the watch will not tell it again.
        let is_news = is_written || meta::revision(&newest.object) > facts.revision;
        Ok(is_news.then_some(newest.object))
    }
}

fn amended(host: &Told, wanted: &Value, was_changed: bool) -> Amended {
    let fields = serde_json::from_str(&host.fields).unwrap_or_default();
    translate::amended(&fields, &host.object, wanted, was_changed)
}

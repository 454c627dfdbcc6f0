//! update: the loop that every change of a stored object goes through, whatever asks for it: read, change, check,
//! write if nobody else wrote, else again (k8s.io/apiserver/pkg/registry/generic/registry/store.go: Update).

use super::patch::Patch;
use super::scale::{self, Rescale};
use super::settled::Settled;
use super::write::{Write, drop_double_owners};
use super::{Answered, Body, Caller, Target, metadata, stored, validate};
use crate::errors;
use crate::options::{PatchType, WriteOptions};
use crate::registry::{Context, Deletion, SubresourceKind};
use crate::request::Verb;
use crate::server::ApiServer;
use alcove_object::field::{Error, Path};
use alcove_object::{Status, Value, meta};
use alcove_schema::apply;
use alcove_store::{CommitError, Entry, Op};
use std::sync::Arc;

/// How a stored object is to be changed.
pub(super) enum Change<'a> {
    /// By this object.
    Replace(Value),
    /// By a patch of the object.
    Patch(Patch<'a>),
    /// By a change of its Scale.
    Scale(Rescale<'a>),
    /// By the server itself, on behalf of a subresource such as `binding`.
    Edit(&'a (dyn Fn(&mut Value) -> Result<(), Status> + Send + Sync)),
}

impl Change<'_> {
    fn is_apply(&self) -> bool {
        matches!(self, Change::Patch(patch) if patch.is_apply())
    }

    /// Whether the change itself wrote down who changed what.
    fn is_tracked(&self) -> bool {
        match self {
            Change::Patch(_) => self.is_apply(),
            // What the server itself does for a subresource, nobody manages.
            Change::Scale(_) | Change::Edit(_) => true,
            Change::Replace(_) => false,
        }
    }
}

/// Which part of the object a change may touch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything but status.
    Main,
    /// Status alone.
    Status,
    /// What the strategy says about this subresource.
    Named(&'static str),
    /// What the server's own edit changed: it knows what it does.
    Any,
    /// The same, with a status that somebody else wrote.
    AnyWithStatus,
}

impl ApiServer {
    /// Replaces an object or a subresource of it.
    pub async fn update(
        &self,
        caller: &Caller,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> Result<Answered, Status> {
        let mut write = Write::new(self, caller, target, options);
        let mut object = write.decode(body)?;
        let placed = write.place(&mut object).and_then(|()| write.check_name(&object));
        placed.map_err(|status| write.warned(status))?;
        if let Some(SubresourceKind::Scale) = target.subresource().map(|s| s.kind) {
            let scaled = write.scale(Rescale::Replace(object)).await;
            return scaled.map_err(|status| write.warned(status));
        }
        drop_double_owners(&mut object, &mut write.warnings);
        write.complete(&mut object);
        let create = target.subresource.is_none() && target.resource.rules.create_on_update;
        let changed = write.change(write.part(), Change::Replace(object), create).await;
        changed.map_err(|status| write.warned(status))
    }

    /// Patches an object or a subresource of it. The body's encoding is JSON, and for applies JSON or YAML.
    pub async fn patch(
        &self,
        caller: &Caller,
        target: &Target,
        kind: PatchType,
        body: Body,
        options: &WriteOptions,
    ) -> Result<Answered, Status> {
        let mut write = Write::new(self, caller, target, options);
        let patch = Patch::new(kind, &body)?;
        if let Some(SubresourceKind::Scale) = target.subresource().map(|s| s.kind) {
            let scaled = write.scale(Rescale::Patch(patch)).await;
            return scaled.map_err(|status| write.warned(status));
        }
        let create = target.subresource.is_none() && kind == PatchType::Apply;
        let changed = write.change(write.part(), Change::Patch(patch), create).await;
        changed.map_err(|status| write.warned(status))
    }
}

impl Write<'_> {
    fn part(&self) -> Part {
        match self.target.subresource() {
            None => Part::Main,
            Some(sub) if sub.kind == SubresourceKind::Status => Part::Status,
            Some(sub) => Part::Named(sub.name),
        }
    }

    /// Changes the stored object, again and again until nobody else was faster, or creates it where that is allowed.
    pub(super) async fn change(
        &mut self,
        part: Part,
        mut change: Change<'_>,
        create: bool,
    ) -> Result<Answered, Status> {
        let warned = self.warnings.len();
        loop {
            self.warnings.truncate(warned);
            let entry = self.server.store.get(&self.resource().table, &self.target.key());
            let done = match entry {
                Some(entry) => self.change_once(part, &mut change, &entry).await?,
                None if create => self.create_by(&mut change).await?,
                None => return Err(self.not_found()),
            };
            if let Some(answered) = done {
                return Ok(answered);
            }
        }
    }

    /// `None`: somebody else created it first.
    async fn create_by(&mut self, change: &mut Change<'_>) -> Result<Option<Answered>, Status> {
        self.server.authorize(&self.caller.user, &self.target.action(Verb::Create))?;
        let is_apply = matches!(change, Change::Patch(_));
        let mut object = match change {
            Change::Replace(object) => object.clone(),
            Change::Patch(patch) => patch.create(self)?,
            Change::Scale(_) | Change::Edit(_) => return Err(self.not_found()),
        };
        if !meta::uid(&object).is_empty() {
            let uid = meta::uid(&object);
            let why = match is_apply {
                true => {
                    format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    )
                }
                false => format!("Precondition failed: UID in precondition: {uid}, UID in object meta: "),
            };
            return Err(errors::conflict(self.resource(), &self.target.name, &why));
        }
        self.place(&mut object)?;
        self.check_name(&object)?;
        if !is_apply {
            self.track(None, &mut object)?;
        }
        metadata::wipe(&mut object);
        // Whatever version a put or an apply named, there is none to compare with (store.go: Update, creating).
        meta::unset(&mut object, "resourceVersion");
        let created = match self.mutate(Verb::Create, &mut object, None).await {
            Ok(()) => self.create_prepared(&mut object).await,
            Err(status) => Err(status),
        };
        if !matches!(created, Ok(Some(_))) {
            self.withdraw(Verb::Create, &mut object, None);
        }
        created
    }

    /// One turn of the loop. `None`: the object changed meanwhile.
    async fn change_once(
        &mut self,
        part: Part,
        change: &mut Change<'_>,
        entry: &Arc<Entry>,
    ) -> Result<Option<Answered>, Status> {
        let resource = self.resource();
        stored::warm(resource, std::slice::from_ref(entry)).await?;
        let (old, owners) = match self.holds_owners_apart(change).then(|| stored::apart(resource, entry)) {
            Some(Some((old, owners))) => (old, Some(owners)),
            _ => (stored::tree(resource, entry), None),
        };
        self.owners.clear();
        let mut object = self.changed(change, &old, owners)?;
        self.place(&mut object)?;
        self.check_name(&object)?;
        if !change.is_tracked() {
            self.track(Some(&old), &mut object)?;
        }
        let changed = self.admitted(part, change, entry, (&mut object, &old, owners)).await;
        if !matches!(changed, Ok(Some(_))) {
            self.withdraw(Verb::Update, &mut object, Some(&old));
        }
        changed
    }

    /// The rest of a turn, from admission to the store.
    async fn admitted(
        &mut self,
        part: Part,
        change: &Change<'_>,
        entry: &Arc<Entry>,
        (object, old, owners): (&mut Value, &Value, Option<&str>),
    ) -> Result<Option<Answered>, Status> {
        self.mutate(Verb::Update, object, Some(old)).await?;
        let is_exact = self.check_version(change, object, old)?;
        let settled = self.prepare(part, object, old);
        self.check(part, object, old, &settled)?;
        if part == Part::Main {
            self.warnings.extend(self.resource().strategy.warnings(object, Some(old)));
            self.warnings.extend((self.resource().rules.warns)(object, Some(old)));
        }
        self.admit(Verb::Update, object, Some(old)).await?;
        if part == Part::Main {
            self.reserve(Verb::Update, object, Some(old)).await?;
        }
        self.fill(object, &settled);
        match owners {
            Some(before) => {
                let now = std::mem::take(&mut self.owners);
                self.owners = apply::keep_times_apart(old, before, object, now);
            }
            None => apply::keep_times(old, object),
        }
        let is_last = self.ends(object, old);
        self.replace(entry, object, old, is_last, is_exact).await
    }

    /// Whether managed fields stay out of the trees of a change: an apply needs no tree of them, if nobody else does.
    fn holds_owners_apart(&self, change: &Change<'_>) -> bool {
        change.is_apply() && !self.server.admission.iter().any(|step| step.reads_owners())
    }

    /// What the object becomes, before anything is checked. `owners`: its managed fields, if they are held apart.
    fn changed(
        &mut self,
        change: &mut Change<'_>,
        old: &Value,
        owners: Option<&str>,
    ) -> Result<Value, Status> {
        match change {
            Change::Replace(object) => {
                let (given, found) = (meta::uid(object), meta::uid(old));
                if !given.is_empty() && given != found {
                    let why = format!(
                        "Precondition failed: UID in precondition: {given}, UID in object meta: {found}"
                    );
                    return Err(errors::conflict(self.resource(), &self.target.name, &why));
                }
                Ok(object.clone())
            }
            Change::Patch(patch) => patch.apply_to(old, owners, self),
            Change::Scale(how) => self.rescaled(how, old),
            Change::Edit(edit) => {
                let mut object = old.clone();
                edit(&mut object)?;
                Ok(object)
            }
        }
    }

    /// 409 for another resourceVersion than the stored one, 422 for none where one is needed. True: the request named
    /// the version, so losing a race is its failure and not ours.
    fn check_version(&self, change: &Change<'_>, object: &Value, old: &Value) -> Result<bool, Status> {
        let resource = self.resource();
        let given = meta::text(object, "resourceVersion");
        match given {
            // A Scale without a version takes that of the object.
            "" | "0" if resource.rules.unconditional_update || matches!(change, Change::Scale(_)) => {
                Ok(false)
            }
            "" | "0" => {
                let path = Path::new("metadata").child("resourceVersion");
                let wrong = [Error::invalid(&path, 0, "must be specified for an update")];
                let gvr = &resource.gvr;
                Err(Status::invalid(&gvr.group, &gvr.resource, &self.target.name, &wrong))
            }
            _ if given != meta::text(old, "resourceVersion") => {
                Err(errors::conflict(resource, &self.target.name, errors::MODIFIED))
            }
            _ => Ok(matches!(change, Change::Replace(_) | Change::Scale(Rescale::Replace(_)))),
        }
    }

    /// Restores what the change may not touch, and counts. Gives what is as it was then.
    fn prepare(&self, part: Part, object: &mut Value, old: &Value) -> Settled {
        let resource = self.resource();
        meta::set(object, "resourceVersion", meta::text(old, "resourceVersion"));
        metadata::preserve(object, old);
        metadata::keep_generation(object, old);
        let strategy = &resource.strategy;
        match part {
            Part::Main => {
                if resource.subresource("status").is_some() {
                    metadata::carry_field(object, old, "status");
                }
                strategy.prepare_update(&self.context(), object, old);
            }
            Part::Status => {
                keep_all_but_status(object, old);
                metadata::carry_all(object, old, resource.rules.status_resets);
                strategy.prepare_subresource(&self.context(), "status", object, old);
            }
            Part::Named(sub) => strategy.prepare_subresource(&self.context(), sub, object, old),
            Part::Any => {}
            Part::AnyWithStatus => strategy.prepare_subresource(&self.context(), "status", object, old),
        }
        let settled = Settled::of(object, old);
        if matches!(part, Part::Main | Part::Status | Part::Named(_)) {
            self.drop_disabled(object, Some(old), &settled);
        }
        if matches!(part, Part::Main | Part::Named(_)) {
            metadata::next_generation(resource, object, old, &settled);
        }
        settled
    }

    fn check(&self, part: Part, object: &Value, old: &Value, settled: &Settled) -> Result<(), Status> {
        let resource = self.resource();
        let strategy = &resource.strategy;
        let context = Context { has_same_spec: settled.has("spec"), ..self.context() };
        let wrong = match part {
            Part::Any => validate::changed_metadata(resource, object, old),
            Part::Main => {
                let own = strategy.validate_update(&context, object, old);
                validate::changed_object(resource, object, old, own, settled)
            }
            Part::Status => {
                let mut wrong = validate::changed_metadata(resource, object, old);
                wrong.extend(strategy.validate_subresource(&context, "status", object, old));
                wrong
            }
            Part::AnyWithStatus => {
                let mut wrong = validate::changed_metadata(resource, object, old);
                // As if the status came after the edit.
                let mut edited = old.clone();
                metadata::carry_field(&mut edited, object, "spec");
                wrong.extend(strategy.validate_subresource(&context, "status", object, &edited));
                wrong
            }
            Part::Named(sub) => {
                let own = strategy.validate_subresource(&context, sub, object, old);
                validate::changed_object(resource, object, old, own, settled)
            }
        };
        errors::valid(resource, &self.target.name, wrong)
    }

    /// Whether this update takes away the last thing that held an object under deletion.
    fn ends(&self, object: &Value, old: &Value) -> bool {
        let grace = old.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        let is_held = meta::finalizers(object).next().is_some()
            || self.resource().rules.deletion == Deletion::Namespace && has_spec_finalizers(object);
        meta::is_deleting(old) && grace == 0 && !is_held
    }

    /// Writes the object in place of the entry, or takes the entry away. `None`: the entry changed meanwhile.
    async fn replace(
        &mut self,
        entry: &Arc<Entry>,
        object: &mut Value,
        old: &Value,
        is_last: bool,
        is_exact: bool,
    ) -> Result<Option<Answered>, Status> {
        let resource = self.resource();
        if self.options.dry_run || is_last {
            self.join_owners(object);
            let shown = stored::unstored(entry.key.clone(), entry.revision, object);
            if self.options.dry_run {
                return Ok(Some(self.answered(shown, false)));
            }
            let (charges, turns) = self.charges(Verb::Delete, &mut Value::Null, Some(old)).await?;
            let gone = self.commit(entry, None, is_exact, charges).await?;
            drop(turns);
            return Ok(gone.map(|_| self.answered(shown, false)));
        }
        stored::warm_body(resource, object).await?;
        let body = stored::body(&self.registry, resource, object, &self.owners);
        if stored::is_same(entry, &body) {
            return Ok(Some(self.answered(stored::present(resource, entry), false)));
        }
        let (charges, turns) = self.charges(Verb::Update, object, Some(old)).await?;
        let written = self.commit(entry, Some(body), is_exact, charges).await?;
        drop(turns);
        if let Some(entry) = &written {
            stored::warm(resource, std::slice::from_ref(entry)).await?;
        }
        Ok(written.map(|entry| self.answered(stored::present(resource, &entry), false)))
    }

    /// Puts managed fields that were held apart into the tree.
    fn join_owners(&self, object: &mut Value) {
        if !self.owners.is_empty() {
            let owners: Value = serde_json::from_str(&self.owners).expect("owners are written as JSON");
            meta::set(object, "managedFields", owners);
        }
    }

    /// One operation on an entry, and what is stored together with it. `None`: it changed meanwhile and nobody named its
    /// version, or the others changed.
    async fn commit(
        &self,
        entry: &Arc<Entry>,
        put: Option<alcove_store::Body>,
        is_exact: bool,
        charges: Vec<Op>,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let resource = self.resource();
        let op =
            Op { table: resource.table.clone(), key: entry.key.clone(), expect: Some(entry.revision), put };
        let is_charged = !charges.is_empty();
        let ops = std::iter::once(op).chain(charges).collect();
        let is_unchanged = || {
            let found = self.server.store.get(&resource.table, &entry.key);
            found.is_some_and(|found| found.revision == entry.revision)
        };
        match self.server.store.commit(ops).await {
            Ok(entries) => Ok(entries.into_iter().next()),
            Err(CommitError::Conflict { .. }) if !is_exact || is_charged && is_unchanged() => Ok(None),
            Err(error) => Err(errors::commit(resource, &self.target.name, error)),
        }
    }

    async fn scale(&mut self, how: Rescale<'_>) -> Result<Answered, Status> {
        let answered = self.change(Part::Main, Change::Scale(how), false).await?;
        Ok(self.as_scale(answered))
    }

    fn as_scale(&self, mut answered: Answered) -> Answered {
        let scale = scale::of(&answered.object.parse(), &self.resource().scale, self.target.gvk());
        answered.object = stored::unstored(answered.object.key.clone(), answered.object.revision, &scale);
        answered
    }
}

/// What a write to `status` leaves alone: everything but status and the parts of metadata that controllers and
/// kubelets write along with it (labels, annotations, finalizers).
fn keep_all_but_status(object: &mut Value, old: &Value) {
    let fields = object.as_object().into_iter().chain(old.as_object()).flat_map(|map| map.keys().cloned());
    let fields: Vec<String> = fields.filter(|f| !matches!(f.as_str(), "metadata" | "status")).collect();
    for field in fields {
        metadata::carry_field(object, old, &field);
    }
}

fn has_spec_finalizers(object: &Value) -> bool {
    object.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

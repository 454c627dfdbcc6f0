//! delete and deletecollection: at once, or marked until grace and finalizers are over
//! (k8s.io/apiserver/pkg/registry/generic/registry/store.go: Delete, pkg/registry/rest/delete.go: BeforeDelete).

use super::write::Write;
use super::{Caller, Deleted, DeletedAnswer, Target, stored};
use crate::client::{Object, ObjectList};
use crate::errors;
use crate::options::{DeleteOptions, ListOptions, Propagation, WriteOptions};
use crate::registry::Deletion;
use crate::request::Verb;
use crate::server::ApiServer;
use alcove_object::field::{Error, Path};
use alcove_object::status::Details;
use alcove_object::{Reason, Status, Value, meta, time};
use alcove_store::{CommitError, Entry, Op};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Dependents lose their owner before it goes.
const ORPHAN: &str = "orphan";
/// Dependents go before their owner.
const FOREGROUND: &str = "foregroundDeletion";
/// Objects that deletecollection reads at once.
const PAGE: usize = 500;
/// What a delete comes to for an object as it is now.
#[derive(Debug)]
enum Step {
    /// It goes now.
    Remove,
    /// It stays, changed like this.
    Mark(Value),
    /// Its end is under way already; nothing changes.
    Pending,
}

impl ApiServer {
    /// Deletes an object, or starts its end.
    pub async fn delete(
        &self,
        caller: &Caller,
        target: &Target,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        check(options)?;
        let write_options = WriteOptions { dry_run: options.dry_run, ..WriteOptions::default() };
        let mut write = Write::new(self, caller, target, &write_options);
        if options.propagation.is_none() && options.orphan_dependents.is_none() {
            let warning = target.resource.strategy.warning_without_policy();
            write.warnings.extend(warning.map(str::to_owned));
        }
        loop {
            if let Some(deleted) = write.delete_once(options).await? {
                return Ok(deleted);
            }
        }
    }

    /// Deletes what the list options select, one by one, and gives the list as it was.
    pub async fn delete_collection(
        &self,
        caller: &Caller,
        target: &Target,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<ObjectList, Status> {
        check(options)?;
        let mut page_options = list.clone();
        let is_limited = list.limit > 0;
        if !is_limited {
            page_options.limit = PAGE;
        }
        let mut all: Option<ObjectList> = None;
        loop {
            let page = self.list(target, &page_options).await?;
            for object in &page.items {
                let one = Target {
                    resource: target.resource.clone(),
                    subresource: None,
                    namespace: object.namespace().to_owned(),
                    name: object.name().to_owned(),
                };
                match self.delete(caller, &one, options).await {
                    Err(status) if !status.is(Reason::NOT_FOUND) => return Err(status),
                    _ => {}
                }
            }
            let next = page.continue_token.clone();
            match &mut all {
                None => all = Some(page),
                Some(all) => all.items.extend(page.items),
            }
            if is_limited || next.is_empty() {
                break;
            }
            page_options.continue_token = next;
            page_options.resource_version = String::new();
            page_options.version_match = None;
        }
        let mut all = all.ok_or_else(|| Status::internal("no page was read"))?;
        if !is_limited {
            (all.continue_token, all.remaining) = (String::new(), None);
        }
        Ok(all)
    }
}

/// 422 for options that contradict each other.
fn check(options: &DeleteOptions) -> Result<(), Status> {
    if options.propagation.is_none() || options.orphan_dependents.is_none() {
        return Ok(());
    }
    let word = options.propagation.map(propagation_word).unwrap_or_default();
    let path = Path::new("propagationPolicy");
    let wrong = [Error::invalid(&path, word, "orphanDependents and deletionPropagation cannot be both set")];
    Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &wrong))
}

fn propagation_word(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Orphan => "Orphan",
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
    }
}

impl Write<'_> {
    /// One turn. `None`: the object changed meanwhile.
    async fn delete_once(&mut self, options: &DeleteOptions) -> Result<Option<Deleted>, Status> {
        let resource = self.resource();
        let entry =
            self.server.store.get(&resource.table, &self.target.key()).ok_or_else(|| self.not_found())?;
        stored::warm(resource, std::slice::from_ref(&entry)).await?;
        let mut old = stored::tree(resource, &entry);
        self.check_preconditions(options, &old)?;
        self.admit_delete(&mut old).await?;
        let begun = match meta::is_deleting(&old) {
            true => None,
            false => resource.strategy.begin_deletion(&self.context(), &old),
        };
        match self.step(options, begun.as_ref().unwrap_or(&old), begun.is_some()) {
            Step::Pending => Ok(Some(self.deleted_object(options, stored::present(resource, &entry), false))),
            Step::Remove => match self.without_grace(options, entry, &old).await? {
                Some(entry) => match self.remove(options, &entry, &old).await? {
                    // Who saw that no grace is left may have been faster, and need not be (store.go: ignoreNotFound).
                    None if self.is_gone(&old) => Ok(Some(self.removed(options, &entry, &old))),
                    removed => Ok(removed),
                },
                None => Ok(None),
            },
            Step::Mark(marked) => self.mark(options, &entry, marked).await,
        }
    }

    async fn admit_delete(&mut self, old: &mut Value) -> Result<(), Status> {
        let mut nothing = Value::Null;
        self.mutate(Verb::Delete, &mut nothing, Some(old)).await?;
        self.admit(Verb::Delete, &mut nothing, Some(old)).await
    }

    fn check_preconditions(&self, options: &DeleteOptions, old: &Value) -> Result<(), Status> {
        // Upstream names the kind here, where all other conflicts name the resource.
        let gvk = &self.resource().gvk;
        let conflict = |why: String| Err(Status::conflict(&gvk.group, &gvk.kind, &self.target.name, &why));
        let (uid, version) = (meta::uid(old), meta::text(old, "resourceVersion"));
        if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid) {
            return conflict(format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
            ));
        }
        if let Some(wanted) = options.resource_version.as_deref().filter(|wanted| *wanted != version) {
            return conflict(format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            ));
        }
        Ok(())
    }

    /// What is to be done with an object as it is now. `holds_on`: its strategy began the deletion itself, so it goes without
    /// a grace period, and without being another generation.
    fn step(&self, options: &DeleteOptions, old: &Value, holds_on: bool) -> Step {
        let deletion = self.resource().rules.deletion;
        let now = self.server.env.now();
        match deletion {
            Deletion::Graceful => match graceful(options, old, now) {
                Grace::Pending => return Step::Pending,
                Grace::Seconds(seconds, at) => {
                    let mut marked = old.clone();
                    mark(&mut marked, at, seconds);
                    set_finalizers(&mut marked, finalizers(deletion, options, old));
                    return Step::Mark(marked);
                }
                Grace::None => {}
            },
            Deletion::Namespace => return namespace_step(options, old, now),
            Deletion::Background | Deletion::Orphan | Deletion::Unsupported => {}
        }
        let kept = match holds_on {
            // What is asked for its dependents counts when it lets go.
            true => meta::finalizers(old).map(str::to_owned).collect(),
            false => finalizers(deletion, options, old),
        };
        if kept.is_empty() {
            return Step::Remove;
        }
        let mut marked = old.clone();
        set_finalizers(&mut marked, kept);
        let already = meta::text(old, "deletionTimestamp");
        let at = time::parse(already).filter(|at| *at <= now).unwrap_or(now);
        match holds_on {
            true => meta::set(&mut marked, "deletionTimestamp", time::format(at)),
            false => mark(&mut marked, at, 0),
        }
        if marked == *old { Step::Pending } else { Step::Mark(marked) }
    }

    /// Writes down that no grace is left before an object goes that had some: watchers see that first. `None`: it changed
    /// meanwhile.
    async fn without_grace(
        &self,
        options: &DeleteOptions,
        entry: Arc<Entry>,
        old: &Value,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let resource = self.resource();
        if options.dry_run || resource.rules.deletion != Deletion::Graceful {
            return Ok(Some(entry));
        }
        let mut marked = self.at_its_end(old.clone());
        if marked == *old {
            return Ok(Some(entry));
        }
        let body = stored::body(&self.registry, resource, &mut marked, "");
        self.commit_delete(&entry, Some(body), Vec::new()).await
    }

    async fn remove(
        &mut self,
        options: &DeleteOptions,
        entry: &Arc<Entry>,
        old: &Value,
    ) -> Result<Option<Deleted>, Status> {
        let last = match options.dry_run {
            true => entry.clone(),
            false => {
                let (charges, turns) = self.charges(Verb::Delete, &mut Value::Null, Some(old)).await?;
                let last = self.commit_delete(entry, None, charges).await?;
                drop(turns);
                match last {
                    Some(last) => last,
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(self.removed(options, &last, old)))
    }

    /// Whether an object that had a grace period is not there any more, whatever has its name now.
    fn is_gone(&self, old: &Value) -> bool {
        let resource = self.resource();
        let is_another = |entry: Arc<Entry>| meta::uid(&stored::tree(resource, &entry)) != meta::uid(old);
        let now = self.server.store.get(&resource.table, &self.target.key());
        resource.rules.deletion == Deletion::Graceful && now.is_none_or(is_another)
    }

    /// What is answered about an object that went as `last`.
    fn removed(&mut self, options: &DeleteOptions, last: &Arc<Entry>, old: &Value) -> Deleted {
        let resource = self.resource();
        if resource.rules.returns_deleted {
            let gone = self.last_seen(last);
            return self.deleted_object(options, gone, true);
        }
        let details = Details {
            name: self.target.name.clone(),
            group: resource.gvr.group.clone(),
            kind: resource.gvr.resource.clone(),
            uid: meta::uid(old).to_owned(),
            ..Details::default()
        };
        let warnings = std::mem::take(&mut self.warnings);
        Deleted { answer: DeletedAnswer::Status(details), gone: true, accepted: false, warnings }
    }

    /// An object as it goes: one with a grace period says that there is none left.
    fn last_seen(&self, last: &Arc<Entry>) -> Object {
        let resource = self.resource();
        if resource.rules.deletion != Deletion::Graceful {
            return stored::present(resource, last);
        }
        let tree = self.at_its_end(stored::tree(resource, last));
        stored::unstored(last.key.clone(), last.revision, &tree)
    }

    /// An object whose grace is over.
    fn at_its_end(&self, mut tree: Value) -> Value {
        let now = self.server.env.now();
        let at = time::parse(meta::text(&tree, "deletionTimestamp")).filter(|at| *at <= now).unwrap_or(now);
        mark(&mut tree, at, 0);
        tree
    }

    async fn mark(
        &mut self,
        options: &DeleteOptions,
        entry: &Arc<Entry>,
        mut marked: Value,
    ) -> Result<Option<Deleted>, Status> {
        let resource = self.resource();
        if options.dry_run {
            let shown = stored::unstored(entry.key.clone(), entry.revision, &marked);
            return Ok(Some(self.deleted_object(options, shown, false)));
        }
        stored::warm_body(resource, &marked).await?;
        let body = stored::body(&self.registry, resource, &mut marked, "");
        let written = self.commit_delete(entry, Some(body), Vec::new()).await?;
        Ok(written.map(|entry| self.deleted_object(options, stored::present(resource, &entry), false)))
    }

    async fn commit_delete(
        &self,
        entry: &Arc<Entry>,
        put: Option<alcove_store::Body>,
        charges: Vec<Op>,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let resource = self.resource();
        let op =
            Op { table: resource.table.clone(), key: entry.key.clone(), expect: Some(entry.revision), put };
        match self.server.store.commit(std::iter::once(op).chain(charges).collect()).await {
            Ok(entries) => Ok(entries.into_iter().next()),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(error) => Err(errors::commit(resource, &self.target.name, error)),
        }
    }

    fn deleted_object(&mut self, options: &DeleteOptions, object: Object, gone: bool) -> Deleted {
        let accepted = !gone && options.orphan_dependents == Some(false);
        let warnings = std::mem::take(&mut self.warnings);
        Deleted { answer: DeletedAnswer::Object(object), gone, accepted, warnings }
    }
}

/// What the grace period of a pod comes to.
enum Grace {
    /// It goes at once, finalizers allowing.
    None,
    /// It goes after so many seconds, at that time.
    Seconds(i64, Timestamp),
    /// It is going already, and not later than asked for.
    Pending,
}

/// Grace of a pod (k8s.io/kubernetes/pkg/registry/core/pod/strategy.go: CheckGracefulDelete).
fn graceful(options: &DeleteOptions, old: &Value, now: Timestamp) -> Grace {
    let asked = options.grace_period_seconds.map(|n| if n < 0 { 1 } else { n });
    if meta::is_deleting(old) {
        return shortened(asked, old, now);
    }
    let default = old.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    let is_bound = old.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty());
    let phase = old.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    let has_ended = matches!(phase, "Succeeded" | "Failed");
    let seconds = match asked.unwrap_or(default) {
        n if n < 0 => 1,
        n => n,
    };
    if seconds == 0 || !is_bound || has_ended {
        return Grace::None;
    }
    Grace::Seconds(seconds, later(now, seconds))
}

/// A time so many seconds later; as late as can be written down, when that is beyond.
fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// Grace of a pod that is going already: it can only become shorter.
fn shortened(asked: Option<i64>, old: &Value, now: Timestamp) -> Grace {
    let current = old.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    let current = if current < 0 { 1 } else { current };
    match asked {
        _ if current == 0 => Grace::None,
        Some(seconds) if seconds < current => {
            let end = time::parse(meta::text(old, "deletionTimestamp")).unwrap_or(now);
            let at = later(end, seconds - current);
            match (seconds, at < now) {
                (0, _) => Grace::None,
                (_, true) => Grace::Seconds(1, now),
                (_, false) => Grace::Seconds(seconds, at),
            }
        }
        _ => Grace::Pending,
    }
}

/// A namespace goes when its controller has emptied `spec.finalizers`
/// (k8s.io/kubernetes/pkg/registry/core/namespace/storage/storage.go: Delete).
fn namespace_step(options: &DeleteOptions, old: &Value, now: Timestamp) -> Step {
    let mut marked = old.clone();
    let is_held =
        old.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let kept = finalizers(Deletion::Namespace, options, old);
    if !is_held && kept.is_empty() && meta::is_deleting(old) {
        return Step::Remove;
    }
    if !meta::is_deleting(old) {
        set_finalizers(&mut marked, kept);
        let at = time::format(now);
        meta::set(&mut marked, "deletionTimestamp", at);
    }
    if let Some(map) = marked.as_object_mut() {
        meta::child_mut(map, "status").insert("phase".into(), "Terminating".into());
    }
    if marked == *old { Step::Pending } else { Step::Mark(marked) }
}

/// The finalizers that an object has while it goes: its own, and the garbage collector's as options, object and kind
/// ask for, in that order.
fn finalizers(deletion: Deletion, options: &DeleteOptions, old: &Value) -> Vec<String> {
    let own = meta::finalizers(old).map(str::to_owned);
    if deletion == Deletion::Unsupported {
        return own.collect();
    }
    let had = |finalizer: &str| meta::finalizers(old).any(|f| f == finalizer);
    let wanted = match (options.orphan_dependents, options.propagation) {
        (Some(true), _) | (None, Some(Propagation::Orphan)) => Some(ORPHAN),
        (None, Some(Propagation::Foreground)) => Some(FOREGROUND),
        (Some(false), _) | (None, Some(Propagation::Background)) => None,
        (None, None) if had(ORPHAN) => Some(ORPHAN),
        (None, None) if had(FOREGROUND) => Some(FOREGROUND),
        (None, None) => (deletion == Deletion::Orphan).then_some(ORPHAN),
    };
    let mut kept: Vec<String> = own.filter(|f| f != ORPHAN && f != FOREGROUND).collect();
    kept.extend(wanted.map(str::to_owned));
    kept
}

/// Writes finalizers down, keeping the order of those that were there when none came or went.
fn set_finalizers(object: &mut Value, kept: Vec<String>) {
    let mut before: Vec<String> = meta::finalizers(object).map(str::to_owned).collect();
    let mut after = kept.clone();
    before.sort_unstable();
    after.sort_unstable();
    match (before == after, kept.is_empty()) {
        (true, _) => {}
        (false, true) => meta::unset(object, "finalizers"),
        (false, false) => meta::set(object, "finalizers", kept),
    }
}

/// Marks an object as going; the first time counts as a change of its generation.
fn mark(object: &mut Value, at: Timestamp, grace_seconds: i64) {
    if !meta::is_deleting(object) && meta::generation(object) > 0 {
        let next = meta::generation(object) + 1;
        meta::set(object, "generation", next);
    }
    meta::set(object, "deletionTimestamp", time::format(at));
    meta::set(object, "deletionGracePeriodSeconds", grace_seconds);
}

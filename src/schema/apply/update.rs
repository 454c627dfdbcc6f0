//! Ownership after a write (sigs.k8s.io/structured-merge-diff/v6/merge/update.go and the field managers around it in
//! k8s.io/apimachinery/pkg/util/managedfields/internal).

use super::Manager;
use super::compare::{Changes, compare};
use super::error::Conflict;
use super::fields::decode_text;
use super::fieldset::{Skip, named_fields, reconcile, with_named_fields};
use super::managed::{Entry, Operation, Owner, Owners};
use super::merge::remove;
use super::path::equal_unmanaged;
use super::set::Set;
use super::types::Type;
use crate::Tree;
use alcove_object::Value;
use std::borrow::Cow;

/// Entries of updates that an object keeps; past it the oldest become one (upstream's DefaultMaxUpdateManagers).
pub(super) const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager of merged old entries.
const ANCIENT: &str = "ancient-changes";

/// Fields that nobody owns: they identify the object, or the server sets them
/// (k8s.io/apimachinery/pkg/util/managedfields/internal/stripmeta.go).
const UNOWNED: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "metadata.clusterName",
    "metadata.creationTimestamp",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.name",
    "metadata.namespace",
    "metadata.resourceVersion",
    "metadata.selfLink",
    "metadata.uid",
];

/// What one write may own.
pub(super) struct Scope<'a> {
    pub ty: Type<'a>,
    /// Fields that are not even looked at: those that this (sub)resource never owns, and managed fields themselves.
    pub ignored: Set<'a>,
    unowned: Set<'static>,
}

impl<'a> Scope<'a> {
    pub fn new(ty: Type<'a>, reset: &[&'a str]) -> Scope<'a> {
        let ignored = Set::from_fields(reset.iter().copied().chain(["metadata.managedFields"]));
        Scope { ty, ignored, unowned: Set::from_fields(UNOWNED) }
    }

    /// What a writer gets to own of the fields it wrote.
    fn owned<'s>(&self, fields: Set<'s>) -> Set<'s> {
        fields.difference(&self.unowned)
    }

    /// The fields that a patch names and its manager gets to own, as text, and whether it may not fit its type.
    pub fn owned_of(&self, patch: &Tree<'_>) -> (String, bool) {
        named_fields(self.ty, patch, Skip { whole: Some(&self.ignored), alone: Some(&self.unowned) })
    }
}

/// A configuration that its manager applies.
#[derive(Clone, Copy)]
pub(super) struct Configuration<'a> {
    pub patch: &'a Tree<'a>,
    /// The text of the fields that it names and its manager gets to own.
    pub owned: &'a str,
}

/// Brings stored entries in line with the schema.
pub(super) fn reconcile_all(owners: &mut Owners<'_>, scope: &Scope<'_>) {
    for entry in &mut owners.entries {
        reconcile(&mut entry.fields, scope.ty);
    }
}

/// Records an update: the writer owns what it changed, others lose that and what is gone. Nothing changes, not even a
/// time, when the objects are the same.
pub(super) fn record<'a>(
    owners: &mut Owners<'a>,
    old: &'a Value,
    new: &'a Value,
    scope: &Scope<'a>,
    manager: &Manager<'a>,
) {
    reconcile_all(owners, scope);
    let changes = compare(scope.ty, old, new, &scope.ignored);
    take_from_all(owners, &changes, None);
    owners.drop_empty();
    let fields = scope.owned(changes.modified.union(changes.added));
    if !fields.is_empty() {
        let owner = Owner::of(manager, Operation::Update);
        give(owners, owner, manager, fields);
    }
    cap(owners);
}

fn give<'a>(owners: &mut Owners<'a>, owner: Owner<'a>, manager: &Manager<'a>, fields: Set<'a>) {
    let time = Some(Cow::Borrowed(manager.time));
    match owners.get_mut(&owner) {
        Some(entry) => {
            entry.fields = std::mem::take(&mut entry.fields).union(fields);
            entry.time = time;
        }
        None => {
            let api_version = Cow::Borrowed(manager.api_version);
            owners.entries.push(Entry { owner, api_version, time, fields, is_applied: false });
        }
    }
}

/// Takes changed and removed fields from everybody but one.
fn take_from_all(owners: &mut Owners<'_>, changes: &Changes<'_>, but: Option<&Owner<'_>>) {
    for entry in owners.entries.iter_mut().filter(|e| Some(&e.owner) != but) {
        let fields = std::mem::take(&mut entry.fields);
        entry.fields =
            fields.difference(&changes.modified).difference(&changes.added).difference(&changes.removed);
    }
}

/// What an apply comes to.
pub(super) enum Applied {
    /// The object stays as it is; owners may have changed.
    Same,
    /// The new object.
    Changed(Value),
}

/// Applies a patch: merges it, removes what its manager applied before and does not any more, and settles who owns what.
///
/// Errors: the fields that others own and that would change, unless `force` takes them.
pub(super) fn apply_patch<'a>(
    owners: &mut Owners<'a>,
    live: &Value,
    mut merged: Value,
    configuration: Configuration<'a>,
    scope: &Scope<'a>,
    manager: &Manager<'a>,
    force: bool,
) -> Result<Applied, Vec<Conflict>> {
    reconcile_all(owners, scope);
    let owner = Owner::of(manager, Operation::Apply);
    // Nothing that is still applied can go, and the rest of what an item holds goes only with something that was.
    if let Some(last) = start_entry(owners, &owner, manager, configuration.owned)
        && !owners.get(&owner).is_some_and(|now| last.is_subset(&now.fields))
    {
        prune(&mut merged, &last, owners, configuration.patch, scope);
    }
    let same = equal_unmanaged(live, &merged);
    if !same && owners.entries.iter().any(|e| e.owner != owner) {
        let changes = compare(scope.ty, live, &merged, &scope.ignored);
        if !force {
            refuse_conflicts(owners, &changes, &owner)?;
        }
        take_from_all(owners, &changes, Some(&owner));
    }
    if let Some(entry) = owners.get_mut(&owner).filter(|_| !same) {
        entry.time = Some(Cow::Borrowed(manager.time));
    }
    owners.drop_empty();
    Ok(if same { Applied::Same } else { Applied::Changed(merged) })
}

/// Gives the manager its new fields, and returns those it had, if they are others.
fn start_entry<'a>(
    owners: &mut Owners<'a>,
    owner: &Owner<'a>,
    manager: &Manager<'a>,
    owned: &'a str,
) -> Option<Set<'a>> {
    let api_version = Cow::Borrowed(manager.api_version);
    match owners.get_mut(owner) {
        Some(entry) => {
            entry.api_version = api_version;
            (!entry.is_applied).then(|| std::mem::replace(&mut entry.fields, set_of(owned)))
        }
        None => {
            let (owner, fields) = (owner.clone(), set_of(owned));
            owners.entries.push(Entry { owner, api_version, time: None, fields, is_applied: false });
            None
        }
    }
}

fn set_of(named: &str) -> Set<'_> {
    decode_text(named).expect("what is written as a field set reads as one")
}

/// Removes a field or list item if the manager applied it last time, does not this time, and nobody else owns it.
/// What was below a removed item and was never the manager's stays with it, or goes with it if the whole item goes.
/// What the patch names and nobody owns stays, too.
fn prune(merged: &mut Value, last: &Set<'_>, owners: &Owners<'_>, patch: &Tree<'_>, scope: &Scope<'_>) {
    let ty = scope.ty;
    let text_of = |tree: &Tree<'_>| named_fields(ty, tree, Skip::default()).0;
    let last = with_named_fields(last.clone(), ty);
    let named = text_of(patch);
    let unowned = set_of(&named).recursive_difference(&scope.ignored).intersection(&scope.unowned);
    let owned = owners.entries.iter().fold(unowned, |all, e| all.union(e.fields.clone()));
    let owned = with_named_fields(owned, ty);

    let whole = std::mem::take(merged);
    let named = text_of(&Tree::from(&whole));
    let all = with_named_fields(set_of(&named), ty);
    let mut pruned = whole.clone();
    remove(ty, &mut pruned, &last);
    // What others own comes back, with what it stands in.
    let mut kept = whole.clone();
    let left = text_of(&Tree::from(&pruned));
    let left = with_named_fields(set_of(&left), ty);
    remove(ty, &mut kept, &all.clone().difference(&left).difference(&owned));
    // What nobody owns comes back too, unless it was the manager's.
    let left = text_of(&Tree::from(&kept));
    let left = with_named_fields(set_of(&left), ty);
    let gone = all.difference(&left).intersection(&last);
    *merged = whole.clone();
    remove(ty, merged, &gone);
}

fn refuse_conflicts(
    owners: &Owners<'_>,
    changes: &Changes<'_>,
    owner: &Owner<'_>,
) -> Result<(), Vec<Conflict>> {
    let mut others: Vec<&Entry<'_>> = owners.entries.iter().filter(|e| e.owner != *owner).collect();
    others.sort_by(|a, b| a.owner.cmp(&b.owner));
    let mut conflicts = Vec::new();
    for entry in others {
        let modified = entry.fields.intersection(&changes.modified);
        let clash = modified.union(entry.fields.intersection(&changes.added));
        let manager = entry.owner.to_string();
        clash.each(&mut |path| {
            conflicts.push(Conflict {
                manager: manager.clone(),
                field: path.iter().map(|e| e.to_string()).collect(),
            });
        });
    }
    if conflicts.is_empty() { Ok(()) } else { Err(conflicts) }
}

/// Merges the oldest entries of updates, those of one version into one, until there are few enough.
fn cap(owners: &mut Owners<'_>) {
    let is_update = |e: &Entry<'_>| e.owner.operation == Operation::Update;
    let mut count = owners.entries.iter().filter(|e| is_update(e)).count();
    if count <= UPDATE_MANAGERS_MAX {
        return;
    }
    owners.entries.sort_by(|a, b| {
        let time = a.seconds().cmp(&b.seconds());
        time.then_with(|| a.owner.cmp(&b.owner))
    });
    let all = std::mem::take(&mut owners.entries);
    let mut firsts: Vec<usize> = Vec::new();
    for mut entry in all {
        if count <= UPDATE_MANAGERS_MAX || !is_update(&entry) {
            owners.entries.push(entry);
            continue;
        }
        let bucket = firsts.iter().copied().find(|at| owners.entries[*at].api_version == entry.api_version);
        match bucket {
            None => {
                firsts.push(owners.entries.len());
                owners.entries.push(entry);
            }
            Some(at) => {
                let into = &mut owners.entries[at];
                into.owner.manager = Cow::Borrowed(ANCIENT);
                into.owner.subresource = Cow::Borrowed("");
                into.fields = std::mem::take(&mut into.fields).union(std::mem::take(&mut entry.fields));
                into.time = entry.time;
                count -= 1;
            }
        }
    }
    owners.join_same();
}

//! What changed from one object to another, by the types' own idea of identity
//! (sigs.k8s.io/structured-merge-diff/v6/typed/compare.go).

use super::path::{Element, equal, is_same_scalar};
use super::set::Set;
use super::types::{Atom, ListType, MapType, Type, as_map, items};
use alcove_object::Value;
use serde_json::Map;
use std::cmp::Ordering;

/// The fields that differ between two objects. No field is in more than one of the sets.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    pub removed: Set<'a>,
    pub modified: Set<'a>,
    pub added: Set<'a>,
}

/// What happened to the very path that is compared. Only doubles in a list make it more than one thing.
#[derive(Clone, Copy, Default)]
struct Mark {
    removed: bool,
    modified: bool,
    added: bool,
}

impl Mark {
    const SAME: Mark = Mark { removed: false, modified: false, added: false };
    const REMOVED: Mark = Mark { removed: true, ..Mark::SAME };
    const MODIFIED: Mark = Mark { modified: true, ..Mark::SAME };
    const ADDED: Mark = Mark { added: true, ..Mark::SAME };
    const REPLACED: Mark = Mark { removed: true, added: true, ..Mark::SAME };
}

impl<'a> Changes<'a> {
    fn push(&mut self, element: Element<'a>, mark: Mark, below: Changes<'a>) {
        if mark.removed || !below.removed.is_empty() {
            self.removed.push(element.clone(), mark.removed, below.removed);
        }
        if mark.modified || !below.modified.is_empty() {
            self.modified.push(element.clone(), mark.modified, below.modified);
        }
        if mark.added || !below.added.is_empty() {
            self.added.push(element, mark.added, below.added);
        }
    }

    fn union(self, other: Changes<'a>) -> Changes<'a> {
        Changes {
            removed: self.removed.union(other.removed),
            modified: self.modified.union(other.modified),
            added: self.added.union(other.added),
        }
    }
}

/// Compares two objects. Fields in `ignored`, and all below them, count as the same.
pub(super) fn compare<'a>(ty: Type<'a>, old: &'a Value, new: &'a Value, ignored: &Set<'_>) -> Changes<'a> {
    compare_values(ty, Some(old), Some(new), ignored).1
}

fn compare_values<'a>(
    ty: Type<'a>,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    ignored: &Set<'_>,
) -> (Mark, Changes<'a>) {
    let (leaf_differs, below) = match (old, new) {
        (Some(old_value), Some(new_value)) => {
            let (old_atom, new_atom) = (ty.atom(old), ty.atom(new));
            let (differs, below) = compare_atoms(new_atom, old, new, ignored);
            if old_atom.same_kind(&new_atom) {
                (differs && !equal(old_value, new_value), below)
            } else {
                let before = compare_atoms(old_atom, old, new, ignored).1;
                (true, before.union(below))
            }
        }
        (one, None) => compare_atoms(ty.atom(one), old, new, ignored),
        (None, one) => compare_atoms(ty.atom(one), old, new, ignored),
    };
    let mark = match (old, new) {
        (None, _) => Mark::ADDED,
        (_, None) => Mark::REMOVED,
        _ if leaf_differs => Mark::MODIFIED,
        _ => Mark::SAME,
    };
    (mark, below)
}

/// Whether the values are to be compared as a whole, and what changed below them if not.
fn compare_atoms<'a>(
    atom: Atom<'a>,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    ignored: &Set<'_>,
) -> (bool, Changes<'a>) {
    match atom {
        Atom::Scalar(_) => (true, Changes::default()),
        Atom::Map(map) => {
            let (old, new) = (as_map(old), as_map(new));
            let empty = old.is_none_or(Map::is_empty) && new.is_none_or(Map::is_empty);
            if map.atomic || empty {
                (true, Changes::default())
            } else {
                (false, compare_maps(map, old, new, ignored))
            }
        }
        Atom::List(list) => {
            let (old, new) = (items(old), items(new));
            let empty = old.is_empty() && new.is_empty();
            if list.is_atomic() || empty {
                (true, Changes::default())
            } else {
                (false, compare_lists(list, old, new))
            }
        }
    }
}

type Fields = Map<String, Value>;

fn compare_maps<'a>(
    map: MapType<'a>,
    old: Option<&'a Fields>,
    new: Option<&'a Fields>,
    ignored: &Set<'_>,
) -> Changes<'a> {
    let mut changes = Changes::default();
    let (has_old, has_new) = (old.is_some(), new.is_some());
    let mut children = map.children();
    let mut visit = |key: &'a str, old: Option<&'a Value>, new: Option<&'a Value>| {
        if let (Some(old), Some(new)) = (old, new)
            && is_same_scalar(old, new)
        {
            return;
        }
        let below = ignored.get_field(key);
        let Some(child) = children.find(key).filter(|_| below.is_none_or(|n| !n.member)) else { return };
        let old = old.or_else(|| child.implied().filter(|_| has_old));
        let new = new.or_else(|| child.implied().filter(|_| has_new));
        let (mark, below) = compare_values(child.ty, old, new, below.map_or(&Set::EMPTY, |n| &n.children));
        changes.push(Element::field(key), mark, below);
    };
    let mut old_fields = old.into_iter().flatten().peekable();
    let mut new_fields = new.into_iter().flatten().peekable();
    loop {
        let order = match (old_fields.peek(), new_fields.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let old = old_fields.next_if(|_| order.is_le());
        let new = new_fields.next_if(|_| order.is_ge());
        if let Some((key, _)) = old.or(new) {
            visit(key, old.map(|(_, v)| v), new.map(|(_, v)| v));
        }
    }
    changes
}

/// One item of a list, under what tells it from the others.
struct Item<'a> {
    element: Element<'a>,
    value: &'a Value,
    is_new: bool,
}

fn compare_lists<'a>(list: ListType<'a>, old: &'a [Value], new: &'a [Value]) -> Changes<'a> {
    if old.len() == new.len() && old.iter().zip(new).all(|(old, new)| equal(old, new)) {
        return Changes::default();
    }
    let find = |value, is_new| Some(Item { element: list.element(value).ok()?, value, is_new });
    let mut all: Vec<Item<'a>> = Vec::with_capacity(old.len() + new.len());
    all.extend(old.iter().filter_map(|value| find(value, false)));
    all.extend(new.iter().filter_map(|value| find(value, true)));
    all.sort_by(|a, b| a.element.cmp(&b.element));

    let mut changes = Changes::default();
    for group in all.chunk_by(|a, b| a.element == b.element) {
        let split = group.iter().take_while(|item| !item.is_new).count();
        let (old, new) = group.split_at(split);
        let (mark, below) = compare_items(list.item, old, new);
        changes.push(group[0].element.clone(), mark, below);
    }
    changes
}

/// Compares items under one key. Doubles are compared as a whole: nobody can own what is inside them.
fn compare_items<'a>(ty: Type<'a>, old: &[Item<'a>], new: &[Item<'a>]) -> (Mark, Changes<'a>) {
    let value = |items: &[Item<'a>]| items.first().map(|item| item.value);
    match (old, new) {
        ([] | [_], [] | [_]) => compare_values(ty, value(old), value(new), &Set::EMPTY),
        ([_, _, ..], [_, _, ..]) => {
            let same =
                old.len() == new.len() && old.iter().zip(new).all(|(old, new)| equal(old.value, new.value));
            (if same { Mark::SAME } else { Mark::MODIFIED }, Changes::default())
        }
        ([_, _, ..], []) => (Mark::REMOVED, Changes::default()),
        ([], [_, _, ..]) => (Mark::ADDED, Changes::default()),
        ([_, _, ..], _) => (Mark::REPLACED, compare_values(ty, None, value(new), &Set::EMPTY).1),
        (_, [_, _, ..]) => (Mark::REPLACED, compare_values(ty, value(old), None, &Set::EMPTY).1),
    }
}

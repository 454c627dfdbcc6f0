//! Merging an apply patch into an object, and taking fields out of one
//! (sigs.k8s.io/structured-merge-diff/v6/typed/{merge,remove}.go).

use super::path::Element;
use super::set::Set;
use super::types::{Atom, Kind, ListType, MapType, Type};
use crate::Tree;
use crate::types::order;
use alcove_object::Value;
use serde_json::Map;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Merges a patch into an object. Nothing goes away; where both have a leaf, the patch wins. Lists keep the object's
/// order unless the patch orders the items they share differently.
pub(super) fn merge(ty: Type<'_>, live: &mut Value, patch: &Tree<'_>) {
    let kind = Kind::of_tree(patch);
    if kind == Kind::Scalar && patch.is(live) {
        return;
    }
    let atom = ty.atom_of(kind);
    if !ty.atom(Some(live)).same_kind(&atom) {
        *live = patch.to_value();
        return;
    }
    match (atom, &mut *live, patch) {
        // An empty map or list and null add nothing to what is there.
        (Atom::Map(map), Value::Object(live), Tree::Map(patch)) if !map.atomic && !live.is_empty() => {
            merge_map(map, live, patch);
        }
        (Atom::Map(map), Value::Object(live), _) if !map.atomic && !live.is_empty() => {}
        (Atom::List(list), Value::Array(live), Tree::List(patch))
            if !list.is_atomic() && !live.is_empty() =>
        {
            merge_list(list, live, patch);
        }
        (Atom::List(list), Value::Array(live), _) if !list.is_atomic() && !live.is_empty() => {}
        (_, live, patch) if patch.is(live) => {}
        _ => *live = patch.to_value(),
    }
}

/// Both maps are sorted, so one pass finds what they share.
fn merge_map(map: MapType<'_>, live: &mut Map<String, Value>, patch: &[(Cow<'_, str>, Tree<'_>)]) {
    let mut children = map.children();
    let mut added = Vec::new();
    let mut entries = live.iter_mut().peekable();
    for (key, value) in patch {
        while entries.next_if(|(name, _)| order(name, key).is_lt()).is_some() {}
        match entries.next_if(|(name, _)| **name == **key) {
            Some((_, live)) => match children.find(key) {
                Some(child) => merge(child.ty, live, value),
                None => *live = value.to_value(),
            },
            None => added.push((key.clone().into_owned(), value.to_value())),
        }
    }
    live.extend(added);
}

/// Where one item of a merged list comes from: the live list, the patch, or both.
struct Source {
    live: Option<usize>,
    patch: Option<usize>,
}

fn merge_list(list: ListType<'_>, live: &mut Vec<Value>, patch: &[Tree<'_>]) {
    if patch.is_empty() {
        return;
    }
    if list.begins_with(live, patch) {
        live.iter_mut().zip(patch).for_each(|(live, patch)| merge(list.item, live, patch));
        return;
    }
    let mut items: Vec<Value> = patch.iter().map(Tree::to_value).collect();
    let plan = {
        let elements = |items| -> Vec<Option<Element<'_>>> {
            <[Value]>::iter(items).map(|i| list.element(i).ok()).collect()
        };
        plan(&elements(live), &elements(&items))
    };
    let mut old: Vec<Option<Value>> = live.drain(..).map(Some).collect();
    for source in plan {
        let taken = source.live.and_then(|at| old[at].take());
        live.extend(match (taken, source.patch) {
            (Some(mut item), Some(at)) => {
                merge(list.item, &mut item, &patch[at]);
                Some(item)
            }
            (Some(item), None) => Some(item),
            (None, at) => at.map(|at| items[at].take()),
        });
    }
}

/// Upstream's order of a merged list: items of the live list up to the next one that the patch has too, then that, then
/// what follows in the patch. Doubles in the live list that the patch names give way to the patch's one.
fn plan(live: &[Option<Element<'_>>], patch: &[Option<Element<'_>>]) -> Vec<Source> {
    let patch_at: BTreeMap<&Element<'_>, usize> = index(patch).map(|(at, e)| (e, at)).collect();
    let mut live_at: BTreeMap<&Element<'_>, Option<usize>> = BTreeMap::new();
    for (at, element) in index(live) {
        live_at.entry(element).and_modify(|double| *double = None).or_insert(Some(at));
    }
    let in_patch = |at: usize| live[at].as_ref().and_then(|e| patch_at.get(e).copied());
    let in_live = |at: usize| patch[at].as_ref().and_then(|e| live_at.get(e).copied());
    let mut shared = (0..patch.len()).filter(|at| in_live(*at).is_some());
    let mut next_shared = shared.next();
    let mut merged = vec![false; patch.len()];
    let mut out = Vec::with_capacity(live.len().max(patch.len()));
    let (mut l, mut p) = (0, 0);
    while l < live.len() || p < patch.len() {
        if l < live.len() && p < patch.len() {
            if in_patch(l) == Some(p) {
                merged[p] = true;
                out.push(Source { live: in_live(p).flatten(), patch: Some(p) });
                (l, p) = (l + 1, p + 1);
                next_shared = shared.next();
                continue;
            }
            if in_patch(l).is_some() && next_shared.is_some() && next_shared != in_patch(l) {
                l += 1;
                continue;
            }
        }
        if l < live.len() {
            match in_patch(l) {
                None => {
                    out.push(Source { live: Some(l), patch: None });
                    l += 1;
                    continue;
                }
                Some(at) if merged[at] => l += 1,
                Some(_) => {}
            }
        }
        if p < patch.len() {
            merged[p] = true;
            out.push(Source { live: in_live(p).flatten(), patch: Some(p) });
            if next_shared == Some(p) {
                next_shared = shared.next();
            }
            p += 1;
        }
    }
    out
}

fn index<'s, 'a>(elements: &'s [Option<Element<'a>>]) -> impl Iterator<Item = (usize, &'s Element<'a>)> {
    elements.iter().enumerate().filter_map(|(at, e)| Some((at, e.as_ref()?)))
}

/// Takes fields and list items out of an object. What is emptied by that becomes null.
pub(super) fn remove(ty: Type<'_>, value: &mut Value, gone: &Set<'_>) {
    if gone.is_empty() {
        return;
    }
    let empty = match (ty.atom(Some(value)), &mut *value) {
        (Atom::Scalar(_), _) => false,
        (Atom::Map(map), Value::Object(fields)) if !map.atomic => {
            remove_from_map(map, fields, gone);
            fields.is_empty()
        }
        (Atom::List(list), Value::Array(items)) if !list.is_atomic() => {
            items.retain_mut(|item| keep_item(list, item, gone));
            items.is_empty()
        }
        _ => true,
    };
    if empty {
        *value = Value::Null;
    }
}

fn remove_from_map(map: MapType<'_>, fields: &mut Map<String, Value>, gone: &Set<'_>) {
    for node in gone.nodes() {
        let Element::Field(name) = &node.element else { continue };
        if node.member {
            fields.remove(&**name);
        } else if let (Some(value), Some(child)) = (fields.get_mut(&**name), map.child(name)) {
            remove(child.ty, value, &node.children);
        }
    }
}

fn keep_item(list: ListType<'_>, item: &mut Value, gone: &Set<'_>) -> bool {
    let below = match list.element(item).ok().and_then(|element| gone.get(&element)) {
        None => return true,
        Some(node) if node.member => return false,
        Some(node) => &node.children,
    };
    remove(list.item, item, below);
    true
}

/// A copy of an object, without its managed fields.
pub(super) fn clone_unmanaged(object: &Value) -> Value {
    let has_owners = object.get("metadata").is_some_and(|metadata| metadata.get("managedFields").is_some());
    let Some(fields) = object.as_object().filter(|_| has_owners) else { return object.clone() };
    let copy = fields.iter().map(|(key, value)| {
        let value = match value {
            Value::Object(metadata) if key == "metadata" => {
                let kept = metadata.iter().filter(|(key, _)| *key != "managedFields");
                Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
            }
            _ => value.clone(),
        };
        (key.clone(), value)
    });
    Value::Object(copy.collect())
}

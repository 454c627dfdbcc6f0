//! Field sets and types: what an object says of its fields, and how a set looks under a schema
//! (sigs.k8s.io/structured-merge-diff/v6/typed/{tofieldset,reconcile_schema}.go).

use super::path::Element;
use super::set::{Node, Set};
use super::types::{Atom, ListType, MapType, Type};
use alcove_object::Value;

/// Every leaf field and list item that an object mentions.
pub(super) fn field_set<'a>(ty: Type<'a>, object: &'a Value) -> Set<'a> {
    below(ty, object).1
}

/// Whether the path of the value is itself in the set, and the paths below it.
fn below<'a>(ty: Type<'a>, value: &'a Value) -> (bool, Set<'a>) {
    match ty.atom(Some(value)) {
        Atom::Scalar(_) => (true, Set::default()),
        Atom::Map(map) if map.atomic => (true, Set::default()),
        Atom::List(list) if list.is_atomic() => (true, Set::default()),
        Atom::Map(map) => (false, of_map(map, value)),
        Atom::List(list) => (false, of_list(list, value)),
    }
}

fn of_map<'a>(map: MapType<'a>, value: &'a Value) -> Set<'a> {
    let mut set = Set::default();
    for (key, value) in value.as_object().into_iter().flatten() {
        let Some(child) = map.child(key) else { continue };
        let (member, below) = below(child.ty, value);
        let empty = value.is_null() || value.as_object().is_some_and(|m| m.is_empty());
        set.push(Element::field(key), member || empty || !child.declared, below);
    }
    set
}

/// Items under one key more than once are owned as a whole.
fn of_list<'a>(list: ListType<'a>, value: &'a Value) -> Set<'a> {
    let items = value.as_array().into_iter().flatten();
    let mut found: Vec<(Element<'a>, &Value)> =
        items.filter_map(|item| Some((list.element(item).ok()?, item))).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let nodes = found.chunk_by(|a, b| a.0 == b.0).map(|group| {
        let children = match group {
            [(_, item)] => below(list.item, item).1,
            _ => Set::default(),
        };
        Node { element: group[0].0.clone(), member: true, children }
    });
    Set::from_nodes(nodes.collect())
}

/// The set with all declared fields as members that have members below them: whoever owns `.spec.replicas` counts as
/// one who named `.spec`.
pub(super) fn with_named_fields<'a>(mut set: Set<'a>, ty: Type<'_>) -> Set<'a> {
    add_named_fields(&mut set, Some(ty));
    set
}

fn add_named_fields(set: &mut Set<'_>, ty: Option<Type<'_>>) {
    let map = ty.and_then(Type::map);
    let list = ty.and_then(Type::list);
    for node in set.nodes_mut().iter_mut().filter(|n| !n.children.is_empty()) {
        let child = match (&node.element, map, list) {
            (Element::Field(name), Some(map), _) => {
                node.member |= map.declares(name);
                map.child(name).map(|child| child.ty)
            }
            (Element::Key(_), _, Some(list)) => Some(list.item),
            _ => None,
        };
        add_named_fields(&mut node.children, child);
    }
}

/// Brings a stored set in line with a schema that has changed since: who owned parts of what is now atomic owns it as
/// a whole.
pub(super) fn reconcile(set: &mut Set<'_>, ty: Type<'_>) {
    let (map, list) = (ty.map().filter(|m| !m.is_deduced()), ty.list());
    for node in set.nodes_mut().iter_mut().filter(|n| !n.children.is_empty()) {
        let child = match (&node.element, map, list) {
            (Element::Field(name), Some(map), _) => map.child(name).map(|child| child.ty),
            (_, Some(map), _) => map.child("").map(|child| child.ty),
            (_, _, Some(list)) => Some(list.item),
            _ => None,
        };
        let Some(child) = child else { continue };
        if is_atomic(child) {
            node.member = true;
            node.children = Set::default();
        } else {
            reconcile(&mut node.children, child);
        }
    }
}

fn is_atomic(ty: Type<'_>) -> bool {
    match ty.atom(None) {
        Atom::Map(map) => map.atomic,
        Atom::List(list) => list.is_atomic(),
        Atom::Scalar(_) => false,
    }
}

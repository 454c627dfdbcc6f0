//! Field sets and types: what an object says of its fields, and how a set looks under a schema
//! (sigs.k8s.io/structured-merge-diff/v6/typed/{tofieldset,reconcile_schema}.go).

use super::path::Element;
use super::set::{Node, Set};
use super::types::{Atom, ListType, MapType, Type};
use super::validate::check_scalar;
use alcove_object::Value;
use serde_json::Map;

/// Every leaf field and list item that an object mentions.
pub(super) fn field_set<'a>(ty: Type<'a>, object: &'a Value) -> Set<'a> {
    Reader::default().below(ty, object).1
}

/// The same for an object that may not fit its type: nothing where that cannot be ruled out.
pub(super) fn sure_field_set<'a>(ty: Type<'a>, object: &'a Value) -> Option<Set<'a>> {
    let mut reader = Reader::default();
    let set = reader.below(ty, object).1;
    (!reader.is_doubtful).then_some(set)
}

/// Reads fields, and notes whether anything may be wrong with them ([`super::validate`] says what). Most patches are
/// right, so they need not be walked for that alone.
#[derive(Default)]
struct Reader {
    is_doubtful: bool,
}

impl Reader {
    /// Whether the path of the value is itself in the set, and the paths below it.
    fn below<'a>(&mut self, ty: Type<'a>, value: &'a Value) -> (bool, Set<'a>) {
        match (ty.atom(Some(value)), value) {
            (Atom::Scalar(scalar), _) => {
                self.is_doubtful |= !value.is_null() && check_scalar(scalar, value).is_some();
                (true, Set::default())
            }
            (Atom::Map(map), Value::Object(fields)) => {
                let set = self.of_map(map, fields);
                if map.atomic { (true, Set::default()) } else { (false, set) }
            }
            (Atom::List(list), Value::Array(items)) if list.is_atomic() => {
                items.iter().for_each(|item| drop(self.below(list.item, item)));
                (true, Set::default())
            }
            (Atom::List(list), Value::Array(items)) => (false, self.of_list(list, items)),
            (atom, _) => {
                self.is_doubtful |= !value.is_null();
                let is_atomic = match atom {
                    Atom::Map(map) => map.atomic,
                    Atom::List(list) => list.is_atomic(),
                    Atom::Scalar(_) => true,
                };
                (is_atomic, Set::default())
            }
        }
    }

    fn of_map<'a>(&mut self, map: MapType<'a>, fields: &'a Map<String, Value>) -> Set<'a> {
        let mut set = Set::with_capacity(fields.len());
        let mut children = map.children();
        for (key, value) in fields {
            let Some(child) = children.find(key) else {
                self.is_doubtful = true;
                continue;
            };
            let (member, below) = self.below(child.ty, value);
            let empty = value.is_null() || value.as_object().is_some_and(|m| m.is_empty());
            set.push(Element::field(key), member || empty || !child.declared, below);
        }
        set
    }

    /// Items under one key more than once are owned as a whole.
    fn of_list<'a>(&mut self, list: ListType<'a>, items: &'a [Value]) -> Set<'a> {
        let mut nodes: Vec<Node<'a>> = Vec::with_capacity(items.len());
        for item in items {
            match list.element(item) {
                Ok(element) => {
                    let children = self.below(list.item, item).1;
                    nodes.push(Node { element, member: true, children });
                }
                Err(_) => self.is_doubtful = true,
            }
        }
        nodes.sort_by(|a, b| a.element.cmp(&b.element));
        let mut is_double = false;
        nodes.dedup_by(|next, kept| {
            let is_same = next.element == kept.element;
            if is_same {
                is_double = true;
                kept.children = Set::default();
            }
            is_same
        });
        self.is_doubtful |= is_double;
        Set::from_sorted(nodes)
    }
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

//! Field sets and types: what an object says of its fields, and how a set looks under a schema
//! (sigs.k8s.io/structured-merge-diff/v6/typed/{tofieldset,reconcile_schema}.go).

use super::fields::{put_field, put_key};
use super::path::Element;
use super::set::Set;
use super::types::{Atom, Kind, ListType, MapType, Type};
use crate::Tree;
use std::borrow::Cow;

/// Every leaf field and list item that an object mentions, as the text of a field set; mostly it is known already, and
/// then nobody needs the set. And whether the object may not fit its type ([`super::validate`] says what is wrong): most
/// patches are right, so they need not be walked for that alone.
pub(super) fn named_fields(ty: Type<'_>, object: &Tree<'_>, skip: Skip<'_>) -> (String, bool) {
    let mut writer = Writer { out: Vec::with_capacity(4096), is_doubtful: false };
    writer.value(ty, object, false, skip);
    let text = String::from_utf8(writer.out).expect("what is written is made of texts");
    (text, writer.is_doubtful)
}

/// Fields that are left out.
#[derive(Clone, Copy, Default)]
pub(super) struct Skip<'s> {
    /// With all that is below them.
    pub whole: Option<&'s Set<'s>>,
    /// Only themselves.
    pub alone: Option<&'s Set<'s>>,
}

impl Skip<'_> {
    /// Whether a field is left out with what is below it, whether it is alone, and what is left out below it.
    fn below(&self, name: &str) -> (bool, bool, Self) {
        let whole = self.whole.and_then(|set| set.get_field(name));
        let alone = self.alone.and_then(|set| set.get_field(name));
        let skip = Skip { whole: whole.map(|node| &node.children), alone: alone.map(|node| &node.children) };
        (whole.is_some_and(|node| node.member), alone.is_some_and(|node| node.member), skip)
    }
}

struct Writer {
    out: Vec<u8>,
    is_doubtful: bool,
}

impl Writer {
    /// Writes what is under the key of a value: the paths below it, and whether its own is in the set, which it is if it
    /// is `named` or a leaf. False: neither, and what is written is to be taken back.
    fn value(&mut self, ty: Type<'_>, value: &Tree<'_>, named: bool, skip: Skip<'_>) -> bool {
        self.out.push(b'{');
        let begin = self.out.len();
        if named {
            self.out.extend_from_slice(br#"".":{}"#);
        }
        let inside = self.out.len();
        let is_leaf = match (ty.atom_of(Kind::of_tree(value)), value) {
            (Atom::Scalar(scalar), _) => {
                self.is_doubtful |= !value.is_null() && !scalar.fits(value);
                true
            }
            (Atom::Map(map), Tree::Map(entries)) => {
                self.map(map, entries, skip);
                map.atomic
            }
            (Atom::List(list), Tree::List(items)) if list.is_atomic() => {
                for item in items {
                    self.value(list.item, item, false, Skip::default());
                }
                true
            }
            (Atom::List(list), Tree::List(items)) => {
                self.list(list, items);
                false
            }
            (atom, _) => {
                self.is_doubtful |= !value.is_null();
                match atom {
                    Atom::Map(map) => map.atomic,
                    Atom::List(list) => list.is_atomic(),
                    Atom::Scalar(_) => true,
                }
            }
        };
        if is_leaf || self.out.len() == inside {
            self.out.truncate(begin);
        }
        let says_something = is_leaf || named || self.out.len() > begin;
        self.out.push(b'}');
        says_something
    }

    fn map(&mut self, map: MapType<'_>, entries: &[(Cow<'_, str>, Tree<'_>)], skip: Skip<'_>) {
        let mut children = map.children();
        for (key, value) in entries {
            let Some(child) = children.find(key) else {
                self.is_doubtful = true;
                continue;
            };
            let (is_skipped, is_alone, below) = skip.below(key);
            let begin = self.begin();
            put_field(key, &mut self.out);
            self.out.push(b':');
            let is_empty = value.is_null() || matches!(value, Tree::Map(entries) if entries.is_empty());
            let named = !is_alone && (is_empty || !child.declared);
            let at = self.out.len();
            let says_something = self.value(child.ty, value, named, below);
            if !says_something || is_skipped || is_alone && self.out.len() == at + "{}".len() {
                self.out.truncate(begin);
            }
        }
    }

    /// Items under one key more than once are owned as a whole.
    fn list(&mut self, list: ListType<'_>, items: &[Tree<'_>]) {
        let mut keys = String::with_capacity(32 * items.len());
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            let begin = keys.len();
            match list.put_key(item, &mut keys) {
                true => keyed.push((begin..keys.len(), item)),
                false => self.is_doubtful = true,
            }
        }
        keyed.sort_unstable_by(|(a, _), (b, _)| keys[a.clone()].cmp(&keys[b.clone()]));
        for same in keyed.chunk_by(|(a, _), (b, _)| keys[a.clone()] == keys[b.clone()]) {
            self.begin();
            put_key(&keys[same[0].0.clone()], &mut self.out);
            self.out.push(b':');
            let begin = self.out.len();
            for (_, item) in same {
                self.out.truncate(begin);
                self.value(list.item, item, true, Skip::default());
            }
            if same.len() > 1 {
                self.is_doubtful = true;
                self.out.truncate(begin);
                self.out.extend_from_slice(b"{}");
            }
        }
    }

    /// Begins a member; gives where to go back to if it says nothing.
    fn begin(&mut self) -> usize {
        let begin = self.out.len();
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        begin
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

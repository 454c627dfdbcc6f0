//! How types look to server-side apply: maps, lists and scalars, each merged item by item or as a whole
//! (k8s.io/kube-openapi/pkg/schemaconv), and how items of lists are told apart.

use super::fields::{json_text, push_quoted};
use super::path::{Element, KeyField};
use crate::types::Omit;
use crate::{Field, InOrder, ListKind, Schema, Shape, Tree, View};
use alcove_object::Value;
use serde_json::Map;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The type of a value.
#[derive(Clone, Copy)]
pub(super) enum Type<'a> {
    /// The schema says.
    Declared(View<'a>),
    /// The schema says, but for being replaced as a whole.
    Granular(View<'a>),
    /// Anything: maps merge key by key, lists are replaced as a whole (`__untyped_deduced_`).
    Deduced,
    /// Anything, replaced as a whole (`__untyped_atomic_`, RawExtension).
    Opaque,
}

/// What a type allows for one value.
#[derive(Clone, Copy)]
pub(super) enum Atom<'a> {
    Map(MapType<'a>),
    List(ListType<'a>),
    Scalar(Scalar),
}

/// A struct or a map.
#[derive(Clone, Copy)]
pub(super) struct MapType<'a> {
    /// The schema of a struct.
    fields: Option<View<'a>>,
    /// The type of keys that are no declared fields; without one they are not allowed.
    rest: Option<Type<'a>>,
    /// Whether it is replaced as a whole.
    pub atomic: bool,
}

/// A list.
#[derive(Clone, Copy)]
pub(super) struct ListType<'a> {
    kind: &'a ListKind,
    /// The type of its items.
    pub item: Type<'a>,
}

/// What scalars a type allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Number,
    String,
    Boolean,
    Any,
}

/// What kind of value somebody has, as far as types that allow anything go by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A map, null or nothing.
    Map,
    List,
    Scalar,
}

impl Kind {
    pub fn of(value: Option<&Value>) -> Kind {
        match value {
            Some(Value::Array(_)) => Kind::List,
            Some(Value::String(_) | Value::Number(_) | Value::Bool(_)) => Kind::Scalar,
            Some(Value::Object(_) | Value::Null) | None => Kind::Map,
        }
    }

    pub fn of_tree(tree: &Tree<'_>) -> Kind {
        match tree {
            Tree::List(_) => Kind::List,
            Tree::Text(_) | Tree::Number(_) | Tree::Bool(_) => Kind::Scalar,
            Tree::Map(_) | Tree::Null => Kind::Map,
        }
    }
}

impl Scalar {
    /// Whether a value that is not null is of this type.
    pub fn fits(self, value: &Tree<'_>) -> bool {
        match self {
            Scalar::Number => matches!(value, Tree::Number(_)),
            Scalar::String => matches!(value, Tree::Text(_)),
            Scalar::Boolean => matches!(value, Tree::Bool(_)),
            Scalar::Any => !matches!(value, Tree::List(_) | Tree::Map(_)),
        }
    }
}

/// The type of one key of a map.
pub(super) struct Child<'a> {
    pub ty: Type<'a>,
    /// Whether the key is a field of a struct, not a free key.
    pub declared: bool,
    field: Option<(&'a Field, View<'a>)>,
}

/// Finds the types of one key after the other, in a single pass over the keys and a struct's fields.
pub(super) struct Children<'a> {
    map: MapType<'a>,
    fields: Option<InOrder<'a>>,
}

static ATOMIC: ListKind = ListKind::Atomic;

const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

impl<'a> Type<'a> {
    /// What the type allows for a value. Types that allow anything go by the value.
    pub fn atom(self, value: Option<&Value>) -> Atom<'a> {
        self.atom_of(Kind::of(value))
    }

    /// The same for a value of a kind.
    pub fn atom_of(self, kind: Kind) -> Atom<'a> {
        let view = match self {
            Type::Declared(view) | Type::Granular(view) => view,
            Type::Deduced => return untyped(kind, false),
            Type::Opaque => return untyped(kind, true),
        };
        let schema = view.schema();
        let atomic = schema.atomic && matches!(self, Type::Declared(_));
        match &schema.shape {
            Shape::Struct(_) => Atom::Map(MapType {
                fields: Some(view),
                rest: schema.preserve_unknown.then_some(Type::Deduced),
                atomic,
            }),
            Shape::Map(item) => {
                let rest = Some(Type::Declared(view.at(*item)));
                Atom::Map(MapType { fields: None, rest, atomic })
            }
            Shape::List(item) => {
                Atom::List(ListType { kind: &schema.list, item: Type::Declared(view.at(*item)) })
            }
            Shape::String if schema.format.is_empty() => Atom::Scalar(Scalar::String),
            Shape::Bytes | Shape::Duration => Atom::Scalar(Scalar::String),
            Shape::Boolean => Atom::Scalar(Scalar::Boolean),
            Shape::Int32 | Shape::Int64 | Shape::Double => Atom::Scalar(Scalar::Number),
            Shape::String | Shape::Quantity | Shape::Time | Shape::MicroTime => Atom::Scalar(Scalar::Any),
            Shape::Any => untyped(kind, is_opaque(schema)),
            Shape::IntOrString | Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_) => {
                untyped(kind, false)
            }
        }
    }

    /// The type as a map, whatever the value.
    pub fn map(self) -> Option<MapType<'a>> {
        match self.atom(None) {
            Atom::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The type as a list, whatever the value.
    pub fn list(self) -> Option<ListType<'a>> {
        match self.atom(None) {
            Atom::List(list) => Some(list),
            _ => None,
        }
    }
}

fn is_opaque(schema: &Schema) -> bool {
    schema.atomic || *schema.name == *RAW_EXTENSION
}

fn untyped<'a>(kind: Kind, opaque: bool) -> Atom<'a> {
    let rest = if opaque { Type::Opaque } else { Type::Deduced };
    match kind {
        Kind::List => Atom::List(ListType { kind: &ATOMIC, item: Type::Opaque }),
        Kind::Scalar => Atom::Scalar(Scalar::Any),
        Kind::Map => Atom::Map(MapType { fields: None, rest: Some(rest), atomic: opaque }),
    }
}

impl<'a> Atom<'a> {
    /// Whether two atoms of one type are of the same kind.
    pub fn same_kind(&self, other: &Atom<'_>) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl<'a> MapType<'a> {
    /// The type of a key; none when the key is not allowed.
    pub fn child(&self, key: &str) -> Option<Child<'a>> {
        self.child_of(key, self.fields.and_then(|view| view.field(key)))
    }

    /// The same for all keys of a map, which come in order.
    pub fn children(self) -> Children<'a> {
        Children { map: self, fields: self.fields.map(View::in_order) }
    }

    fn child_of(&self, key: &str, field: Option<&'a Field>) -> Option<Child<'a>> {
        let Some(view) = self.fields else { return self.rest.map(free) };
        if let Some(field) = field {
            let child = view.at(field.schema);
            let ty = if field.granular { Type::Granular(child) } else { Type::Declared(child) };
            return Some(Child { ty, declared: true, field: Some((field, view)) });
        }
        self.rest.map(free).or_else(|| type_meta(view, key))
    }

    /// Whether the key is a field of a struct.
    pub fn declares(&self, key: &str) -> bool {
        self.fields.is_some_and(|view| view.field(key).is_some())
    }

    /// Whether nothing is known of the map's keys.
    pub fn is_deduced(&self) -> bool {
        self.fields.is_none() && matches!(self.rest, Some(Type::Deduced))
    }
}

impl<'a> Children<'a> {
    /// The type of a key, none when the key is not allowed. Keys are asked for in their order.
    pub fn find(&mut self, key: &str) -> Option<Child<'a>> {
        let field = self.fields.as_mut().and_then(|fields| fields.find(key));
        self.map.child_of(key, field)
    }
}

impl Child<'_> {
    /// What an absent field counts as when objects are compared.
    pub fn implied(&self) -> Option<&'static Value> {
        self.field.and_then(|(field, view)| implied(field, view))
    }
}

fn free(ty: Type<'_>) -> Child<'_> {
    Child { ty, declared: false, field: None }
}

/// Custom resources may leave out what every object has.
fn type_meta<'a>(view: View<'a>, key: &str) -> Option<Child<'a>> {
    let schema = view.schema();
    if schema.kinds.is_empty() && !schema.embedded {
        return None;
    }
    let ty = match key {
        "apiVersion" | "kind" => Type::Deduced,
        "metadata" => view.types.named(OBJECT_META).map_or(Type::Deduced, Type::Declared),
        _ => return None,
    };
    Some(Child { ty, declared: true, field: None })
}

/// What Go writes for a field of an object that is there while the field is not: upstream compares built-in kinds as
/// Go structs. It matters only for who owns the field itself, next to what is in it.
fn implied(field: &Field, view: View<'_>) -> Option<&'static Value> {
    let zeros = &*ZEROS;
    match (field.omit, view.at(field.schema).shape()) {
        (Omit::Zero | Omit::EmptyOrZero, _) => None,
        (Omit::Empty, _) if field.pointer => None,
        (Omit::Never, _) if field.pointer => Some(&zeros.null),
        (_, Shape::Struct(_)) => Some(&zeros.map),
        (_, Shape::Quantity) => Some(&zeros.quantity),
        (_, Shape::Duration) => Some(&zeros.duration),
        (_, Shape::IntOrString) => Some(&zeros.number),
        (_, Shape::BoolOr(_)) => Some(&zeros.boolean),
        (_, Shape::Time | Shape::MicroTime | Shape::Any | Shape::OneOrList(_) | Shape::OneOrStrings(_)) => {
            Some(&zeros.null)
        }
        (Omit::Empty, _) => None,
        (Omit::Never, Shape::String) => Some(&zeros.string),
        (Omit::Never, Shape::Boolean) => Some(&zeros.boolean),
        (Omit::Never, Shape::Int32 | Shape::Int64 | Shape::Double) => Some(&zeros.number),
        (Omit::Never, _) => Some(&zeros.null),
    }
}

/// Go's zero values.
struct Zeros {
    null: Value,
    map: Value,
    string: Value,
    boolean: Value,
    number: Value,
    quantity: Value,
    duration: Value,
}

static ZEROS: LazyLock<Zeros> = LazyLock::new(|| Zeros {
    null: Value::Null,
    map: Value::Object(Map::new()),
    string: "".into(),
    boolean: false.into(),
    number: 0.into(),
    quantity: "0".into(),
    duration: "0s".into(),
});

impl<'a> ListType<'a> {
    /// Whether the list is replaced as a whole.
    pub fn is_atomic(&self) -> bool {
        *self.kind == ListKind::Atomic
    }

    /// What tells an item from the others.
    ///
    /// The error says why the item has nothing that does; upstream's words.
    pub fn element(&self, item: &'a Value) -> Result<Element<'a>, String> {
        match self.kind {
            ListKind::Atomic => Err("invalid indexing of non-associative list".to_owned()),
            ListKind::Set => set_element(item),
            ListKind::Map(keys) => self.map_element(keys, item),
        }
    }

    /// Appends the key that tells an item from the others in a stored field set. False: the item has none.
    pub fn put_key(&self, item: &Tree<'_>, out: &mut String) -> bool {
        match (self.kind, item) {
            (ListKind::Atomic, _) | (ListKind::Set, Tree::Null | Tree::List(_) | Tree::Map(_)) => false,
            (ListKind::Set, scalar) => {
                out.push_str("v:");
                out.push_str(&json_text(&scalar.to_value()));
                true
            }
            (ListKind::Map(keys), Tree::Map(_)) => {
                out.push_str("k:{");
                let is_sorted = keys.is_sorted();
                let mut sorted: Vec<&Box<str>> = if is_sorted { Vec::new() } else { keys.iter().collect() };
                sorted.sort_unstable();
                let begin = out.len();
                keys.iter()
                    .filter(|_| is_sorted)
                    .chain(sorted)
                    .for_each(|key| self.put_key_field(key, item, out));
                let has_key = out.len() > begin;
                out.push('}');
                has_key
            }
            (ListKind::Map(_), _) => false,
        }
    }

    fn put_key_field(&self, key: &str, item: &Tree<'_>, out: &mut String) {
        let (given, default) = (item.get(key), self.key_default(key));
        if given.is_none() && default.is_none() {
            return;
        }
        out.push_str(if out.ends_with('{') { "" } else { "," });
        push_quoted(key, out);
        out.push(':');
        match (given, default) {
            (Some(Tree::Text(text)), _) => push_quoted(text, out),
            (Some(value), _) => out.push_str(&json_text(&value.to_value())),
            (None, default) => out.push_str(&default.map(json_text).unwrap_or_default()),
        }
    }

    /// Whether the first items are those of a patch, in its order, and none of the rest is one of them again. Quick to
    /// tell, and mostly so: people apply what they applied before, and admission adds to the end.
    pub fn begins_with(&self, items: &[Value], patch: &[Tree<'_>]) -> bool {
        // Of longer rests nobody can say it quickly.
        const SHORT: usize = 4;
        let Some((first, rest)) = items.split_at_checked(patch.len()) else { return false };
        let is_same = |live: &Value, patch: &Tree<'_>| match self.kind {
            ListKind::Atomic => false,
            ListKind::Set => Kind::of(Some(live)) == Kind::Scalar && patch.is(live),
            ListKind::Map(keys) => keys.iter().all(|key| {
                let default = self.key_default(key);
                match (live.get(&**key).or(default), patch.get(key)) {
                    (Some(live), Some(patch)) => patch.is(live),
                    (Some(live), None) => Some(live) == default,
                    (None, _) => false,
                }
            }),
        };
        rest.len() <= SHORT
            && first.iter().zip(patch).all(|(live, patch)| is_same(live, patch))
            && !rest.iter().any(|live| patch.iter().any(|patch| is_same(live, patch)))
    }

    fn map_element(&self, keys: &'a [Box<str>], item: &'a Value) -> Result<Element<'a>, String> {
        let map = match item {
            Value::Object(map) => map,
            Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let found = |name: &'a str| {
            let value = Cow::Borrowed(map.get(name).or_else(|| self.key_default(name))?);
            Some(KeyField { name: Cow::Borrowed(name), value })
        };
        if let [key] = keys {
            return found(key).map(|field| Element::Key([field].into())).ok_or_else(|| no_keys(keys));
        }
        let mut fields: Vec<KeyField<'a>> = keys.iter().filter_map(|key| found(key)).collect();
        if fields.is_empty() && !keys.is_empty() {
            return Err(no_keys(keys));
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Element::Key(fields.into()))
    }

    fn key_default(&self, name: &str) -> Option<&'a Value> {
        match self.item {
            Type::Declared(view) => view.field(name)?.default.as_ref(),
            _ => None,
        }
    }
}

fn set_element(item: &Value) -> Result<Element<'_>, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(Element::Value(Cow::Borrowed(scalar))),
    }
}

fn no_keys(keys: &[Box<str>]) -> String {
    let names: Vec<String> = keys.iter().map(|k| format!("{k:?}")).collect();
    format!(
        "associative list with keys has an element that omits all key fields [{}] \
         (and doesn't have default values for any key fields)",
        names.join(" ")
    )
}

/// A value as a map, if it is one.
pub(super) fn as_map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The items of a list; none for all that is no list.
pub(super) fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

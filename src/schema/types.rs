//! The type form: an arena of schemas that refer to each other by number.
//!
//! An arena, since types are recursive (JSONSchemaProps) and shared (ObjectMeta is in every kind), and since one
//! arena per served minor is a few hundred KB that is built once and never changes.

use alcove_object::{Gvk, Value};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

/// A Kubernetes minor version that this binary serves: `1.N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Minor(pub u8);

impl Minor {
    /// The oldest minor served.
    pub const OLDEST: Minor = Minor(34);
    /// The newest minor served.
    pub const NEWEST: Minor = Minor(37);
    /// The minor served unless one is chosen.
    pub const DEFAULT: Minor = Minor(36);
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// The number of a schema in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SchemaId(pub u32);

/// What a value looks like. Scalars that are special on some wire have a shape of their own.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // plain JSON types need no more words than their names
pub enum Shape {
    /// An object with known fields, sorted by JSON name.
    Struct(Box<[Field]>),
    /// An object with free keys and values of one schema.
    Map(SchemaId),
    /// An array with items of one schema.
    List(SchemaId),
    String,
    Boolean,
    Int32,
    Int64,
    Double,
    /// Base64 in JSON, bytes in protobuf.
    Bytes,
    /// A number or a text. In protobuf a message of type, int and string.
    IntOrString,
    /// `resource.Quantity`: text or number in JSON, a message of one string in protobuf.
    Quantity,
    /// RFC 3339 with seconds; seconds and nanos in protobuf.
    Time,
    /// RFC 3339 with six digits; seconds and nanos in protobuf.
    MicroTime,
    /// Go's duration text (`1h0m0s`) in JSON, nanoseconds in a message in protobuf.
    Duration,
    /// Any JSON value, kept as it is: RawExtension, apiextensions JSON, FieldsV1 (raw bytes in a message in
    /// protobuf), and subtrees of custom resources that preserve unknown fields without a type.
    Any,
    /// A boolean, or a value of the schema (JSONSchemaPropsOrBool: protobuf allows=1, schema=2).
    BoolOr(SchemaId),
    /// A value of the schema, or a list of them (JSONSchemaPropsOrArray: protobuf schema=1, list=2).
    OneOrList(SchemaId),
    /// A value of the schema, or a list of strings (JSONSchemaPropsOrStringArray: protobuf schema=1, list=2).
    OneOrStrings(SchemaId),
}

/// How a list merges (`x-kubernetes-list-type`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ListKind {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Items are their own keys.
    Set,
    /// Items are objects told apart by these fields.
    Map(Box<[Box<str>]>),
}

/// One type. What does not apply to its shape is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// What values look like.
    pub shape: Shape,
    /// OpenAPI definition name, such as `io.k8s.api.core.v1.Pod`; empty for types without one of their own.
    pub name: Box<str>,
    /// The kinds that this definition is the root of.
    pub kinds: Box<[Gvk]>,
    /// For lists: how they merge under server-side apply.
    pub list: ListKind,
    /// For structs and maps: replaced as a whole (`x-kubernetes-map-type: atomic`). For lists, only whether OpenAPI
    /// says `atomic` aloud: [`ListKind`] is what counts.
    pub atomic: bool,
    /// For structs: unknown fields are kept, not dropped (`x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// For structs: the value is itself an object with apiVersion, kind and metadata.
    pub embedded: bool,
    /// Whether null is a value of its own.
    pub nullable: bool,
    /// The allowed values, when the set is closed. Of built-in kinds for OpenAPI only: upstream does not enforce them
    /// by schema, and validation knows more values than documents show.
    pub allowed: Box<[Value]>,
    /// OpenAPI `format`, empty if none.
    pub format: Box<str>,
    /// For messages that wrap a list in protobuf (metav1.Verbs, ExtraValue): repeated items are field 1 inside a
    /// message instead of repeated in the parent.
    pub wrapped: bool,
    /// Of a custom resource: values are kept as they are written, and judged by validation alone.
    pub custom: bool,
    /// Fields of which at most one is set, told by a discriminator (`x-kubernetes-unions`), kept for OpenAPI.
    pub unions: Option<Box<Value>>,
}

/// One field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name in JSON.
    pub name: Box<str>,
    /// Field number in protobuf; 0 if it has none.
    pub number: u32,
    /// Its type.
    pub schema: SchemaId,
    /// Whether OpenAPI lists it as required.
    pub required: bool,
    /// Where the field stands in protobuf: the numbers of the messages that Go inlines in JSON only
    /// (`json:",inline"` with a protobuf tag), outermost first. Empty: directly in the parent's message.
    pub within: Box<[u32]>,
    /// The schema's default; also what an absent list-map key counts as under server-side apply.
    pub default: Option<Value>,
    /// Merged field by field here, whatever the type says (`x-kubernetes-map-type: granular`).
    pub granular: bool,
    /// `x-kubernetes-patch-merge-key`, empty if none.
    pub merge_key: Box<str>,
    /// `x-kubernetes-patch-strategy` has `merge`.
    pub patch_merge: bool,
    /// `x-kubernetes-patch-strategy` has `retainKeys`.
    pub retain_keys: bool,
    /// `x-kubernetes-patch-strategy` is `replace`: an object is not merged.
    pub patch_replace: bool,
    /// Whether Go holds it by pointer (not as a plain value, slice or map), so that a zero value is told from none.
    pub pointer: bool,
    /// When Go leaves it out of JSON.
    pub omit: Omit,
}

/// When Go leaves a field out of JSON, by the options of its `json` tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Omit {
    /// Neither option: always written, `null` for a nil pointer, slice or map.
    Never,
    /// `omitempty`: false, 0, "", a nil pointer, an empty slice or map. Structs held by value are always written.
    #[default]
    Empty,
    /// `omitzero` without `omitempty`: any zero value, structs too; empty slices and maps that are not nil stay.
    Zero,
    /// Both options: what either leaves out.
    EmptyOrZero,
}

/// How a kind ends (`k8s:prerelease-lifecycle-gen` of upstream's types).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Since when users are warned.
    pub deprecated: Minor,
    /// Since when it is not served any more, if that is known.
    pub removed: Option<Minor>,
    /// What to use then, if there is something.
    pub replacement: Option<Gvk>,
}

impl End {
    /// What users of the kind are told (k8s.io/apiserver/pkg/endpoints/deprecation: WarningMessage).
    pub fn warning(&self, kind: &Gvk) -> String {
        let mut text = format!("{} {} is deprecated in v{}+", kind.api_version(), kind.kind, self.deprecated);
        if let Some(removed) = self.removed {
            text.push_str(&format!(", unavailable in v{removed}+"));
        }
        if let Some(other) = &self.replacement {
            text.push_str(&format!("; use {} {}", other.api_version(), other.kind));
        }
        text
    }
}

/// The arena of one minor's built-in kinds, or of one custom resource version.
#[derive(Clone, Debug, Default)]
pub struct Types {
    schemas: Vec<Schema>,
    roots: HashMap<Gvk, SchemaId>,
    names: HashMap<Box<str>, SchemaId>,
    ends: HashMap<Gvk, End>,
}

impl Types {
    /// Adds a schema and gives its number. Kinds and a name, if it has any, become known.
    pub fn add(&mut self, schema: Schema) -> SchemaId {
        let id = SchemaId(self.schemas.len() as u32);
        self.index(id, &schema);
        self.schemas.push(schema);
        id
    }

    /// Puts a schema in place of another, for types that refer to themselves: add a placeholder first.
    pub fn replace(&mut self, id: SchemaId, schema: Schema) {
        self.index(id, &schema);
        self.schemas[id.0 as usize] = schema;
    }

    /// Copies a schema of another arena and all that it reaches, and gives its number here. What is known by name
    /// already is not copied again.
    pub fn import(&mut self, view: View<'_>) -> SchemaId {
        let known =
            Some(&view.schema().name).filter(|name| !name.is_empty()).and_then(|name| self.names.get(name));
        if let Some(id) = known {
            return *id;
        }
        let mut schema = view.schema().clone();
        // Types refer to themselves by name alone, so a name that stands before its shape ends the recursion.
        let id = self.add(Schema { shape: Shape::Any, ..schema.clone() });
        schema.shape = match schema.shape {
            Shape::Struct(mut fields) => {
                for field in &mut fields {
                    field.schema = self.import(view.at(field.schema));
                }
                Shape::Struct(fields)
            }
            Shape::Map(inner) => Shape::Map(self.import(view.at(inner))),
            Shape::List(inner) => Shape::List(self.import(view.at(inner))),
            Shape::BoolOr(inner) => Shape::BoolOr(self.import(view.at(inner))),
            Shape::OneOrList(inner) => Shape::OneOrList(self.import(view.at(inner))),
            Shape::OneOrStrings(inner) => Shape::OneOrStrings(self.import(view.at(inner))),
            scalar => scalar,
        };
        self.replace(id, schema);
        id
    }

    fn index(&mut self, id: SchemaId, schema: &Schema) {
        for kind in &schema.kinds {
            self.roots.insert(kind.clone(), id);
        }
        if !schema.name.is_empty() {
            self.names.insert(schema.name.clone(), id);
        }
    }

    /// Says how a kind ends.
    pub(crate) fn ends(&mut self, kind: Gvk, end: End) {
        self.ends.insert(kind, end);
    }

    /// How a kind ends, if that is known.
    pub fn end(&self, kind: &Gvk) -> Option<&End> {
        self.ends.get(kind)
    }

    /// The schema of this number.
    pub fn view(&self, id: SchemaId) -> View<'_> {
        View { types: self, id }
    }

    /// The schema of a kind.
    pub fn kind(&self, kind: &Gvk) -> Option<View<'_>> {
        self.roots.get(kind).map(|id| self.view(*id))
    }

    /// The schema of an OpenAPI definition name.
    pub fn named(&self, name: &str) -> Option<View<'_>> {
        self.names.get(name).map(|id| self.view(*id))
    }

    /// All kinds with their schemas, in no order.
    pub fn kinds(&self) -> impl Iterator<Item = (&Gvk, View<'_>)> {
        self.roots.iter().map(|(kind, id)| (kind, self.view(*id)))
    }

    /// All schemas that have a definition name, in no order.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, View<'_>)> {
        self.names.iter().map(|(name, id)| (&**name, self.view(*id)))
    }
}

impl Field {
    /// A field of this name and schema and nothing else, held by pointer, as fields of custom resources are.
    pub fn of(name: impl Into<Box<str>>, schema: SchemaId) -> Field {
        Field {
            name: name.into(),
            number: 0,
            schema,
            required: false,
            within: [].into(),
            default: None,
            merge_key: "".into(),
            patch_merge: false,
            granular: false,
            retain_keys: false,
            patch_replace: false,
            pointer: true,
            omit: Omit::Empty,
        }
    }
}

impl Schema {
    /// A schema of this shape and nothing else.
    pub fn of(shape: Shape) -> Schema {
        Schema {
            shape,
            name: "".into(),
            kinds: [].into(),
            list: ListKind::Atomic,
            atomic: false,
            preserve_unknown: false,
            embedded: false,
            nullable: false,
            allowed: [].into(),
            format: "".into(),
            wrapped: false,
            custom: false,
            unions: None,
        }
    }
}

/// A schema together with the arena that its references point into.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The arena.
    pub types: &'a Types,
    /// The schema's number.
    pub id: SchemaId,
}

impl<'a> View<'a> {
    /// The schema itself.
    pub fn schema(self) -> &'a Schema {
        &self.types.schemas[self.id.0 as usize]
    }

    /// What values look like.
    pub fn shape(self) -> &'a Shape {
        &self.schema().shape
    }

    /// The fields of a struct; none for other shapes.
    pub fn fields(self) -> &'a [Field] {
        match self.shape() {
            Shape::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// A field of a struct by its JSON name.
    pub fn field(self, name: &str) -> Option<&'a Field> {
        let fields = self.fields();
        fields.binary_search_by(|f| order(&f.name, name)).ok().map(|i| &fields[i])
    }

    /// The fields of a struct for keys that come in their order, as those of a tree do.
    pub fn in_order(self) -> InOrder<'a> {
        InOrder { rest: self.fields() }
    }

    /// The schema of what is under a key: a struct's field or a map's value.
    pub fn child(self, key: &str) -> Option<View<'a>> {
        match self.shape() {
            Shape::Struct(_) => self.field(key).map(|f| self.at(f.schema)),
            Shape::Map(value) => Some(self.at(*value)),
            _ => None,
        }
    }

    /// The schema of a list's items.
    pub fn item(self) -> Option<View<'a>> {
        match self.shape() {
            Shape::List(item) => Some(self.at(*item)),
            _ => None,
        }
    }

    /// Another schema of the same arena.
    pub fn at(self, id: SchemaId) -> View<'a> {
        View { types: self.types, id }
    }
}

/// Finds the fields of a struct for one key after the other in a single pass over both.
pub struct InOrder<'a> {
    rest: &'a [Field],
}

impl<'a> InOrder<'a> {
    /// The field of this name. Must not be asked for a name that sorts before one that it was asked for.
    pub fn find(&mut self, name: &str) -> Option<&'a Field> {
        while let Some((first, rest)) = self.rest.split_first() {
            match order(&first.name, name) {
                Ordering::Less => self.rest = rest,
                Ordering::Equal => {
                    self.rest = rest;
                    return Some(first);
                }
                Ordering::Greater => return None,
            }
        }
        None
    }
}

/// The order of two names. Most differ in their first letter.
pub(crate) fn order(a: &str, b: &str) -> Ordering {
    match (a.as_bytes().first(), b.as_bytes().first()) {
        (Some(first), Some(other)) if first != other => first.cmp(other),
        _ => a.cmp(b),
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} {:?})", self.schema().name, self.id)
    }
}

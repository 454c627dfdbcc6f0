//! Types: what the checker reasons with, and declarations of data with its sizes (k8s.io/apiserver/pkg/cel: DeclType).

use crate::parser::RESERVED;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A type as the checker knows it.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the types of the language need no more words than their names
pub enum Type {
    /// Anything; checked when it is evaluated.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    /// Keys and values.
    Map(Arc<(Type, Type)>),
    /// Data of a declaration with fields. Two are one type only if they are one declaration.
    Object(Arc<Decl>),
    Optional(Arc<Type>),
    /// The type of types.
    Type,
    /// A type of a library.
    Opaque(&'static str),
    /// A value that the expression makes, by the name of its type.
    Record(Arc<str>),
    /// A parameter of a function's signature.
    Param(usize),
    /// What follows from something wrong; agrees with everything.
    Error,
}

/// Data that expressions see: its shape and how large it may be.
#[derive(Debug)]
pub struct Decl {
    /// What it looks like.
    pub shape: Shape,
    /// Characters, items or entries at most.
    pub elements_max: u64,
    /// The fewest bytes of JSON that it takes.
    pub bytes_min: u64,
}

/// What declared data looks like.
#[derive(Debug)]
pub enum Shape {
    /// A scalar, or anything.
    Scalar(Type),
    /// A list, and how its items are told apart.
    List(Arc<Decl>, Merge),
    /// Entries with keys that are text.
    Map(Arc<Decl>),
    /// Fields, by the names that expressions use.
    Object(BTreeMap<Box<str>, Field>),
}

/// One field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name in JSON.
    pub json: Box<str>,
    /// What it holds.
    pub decl: Arc<Decl>,
}

/// How items of a list are told apart (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// By their place.
    Atomic,
    /// By themselves: order is nothing.
    Set,
    /// By these fields, as JSON names them: order is nothing.
    Map(Box<[Box<str>]>),
}

impl Decl {
    /// A scalar of at least so many bytes and at most so many elements.
    pub fn scalar(kind: Type, bytes_min: u64, elements_max: u64) -> Arc<Decl> {
        Arc::new(Decl { shape: Shape::Scalar(kind), elements_max, bytes_min })
    }

    /// Anything at all, of any size that fits into a request.
    pub fn anything() -> Arc<Decl> {
        Decl::scalar(Type::Dyn, 1, crate::limits::REQUEST_BYTES_MAX)
    }

    /// The type that the checker sees.
    pub fn type_of(self: &Arc<Decl>) -> Type {
        match &self.shape {
            Shape::Scalar(kind) => kind.clone(),
            Shape::List(item, _) => Type::List(Arc::new(item.type_of())),
            Shape::Map(value) => Type::Map(Arc::new((Type::String, value.type_of()))),
            Shape::Object(_) => Type::Object(self.clone()),
        }
    }

    /// What the items of a list or the values of a map are.
    pub fn element(&self) -> Option<&Arc<Decl>> {
        match &self.shape {
            Shape::List(inner, _) | Shape::Map(inner) => Some(inner),
            _ => None,
        }
    }

    /// A field, by the name that expressions use.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match &self.shape {
            Shape::Object(fields) => fields.get(name),
            _ => None,
        }
    }
}

impl Type {
    /// Whether a value of the type has a fixed size.
    pub(crate) fn is_scalar(&self) -> bool {
        matches!(self, Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Timestamp | Type::Duration)
    }

    pub(crate) fn is_any(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// Whether two types are the very same.
    pub fn is(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a.is(b),
            (Type::Map(a), Type::Map(b)) => a.0.is(&b.0) && a.1.is(&b.1),
            (Type::Object(a), Type::Object(b)) => Arc::ptr_eq(a, b),
            (Type::Opaque(a), Type::Opaque(b)) => a == b,
            (Type::Record(a), Type::Record(b)) => a == b,
            (Type::Param(a), Type::Param(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::List(item) => write!(f, "list({item})"),
            Type::Map(entry) => write!(f, "map({}, {})", entry.0, entry.1),
            Type::Object(_) => f.write_str("object"),
            Type::Optional(inner) => write!(f, "optional_type({inner})"),
            Type::Type => f.write_str("type"),
            Type::Opaque(name) => f.write_str(name),
            Type::Record(name) => f.write_str(name),
            Type::Param(n) => write!(f, "<{n}>"),
            Type::Error => f.write_str("!error!"),
        }
    }
}

/// The name under which expressions reach a property; `None`: they cannot (k8s.io/apiserver/pkg/cel/escaping.go).
pub fn escape(name: &str) -> Option<String> {
    const LITERALS: [&str; 4] = ["true", "false", "null", "in"];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if LITERALS.contains(&name) || RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '_' if rest.peek() == Some(&'_') => {
                rest.next();
                out.push_str("__underscores__");
            }
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            c if c.is_ascii_alphanumeric() || c == '_' => out.push(c),
            _ => return None,
        }
    }
    Some(out)
}

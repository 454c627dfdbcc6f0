//! The tree of an expression. Macros are gone by then: what they stand for is a [`Fold`], as in cel-go, so that types,
//! costs and evaluation know one kind of loop.

use crate::library::Builtin;
use regex::Regex;

/// The number of an expression in its tree.
pub(crate) type Id = usize;

/// One expression.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub id: Id,
    /// Where in the source it stands, in characters.
    pub at: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    Ident(Box<str>),
    /// A field, or, for `test`, whether it is there.
    Select {
        operand: Box<Expr>,
        field: Box<str>,
        test: bool,
    },
    Call(Call),
    /// A list; `optional` are the numbers of items that may be missing.
    List {
        items: Vec<Expr>,
        optional: Vec<usize>,
    },
    Map(Vec<Entry>),
    /// `Name{field: value}`.
    Struct {
        name: Box<str>,
        fields: Vec<Member>,
    },
    Fold(Box<Fold>),
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub function: Box<str>,
    pub target: Option<Box<Expr>>,
    pub args: Vec<Expr>,
    /// What is called; found when types are checked.
    pub builtin: Option<Builtin>,
    /// The pattern of a call whose pattern is a literal.
    pub pattern: Option<Regex>,
}

/// One field of a struct literal.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub at: usize,
    pub name: Box<str>,
    pub value: Expr,
    pub optional: bool,
}

/// One entry of a map literal.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

/// A loop: over each item of `range`, as long as `condition` holds, `accu` becomes `step`; its worth is `result`.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub range: Expr,
    /// The item of a list or the key of a map; with `second`, the index or the key.
    pub first: Box<str>,
    pub second: Option<Box<str>>,
    pub accu: Box<str>,
    pub init: Expr,
    pub condition: Expr,
    pub step: Expr,
    pub result: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
}

impl Expr {
    /// The text of a name.
    pub fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            _ => None,
        }
    }

    /// The text of a literal.
    pub fn literal_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Literal(Literal::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The name that `a.b.c` may stand for as a whole.
    pub fn qualified(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.to_string()),
            Kind::Select { operand, field, test: false } => Some(format!("{}.{field}", operand.qualified()?)),
            _ => None,
        }
    }

    /// The expressions right below.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
            Kind::Select { operand, .. } => vec![operand],
            Kind::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Kind::List { items, .. } => items.iter().collect(),
            Kind::Map(entries) => entries.iter().flat_map(|e| [&e.key, &e.value]).collect(),
            Kind::Struct { fields, .. } => fields.iter().map(|field| &field.value).collect(),
            Kind::Fold(f) => vec![&f.range, &f.init, &f.condition, &f.step, &f.result],
        }
    }
}

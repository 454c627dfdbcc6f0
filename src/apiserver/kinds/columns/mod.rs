//! Table columns of the built-in kinds: what `kubectl get` shows (k8s.io/kubernetes/pkg/printers/internalversion).
//! Cells beyond a name, an age or a plain field are computed here, one function each.

pub(super) mod access;
pub(super) mod apps;
pub(super) mod batch;
pub(super) mod control;
pub(super) mod core;
pub(super) mod network;
pub(super) mod pods;
mod show;
pub(super) mod storage;

use super::tree::int;
use crate::registry::{Cell, Column};
use alcove_object::Value;
use jiff::Timestamp;

/// A cell's computation.
type Compute = fn(&Value, Timestamp) -> Value;

fn column(name: &str, kind: &'static str, description: &str, cell: Cell) -> Column {
    Column { name: name.into(), kind, format: "", description: description.into(), priority: 0, cell }
}

/// The first column of nearly every kind.
fn name() -> Column {
    Column {
        format: "name",
        ..column("Name", "string", "Name of the object, unique in its namespace.", Cell::Name)
    }
}

/// Time since creation.
fn age() -> Column {
    column("Age", "string", "Time since the object was created.", Cell::Age)
}

/// A cell that is computed from the object, whatever it reads.
fn computed(compute: Compute) -> Cell {
    Cell::Computed { compute, reads: &[] }
}

/// The same columns, which read nothing of objects but these paths, names and ages aside. `*` stands for the items of a
/// list. Worth naming where objects are large and columns show little of them.
fn reading(paths: &'static [&'static str], mut columns: Vec<Column>) -> Vec<Column> {
    for column in &mut columns {
        if let Cell::Computed { reads, .. } = &mut column.cell {
            *reads = paths;
        }
    }
    columns
}

/// A column of texts.
fn string(name: &str, description: &str, compute: Compute) -> Column {
    column(name, "string", description, computed(compute))
}

/// A column of numbers.
fn integer(name: &str, description: &str, compute: Compute) -> Column {
    column(name, "integer", description, computed(compute))
}

/// A column of booleans.
fn boolean(name: &str, description: &str, compute: Compute) -> Column {
    column(name, "boolean", description, computed(compute))
}

/// The same column, shown with `-o wide` alone.
fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

/// The computation that gives the text at a pointer, empty when missing.
macro_rules! text_at {
    ($pointer:literal) => {
        |object, _| $crate::kinds::tree::text(object, $pointer).into()
    };
    ($pointer:literal or $missing:literal) => {
        |object, _| match $crate::kinds::tree::text(object, $pointer) {
            "" => $missing.into(),
            text => text.into(),
        }
    };
    ($pointer:literal unless missing $missing:literal) => {
        |object, _| match $crate::kinds::tree::some(object, $pointer) {
            None => $missing.into(),
            Some(text) => text.as_str().unwrap_or_default().into(),
        }
    };
}

/// The computation that gives the number at a pointer, 0 when missing.
macro_rules! int_at {
    ($pointer:literal) => {
        |object, _| $crate::kinds::tree::int(object, $pointer).into()
    };
}

/// The computation that gives the boolean at a pointer, false when missing.
macro_rules! flag_at {
    ($pointer:literal) => {
        |object, _| $crate::kinds::tree::flag(object, $pointer).into()
    };
}

/// The computation that counts the items of the list at a pointer.
macro_rules! count_at {
    ($pointer:literal) => {
        |object, _| $crate::kinds::tree::list(object, $pointer).len().into()
    };
}
use {count_at, flag_at, int_at, text_at};

/// No table: answered with 406.
pub(super) fn none() -> Vec<Column> {
    Vec::new()
}

/// Name and time of creation: kinds that upstream has no printer for.
pub(super) fn created() -> Vec<Column> {
    vec![name(), column("Created At", "date", "Time when the object was created.", Cell::Created)]
}

/// The columns of autoscaling/v1 Scale, the body of every `scale` subresource.
pub fn scale() -> Vec<Column> {
    vec![
        Column { format: "", ..name() },
        integer("Desired", "Number of instances asked for.", |scale, _| int(scale, "/spec/replicas").into()),
        integer("Available", "Number of instances observed.", |scale, _| {
            int(scale, "/status/replicas").into()
        }),
        age(),
    ]
}

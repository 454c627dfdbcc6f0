//! Tables: what `kubectl get` prints, made on the server from the columns of a resource's descriptor
//! (k8s.io/apimachinery/pkg/apis/meta/v1 Table, k8s.io/kubernetes/pkg/printers).
//!
//! A row is rendered to bytes when it is sent, from one object at a time; nothing holds the trees of a list.

use crate::client::Object;
use crate::http::negotiate::MetaVersion;
use crate::http::splice;
use crate::registry::{Cell, Column, Resource};
use crate::rest;
use alcove_object::lean::Wanted;
use alcove_object::{Status, Value, meta, time};
use jiff::Timestamp;
use serde_json::json;
use std::sync::{Arc, LazyLock};

/// The columns of kinds that have none of their own.
static DEFAULT_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        Column {
            name: "Name".into(),
            kind: "string",
            format: "name",
            description: "Name of the object, unique in its namespace.".into(),
            priority: 0,
            cell: Cell::Name,
        },
        Column {
            name: "Created At".into(),
            kind: "date",
            format: "",
            description: "When the server stored the object for the first time, in UTC.".into(),
            priority: 0,
            cell: Cell::Created,
        },
    ]
});

/// What a row carries beside its cells (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of the API
pub enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    /// Reads the query parameter; 400 for unknown words.
    pub fn parse(text: &str) -> Result<Include, Status> {
        match text {
            "" | "Metadata" => Ok(Include::Metadata),
            "None" => Ok(Include::None),
            "Object" => Ok(Include::Object),
            other => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: \
                 must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// Whose columns a table has.
#[derive(Clone)]
pub enum Columns {
    /// A resource's.
    Of(Arc<Resource>),
    /// Columns that no resource owns, such as those of a scale.
    These(Arc<[Column]>),
}

impl Columns {
    fn slice(&self) -> &[Column] {
        match self {
            Columns::Of(resource) if resource.columns.is_empty() => &DEFAULT_COLUMNS,
            Columns::Of(resource) => &resource.columns,
            Columns::These(columns) => columns,
        }
    }
}

/// How to make tables of one resource for one request.
#[derive(Clone)]
pub struct Table {
    columns: Columns,
    version: MetaVersion,
    include: Include,
    now: Timestamp,
    needs: Needs,
}

/// What of an object cells are made from.
#[derive(Clone)]
enum Needs {
    /// Name and creation time, which need no tree.
    Plain,
    /// Some paths.
    Some(Arc<Wanted>),
    /// Everything, as far as can be told.
    All,
}

impl Needs {
    fn of(columns: &[Column]) -> Needs {
        if columns.iter().all(|column| matches!(column.cell, Cell::Name | Cell::Age | Cell::Created)) {
            return Needs::Plain;
        }
        let mut wanted = Wanted::default();
        wanted.add(["metadata", "name"]);
        wanted.add(["metadata", "creationTimestamp"]);
        for column in columns {
            match &column.cell {
                Cell::Name | Cell::Age | Cell::Created => {}
                Cell::Path(path) => wanted.add(path.leading_fields()),
                Cell::Computed { reads: [], .. } => return Needs::All,
                Cell::Computed { reads, .. } => reads.iter().for_each(|path| wanted.add(path.split('/'))),
            }
        }
        Needs::Some(Arc::new(wanted))
    }
}

impl Table {
    /// Tables with these columns; ages count from `now`.
    pub fn new(columns: Columns, version: MetaVersion, include: Include, now: Timestamp) -> Table {
        let needs = Needs::of(columns.slice());
        Table { columns, version, include, now, needs }
    }

    /// The same tables at another time, for a watch that goes on.
    pub fn at(self, now: Timestamp) -> Table {
        Table { now, ..self }
    }

    /// Objects as their rows follow each other.
    pub fn in_order(&self, mut objects: Vec<Object>) -> Vec<Object> {
        if let Columns::Of(resource) = &self.columns
            && !resource.rules.table_order.is_empty()
        {
            let place = resource.rules.table_order;
            objects.sort_by_cached_key(|object| object.parse().pointer(place).and_then(Value::as_i64));
        }
        objects
    }

    /// Everything before the first row. `metadata` is the list's in JSON, or the object's resourceVersion. Only the
    /// first table of a watch defines the columns.
    pub fn head(&self, metadata: &str, with_columns: bool) -> String {
        let definition = |c: &Column| {
            json!({
                "name": c.name, "type": c.kind, "format": c.format,
                "description": c.description, "priority": c.priority,
            })
        };
        let columns: Value = match with_columns {
            true => self.columns.slice().iter().map(definition).collect(),
            false => Value::Null,
        };
        let version = self.version.api_version();
        format!(
            r#"{{"kind":"Table","apiVersion":"{version}","metadata":{metadata},"columnDefinitions":{columns},"rows":["#
        )
    }

    /// Everything after the last row.
    pub const TAIL: &'static str = "]}";

    /// One row.
    pub fn row(&self, object: &Object) -> Vec<u8> {
        let metadata = splice::metadata(&object.bytes);
        let mut row = Vec::with_capacity(metadata.len() + 256);
        row.extend_from_slice(b"{\"cells\":");
        let cells = match &self.needs {
            Needs::Plain => self.plain_cells(metadata),
            Needs::Some(wanted) => self.cells(&wanted.read(&object.bytes).unwrap_or_else(|_| object.parse())),
            Needs::All => self.cells(&self.tree(object)),
        };
        serde_json::to_writer(&mut row, &cells).expect("JSON values serialize into memory");
        row.extend_from_slice(b",\"object\":");
        match self.include {
            Include::None => row.extend_from_slice(b"null"),
            Include::Metadata => partial(self.version, metadata, &mut row),
            Include::Object => row.extend_from_slice(&object.bytes),
        }
        row.push(b'}');
        row
    }

    /// The row of a bookmark: no cells worth showing, the revision and its annotations in the object.
    pub fn bookmark_row(&self, metadata: &str) -> Vec<u8> {
        let cell = |column: &Column| if column.format == "name" { "".into() } else { Value::Null };
        let cells: Value = self.columns.slice().iter().map(cell).collect();
        let mut row = format!("{{\"cells\":{cells},\"object\":").into_bytes();
        partial(self.version, metadata, &mut row);
        row.push(b'}');
        row
    }

    /// What cells are computed from that may read anything. Built-in columns show nothing of managed fields, so those are not even read.
    fn tree(&self, object: &Object) -> Value {
        let is_built_in = matches!(&self.columns, Columns::Of(resource) if resource.custom.is_none());
        let lean = is_built_in.then(|| rest::apart(&object.bytes).ok()).flatten();
        lean.map_or_else(|| object.parse(), |(tree, _)| tree)
    }

    fn cells(&self, object: &Value) -> Vec<Value> {
        let cell = |column: &Column| match &column.cell {
            Cell::Name => meta::name(object).into(),
            Cell::Age => age(meta::text(object, "creationTimestamp"), self.now).into(),
            Cell::Created => meta::text(object, "creationTimestamp").into(),
            Cell::Path(path) => typed(column.kind, path.first(object), self.now),
            Cell::Computed { compute, .. } => compute(object, self.now),
        };
        self.columns.slice().iter().map(cell).collect()
    }

    fn plain_cells(&self, metadata: &str) -> Vec<Value> {
        let plain = splice::plain(metadata);
        let cell = |column: &Column| match &column.cell {
            Cell::Age => age(&plain.creation_timestamp, self.now).into(),
            Cell::Created => Value::from(&*plain.creation_timestamp),
            _ => Value::from(&*plain.name),
        };
        self.columns.slice().iter().map(cell).collect()
    }
}

/// A value as a column of this type shows it; null for what does not fit
/// (k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor).
fn typed(kind: &str, value: Option<&Value>, now: Timestamp) -> Value {
    match (kind, value) {
        (_, None) => Value::Null,
        ("string", Some(Value::String(text))) => text.as_str().into(),
        ("string", Some(Value::Null)) => "<nil>".into(),
        ("string", Some(other)) => other.to_string().into(),
        ("integer", Some(Value::Number(n))) => {
            n.as_i64().or_else(|| n.as_f64().map(|n| n as i64)).map_or(Value::Null, Value::from)
        }
        ("number", Some(Value::Number(n))) => Value::Number(n.clone()),
        ("boolean", Some(Value::Bool(flag))) => (*flag).into(),
        ("date", Some(Value::String(text))) => match time::parse(text) {
            Some(_) => age(text, now).into(),
            None => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

/// Appends a `PartialObjectMetadata` with this metadata.
pub fn partial(version: MetaVersion, metadata: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    out.extend_from_slice(version.api_version().as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    out.extend_from_slice(metadata.as_bytes());
    out.push(b'}');
}

/// The time since then in kubectl's short form, `<unknown>` if there is no then.
pub fn age(then: &str, now: Timestamp) -> String {
    match time::parse(then) {
        Some(then) => time::human_duration(now.as_second() - then.as_second()),
        None => "<unknown>".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        assert_eq!(age("", "2026-01-01T00:00:00Z".parse().unwrap()), "<unknown>");
        assert_eq!(age("2026-01-01T00:00:00Z", "2026-01-01T00:01:05Z".parse().unwrap()), "65s");
    }

    #[test]
    fn values_as_columns_show_them() {
        let now = "2026-01-01T00:01:05Z".parse().unwrap();
        for (kind, value, shown) in [
            ("string", json!("a"), json!("a")),
            ("string", json!({"a": [1]}), json!("{\"a\":[1]}")),
            ("integer", json!(3), json!(3)),
            ("integer", json!("3"), Value::Null),
            ("number", json!(1.5), json!(1.5)),
            ("boolean", json!(true), json!(true)),
            ("date", json!("2026-01-01T00:00:00Z"), json!("65s")),
            ("date", json!("soon"), json!("<invalid>")),
            ("date", json!(1), Value::Null),
        ] {
            assert_eq!(typed(kind, Some(&value), now), shown, "{kind} {value}");
        }
        assert_eq!(typed("string", None, now), Value::Null);
    }

    #[test]
    fn include_object() {
        assert_eq!(Include::parse("").unwrap(), Include::Metadata);
        assert_eq!(Include::parse("None").unwrap(), Include::None);
        assert_eq!(Include::parse("all").unwrap_err().code, 400);
    }
}

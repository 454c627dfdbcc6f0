//! Objects and lists in the form that was asked for: whole, metadata only, or as tables.

use super::body::Body;
use super::negotiate::{Format, Media, MetaVersion, Transform};
use super::protobuf::{self, Messages};
use super::splice;
use crate::client::{Object, ObjectList};
use crate::table::{Columns, Include, Table, partial};
use alcove_object::{Gvk, Reason, Status, Value};
use alcove_schema::Types;
use bytes::Bytes;
use jiff::Timestamp;
use std::sync::Arc;

/// What an answer about objects looks like.
pub struct Form {
    /// The negotiated media type.
    pub media: Media,
    /// The columns of tables.
    pub columns: Columns,
    /// Whether items of lists keep their kind and apiVersion, as custom resources do.
    pub is_custom: bool,
    /// The kind of the objects.
    pub gvk: Gvk,
    /// The kind of lists of them.
    pub list_kind: String,
    /// The arena that their schema lives in.
    pub types: Arc<Types>,
    /// What table rows carry.
    pub include: Include,
    /// From when ages count.
    pub now: Timestamp,
}

/// What objects are shown as.
pub enum Shape {
    /// As they are.
    Whole,
    /// Their metadata.
    Partial(MetaVersion),
    /// Rows.
    Table(Table),
}

impl Form {
    /// The shape of single objects and watch events; 406 when only a list can have the shape.
    pub fn of_object(&self) -> Result<Shape, Status> {
        match self.media.transform {
            None => Ok(Shape::Whole),
            Some((Transform::PartialObjectMetadata, version)) => Ok(Shape::Partial(version)),
            Some((Transform::Table, version)) => Ok(Shape::Table(self.table(version))),
            Some((Transform::PartialObjectMetadataList, _)) => Err(not_acceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                self.gvk.kind
            ))),
        }
    }

    /// The shape of lists; 406 when only a single object can have the shape.
    pub fn of_list(&self) -> Result<Shape, Status> {
        match self.media.transform {
            None => Ok(Shape::Whole),
            Some((Transform::PartialObjectMetadataList, version)) => Ok(Shape::Partial(version)),
            Some((Transform::Table, version)) => Ok(Shape::Table(self.table(version))),
            Some((Transform::PartialObjectMetadata, _)) => Err(not_acceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({})",
                self.list_kind
            ))),
        }
    }

    fn table(&self, version: MetaVersion) -> Table {
        Table::new(self.columns.clone(), version, self.include, self.now)
    }

    /// One object.
    pub fn object(&self, object: &Object) -> Result<Body, Status> {
        if self.media.format == Format::Protobuf {
            return Ok(Body::full(self.protobuf()?.object(&object.bytes)));
        }
        let mut out = Vec::with_capacity(object.bytes.len() + 1);
        match self.of_object()? {
            Shape::Whole => out.extend_from_slice(&object.bytes),
            Shape::Partial(version) => partial(version, splice::metadata(&object.bytes), &mut out),
            Shape::Table(table) => {
                out.extend_from_slice(table.head(&revision_metadata(object.revision), true).as_bytes());
                out.extend_from_slice(&table.row(object));
                out.extend_from_slice(Table::TAIL.as_bytes());
            }
        }
        out.push(b'\n');
        Ok(written(self.media, Body::full(out)))
    }

    /// A page of objects, rendered while it is sent.
    pub fn list(&self, list: ObjectList) -> Result<Body, Status> {
        let mut metadata = list_metadata(&list);
        if self.media.format == Format::Protobuf {
            return Ok(self.protobuf()?.list(&metadata, list.items));
        }
        let body = match self.of_list()? {
            Shape::Whole => {
                // Lists without a type of their own always say where to go on.
                if self.is_custom && list.continue_token.is_empty() {
                    metadata.insert_str(1, "\"continue\":\"\",");
                }
                self.whole_list(&metadata, list.items)
            }
            Shape::Partial(version) => {
                let head = list_head("PartialObjectMetadataList", version.api_version(), &metadata);
                let items = list.items.into_iter().map(move |object| {
                    let mut out = Vec::new();
                    partial(version, splice::metadata(&object.bytes), &mut out);
                    Bytes::from(out)
                });
                Body::pieces(enclosed(head, items.map(|item| [item]), "]}\n"), None)
            }
            Shape::Table(table) => {
                let head = table.head(&metadata, true);
                let rows = table
                    .in_order(list.items)
                    .into_iter()
                    .map(move |object| [Bytes::from(table.row(&object))]);
                Body::pieces(enclosed(head, rows, "]}\n"), None)
            }
        };
        Ok(written(self.media, body))
    }

    /// The writer of protobuf answers.
    pub fn protobuf(&self) -> Result<Messages, Status> {
        Messages::new(&self.types, &self.gvk, self.media.transform.map(|(_, version)| version))
    }

    fn whole_list(&self, metadata: &str, items: Vec<Object>) -> Body {
        let head = list_head(&self.list_kind, &self.gvk.api_version(), metadata);
        if self.is_custom {
            let commas = items.len().saturating_sub(1);
            let sum: usize = items.iter().map(|object| object.bytes.len()).sum();
            let length = head.len() + sum + commas + 3;
            let items = items.into_iter().map(|object| [object.bytes]);
            return Body::pieces(enclosed(head, items, "]}\n"), Some(length as u64));
        }
        // Items of built-in lists carry neither kind nor apiVersion.
        let items = items.into_iter().map(|object| splice::without_type_meta(&object.bytes));
        Body::pieces(enclosed(head, items, "]}\n"), None)
    }
}

/// `{"kind":…,"apiVersion":…,"metadata":…,"items":[`
fn list_head(kind: &str, api_version: &str, metadata: &str) -> String {
    format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#)
}

/// Head, items with commas between them, tail.
fn enclosed<const N: usize>(
    head: String,
    items: impl Iterator<Item = [Bytes; N]> + Send + 'static,
    tail: &'static str,
) -> impl Iterator<Item = Bytes> + Send + 'static {
    let separated = items.enumerate().flat_map(|(at, item)| {
        let comma = (at > 0).then(|| Bytes::from_static(b","));
        comma.into_iter().chain(item.into_iter().filter(|piece| !piece.is_empty()))
    });
    std::iter::once(Bytes::from(head))
        .chain(separated)
        .chain(std::iter::once(Bytes::from_static(tail.as_bytes())))
}

/// A list's metadata in JSON.
fn list_metadata(list: &ObjectList) -> String {
    let mut metadata = format!("{{\"resourceVersion\":\"{}\"", list.revision);
    if !list.continue_token.is_empty() {
        metadata.push_str(&format!(",\"continue\":{}", Value::from(list.continue_token.as_str())));
    }
    if let Some(remaining) = list.remaining.filter(|_| !list.continue_token.is_empty()) {
        metadata.push_str(&format!(",\"remainingItemCount\":{remaining}"));
    }
    metadata.push('}');
    metadata
}

/// Metadata that says a revision and nothing else.
pub fn revision_metadata(revision: u64) -> String {
    format!("{{\"resourceVersion\":\"{revision}\"}}")
}

/// JSON in the form that was negotiated: as it is, indented, as YAML, or, for kinds that are in every minor, as
/// protobuf.
pub fn written(media: Media, json: Body) -> Body {
    match media.format {
        Format::Json if media.pretty => json.indented(),
        Format::Json => json,
        Format::Yaml => Body::full(yaml(&json.collect())),
        Format::Protobuf => Body::full(protobuf::of_json(&json.collect())),
    }
}

/// JSON as YAML; as JSON, which is YAML too, if it cannot be.
fn yaml(json: &[u8]) -> Vec<u8> {
    let tree: Option<Value> = serde_json::from_slice(json).ok();
    let text = tree.and_then(|tree| serde_saphyr::to_string(&tree).ok());
    text.map_or_else(|| json.to_vec(), String::into_bytes)
}

fn not_acceptable(message: String) -> Status {
    Status::new(406, Reason::NOT_ACCEPTABLE, message)
}

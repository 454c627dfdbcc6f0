//! Watch streams: one JSON line per event, and all events that are there in one frame.

use super::body::Body;
use super::objects::{Form, Shape, revision_metadata};
use super::splice;
use crate::client::{Event, Object, Watch};
use crate::table::{Table, partial};
use alcove_object::{Env, Gvk, Status};
use bytes::Bytes;
use futures_util::stream;
use std::sync::Arc;
use tokio::sync::watch;

/// Annotation of the bookmark that ends the initial events of a watch-list.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// One client's stream and how it is written.
struct Writer {
    watch: Watch,
    shape: Shape,
    gvk: Gvk,
    env: Arc<dyn Env>,
    /// Whether a table has told the columns already.
    columns_told: bool,
    /// Turns true when the server shuts down.
    closing: watch::Receiver<bool>,
    ended: bool,
}

/// The body of a watch: goes on until the watch ends, an error was told, or the server shuts down.
pub fn body(
    watch: Watch,
    form: &Form,
    env: Arc<dyn Env>,
    closing: watch::Receiver<bool>,
) -> Result<Body, Status> {
    let (shape, gvk) = (form.of_object()?, form.gvk.clone());
    let writer = Writer { watch, shape, gvk, env, columns_told: false, closing, ended: false };
    Ok(Body::stream(stream::unfold(writer, Writer::step)))
}

impl Writer {
    async fn step(mut self) -> Option<(Bytes, Writer)> {
        if self.ended {
            return None;
        }
        let told = tokio::select! {
            biased;
            told = self.watch.next() => told?,
            _ = self.closing.wait_for(|closing| *closing) => return None,
        };
        let mut frame = Vec::new();
        match told {
            Ok(events) => {
                if let Shape::Table(table) = self.shape {
                    self.shape = Shape::Table(table.at(self.env.now()));
                }
                let bytes: usize = events.iter().map(|event| event_bytes(event) + 40).sum();
                frame.reserve(bytes);
                events.iter().for_each(|event| self.line(event, &mut frame));
            }
            Err(status) => {
                frame = format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status.to_value()).into_bytes();
                self.ended = true;
            }
        }
        Some((frame.into(), self))
    }

    fn line(&mut self, event: &Event, out: &mut Vec<u8>) {
        let (kind, object) = match event {
            Event::Added(object) => ("ADDED", Some(object)),
            Event::Modified(object) => ("MODIFIED", Some(object)),
            Event::Deleted(object) => ("DELETED", Some(object)),
            Event::Bookmark { .. } => ("BOOKMARK", None),
        };
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        match (object, event) {
            (Some(object), _) => self.object(object, out),
            (None, Event::Bookmark { revision, initial_end }) => self.bookmark(*revision, *initial_end, out),
            (None, _) => {}
        }
        out.extend_from_slice(b"}\n");
    }

    fn object(&mut self, object: &Object, out: &mut Vec<u8>) {
        match &self.shape {
            Shape::Whole => out.extend_from_slice(&object.bytes),
            Shape::Partial(version) => partial(*version, splice::metadata(&object.bytes), out),
            Shape::Table(table) => {
                let head = table.head(&revision_metadata(object.revision), !self.columns_told);
                enclose(&head, &table.row(object), out);
                self.columns_told = true;
            }
        }
    }

    fn bookmark(&mut self, revision: u64, initial_end: bool, out: &mut Vec<u8>) {
        let metadata = match initial_end {
            true => {
                format!(
                    "{{\"resourceVersion\":\"{revision}\",\"annotations\":{{\"{INITIAL_END}\":\"true\"}}}}"
                )
            }
            false => revision_metadata(revision),
        };
        match &self.shape {
            Shape::Whole => {
                let (kind, api_version) = (&self.gvk.kind, self.gvk.api_version());
                let object =
                    format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata}}}"#);
                out.extend_from_slice(object.as_bytes());
            }
            Shape::Partial(version) => partial(*version, &metadata, out),
            Shape::Table(table) => {
                let head = table.head(&revision_metadata(revision), !self.columns_told);
                enclose(&head, &table.bookmark_row(&metadata), out);
                self.columns_told = true;
            }
        }
    }
}

fn enclose(head: &str, row: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(row);
    out.extend_from_slice(Table::TAIL.as_bytes());
}

fn event_bytes(event: &Event) -> usize {
    match event {
        Event::Added(object) | Event::Modified(object) | Event::Deleted(object) => object.bytes.len(),
        Event::Bookmark { .. } => 160,
    }
}

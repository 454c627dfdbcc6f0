//! Watch streams: one JSON line or one length-prefixed protobuf message per event, and all events that are there in
//! one frame.

use super::body::Body;
use super::negotiate::Format;
use super::objects::{Form, Shape, revision_metadata};
use super::protobuf::{self, Messages};
use super::splice;
use crate::client::{Event, Object, Watch};
use crate::table::{Table, partial};
use alcove_object::{Env, Gvk, Status};
use alcove_schema::decode::frames;
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
    /// Writes the events of a protobuf stream.
    messages: Option<Messages>,
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
    let messages = match form.media.format {
        Format::Protobuf => Some(form.protobuf()?),
        _ => None,
    };
    let writer = Writer { watch, shape, messages, gvk, env, columns_told: false, closing, ended: false };
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
                self.error(&status, &mut frame);
                self.ended = true;
            }
        }
        Some((frame.into(), self))
    }

    fn error(&self, status: &Status, out: &mut Vec<u8>) {
        let status = status.to_value();
        match &self.messages {
            Some(_) => {
                let object = protobuf::of_json(status.to_string().as_bytes());
                frames::put_watch_event(out, "ERROR", &object);
            }
            None => out.extend_from_slice(format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n").as_bytes()),
        }
    }

    fn line(&mut self, event: &Event, out: &mut Vec<u8>) {
        let (kind, object) = match event {
            Event::Added(object) => ("ADDED", Some(object)),
            Event::Modified(object) => ("MODIFIED", Some(object)),
            Event::Deleted(object) => ("DELETED", Some(object)),
            Event::Bookmark { .. } => ("BOOKMARK", None),
        };
        if let Some(messages) = &self.messages {
            let object = match (object, event) {
                (Some(object), _) => messages.object(&object.bytes),
                (None, Event::Bookmark { revision, initial_end }) => {
                    messages.bare(&bookmark_metadata(*revision, *initial_end))
                }
                (None, _) => return,
            };
            frames::put_watch_event(out, kind, &object);
            return;
        }
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
        let metadata = bookmark_metadata(revision, initial_end);
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

fn bookmark_metadata(revision: u64, initial_end: bool) -> String {
    match initial_end {
        true => {
            format!("{{\"resourceVersion\":\"{revision}\",\"annotations\":{{\"{INITIAL_END}\":\"true\"}}}}")
        }
        false => revision_metadata(revision),
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

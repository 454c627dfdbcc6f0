//! What stands around protobuf messages on the wire: the envelope of a body, lists, metadata alone, and the frames of
//! watches (k8s.io/apimachinery/pkg/runtime/serializer/protobuf, k8s.io/apimachinery/pkg/util/framer).
//!
//! A list's length stands before its items, so whoever sends one has to know first how long they are.

use super::encode::{EncodeError, encode_message};
use super::protobuf::PREFIX;
use super::wire::{BYTES, put_bytes, put_message, put_tag, put_varint};
use crate::types::View;
use std::convert::Infallible;

/// A message as a body: magic bytes and an envelope that names its kind.
pub fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    begin(&mut out, api_version, kind, message.len());
    out.extend_from_slice(message);
    end(&mut out);
    out
}

/// Everything before a message of this length.
fn begin(out: &mut Vec<u8>, api_version: &str, kind: &str, length: usize) {
    out.extend_from_slice(PREFIX);
    sure(put_message(out, 1, |out| {
        put_bytes(out, 1, api_version.as_bytes());
        put_bytes(out, 2, kind.as_bytes());
        Ok(())
    }));
    put_tag(out, 2, BYTES);
    put_varint(out, length as u64);
}

/// Everything after the message: Go writes both texts, empty.
fn end(out: &mut Vec<u8>) {
    put_bytes(out, 3, b"");
    put_bytes(out, 4, b"");
}

/// Appends the message of an object of which only the metadata is shown (PartialObjectMetadata). `metadata` is compact
/// JSON, `schema` ObjectMeta's.
pub fn partial(metadata: &[u8], schema: View<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_message(out, 1, |out| encode_message(metadata, schema, out))
}

/// Appends an item of a list: its message with what goes before it. Where `message` fails, the item is empty, and the
/// error is given.
pub fn put_list_item<E>(
    out: &mut Vec<u8>,
    message: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut written = Ok(());
    sure(put_message(out, 2, |out| {
        let start = out.len();
        written = message(out);
        if written.is_err() {
            out.truncate(start);
        }
        Ok(())
    }));
    written
}

/// What goes before and after the items of a list, which take `item_bytes` in all. `metadata` is compact JSON, `schema`
/// ListMeta's.
pub fn list_ends(
    api_version: &str,
    kind: &str,
    metadata: &[u8],
    schema: View<'_>,
    item_bytes: usize,
) -> Result<(Vec<u8>, Vec<u8>), EncodeError> {
    let mut own = Vec::new();
    put_message(&mut own, 1, |out| encode_message(metadata, schema, out))?;
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    begin(&mut head, api_version, kind, own.len() + item_bytes);
    head.extend_from_slice(&own);
    end(&mut tail);
    Ok((head, tail))
}

/// Appends a watch event about an object that has its envelope: four bytes of length, then a bare WatchEvent.
pub fn put_watch_event(out: &mut Vec<u8>, kind: &str, object: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put_bytes(out, 1, kind.as_bytes());
    sure(put_message(out, 2, |out| {
        put_bytes(out, 1, object);
        Ok(())
    }));
    let length = out.len() - start - 4;
    // Objects are a few MiB at most: the length always fits.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn sure(written: Result<(), Infallible>) {
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

//! Answers in protobuf: stored JSON, read once more and written as messages.
//!
//! The store holds JSON, which most clients read. Whoever asks for protobuf first (client-go's typed clients and every
//! controller built on them) gets it, at the price of one walk over each object, and two in long lists; nothing is kept.

use super::body::Body;
use super::negotiate::MetaVersion;
use super::splice;
use crate::client::Object;
use crate::rest::Target;
use alcove_object::{Gvk, Status, Value};
use alcove_schema::decode::{EncodeError, encode, encode_message, frames};
use alcove_schema::{Minor, SchemaId, Types, View, builtin};
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of a list's items that are kept from when they were measured until they are sent. What comes after them is
/// written once more, so that a list of any length takes no more memory than that.
const ITEMS_HELD_BYTES_MAX: usize = 512 * 1024;
/// Bytes of items that are written at once: enough for a chunk of their own, which is not copied again.
const CHUNK_BYTES: usize = 32 * 1024;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// Whether whole objects of this target have a protobuf form: whether their fields have numbers.
pub fn is_spoken(target: &Target) -> bool {
    let view = target.resource.types.kind(target.gvk());
    view.is_some_and(|view| view.fields().iter().any(|field| field.number != 0))
}

/// A JSON object of a kind that no minor changes (`Status` and reviews) as a protobuf body; as it is if it is none.
pub fn of_json(json: &[u8]) -> Vec<u8> {
    let types = builtin::types(Minor::DEFAULT);
    let tree: Option<Value> = serde_json::from_slice(json).ok();
    let encoded = tree.and_then(|tree| {
        let text = |key: &str| tree.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = Gvk::from_api_version(text("apiVersion"), text("kind"));
        encode(&tree, types.kind(&kind)?).ok()
    });
    encoded.unwrap_or_else(|| json.to_vec())
}

/// Writes objects of one kind, whole or their metadata alone.
pub struct Messages {
    types: Arc<Types>,
    /// The meta types are the same in all arenas, but an arena of custom kinds may not have them.
    meta: Arc<Types>,
    what: What,
}

enum What {
    Whole { schema: SchemaId, gvk: Gvk },
    Partial(MetaVersion),
}

impl Messages {
    /// A writer for objects of this kind. `partial`: only metadata is shown, in this version. 500 when the kind has no
    /// protobuf form; negotiation does not let that happen.
    pub fn new(types: &Arc<Types>, gvk: &Gvk, partial: Option<MetaVersion>) -> Result<Messages, Status> {
        let what = match partial {
            Some(version) => What::Partial(version),
            None => {
                let schema = types.kind(gvk).map(|view| view.id);
                let schema = schema.ok_or_else(|| Status::internal("the kind has no protobuf form"))?;
                What::Whole { schema, gvk: gvk.clone() }
            }
        };
        Ok(Messages { types: types.clone(), meta: builtin::types(Minor::DEFAULT), what })
    }

    /// One object as a body.
    pub fn object(&self, json: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(json.len());
        if let Err(why) = self.message(json, &mut message) {
            unwritten(why);
            message.clear();
        }
        let (api_version, kind) = self.kind();
        frames::envelope(&api_version, kind, &message)
    }

    /// An object that has nothing but this metadata, as bookmarks do.
    pub fn bare(&self, metadata: &str) -> Vec<u8> {
        self.object(format!("{{\"metadata\":{metadata}}}").as_bytes())
    }

    /// A list as a body. Its items are measured before it is sent, since their sum stands before them.
    pub fn list(self, metadata: &str, items: Vec<Object>) -> Body {
        let (mut held, mut count, mut sum) = (Vec::new(), 0, 0);
        let mut measured = Vec::new();
        for object in &items {
            if held.len() < ITEMS_HELD_BYTES_MAX {
                self.item(object, &mut held);
                count += 1;
                continue;
            }
            measured.clear();
            self.item(object, &mut measured);
            sum += measured.len();
        }
        sum += held.len();
        let (api_version, kind) = self.kind();
        let ends = self.meta_view(LIST_META).and_then(|schema| {
            frames::list_ends(&api_version, &format!("{kind}List"), metadata.as_bytes(), schema, sum)
        });
        let (head, tail) = ends.unwrap_or_else(|why| {
            unwritten(why);
            Default::default()
        });
        let length = (head.len() + sum + tail.len()) as u64;
        let mut rest = items.into_iter().skip(count);
        let chunks = std::iter::from_fn(move || {
            let mut chunk = Vec::new();
            while chunk.len() < CHUNK_BYTES
                && let Some(object) = rest.next()
            {
                chunk.reserve(if chunk.is_empty() { CHUNK_BYTES + object.bytes.len() } else { 0 });
                self.item(&object, &mut chunk);
            }
            (!chunk.is_empty()).then(|| Bytes::from(chunk))
        });
        let pieces = [head, held].into_iter().map(Bytes::from).chain(chunks).chain([tail.into()]);
        Body::pieces(pieces, Some(length))
    }

    /// Appends an item of a list, always the same for the same object.
    fn item(&self, object: &Object, out: &mut Vec<u8>) {
        frames::put_list_item(out, |out| self.message(&object.bytes, out)).unwrap_or_else(unwritten);
    }

    fn kind(&self) -> (String, &str) {
        match &self.what {
            What::Whole { gvk, .. } => (gvk.api_version(), &gvk.kind),
            What::Partial(version) => (version.api_version().to_owned(), "PartialObjectMetadata"),
        }
    }

    fn message(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self.what {
            What::Whole { schema, .. } => encode_message(json, self.types.view(schema), out),
            What::Partial(_) => {
                frames::partial(splice::metadata(json).as_bytes(), self.meta_view(OBJECT_META)?, out)
            }
        }
    }

    fn meta_view(&self, name: &str) -> Result<View<'_>, EncodeError> {
        self.meta.named(name).ok_or(EncodeError)
    }
}

/// The store holds only what conforms, so that this is a fault of ours and not the client's.
fn unwritten(why: EncodeError) {
    tracing::error!(%why, "a stored object cannot be written as protobuf");
}

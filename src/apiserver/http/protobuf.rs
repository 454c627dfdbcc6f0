//! Answers in protobuf: stored JSON, read once more and written as messages.
//!
//! The store holds JSON, which most clients read. Whoever asks for protobuf first (client-go's typed clients and every
//! controller built on them) gets it, at the price of one parse per object; nothing is kept.

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
        let (api_version, kind) = self.kind();
        frames::envelope(&api_version, kind, &self.message(json))
    }

    /// An object that has nothing but this metadata, as bookmarks do.
    pub fn bare(&self, metadata: &str) -> Vec<u8> {
        self.object(format!("{{\"metadata\":{metadata}}}").as_bytes())
    }

    /// A list as a body. Its items are encoded before it is sent, since their sum stands before them.
    pub fn list(&self, metadata: &str, items: &[Object]) -> Body {
        let items: Vec<Bytes> =
            items.iter().map(|object| frames::list_item(&self.message(&object.bytes)).into()).collect();
        let sum: usize = items.iter().map(Bytes::len).sum();
        let (api_version, kind) = self.kind();
        let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
        let ends = self.meta_view(LIST_META).and_then(|schema| {
            frames::list_ends(&api_version, &format!("{kind}List"), &metadata, schema, sum)
        });
        let (head, tail) = ends.unwrap_or_else(|why| {
            unwritten(why);
            Default::default()
        });
        let length = (head.len() + sum + tail.len()) as u64;
        let pieces = std::iter::once(Bytes::from(head)).chain(items).chain(std::iter::once(tail.into()));
        Body::pieces(pieces, Some(length))
    }

    fn kind(&self) -> (String, &str) {
        match &self.what {
            What::Whole { gvk, .. } => (gvk.api_version(), &gvk.kind),
            What::Partial(version) => (version.api_version().to_owned(), "PartialObjectMetadata"),
        }
    }

    fn message(&self, json: &[u8]) -> Vec<u8> {
        let message = match self.what {
            What::Whole { schema, .. } => {
                let tree: Value = serde_json::from_slice(json).unwrap_or_default();
                encode_message(&tree, self.types.view(schema))
            }
            What::Partial(_) => {
                let metadata: Value = serde_json::from_str(splice::metadata(json)).unwrap_or_default();
                self.meta_view(OBJECT_META).and_then(|schema| frames::partial(&metadata, schema))
            }
        };
        message.unwrap_or_else(|why| {
            unwritten(why);
            Vec::new()
        })
    }

    fn meta_view(&self, name: &str) -> Result<View<'_>, EncodeError> {
        self.meta.named(name).ok_or(EncodeError)
    }
}

/// The store holds only what conforms, so that this is a fault of ours and not the client's.
fn unwritten(why: EncodeError) {
    tracing::error!(%why, "a stored object cannot be written as protobuf");
}

//! What a write brings: bytes in some encoding, or a tree from inside the process.

use alcove_object::Value;
use bytes::Bytes;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // their own names say it
pub enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// A write's body.
#[derive(Clone, Debug)]
pub enum Body {
    /// As it came over the wire.
    Encoded {
        /// The bytes.
        bytes: Bytes,
        /// Their encoding.
        encoding: Encoding,
    },
    /// A tree, from inside the process.
    Tree(Value),
}

//! What a write brings: bytes in some encoding, or a tree from inside the process.

use alcove_object::Value;
pub use alcove_schema::decode::Encoding;
use bytes::Bytes;

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

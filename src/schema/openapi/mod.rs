//! OpenAPI documents, made from the type form: version 3 per group-version, and version 2 for everything at once.
//!
//! What a type looks like comes from [`Types`](crate::Types); which resources are served comes as plain data from the
//! caller ([`GroupVersion`]), since this room does not know the API server. Custom resources go the same way: their
//! OpenAPI schema is published as its author wrote it ([`Body::Custom`]).
//!
//! A document is a tree that is built when somebody asks, and costs some ten milliseconds; the caller keeps the
//! bytes, by [`hash`], for as long as the served resources stay what they are.

mod custom;
mod descriptions;
mod operations;
mod parameters;
mod protobuf;
mod schema;
#[cfg(test)]
mod tests;
pub mod v2;
pub mod v3;

use alcove_object::Gvk;
use sha2::{Digest, Sha512};
use std::fmt::Write;
use std::sync::Arc;

/// The media type of [`v2::to_protobuf`]'s answer, as clients accept it.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The older spelling of the same, which kubectl up to 1.27 sends.
pub const V2_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// One served group-version.
#[derive(Clone, Debug)]
pub struct GroupVersion {
    /// API group, empty for the core group.
    pub group: String,
    /// Version in the group.
    pub version: String,
    /// What is served under it.
    pub resources: Vec<ResourcePaths>,
}

/// One served resource, as documents need to know it.
#[derive(Clone, Debug)]
pub struct ResourcePaths {
    /// Plural name, as in paths.
    pub plural: String,
    /// Kind of its objects; the group-version is the one it is served under.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Discovery's verbs: create, delete, deletecollection, get, list, patch, update, watch.
    pub verbs: Vec<String>,
    /// DELETE answers with the object instead of a Status.
    pub returns_deleted: bool,
    /// What its objects look like.
    pub body: Body,
    /// What lies below one object.
    pub subresources: Vec<SubresourcePaths>,
}

/// What the objects of a resource look like.
#[derive(Clone, Debug)]
pub enum Body {
    /// A kind of the types that the document is made from.
    BuiltIn,
    /// A custom resource.
    Custom {
        /// `openAPIV3Schema` of the served version in JSON, `null` if it has none: as text, since it is large and
        /// read when somebody asks.
        schema: Arc<str>,
        /// Kind of lists, such as `CronTabList`.
        list_kind: String,
        /// JSON paths that field selectors can use, such as `.spec.color`.
        selectable: Vec<String>,
    },
}

/// One subresource.
#[derive(Clone, Debug)]
pub struct SubresourcePaths {
    /// Name, such as `status`.
    pub name: String,
    /// Kind of its bodies; of a connection, of its options (`PodExecOptions`).
    pub gvk: Gvk,
    /// Discovery's verbs: create, get, patch, update; connections have none.
    pub verbs: Vec<String>,
    /// The HTTP methods of a connection (exec, attach, port-forward, proxy) in lower case; empty for others.
    pub connect: Vec<String>,
}

/// A content hash for URLs and entity tags: SHA-512 in upper-case hexadecimal, as upstream's index has it.
pub fn hash(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}"); // writing to a String cannot fail
        text
    })
}

/// The definition name of a kind that is not built in: its group's labels reversed, then version and kind.
pub(crate) fn custom_name(group: &str, version: &str, kind: &str) -> String {
    let mut labels: Vec<_> = group.split('.').rev().collect();
    labels.extend([version, kind]);
    labels.join(".")
}

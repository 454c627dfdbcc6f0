//! The descriptor of one served resource.

use super::{Custom, Gates, Hooks};
use crate::request::Verb;
use alcove_object::{Gvk, Gvr, Value};
use alcove_schema::custom::JsonPath;
use alcove_schema::decode::fill;
use alcove_schema::{SchemaId, Types};
use jiff::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;

/// A set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerbSet(pub u16);

impl VerbSet {
    /// create, delete, deletecollection, get, list, patch, update, watch.
    pub const ALL: VerbSet = VerbSet(0b0_1111_1111);

    /// A set of these verbs.
    pub const fn of(verbs: &[Verb]) -> VerbSet {
        let mut bits = 0;
        let mut i = 0;
        while i < verbs.len() {
            bits |= 1 << verbs[i] as u16;
            i += 1;
        }
        VerbSet(bits)
    }

    /// Whether the verb is in the set.
    pub const fn has(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u16) != 0
    }
}

/// One served resource: everything that the pipeline, discovery, OpenAPI and tables need to know of it.
pub struct Resource {
    /// Group, version, plural.
    pub gvr: Gvr,
    /// Group, version, kind.
    pub gvk: Gvk,
    /// Singular name, such as `deployment`.
    pub singular: String,
    /// Short names, such as `deploy`.
    pub short_names: Vec<String>,
    /// Categories, such as `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs of the resource itself.
    pub verbs: VerbSet,
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// Key of the store's table, `plural.group`. Versions and twins (events) share one.
    pub table: Arc<str>,
    /// The kind in which the table holds what is written now; other versions convert through the strategy.
    pub stored: Gvk,
    /// How stored objects begin that are of this version of a built-in kind: others were written in another version, by this
    /// server or while another minor was served. `None`: there is no other version.
    pub head: Option<Box<[u8]>>,
    /// Whether clients reach it. What is generally available and switched off is there for the server's own parts alone.
    pub is_served: bool,
    /// Update, delete and naming rules.
    pub rules: Rules,
    /// Field selectors beside metadata.name and metadata.namespace.
    pub selectable: Vec<Selectable>,
    /// Table columns after Name and before nothing: the whole row, Name included.
    pub columns: Vec<Column>,
    /// The arena that the schema lives in.
    pub types: Arc<Types>,
    /// The kind's schema.
    pub schema: SchemaId,
    /// What is special about the kind.
    pub strategy: Hooks,
    /// Where the `scale` subresource, if there is one, finds its numbers.
    pub scale: ScalePaths,
    /// Warning for everybody who uses this version.
    pub deprecation: Option<String>,
    /// Which of the kind's fields belong to features that are off; `None`: none.
    pub gates: Option<Arc<Gates>>,
    /// What only custom resources have; `None`: a built-in kind.
    pub custom: Option<Custom>,
}

/// Rules that differ by kind and are data.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What names must look like.
    pub names: NameRule,
    /// When `metadata.generation` counts.
    pub generation: Generation,
    /// PUT and apply may create.
    pub create_on_update: bool,
    /// PUT without a resourceVersion is allowed.
    pub unconditional_update: bool,
    /// How objects go.
    pub deletion: Deletion,
    /// DELETE answers with the object instead of a Status.
    pub returns_deleted: bool,
    /// What writes through `status` leave alone, beside everything but metadata and status: dotted paths in metadata,
    /// or `metadata` for all that clients write in it. Nobody comes to own these fields by such a write.
    pub status_resets: &'static [&'static str],
    /// Texts for `Warning` headers about a new or changed object itself (not a subresource of it).
    pub warns: fn(&Value, Option<&Value>) -> Vec<String>,
    /// Where in an object the number stands that the rows of a table go by, those with the same one by their names.
    /// Empty: by their names alone.
    pub table_order: &'static str,
}

/// What names must look like (k8s.io/apimachinery/pkg/api/validation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// DNS-1123 subdomain, at most 253 characters.
    Subdomain,
    /// DNS-1123 label, at most 63 characters.
    Label,
    /// DNS-1035 label, at most 63 characters (Service before its names were relaxed).
    Label1035,
    /// Anything that fits in a path segment (RBAC kinds).
    PathSegment,
    /// An IP address in canonical form.
    IpAddress,
}

/// When `metadata.generation` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Never; the field stays away.
    None,
    /// 1 at creation, one more when `spec` changes.
    Spec,
    /// 1 at creation, one more when `spec` or an annotation changes (deployments).
    SpecAndAnnotations,
    /// 1 at creation, one more when anything but metadata and status changes.
    AllButStatus,
    /// 1 at creation, one more when labels or anything but metadata changes (endpoint slices).
    LabelsAndAll,
}

/// How objects go when nothing holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// At once; dependents are left to the garbage collector in the background by default.
    Background,
    /// At once; dependents lose their owner unless the request says otherwise (batch/v1 jobs and v1 replication
    /// controllers, for clients of old).
    Orphan,
    /// At once; the garbage collector does not handle this kind (events).
    Unsupported,
    /// After a grace period (pods).
    Graceful,
    /// Through `spec.finalizers` (namespaces).
    Namespace,
}

/// One subresource.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Name, such as `status`.
    pub name: &'static str,
    /// Kind of its bodies.
    pub gvk: Gvk,
    /// Its verbs.
    pub verbs: VerbSet,
    /// What it does.
    pub kind: SubresourceKind,
}

/// What a subresource does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubresourceKind {
    /// Reads and writes `status` alone.
    Status,
    /// Reads and writes the replica count as autoscaling/v1 Scale.
    Scale,
    /// Like an update, judged by [`Strategy::prepare_subresource`] (finalize, approval, resize,
    /// ephemeralcontainers).
    Part,
    /// `pods/binding`.
    Binding,
    /// `pods/eviction`.
    Eviction,
    /// `serviceaccounts/token`.
    Token,
    /// exec, attach, port-forward, log and proxies: answered by whoever the server was given for that.
    Connect,
}

/// A field that selectors can use.
#[derive(Clone, Debug)]
pub struct Selectable {
    /// The label in a selector, such as `spec.nodeName`.
    pub label: Cow<'static, str>,
    /// The label under which the store's index keeps it. Differs only where two resources share a table and spell a
    /// field differently: events.k8s.io's `regarding.name` is core's `involvedObject.name`.
    pub index: &'static str,
    /// Its value in an object.
    pub value: FieldValue,
}

/// Where the value of a selectable field comes from.
#[derive(Clone, Debug)]
pub enum FieldValue {
    /// Computed from an object of the stored kind when it is written, and kept in the store's index.
    Indexed(fn(&Value) -> String),
    /// Read from the served object when somebody asks: what custom resources let select may change, and objects that
    /// were written before must be found too.
    Read(JsonPath),
}

impl FieldValue {
    /// The text of what stands at a path, empty if nothing does.
    pub fn read(path: &JsonPath, object: &Value) -> String {
        match path.first(object) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

/// Where an object has what its Scale shows, as JSON pointers.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    /// The number that is asked for.
    pub replicas: Cow<'static, str>,
    /// The number that is there.
    pub current: Cow<'static, str>,
    /// The selector: an object, or its text. `None`: there is none.
    pub selector: Option<Cow<'static, str>>,
}

impl ScalePaths {
    /// Where built-in kinds have them.
    pub const BUILT_IN: ScalePaths = ScalePaths {
        replicas: Cow::Borrowed("/spec/replicas"),
        current: Cow::Borrowed("/status/replicas"),
        selector: Some(Cow::Borrowed("/spec/selector")),
    };
}

/// One column of a table.
#[derive(Clone)]
pub struct Column {
    /// Heading, such as `Ready`.
    pub name: String,
    /// OpenAPI type: string, integer, number, boolean, date.
    pub kind: &'static str,
    /// OpenAPI format: `name` for the first column, else mostly empty.
    pub format: &'static str,
    /// What it shows.
    pub description: String,
    /// 0: always shown; 1: with `-o wide`.
    pub priority: i32,
    /// How a cell is made.
    pub cell: Cell,
}

/// How a cell is made.
#[derive(Clone)]
pub enum Cell {
    /// `metadata.name`.
    Name,
    /// Time since creation, in kubectl's short form.
    Age,
    /// `metadata.creationTimestamp` as text.
    Created,
    /// The first value at a path, as the column's type shows it.
    Path(JsonPath),
    /// Computed from the object and the time now.
    Computed {
        /// The computation.
        compute: fn(&Value, Timestamp) -> Value,
        /// The paths that it reads, with `*` for the items of a list: nothing else of the object is there. None: all
        /// but managed fields.
        reads: &'static [&'static str],
    },
}

impl Resource {
    /// Kind of lists of the resource.
    pub fn list_kind(&self) -> String {
        match &self.custom {
            Some(custom) => custom.list_kind.clone(),
            None => format!("{}List", self.gvk.kind),
        }
    }

    /// Adds to a decoded object what its kind defaults and what Go always writes. The latter comes first too: in Go, a
    /// struct that nobody wrote is there to be defaulted.
    pub fn complete(&self, object: &mut Value) {
        let schema = self.types.view(self.schema);
        fill(object, schema);
        self.strategy.default(object);
        fill(object, schema);
    }

    /// A subresource by name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
}

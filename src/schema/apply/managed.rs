//! `metadata.managedFields`: who owns which fields
//! (k8s.io/apimachinery/pkg/util/managedfields/internal/managedfields.go).

use super::Manager;
use super::fields;
use super::set::Set;
use alcove_object::scan::{Malformed, Scanner};
use alcove_object::{Value, meta, write};
use serde_json::Map;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// How an owner came by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Who owns. Applies of all versions are one owner, updates are told apart by version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner<'a> {
    pub manager: Cow<'a, str>,
    pub operation: Operation,
    /// Empty for applies.
    pub api_version: Cow<'a, str>,
    pub subresource: Cow<'a, str>,
}

/// One entry: an owner and its fields.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub owner: Owner<'a>,
    /// The version that the fields are named in.
    pub api_version: Cow<'a, str>,
    pub time: Option<Cow<'a, str>>,
    /// Left unread, and empty, if `is_applied`.
    pub fields: Set<'a>,
    /// Whether the fields are those of the configuration that is applied.
    pub is_applied: bool,
}

/// All entries of an object, one per owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners<'a> {
    pub entries: Vec<Entry<'a>>,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

impl<'a> Owner<'a> {
    /// The owner that a request writes as.
    pub fn of(manager: &Manager<'a>, operation: Operation) -> Owner<'a> {
        let name = if manager.name.is_empty() { "unknown" } else { manager.name };
        Owner::new(name, operation, manager.api_version, manager.subresource)
    }

    /// An owner from its parts.
    pub fn new(
        manager: impl Into<Cow<'a, str>>,
        operation: Operation,
        api_version: impl Into<Cow<'a, str>>,
        subresource: impl Into<Cow<'a, str>>,
    ) -> Owner<'a> {
        let api_version = if operation == Operation::Apply { "".into() } else { api_version.into() };
        Owner { manager: manager.into(), operation, api_version, subresource: subresource.into() }
    }
}

/// The order of upstream's identifiers, which are JSON: whoever writes through a subresource comes first.
impl Ord for Owner<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let main = |owner: &Self| owner.subresource.is_empty();
        (self.manager.cmp(&other.manager))
            .then(self.operation.cmp(&other.operation))
            .then_with(|| self.api_version.cmp(&other.api_version))
            .then(main(self).cmp(&main(other)))
            .then_with(|| self.subresource.cmp(&other.subresource))
    }
}

impl PartialOrd for Owner<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As conflicts name it: `"kubectl" with subresource "scale" using apps/v1`.
impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.manager)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.api_version),
        }
    }
}

impl<'a> Owners<'a> {
    /// Reads the entries of an object. The error is upstream's text.
    pub fn read(object: Option<&'a Value>) -> Result<Owners<'a>, String> {
        let entries = entries(object).iter().enumerate();
        Owners::of(entries.map(|(index, entry)| Entry::read(entry, index)))
    }

    /// Reads the text of `managedFields`, empty if an object has none. Who applies mostly applies the same fields again:
    /// where those of `owner` are the text that is given, they stay unread.
    pub fn read_text(text: &'a str, owner: &Owner<'_>, applied: &str) -> Result<Owners<'a>, String> {
        let entries = told(text)?.into_iter().enumerate();
        Owners::of(entries.map(|(index, entry)| {
            let is_applied = entry.fields == Some(applied) && applied != "{}" && entry.is_of(owner);
            let fields = entry.fields.filter(|_| !is_applied);
            let read = entry.read(index, || fields.map_or_else(|| Ok(Set::default()), fields::decode_text));
            read.map(|entry| Entry { is_applied, ..entry })
        }))
    }

    fn of(entries: impl Iterator<Item = Result<Entry<'a>, String>>) -> Result<Owners<'a>, String> {
        let mut owners = Owners::default();
        for entry in entries {
            let entry = entry?;
            match owners.get_mut(&entry.owner) {
                Some(known) => *known = entry,
                None => owners.entries.push(entry),
            }
        }
        Ok(owners)
    }

    pub fn get(&self, owner: &Owner<'_>) -> Option<&Entry<'a>> {
        self.entries.iter().find(|e| e.owner == *owner)
    }

    pub fn get_mut(&mut self, owner: &Owner<'_>) -> Option<&mut Entry<'a>> {
        self.entries.iter_mut().find(|e| e.owner == *owner)
    }

    /// Drops entries that own nothing any more.
    pub fn drop_empty(&mut self) {
        self.entries.retain(|e| e.is_applied || !e.fields.is_empty());
    }

    /// Makes entries of one owner one.
    pub fn join_same(&mut self) {
        let mut joined: Vec<Entry<'a>> = Vec::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            match joined.iter_mut().find(|e| e.owner == entry.owner) {
                Some(known) => known.fields = std::mem::take(&mut known.fields).union(entry.fields),
                None => joined.push(entry),
            }
        }
        self.entries = joined;
    }

    /// The entries as `metadata.managedFields`; none when nobody owns anything.
    pub fn write(mut self) -> Option<Value> {
        self.sort();
        let entries: Vec<Value> = self.entries.iter().map(Entry::write).collect();
        (!entries.is_empty()).then_some(Value::Array(entries))
    }

    /// The text of what [`Owners::write`] gives; empty when nobody owns anything. `applied` is that of the fields that
    /// `owner` has by now.
    pub fn write_text(mut self, owner: &Owner<'_>, applied: &str) -> String {
        if self.entries.is_empty() {
            return String::new();
        }
        self.sort();
        let mut out = Vec::with_capacity(4096);
        for (i, entry) in self.entries.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            entry.write_text(&mut out, (entry.owner == *owner).then_some(applied));
        }
        out.push(b']');
        String::from_utf8(out).expect("what is written is made of texts")
    }

    /// Upstream's order.
    fn sort(&mut self) {
        self.entries.sort_by(|a, b| {
            let key = |e: &Entry<'a>| (e.owner.operation, e.seconds());
            let same_time = key(a).cmp(&key(b));
            same_time
                .then_with(|| a.owner.manager.cmp(&b.owner.manager))
                .then_with(|| a.api_version.cmp(&b.api_version))
                .then_with(|| a.owner.subresource.cmp(&b.owner.subresource))
        });
    }
}

/// An entry as it stands in a tree or a text, its fields unread.
#[derive(Default)]
pub(super) struct Told<'a> {
    api_version: Cow<'a, str>,
    fields_type: Cow<'a, str>,
    /// A text of its fields; none if they stand in a tree.
    fields: Option<&'a str>,
    manager: Cow<'a, str>,
    operation: Cow<'a, str>,
    subresource: Cow<'a, str>,
    time: Option<Cow<'a, str>>,
}

/// The entries of a text, empty if there is none.
fn told(text: &str) -> Result<Vec<Told<'_>>, String> {
    let mut told = Vec::new();
    if text.is_empty() {
        return Ok(told);
    }
    let mut json = Scanner::new(text.as_bytes());
    let read = json.array(|json| {
        told.push(Told::read_text(json)?);
        Ok::<(), Malformed>(())
    });
    match read {
        Ok(()) if json.is_at_end() => Ok(told),
        _ => Err("managed fields are no list of objects".to_owned()),
    }
}

/// Whether two texts of `managedFields` say the same but for times.
pub(super) fn same_but_times(a: &str, b: &str) -> bool {
    let timeless = |text| -> Option<Vec<_>> {
        let entries = told(text).ok()?.into_iter();
        let rest = |e: Told<'_>| -> [String; 6] {
            let fields = e.fields.unwrap_or_default();
            [&*e.api_version, &*e.fields_type, fields, &*e.manager, &*e.operation, &*e.subresource]
                .map(str::to_owned)
        };
        Some(entries.map(rest).collect())
    };
    let (a, b) = (timeless(a), timeless(b));
    a.is_some() && a == b
}

impl<'a> Told<'a> {
    /// Reads an entry of a text.
    fn read_text(json: &mut Scanner<'a>) -> Result<Told<'a>, Malformed> {
        let mut told = Told::default();
        json.object(|json, key| {
            if key.is("fieldsV1") {
                let fields = std::str::from_utf8(json.value()?).map_err(|_| Malformed)?;
                told.fields = Some(fields).filter(|fields| *fields != "null");
                return Ok(());
            }
            let known = [
                ("apiVersion", &mut told.api_version),
                ("fieldsType", &mut told.fields_type),
                ("manager", &mut told.manager),
                ("operation", &mut told.operation),
                ("subresource", &mut told.subresource),
            ];
            match known.into_iter().find(|(name, _)| key.is(name)) {
                Some((_, field)) => *field = json.string()?.text()?,
                None if key.is("time") && json.peek() == Some(b'"') => {
                    told.time = Some(json.string()?.text()?)
                }
                None => drop(json.value()?),
            }
            Ok::<(), Malformed>(())
        })?;
        Ok(told)
    }

    fn is_of(&self, owner: &Owner<'_>) -> bool {
        self.manager == owner.manager
            && self.operation == owner.operation.name()
            && self.subresource == owner.subresource
            && (owner.operation == Operation::Apply || self.api_version == owner.api_version)
    }

    fn read(
        self,
        index: usize,
        fields: impl FnOnce() -> Result<Set<'a>, String>,
    ) -> Result<Entry<'a>, String> {
        let operation = match &*self.operation {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        if self.api_version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match &*self.fields_type {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
            other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
        }
        let fields = fields().map_err(|why| format!("error decoding set: {why}"))?;
        let owner = Owner::new(self.manager, operation, self.api_version.clone(), self.subresource);
        Ok(Entry { owner, api_version: self.api_version, time: self.time, fields, is_applied: false })
    }
}

impl<'a> Entry<'a> {
    fn read(entry: &'a Value, index: usize) -> Result<Entry<'a>, String> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(Cow::Borrowed);
        let given = |key: &str| text(key).unwrap_or_default();
        let told = Told {
            api_version: given("apiVersion"),
            fields_type: given("fieldsType"),
            fields: None,
            manager: given("manager"),
            operation: given("operation"),
            subresource: given("subresource"),
            time: text("time"),
        };
        told.read(index, || match entry.get("fieldsV1") {
            None | Some(Value::Null) => Ok(Set::default()),
            Some(json) => fields::decode(json),
        })
    }

    /// The members in the order of their names, as a tree has them. `fields`: the text of the fields, where it is known.
    fn write_text(&self, out: &mut Vec<u8>, fields: Option<&str>) {
        let mut begin = b'{';
        let mut member = |name: &str, value: &str, out: &mut Vec<u8>| {
            if !value.is_empty() {
                out.push(std::mem::replace(&mut begin, b','));
                write::text(out, name);
                out.push(b':');
                write::text(out, value);
            }
        };
        member("apiVersion", &self.api_version, out);
        member("fieldsType", "FieldsV1", out);
        out.extend_from_slice(br#","fieldsV1":"#);
        match fields {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => fields::encode_text(&self.fields, out),
        }
        member("manager", &self.owner.manager, out);
        member("operation", self.owner.operation.name(), out);
        member("subresource", &self.owner.subresource, out);
        member("time", self.time.as_deref().unwrap_or_default(), out);
        out.push(b'}');
    }

    fn write(&self) -> Value {
        let mut out = Map::new();
        let mut text = |key: &str, value: &str| {
            if !value.is_empty() {
                out.insert(key.to_owned(), Value::String(value.to_owned()));
            }
        };
        text("apiVersion", &self.api_version);
        text("fieldsType", "FieldsV1");
        text("manager", &self.owner.manager);
        text("operation", self.owner.operation.name());
        text("subresource", &self.owner.subresource);
        text("time", self.time.as_deref().unwrap_or_default());
        out.insert("fieldsV1".to_owned(), fields::encode(&self.fields));
        Value::Object(out)
    }

    /// Seconds of the entry's time; nothing and nonsense come first.
    pub fn seconds(&self) -> i64 {
        self.time.as_deref().and_then(alcove_object::time::parse).map_or(0, |time| time.as_second())
    }
}

/// `metadata.managedFields` as it is.
pub(super) fn entries(object: Option<&Value>) -> &[Value] {
    raw(object).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn raw(object: Option<&Value>) -> Option<&Value> {
    object?.get("metadata")?.get("managedFields")
}

/// Whether a client asks to forget all owners: `[]` or `[{}]`.
pub(super) fn is_reset(object: &Value) -> bool {
    match raw(Some(object)).and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(only)]) => only.values().all(|v| v.is_null() || v.as_str() == Some("")),
        _ => false,
    }
}

/// Puts entries into an object.
pub(super) fn put(object: &mut Value, entries: Option<Value>) {
    match entries {
        Some(entries) => meta::set(object, "managedFields", entries),
        None if raw(Some(object)).is_some() => meta::unset(object, "managedFields"),
        None => {}
    }
}

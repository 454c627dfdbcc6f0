//! Which entries of a table a list or watch is about. Decided from key and index, without parsing an object.

use super::page::TokenKey;
use super::target::key_of;
use super::{Target, stored};
use crate::options::ListOptions;
use crate::registry::{FieldValue, Resource};
use alcove_object::{Status, selector};
use alcove_schema::custom::JsonPath;
use alcove_store::Entry;
use std::sync::Arc;

/// What a list or watch selects.
#[derive(Clone)]
pub(crate) struct Selection {
    resource: Arc<Resource>,
    /// Keys start with this: `namespace/`, a whole key, or nothing.
    pub prefix: String,
    /// `prefix` is a whole key: at most one entry matches.
    single: bool,
    labels: selector::Labels,
    /// By the index's labels.
    fields: selector::Fields,
    /// Fields that are read from the object itself, in the version that is asked for.
    read: Vec<(String, JsonPath)>,
}

impl Selection {
    /// What these options select in a collection. 400 for a field that is not selectable.
    pub fn new(target: &Target, options: &ListOptions) -> Result<Selection, Status> {
        for term in &options.fields.0 {
            check_field(&target.resource, &term.field)?;
        }
        let fields = &options.fields;
        let namespaced = target.resource.namespaced;
        let namespace = match (namespaced, target.namespace.is_empty()) {
            (true, true) => fields.exact("metadata.namespace").unwrap_or_default(),
            _ => &target.namespace,
        };
        let name = match target.name.is_empty() {
            true => fields.exact("metadata.name").unwrap_or_default(),
            false => &target.name,
        };
        let single = !name.is_empty() && (!namespaced || !namespace.is_empty());
        let prefix = match (single, namespace.is_empty()) {
            (true, _) => key_of(namespace, name),
            (false, true) => String::new(),
            (false, false) => format!("{namespace}/"),
        };
        let mut fields = fields.clone();
        let mut read = Vec::new();
        for term in &mut fields.0 {
            if let Some(known) = target.resource.selectable.iter().find(|s| s.label == term.field) {
                match &known.value {
                    FieldValue::Indexed(_) => term.field = known.index.to_owned(),
                    FieldValue::Read(path) => read.push((term.field.clone(), path.clone())),
                }
            }
        }
        let (resource, labels) = (target.resource.clone(), options.labels.clone());
        Ok(Selection { resource, prefix, single, labels, fields, read })
    }

    /// What is selected from.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Whether everything of the collection is selected, so that counts are exact.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.0.is_empty()
    }

    /// Whether an entry is selected. Where [`Selection::reads_converted`], it must have been [`stored::warm`]ed.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.may_match(entry) && (self.fields.0.is_empty() || self.has_fields(entry))
    }

    /// Whether an entry is selected, whatever its fields.
    pub fn may_match(&self, entry: &Entry) -> bool {
        self.has_key(&entry.key) && self.labels.matches(|key| entry.index.label(key))
    }

    /// Whether fields decide that a webhook may have to convert first.
    pub fn reads_converted(&self) -> bool {
        let custom = self.resource.custom.as_ref();
        !self.read.is_empty() && custom.is_some_and(|custom| custom.conversion.is_some())
    }

    fn has_fields(&self, entry: &Entry) -> bool {
        if self.read.is_empty() {
            return self.fields.matches(|field| field_of(entry, field));
        }
        let object = stored::tree(&self.resource, entry);
        let values: Vec<String> = self.read.iter().map(|(_, path)| FieldValue::read(path, &object)).collect();
        self.fields.matches(|field| match self.read.iter().position(|(label, _)| label == field) {
            Some(at) => &values[at],
            None => field_of(entry, field),
        })
    }

    fn has_key(&self, key: &str) -> bool {
        if self.single { key == self.prefix } else { key.starts_with(&self.prefix) }
    }

    /// The part of a key behind the collection's own prefix, as continue tokens carry it.
    pub fn relative<'k>(&self, key: &'k str) -> TokenKey<'k> {
        TokenKey(key.strip_prefix(self.collection()).unwrap_or(key))
    }

    /// The whole key of such a part.
    pub fn absolute(&self, key: &TokenKey<'_>) -> String {
        format!("{}{}", self.collection(), key.0)
    }

    /// What all keys of the collection begin with, of which the selection may be one.
    fn collection(&self) -> &str {
        match self.single {
            true => self.prefix.rfind('/').map_or("", |at| &self.prefix[..=at]),
            false => &self.prefix,
        }
    }
}

fn field_of<'e>(entry: &'e Entry, field: &str) -> &'e str {
    match field {
        "metadata.name" => entry.key.split_once('/').map_or(&*entry.key, |(_, name)| name),
        "metadata.namespace" => entry.key.split_once('/').map_or("", |(namespace, _)| namespace),
        _ => entry.index.field(field),
    }
}

/// 400 for a field that a resource's selectors do not know, with the texts of
/// k8s.io/apimachinery/pkg/runtime/conversion.go, of the kinds that have fields of their own, and of custom resources.
fn check_field(resource: &Resource, field: &str) -> Result<(), Status> {
    let is_custom = resource.custom.is_some();
    let known =
        field == "metadata.name" || (field == "metadata.namespace" && (resource.namespaced || !is_custom));
    if known || resource.selectable.iter().any(|s| s.label == field) {
        return Ok(());
    }
    Err(Status::bad_request(if resource.selectable.is_empty() && !is_custom {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    }))
}

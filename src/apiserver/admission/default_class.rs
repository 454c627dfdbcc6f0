//! The class of claims and ingresses that name none: the one that its annotation marks
//! (k8s.io/kubernetes/plugin/pkg/admission/{storage/storageclass/setdefault,network/defaultingressclass}).

use super::{Admission, Admitting, Attributes};
use crate::request::Verb;
use alcove_object::{Value, meta};
use alcove_store::{Range, Store};

/// What has classes, and how it names one.
struct Classed {
    group: &'static str,
    resource: &'static str,
    /// Where it names its class, in `spec`.
    field: &'static str,
    /// How it did before there was a field.
    annotation: &'static str,
    /// Where the store keeps the classes.
    table: &'static str,
    /// Annotations that mark a class, of which one will do.
    marks: &'static [&'static str],
}

const CLASSED: [Classed; 2] = [
    Classed {
        group: "",
        resource: "persistentvolumeclaims",
        field: "storageClassName",
        annotation: "volume.beta.kubernetes.io/storage-class",
        table: "storageclasses.storage.k8s.io",
        marks: &[
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ],
    },
    Classed {
        group: "networking.k8s.io",
        resource: "ingresses",
        field: "ingressClassName",
        annotation: "kubernetes.io/ingress.class",
        table: "ingressclasses.networking.k8s.io",
        marks: &["ingressclass.kubernetes.io/is-default-class"],
    },
];

/// Names the default class.
pub struct DefaultClass {
    store: Store,
}

impl DefaultClass {
    /// A step that looks classes up in this store.
    pub fn new(store: Store) -> DefaultClass {
        DefaultClass { store }
    }

    fn complete(&self, attributes: &mut Attributes<'_>) {
        let gvr = &attributes.resource.gvr;
        let is_new = attributes.verb == Verb::Create && attributes.subresource.is_empty();
        let kind = CLASSED.iter().find(|kind| kind.group == gvr.group && kind.resource == gvr.resource);
        let Some(kind) = kind.filter(|_| is_new) else { return };
        if meta::annotation(attributes.object, kind.annotation).is_some() {
            return;
        }
        let Some(spec) = attributes.object.get_mut("spec").and_then(Value::as_object_mut) else { return };
        if spec.contains_key(kind.field) {
            return;
        }
        if let Some(class) = self.default_of(kind) {
            spec.insert(kind.field.to_owned(), class.into());
        }
    }

    /// The newest class that is marked; of those of one second, the first by name.
    fn default_of(&self, kind: &Classed) -> Option<String> {
        let listing = self.store.list(kind.table, &Range::default(), &|_| true).ok()?;
        let classes =
            listing.entries.iter().filter_map(|entry| serde_json::from_slice::<Value>(&entry.json).ok());
        let is_marked =
            |class: &Value| kind.marks.iter().any(|mark| meta::annotation(class, mark) == Some("true"));
        let named = classes.filter(is_marked).map(|class| {
            (
                std::cmp::Reverse(meta::text(&class, "creationTimestamp").to_owned()),
                meta::name(&class).to_owned(),
            )
        });
        named.min().map(|(_, name)| name)
    }
}

impl Admission for DefaultClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        self.complete(attributes);
        Box::pin(std::future::ready(Ok(())))
    }
}

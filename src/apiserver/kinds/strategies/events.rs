//! Events of both groups: one table, two spellings of the same fields
//! (k8s.io/kubernetes/pkg/apis/events/v1/conversion.go).

use crate::kinds::tree::{int, some, text};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Value, meta};

/// Core and events.k8s.io events.
pub(crate) struct Event;

/// Each field as core and as events.k8s.io spell it.
const FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("source", "deprecatedSource"),
    ("message", "note"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

impl Strategy for Event {
    fn convert(&self, object: &mut Value, to: &Gvk) {
        let Some(map) = object.as_object_mut() else { return };
        for (core, new) in FIELDS {
            let (from, to) = if to.group.is_empty() { (new, core) } else { (core, new) };
            if let Some(value) = map.remove(from) {
                map.insert(to.to_owned(), value);
            }
        }
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        if some(object, "/eventTime").is_some() {
            return with_time(object);
        }
        let (event, involved) = (meta::namespace(object), text(object, "/involvedObject/namespace"));
        let agrees = if involved.is_empty() { matches!(event, "" | "default") } else { event == involved };
        if agrees || some(object, "/involvedObject").is_none() {
            return Vec::new();
        }
        let path = Path::new("involvedObject").child("namespace");
        vec![Error::invalid(&path, involved, "does not match event.namespace")]
    }
}

/// Rules for events that know when they happened: those of events.k8s.io, and of its clients through core.
fn with_time(event: &Value) -> Vec<Error> {
    const LENGTHS: [(&str, usize); 4] =
        [("reportingInstance", 128), ("action", 128), ("reason", 128), ("note", 1024)];
    let is_core = text(event, "/apiVersion") == "v1";
    let controller = if is_core { "reportingComponent" } else { "reportingController" };
    let mut errors = Vec::new();
    for field in [controller, "reportingInstance", "action", "reason"] {
        if text(event, &format!("/{field}")).is_empty() {
            errors.push(Error::required(&Path::new(field), ""));
        }
    }
    for (field, max) in LENGTHS {
        if text(event, &format!("/{field}")).len() > max {
            errors.push(Error::invalid(&Path::new(field), "", format!("can have at most {max} characters")));
        }
    }
    if !is_core && some(event, "/series").is_some() && int(event, "/series/count") < 2 {
        errors.push(Error::invalid(&Path::new("series.count"), "", "should be at least 2"));
    }
    errors
}

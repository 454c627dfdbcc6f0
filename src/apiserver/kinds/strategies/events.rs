//! Events of both groups: one table, two spellings of the same fields
//! (k8s.io/kubernetes/pkg/apis/events/v1/conversion.go).

use crate::kinds::tree::{field, int, some, text};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Gvk, Value, meta, name};

/// The longest note, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

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

    fn validate(&self, _: &Context<'_>, event: &Value) -> Vec<Error> {
        let mut errors = since_ever(event);
        if !is_core(event) {
            errors.extend(new_event(event));
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, event: &Value, old: &Value) -> Vec<Error> {
        let mut errors = since_ever(event);
        if is_core(event) {
            return errors;
        }
        if event.get("series") != old.get("series") {
            errors.extend(series(event));
        }
        for (core, _) in FIXED {
            errors.extend(changed(event, old, core));
        }
        errors
    }
}

/// What never changes, by the names that core has for it and events.k8s.io too.
const FIXED: [(&str, &str); 13] = [
    ("involvedObject", "regarding"),
    ("reason", "reason"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

fn changed(event: &Value, old: &Value, core: &str) -> Option<Error> {
    let (new, was) = (get(event, core), get(old, core));
    let why = alcove_object::validate::FIELD_IMMUTABLE;
    let nothing = |value: Option<&Value>| value.is_none_or(|v| v.is_null() || *v == "" || *v == 0);
    (new != was && !(nothing(new) && nothing(was))).then(|| {
        // What Go holds as a plain text is never missing.
        let nothing = if was.is_some_and(Value::is_string) { "".into() } else { Value::Null };
        Error::invalid(&Path::new(core), new.cloned().unwrap_or(nothing), why)
    })
}

/// A field by the name that core has for it, in either spelling.
fn get<'a>(event: &'a Value, core: &str) -> Option<&'a Value> {
    let named = FIXED.iter().chain(&FIELDS).find(|(name, _)| *name == core);
    field(event, core).or_else(|| field(event, named?.1))
}

fn is_core(event: &Value) -> bool {
    text(event, "/apiVersion") == "v1"
}

/// What holds for all events; more for those that know when they happened.
fn since_ever(event: &Value) -> Vec<Error> {
    const LENGTHS: [(&str, usize); 3] = [("reportingInstance", 128), ("action", 128), ("reason", 128)];
    let namespace = meta::namespace(event);
    let involved = get(event, "involvedObject").map_or("", |object| text(object, "/namespace"));
    let has_time = some(event, "/eventTime").is_some();
    let is_right = match (has_time, involved) {
        (true, "") => matches!(namespace, "default" | "kube-system"),
        (true, _) => true,
        (false, "") => matches!(namespace, "" | "default"),
        (false, involved) => involved == namespace,
    };
    let mut errors = Vec::new();
    if !is_right {
        let path = Path::new("involvedObject").child("namespace");
        errors.push(Error::invalid(&path, involved, "does not match event.namespace"));
    }
    if !has_time {
        return errors;
    }
    let place = Path::new(if is_core(event) { "reportingComponent" } else { "reportingController" });
    let word = |name: &str| get(event, name).and_then(Value::as_str).unwrap_or_default();
    let controller = word("reportingComponent");
    if controller.is_empty() {
        errors.push(Error::required(&place, ""));
    }
    let wrong = name::is_qualified_name(controller).into_iter();
    errors.extend(wrong.map(|why| Error::invalid(&place, controller, why)));
    for (field, max) in LENGTHS {
        match word(field).len() {
            0 => errors.push(Error::required(&Path::new(field), "")),
            length if length > max => {
                let why = format!("can have at most {max} characters");
                errors.push(Error::invalid(&Path::new(field), "", why));
            }
            _ => {}
        }
    }
    if word("message").len() > NOTE_BYTES_MAX {
        let why = format!("can have at most {NOTE_BYTES_MAX} characters");
        errors.push(Error::invalid(&Path::new("message"), "", why));
    }
    errors
}

/// What only clients of events.k8s.io are asked for.
fn new_event(event: &Value) -> Vec<Error> {
    let mut errors = series(event);
    if some(event, "/eventTime").is_none() {
        errors.push(Error::required(&Path::new("eventTime"), ""));
    }
    let kind = text(event, "/type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(Error::invalid(&Path::new("type"), "", format!("has invalid value: {kind}")));
    }
    let source = get(event, "source");
    let has_source = source
        .is_some_and(|source| ["/component", "/host"].iter().any(|part| !text(source, part).is_empty()));
    for (name, is_set) in [
        ("firstTimestamp", get(event, "firstTimestamp").is_some()),
        ("lastTimestamp", get(event, "lastTimestamp").is_some()),
        ("count", get(event, "count").is_some_and(|count| *count != 0)),
        ("source", has_source),
    ] {
        if is_set {
            errors.push(Error::invalid(&Path::new(name), "", "needs to be unset"));
        }
    }
    errors
}

fn series(event: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    let Some(series) = some(event, "/series") else { return errors };
    if int(series, "/count") < 2 {
        errors.push(Error::invalid(&Path::new("series.count"), "", "should be at least 2"));
    }
    if some(series, "/lastObservedTime").is_none() {
        errors.push(Error::required(&Path::new("series.lastObservedTime"), ""));
    }
    errors
}

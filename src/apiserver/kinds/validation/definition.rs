//! Definitions of custom resources (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation). Upstream's
//! internal form has what all versions have in common at the top, and its errors say so.

use super::{immutable, webhooks};
use crate::custom::{APPROVED_ANNOTATION, approval, is_protected, storage_version, versions};
use crate::kinds::tree::{field_text, list, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, condition, meta, name};
use alcove_schema::custom::{JsonPath, definition as schemas};
use std::collections::BTreeSet;

/// Selectable fields of one version.
const SELECTABLE_FIELDS_MAX: usize = 8;
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// All that is wrong with a new or changed definition.
pub(crate) fn definition(object: &Value, old: Option<&Value>) -> Vec<Error> {
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let (group, plural) = (text(object, "/spec/group"), text(object, "/spec/names/plural"));
    if old.is_none() && meta::name(object) != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(Error::invalid(&Path::new("metadata").child("name"), meta::name(object), why));
    }
    errors.extend(group_and_scope(group, text(object, "/spec/scope"), &path));
    errors.extend(all_versions(object, old, &path));
    errors.extend(names(&object["spec"]["names"], &path.child("names"), true));
    errors.extend(conversion(&object["spec"], &path.child("conversion")));
    if let Some(old) = old {
        if condition::is_true(old, "Established") {
            errors.extend(immutable(object, old, "/spec/scope", &path.child("scope")));
            errors.extend(immutable(object, old, "/spec/names/kind", &path.child("names").child("kind")));
        }
        errors.extend(immutable(object, old, "/spec/group", &path.child("group")));
        errors.extend(immutable(object, old, "/spec/names/plural", &path.child("names").child("plural")));
    }
    errors.extend(stored_versions(object));
    errors.extend(approved(object, old));
    let keeps_unknown = |object: &Value| object["spec"]["preserveUnknownFields"] == true;
    if keeps_unknown(object) && !old.is_some_and(keeps_unknown) {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid(&path.child("preserveUnknownFields"), true, why));
    }
    errors
}

fn group_and_scope(group: &str, scope: &str, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let at = path.child("group");
    let wrong = name::dns_subdomain(group, false);
    if group.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !wrong.is_empty() {
        errors.push(Error::invalid(&at, group, wrong.join(",")));
    } else if !group.contains('.') {
        errors.push(Error::invalid(&at, group, "should be a domain with at least one dot"));
    }
    match scope {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(Error::required(&path.child("scope"), "")),
        other => errors.push(Error::not_supported(&path.child("scope"), other, &["Cluster", "Namespaced"])),
    }
    errors
}

/// What every version says of something, if all say the same.
fn common<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut all = versions(object).map(|(_, version)| version.pointer(pointer));
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

fn all_versions(object: &Value, old: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let versions_path = path.child("versions");
    let has_status = |version: &Value| version.pointer("/subresources/status").is_some_and(Value::is_object);
    let any_status = versions(object).any(|(_, version)| has_status(version));
    let shared_schema = common(object, "/schema/openAPIV3Schema");
    let shared = |what: &str| common(object, &format!("/{what}")).is_some();
    let known = |name: &str| {
        let version = versions(old?).find(|(known, _)| *known == name)?.1;
        version.pointer("/schema/openAPIV3Schema")
    };
    if let Some(schema) = shared_schema {
        let known = versions(object).next().and_then(|(name, _)| known(name));
        let path = path.child("validation").child("openAPIV3Schema");
        errors.extend(schemas::errors(schema, known, any_status, &path));
    }
    let (mut seen, mut stores, mut twice) = (BTreeSet::new(), 0, false);
    for (i, (name, version)) in versions(object).enumerate() {
        let at = versions_path.index(i);
        stores += usize::from(version["storage"] == true);
        twice |= !seen.insert(name);
        let wrong = name::dns1035_label(name, false);
        if !wrong.is_empty() {
            errors.push(Error::invalid(&at.child("name"), name, wrong.join(",")));
        }
        errors.extend(deprecation(version, &at));
        let schema_path = at.child("schema").child("openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema").filter(|schema| !schema.is_null()) {
            None => errors.push(Error::required(&schema_path, "")),
            Some(_) if shared_schema.is_some() => {}
            Some(schema) => {
                errors.extend(schemas::errors(schema, known(name), has_status(version), &schema_path))
            }
        }
        // What all versions share is told once, and not of any version.
        let place = |what: &str| match (shared(what), i) {
            (false, _) => Some(at.child(what)),
            (true, 0) => Some(path.child(what)),
            (true, _) => None,
        };
        errors.extend(place("subresources").iter().flat_map(|at| scale(version, at)));
        errors.extend(place("additionalPrinterColumns").iter().flat_map(|at| columns(version, at)));
        errors.extend(place("selectableFields").iter().flat_map(|at| selectable_fields(version, at)));
    }
    let all = || object.pointer("/spec/versions").cloned().unwrap_or_default();
    if twice {
        errors.push(Error::invalid(&versions_path, all(), "must contain unique version names"));
    }
    if stores != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(&versions_path, all(), why));
    }
    errors
}

fn deprecation(version: &Value, path: &Path) -> Vec<Error> {
    let Some(warning) = version["deprecationWarning"].as_str() else { return Vec::new() };
    let mut why: Vec<String> = Vec::new();
    if version["deprecated"] != true {
        why.push("can only be set for deprecated versions".into());
    }
    if warning.len() > 256 {
        why.push("must be <= 256 characters long".into());
    }
    if warning.is_empty() {
        why.push("must not be an empty string".into());
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| !alcove_object::field::is_printable(*c)) {
        why.push(format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        ));
    }
    let path = path.child("deprecationWarning");
    why.into_iter().map(|why| Error::invalid(&path, warning, why)).collect()
}

fn scale(version: &Value, path: &Path) -> Vec<Error> {
    let Some(scale) = version.pointer("/subresources/scale").filter(|scale| scale.is_object()) else {
        return Vec::new();
    };
    let mut errors = Vec::new();
    for (field, roots, words, needed) in [
        ("specReplicasPath", &[".spec."][..], ".spec", true),
        ("statusReplicasPath", &[".status."], ".status", true),
        ("labelSelectorPath", &[".spec.", ".status."], "either .spec or .status", false),
    ] {
        let (at, given) = (path.child(&format!("scale.{field}")), text(scale, &format!("/{field}")));
        if given.is_empty() {
            errors.extend(needed.then(|| Error::required(&at, "")));
        } else if !given.starts_with('.') {
            errors.push(Error::invalid(&at, given, "must be a simple json path starting with ."));
        } else if !roots.iter().any(|root| given.starts_with(root)) {
            errors.push(Error::invalid(&at, given, format!("should be a json path under {words}")));
        }
    }
    errors
}

fn columns(version: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (i, column) in list(version, "/additionalPrinterColumns").iter().enumerate() {
        let path = path.index(i);
        let of = |field: &str| text(column, &format!("/{field}"));
        if of("name").is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        let one_of = |all: &[&str]| format!("must be one of {}", all.join(","));
        match of("type") {
            "" => errors.push(Error::required(&path.child("type"), one_of(&COLUMN_TYPES))),
            kind if !COLUMN_TYPES.contains(&kind) => {
                errors.push(Error::invalid(&path.child("type"), kind, one_of(&COLUMN_TYPES)));
            }
            _ => {}
        }
        let format = of("format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            errors.push(Error::invalid(&path.child("format"), format, one_of(&COLUMN_FORMATS)));
        }
        match of("jsonPath") {
            "" => errors.push(Error::required(&path.child("JSONPath"), "")),
            given if !given.starts_with('.') => {
                let why = "must be a simple json path starting with .";
                errors.push(Error::invalid(&path.child("JSONPath"), given, why));
            }
            _ => {}
        }
    }
    errors
}

fn selectable_fields(version: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    let fields = list(version, "/selectableFields");
    for (i, field) in fields.iter().enumerate() {
        let (at, given) = (path.index(i).child("jsonPath"), text(field, "/jsonPath"));
        if given.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        match selected(version, given) {
            Err(why) => {
                errors.push(Error::invalid(&at, given, format!("is an invalid path: {why}")));
                continue;
            }
            Ok(schema) => {
                if given.starts_with(".metadata") {
                    errors.push(Error::invalid(&at, given, "must not point to fields in metadata"));
                }
                if !matches!(text(schema, "/type"), "string" | "boolean" | "integer") {
                    let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                    errors.push(Error::invalid(&at, given, why));
                }
            }
        }
        if !seen.insert(given) {
            errors.push(Error::duplicate(&at, given));
        }
    }
    if seen.len() > SELECTABLE_FIELDS_MAX {
        errors.push(Error::too_many(path, seen.len(), SELECTABLE_FIELDS_MAX));
    }
    errors
}

/// The schema of a field that can be selected.
fn selected<'a>(version: &'a Value, path: &str) -> Result<&'a Value, String> {
    if !path.starts_with(['.', '[']) {
        let name = path.split(['.', '[']).next().unwrap_or_default();
        return Err(format!("expected [ or . but got: {name}"));
    }
    let parsed = JsonPath::parse(path).map_err(|e| e.to_string())?;
    let fields = parsed.fields().ok_or("array notation is not allowed")?;
    let schema = version.pointer("/schema/openAPIV3Schema").ok_or("there is no schema")?;
    fields.into_iter().try_fold(schema, |schema, field| {
        let properties = schema.get("properties").and_then(|properties| properties.get(field));
        properties.ok_or("does not refer to a valid field".to_owned())
    })
}

/// What is wrong with the status of a definition.
pub(crate) fn definition_status(object: &Value) -> Vec<Error> {
    names(&object["status"]["acceptedNames"], &Path::new("status").child("acceptedNames"), false)
}

/// Names that somebody wants, who has to say all of them, or has been given.
fn names(names: &Value, path: &Path, are_wanted: bool) -> Vec<Error> {
    let of = |field: &str| field_text(names, field);
    let mut errors = Vec::new();
    for field in ["plural", "singular", "kind", "listKind"] {
        let (at, given) = (path.child(field), of(field));
        let wrong = name::dns1035_label(&given.to_lowercase(), false);
        if given.is_empty() {
            errors.extend(are_wanted.then(|| Error::required(&at, "")));
        } else if field.ends_with("ind") && !wrong.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.push(Error::invalid(&at, given, why));
        } else if !field.ends_with("ind") {
            let wrong = name::dns1035_label(given, false);
            errors.extend((!wrong.is_empty()).then(|| Error::invalid(&at, given, wrong.join(","))));
        }
    }
    let is_same = !of("kind").is_empty() && of("kind") == of("listKind");
    for field in ["shortNames", "categories"] {
        // In upstream's order.
        if is_same && field == "categories" {
            let why = "kind and listKind may not be the same";
            errors.push(Error::invalid(&path.child("listKind"), of("listKind"), why));
        }
        let given = list(names, &format!("/{field}")).iter().filter_map(Value::as_str);
        for (i, given) in given.enumerate() {
            let wrong = name::dns1035_label(given, false);
            if !wrong.is_empty() {
                errors.push(Error::invalid(&path.child(field).index(i), given, wrong.join(",")));
            }
        }
    }
    errors
}

fn conversion(spec: &Value, path: &Path) -> Vec<Error> {
    let conversion = &spec["conversion"];
    let strategy = text(conversion, "/strategy");
    let config = conversion.pointer("/webhook/clientConfig").filter(|config| config.is_object());
    let versions = list(conversion, "/webhook/conversionReviewVersions");
    let (config_path, versions_path) =
        (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    let mut errors = Vec::new();
    let at = path.child("strategy");
    if conversion.is_object() && strategy != "None" && spec["preserveUnknownFields"] == true {
        let why = "must be None if spec.preserveUnknownFields is true";
        errors.push(Error::invalid(&at, strategy, why));
    }
    match strategy {
        "None" | "Webhook" => {}
        "" => errors.extend(conversion.is_object().then(|| Error::required(&at, ""))),
        other => errors.push(Error::not_supported(&at, other, &["None", "Webhook"])),
    }
    match strategy {
        "Webhook" => {
            match config {
                None => {
                    errors.push(Error::required(&config_path, "required when strategy is set to Webhook"))
                }
                Some(config) => errors.extend(webhooks::client(config, &config_path)),
            }
            for (i, given) in versions.iter().enumerate() {
                let given = given.as_str().unwrap_or_default();
                if versions[..i].iter().any(|earlier| earlier == given) {
                    errors.push(Error::invalid(&versions_path.index(i), given, "duplicate version"));
                    continue;
                }
                let wrong = name::dns1035_label(given, false);
                errors
                    .extend(wrong.into_iter().map(|why| Error::invalid(&versions_path.index(i), given, why)));
            }
            if versions.is_empty() {
                errors.push(Error::required(&versions_path, ""));
            } else if !versions.iter().any(|version| *version == "v1" || *version == "v1beta1") {
                let why = "must include at least one of v1, v1beta1";
                errors.push(Error::invalid(&versions_path, Value::from(versions), why));
            }
        }
        _ => {
            let why = "should not be set when strategy is not set to Webhook";
            errors.extend(config.map(|_| Error::forbidden(&config_path, why)));
            errors.extend((!versions.is_empty()).then(|| Error::forbidden(&versions_path, why)));
        }
    }
    errors
}

fn stored_versions(object: &Value) -> Vec<Error> {
    let path = Path::new("status").child("storedVersions");
    let stored = list(object, "/status/storedVersions");
    if stored.is_empty() {
        return vec![Error::invalid(&path, Value::from(stored), "must have at least one stored version")];
    }
    let mut errors = Vec::new();
    if let Some(storage) = storage_version(object).filter(|storage| !stored.iter().any(|s| s == storage)) {
        errors.push(Error::invalid(
            &path,
            Value::from(stored),
            format!("must have the storage version {storage}"),
        ));
    }
    for (i, version) in stored.iter().filter_map(Value::as_str).enumerate() {
        if !versions(object).any(|(name, _)| name == version) {
            let why = format!(
                "missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {version} and removes {version} from status.storedVersions"
            );
            errors.push(Error::invalid(&path.index(i), version, why));
        }
    }
    errors
}

/// Groups of the Kubernetes community need a word of approval, once it changes or is new.
fn approved(object: &Value, old: Option<&Value>) -> Option<Error> {
    if !is_protected(text(object, "/spec/group")) {
        return None;
    }
    let (_, reason, message) = approval(object)?;
    let before = old.and_then(approval).map(|(_, reason, _)| reason);
    if before == Some(reason) {
        return None;
    }
    let path = Path::new("metadata").child("annotations").key(APPROVED_ANNOTATION);
    let annotation = meta::annotation(object, APPROVED_ANNOTATION).unwrap_or_default();
    match reason {
        "MissingAnnotation" => Some(Error::required(&path, message)),
        "InvalidAnnotation" => Some(Error::invalid(&path, annotation, message)),
        _ => None,
    }
}

//! What a definition's status says (k8s.io/apiextensions-apiserver/pkg/controller/{status,establish,apiapproval}).

use super::names::{Accepted, Names};
use super::{APPROVED_ANNOTATION, text, versions};
use alcove_object::field::{self, Path, quote};
use alcove_object::{Value, condition, meta};
use alcove_schema::custom::definition;
use serde_json::json;

/// Sets a condition: (type, whether it is true, reason, message). The time changes when its status does.
pub(crate) fn set_condition(
    object: &mut Value,
    (kind, holds, reason, message): (&str, bool, &str, &str),
    now: &str,
) {
    // What others wrote beside it, such as observedGeneration, stays.
    let mut said = condition::find(object, kind).cloned().unwrap_or_else(|| json!({ "type": kind }));
    let Some(map) = object.as_object_mut() else { return };
    for (field, value) in [
        ("status", condition::status(holds)),
        ("reason", reason),
        ("message", message),
        ("lastTransitionTime", now),
    ] {
        said[field] = value.into();
    }
    condition::set(meta::child_mut(map, "status").entry("conditions").or_insert(Value::Null), said);
}

/// The definition with the status that follows from its names; equal to it when nothing is to be written.
pub(super) fn settled(definition: &Value, accepted: &Accepted, now: &str) -> Value {
    let mut out = definition.clone();
    let was_established = condition::is_true(definition, "Established");
    if let Some(map) = out.as_object_mut() {
        meta::child_mut(map, "status").insert("acceptedNames".into(), accepted.names.to_value());
    }
    match &accepted.conflict {
        None => {
            let all = ("NamesAccepted", true, "NoConflicts", "no conflicts found");
            set_condition(&mut out, all, now);
            let established =
                ("Established", true, "InitialNamesAccepted", "the initial names have been accepted");
            if !was_established {
                set_condition(&mut out, established, now);
            }
        }
        Some((reason, message)) => {
            set_condition(&mut out, ("NamesAccepted", false, reason, message), now);
            if !was_established {
                let why = ("Established", false, "NotAccepted", "not all names are accepted");
                set_condition(&mut out, why, now);
            }
        }
    }
    if let Some((holds, reason, message)) = approval(definition) {
        let kind = "KubernetesAPIApprovalPolicyConformant";
        set_condition(&mut out, (kind, holds, reason, &message), now);
    }
    match violations(definition) {
        Some(message) => set_condition(&mut out, ("NonStructuralSchema", true, "Violations", &message), now),
        None => {
            if let Some(Value::Array(list)) = out.pointer_mut("/status/conditions") {
                list.retain(|c| c["type"] != "NonStructuralSchema");
            }
        }
    }
    out
}

/// Names that a definition has by its status.
pub(super) fn accepted_names(definition: &Value) -> Names {
    Names::read(definition, "/status/acceptedNames")
}

fn violations(definition: &Value) -> Option<String> {
    let path = Path::new("spec").child("versions");
    let errors: Vec<field::Error> = versions(definition)
        .enumerate()
        .filter_map(|(i, (_, version))| {
            let schema = version.pointer("/schema/openAPIV3Schema")?;
            let path = path.index(i).child("schema").child("openAPIV3Schema");
            Some(definition::structural_errors(schema, &path))
        })
        .flatten()
        .collect();
    (!errors.is_empty()).then(|| field::join(&errors))
}

/// Whether a group belongs to the Kubernetes community.
pub(crate) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|own| group.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// What the approval annotation says: whether it is good, and the reason and message of the condition.
pub(crate) fn approval(definition: &Value) -> Option<(bool, &'static str, String)> {
    if !is_protected(text(definition, "/spec/group")) {
        return None;
    }
    let annotation = meta::annotation(definition, APPROVED_ANNOTATION).unwrap_or_default();
    let name = quote(APPROVED_ANNOTATION);
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let is_url = annotation.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(char::is_whitespace)
    });
    Some(match annotation {
        "" => (
            false,
            "MissingAnnotation",
            format!("protected groups must have approval annotation {name}, {see}"),
        ),
        text if text.starts_with("unapproved") => {
            (false, "UnapprovedAnnotation", format!("not approved: {}", quote(text)))
        }
        text if is_url => (true, "ApprovedAnnotation", format!("approved in {text}")),
        _ => {
            let why = format!(
                "protected groups must have approval annotation {name} with either a URL or a reason starting with \"unapproved\", {see}"
            );
            (false, "InvalidAnnotation", why)
        }
    })
}

//! Options out of a query or an option body, with apimachinery's rules and texts
//! (k8s.io/apimachinery/pkg/apis/meta/v1/validation, pkg/runtime/conversion.go).

use super::request::Query;
use crate::options::{
    DeleteOptions, FieldValidation, ListOptions, PatchType, VersionMatch, WriteOptions, dry_run, propagation,
    refuse,
};
use alcove_object::field::{self, Path};
use alcove_object::selector::{FieldTerm, Fields, Labels};
use alcove_object::{Gvk, Status, Value};
use serde_json::json;

/// Characters in a field manager's name at most. Past it: 422.
const FIELD_MANAGER_CHARACTERS_MAX: usize = 128;

/// Whose options they are; names the kind in 422 answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of the API
pub enum Writing {
    Create,
    Update,
    Patch(PatchType),
}

impl Writing {
    fn kind(self) -> &'static str {
        match self {
            Writing::Create => "CreateOptions",
            Writing::Update => "UpdateOptions",
            Writing::Patch(_) => "PatchOptions",
        }
    }
}

/// Options of create, update and patch. 422 lists all that is wrong.
pub fn write_options(query: &Query, writing: Writing) -> Result<WriteOptions, Status> {
    let mut errors = Vec::new();
    let force = query.flag("force");
    let manager = query.get("fieldManager").unwrap_or_default();
    match writing {
        Writing::Patch(PatchType::Apply) if manager.is_empty() => {
            errors.push(field::Error::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        Writing::Patch(PatchType::Apply) | Writing::Create | Writing::Update => {}
        Writing::Patch(_) if force.is_some() => {
            let why = "may not be specified for non-apply patch";
            errors.push(field::Error::forbidden(&Path::new("force"), why));
        }
        Writing::Patch(_) => {}
    }
    check_manager(manager, &mut errors);
    let dry_run = dry_run(query.all("dryRun"), &mut errors);
    let field_validation = match query.get("fieldValidation").unwrap_or_default() {
        "Ignore" => FieldValidation::Ignore,
        "" | "Warn" => FieldValidation::Warn,
        "Strict" => FieldValidation::Strict,
        other => {
            let known = ["", "Ignore", "Strict", "Warn"];
            errors.push(field::Error::not_supported(&Path::new("fieldValidation"), other, &known));
            FieldValidation::Warn
        }
    };
    refuse(writing.kind(), &errors)?;
    let field_manager = manager.to_owned();
    Ok(WriteOptions { dry_run, field_manager, field_validation, force: force.unwrap_or(false) })
}

fn check_manager(manager: &str, errors: &mut Vec<field::Error>) {
    let path = Path::new("fieldManager");
    if manager.len() > FIELD_MANAGER_CHARACTERS_MAX {
        // Upstream goes on to complain of each character, with the whole name each time.
        errors.push(field::Error::too_long(&path, FIELD_MANAGER_CHARACTERS_MAX));
        return;
    }
    for (position, character) in manager.char_indices().filter(|(_, c)| !field::is_printable(*c)) {
        let why = format!("invalid character U+{:04X} (at position {position})", u32::from(character));
        errors.push(field::Error::invalid(&path, manager, why));
    }
}

/// The field manager of a request that names none: the user agent up to its first slash.
pub fn manager_of_agent(agent: &str) -> String {
    let product = agent.split('/').next().unwrap_or_default();
    product.chars().filter(|c| !c.is_control()).take(FIELD_MANAGER_CHARACTERS_MAX).collect()
}

/// Options of list, watch and deletecollection. A name from the path counts as a field selector.
pub fn list_options(query: &Query, name: &str) -> Result<ListOptions, Status> {
    let text = |key: &str| query.get(key).unwrap_or_default();
    let version_match = match text("resourceVersionMatch") {
        "" => None,
        "NotOlderThan" => Some(VersionMatch::NotOlderThan),
        "Exact" => Some(VersionMatch::Exact),
        other => Some(VersionMatch::Unknown(other.to_owned())),
    };
    let limit = number(query, "limit")?.unwrap_or(0);
    Ok(ListOptions {
        labels: Labels::parse(text("labelSelector")).map_err(Status::bad_request)?,
        fields: with_name(Fields::parse(text("fieldSelector")).map_err(Status::bad_request)?, name)?,
        resource_version: text("resourceVersion").to_owned(),
        version_match,
        // Upstream pages only for positive limits.
        limit: usize::try_from(limit).unwrap_or(0),
        continue_token: text("continue").to_owned(),
        bookmarks: query.flag("allowWatchBookmarks").unwrap_or(false),
        send_initial_events: query.flag("sendInitialEvents"),
        timeout_seconds: number(query, "timeoutSeconds")?,
    })
}

fn with_name(mut fields: Fields, name: &str) -> Result<Fields, Status> {
    if name.is_empty() {
        return Ok(fields);
    }
    match fields.exact("metadata.name") {
        Some(selected) if selected == name => {}
        None if fields.0.is_empty() => {
            let (field, value) = ("metadata.name".to_owned(), name.to_owned());
            fields.0.push(FieldTerm { field, value, negated: false });
        }
        _ => return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name")),
    }
    Ok(fields)
}

/// A number as Go's ParseInt reads it, with its texts for what it cannot read.
fn number(query: &Query, key: &str) -> Result<Option<i64>, Status> {
    let Some(text) = query.get(key) else { return Ok(None) };
    text.parse().map(Some).map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
    })
}

/// What a connection is asked for with, as the object that admission sees: the URL's parameters as fields of this kind
/// (k8s.io/api/core/v1: PodExecOptions and its like), and what follows the subresource. Null: it has no such object.
pub fn connect_options(gvk: &Gvk, query: &Query, tail: &str) -> Value {
    let is_set = |flag: &&str| query.flag(flag) == Some(true);
    let streams =
        || ["stdin", "stdout", "stderr", "tty"].into_iter().filter(is_set).map(|f| (f, true.into()));
    let container = || query.get("container").map(|name| ("container", Value::from(name)));
    let command: Vec<&str> = query.all("command").collect();
    let ports: Vec<i32> = query.all("ports").filter_map(|port| port.parse().ok()).collect();
    let path = if tail.is_empty() { String::new() } else { format!("/{}", tail.trim_start_matches('/')) };
    let fields: Vec<(&str, Value)> = match gvk.kind.as_str() {
        "PodExecOptions" => streams().chain(container()).chain([("command", json!(command))]).collect(),
        "PodAttachOptions" => streams().chain(container()).collect(),
        "PodPortForwardOptions" => vec![("ports", json!(ports))],
        "PodProxyOptions" | "ServiceProxyOptions" | "NodeProxyOptions" => vec![("path", path.into())],
        _ => return Value::Null,
    };
    let mut object = json!({ "apiVersion": gvk.api_version(), "kind": gvk.kind });
    for (field, value) in fields.into_iter().filter(|(_, value)| *value != json!([]) && *value != "") {
        object[field] = value;
    }
    object
}

/// Delete options as a query says them; they count only when there is no body.
pub fn delete_options(query: &Query) -> Result<DeleteOptions, Status> {
    let grace_period_seconds = number(query, "gracePeriodSeconds")?;
    let orphan_dependents = query.flag("orphanDependents");
    let mut errors = Vec::new();
    let propagation = propagation(query.get("propagationPolicy"), orphan_dependents, &mut errors);
    let dry_run = dry_run(query.all("dryRun"), &mut errors);
    refuse("DeleteOptions", &errors)?;
    // Preconditions have no name of their own in a query (Convert_url_Values_To_v1_DeleteOptions).
    let precondition = |key: &str| query.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(DeleteOptions {
        dry_run,
        grace_period_seconds,
        propagation,
        orphan_dependents,
        uid: precondition("uid"),
        resource_version: precondition("resourceVersion"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Propagation;
    use serde_json::json;

    #[test]
    fn write_options_say_what_is_wrong() {
        let ok = |text: &str, writing| write_options(&Query::parse(text), writing).unwrap();
        let options = ok("dryRun=All&fieldManager=me&fieldValidation=Strict&pretty=1", Writing::Create);
        assert!(options.dry_run && !options.force);
        assert_eq!((&*options.field_manager, options.field_validation), ("me", FieldValidation::Strict));
        assert!(ok("fieldManager=me&force=true", Writing::Patch(PatchType::Apply)).force);
        assert!(!ok("", Writing::Update).dry_run);

        let message =
            |text: &str, writing| write_options(&Query::parse(text), writing).unwrap_err().message.clone();
        assert_eq!(
            message("", Writing::Patch(PatchType::Apply)),
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        );
        assert_eq!(
            message("force=1", Writing::Patch(PatchType::Merge)),
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"
        );
        assert_eq!(
            message("fieldValidation=Loud", Writing::Create),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loud\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
        );
        assert!(message("dryRun=None", Writing::Update).contains("dryRun: Unsupported value"));
        assert!(message(&format!("fieldManager={}", "x".repeat(129)), Writing::Update).contains("Too long"));
    }

    /// Each of its characters was complained of with the whole name: gigabytes, for what fits into a URL.
    #[test]
    fn a_long_field_manager_of_control_characters_is_refused_in_short() {
        let query = Query::parse(&format!("fieldManager={}", "%00".repeat(20_000)));
        let refused = write_options(&query, Writing::Update).unwrap_err();
        assert!(refused.message.contains("Too long") && refused.message.len() < 200, "{refused}");
    }

    #[test]
    fn list_options_take_the_name_of_the_path() {
        let options =
            list_options(&Query::parse("limit=5&timeoutSeconds=9&allowWatchBookmarks=1"), "a").unwrap();
        assert_eq!((options.limit, options.timeout_seconds, options.bookmarks), (5, Some(9), true));
        assert_eq!(options.fields.exact("metadata.name"), Some("a"));
        let refused = |text: &str, name: &str| list_options(&Query::parse(text), name).unwrap_err();
        assert_eq!(refused("limit=abc", "").message, "strconv.ParseInt: parsing \"abc\": invalid syntax");
        assert_eq!(
            refused("limit=99999999999999999999", "").message.split(": ").last(),
            Some("value out of range")
        );
        assert_eq!(refused("fieldSelector=metadata.name%3Db", "a").code, 400);
        let older = list_options(&Query::parse("resourceVersionMatch=Older"), "").unwrap();
        assert_eq!(older.version_match, Some(VersionMatch::Unknown("Older".into())));
        assert_eq!(list_options(&Query::parse("limit=-1"), "").unwrap().limit, 0);
    }

    #[test]
    fn delete_options_from_query_and_body() {
        let query = delete_options(&Query::parse("gracePeriodSeconds=0&propagationPolicy=Orphan")).unwrap();
        assert_eq!((query.grace_period_seconds, query.propagation), (Some(0), Some(Propagation::Orphan)));
        let query = delete_options(&Query::parse("uid=u&resourceVersion=7&preconditions.uid=v")).unwrap();
        assert_eq!((query.uid.as_deref(), query.resource_version.as_deref()), (Some("u"), Some("7")));
        assert!(DeleteOptions::read(&Value::Null).unwrap().propagation.is_none());
        let body = DeleteOptions::read(&json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"], "propagationPolicy": "Background",
            "preconditions": {"uid": "u", "resourceVersion": "7"}
        }))
        .unwrap();
        assert!(body.dry_run);
        assert_eq!((body.uid.as_deref(), body.resource_version.as_deref()), (Some("u"), Some("7")));
        assert_eq!(DeleteOptions::read(&json!({"kind": "Pod"})).unwrap_err().code, 400);
        assert_eq!(DeleteOptions::read(&json!({"gracePeriodSeconds": "x"})).unwrap_err().code, 400);
        assert_eq!(DeleteOptions::read(&json!({"propagationPolicy": "Sideways"})).unwrap_err().code, 422);
        let both = DeleteOptions::read(&json!({"propagationPolicy": "Orphan", "orphanDependents": true}));
        assert!(both.unwrap_err().message.contains("cannot be both set"));
    }

    #[test]
    fn managers_come_from_user_agents() {
        assert_eq!(manager_of_agent("kubectl/v1.36.0 (linux/amd64) kubernetes/abc"), "kubectl");
        assert_eq!(manager_of_agent(""), "");
        assert_eq!(manager_of_agent(&"x".repeat(300)).len(), 128);
    }

    #[test]
    fn connections_are_asked_for_with_objects() {
        for (kind, query, tail, expected) in [
            (
                "PodExecOptions",
                "command=sh&command=-c&stdin=true&tty=false&stdout=1&container=c",
                "",
                json!({ "command": ["sh", "-c"], "stdin": true, "stdout": true, "container": "c" }),
            ),
            ("PodAttachOptions", "stdin=true&command=sh&container=", "", json!({ "stdin": true })),
            ("PodPortForwardOptions", "ports=80&ports=x&ports=443", "", json!({ "ports": [80, 443] })),
            ("PodProxyOptions", "path=/b", "a/", json!({ "path": "/a/" })),
            ("ServiceProxyOptions", "", "", json!({})),
        ] {
            let mut expected = expected;
            expected["apiVersion"] = "v1".into();
            expected["kind"] = kind.into();
            let found = connect_options(&Gvk::new("", "v1", kind), &Query::parse(query), tail);
            assert_eq!(found, expected, "{query}");
        }
        assert_eq!(connect_options(&Gvk::new("", "v1", "Pod"), &Query::default(), ""), Value::Null);
    }
}

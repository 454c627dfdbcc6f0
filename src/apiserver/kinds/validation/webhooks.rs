//! Webhook configurations (k8s.io/kubernetes/pkg/apis/admissionregistration/validation).

use super::by;
use super::rules::Check::{By, Inside, OneOf, Required, RequiredNamed, Selector, Unique, Within};
use super::rules::{Rule, wildcard_alone};
use crate::admission::condition_error;
use crate::kinds::tree::{field, int, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};

/// Conditions of one webhook or policy. Past it: 422.
const MATCH_CONDITIONS_MAX: usize = 64;

pub(super) const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

pub(super) const CONDITIONS: &[Rule] = &[
    ("matchConditions", By(condition_count)),
    ("matchConditions/*/expression", By(expression)),
    ("matchConditions/*/name", RequiredNamed(name::is_qualified_name)),
    ("matchConditions", Unique("name")),
];

const WEBHOOK: &[Rule] = &[
    ("name", By(full_name)),
    ("rules/*", Inside(RULE)),
    ("rules/*/resources", By(resources)),
    ("failurePolicy", OneOf(FAILURE_POLICIES)),
    ("matchPolicy", OneOf(MATCH_POLICIES)),
    ("sideEffects", By(side_effects)),
    ("timeoutSeconds", Within(1, 30, "the timeout value must be between 1 and 30 seconds")),
    ("namespaceSelector", Selector),
    ("objectSelector", Selector),
    ("clientConfig", By(client)),
    ("", Inside(CONDITIONS)),
    ("matchConditions", By(|value, path| compiled(value, false, path))),
    ("admissionReviewVersions", By(review_versions)),
];

pub(crate) const VALIDATING_WEBHOOKS: &[Rule] =
    &[("webhooks/*", Inside(WEBHOOK)), ("webhooks", Unique("name"))];

pub(crate) const MUTATING_WEBHOOKS: &[Rule] = &[
    ("webhooks/*", Inside(WEBHOOK)),
    ("webhooks/*/reinvocationPolicy", OneOf(&["IfNeeded", "Never"])),
    ("webhooks", Unique("name")),
];

pub(super) const RULE: &[Rule] = &[
    ("operations", Required("")),
    ("operations", By(|value, path| wildcard_alone(value, "operations", path).into_iter().collect())),
    ("operations/*", OneOf(OPERATIONS)),
    ("apiGroups", Required("")),
    ("apiGroups", By(|value, path| wildcard_alone(value, "API groups", path).into_iter().collect())),
    ("apiVersions", Required("")),
    ("apiVersions", By(|value, path| wildcard_alone(value, "API versions", path).into_iter().collect())),
    ("apiVersions/*", Required("")),
    ("resources", Required("")),
    ("resources/*", Required("")),
    ("scope", OneOf(SCOPES)),
];

/// The empty text is an empty one of those that exist, not a missing one.
fn side_effects(value: &Value, path: &Path) -> Vec<Error> {
    const ALLOWED: [&str; 2] = ["None", "NoneOnDryRun"];
    match value.as_str() {
        Some("None" | "NoneOnDryRun") => Vec::new(),
        None => vec![Error::required(path, "must specify one of None, NoneOnDryRun")],
        Some(given) => vec![Error::not_supported(path, given, &ALLOWED)],
    }
}

/// A domain of three segments at least.
fn full_name(value: &Value, path: &Path) -> Vec<Error> {
    let given = value.as_str().unwrap_or_default();
    if given.is_empty() {
        return vec![Error::required(path, "")];
    }
    let errors: Vec<Error> = by(name::is_dns1123_subdomain, given, path).collect();
    if errors.is_empty() && given.split('.').count() < 3 {
        let why = "should be a domain with at least three segments separated by dots";
        return vec![Error::invalid(path, given, why)];
    }
    errors
}

/// Resources with their subresources, and what stands for all of either.
pub(super) fn resources(value: &Value, path: &Path) -> Vec<Error> {
    let all: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut errors = Vec::new();
    for (i, given) in all.iter().enumerate() {
        let Some((resource, sub)) = given.split_once('/') else { continue };
        for whole in [format!("{resource}/*"), format!("*/{sub}")] {
            if all[..i].contains(&whole.as_str()) {
                let why = format!("if '{whole}' is present, must not specify {given}");
                errors.push(Error::invalid(&path.index(i), *given, why));
            }
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        let why = "if '*/*' is present, must not specify other resources";
        errors.push(Error::invalid(path, value.clone(), why));
    }
    let last_bare = all.iter().rev().find(|given| !given.is_empty() && !given.contains('/'));
    if all.contains(&"*") && last_bare.is_some_and(|given| *given != "*") {
        let why = "if '*' is present, must not specify other resources without subresources";
        errors.push(Error::invalid(path, value.clone(), why));
    }
    errors
}

pub(super) fn client(config: &Value, path: &Path) -> Vec<Error> {
    match (some(config, "/url").and_then(Value::as_str), field(config, "service")) {
        (Some(url), None) => webhook_url(url, &path.child("url")),
        (None, Some(service)) => webhook_service(service, &path.child("service")),
        _ => vec![Error::required(path, "exactly one of url or service is required")],
    }
}

fn webhook_url(url: &str, path: &Path) -> Vec<Error> {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut errors = Vec::new();
    if scheme != "https" {
        errors.push(Error::invalid(path, scheme, format!("'https' is the only allowed URL scheme{FORM}")));
    }
    if host.is_empty() {
        errors.push(Error::invalid(path, host, format!("host must be specified{FORM}")));
    }
    for (part, what) in
        [(user, "user information is"), (fragment, "fragments are"), (query, "query parameters are")]
    {
        if !part.is_empty() {
            errors.push(Error::invalid(path, part, format!("{what} not permitted in the URL")));
        }
    }
    errors
}

fn webhook_service(service: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    // Upstream swaps the two.
    for (field, shown) in [("namespace", "name"), ("name", "namespace")] {
        if text(service, &format!("/{field}")).is_empty() {
            errors.push(Error::required(&path.child(shown), ""));
        }
    }
    let port = int(service, "/port");
    let wrong = name::is_valid_port_number(port);
    if !wrong.is_empty() {
        let why = format!("port is not valid: {}", wrong.join(", "));
        errors.push(Error::invalid(&path.child("port"), port, why));
    }
    errors.extend(service_path(text(service, "/path"), &path.child("path")));
    errors
}

fn service_path(given: &str, path: &Path) -> Vec<Error> {
    if matches!(given, "" | "/") {
        return Vec::new();
    }
    if given == "//" {
        return vec![Error::invalid(path, given, "segment[0] may not be empty")];
    }
    let mut errors = Vec::new();
    if !given.starts_with('/') {
        errors.push(Error::invalid(path, given, "must start with a '/'"));
    }
    let mut rest = given.chars();
    rest.next();
    let rest = rest.as_str();
    for (i, step) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if step.is_empty() {
            errors.push(Error::invalid(path, given, format!("segment[{i}] may not be empty")));
            continue;
        }
        let wrong = name::is_dns1123_subdomain(step).into_iter();
        errors.extend(wrong.map(|why| Error::invalid(path, given, format!("segment[{i}]: {why}"))));
    }
    errors
}

fn condition_count(value: &Value, path: &Path) -> Vec<Error> {
    let count = value.as_array().map_or(0, Vec::len);
    if count > MATCH_CONDITIONS_MAX {
        vec![Error::too_many(path, count, MATCH_CONDITIONS_MAX)]
    } else {
        Vec::new()
    }
}

/// Conditions that are expressions.
pub(super) fn compiled(conditions: &Value, has_params: bool, path: &Path) -> Vec<Error> {
    let sources =
        conditions.as_array().into_iter().flatten().map(|condition| text(condition, "/expression").trim());
    let given = sources.enumerate().filter(|(_, source)| !source.is_empty());
    let wrong = given.filter_map(|(i, source)| {
        let why = condition_error(source, has_params)?;
        Some(Error::invalid(&path.index(i).child("expression"), source, why))
    });
    wrong.collect()
}

fn expression(value: &Value, path: &Path) -> Vec<Error> {
    let is_missing = value.as_str().unwrap_or_default().trim().is_empty();
    if is_missing { vec![Error::required(path, "")] } else { Vec::new() }
}

fn review_versions(value: &Value, path: &Path) -> Vec<Error> {
    let all: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if all.is_empty() {
        return vec![Error::required(path, "must specify one of v1, v1beta1")];
    }
    let mut errors = Vec::new();
    for (i, version) in all.iter().enumerate() {
        match all[..i].contains(version) {
            true => errors.push(Error::invalid(&path.index(i), *version, "duplicate version")),
            false => errors.extend(by(name::is_dns1035_label, version, &path.index(i))),
        }
    }
    if !all.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        errors.push(Error::invalid(path, value.clone(), "must include at least one of v1, v1beta1"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(errors: &[Error]) -> String {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn expressions_compile() {
        let at = Path::new("c");
        for (source, has_params, expected) in [
            ("object.metadata.name == 'x' && request.operation == 'CREATE'", false, ""),
            ("authorizer.path('/').check('get').allowed()", false, ""),
            ("params.a == 1", true, ""),
            (
                "params.a == 1",
                false,
                "c[0].expression: Invalid value: \"params.a == 1\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.a == 1\n | ^",
            ),
            ("'a'", false, "c[0].expression: Invalid value: \"'a'\": must evaluate to bool but got string"),
        ] {
            let conditions = json!([{"name": "n", "expression": source}]);
            assert_eq!(shown(&compiled(&conditions, has_params, &at)), expected);
        }
    }
}

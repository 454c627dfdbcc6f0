//! Admission policies and their bindings (k8s.io/kubernetes/pkg/apis/admissionregistration/validation).

use super::by;
use super::rules::Check::{By, Inside, OneOf, Required, RequiredNamed, RequiredOneOf, Selector};
use super::rules::Rule;
use super::webhooks::{CONDITIONS, FAILURE_POLICIES, MATCH_POLICIES, RULE, compiled, resources};
use crate::admission::{Mutations, PATCH_TYPES, Validations, variable_errors};
use crate::kinds::tree::{field, list, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};

const MATCH: &[Rule] = &[
    ("matchPolicy", OneOf(MATCH_POLICIES)),
    ("namespaceSelector", Selector),
    ("objectSelector", Selector),
    ("resourceRules/*/resourceNames", By(resource_names)),
    ("resourceRules/*", Inside(RULE)),
    ("resourceRules/*/resources", By(resources)),
    ("excludeResourceRules/*/resourceNames", By(resource_names)),
    ("excludeResourceRules/*", Inside(RULE)),
    ("excludeResourceRules/*/resources", By(resources)),
];

const POLICY: &[Rule] = &[
    ("failurePolicy", OneOf(FAILURE_POLICIES)),
    ("paramKind", By(param_kind)),
    ("matchConstraints", Required("")),
    ("matchConstraints", Inside(MATCH)),
    ("matchConstraints/resourceRules", Required("")),
    ("", Inside(CONDITIONS)),
    ("variables/*/name", By(variable_name)),
    ("variables/*/expression", By(variable_expression)),
];

fn variable_name(value: &Value, path: &Path) -> Vec<Error> {
    match value.as_str().unwrap_or_default() {
        "" => vec![Error::required(path, "name is not specified")],
        given => {
            let is_word = !given.starts_with(|c: char| c.is_ascii_digit())
                && given.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let why = "must be a valid CEL identifier";
            if is_word { Vec::new() } else { vec![Error::invalid(path, given, why)] }
        }
    }
}

fn variable_expression(value: &Value, path: &Path) -> Vec<Error> {
    let is_missing = value.as_str().unwrap_or_default().trim().is_empty();
    if is_missing { vec![Error::required(path, "expression is not specified")] } else { Vec::new() }
}

fn param_kind(kind: &Value, path: &Path) -> Vec<Error> {
    if kind.is_null() {
        return Vec::new();
    }
    let (version, at) = (text(kind, "/apiVersion"), path.child("apiVersion"));
    let mut errors = Vec::new();
    match version.matches('/').count() {
        _ if version.is_empty() => errors.push(Error::required(&at, "")),
        0 | 1 => {
            let (group, bare) = version.split_once('/').unwrap_or(("", version));
            let wrong = name::is_dns1123_subdomain(group);
            if !group.is_empty() && !wrong.is_empty() {
                errors.push(Error::invalid(&at, group, wrong.join(",")));
            }
            match (bare, name::is_dns1035_label(bare)) {
                ("", _) => errors.push(Error::invalid(&at, version, "version must be specified")),
                (_, wrong) if wrong.is_empty() => {}
                (bare, wrong) => errors.push(Error::invalid(&at, bare, wrong.join(","))),
            }
        }
        _ => errors.push(Error::invalid(&at, version, format!("unexpected GroupVersion string: {version}"))),
    }
    let (kind, at) = (text(kind, "/kind"), path.child("kind"));
    match (kind, name::is_dns1035_label(&kind.to_lowercase())) {
        ("", _) => errors.push(Error::required(&at, "")),
        (_, wrong) if wrong.is_empty() => {}
        (kind, wrong) => {
            let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.push(Error::invalid(&at, kind, why));
        }
    }
    errors
}

pub(crate) const VALIDATING_POLICY: &[Rule] =
    &[("spec", Inside(POLICY)), ("spec", By(validations)), ("spec", By(policy_conditions)), ("", By(judged))];

fn validations(spec: &Value, path: &Path) -> Vec<Error> {
    if !list(spec, "/validations").is_empty() || !list(spec, "/auditAnnotations").is_empty() {
        return Vec::new();
    }
    let why = "validations or auditAnnotations must contain at least one item";
    ["validations", "auditAnnotations"].map(|field| Error::required(&path.child(field), why)).into()
}

/// Validations and annotations, each as a whole.
fn judged(policy: &Value, _: &Path) -> Vec<Error> {
    let (spec, path) = (&policy["spec"], Path::new("spec"));
    let judge = Validations::of(spec);
    let mut errors = judge.variable_errors(spec, &path);
    for (i, validation) in list(spec, "/validations").iter().enumerate() {
        errors.extend(validation_errors(&judge, validation, &path.child("validations").index(i)));
    }
    let annotations = list(spec, "/auditAnnotations");
    for (i, annotation) in annotations.iter().enumerate() {
        let at = path.child("auditAnnotations").index(i);
        let key = text(annotation, "/key");
        errors.extend(annotation_key(alcove_object::meta::name(policy), key, &at.child("key")));
        let source = text(annotation, "/valueExpression");
        errors.extend(value_expression(source, &at.child("valueExpression")));
        errors.extend(judge.annotation_error(source, at.child("valueExpression")));
        if annotations[..i].iter().any(|other| text(other, "/key") == key) {
            errors.push(Error::duplicate(&at.child("key"), key));
        }
    }
    errors
}

fn validation_errors(judge: &Validations, validation: &Value, path: &Path) -> Vec<Error> {
    const EMPTY: &str = "must be non-empty if specified";
    const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
    let (expression, at) = (text(validation, "/expression"), path.child("expression"));
    let mut errors = variable_expression(&expression.into(), &at);
    errors.extend(judge.expression_error(expression, at));
    let (maker, at) = (text(validation, "/messageExpression"), path.child("messageExpression"));
    if !maker.is_empty() && maker.trim().is_empty() {
        errors.push(Error::invalid(&at, maker, EMPTY));
    } else if !maker.is_empty() {
        errors.extend(judge.message_error(maker, at));
    }
    let (message, at) = (text(validation, "/message"), path.child("message"));
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(Error::invalid(&at, message, EMPTY));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(Error::invalid(&at, message, "must not contain line breaks"));
    }
    // An empty text is none of the reasons, too.
    let reason = validation["reason"].as_str().filter(|given| !REASONS.contains(given));
    errors.extend(reason.map(|given| Error::not_supported(&path.child("reason"), given, &REASONS)));
    errors
}

/// Audit annotations are written with the policy's name before their keys.
fn annotation_key(policy: &str, key: &str, path: &Path) -> Vec<Error> {
    if policy.is_empty() {
        return vec![Error::invalid(path, key, "requires metadata.name be non-empty")];
    }
    let full = format!("{policy}/{key}");
    name::is_qualified_name(&full).into_iter().map(|why| Error::invalid(path, full.clone(), why)).collect()
}

/// Names of resources, each once.
fn resource_names(names: &Value, path: &Path) -> Vec<Error> {
    let all = names.as_array().map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    for (i, name) in all.iter().enumerate() {
        errors.extend(by(super::rules::path_segment, name.as_str().unwrap_or_default(), &path.index(i)));
        if all[..i].contains(name) {
            errors.push(Error::duplicate(&path.index(i), name.clone()));
        }
    }
    errors
}

fn value_expression(source: &str, path: &Path) -> Option<Error> {
    source.trim().is_empty().then(|| Error::required(path, "valueExpression is not specified"))
}

pub(crate) const MUTATING_POLICY: &[Rule] = &[
    ("spec", Inside(POLICY)),
    ("spec/matchConstraints/resourceRules", By(mutable)),
    ("spec", By(policy_conditions)),
    ("spec", By(variable_errors)),
    ("spec/mutations", Required("mutations must contain at least one item")),
    ("spec", By(mutations)),
    ("spec/reinvocationPolicy", RequiredOneOf(&["IfNeeded", "Never"])),
];

const BINDING: &[Rule] = &[
    ("policyName", RequiredNamed(name::is_dns1123_subdomain)),
    ("paramRef", By(param_ref)),
    ("matchResources", Inside(MATCH)),
];

fn param_ref(reference: &Value, path: &Path) -> Vec<Error> {
    if reference.is_null() {
        return Vec::new();
    }
    let (name, selector) = (text(reference, "/name"), field(reference, "selector"));
    let mut errors = Vec::new();
    if !name.is_empty() {
        errors.extend(by(super::rules::path_segment, name, &path.child("name")));
        if selector.is_some() {
            let why = "name and selector are mutually exclusive";
            errors.push(Error::forbidden(&path.child("name"), why));
        }
    }
    if let Some(selector) = selector {
        let at = path.child("selector");
        errors.extend(alcove_object::validate::validate_label_selector(Some(selector), false, &at));
        if !name.is_empty() {
            errors.push(Error::forbidden(&at, "name and selector are mutually exclusive"));
        }
    }
    if name.is_empty() && selector.is_none() {
        errors.push(Error::required(path, "one of name or selector must be specified"));
    }
    let (action, at) = (text(reference, "/parameterNotFoundAction"), path.child("parameterNotFoundAction"));
    match action {
        "" => errors.push(Error::required(&at, "")),
        "Allow" | "Deny" => {}
        other => errors.push(Error::not_supported(&at, other, &["Deny", "Allow"])),
    }
    errors
}

pub(crate) const VALIDATING_BINDING: &[Rule] = &[
    ("spec", Inside(BINDING)),
    ("spec/validationActions", Required("at least one validation action is required")),
    ("spec/validationActions", By(actions)),
];

fn actions(value: &Value, path: &Path) -> Vec<Error> {
    const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];
    let all = value.as_array().map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    for (i, action) in all.iter().enumerate() {
        if !ACTIONS.iter().any(|known| action == known) {
            errors.push(Error::not_supported(&path.index(i), action.clone(), &ACTIONS));
        }
        if all[..i].contains(action) {
            errors.push(Error::duplicate(&path.index(i), action.clone()));
        }
    }
    let has = |name: &str| all.iter().any(|action| action == name);
    if has("Deny") && has("Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(Error::invalid(path, value.clone(), why));
    }
    errors
}

/// There is nothing to change in what goes.
fn mutable(rules: &Value, path: &Path) -> Vec<Error> {
    const MUTABLE: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];
    let operations = rules.as_array().into_iter().flatten().flat_map(|rule| list(rule, "/operations"));
    let wrong = operations.filter(|operation| !MUTABLE.iter().any(|known| operation == known));
    let at = path.child("operations");
    wrong.map(|operation| Error::not_supported(&at, operation.clone(), &MUTABLE)).collect()
}

fn mutations(spec: &Value, path: &Path) -> Vec<Error> {
    let all = list(spec, "/mutations").iter().enumerate();
    let judge = Mutations::of(spec);
    all.flat_map(|(i, mutation)| mutation_errors(&judge, mutation, &path.child("mutations").index(i)))
        .collect()
}

fn mutation_errors(judge: &Mutations, mutation: &Value, path: &Path) -> Vec<Error> {
    let kind = text(mutation, "/patchType");
    if kind.is_empty() {
        return vec![Error::required(&path.child("patchType"), "")];
    }
    let Some((_, own)) = PATCH_TYPES.into_iter().find(|(name, _)| *name == kind) else {
        return vec![Error::not_supported(
            &path.child("patchType"),
            kind,
            &PATCH_TYPES.map(|(name, _)| name),
        )];
    };
    let mut errors = Vec::new();
    match field(mutation, own) {
        None => {
            errors.push(Error::required(
                &path.child(own),
                format!("must be specified when patchType is {kind}"),
            ));
        }
        Some(given) => {
            let (source, at) = (text(given, "/expression"), path.child(own).child("expression"));
            match source.trim() {
                "" => errors.push(Error::required(&at, "")),
                _ => errors.extend(judge.error(kind, source, at)),
            }
        }
    }
    for (_, other) in
        PATCH_TYPES.into_iter().filter(|(name, other)| *name != kind && field(mutation, other).is_some())
    {
        let why = format!("must not be specified when patchType is {kind}");
        errors.push(Error::invalid(&path.child(other), format!("{{{other}}}"), why));
    }
    errors
}

pub(crate) const MUTATING_BINDING: &[Rule] =
    &[("spec", Inside(BINDING)), ("spec/matchResources/resourceRules", By(mutable))];

fn policy_conditions(spec: &Value, path: &Path) -> Vec<Error> {
    let conditions = spec.get("matchConditions").unwrap_or(&Value::Null);
    compiled(conditions, field(spec, "paramKind").is_some(), &path.child("matchConditions"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(errors: &[Error]) -> String {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn expressions_of_policies_compile() {
        let unknown = "compilation failed: ERROR: <input>:1:10: undefined field 'none'\n | variables.none\n | .........^";
        for (spec, expected) in [
            (
                json!({"variables": [{"name": "a", "expression": "object.spec"}], "validations": [{"expression": "variables.a.b == 1"}]}),
                String::new(),
            ),
            (
                json!({"validations": [{"expression": "variables.none"}]}),
                format!("spec.validations[0].expression: Invalid value: \"variables.none\": {unknown}"),
            ),
            (
                json!({"variables": [{"name": "a", "expression": "variables.none"}]}),
                format!("spec.variables[0].expression: Invalid value: \"variables.none\": {unknown}"),
            ),
            (
                json!({"validations": [{"expression": "1"}]}),
                "spec.validations[0].expression: Invalid value: \"1\": must evaluate to bool but got int"
                    .to_owned(),
            ),
        ] {
            assert_eq!(shown(&judged(&json!({ "spec": spec }), &Path::default())), expected);
        }
    }

    #[test]
    fn mutations_are_what_they_say() {
        let at = Path::new("spec");
        for (mutation, expected) in [
            (
                json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}),
                "",
            ),
            (json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'test'}]"}}), ""),
            (json!({}), "spec.mutations[0].patchType: Required value"),
            (
                json!({"patchType": "Merge"}),
                "spec.mutations[0].patchType: Unsupported value: \"Merge\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
            ),
            (
                json!({"patchType": "JSONPatch", "applyConfiguration": {"expression": "Object{}"}}),
                "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch|spec.mutations[0].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when patchType is JSONPatch",
            ),
            (
                json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": " "}}),
                "spec.mutations[0].applyConfiguration.expression: Required value",
            ),
            (
                json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": " 1"}}),
                "spec.mutations[0].applyConfiguration.expression: Invalid value: \"1\": must evaluate to Object but got int",
            ),
            (
                json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "[Object{}]"}}),
                "spec.mutations[0].jsonPatch.expression: Invalid value: \"[Object{}]\": must evaluate to list(JSONPatch) but got list(Object)",
            ),
        ] {
            assert_eq!(shown(&mutations(&json!({"mutations": [mutation]}), &at)), expected);
        }
        let rules = json!([{"operations": ["CREATE", "DELETE"]}]);
        let wrong = "spec.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"";
        assert_eq!(shown(&mutable(&rules, &at)), wrong);
    }
}

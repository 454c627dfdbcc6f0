//! What is run beside a container: probes and hooks; and when it is run again
//! (k8s.io/kubernetes/pkg/apis/core/validation).

use super::{by, items, port_number, port_or_name};
use crate::kinds::tree::{field, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, name};

/// Rules of restarts in one container at most, and exit codes in one rule.
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

/// Probes and hooks of a container that keeps running. `grace` is how long its pod may take to end.
pub(super) fn running(container: &Value, spec: &Value, path: &Path) -> Vec<Error> {
    let grace = some(spec, "/terminationGracePeriodSeconds").and_then(Value::as_i64);
    let mut errors = lifecycle(container, spec, grace, path);
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = field(container, kind) else { continue };
        let at = path.child(kind);
        errors.extend(handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], grace, &at));
        for field in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            errors.extend(super::non_negative(probe, field, &at));
        }
        let own = some(probe, "/terminationGracePeriodSeconds").and_then(Value::as_i64);
        let place = at.child("terminationGracePeriodSeconds");
        if let Some(own) = own.filter(|own| *own <= 0) {
            errors.push(Error::invalid(&place, own, "must be greater than 0"));
        }
        let threshold = int(probe, "/successThreshold");
        match (kind, own) {
            ("readinessProbe", Some(own)) => {
                errors.push(Error::invalid(&place, own, "must not be set for readinessProbes"));
            }
            ("readinessProbe", None) => {}
            _ if threshold != 1 => {
                errors.push(Error::invalid(&at.child("successThreshold"), threshold, "must be 1"));
            }
            _ => {}
        }
    }
    errors
}

fn lifecycle(container: &Value, spec: &Value, grace: Option<i64>, path: &Path) -> Vec<Error> {
    let Some(lifecycle) = field(container, "lifecycle") else { return Vec::new() };
    let path = path.child("lifecycle");
    let mut errors = Vec::new();
    for hook in ["postStart", "preStop"] {
        let Some(hooked) = field(lifecycle, hook) else { continue };
        errors.extend(handler(hooked, &["exec", "httpGet", "tcpSocket", "sleep"], grace, &path.child(hook)));
    }
    if field(lifecycle, "stopSignal").is_some() && field(spec, "os").is_none() {
        let why = "may not be set for containers with empty `spec.os.name`";
        errors.push(Error::forbidden(&path.child("stopSignal"), why));
    }
    errors
}

/// How a probe or hook is run: one way.
fn handler(handler: &Value, kinds: &[&str], grace: Option<i64>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let given = kinds.iter().filter_map(|kind| Some((*kind, field(handler, kind)?)));
    let mut count = 0;
    for (kind, action) in given {
        let at = path.child(kind);
        count += 1;
        if count > 1 {
            errors.push(Error::forbidden(&at, "may not specify more than 1 handler type"));
            continue;
        }
        errors.extend(one_action(kind, action, grace, &at));
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a handler type"));
    }
    errors
}

fn one_action(kind: &str, action: &Value, grace: Option<i64>, at: &Path) -> Vec<Error> {
    const SCHEMES: [&str; 2] = ["HTTP", "HTTPS"];
    let mut errors = Vec::new();
    match kind {
        "exec" if list(action, "/command").is_empty() => {
            errors.push(Error::required(&at.child("command"), ""));
        }
        "httpGet" => {
            if text(action, "/path").is_empty() {
                errors.push(Error::required(&at.child("path"), ""));
            }
            errors.extend(port_or_name(action.get("port"), &at.child("port")));
            let scheme = text(action, "/scheme");
            if !SCHEMES.contains(&scheme) {
                errors.push(Error::not_supported(&at.child("scheme"), scheme, &SCHEMES));
            }
            let headers = list(action, "/httpHeaders").iter();
            errors.extend(headers.flat_map(|header| {
                by(name::is_http_header_name, text(header, "/name"), &at.child("httpHeaders"))
                    .collect::<Vec<_>>()
            }));
        }
        "tcpSocket" => errors.extend(port_or_name(action.get("port"), &at.child("port"))),
        "grpc" => errors.extend(port_number(action, "port", at)),
        "sleep" => {
            let seconds = int(action, "/seconds");
            if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                let why =
                    format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                errors.push(Error::invalid(at, seconds, why));
            }
        }
        _ => {}
    }
    errors
}

/// What a container says about being run again, apart from its pod.
pub(super) fn restarts(container: &Value, is_first: bool, path: &Path) -> Vec<Error> {
    const POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];
    const ACTIONS: [&str; 2] = ["Restart", "RestartAllContainers"];
    const OPERATORS: [&str; 2] = ["In", "NotIn"];
    let rules = list(container, "/restartPolicyRules");
    let at = path.child("restartPolicy");
    let mut errors = Vec::new();
    match field(container, "restartPolicy").and_then(Value::as_str) {
        None if !rules.is_empty() => {
            errors.push(Error::required(&at, "must specify restartPolicy when restart rules are used"));
            // Of containers that run first upstream asks no more then.
            if is_first {
                return errors;
            }
        }
        Some(policy) if !POLICIES.contains(&policy) => {
            errors.push(Error::not_supported(&at, policy, &POLICIES));
        }
        _ => {}
    }
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&path.child("restartPolicyRules"), rules.len(), RULES_MAX));
    }
    for (at, rule) in items(container, "restartPolicyRules", path) {
        let action = text(rule, "/action");
        if !ACTIONS.contains(&action) {
            errors.push(Error::not_supported(&at.child("action"), action, &ACTIONS));
        }
        let at = at.child("exitCodes");
        let Some(codes) = field(rule, "exitCodes") else {
            errors.push(Error::required(&at, "must be specified"));
            continue;
        };
        let operator = text(codes, "/operator");
        if !OPERATORS.contains(&operator) {
            errors.push(Error::not_supported(&at.child("operator"), operator, &OPERATORS));
        }
        let count = list(codes, "/values").len();
        if count > EXIT_CODES_MAX {
            errors.push(Error::too_many(&at.child("values"), count, EXIT_CODES_MAX));
        }
    }
    errors
}

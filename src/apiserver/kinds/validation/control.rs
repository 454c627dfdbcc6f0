//! Kinds that steer the server and its peers: API services, runtime classes, flow control.

use super::rules::Check::{By, Inside, Labels, NamedIfAny, Required, RequiredNamed, RequiredOneOf, Within};
use super::rules::{Rule, below, wildcard_alone};
use super::scheduling::tolerations;
use super::{by, resources};
use crate::flow::bootstrap::{EXEMPT, mandatory_spec};
use crate::kinds::tree::{field, flag, int, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};
use serde_json::json;
use std::collections::BTreeSet;

/// k8s.io/kube-aggregator/pkg/apis/apiregistration/validation.
pub(crate) const API_SERVICE: &[Rule] = &[
    ("", By(api_service_name)),
    ("spec/group", NamedIfAny(name::is_dns1123_subdomain)),
    ("spec/version", super::rules::Check::Named(name::is_dns1035_label)),
    ("spec/groupPriorityMinimum", Within(1, 20_000, "must be positive and less than 20000")),
    ("spec/versionPriority", Within(1, 1000, "must be positive and less than 1000")),
    ("spec", By(api_service)),
];

fn api_service_name(object: &Value, _: &Path) -> Vec<Error> {
    let (group, version) = (text(object, "/spec/group"), text(object, "/spec/version"));
    let wanted = format!("{version}.{group}");
    let mut errors = Vec::new();
    if meta::name(object) != wanted {
        let why =
            format!("must be `spec.version+\".\"+spec.group`: {}", alcove_object::field::quote(&wanted));
        errors.push(Error::invalid(&Path::new("metadata").child("name"), meta::name(object), why));
    }
    if group.is_empty() && version != "v1" {
        let why = "only v1 may have an empty group and it better be legacy kube";
        errors.push(Error::required(&Path::new("spec").child("group"), why));
    }
    errors
}

fn api_service(spec: &Value, path: &Path) -> Vec<Error> {
    let (bundle, skips) = (text(spec, "/caBundle"), flag(spec, "/insecureSkipTLSVerify"));
    let skip_path = path.child("insecureSkipTLSVerify");
    let Some(service) = field(spec, "service") else {
        let mut errors = Vec::new();
        if !bundle.is_empty() {
            let size = bundle.trim_end_matches('=').len() * 3 / 4;
            let why = "local APIServices may not have a caBundle";
            errors.push(Error::invalid(&path.child("caBundle"), format!("{size} bytes"), why));
        }
        if skips {
            let why = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(Error::invalid(&skip_path, true, why));
        }
        return errors;
    };
    let at = path.child("service");
    let mut errors = below(service, &[("namespace", Required("")), ("name", Required(""))], &at);
    let port = int(service, "/port");
    let wrong = name::is_valid_port_number(port);
    if !wrong.is_empty() {
        let why = format!("port is not valid: {}", wrong.join(", "));
        errors.push(Error::invalid(&at.child("port"), port, why));
    }
    if skips && !bundle.is_empty() {
        errors.push(Error::invalid(&skip_path, true, "may not be true if caBundle is present"));
    }
    errors
}

/// k8s.io/kubernetes/pkg/apis/node/validation.
pub(crate) const RUNTIME_CLASS: &[Rule] = &[
    ("handler", RequiredNamed(short_name)),
    ("overhead", By(overhead)),
    ("scheduling/nodeSelector", Labels),
    ("scheduling", By(tolerations)),
    ("scheduling", By(same_tolerations)),
];

/// A class names each toleration once, whatever its time.
fn same_tolerations(scheduling: &Value, path: &Path) -> Vec<Error> {
    let mut seen = BTreeSet::new();
    let keys = ["/key", "/operator", "/value", "/effect"];
    let all = super::items(scheduling, "tolerations", path);
    let doubles = all.filter(|(_, toleration)| !seen.insert(keys.map(|key| text(toleration, key))));
    doubles.map(|(at, toleration)| Error::duplicate(&at, toleration.clone())).collect()
}

fn short_name(value: &str) -> Vec<String> {
    name::dns_label(value, false)
}

fn overhead(value: &Value, path: &Path) -> Vec<Error> {
    let Some(fixed) = some(value, "/podFixed") else { return Vec::new() };
    resources::of_container(Some(&json!({"limits": fixed})), &BTreeSet::new(), path)
}

const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// k8s.io/kubernetes/pkg/apis/flowcontrol/validation.
pub(crate) const FLOW_SCHEMA: &[Rule] = &[
    ("", By(first_precedence)),
    ("spec/matchingPrecedence", Within(1, i64::MAX, "must be a positive value")),
    ("spec/matchingPrecedence", Within(i64::MIN, 10_000, "must not be greater than 10000")),
    ("spec/distinguisherMethod", By(distinguisher)),
    ("spec/priorityLevelConfiguration/name", By(level_name)),
    ("spec/rules/*", By(flow_rule)),
    ("", By(mandatory)),
];

fn first_precedence(object: &Value, _: &Path) -> Vec<Error> {
    if int(object, "/spec/matchingPrecedence") != 1 || meta::name(object) == EXEMPT {
        return Vec::new();
    }
    let why = "only the schema named 'exempt' may have matchingPrecedence 1";
    vec![Error::invalid(&Path::new("spec").child("matchingPrecedence"), 1, why)]
}

/// The specs of mandatory objects are fixed, but for the shares of the exempt level.
fn mandatory(object: &Value, _: &Path) -> Vec<Error> {
    let (kind, name) = (text(object, "/kind"), meta::name(object));
    let Some(mut wanted) = mandatory_spec(kind, name) else { return Vec::new() };
    let spec = &object["spec"];
    let (path, is_exempt_level) = (Path::new("spec"), wanted.get("exempt").is_some());
    if is_exempt_level {
        wanted["exempt"] = spec["exempt"].clone();
    }
    if wanted == *spec {
        return Vec::new();
    }
    let but = if is_exempt_level { " except the 'spec.exempt' field" } else { "" };
    vec![Error::invalid(&path, spec.clone(), format!("spec of '{name}'{but} must equal the fixed value"))]
}

/// Upstream shows the whole method.
fn distinguisher(method: &Value, path: &Path) -> Vec<Error> {
    if method.is_null() || matches!(text(method, "/type"), "ByNamespace" | "ByUser") {
        return Vec::new();
    }
    vec![Error::not_supported(&path.child("type"), method.clone(), &["ByNamespace", "ByUser"])]
}

fn level_name(value: &Value, path: &Path) -> Vec<Error> {
    match value.as_str().unwrap_or_default() {
        "" => vec![Error::required(path, "must reference a priority level")],
        given => by(name::is_dns1123_subdomain, given, path).collect(),
    }
}

fn flow_rule(rule: &Value, path: &Path) -> Vec<Error> {
    let mut errors = below(
        rule,
        &[
            ("subjects", Required("subjects must contain at least one value")),
            ("subjects/*", By(subject)),
            ("resourceRules/*", Inside(RESOURCE_RULE)),
            ("resourceRules/*", By(rule_namespaces)),
            ("nonResourceRules/*", Inside(NON_RESOURCE_RULE)),
        ],
        path,
    );
    if list(rule, "/resourceRules").is_empty() && list(rule, "/nonResourceRules").is_empty() {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(Error::required(path, why));
    }
    errors
}

const RESOURCE_RULE: &[Rule] = &[
    ("verbs", By(verbs)),
    ("apiGroups", Required("resource rules must supply at least one api group")),
    ("apiGroups", By(|value, path| wildcard_alone(value, "api groups", path).into_iter().collect())),
    ("resources", Required("resource rules must supply at least one resource")),
    ("resources", By(|value, path| wildcard_alone(value, "resources", path).into_iter().collect())),
    ("namespaces", By(|value, path| wildcard_alone(value, "namespaces", path).into_iter().collect())),
];

const NON_RESOURCE_RULE: &[Rule] = &[
    ("verbs", By(verbs)),
    ("nonResourceURLs", Required("nonResourceURLs must contain at least one value")),
    (
        "nonResourceURLs",
        By(|value, path| wildcard_alone(value, "non-resource URLs", path).into_iter().collect()),
    ),
    ("nonResourceURLs", By(urls)),
];

/// Paths of the server that are no resources; a `*` stands alone or for all below a path.
fn urls(value: &Value, path: &Path) -> Vec<Error> {
    let all: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if all.contains(&"*") {
        return Vec::new();
    }
    let wrong = all.iter().enumerate().filter_map(|(i, url)| {
        let why = match *url {
            "" => "must not be empty",
            "/" => return None,
            url if !url.starts_with('/') => "must start with slash",
            url if url.contains(' ') => "must not contain white-space",
            url if url.contains("//") => "must not contain double slash",
            url if url.strip_suffix("/*").unwrap_or(url).contains('*') => {
                "wildcard can only do suffix matching"
            }
            _ => return None,
        };
        Some(Error::invalid(&path.index(i), *url, why))
    });
    wrong.collect()
}

fn verbs(value: &Value, path: &Path) -> Vec<Error> {
    let all = value.as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return vec![Error::required(path, "verbs must contain at least one value")];
    }
    if all.iter().any(|verb| verb == "*") {
        return wildcard_alone(value, "verbs", path).into_iter().collect();
    }
    if all.iter().all(|verb| VERBS.iter().any(|known| verb == known)) {
        return Vec::new();
    }
    vec![Error::not_supported(path, value.clone(), &VERBS)]
}

fn rule_namespaces(rule: &Value, path: &Path) -> Vec<Error> {
    let path = path.child("namespaces");
    let namespaces = list(rule, "/namespaces");
    if namespaces.is_empty() && !flag(rule, "/clusterScope") {
        let why = "resource rules that are not cluster scoped must supply at least one namespace";
        return vec![Error::required(&path, why)];
    }
    if namespaces.iter().any(|namespace| namespace == "*") {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for (i, namespace) in namespaces.iter().filter_map(Value::as_str).enumerate() {
        let wrong = name::is_dns1123_label(namespace).into_iter();
        let why = |why| format!("each member of this list must be '*' or a DNS-1123 label; {why}");
        errors.extend(wrong.map(|w| Error::invalid(&path.index(i), namespace, why(w))));
    }
    errors
}

fn subject(subject: &Value, path: &Path) -> Vec<Error> {
    const KINDS: [(&str, &str); 3] =
        [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = text(subject, "/kind");
    let Some((_, own)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        return vec![Error::not_supported(&path.child("kind"), kind, &["Group", "ServiceAccount", "User"])];
    };
    let at = path.child(own);
    let mut errors = match field(subject, own) {
        None => vec![Error::required(&at, format!("{own} is required when subject kind is '{kind}'"))],
        Some(account) if *own == "serviceAccount" => service_account(account, &at),
        Some(named) => below(named, &[("name", Required(""))], &at),
    };
    for (other, other_field) in KINDS.iter().filter(|(other, _)| *other != kind) {
        if field(subject, other_field).is_some() {
            let why = format!("{other_field} is forbidden when subject kind is not '{other}'");
            errors.push(Error::forbidden(&path.child(other_field), why));
        }
    }
    errors
}

fn service_account(account: &Value, path: &Path) -> Vec<Error> {
    let mut errors = match text(account, "/name") {
        "" => vec![Error::required(&path.child("name"), "")],
        "*" => Vec::new(),
        name => by(name::is_dns1123_subdomain, name, &path.child("name")).collect(),
    };
    let at = path.child("namespace");
    match text(account, "/namespace") {
        "" => errors.push(Error::required(&at, "must specify namespace for service account")),
        namespace => errors.extend(by(name::is_dns1123_label, namespace, &at)),
    }
    errors
}

pub(crate) const PRIORITY_LEVEL: &[Rule] = &[
    ("", By(level_type)),
    ("spec/type", RequiredOneOf(&["Exempt", "Limited"])),
    ("spec/exempt/nominalConcurrencyShares", Within(0, i64::MAX, NON_NEGATIVE)),
    ("spec/exempt/lendablePercent", Within(0, 100, PERCENT)),
    ("spec/limited/nominalConcurrencyShares", Within(0, i64::MAX, NON_NEGATIVE)),
    ("spec/limited/limitResponse", By(limit_response)),
    ("spec/limited/lendablePercent", Within(0, 100, PERCENT)),
    (
        "spec/limited/borrowingLimitPercent",
        Within(0, i64::MAX, "if specified, must be a non-negative integer"),
    ),
    ("", By(mandatory)),
];

pub(super) const NON_NEGATIVE: &str = "must be a non-negative integer";
const PERCENT: &str = "must be between 0 and 100, inclusive";
/// Queues of one level at most.
const QUEUES_MAX: i64 = 10_000_000;
/// Bits of a flow's hash that dealing a hand may use up (k8s.io/apiserver/pkg/util/shufflesharding).
const HASH_BITS_MAX: u32 = 60;

fn queuing(value: &Value, path: &Path) -> Vec<Error> {
    let (queues, hand) = (int(value, "/queues"), int(value, "/handSize"));
    let length = int(value, "/queueLengthLimit");
    let wrong = |field: &str, value: i64, why: String| Error::invalid(&path.child(field), value, why);
    let positive = || "must be positive".to_owned();
    let mut errors = Vec::new();
    if length <= 0 {
        errors.push(wrong("queueLengthLimit", length, positive()));
    }
    if queues <= 0 {
        errors.push(wrong("queues", queues, positive()));
    } else if queues > QUEUES_MAX {
        errors.push(wrong("queues", queues, format!("must not be greater than {QUEUES_MAX}")));
    }
    if hand <= 0 {
        errors.push(wrong("handSize", hand, positive()));
    } else if hand > queues {
        errors.push(wrong("handSize", hand, format!("should not be greater than queues ({queues})")));
    } else if entropy_bits(queues, hand) > HASH_BITS_MAX {
        let why = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS_MAX}"
        );
        errors.push(wrong("handSize", hand, why));
    }
    errors
}

/// Bits that dealing so many cards of a deck needs, as upstream estimates them.
fn entropy_bits(deck: i64, hand: i64) -> u32 {
    ((deck as f64).log2() * hand as f64).ceil() as u32
}

fn level_type(object: &Value, _: &Path) -> Vec<Error> {
    let path = Path::new("spec");
    let (kind, is_exempt) = (text(object, "/spec/type"), meta::name(object) == "exempt");
    let mut errors = Vec::new();
    if is_exempt != (kind == "Exempt") {
        let why = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.push(Error::invalid(&path.child("type"), kind, why));
    }
    let has = |name: &str| some(object, &format!("/spec/{name}")).is_some();
    match kind {
        "Exempt" if has("limited") => {
            errors.push(Error::forbidden(&path.child("limited"), "must be nil if the type is not Limited"));
        }
        "Limited" => {
            if has("exempt") {
                errors.push(Error::forbidden(&path.child("exempt"), "must be nil if the type is Limited"));
            }
            if !has("limited") {
                let why = "must not be empty when type is Limited";
                errors.push(Error::required(&path.child("limited"), why));
            }
        }
        _ => {}
    }
    errors
}

fn limit_response(response: &Value, path: &Path) -> Vec<Error> {
    let at = path.child("queuing");
    match (text(response, "/type"), field(response, "queuing")) {
        ("Reject", Some(_)) => {
            vec![Error::forbidden(&at, "must be nil if limited.limitResponse.type is not Limited")]
        }
        ("Queue", None) => {
            vec![Error::required(&at, "must not be empty if limited.limitResponse.type is Limited")]
        }
        ("Queue", Some(value)) => queuing(value, &at),
        ("Reject", None) => Vec::new(),
        _ => below(response, &[("type", RequiredOneOf(&["Queue", "Reject"]))], path),
    }
}

/// How many pods must stay, or may go.
pub(crate) const DISRUPTION_BUDGET: &[Rule] = &[("spec", By(disruption_budget))];

fn disruption_budget(spec: &Value, path: &Path) -> Vec<Error> {
    const POLICIES: [&str; 2] = ["AlwaysAllow", "IfHealthyBudget"];
    let limits = ["minAvailable", "maxUnavailable"].map(|name| (name, some(spec, &format!("/{name}"))));
    let mut errors = Vec::new();
    if limits.iter().all(|(_, limit)| limit.is_some()) {
        let why = "minAvailable and maxUnavailable cannot be both set";
        errors.push(Error::invalid(path, spec.clone(), why));
    }
    for (name, limit) in limits {
        errors.extend(super::int_or_percent(limit, &path.child(name)));
        errors.extend(super::at_most_all(limit, &path.child(name)));
    }
    let selector = some(spec, "/selector");
    let at = path.child("selector");
    errors.extend(alcove_object::validate::validate_label_selector(selector, false, &at));
    let policy = some(spec, "/unhealthyPodEvictionPolicy").and_then(Value::as_str);
    if let Some(policy) = policy.filter(|policy| !POLICIES.contains(policy)) {
        let at = path.child("unhealthyPodEvictionPolicy");
        errors.push(Error::not_supported(&at, policy, &POLICIES));
    }
    errors
}

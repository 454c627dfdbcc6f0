//! The priority levels and flow schemas that every cluster has. Two of each are mandatory: they come back as they were;
//! the others are suggestions that an administrator may change
//! (k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap, k8s.io/kubernetes/pkg/registry/flowcontrol/ensurer).

use alcove_object::{Value, meta};
use serde_json::json;

/// Says whether the spec of an object is kept as the server suggests it.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
/// The API of both kinds.
pub const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";
/// The level and the schema that nothing limits.
pub const EXEMPT: &str = "exempt";
/// The level and the schema of what no other schema matches.
pub const CATCH_ALL: &str = "catch-all";

/// How many queues a level has, and how many of them a flow may stand in.
type Queues = Option<(i64, i64)>;

/// Levels by name: shares, percent that is lent, and queues with the size of a hand. Queues are 50 long.
const LEVELS: [(&str, i64, i64, Queues); 7] = [
    (CATCH_ALL, 5, 0, None),
    ("system", 30, 33, Some((64, 6))),
    ("node-high", 40, 25, Some((64, 6))),
    ("leader-election", 10, 0, Some((16, 4))),
    ("workload-high", 40, 50, Some((128, 6))),
    ("workload-low", 100, 90, Some((128, 6))),
    ("global-default", 20, 50, Some((128, 6))),
];

/// Whether an object of this name is mandatory, whichever kind it has.
pub fn is_mandatory(name: &str) -> bool {
    matches!(name, EXEMPT | CATCH_ALL)
}

/// The levels as they are created.
pub fn levels() -> Vec<Value> {
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let limited = LEVELS.iter().map(|(name, shares, lent, queues)| {
        let response = match queues {
            None => json!({"type": "Reject"}),
            Some((queues, hand)) => json!({
                "type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50},
            }),
        };
        let limited =
            json!({"nominalConcurrencyShares": shares, "lendablePercent": lent, "limitResponse": response});
        object("PriorityLevelConfiguration", name, json!({"type": "Limited", "limited": limited}))
    });
    std::iter::once(object("PriorityLevelConfiguration", EXEMPT, exempt)).chain(limited).collect()
}

/// The flow schemas as they are created.
pub fn schemas() -> Vec<Value> {
    let everybody = || groups(&["system:unauthenticated", "system:authenticated"]);
    let controllers = ["system:kube-controller-manager", "system:kube-scheduler"];
    let election = users(&controllers).into_iter().chain(kube_system_accounts()).collect();
    let probes = json!({
        "subjects": everybody(),
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
    });
    let nodes = [resources(&["*"], "", &["nodes", "nodes/status"], true), leases(&["*"])];
    vec![
        schema(EXEMPT, EXEMPT, 1, "", all(groups(&["system:masters"]))),
        schema("probes", EXEMPT, 2, "", probes),
        schema(
            "system-leader-election",
            "leader-election",
            100,
            "ByUser",
            only(election, &[leases(&["get", "create", "update"])]),
        ),
        schema("system-node-high", "node-high", 400, "ByUser", only(groups(&["system:nodes"]), &nodes)),
        schema("system-nodes", "system", 500, "ByUser", all(groups(&["system:nodes"]))),
        schema("kube-controller-manager", "workload-high", 800, "ByNamespace", all(users(&controllers[..1]))),
        schema("kube-scheduler", "workload-high", 800, "ByNamespace", all(users(&controllers[1..]))),
        schema(
            "kube-system-service-accounts",
            "workload-high",
            900,
            "ByNamespace",
            all(kube_system_accounts()),
        ),
        schema("service-accounts", "workload-low", 9000, "ByUser", all(groups(&["system:serviceaccounts"]))),
        schema("global-default", "global-default", 9900, "ByUser", all(everybody())),
        schema(CATCH_ALL, CATCH_ALL, 10_000, "ByUser", all(everybody())),
    ]
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": kind,
        "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}},
        "spec": spec,
    })
}

fn schema(name: &str, level: &str, precedence: i64, distinguisher: &str, rule: Value) -> Value {
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule],
    });
    if !distinguisher.is_empty() {
        spec["distinguisherMethod"] = json!({"type": distinguisher});
    }
    object("FlowSchema", name, spec)
}

fn groups(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect()
}

fn users(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "User", "user": {"name": name}})).collect()
}

fn kube_system_accounts() -> Vec<Value> {
    vec![json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}})]
}

fn resources(verbs: &[&str], group: &str, resources: &[&str], has_cluster_scope: bool) -> Value {
    let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]});
    if has_cluster_scope {
        rule["clusterScope"] = true.into();
    }
    rule
}

fn leases(verbs: &[&str]) -> Value {
    resources(verbs, "coordination.k8s.io", &["leases"], false)
}

fn only(subjects: Vec<Value>, rules: &[Value]) -> Value {
    json!({"subjects": subjects, "resourceRules": rules})
}

fn all(subjects: Vec<Value>) -> Value {
    json!({
        "subjects": subjects,
        "resourceRules": [resources(&["*"], "*", &["*"], true)],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    })
}

/// The object as it is to be instead, if it differs from what the server suggests and is the server's to keep.
pub fn revised(current: &Value, suggested: &Value) -> Option<Value> {
    let name = meta::name(suggested);
    let annotation = current.pointer("/metadata/annotations").and_then(|all| all.get(AUTO_UPDATE));
    let told = annotation.and_then(Value::as_str).and_then(truth);
    // Whoever says nothing and has never changed the spec means what the server suggests.
    let is_kept = is_mandatory(name) || told.unwrap_or_else(|| meta::generation(current) == 1);
    let mut wanted = suggested["spec"].clone();
    if name == EXEMPT && current.pointer("/spec/exempt").is_some_and(Value::is_object) {
        // The shares of what nothing limits are the administrator's.
        wanted["exempt"] = current["spec"]["exempt"].clone();
    }
    let mut revised = current.clone();
    if is_kept && current["spec"] != wanted {
        revised["spec"] = wanted;
    }
    if told != Some(is_kept) {
        revised["metadata"]["annotations"][AUTO_UPDATE] = is_kept.to_string().into();
    }
    (revised != *current).then_some(revised)
}

/// Whether the server made this object and no longer has a use for it.
pub fn is_left_over(object: &Value, suggested: &[Value]) -> bool {
    let annotation = object.pointer("/metadata/annotations").and_then(|all| all.get(AUTO_UPDATE));
    let is_ours = annotation.and_then(Value::as_str).and_then(truth) == Some(true);
    is_ours && !suggested.iter().any(|other| meta::name(other) == meta::name(object))
}

/// What Go's strconv.ParseBool takes.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// What the spec of a mandatory object must be; `None`: its name is not that of one.
pub(crate) fn mandatory_spec(kind: &str, name: &str) -> Option<Value> {
    let all = if kind == "FlowSchema" { schemas() } else { levels() };
    let mut found = all.into_iter().find(|object| is_mandatory(name) && meta::name(object) == name)?;
    Some(found["spec"].take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_is_left() {
        let suggested = &levels()[2];
        let with = |annotation: Option<&str>, shares: i64, generation: i64| {
            let mut object = suggested.clone();
            object["metadata"]["generation"] = generation.into();
            object["metadata"]["annotations"] = annotation.map_or(json!({}), |a| json!({ AUTO_UPDATE: a }));
            object["spec"]["limited"]["nominalConcurrencyShares"] = shares.into();
            object
        };
        // (annotation, shares, generation) -> (annotation, shares), or nothing to do
        for (annotation, shares, generation, expected) in [
            (Some("true"), 30, 1, None),
            (Some("true"), 31, 2, Some(("true", 30))),
            (Some("false"), 31, 2, None),
            (None, 30, 1, Some(("true", 30))),
            (None, 31, 2, Some(("false", 31))),
            (Some("perhaps"), 31, 1, Some(("true", 30))),
        ] {
            let now = revised(&with(annotation, shares, generation), suggested);
            let now = now.map(|now| {
                let annotation = now["metadata"]["annotations"][AUTO_UPDATE].as_str().unwrap().to_owned();
                (annotation, now["spec"]["limited"]["nominalConcurrencyShares"].as_i64().unwrap())
            });
            let now = now.as_ref().map(|(annotation, shares)| (annotation.as_str(), *shares));
            assert_eq!(now, expected, "{annotation:?} {shares} {generation}");
        }
    }

    #[test]
    fn mandatory_ones_are_kept_but_for_the_shares_of_the_exempt() {
        let mut exempt = levels()[0].clone();
        exempt["spec"]["exempt"]["nominalConcurrencyShares"] = 7.into();
        assert_eq!(revised(&exempt, &levels()[0]), None);
        let mut schema = schemas()[0].clone();
        schema["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
        schema["spec"]["matchingPrecedence"] = 5.into();
        assert_eq!(revised(&schema, &schemas()[0]), Some(schemas()[0].clone()));
    }

    #[test]
    fn what_the_server_no_longer_suggests_goes() {
        let mut mine = levels()[1].clone();
        mine["metadata"]["name"] = "mine".into();
        assert!(is_left_over(&mine, &levels()));
        mine["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
        assert!(!is_left_over(&mine, &levels()));
        assert!(!is_left_over(&levels()[1], &levels()));
    }
}

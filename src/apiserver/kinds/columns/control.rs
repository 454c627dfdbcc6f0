//! The columns of the groups that steer the server, the scheduler and their peers.

use super::{age, boolean, count_at, flag_at, int_at, integer, name, show, string, text_at};
use crate::kinds::tree::{list, some, text};
use crate::registry::Column;
use alcove_object::{Value, condition};
use jiff::Timestamp;

pub(crate) fn lease() -> Vec<Column> {
    vec![name(), string("Holder", "Who holds the lease.", text_at!("/spec/holderIdentity")), age()]
}

pub(crate) fn lease_candidate() -> Vec<Column> {
    vec![
        name(),
        string("LeaseName", "The lease that it would hold.", text_at!("/spec/leaseName")),
        string("BinaryVersion", "Its version.", text_at!("/spec/binaryVersion")),
        string("EmulationVersion", "The version that it acts as.", text_at!("/spec/emulationVersion")),
        age(),
    ]
}

/// Kinds that show their names alone.
pub(crate) fn named() -> Vec<Column> {
    vec![name(), age()]
}

pub(crate) fn pod_group() -> Vec<Column> {
    vec![
        name(),
        string("Policy", "Whether its pods start together.", |group, _| {
            if some(group, "/spec/schedulingPolicy/gang").is_some() { "Gang".into() } else { "Basic".into() }
        }),
        string("Workload", "The workload that it is made from.", |group, _| {
            let template = some(group, "/spec/podGroupTemplateRef/workload/workloadName");
            let reference = template.or_else(|| some(group, "/spec/workloadRef/workloadName"));
            reference.cloned().unwrap_or_else(|| "<none>".into())
        }),
        string("Status", "Pending, Scheduled, or why not.", |group, _| pod_group_status(group).into()),
        age(),
    ]
}

fn pod_group_status(group: &Value) -> String {
    let scheduled = match condition::find(group, "PodGroupScheduled") {
        None => "Pending",
        Some(condition) if text(condition, "/status") == "True" => "Scheduled",
        Some(_) => "Unschedulable",
    };
    let target = condition::find(group, "DisruptionTarget").map(|condition| text(condition, "/reason"));
    target.unwrap_or(scheduled).to_owned()
}

pub(crate) fn storage_version() -> Vec<Column> {
    vec![
        name(),
        string(
            "CommonEncodingVersion",
            "The version that all servers store.",
            text_at!("/status/commonEncodingVersion" unless missing "<unset>"),
        ),
        string("StorageVersions", "What each server stores.", |version, _| {
            let servers = list(version, "/status/storageVersions").iter();
            let shown: Vec<String> = servers
                .map(|server| {
                    format!("{}={}", text(server, "/apiServerID"), text(server, "/encodingVersion"))
                })
                .collect();
            show::some_of(&shown, 3).into()
        }),
        age(),
    ]
}

pub(crate) fn pod_disruption_budget() -> Vec<Column> {
    fn or_not(budget: &Value, pointer: &str) -> Value {
        some(budget, pointer).map_or_else(|| "N/A".into(), |v| show::plain(v).into())
    }
    vec![
        name(),
        string("Min Available", "Pods that must stay.", |budget, _| or_not(budget, "/spec/minAvailable")),
        string("Max Unavailable", "Pods that may be gone.", |budget, _| {
            or_not(budget, "/spec/maxUnavailable")
        }),
        integer(
            "Allowed Disruptions",
            "Pods that may be evicted now.",
            int_at!("/status/disruptionsAllowed"),
        ),
        age(),
    ]
}

pub(crate) fn priority_class() -> Vec<Column> {
    vec![
        name(),
        integer("Value", "The priority.", int_at!("/value")),
        boolean("Global-Default", "Whether it counts for pods without a class.", flag_at!("/globalDefault")),
        age(),
        string("PreemptionPolicy", "Whether lower pods give way.", text_at!("/preemptionPolicy")),
    ]
}

pub(crate) fn runtime_class() -> Vec<Column> {
    vec![name(), string("Handler", "The runtime's configuration.", text_at!("/handler")), age()]
}

pub(crate) fn flow_schema() -> Vec<Column> {
    vec![
        name(),
        string(
            "PriorityLevel",
            "The level that requests go to.",
            text_at!("/spec/priorityLevelConfiguration/name"),
        ),
        string("MatchingPrecedence", "Lower is tried first.", int_at!("/spec/matchingPrecedence")),
        string("DistinguisherMethod", "How flows are told apart.", |schema, _| {
            match some(schema, "/spec/distinguisherMethod") {
                Some(method) => text(method, "/type").into(),
                None => "<none>".into(),
            }
        }),
        age(),
        string("MissingPL", "Whether the level is missing.", |schema, _| {
            match condition::find(schema, "Dangling") {
                Some(condition) => text(condition, "/status").into(),
                None => "?".into(),
            }
        }),
    ]
}

pub(crate) fn priority_level_configuration() -> Vec<Column> {
    fn or_none(level: &Value, pointer: &str) -> Value {
        some(level, pointer).cloned().unwrap_or_else(|| "<none>".into())
    }
    vec![
        name(),
        string("Type", "Limited or Exempt.", text_at!("/spec/type")),
        string("NominalConcurrencyShares", "Its share of the seats.", |level, _| {
            or_none(level, "/spec/limited/nominalConcurrencyShares")
        }),
        string("Queues", "Number of queues.", |level, _| {
            or_none(level, "/spec/limited/limitResponse/queuing/queues")
        }),
        string("HandSize", "Queues that a flow may use.", |level, _| {
            or_none(level, "/spec/limited/limitResponse/queuing/handSize")
        }),
        string("QueueLengthLimit", "Requests that wait in a queue.", |level, _| {
            or_none(level, "/spec/limited/limitResponse/queuing/queueLengthLimit")
        }),
        age(),
    ]
}

/// Webhook configurations, mutating and validating.
pub(crate) fn webhook_configuration() -> Vec<Column> {
    vec![name(), integer("Webhooks", "Number of webhooks.", count_at!("/webhooks")), age()]
}

pub(crate) fn validating_admission_policy() -> Vec<Column> {
    let rules = integer("Validations", "Number of validation rules.", count_at!("/spec/validations"));
    vec![name(), rules, string("ParamKind", "Kind of its parameters.", param_kind), age()]
}

pub(crate) fn mutating_admission_policy() -> Vec<Column> {
    let rules = integer("Mutations", "Number of mutation rules.", count_at!("/spec/mutations"));
    vec![name(), rules, string("ParamKind", "Kind of its parameters.", param_kind), age()]
}

fn param_kind(policy: &Value, _: Timestamp) -> Value {
    match some(policy, "/spec/paramKind") {
        Some(kind) => format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")).into(),
        None => "<unset>".into(),
    }
}

/// Bindings of admission policies, mutating and validating.
pub(crate) fn admission_policy_binding() -> Vec<Column> {
    vec![
        name(),
        string("PolicyName", "The policy that is bound.", text_at!("/spec/policyName")),
        string("ParamRef", "The object that holds its parameters.", |binding, _| param_ref(binding).into()),
        age(),
    ]
}

fn param_ref(binding: &Value) -> String {
    let Some(reference) = some(binding, "/spec/paramRef") else { return "<unset>".into() };
    match (text(reference, "/namespace"), text(reference, "/name")) {
        (_, "") => match some(reference, "/selector") {
            Some(selector) => show::selector_in_go(selector),
            None => "<unset>".into(),
        },
        // Whether the object lives in a namespace cannot be told from here.
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

pub(crate) fn api_service() -> Vec<Column> {
    vec![
        name(),
        string("Service", "The service that serves the group.", |api, _| match some(api, "/spec/service") {
            Some(service) => format!("{}/{}", text(service, "/namespace"), text(service, "/name")).into(),
            None => "Local".into(),
        }),
        string("Available", "Whether the service answers.", |api, _| available(api).into()),
        age(),
    ]
}

fn available(api: &Value) -> String {
    let Some(condition) = condition::find(api, "Available") else { return "Unknown".into() };
    match (text(condition, "/status"), text(condition, "/reason")) {
        ("True", _) => "True".into(),
        (status, "") => status.into(),
        (status, reason) => format!("{status} ({reason})"),
    }
}

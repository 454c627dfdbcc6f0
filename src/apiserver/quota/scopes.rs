//! Scopes of quotas: which pods and claims count (k8s.io/kubernetes/pkg/quota/v1/evaluator/core).

use crate::kinds::quality_of_service;
use alcove_object::Value;
use alcove_object::tree::at;

/// One scope of a quota.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    name: &'a str,
    operator: &'a str,
    values: &'a [Value],
}

impl<'a> Scope<'a> {
    /// All scopes of a quota: those it lists, and those it selects by.
    pub fn of(quota: &'a Value) -> Vec<Scope<'a>> {
        let listed = at(quota, "/spec/scopes").and_then(Value::as_array).into_iter().flatten();
        let listed =
            listed.filter_map(|scope| Some(Scope { name: scope.as_str()?, operator: "Exists", values: &[] }));
        let selected = at(quota, "/spec/scopeSelector/matchExpressions").and_then(Value::as_array);
        let selected = selected.into_iter().flatten().map(|expression| Scope {
            name: expression["scopeName"].as_str().unwrap_or_default(),
            operator: expression["operator"].as_str().unwrap_or_default(),
            values: expression["values"].as_array().map_or(&[], Vec::as_slice),
        });
        listed.chain(selected).collect()
    }

    /// Whether a pod is in this scope.
    pub fn has_pod(&self, pod: &Value) -> bool {
        let spec = &pod["spec"];
        match self.name {
            "Terminating" => super::pods::is_terminating(pod),
            "NotTerminating" => !super::pods::is_terminating(pod),
            "BestEffort" => quality_of_service(spec) == "BestEffort",
            "NotBestEffort" => quality_of_service(spec) != "BestEffort",
            "PriorityClass" => {
                self.selects(spec["priorityClassName"].as_str().filter(|class| !class.is_empty()))
            }
            "CrossNamespacePodAffinity" => looks_across_namespaces(spec),
            _ => false,
        }
    }

    /// Whether a claim is in this scope.
    pub fn has_claim(&self, claim: &Value) -> bool {
        let classes = [
            "/spec/volumeAttributesClassName",
            "/status/currentVolumeAttributesClassName",
            "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
        ];
        let classes: Vec<&str> = classes
            .iter()
            .filter_map(|pointer| at(claim, pointer)?.as_str())
            .filter(|class| !class.is_empty())
            .collect();
        match self.name {
            "VolumeAttributesClass" if classes.is_empty() => self.selects(None),
            "VolumeAttributesClass" => classes.iter().any(|class| self.selects(Some(class))),
            _ => false,
        }
    }

    fn selects(&self, value: Option<&str>) -> bool {
        let is_listed = value.is_some_and(|value| self.values.iter().any(|listed| listed == value));
        match self.operator {
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        }
    }
}

/// Whether a pod wants to be near, or far from, pods of other namespaces.
fn looks_across_namespaces(spec: &Value) -> bool {
    let is_across = |term: &Value| {
        let names = term["namespaces"].as_array();
        names.is_some_and(|names| !names.is_empty())
            || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let terms = |when: &str| {
            spec["affinity"][*kind][format!("{when}DuringSchedulingIgnoredDuringExecution")].as_array()
        };
        terms("required").into_iter().flatten().any(is_across)
            || terms("preferred").into_iter().flatten().any(|term| is_across(&term["podAffinityTerm"]))
    })
}

//! Where a pod may be placed: next to which other pods, and on which nodes. All namespaces of a tenant are one on the
//! host, so namespaces become requirements on labels; and a tenant's nodes have names of their own, so names of nodes
//! become requirements on the host's.

use super::metadata::NAMESPACE;
use super::pod_refs::items;
use super::{Context, Refusal, labels};
use alcove_object::tree::{at, at_mut};
use alcove_object::{Value, meta};
use serde_json::{Map, json};

/// The label that a node has its own name in.
const HOSTNAME: &str = "kubernetes.io/hostname";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// How the terms of a list count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Terms {
    /// All must hold, each for some pod.
    AllHold,
    /// None may hold.
    NoneHolds,
    /// Each adds its weight.
    Weighted,
}

/// Rewrites affinity to pods, and topology spread.
pub fn rewrite_affinity(context: &Context<'_>, namespace: &str, spec: &mut Value) {
    for (kind, required) in [("podAffinity", Terms::AllHold), ("podAntiAffinity", Terms::NoneHolds)] {
        let Some(affinity) = at_mut(spec, &format!("/affinity/{kind}")) else { continue };
        for (field, terms) in [(REQUIRED, required), (PREFERRED, Terms::Weighted)] {
            let Some(list) = affinity.get_mut(field).and_then(Value::as_array_mut) else { continue };
            *list = list.iter().flat_map(|term| rewrite_term(context, namespace, terms, term)).collect();
        }
    }
    for constraint in items(spec.get_mut("topologySpreadConstraints")) {
        let selector = pods_of(context, Some(namespace), constraint.get("labelSelector"));
        constraint["labelSelector"] = selector;
        rewrite_keys(constraint, "matchLabelKeys");
    }
}

/// A selector of pods as the host's. Without one, no pod is meant, as everywhere in Kubernetes.
fn pods_of(context: &Context<'_>, namespace: Option<&str>, asked: Option<&Value>) -> Value {
    if let Some(asked) = asked.filter(|asked| !asked.is_null()) {
        return labels::selector(context.tenant, namespace, asked);
    }
    let mut none = labels::selector(context.tenant, namespace, &json!({}));
    labels::require(&mut none, json!({ "key": NAMESPACE, "operator": "DoesNotExist" }));
    none
}

/// One term as the host's: two where namespaces are named and selected, since a selector cannot say «or».
fn rewrite_term(context: &Context<'_>, namespace: &str, terms: Terms, term: &Value) -> Vec<Value> {
    let (pointer, of) =
        if terms == Terms::Weighted { ("podAffinityTerm", &term["podAffinityTerm"]) } else { ("", term) };
    let named: Vec<Value> = of["namespaces"].as_array().cloned().unwrap_or_default();
    let selected = of.get("namespaceSelector").filter(|selector| !selector.is_null());
    let asked = of.get("labelSelector");
    let pods = |namespace: Option<&str>| pods_of(context, namespace, asked);
    let in_list =
        |operator: &str, list: &[Value]| json!({ "key": NAMESPACE, "operator": operator, "values": list });
    let in_named = || {
        let mut host = pods(None);
        labels::require(&mut host, in_list("In", &named));
        host
    };
    let hosts = match (named.is_empty(), selected) {
        (true, None) => vec![pods(Some(namespace))],
        (_, Some(all)) if all.as_object().is_some_and(Map::is_empty) => vec![pods(None)],
        (false, None) => vec![in_named()],
        (true, Some(selected)) => vec![labels::within(pods(None), selected)],
        (false, Some(selected)) if terms == Terms::AllHold => {
            // As the scheduler does when the pod comes: the namespaces of now.
            let mut list: Vec<Value> =
                context.known.namespaces(selected).into_iter().map(Value::from).collect();
            list.extend(named.iter().cloned());
            let mut host = pods(None);
            labels::require(&mut host, in_list("In", &list));
            vec![host]
        }
        (false, Some(selected)) => {
            let mut others = labels::within(pods(None), selected);
            labels::require(&mut others, in_list("NotIn", &named));
            vec![in_named(), others]
        }
    };
    let with = |selector: Value| {
        let mut out = term.clone();
        let of = if pointer.is_empty() { &mut out } else { &mut out[pointer] };
        of["labelSelector"] = selector;
        rewrite_keys(of, "matchLabelKeys");
        rewrite_keys(of, "mismatchLabelKeys");
        if let Some(of) = of.as_object_mut() {
            of.remove("namespaces");
            of.remove("namespaceSelector");
        }
        out
    };
    hosts.into_iter().map(with).collect()
}

fn rewrite_keys(holder: &mut Value, field: &str) {
    for key in items(holder.get_mut(field)) {
        if let Value::String(key) = key {
            *key = labels::Map::key(key);
        }
    }
}

/// Rewrites names of nodes: in `nodeName`, in a selector by a node's own label, and in affinity by name. A node that the
/// tenant does not have is left as it is, and matches nothing, but a pod must not be bound to one.
pub fn rewrite_nodes(context: &Context<'_>, pod: &Value, spec: &mut Value) -> Result<(), Refusal> {
    let host_node = |name: &str| context.known.host_node(name);
    let bound = at(pod, "/spec/nodeName").and_then(Value::as_str).filter(|name| !name.is_empty());
    if let Some(node) = bound.or_else(|| tied_to(pod)) {
        leave_out_answered(context.known.object("nodes", "", node).as_ref(), spec);
    }
    for term in node_terms(spec) {
        for field in items(term.get_mut("matchFields")) {
            items(field.get_mut("values")).for_each(|value| rename(&host_node, value));
        }
        for expression in items(term.get_mut("matchExpressions")).filter(|e| e["key"] == HOSTNAME) {
            items(expression.get_mut("values")).for_each(|value| rename(&host_node, value));
        }
    }
    let by_label = at(spec, "/nodeSelector/kubernetes.io~1hostname").and_then(Value::as_str);
    if let Some(host) = by_label.and_then(host_node) {
        if let Some(selector) = spec["nodeSelector"].as_object_mut() {
            selector.remove(HOSTNAME);
        }
        require_node(spec, &host);
    }
    if let Some(name) = bound {
        let Some(host) = host_node(name) else {
            let why = format!(
                "this cluster has no node {name} that the host could run it on; leave it out and use node affinity"
            );
            return Err(Refusal::of("spec.nodeName", why));
        };
        require_node(spec, &host);
    }
    Ok(())
}

/// The one node that a pod may be on, as DaemonSets say it.
fn tied_to(pod: &Value) -> Option<&str> {
    let required = at(pod, "/spec/affinity/nodeAffinity")?.get(REQUIRED)?;
    let [term] = required["nodeSelectorTerms"].as_array()?.as_slice() else { return None };
    let mut fields = term["matchFields"].as_array()?.iter();
    let by_name = fields.find(|field| field["key"] == "metadata.name" && field["operator"] == "In")?;
    match by_name["values"].as_array()?.as_slice() {
        [only] => only.as_str(),
        _ => None,
    }
}

/// Leaves out of the node selector what the pod's own node has. A tenant labels its nodes as it likes, and the host's
/// have other labels; what the platform team asks for is added later.
fn leave_out_answered(node: Option<&Value>, spec: &mut Value) {
    let Some(node) = node else { return };
    let Some(selector) = spec.get_mut("nodeSelector").and_then(Value::as_object_mut) else { return };
    selector.retain(|key, value| value.as_str() != meta::label(node, key));
    if selector.is_empty()
        && let Some(spec) = spec.as_object_mut()
    {
        spec.remove("nodeSelector");
    }
}

fn rename(host_node: &dyn Fn(&str) -> Option<String>, name: &mut Value) {
    if let Some(host) = name.as_str().and_then(host_node) {
        *name = host.into();
    }
}

/// Terms about nodes, required and preferred.
fn node_terms(spec: &mut Value) -> Vec<&mut Value> {
    let Some(affinity) = at_mut(spec, "/affinity/nodeAffinity").and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    let mut terms = Vec::new();
    for (field, value) in affinity {
        match field.as_str() {
            REQUIRED => terms.extend(items(value.get_mut("nodeSelectorTerms"))),
            PREFERRED => {
                terms.extend(items(Some(value)).filter_map(|weighted| weighted.get_mut("preference")))
            }
            _ => {}
        }
    }
    terms
}

/// Allows one node of the host alone. Terms are alternatives, so each of them must say so.
fn require_node(spec: &mut Value, host: &str) {
    let only = json!({ "key": "metadata.name", "operator": "In", "values": [host] });
    let required = &mut spec["affinity"]["nodeAffinity"][REQUIRED];
    if required["nodeSelectorTerms"].as_array().is_none_or(Vec::is_empty) {
        required["nodeSelectorTerms"] = json!([{}]);
    }
    for term in items(required.get_mut("nodeSelectorTerms")) {
        match term.get_mut("matchFields").and_then(Value::as_array_mut) {
            Some(fields) if fields.contains(&only) => {}
            Some(fields) => fields.push(only.clone()),
            None => term["matchFields"] = json!([only]),
        }
    }
}

/// Whether a pod waits for a scheduler of its tenant's own to bind it.
pub fn waits_for_scheduler(pod: &Value) -> Option<Refusal> {
    let text = |field: &str| pod["spec"][field].as_str().unwrap_or_default();
    let name = text("schedulerName");
    if matches!(name, "" | "default-scheduler") || !text("nodeName").is_empty() {
        return None;
    }
    let (namespace, pod) = (meta::namespace(pod), meta::name(pod));
    let why = format!(
        "{namespace}/{pod} waits for the scheduler {name} of this cluster to bind it; without one, use default-scheduler"
    );
    Some(Refusal::of("spec.schedulerName", why))
}

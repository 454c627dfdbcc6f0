//! NetworkPolicies: over the tenant's own pods and between them. Policies add up, so one that a tenant writes could open
//! again what the platform team's policies keep shut; therefore nothing in it reaches beyond the tenant: ranges of
//! addresses are left out, and "everybody" becomes "every pod of this cluster". Who comes from outside or goes there is
//! what the platform team's policies say.

use super::labels::{selector, within};
use super::{Context, Refusal, Wanted, metadata};
use alcove_object::{Value, meta};
use serde_json::json;

/// The host's NetworkPolicy.
pub fn network_policy(context: &Context<'_>, object: &Value) -> Wanted {
    let (namespace, spec) = (meta::namespace(object), &object["spec"]);
    let pods = spec.get("podSelector").cloned().unwrap_or_else(|| json!({}));
    let mut out = json!({ "podSelector": selector(context.tenant, Some(namespace), &pods) });
    if let Some(types) = spec.get("policyTypes") {
        out["policyTypes"] = types.clone();
    }
    let mut left_out = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let Some(rules) = spec[direction].as_array() else { continue };
        let mut kept = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let place = format!("spec.{direction}[{at}].{peers}");
            let asked = rule[peers].as_array().filter(|peers| !peers.is_empty());
            let wanted = match asked {
                Some(asked) => asked.iter().filter_map(|peer| self::peer(context, namespace, peer)).collect(),
                None => vec![json!({ "podSelector": selector(context.tenant, None, &json!({})) })],
            };
            if asked.is_none_or(|asked| asked.len() != wanted.len()) {
                left_out.push(Refusal::of(&place, BEYOND));
            }
            // A rule without peers would be about everybody.
            if wanted.is_empty() {
                continue;
            }
            let mut rule_out = json!({ peers: wanted });
            if let Some(ports) = rule.get("ports") {
                rule_out["ports"] = ports.clone();
            }
            kept.push(rule_out);
        }
        out[direction] = kept.into();
    }
    let metadata = metadata(context.tenant, object);
    let object = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": out });
    Wanted { object, left_out }
}

const BEYOND: &str = "a policy of this cluster reaches its own pods only; who else is reached, and by whom, is the platform team's to say (isolation.network)";

/// One peer, among the tenant's pods; `None` for a range of addresses.
fn peer(context: &Context<'_>, namespace: &str, peer: &Value) -> Option<Value> {
    if peer.get("ipBlock").is_some_and(|block| !block.is_null()) {
        return None;
    }
    let pods = peer.get("podSelector").filter(|s| s.is_object()).cloned().unwrap_or_else(|| json!({}));
    let host = match peer.get("namespaceSelector").filter(|selector| selector.is_object()) {
        Some(namespaces) => within(selector(context.tenant, None, &pods), namespaces),
        None => selector(context.tenant, Some(namespace), &pods),
    };
    Some(json!({ "podSelector": host }))
}

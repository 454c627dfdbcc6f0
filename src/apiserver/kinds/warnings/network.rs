//! Addresses in what says where traffic goes: endpoints, policies and ingresses, and what of them is old.

use super::forms;
use crate::kinds::tree::{field_text, list, text};
use alcove_object::{Value, meta};

/// Ingresses that say their class in the old way.
pub(in crate::kinds) fn ingress(object: &Value, old: Option<&Value>) -> Vec<String> {
    const CLASS: &str = "kubernetes.io/ingress.class";
    let is_old =
        meta::annotation(object, CLASS).is_some() && object.pointer("/spec/ingressClassName").is_none();
    let warning = format!("annotation {CLASS:?} is deprecated, please use 'spec.ingressClassName' instead");
    (old.is_none() && is_old).then_some(warning).into_iter().collect()
}

/// Endpoints that somebody else writes than our controller, which writes addresses as they should be.
pub(in crate::kinds) fn endpoints(object: &Value, _: Option<&Value>) -> Vec<String> {
    const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
    if meta::label(object, MANAGED_BY) == Some("endpoint-controller") {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for (i, subset) in list(object, "/subsets").iter().enumerate() {
        for field in ["addresses", "notReadyAddresses"] {
            for (j, address) in list(subset, &format!("/{field}")).iter().enumerate() {
                let place = format!("subsets[{i}].{field}[{j}].ip");
                warnings.extend(forms::address(field_text(address, "ip"), &place));
            }
        }
    }
    warnings
}

/// Slices of endpoints that others write than our controllers.
pub(in crate::kinds) fn endpoint_slice(object: &Value, old: Option<&Value>) -> Vec<String> {
    const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
    const OURS: [&str; 2] = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
    let mut warnings = Vec::new();
    if old.is_none() && text(object, "/addressType") == "FQDN" {
        warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    if meta::label(object, MANAGED_BY).is_some_and(|by| OURS.contains(&by)) {
        return warnings;
    }
    for (i, endpoint) in list(object, "/endpoints").iter().enumerate() {
        for (j, address) in list(endpoint, "/addresses").iter().enumerate() {
            let place = format!("endpoints[{i}].addresses[{j}]");
            warnings.extend(forms::address(address.as_str().unwrap_or_default(), &place));
        }
    }
    warnings
}

/// Blocks of network policies.
pub(in crate::kinds) fn network_policy(object: &Value, _: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in list(object, &format!("/spec/{direction}")).iter().enumerate() {
            for (j, peer) in list(rule, &format!("/{peers}")).iter().enumerate() {
                let Some(block) = peer.get("ipBlock") else { continue };
                let place = format!("spec.{direction}[{i}].{peers}[{j}].ipBlock");
                warnings.extend(forms::block(field_text(block, "cidr"), &format!("{place}.cidr")));
                for (k, except) in list(block, "/except").iter().enumerate() {
                    let place = format!("{place}.except[{k}]");
                    warnings.extend(forms::block(except.as_str().unwrap_or_default(), &place));
                }
            }
        }
    }
    warnings
}

//! Pods: the spec is the tenant's, with names, selectors, identity and surroundings in the host's terms.

use super::environment::rewrite_environment;
use super::pod_affinity::{rewrite_affinity, rewrite_nodes, waits_for_scheduler};
use super::pod_dns::{rewrite_dns, rewrite_hostname};
use super::pod_fields::rewrite_fields;
use super::pod_refs::items;
use super::pod_rules::{allowed_annotations, rewrite_rules};
use super::pod_status::GENERATION;
use super::pod_tokens::rewrite_tokens;
use super::{Context, Refusal, Tenant, Wanted, host_name, judge, labels, metadata, pod_refs};
use alcove_object::gather::Gather;
use alcove_object::{Value, meta, tree};
use serde_json::json;

/// Fields of `spec` that mean something else on the host, or nothing: they are left out.
const DROPPED_FIELDS: [&str; 6] =
    ["serviceAccount", "nodeName", "priority", "preemptionPolicy", "overhead", "schedulerName"];
/// Sources of projected volumes that would be the host's, with what they would give away.
const HOST_SOURCES: [(&str, &str); 2] = [
    ("podCertificate", "the host would sign certificates for an identity of its own"),
    ("clusterTrustBundle", "the host's trust bundles are not this cluster's"),
];

/// The host's pod.
pub fn pod(context: &Context<'_>, object: &Value) -> Result<Wanted, Refusal> {
    judge(context.allowed.pods.pod_security, object)?;
    refuse_host_sources(&object["spec"])?;
    if let Some(refusal) = waits_for_scheduler(object) {
        return Err(refusal);
    }
    let (tenant, namespace, domain) = (context.tenant, meta::namespace(object), context.known.domain());
    let own = object["spec"].as_object().into_iter().flatten();
    let passing = own.filter(|(field, _)| !DROPPED_FIELDS.contains(&field.as_str()));
    let mut spec = Value::Object(passing.map(|(field, value)| (field.clone(), value.clone())).gather());
    // Nothing of the host's identity or neighbourhood reaches the tenant's containers.
    spec["automountServiceAccountToken"] = false.into();
    spec["enableServiceLinks"] = false.into();
    let mut metadata = metadata(tenant, object);
    rewrite_hostname(object, &domain, &mut spec)?;
    rewrite_dns(context.known.resolver().as_ref(), &domain, namespace, &mut spec);
    pod_refs::visit(&mut spec, &mut |_, name| *name = host_name(tenant, namespace, name));
    rewrite_tokens(tenant, object, &mut spec);
    rewrite_fields(object, &mut spec, &mut metadata["annotations"]);
    rewrite_claims(tenant, namespace, object, &mut spec);
    rewrite_affinity(context, namespace, &mut spec);
    rewrite_nodes(context, object, &mut spec)?;
    let left_out = rewrite_rules(context, object, &mut spec)?;
    rewrite_environment(tenant, object, &mut spec);
    describe(context, object, &mut metadata);
    let mut object = json!({ "apiVersion": "v1", "kind": "Pod" });
    object["metadata"] = metadata;
    object["spec"] = spec;
    Ok(Wanted { object, left_out })
}

/// What the host would give of its own, or does not know, must not be asked for.
fn refuse_host_sources(spec: &Value) -> Result<(), Refusal> {
    if spec["resourceClaims"].as_array().is_some_and(|claims| !claims.is_empty()) {
        let why =
            "resource claims are not synced to the host; ask the platform team for nodes with the devices";
        return Err(Refusal::of("spec.resourceClaims", why));
    }
    for (at, volume) in spec["volumes"].as_array().into_iter().flatten().enumerate() {
        let sources = tree::at(volume, "/projected/sources").and_then(Value::as_array);
        for source in sources.into_iter().flatten() {
            if let Some((kind, why)) = HOST_SOURCES.iter().find(|(kind, _)| source.get(*kind).is_some()) {
                let field = format!("spec.volumes[{at}].projected.sources.{kind}");
                return Err(Refusal::of(&field, *why));
            }
        }
    }
    Ok(())
}

/// Claims by name, and claims that come and go with the pod, which the tenant's controllers name after it.
fn rewrite_claims(tenant: &Tenant, namespace: &str, object: &Value, spec: &mut Value) {
    for volume in items(spec.get_mut("volumes")) {
        if let Some(Value::String(claim)) = tree::at_mut(volume, "/persistentVolumeClaim/claimName") {
            *claim = host_name(tenant, namespace, claim);
        }
        if volume.get("ephemeral").is_some() {
            let claim = format!("{}-{}", meta::name(object), volume["name"].as_str().unwrap_or_default());
            *volume = json!({ "name": volume["name"],
                "persistentVolumeClaim": { "claimName": host_name(tenant, namespace, &claim) } });
        }
    }
}

/// The labels of the pod's namespace, for selectors that ask for them, and the annotations that may go to the host.
fn describe(context: &Context<'_>, object: &Value, metadata: &mut Value) {
    let namespace = context.known.namespace_labels(meta::namespace(object));
    let allowed = allowed_annotations(&context.allowed.pods.annotations, object);
    if meta::generation(object) > 0 {
        metadata["annotations"][GENERATION] = meta::generation(object).to_string().into();
    }
    let more = [("labels", labels::Map::namespace_labels(Some(&namespace))), ("annotations", allowed)];
    for (field, entries) in more {
        if let Some(map) = metadata[field].as_object_mut() {
            map.extend(entries);
        }
    }
}

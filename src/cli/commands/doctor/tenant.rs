//! The tenant's side: what it says of its own objects, and whether its DNS is where its pods look for it.

use crate::commands::findings::{Finding, last_warning};
use crate::commands::session::{self, Way};
use crate::contexts::Files;
use crate::host::{Host, kind};
use crate::tenants::{self, Tenant};
use alcove_object::{condition, meta};
use serde_json::Value;
use std::collections::BTreeMap;

/// Events by which the syncer tells that an object is not on the host, and what to do about them.
const REFUSALS: [(&str, &str); 2] = [
    (
        "SyncRefused",
        "change the object as the message says, or ask the platform team to allow it in the tenant's configuration",
    ),
    ("HostRefused", "the host's own rules refuse it: the message names the rule; ask the platform team"),
];

/// All that is wrong in the tenant.
pub async fn examine(host: &Host, tenant: &Tenant) -> Vec<Finding> {
    let place = format!("the API of {}", tenant.name);
    let session = match session::open(host, tenant, &Way::default()).await {
        Ok(session) => session,
        Err(error) => {
            let advice =
                format!("its log may say why: kubectl logs -n {} {}", tenant.namespace, tenant.pod());
            return vec![Finding::new(place, error.to_string(), advice)];
        }
    };
    let inside = match session.client().await {
        Ok(client) => Host {
            client,
            context: None,
            namespace: None,
            default_namespace: "default".into(),
            files: None::<Files>,
            server: session.server.clone(),
        },
        Err(error) => {
            return vec![Finding::new(
                place,
                error,
                "make the tenant write its kubeconfig anew: delete the Secret",
            )];
        }
    };
    let mut findings = Vec::new();
    for found in [objects(host, tenant, &inside).await, dns(host, tenant, &inside).await] {
        match found {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::new(
                place.clone(),
                error.to_string(),
                "ask again; `alcove describe` shows the control plane",
            )),
        }
    }
    findings
}

/// Objects that are not on the host, and pods that wait for something else.
async fn objects(host: &Host, tenant: &Tenant, inside: &Host) -> Result<Vec<Finding>, crate::Error> {
    let events = inside.list(&kind("v1", "Event"), "", "").await?;
    let pods = inside.list(&kind("v1", "Pod"), "", "").await?;
    let on_host =
        host.list_metadata(&kind("v1", "Pod"), &tenant.namespace, &tenants::synced(&tenant.name)).await?;
    let mut findings: Vec<Finding> = Vec::new();
    let mut latest: BTreeMap<String, &Value> = BTreeMap::new();
    for event in events.iter().filter(|event| refusal(event).is_some()) {
        let uid = event.pointer("/involvedObject/uid").and_then(Value::as_str).unwrap_or_default();
        latest.insert(
            uid.to_owned(),
            last_warning(&events, uid).filter(|e| refusal(e).is_some()).unwrap_or(event),
        );
    }
    for (uid, event) in &latest {
        let about = &event["involvedObject"];
        let text = |key: &str| about[key].as_str().unwrap_or_default();
        let (api_version, name, namespace) = (text("apiVersion"), text("name"), text("namespace"));
        let known = inside.get(&kind(api_version, text("kind")), namespace, name).await.ok().flatten();
        let is_synced = on_host.iter().any(|pod| meta::annotation(pod, "alcove.dev/uid") == Some(uid));
        // Deleted or mended meanwhile: events outlive what they tell of.
        if known.is_none_or(|object| meta::uid(&object) != uid) || is_synced {
            continue;
        }
        let place = format!("{} {namespace}/{name} in the tenant", text("kind"));
        let message = event["message"].as_str().unwrap_or_default();
        findings.push(Finding::new(place, message, refusal(event).unwrap_or_default()));
    }
    findings.extend(pods.iter().filter(|pod| !latest.contains_key(meta::uid(pod))).filter_map(|pod| {
        let is_synced =
            on_host.iter().any(|known| meta::annotation(known, "alcove.dev/uid") == Some(meta::uid(pod)));
        if is_synced { None } else { unsynced(pod) }
    }));
    Ok(findings)
}

fn refusal(event: &Value) -> Option<&'static str> {
    REFUSALS.iter().find(|(reason, _)| event["reason"] == *reason).map(|(_, advice)| *advice)
}

/// Why a pod that waits has nothing on the host, where no event tells it.
fn unsynced(pod: &Value) -> Option<Finding> {
    if pod.pointer("/status/phase").and_then(Value::as_str) != Some("Pending") || meta::is_deleting(pod) {
        return None;
    }
    let place = format!("pod {}/{} in the tenant", meta::namespace(pod), meta::name(pod));
    let gates =
        pod.pointer("/spec/schedulingGates").and_then(Value::as_array).filter(|gates| !gates.is_empty());
    if let Some(gates) = gates {
        let names: Vec<&str> = gates.iter().filter_map(|gate| gate["name"].as_str()).collect();
        let what = format!("it waits for its scheduling gates: {}", names.join(", "));
        return Some(Finding::new(place, what, "whoever set the gates has to remove them"));
    }
    let scheduled =
        condition::find(pod, "PodScheduled").and_then(|c| c["message"].as_str()).filter(|m| !m.is_empty());
    let what = scheduled.map_or("it is not on the host yet".to_owned(), |message| {
        format!("it is not on the host: {message}")
    });
    Some(Finding::new(
        place,
        what,
        "a ConfigMap, Secret or claim that it uses may just be on its way: look again; else the log of the control plane says more",
    ))
}

/// Whether the tenant's pods find DNS.
async fn dns(host: &Host, tenant: &Tenant, inside: &Host) -> Result<Vec<Finding>, crate::Error> {
    let config = tenants::config(host, tenant).await?;
    if config.pointer("/dns/enabled") == Some(&Value::Bool(false)) {
        return Ok(Vec::new());
    }
    let services = kind("v1", "Service");
    let address = |service: &Option<Value>| {
        let ip = service
            .as_ref()
            .and_then(|service| service.pointer("/spec/clusterIP")?.as_str().map(str::to_owned));
        ip.filter(|ip| !ip.is_empty())
    };
    let outer = host.get(&services, &tenant.namespace, &format!("{}-dns", tenant.name)).await?;
    let inner = inside.get(&services, "kube-system", "kube-dns").await?;
    let advice = "the control plane writes it at its start: see its log, or delete the pod to start it anew";
    Ok(match (address(&outer), address(&inner)) {
        // That the Service on the host is missing is told already.
        (None, _) => Vec::new(),
        (Some(outer), None) => vec![Finding::new(
            "Service kube-system/kube-dns in the tenant",
            format!("it is missing, so its pods do not learn that DNS answers at {outer}"),
            advice,
        )],
        (Some(outer), Some(inner)) if outer != inner => vec![Finding::new(
            "Service kube-system/kube-dns in the tenant",
            format!("its address is {inner}, but DNS answers at {outer}"),
            advice,
        )],
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_that_waits_without_an_event_is_explained() {
        let pod = |spec: Value, phase: &str| json!({ "metadata": { "name": "web", "namespace": "default" }, "spec": spec, "status": { "phase": phase } });
        assert!(
            unsynced(&pod(json!({ "schedulingGates": [{ "name": "a" }] }), "Pending"))
                .unwrap()
                .what
                .contains("gates: a")
        );
        assert!(unsynced(&pod(json!({}), "Pending")).unwrap().what.contains("not on the host"));
        assert_eq!(unsynced(&pod(json!({}), "Running")), None);
    }
}

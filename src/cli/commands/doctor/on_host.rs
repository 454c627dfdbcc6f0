//! The host's side: the control plane, what it is made of, and the tenant's pods as the host sees them.

use crate::commands::create::last_words;
use crate::commands::describe::certificate_end;
use crate::commands::findings::{self, Finding};
use crate::host::{Host, kind, kind_of};
use crate::tenants::{self, Tenant, trouble};
use alcove_config::Config;
use alcove_object::{condition, meta, quantity::Quantity, time};
use alcove_operator::provision::{self, GRANTS, Release, Scope};
use alcove_schema::decode::yaml_tree;
use serde_json::{Value, json};

/// Certificates that end sooner are told, in seconds: they are renewed long before.
const ENDS_SOON_SECONDS: i64 = 7 * 24 * 60 * 60;

/// All that is wrong on the host, and whether the tenant serves, so that it can be asked as well.
pub async fn examine(host: &Host, tenant: &Tenant) -> Result<(Vec<Finding>, bool), crate::Error> {
    let namespace = &tenant.namespace;
    if tenant.replicas() == 0 {
        return Ok((Vec::new(), false));
    }
    let pod = host.get(&kind("v1", "Pod"), namespace, &tenant.pod()).await?;
    let events = host.list(&kind("v1", "Event"), namespace, "").await?;
    let mut findings = Vec::new();
    if let Some(claim) = tenant.claim() {
        match host.get(&kind("v1", "PersistentVolumeClaim"), namespace, &claim).await? {
            Some(claim) => findings.extend(findings::of_claim(&claim, &events)),
            None if pod.is_some() => findings.push(Finding::new(
                format!("claim {claim} on the host"),
                "it is gone, and with it all that the tenant has stored",
                "delete the tenant and make it anew; its StatefulSet makes another claim only for a new pod",
            )),
            None => {}
        }
    }
    match &pod {
        Some(pod) => {
            if let Some(mut found) = findings::of_control_plane(pod, &events) {
                if found.what.contains("again and again") {
                    found.what.push_str(&last_words(host, namespace, &tenant.name).await);
                }
                findings.push(found);
            }
        }
        None => findings.push(findings::of_set(&tenant.set, &events).unwrap_or_else(|| {
            Finding::new(
                format!("StatefulSet {} on the host", tenant.name),
                "it has no pod, and nothing says why",
                "see whether the host's controller manager runs; a tenant that was made just now needs a moment",
            )
        })),
    }
    let serves = pod.as_ref().is_some_and(|pod| condition::is_true(pod, "Ready"));
    findings.extend(account(host, tenant, pod.as_ref()).await?);
    findings.extend(parts(host, tenant).await?);
    findings.extend(rights(host, tenant).await?);
    findings.extend(quotas(host, namespace).await?);
    findings.extend(kubeconfig(host, tenant, serves).await?);
    findings.extend(pods(host, tenant, &events).await?);
    Ok((findings, serves))
}

async fn release(host: &Host, tenant: &Tenant) -> Result<Option<Release>, crate::Error> {
    let config = Config::from_tree(tenants::config(host, tenant).await?).ok();
    Ok(config.map(|config| Release {
        name: tenant.name.clone(),
        namespace: tenant.namespace.clone(),
        version: tenant.alcove_version().to_owned(),
        config,
    }))
}

/// Whether the service account was made anew while the pod ran: the host does not know the pod's token any more.
async fn account(host: &Host, tenant: &Tenant, pod: Option<&Value>) -> Result<Option<Finding>, crate::Error> {
    let account = host.get(&kind("v1", "ServiceAccount"), &tenant.namespace, &tenant.name).await?;
    let made = |object: &Value| object.pointer("/metadata/creationTimestamp").cloned();
    let Some((account, pod)) = account.as_ref().and_then(made).zip(pod.and_then(made)) else {
        return Ok(None);
    };
    // Both are times of one form, to the second; a pod is never made before the account that it runs as.
    let is_newer = account.as_str() > pod.as_str();
    Ok(is_newer.then(|| {
        Finding::new(
            format!("ServiceAccount {} on the host", tenant.name),
            "it was made anew after the pod was, so the host refuses the pod's token",
            format!(
                "delete pod {} in namespace {}: the next one gets a new token",
                tenant.pod(),
                tenant.namespace
            ),
        )
    }))
}

/// Objects of the installation that are missing.
async fn parts(host: &Host, tenant: &Tenant) -> Result<Vec<Finding>, crate::Error> {
    let advice = format!(
        "put it back with `alcove create {} --update -n {}`, or with helm",
        tenant.name, tenant.namespace
    );
    let Some(release) = release(host, tenant).await? else {
        let place = format!("Secret {} on the host", tenant.config_secret());
        return Ok(vec![Finding::new(
            place,
            "it holds no configuration that this alcove understands",
            advice,
        )]);
    };
    let mut findings = Vec::new();
    for object in provision::objects(&release) {
        let name = meta::name(&object);
        match host.get(&kind_of(&object), &tenant.namespace, name).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let place = format!("{} {name} on the host", object["kind"].as_str().unwrap_or_default());
                findings.push(Finding::new(
                    place,
                    "it is missing, though it is part of the tenant",
                    advice.clone(),
                ));
            }
            // What the user may not see is not theirs to mend.
            Err(error) if error.is_forbidden() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(findings)
}

/// Rights that the tenant's process should have and has not.
async fn rights(host: &Host, tenant: &Tenant) -> Result<Vec<Finding>, crate::Error> {
    let Some(release) = release(host, tenant).await? else { return Ok(Vec::new()) };
    let user = format!("system:serviceaccount:{}:{}", tenant.namespace, tenant.name);
    let mut findings = Vec::new();
    for grant in GRANTS.iter().filter(|grant| (grant.wanted)(&release.config)) {
        let mut lacking = Vec::new();
        for (resource, verb) in grant.resources.iter().flat_map(|r| grant.verbs.iter().map(move |v| (*r, *v)))
        {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let place = if grant.scope == Scope::Cluster { "" } else { tenant.namespace.as_str() };
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "LocalSubjectAccessReview",
                "metadata": { "namespace": tenant.namespace },
                "spec": { "user": user, "groups": ["system:serviceaccounts", "system:authenticated"],
                    "resourceAttributes": { "verb": verb, "group": grant.group, "resource": resource,
                        "subresource": subresource, "namespace": place } },
            });
            // Reviews of one namespace cannot tell of cluster-wide rights.
            if place.is_empty() {
                continue;
            }
            match host.create(&review).await {
                Ok(answer) if answer.pointer("/status/allowed") == Some(&Value::Bool(false)) => {
                    let slash = if subresource.is_empty() { "" } else { "/" };
                    lacking.push(format!("{verb} {resource}{slash}{subresource}"));
                }
                Ok(_) => {}
                // Not everybody may ask for others.
                Err(_) => return Ok(findings),
            }
        }
        if !lacking.is_empty() {
            findings.push(Finding::new(
                format!("ServiceAccount {} on the host", tenant.name),
                format!("it may not {}, which the tenant needs for {}", lacking.join(", "), grant.feature),
                format!(
                    "mend Role and RoleBinding {} with `alcove create {} --update`",
                    tenant.name, tenant.name
                ),
            ));
        }
    }
    Ok(findings)
}

/// Quotas that have no room left.
async fn quotas(host: &Host, namespace: &str) -> Result<Vec<Finding>, crate::Error> {
    let quotas = match host.list(&kind("v1", "ResourceQuota"), namespace, "").await {
        Err(error) if error.is_forbidden() => return Ok(Vec::new()),
        quotas => quotas?,
    };
    Ok(quotas.iter().filter_map(full).collect())
}

fn full(quota: &Value) -> Option<Finding> {
    let amount = |value: &Value| value.as_str().and_then(|text| Quantity::parse(text).ok());
    let hard = quota.pointer("/status/hard")?.as_object()?;
    let used = &quota["status"]["used"];
    let full: Vec<String> = hard
        .iter()
        .filter_map(|(resource, hard)| {
            let (most, now) = (amount(hard)?, amount(&used[resource])?);
            let has_none_to_give = most.cmp(&Quantity::parse("0").ok()?).is_eq();
            (now >= most && !has_none_to_give).then(|| {
                format!(
                    "{resource} {} of {}",
                    used[resource].as_str().unwrap_or_default(),
                    hard.as_str().unwrap_or_default()
                )
            })
        })
        .collect();
    (!full.is_empty()).then(|| {
        Finding::new(
            format!("ResourceQuota {} on the host", meta::name(quota)),
            format!("it is full: {}", full.join(", ")),
            "delete what is not needed in the tenant, or ask the platform team for more",
        )
    })
}

/// The kubeconfig that the tenant writes, and its end.
async fn kubeconfig(host: &Host, tenant: &Tenant, serves: bool) -> Result<Vec<Finding>, crate::Error> {
    let place = format!("Secret {} on the host", tenant.kubeconfig_secret());
    let secret = host.get(&kind("v1", "Secret"), &tenant.namespace, &tenant.kubeconfig_secret()).await?;
    let Some(text) = secret.as_ref().and_then(|secret| tenants::secret_text(secret, "value")) else {
        let advice = format!("its log says why: kubectl logs -n {} {}", tenant.namespace, tenant.pod());
        let missing = Finding::new(place, "the tenant serves, but has written no kubeconfig", advice);
        return Ok(if serves { vec![missing] } else { Vec::new() });
    };
    let tree: Value = yaml_tree(&text).unwrap_or_default();
    let end = tree
        .pointer("/users/0/user/client-certificate-data")
        .and_then(Value::as_str)
        .and_then(certificate_end);
    let Some(end) = end.and_then(|end| time::parse(&end)) else { return Ok(Vec::new()) };
    let left = end.as_second() - jiff::Timestamp::now().as_second();
    if left > ENDS_SOON_SECONDS {
        return Ok(Vec::new());
    }
    let what = match left > 0 {
        true => format!("its certificate ends in {}", time::human_duration(left)),
        false => "its certificate has ended".to_owned(),
    };
    let advice = "the tenant renews it by itself; see that it runs and that its clock is right, or delete the Secret to have it written anew";
    Ok(vec![Finding::new(place, what, advice)])
}

/// The tenant's pods that the host cannot run.
async fn pods(host: &Host, tenant: &Tenant, events: &[Value]) -> Result<Vec<Finding>, crate::Error> {
    let pods = host.list(&kind("v1", "Pod"), &tenant.namespace, &tenants::synced(&tenant.name)).await?;
    Ok(pods.iter().filter_map(|pod| waiting(pod, events)).collect())
}

/// Why the host does not run a tenant's pod.
fn waiting(pod: &Value, events: &[Value]) -> Option<Finding> {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
    let mark = |key: &str| meta::annotation(pod, key).unwrap_or_default();
    let place = format!("pod {}/{} in the tenant", mark("alcove.dev/namespace"), mark("alcove.dev/name"));
    if let Some(trouble) = trouble(pod).filter(|_| phase != "Failed") {
        let text = trouble.message;
        let (what, advice) = match trouble.reason.as_str() {
            "SchedulingGated" => return None,
            "Unschedulable" => (
                format!("no node of the host can take it: {text}"),
                "make room, or change what the pod asks for: requests, nodeSelector, affinity, tolerations",
            ),
            "CrashLoopBackOff" => (
                format!("its process ends again and again: {text}"),
                "read its log in the tenant with kubectl logs --previous",
            ),
            "ErrImageNeverPull" | "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => (
                format!("its image cannot be had: {text}"),
                "check the image's name and the pull secrets of the pod",
            ),
            "CreateContainerConfigError" => (
                format!("something that it uses is missing: {text}"),
                "make the ConfigMap or Secret in the tenant",
            ),
            reason => (format!("{reason}: {text}"), "change the pod as the message says"),
        };
        return Some(Finding::new(place, what, advice));
    }
    let event = findings::last_warning(events, meta::uid(pod)).filter(|_| phase == "Pending")?;
    let message = event["message"].as_str().unwrap_or_default().to_owned();
    Some(Finding::new(
        place,
        message,
        "see the events of the pod in the tenant; ask the platform team about what only the host knows",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_quota_is_told_with_what_fills_it() {
        let quota = json!({ "metadata": { "name": "team" }, "status": {
            "hard": { "count/pods": "2", "requests.memory": "1Gi", "limits.cpu": "4", "services.nodeports": "0" },
            "used": { "count/pods": "2", "requests.memory": "1024Mi", "limits.cpu": "3500m", "services.nodeports": "0" } } });
        let found = full(&quota).unwrap();
        assert_eq!(found.what, "it is full: count/pods 2 of 2, requests.memory 1024Mi of 1Gi");
        assert_eq!(full(&json!({ "metadata": { "name": "new" } })), None);
    }

    #[test]
    fn a_waiting_pod_is_told_by_its_name_in_the_tenant() {
        let pod = json!({
            "metadata": { "uid": "u", "annotations": { "alcove.dev/namespace": "default", "alcove.dev/name": "web" } },
            "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu" }] },
        });
        let found = waiting(&pod, &[]).unwrap();
        assert_eq!(found.place, "pod default/web in the tenant");
        assert!(found.what.contains("Insufficient cpu"));
        let running = json!({ "metadata": { "uid": "u" }, "status": { "phase": "Running" } });
        assert_eq!(waiting(&running, &[]), None);
    }
}

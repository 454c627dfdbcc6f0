//! What pods may ask of the host: a level of the Pod Security Standards, `baseline` unless told otherwise, judged by the syncer itself, so that no admission
//! step of the tenant that somebody turns off, and no label on a host namespace that somebody forgets, opens the host.
//!
//! One row per check, in upstream's order and with its words (k8s.io/pod-security-admission/policy, newest version of
//! each check). AppArmor and seccomp annotations need no check: a tenant's annotations do not reach the host.

use super::Refusal;
use super::pod_refs::CONTAINER_LISTS;
use super::policy_restricted::{OVERRIDDEN, RESTRICTED};
use alcove_config::PodSecurity;
use alcove_object::Value;
use std::collections::BTreeSet;

/// One check.
pub struct Check {
    /// The field in question, for the refusal.
    pub field: &'static str,
    /// What is forbidden, as the first line says it.
    pub reason: fn(usize) -> &'static str,
    /// What is wrong with this pod's spec, and how many values are; `None`: nothing.
    pub find: fn(&Value) -> Option<(usize, String)>,
}

const BASELINE: [Check; 12] = [
    Check {
        field: "securityContext.appArmorProfile",
        reason: |count| match count {
            1 => "forbidden AppArmor profile",
            _ => "forbidden AppArmor profiles",
        },
        find: |spec| {
            let (who, values) = setters(spec, true, "/securityContext/appArmorProfile/type", &|value| {
                !matches!(value.as_str(), Some("RuntimeDefault" | "Localhost"))
            })?;
            Some((values.len(), format!("{who} must not set AppArmor profile type to {}", quoted(&values))))
        },
    },
    Check {
        field: "securityContext.capabilities.add",
        reason: |_| "non-default capabilities",
        find: |spec| {
            let is_bad = |name: &Value| !CAPABILITIES.contains(&name.as_str().unwrap_or_default());
            let (who, values) = setters(spec, false, "/securityContext/capabilities/add", &is_bad)?;
            Some((
                1,
                format!("{who} must not include {} in securityContext.capabilities.add", quoted(&values)),
            ))
        },
    },
    Check {
        field: "spec.hostNetwork, spec.hostPID, spec.hostIPC",
        reason: |_| "host namespaces",
        find: |spec| {
            let shared =
                ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| spec[*field] == true);
            some_text(&shared.map(|field| format!("{field}=true")).collect::<Vec<_>>())
        },
    },
    Check {
        field: "spec.volumes",
        reason: |_| "hostPath volumes",
        find: |spec| {
            let volumes = list(spec, "/volumes").filter(|volume| volume.get("hostPath").is_some());
            let names: Vec<&str> = volumes.map(name).collect();
            let text = format!("{} {}", plural("volume", names.len()), quoted(&names));
            (!names.is_empty()).then_some((1, text))
        },
    },
    Check {
        field: "ports.hostPort",
        reason: |_| "hostPort",
        find: |spec| {
            let ports = |container: &Value| {
                let ports = list(container, "/ports").map(|port| &port["hostPort"]);
                ports
                    .filter_map(Value::as_u64)
                    .filter(|port| *port != 0)
                    .map(|port| port.to_string())
                    .collect()
            };
            let (count, who, values) = containers_with(spec, &ports)?;
            let (verb, what) = (uses(count), plural("hostPort", values.len()));
            let values: Vec<String> = values.into_iter().collect();
            Some((1, format!("{who} {verb} {what} {}", values.join(", "))))
        },
    },
    Check {
        field: "probes and lifecycle handlers: host",
        reason: |_| "probe or lifecycle host",
        find: |spec| {
            let (count, who, values) = containers_with(spec, &handler_hosts)?;
            let (verb, what) = (uses(count), plural("probe or lifecycle host", values.len()));
            Some((1, format!("{who} {verb} {what} {}", quoted(&values))))
        },
    },
    Check {
        field: "securityContext.privileged",
        reason: |_| "privileged",
        find: |spec| {
            let (who, _) = setters(spec, false, "/securityContext/privileged", &|value| value == true)?;
            Some((1, format!("{who} must not set securityContext.privileged=true")))
        },
    },
    Check {
        field: "securityContext.procMount",
        reason: |_| "procMount",
        find: |spec| {
            // In a user namespace of its own, a pod sees no more of /proc than is its.
            if spec["hostUsers"] == false {
                return None;
            }
            let (who, values) =
                setters(spec, false, "/securityContext/procMount", &|value| value != "Default")?;
            Some((1, format!("{who} must not set securityContext.procMount to {}", quoted(&values))))
        },
    },
    Check {
        field: "securityContext.seLinuxOptions",
        reason: |_| "seLinuxOptions",
        find: |spec| {
            let is_bad = |options: &Value| {
                let text = |field: &str| options[field].as_str().unwrap_or_default();
                let is_set = !text("user").is_empty() || !text("role").is_empty();
                is_set || !SE_LINUX_TYPES.contains(&text("type"))
            };
            let (who, _) = setters(spec, true, "/securityContext/seLinuxOptions", &is_bad)?;
            let all = |field: &str, is_bad: fn(&str) -> bool| -> BTreeSet<String> {
                let pointer = format!("/securityContext/seLinuxOptions/{field}");
                let holders = std::iter::once(spec).chain(containers(spec));
                let texts = holders.filter_map(|holder| holder.pointer(&pointer)?.as_str());
                texts.filter(|text| is_bad(text)).map(str::to_owned).collect()
            };
            let types = all("type", |text| !SE_LINUX_TYPES.contains(&text));
            let mut wrong = Vec::new();
            if !types.is_empty() {
                wrong.push(format!("{} {}", plural("type", types.len()), quoted(&types)));
            }
            for (field, text) in [("user", "user may not be set"), ("role", "role may not be set")] {
                if !all(field, |text| !text.is_empty()).is_empty() {
                    wrong.push(text.to_owned());
                }
            }
            Some((1, format!("{who} set forbidden securityContext.seLinuxOptions: {}", wrong.join("; "))))
        },
    },
    Check {
        field: "securityContext.seccompProfile",
        reason: |_| "seccompProfile",
        find: |spec| {
            let (who, values) = setters(spec, true, "/securityContext/seccompProfile/type", &|value| {
                !matches!(value.as_str(), Some("RuntimeDefault" | "Localhost"))
            })?;
            Some((
                1,
                format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&values)),
            ))
        },
    },
    Check {
        field: "spec.securityContext.sysctls",
        reason: |_| "forbidden sysctls",
        find: |spec| {
            let names = list(spec, "/securityContext/sysctls").map(name);
            some_text(&names.filter(|name| !SYSCTLS.contains(name)).map(str::to_owned).collect::<Vec<_>>())
        },
    },
    Check {
        field: "securityContext.windowsOptions.hostProcess",
        reason: |_| "hostProcess",
        find: |spec| {
            let pointer = "/securityContext/windowsOptions/hostProcess";
            let (who, _) = setters(spec, true, pointer, &|value| value == true)?;
            Some((1, format!("{who} must not set securityContext.windowsOptions.hostProcess=true")))
        },
    },
];

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SE_LINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Judges a pod: all that is wrong with it, in upstream's words, and whom to ask.
pub fn judge(level: PodSecurity, pod: &Value) -> Result<(), Refusal> {
    let (word, checks): (_, Vec<&Check>) = match level {
        PodSecurity::Privileged => return Ok(()),
        PodSecurity::Baseline => ("baseline", BASELINE.iter().collect()),
        PodSecurity::Restricted => {
            let kept = BASELINE.iter().filter(|check| !OVERRIDDEN.contains(&check.field));
            ("restricted", kept.chain(&RESTRICTED).collect())
        }
    };
    let spec = &pod["spec"];
    let found = checks.into_iter().filter_map(|check| {
        let (count, detail) = (check.find)(spec)?;
        Some((check.field, format!("{} ({detail})", (check.reason)(count))))
    });
    let (fields, wrong): (Vec<&str>, Vec<String>) = found.unzip();
    if wrong.is_empty() {
        return Ok(());
    }
    let why = format!(
        "violates PodSecurity \"{word}:latest\": {}; the platform team can allow more for this cluster",
        wrong.join(", ")
    );
    Err(Refusal::of(&fields.join(", "), why))
}

/// All containers, in the order in which upstream visits them.
pub fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    CONTAINER_LISTS.iter().filter_map(|list| spec[*list].as_array()).flatten()
}

pub fn list<'a>(of: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    of.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

pub fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap_or_default()
}

/// Containers, and the pod itself where it has the field too, that set a field to a bad value (or to a list with bad
/// values): who, as text, and the values.
pub fn setters(
    spec: &Value,
    pod_too: bool,
    pointer: &str,
    is_bad: &dyn Fn(&Value) -> bool,
) -> Option<(String, BTreeSet<String>)> {
    let bad = |holder: &Value| -> BTreeSet<String> {
        let values: Vec<&Value> = match holder.pointer(pointer) {
            None => Vec::new(),
            Some(Value::Array(values)) => values.iter().collect(),
            Some(value) => vec![value],
        };
        let bad = values.into_iter().filter(|value| is_bad(value));
        bad.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
    };
    let of_pod = if pod_too { bad(spec) } else { BTreeSet::new() };
    let of_containers = containers_with(spec, &bad);
    let mut who = Vec::new();
    if !of_pod.is_empty() {
        who.push("pod".to_owned());
    }
    let mut values = of_pod;
    if let Some((_, names, more)) = of_containers {
        who.push(names);
        values.extend(more);
    }
    (!who.is_empty()).then(|| (who.join(" and "), values))
}

/// Containers of which a search finds anything: how many, their names as text, and what was found.
pub fn containers_with(
    spec: &Value,
    find: &dyn Fn(&Value) -> BTreeSet<String>,
) -> Option<(usize, String, BTreeSet<String>)> {
    let found: Vec<(&str, BTreeSet<String>)> =
        containers(spec).map(|c| (name(c), find(c))).filter(|(_, found)| !found.is_empty()).collect();
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let who = format!("{} {}", plural("container", names.len()), quoted(&names));
    let values = found.iter().flat_map(|(_, values)| values.iter().cloned()).collect();
    (!found.is_empty()).then_some((found.len(), who, values))
}

/// Hosts that a container's probes and lifecycle handlers name.
fn handler_hosts(container: &Value) -> BTreeSet<String> {
    let handlers =
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    let hosts = handlers.iter().flat_map(|handler| {
        ["httpGet", "tcpSocket"].map(|kind| container.pointer(&format!("{handler}/{kind}/host")))
    });
    hosts.flatten().filter_map(Value::as_str).filter(|h| !h.is_empty()).map(str::to_owned).collect()
}

fn some_text(parts: &[String]) -> Option<(usize, String)> {
    (!parts.is_empty()).then(|| (parts.len(), parts.join(", ")))
}

pub fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

pub fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

pub fn quoted<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    items.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(spec: Value) -> String {
        let judged = judge(PodSecurity::Baseline, &json!({ "spec": spec }));
        let text = judged.map_or_else(|refusal| refusal.why, |()| String::new());
        let text = text.trim_start_matches("violates PodSecurity \"baseline:latest\": ");
        text.trim_end_matches("; the platform team can allow more for this cluster").to_owned()
    }

    fn container(fields: Value) -> Value {
        let mut container = json!({ "name": "a", "image": "i" });
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "containers": [container] })
    }

    fn context(fields: Value) -> Value {
        container(json!({ "securityContext": fields }))
    }

    #[test]
    fn what_baseline_allows_is_allowed() {
        for spec in [
            container(json!({})),
            context(json!({ "privileged": false, "capabilities": { "add": ["CHOWN"], "drop": ["ALL"] } })),
            context(json!({ "procMount": "Default", "runAsUser": 0, "allowPrivilegeEscalation": true })),
            context(json!({ "seLinuxOptions": { "type": "container_t", "level": "s0" } })),
            context(json!({ "seccompProfile": { "type": "RuntimeDefault" },
                            "appArmorProfile": { "type": "Localhost", "localhostProfile": "x" } })),
            container(json!({ "ports": [{ "containerPort": 80 }, { "containerPort": 81, "hostPort": 0 }] })),
            container(json!({ "livenessProbe": { "httpGet": { "port": 80 } } })),
            json!({ "securityContext": { "sysctls": [{ "name": "net.ipv4.tcp_rmem", "value": "1" }] } }),
            json!({ "volumes": [{ "name": "v", "emptyDir": {} }], "hostNetwork": false }),
            json!({ "hostUsers": false, "containers": [{ "name": "a", "securityContext": { "procMount": "Unmasked" } }] }),
        ] {
            assert_eq!(verdict(spec.clone()), "", "{spec}");
        }
    }

    #[test]
    fn what_baseline_forbids_is_told_in_upstreams_words() {
        let cases = [
            (
                context(json!({ "privileged": true })),
                r#"privileged (container "a" must not set securityContext.privileged=true)"#,
            ),
            (
                json!({ "hostNetwork": true, "hostPID": true, "hostIPC": true }),
                "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
            ),
            (
                json!({ "volumes": [{ "name": "v", "hostPath": { "path": "/" } }] }),
                r#"hostPath volumes (volume "v")"#,
            ),
            (
                container(json!({ "ports": [{ "containerPort": 80, "hostPort": 80 }] })),
                r#"hostPort (container "a" uses hostPort 80)"#,
            ),
            (
                context(json!({ "capabilities": { "add": ["NET_RAW", "CHOWN", "BPF"] } })),
                r#"non-default capabilities (container "a" must not include "BPF", "NET_RAW" in securityContext.capabilities.add)"#,
            ),
            (
                context(json!({ "procMount": "Unmasked" })),
                r#"procMount (container "a" must not set securityContext.procMount to "Unmasked")"#,
            ),
            (
                json!({ "securityContext": { "sysctls": [{ "name": "kernel.msgmax" }, { "name": "net.core.somaxconn" }] } }),
                "forbidden sysctls (kernel.msgmax, net.core.somaxconn)",
            ),
            (
                json!({ "securityContext": { "seccompProfile": { "type": "Unconfined" } },
                     "initContainers": [{ "name": "i", "securityContext": { "seccompProfile": { "type": "Unconfined" } } }] }),
                r#"seccompProfile (pod and container "i" must not set securityContext.seccompProfile.type to "Unconfined")"#,
            ),
            (
                context(json!({ "seLinuxOptions": { "type": "spc_t", "user": "root" } })),
                r#"seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)"#,
            ),
            (
                context(json!({ "appArmorProfile": { "type": "Unconfined" } })),
                r#"forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")"#,
            ),
            (
                context(json!({ "windowsOptions": { "hostProcess": true } })),
                r#"hostProcess (container "a" must not set securityContext.windowsOptions.hostProcess=true)"#,
            ),
            (
                container(json!({ "lifecycle": { "preStop": { "httpGet": { "host": "h", "port": 1 } } },
                               "livenessProbe": { "tcpSocket": { "host": "g", "port": 1 } } })),
                r#"probe or lifecycle host (container "a" uses probe or lifecycle hosts "g", "h")"#,
            ),
            (
                json!({ "hostPID": true, "containers": [
                { "name": "a", "securityContext": { "privileged": true } }, { "name": "b", "securityContext": { "privileged": true } }] }),
                r#"host namespaces (hostPID=true), privileged (containers "a", "b" must not set securityContext.privileged=true)"#,
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(verdict(spec.clone()), expected, "{spec}");
            assert_eq!(judge(PodSecurity::Privileged, &json!({ "spec": spec })), Ok(()));
        }
    }
}

//! The level `baseline`: what would take over a node is forbidden.

use super::find::{containers, containers_with, list, name, plural, quoted, setters, uses};
use super::{Check, Judged};
use alcove_object::Value;
use alcove_object::field::quote;
use alcove_object::tree::at;
use std::collections::BTreeSet;

/// The checks.
pub(super) const BASELINE: [Check; 12] = [
    Check {
        field: "securityContext.appArmorProfile",
        since: 0,
        replaces: "",
        reason: |count| match count {
            1 => "forbidden AppArmor profile",
            _ => "forbidden AppArmor profiles",
        },
        find: |pod| {
            let spec = pod.spec;
            let set = setters(spec, true, "/securityContext/appArmorProfile/type", &|value| {
                !matches!(value.as_str(), Some("RuntimeDefault" | "Localhost"))
            });
            let (mut who, mut values): (Vec<String>, Vec<String>) =
                set.map(|(who, values)| (vec![who], values.into_iter().collect())).unwrap_or_default();
            let annotated = annotations(pod, APP_ARMOR, &|value| {
                matches!(value, "" | "runtime/default") || value.starts_with("localhost/")
            });
            if !annotated.is_empty() {
                who.push(plural("annotation", annotated.len()));
                values.extend(annotated);
            }
            let (who, what) = (who.join(" and "), quoted(&values));
            (!values.is_empty())
                .then(|| (values.len(), format!("{who} must not set AppArmor profile type to {what}")))
        },
    },
    Check {
        field: "securityContext.capabilities.add",
        since: 0,
        replaces: "",
        reason: |_| "non-default capabilities",
        find: |pod| {
            let spec = pod.spec;
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
        since: 0,
        replaces: "",
        reason: |_| "host namespaces",
        find: |pod| {
            let spec = pod.spec;
            let shared =
                ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| spec[*field] == true);
            some_text(&shared.map(|field| format!("{field}=true")).collect::<Vec<_>>())
        },
    },
    Check {
        field: "spec.volumes",
        since: 0,
        replaces: "",
        reason: |_| "hostPath volumes",
        find: |pod| {
            let spec = pod.spec;
            let volumes = list(spec, "/volumes").filter(|volume| volume.get("hostPath").is_some());
            let names: Vec<&str> = volumes.map(name).collect();
            let text = format!("{} {}", plural("volume", names.len()), quoted(&names));
            (!names.is_empty()).then_some((1, text))
        },
    },
    Check {
        field: "ports.hostPort",
        since: 0,
        replaces: "",
        reason: |_| "hostPort",
        find: |pod| {
            let spec = pod.spec;
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
        since: 34,
        replaces: "",
        reason: |_| "probe or lifecycle host",
        find: |pod| {
            let spec = pod.spec;
            let who: BTreeSet<&str> =
                containers(spec).filter(|c| !handler_hosts(c).is_empty()).map(name).collect();
            let hosts: BTreeSet<String> = containers(spec).flat_map(handler_hosts).collect();
            let (count, verb) = (who.len(), uses(who.len()));
            let (what, hosts_text) = (plural("probe or lifecycle host", hosts.len()), quoted(&hosts));
            let who = format!("{} {}", plural("container", count), quoted(who));
            (count > 0).then(|| (1, format!("{who} {verb} {what} {hosts_text}")))
        },
    },
    Check {
        field: "securityContext.privileged",
        since: 0,
        replaces: "",
        reason: |_| "privileged",
        find: |pod| {
            let spec = pod.spec;
            let (who, _) = setters(spec, false, "/securityContext/privileged", &|value| value == true)?;
            Some((1, format!("{who} must not set securityContext.privileged=true")))
        },
    },
    Check {
        field: "securityContext.procMount",
        since: 0,
        replaces: "",
        reason: |_| "procMount",
        find: |pod| {
            // In a user namespace of its own, a pod sees no more of /proc than is its.
            if pod.is_relaxed() { None } else { proc_mount(pod) }
        },
    },
    Check {
        field: "securityContext.seLinuxOptions",
        since: 0,
        replaces: "",
        reason: |_| "seLinuxOptions",
        find: |pod| {
            let spec = pod.spec;
            let is_known = |text: &str| is_since(pod, &SE_LINUX_TYPES, text);
            let is_bad = |options: &Value| {
                let text = |field: &str| options[field].as_str().unwrap_or_default();
                let is_set = !text("user").is_empty() || !text("role").is_empty();
                is_set || !is_known(text("type"))
            };
            let (who, _) = setters(spec, true, "/securityContext/seLinuxOptions", &is_bad)?;
            let all = |field: &str, is_bad: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
                let pointer = format!("/securityContext/seLinuxOptions/{field}");
                let holders = std::iter::once(spec).chain(containers(spec));
                let texts = holders.filter_map(|holder| at(holder, &pointer)?.as_str());
                texts.filter(|text| is_bad(text)).map(str::to_owned).collect()
            };
            let types = all("type", &|text| !is_known(text));
            let mut wrong = Vec::new();
            if !types.is_empty() {
                wrong.push(format!("{} {}", plural("type", types.len()), quoted(&types)));
            }
            for (field, text) in [("user", "user may not be set"), ("role", "role may not be set")] {
                if !all(field, &|text| !text.is_empty()).is_empty() {
                    wrong.push(text.to_owned());
                }
            }
            Some((1, format!("{who} set forbidden securityContext.seLinuxOptions: {}", wrong.join("; "))))
        },
    },
    Check {
        field: "securityContext.seccompProfile",
        since: 0,
        replaces: "",
        reason: |_| "seccompProfile",
        find: |pod| {
            let spec = pod.spec;
            if pod.minor < 19 {
                return seccomp_annotations(pod);
            }
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
        since: 0,
        replaces: "",
        reason: |_| "forbidden sysctls",
        find: |pod| {
            let spec = pod.spec;
            let names = list(spec, "/securityContext/sysctls").map(name);
            some_text(
                &names.filter(|name| !is_since(pod, &SYSCTLS, name)).map(str::to_owned).collect::<Vec<_>>(),
            )
        },
    },
    Check {
        field: "securityContext.windowsOptions.hostProcess",
        since: 0,
        replaces: "",
        reason: |_| "hostProcess",
        find: |pod| {
            let spec = pod.spec;
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
/// Values that may be set, each from a minor on.
type Since = (u32, &'static str);

const SE_LINUX_TYPES: [Since; 5] = [
    (0, ""),
    (0, "container_t"),
    (0, "container_init_t"),
    (0, "container_kvm_t"),
    (31, "container_engine_t"),
];
const SYSCTLS: [Since; 12] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

/// The annotations of AppArmor profiles, by container, from before there was a field.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

fn is_since(pod: &Judged<'_>, values: &[Since], value: &str) -> bool {
    values.iter().any(|(since, known)| *known == value && pod.minor >= *since)
}

/// Anything but the default, whatever the pod's user namespace.
pub(super) fn proc_mount(pod: &Judged<'_>) -> Option<(usize, String)> {
    let is_bad = |value: &Value| value != "Default";
    let (who, values) = setters(pod.spec, false, "/securityContext/procMount", &is_bad)?;
    Some((1, format!("{who} must not set securityContext.procMount to {}", quoted(&values))))
}

/// Annotations with this prefix and a bad value, as `key="value"`, sorted.
fn annotations(pod: &Judged<'_>, prefix: &str, is_good: &dyn Fn(&str) -> bool) -> Vec<String> {
    let all = pod.metadata["annotations"].as_object().into_iter().flatten();
    let bad = all.filter_map(|(key, value)| Some((key, value.as_str()?)));
    let bad = bad.filter(|(key, value)| key.starts_with(prefix) && !is_good(value));
    bad.map(|(key, value)| format!("{key}={}", quote(value))).collect()
}

/// Seccomp profiles from before there was a field.
fn seccomp_annotations(pod: &Judged<'_>) -> Option<(usize, String)> {
    let of_containers = containers(pod.spec).map(|c| format!("{SECCOMP_OF_CONTAINER}{}", name(c)));
    let is_good = |value: &str| {
        matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/")
    };
    let bad = std::iter::once(SECCOMP_OF_POD.to_owned()).chain(of_containers).filter_map(|key| {
        let value = pod.metadata["annotations"][&key].as_str().filter(|value| !is_good(value))?;
        Some(format!("{key}={}", quote(value)))
    });
    let bad: BTreeSet<String> = bad.collect();
    let what = plural("annotation", bad.len());
    let list: Vec<&str> = bad.iter().map(String::as_str).collect();
    (!bad.is_empty()).then(|| (1, format!("forbidden {what} {}", list.join(", "))))
}

/// Hosts that a container's probes and lifecycle handlers name.
fn handler_hosts(container: &Value) -> BTreeSet<String> {
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| container.get(probe));
    let lifecycle = container.get("lifecycle");
    let hooks = ["postStart", "preStop"].map(|hook| lifecycle.and_then(|lifecycle| lifecycle.get(hook)));
    let handlers = probes.into_iter().chain(hooks).flatten();
    let hosts = handlers.flat_map(|handler| {
        ["httpGet", "tcpSocket"].map(|kind| handler.get(kind).and_then(|action| action.get("host")))
    });
    hosts.flatten().filter_map(Value::as_str).filter(|h| !h.is_empty()).map(str::to_owned).collect()
}

fn some_text(parts: &[String]) -> Option<(usize, String)> {
    (!parts.is_empty()).then(|| (parts.len(), parts.join(", ")))
}

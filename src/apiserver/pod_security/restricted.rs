//! The level `restricted`: what today's best practice asks beyond `baseline`.

use super::baseline::proc_mount;
use super::find::{containers, list, name, plural, quoted, setters, uses};
use super::{Check, Judged};
use alcove_object::Value;
use std::collections::BTreeSet;

/// The checks.
pub(super) const RESTRICTED: [Check; 7] = [
    Check {
        field: "securityContext.allowPrivilegeEscalation",
        since: 8,
        replaces: "",
        reason: |_| "allowPrivilegeEscalation != false",
        find: |pod| {
            let who =
                unless_windows(pod, &|c| at(c, "allowPrivilegeEscalation") != Some(&Value::Bool(false)))?;
            Some((1, format!("{who} must set securityContext.allowPrivilegeEscalation=false")))
        },
    },
    Check {
        field: "securityContext.capabilities",
        since: 22,
        replaces: "securityContext.capabilities.add",
        reason: |_| "unrestricted capabilities",
        find: |pod| {
            let spec = pod.spec;
            let drops_all =
                |c: &Value| list(c, "/securityContext/capabilities/drop").any(|name| name == "ALL");
            let missing = unless_windows(pod, &|c| !drops_all(c));
            let missing =
                missing.map(|who| format!(r#"{who} must set securityContext.capabilities.drop=["ALL"]"#));
            let is_bad = |name: &Value| name != "NET_BIND_SERVICE";
            let adding = setters(spec, false, "/securityContext/capabilities/add", &is_bad)
                .filter(|_| !is_windows(pod));
            let adding = adding.map(|(who, names)| {
                format!("{who} must not include {} in securityContext.capabilities.add", quoted(&names))
            });
            let wrong: Vec<String> = missing.into_iter().chain(adding).collect();
            (!wrong.is_empty()).then(|| (1, wrong.join("; ")))
        },
    },
    Check {
        field: "securityContext.procMount",
        since: 35,
        replaces: "securityContext.procMount",
        reason: |_| "procMount",
        find: proc_mount,
    },
    Check {
        field: "spec.volumes",
        since: 0,
        replaces: "spec.volumes",
        reason: |_| "restricted volume types",
        find: |pod| {
            let spec = pod.spec;
            let bad: Vec<(&str, &str)> =
                list(spec, "/volumes").filter_map(|v| Some((name(v), restricted_kind(v)?))).collect();
            let (names, kinds): (Vec<&str>, BTreeSet<&str>) = bad.iter().copied().unzip();
            let (count, kinds_count) = (names.len(), kinds.len());
            let text = format!(
                "{} {} {} {} {}",
                plural("volume", count),
                quoted(names),
                uses(count),
                plural("restricted volume type", kinds_count),
                quoted(kinds)
            );
            (count > 0).then_some((1, text))
        },
    },
    Check {
        field: "securityContext.runAsNonRoot",
        since: 0,
        replaces: "",
        reason: |_| "runAsNonRoot != true",
        find: |pod| {
            let spec = pod.spec;
            if pod.is_relaxed() {
                return None;
            }
            if let Some((who, _)) =
                setters(spec, true, "/securityContext/runAsNonRoot", &|value| value == false)
            {
                return Some((1, format!("{who} must not set securityContext.runAsNonRoot=false")));
            }
            let who = lacking(spec, "runAsNonRoot", &|value| value == true)?;
            Some((1, format!("pod or {who} must set securityContext.runAsNonRoot=true")))
        },
    },
    Check {
        field: "securityContext.runAsUser",
        since: 23,
        replaces: "",
        reason: |_| "runAsUser=0",
        find: |pod| {
            let spec = pod.spec;
            if pod.is_relaxed() {
                return None;
            }
            let (who, _) = setters(spec, true, "/securityContext/runAsUser", &|value| value == 0)?;
            Some((1, format!("{who} must not set runAsUser=0")))
        },
    },
    Check {
        field: "securityContext.seccompProfile",
        since: 19,
        replaces: "securityContext.seccompProfile",
        reason: |_| "seccompProfile",
        find: |pod| {
            let spec = pod.spec;
            if is_windows(pod) {
                return None;
            }
            let is_good = |value: &Value| matches!(value.as_str(), Some("RuntimeDefault" | "Localhost"));
            let bad = setters(spec, true, "/securityContext/seccompProfile/type", &|value| !is_good(value));
            if let Some((who, values)) = bad {
                let values = quoted(&values);
                return Some((
                    1,
                    format!("{who} must not set securityContext.seccompProfile.type to {values}"),
                ));
            }
            let who = lacking(spec, "seccompProfile", &|profile| is_good(&profile["type"]))?;
            let values = r#""RuntimeDefault" or "Localhost""#;
            Some((1, format!("pod or {who} must set securityContext.seccompProfile.type to {values}")))
        },
    },
];

/// Kinds of volumes that anybody may use.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// The kind of a volume that not everybody may use.
fn restricted_kind(volume: &Value) -> Option<&str> {
    let mut kinds = volume.as_object()?.keys().map(String::as_str).filter(|key| *key != "name");
    // A volume that says nothing is an emptyDir.
    let kind = kinds.next()?;
    (!VOLUMES.contains(&kind)).then_some(kind)
}

/// Windows has none of what the checks of Linux are about, which they know from 1.25 on.
fn is_windows(pod: &Judged<'_>) -> bool {
    pod.minor >= 25 && pod.spec.pointer("/os/name").is_some_and(|name| name == "windows")
}

fn at<'a>(holder: &'a Value, field: &str) -> Option<&'a Value> {
    holder.get("securityContext")?.get(field).filter(|value| !value.is_null())
}

/// Containers of which something holds, as text.
fn who(spec: &Value, holds: &dyn Fn(&Value) -> bool) -> Option<String> {
    let names: Vec<&str> = containers(spec).filter(|container| holds(container)).map(name).collect();
    (!names.is_empty()).then(|| format!("{} {}", plural("container", names.len()), quoted(&names)))
}

fn unless_windows(pod: &Judged<'_>, holds: &dyn Fn(&Value) -> bool) -> Option<String> {
    if is_windows(pod) { None } else { who(pod.spec, holds) }
}

/// Containers for which neither they nor the pod say something good.
fn lacking(spec: &Value, field: &str, is_good: &dyn Fn(&Value) -> bool) -> Option<String> {
    if at(spec, field).is_some_and(is_good) {
        return None;
    }
    who(spec, &|container| at(container, field).is_none())
}

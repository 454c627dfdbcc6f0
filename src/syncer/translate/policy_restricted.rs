//! Pod Security's level `restricted`: what it asks beyond `baseline`, in upstream's order and with its words
//! (k8s.io/pod-security-admission/policy, newest version of each check).

use super::policy::{Check, containers, list, name, plural, quoted, setters, uses};
use alcove_object::Value;
use std::collections::BTreeSet;

/// Fields of checks of `baseline` that a stricter one here stands for.
pub const OVERRIDDEN: [&str; 4] = [
    "securityContext.capabilities.add",
    "securityContext.procMount",
    "securityContext.seccompProfile",
    "spec.volumes",
];

/// The checks.
pub const RESTRICTED: [Check; 7] = [
    Check {
        field: "securityContext.allowPrivilegeEscalation",
        reason: |_| "allowPrivilegeEscalation != false",
        find: |spec| {
            let who =
                unless_windows(spec, &|c| at(c, "allowPrivilegeEscalation") != Some(&Value::Bool(false)))?;
            Some((1, format!("{who} must set securityContext.allowPrivilegeEscalation=false")))
        },
    },
    Check {
        field: "securityContext.capabilities",
        reason: |_| "unrestricted capabilities",
        find: |spec| {
            let drops_all =
                |c: &Value| list(c, "/securityContext/capabilities/drop").any(|name| name == "ALL");
            let missing = unless_windows(spec, &|c| !drops_all(c));
            let missing =
                missing.map(|who| format!(r#"{who} must set securityContext.capabilities.drop=["ALL"]"#));
            let is_bad = |name: &Value| name != "NET_BIND_SERVICE";
            let adding = setters(spec, false, "/securityContext/capabilities/add", &is_bad)
                .filter(|_| !is_windows(spec));
            let adding = adding.map(|(who, names)| {
                format!("{who} must not include {} in securityContext.capabilities.add", quoted(&names))
            });
            let wrong: Vec<String> = missing.into_iter().chain(adding).collect();
            (!wrong.is_empty()).then(|| (1, wrong.join("; ")))
        },
    },
    Check {
        field: "securityContext.procMount",
        reason: |_| "procMount",
        find: |spec| {
            let (who, values) =
                setters(spec, false, "/securityContext/procMount", &|value| value != "Default")?;
            Some((1, format!("{who} must not set securityContext.procMount to {}", quoted(&values))))
        },
    },
    Check {
        field: "spec.volumes",
        reason: |_| "restricted volume types",
        find: |spec| {
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
        reason: |_| "runAsNonRoot != true",
        find: |spec| {
            if spec["hostUsers"] == false {
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
        reason: |_| "runAsUser=0",
        find: |spec| {
            if spec["hostUsers"] == false {
                return None;
            }
            let (who, _) = setters(spec, true, "/securityContext/runAsUser", &|value| value == 0)?;
            Some((1, format!("{who} must not set runAsUser=0")))
        },
    },
    Check {
        field: "securityContext.seccompProfile",
        reason: |_| "seccompProfile",
        find: |spec| {
            if is_windows(spec) {
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

fn is_windows(spec: &Value) -> bool {
    spec.pointer("/os/name").is_some_and(|name| name == "windows")
}

fn at<'a>(holder: &'a Value, field: &str) -> Option<&'a Value> {
    holder.get("securityContext")?.get(field).filter(|value| !value.is_null())
}

/// Containers of which something holds, as text.
fn who(spec: &Value, holds: &dyn Fn(&Value) -> bool) -> Option<String> {
    let names: Vec<&str> = containers(spec).filter(|container| holds(container)).map(name).collect();
    (!names.is_empty()).then(|| format!("{} {}", plural("container", names.len()), quoted(&names)))
}

fn unless_windows(spec: &Value, holds: &dyn Fn(&Value) -> bool) -> Option<String> {
    if is_windows(spec) { None } else { who(spec, holds) }
}

/// Containers for which neither they nor the pod say something good.
fn lacking(spec: &Value, field: &str, is_good: &dyn Fn(&Value) -> bool) -> Option<String> {
    if at(spec, field).is_some_and(is_good) {
        return None;
    }
    who(spec, &|container| at(container, field).is_none())
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;
    use alcove_config::PodSecurity;
    use serde_json::json;

    fn verdict(spec: Value) -> String {
        let judged = judge(PodSecurity::Restricted, &json!({ "spec": spec }));
        let text = judged.map_or_else(|refusal| refusal.why, |()| String::new());
        let text = text.trim_start_matches("violates PodSecurity \"restricted:latest\": ");
        text.trim_end_matches("; the platform team can allow more for this cluster").to_owned()
    }

    #[test]
    fn upstreams_words_for_what_is_not_restricted() {
        let good = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
            "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
        assert_eq!(verdict(json!({ "containers": [{ "name": "a", "securityContext": good }] })), "");
        let expected = concat!(
            r#"allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), "#,
            r#"unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), "#,
            r#"runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), "#,
            r#"seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#,
        );
        assert_eq!(verdict(json!({ "containers": [{ "name": "a" }] })), expected);
        let with = |field: &str, value: Value| {
            let mut context = good.clone();
            context[field] = value;
            json!({ "containers": [{ "name": "a", "securityContext": context }] })
        };
        let cases = [
            (
                with("capabilities", json!({ "drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"] })),
                r#"unrestricted capabilities (container "a" must not include "CHOWN" in securityContext.capabilities.add)"#,
            ),
            (with("runAsUser", json!(0)), r#"runAsUser=0 (container "a" must not set runAsUser=0)"#),
            (
                with("runAsNonRoot", json!(false)),
                r#"runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)"#,
            ),
            (
                with("seccompProfile", json!({ "type": "Unconfined" })),
                r#"seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")"#,
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(verdict(spec), expected);
        }
        let mut spec = with("runAsUser", json!(1000));
        spec["volumes"] = json!([{ "name": "v" }, { "name": "n", "nfs": {} }, { "name": "h", "hostPath": {} },
            { "name": "t", "projected": {} }]);
        let expected =
            r#"restricted volume types (volumes "n", "h" use restricted volume types "hostPath", "nfs")"#;
        assert_eq!(verdict(spec), expected);
    }
}

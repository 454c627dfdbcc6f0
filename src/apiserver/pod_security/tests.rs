//! What is judged how, in upstream's words. The oracle compares many more pods, by the rules of all versions.

use super::*;
use serde_json::json;

fn baseline(spec: Value) -> String {
    text(&violations(Level::Baseline, LATEST, &Value::Null, &spec))
}

fn restricted(spec: Value) -> String {
    text(&violations(Level::Restricted, LATEST, &Value::Null, &spec))
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
        assert_eq!(baseline(spec.clone()), "", "{spec}");
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
        assert_eq!(baseline(spec.clone()), expected, "{spec}");
        assert_eq!(violations(Level::Privileged, LATEST, &Value::Null, &spec), []);
    }
}

#[test]
fn upstreams_words_for_what_is_not_restricted() {
    let good = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    assert_eq!(restricted(json!({ "containers": [{ "name": "a", "securityContext": good }] })), "");
    let expected = concat!(
        r#"allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), "#,
        r#"unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), "#,
        r#"runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), "#,
        r#"seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#,
    );
    assert_eq!(restricted(json!({ "containers": [{ "name": "a" }] })), expected);
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
        assert_eq!(restricted(spec), expected);
    }
    let mut spec = with("runAsUser", json!(1000));
    spec["volumes"] = json!([{ "name": "v" }, { "name": "n", "nfs": {} }, { "name": "h", "hostPath": {} },
        { "name": "t", "projected": {} }]);
    let expected =
        r#"restricted volume types (volumes "n", "h" use restricted volume types "hostPath", "nfs")"#;
    assert_eq!(restricted(spec), expected);
}

#[test]
fn older_rules_are_looser_or_stricter() {
    let engine = context(json!({ "seLinuxOptions": { "type": "container_engine_t" } }));
    let mut relaxed = context(json!({ "procMount": "Unmasked" }));
    relaxed["hostUsers"] = false.into();
    let annotations =
        json!({ "annotations": { "container.seccomp.security.alpha.kubernetes.io/a": "unconfined" } });
    let cases = [
        (&engine, 30, "seLinuxOptions"),
        (&engine, 31, ""),
        (&relaxed, 34, "procMount"),
        (&relaxed, 35, ""),
        (&container(json!({})), 18, "seccompProfile"),
        (&container(json!({})), 19, ""),
    ];
    for (spec, minor, expected) in cases {
        let found = violations(Level::Baseline, minor, &annotations, spec);
        let reasons: Vec<&str> = found.iter().map(|violation| violation.reason).collect();
        assert_eq!(reasons.join(", "), expected, "{minor} {spec}");
    }
}

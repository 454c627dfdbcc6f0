//! Pods by the levels of the Pod Security Standards, under the rules of all versions. The pods are thrown from what the
//! checks look at; from all that a pod may say, few would break any rule.

use crate::differences::Findings;
use crate::generate::Dice;
use crate::judge::Judge;
use alcove_apiserver::pod_security::{LATEST, Level, violations};
use alcove_object::Value;
use serde_json::{Map, json};

/// The newest version that is asked for by name: beyond that of the last rule.
const MINOR_MAX: usize = 37;

/// Compares what pods are told.
pub fn levels(judge: &mut Judge, seed: u64, count: usize, findings: &mut Findings) {
    for i in 0..count {
        let mut dice = Dice::new(seed ^ 0x5ec0, i);
        let (pod, level) = (pod(&mut dice), dice.pick(&[Level::Baseline, Level::Restricted]));
        let minor = dice.roll(MINOR_MAX + 2);
        let (minor, version) = match minor {
            0..=MINOR_MAX => (minor as u32, format!("v1.{minor}")),
            _ => (LATEST, "latest".to_owned()),
        };
        let policy = format!("{}:{version}", level.name());
        let answer = judge.ask_one(json!({ "op": "pod-security", "policy": policy, "object": pod }));
        let found = violations(level, minor, &pod["metadata"], &pod["spec"]);
        let ours: Vec<String> = found.iter().map(ToString::to_string).collect();
        let upstream = answer.get("warnings").cloned().unwrap_or(json!([]));
        findings.count("security");
        findings.compare(
            "security",
            "Pod",
            &json!(ours),
            &upstream,
            &json!({ "policy": policy, "pod": pod }),
        );
    }
}

fn pod(dice: &mut Dice) -> Value {
    let annotations = some(
        dice,
        &[
            (
                "container.apparmor.security.beta.kubernetes.io/a",
                &["unconfined", "runtime/default", "localhost/x"],
            ),
            ("container.apparmor.security.beta.kubernetes.io/b", &["", "else"]),
            ("seccomp.security.alpha.kubernetes.io/pod", &["unconfined", "docker/default"]),
            ("container.seccomp.security.alpha.kubernetes.io/b", &["un\"confined", "localhost/x"]),
        ],
    );
    let mut spec = Map::new();
    for (field, at) in [("initContainers", "i"), ("containers", "a"), ("ephemeralContainers", "e")] {
        let names = [at, if at == "a" { "b" } else { "z" }];
        let containers: Vec<Value> = names[..dice.roll(3)].iter().map(|name| container(name, dice)).collect();
        if !containers.is_empty() {
            spec.insert(field.into(), containers.into());
        }
    }
    for field in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
        if dice.roll(4) == 0 {
            spec.insert(field.into(), (dice.roll(2) == 0).into());
        }
    }
    if dice.roll(6) == 0 {
        spec.insert("os".into(), json!({ "name": dice.pick(&["windows", "linux"]) }));
    }
    if dice.roll(2) == 0 {
        let mut context = both(dice);
        let sysctls =
            ["kernel.shm_rmid_forced", "net.ipv4.tcp_rmem", "net.ipv4.tcp_fin_timeout", "kernel.msgmax"];
        let sysctls: Vec<Value> = (0..dice.roll(3)).map(|_| json!({ "name": dice.pick(&sysctls) })).collect();
        context.insert("sysctls".into(), sysctls.into());
        spec.insert("securityContext".into(), context.into());
    }
    let kinds = ["emptyDir", "hostPath", "nfs", "image", "storageos", "secret", "csi"];
    let volumes = (0..dice.roll(3)).map(|i| json!({ "name": format!("v{i}"), dice.pick(&kinds): {} }));
    spec.insert("volumes".into(), volumes.collect());
    json!({ "metadata": { "annotations": annotations }, "spec": spec })
}

fn container(name: &str, dice: &mut Dice) -> Value {
    let mut container = json!({ "name": name });
    if dice.roll(4) > 0 {
        let mut context = both(dice);
        for field in ["privileged", "allowPrivilegeEscalation"] {
            if dice.roll(3) == 0 {
                context.insert(field.into(), (dice.roll(2) == 0).into());
            }
        }
        context.extend(some(dice, &[("procMount", &["Default", "Unmasked"])]));
        if dice.roll(2) == 0 {
            let names = |dice: &mut Dice, names: &[&str]| -> Vec<String> {
                (0..dice.roll(3)).map(|_| dice.pick(names).to_owned()).collect()
            };
            let add = names(dice, &["CHOWN", "NET_BIND_SERVICE", "NET_RAW", "SYS_ADMIN"]);
            context
                .insert("capabilities".into(), json!({ "add": add, "drop": names(dice, &["ALL", "KILL"]) }));
        }
        container["securityContext"] = context.into();
    }
    if dice.roll(4) == 0 {
        container["ports"] =
            json!([{ "hostPort": dice.pick(&[0, 80, 443]) }, { "hostPort": dice.pick(&[0, 8080]) }]);
    }
    if dice.roll(5) == 0 {
        let handler = json!({ dice.pick(&["httpGet", "tcpSocket"]): { "host": dice.pick(&["", "h", "g"]), "port": 1 } });
        let probe = dice.pick(&["livenessProbe", "readinessProbe", "startupProbe"]);
        container[probe] = handler.clone();
        container["lifecycle"] = json!({ dice.pick(&["preStop", "postStart"]): handler });
    }
    container
}

/// What pods and containers may say alike.
fn both(dice: &mut Dice) -> Map<String, Value> {
    let mut context = Map::new();
    if dice.roll(2) == 0 {
        context.insert("runAsNonRoot".into(), (dice.roll(3) > 0).into());
    }
    if dice.roll(3) == 0 {
        context.insert("runAsUser".into(), dice.pick(&[0, 1000]).into());
    }
    if dice.roll(3) == 0 {
        let options: &[(&str, &[&str])] = &[
            ("type", &["container_t", "container_engine_t", "spc_t"]),
            ("user", &["", "u"]),
            ("role", &["r"]),
        ];
        context.insert("seLinuxOptions".into(), some(dice, options).into());
    }
    let kinds = ["RuntimeDefault", "Localhost", "Unconfined"];
    for field in ["seccompProfile", "appArmorProfile"] {
        if dice.roll(2) == 0 {
            context.insert(field.into(), json!({ "type": dice.pick(&kinds) }));
        }
    }
    if dice.roll(8) == 0 {
        context.insert("windowsOptions".into(), json!({ "hostProcess": dice.roll(2) == 0 }));
    }
    context
}

/// Some of these fields, each with one of its values.
fn some(dice: &mut Dice, fields: &[(&str, &[&str])]) -> Map<String, Value> {
    let mut map = Map::new();
    for (field, values) in fields {
        if dice.roll(3) == 0 {
            map.insert((*field).to_owned(), dice.pick(values).into());
        }
    }
    map
}

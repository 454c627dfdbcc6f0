//! What must hold of every release, whatever its values.

use super::*;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::BTreeSet;

fn release(values: Value) -> Release {
    Release::new("red", "team", "1.2.3", values).unwrap()
}

fn found<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

fn everything() -> Value {
    json!({
        "sync": {
            "serviceAccounts": { "enabled": true }, "ingresses": { "enabled": true },
            "networkPolicies": { "enabled": true }, "podDisruptionBudgets": { "enabled": true },
            "storageClasses": { "enabled": true }, "nodes": { "selector": { "pool": "red" } },
        },
        "expose": {
            "type": "LoadBalancer",
            "ingress": { "enabled": true, "host": "red.example.com" },
            "tlsRoute": { "enabled": true, "hosts": ["red.example.com"] },
        },
        "isolation": { "resourceQuota": { "enabled": true } },
        "controlPlane": { "podDisruptionBudget": { "enabled": true }, "serviceMonitor": { "enabled": true } },
    })
}

#[test]
fn names_are_those_that_others_know() {
    let objects = objects(&release(json!({})));
    for (kind, name) in [
        ("StatefulSet", "red"),
        ("Service", "red"),
        ("Service", "red-dns"),
        ("Service", "red-headless"),
        ("ServiceAccount", "red"),
        ("ServiceAccount", "red-workload"),
        ("Secret", "red-config"),
        ("NetworkPolicy", "red"),
        ("NetworkPolicy", "red-workload"),
        ("Role", "red"),
        ("RoleBinding", "red"),
    ] {
        assert!(found(&objects, kind, name).is_some(), "{kind} {name}");
    }
    assert!(found(&objects, "ClusterRole", "alcove:team:red").is_none());
}

#[test]
fn every_object_is_marked_and_none_looks_synced() {
    let objects = objects(&release(everything()));
    let mut seen = BTreeSet::new();
    for object in &objects {
        let metadata = &object["metadata"];
        assert!(seen.insert((object["kind"].to_string(), metadata["name"].to_string())), "{object:#}");
        assert_eq!(metadata["labels"][TENANT], "red");
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "Helm");
        assert_eq!(metadata["annotations"]["meta.helm.sh/release-name"], "red");
        assert!(metadata["labels"].get(SYNCED).is_none());
    }
    assert_eq!(seen.len(), 19);
}

#[test]
fn cluster_wide_rights_are_given_only_for_what_needs_them() {
    for (values, resource) in [
        (json!({ "storageClasses": { "enabled": true } }), Some("storageclasses")),
        (json!({ "ingresses": { "enabled": true } }), Some("ingressclasses")),
        (json!({ "nodes": { "selector": { "a": "b" } } }), Some("nodes")),
        (json!({ "nodes": { "labels": ["topology.kubernetes.io/*"] } }), Some("nodes")),
        (json!({ "networkPolicies": { "enabled": true } }), None),
    ] {
        let objects = objects(&release(json!({ "sync": values })));
        let role = found(&objects, "ClusterRole", "alcove:team:red");
        assert_eq!(role.map(|role| role["rules"][0]["resources"][0].as_str().unwrap()), resource);
        assert_eq!(found(&objects, "ClusterRoleBinding", "alcove:team:red").is_some(), resource.is_some());
    }
}

#[test]
fn rights_are_as_narrow_as_their_features() {
    for grant in GRANTS {
        assert!(!grant.verbs.contains(&"*") && !grant.resources.contains(&"*"), "{}", grant.feature);
        let only_reads = grant.verbs.iter().all(|verb| ["get", "list", "watch"].contains(verb));
        assert!(grant.scope == Scope::Namespace || only_reads, "{}", grant.feature);
    }
    let pairs =
        GRANTS.iter().flat_map(|grant| grant.resources.iter().map(|resource| (grant.group, *resource)));
    let (all, once): (Vec<_>, BTreeSet<_>) = (pairs.clone().collect(), pairs.collect());
    assert_eq!(all.len(), once.len(), "each resource is granted in one place");
}

#[test]
fn the_process_reads_the_release_from_its_secret() {
    let objects = objects(&release(json!({ "dns": { "upstreams": ["1.1.1.1"] } })));
    let data = found(&objects, "Secret", "red-config").unwrap()["data"]["config.yaml"].as_str().unwrap();
    let text = String::from_utf8(BASE64_STANDARD.decode(data).unwrap()).unwrap();
    let read = Config::parse(&text).unwrap();
    let host = read.host.unwrap();
    assert_eq!((host.name.as_str(), host.namespace.as_str()), ("red", "team"));
    assert_eq!((read.port, read.data.unwrap().to_str()), (Some(8443), Some("/var/lib/alcove/data")));
    assert_eq!(read.dns.upstreams, ["1.1.1.1"]);
}

#[test]
fn values_and_names_that_make_no_release_are_refused() {
    let long = "a".repeat(41);
    for (name, values, expected) in [
        ("red", json!({ "port": 1 }), "port is set by the chart; take it out of the values"),
        ("red", json!({ "dnz": {} }), "unknown key \"dnz\"; did you mean \"dns\"?"),
        ("red", json!([]), "must hold keys and values"),
        (&long, json!({}), "host.name must have at most 40 characters"),
    ] {
        assert_eq!(Release::new(name, "team", "1", values).unwrap_err().to_string(), expected);
    }
    assert!(Release::new("Red", "team", "1", json!({})).is_err());
    assert_eq!(Release::new("red", "team", "1.2.3", Value::Null), Ok(release(json!({}))));
}

#[test]
fn a_change_of_configuration_rolls_the_pod() {
    let hash = |values: Value| {
        let objects = objects(&release(values));
        let set = found(&objects, "StatefulSet", "red").unwrap();
        set["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH].clone()
    };
    assert_eq!(hash(json!({})), hash(json!({ "dns": { "port": 1053 } })));
    assert_ne!(hash(json!({})), hash(json!({ "dns": { "port": 1054 } })));
}

#[test]
fn public_addresses_are_those_that_no_range_denies() {
    let blocks = |denied: &[&str]| {
        let objects = objects(&release(json!({ "isolation": { "network": { "denied": denied } } })));
        found(&objects, "NetworkPolicy", "red-workload").unwrap()["spec"]["egress"][2]["to"].clone()
    };
    let block = |cidr: &str, except: &[&str]| match except {
        [] => json!({ "ipBlock": { "cidr": cidr } }),
        _ => json!({ "ipBlock": { "cidr": cidr, "except": except } }),
    };
    assert_eq!(blocks(&[]), json!([block("0.0.0.0/0", &[]), block("::/0", &[])]));
    assert_eq!(blocks(&["10.0.0.0/8"]), json!([block("0.0.0.0/0", &["10.0.0.0/8"])]));
    assert_eq!(
        blocks(&["10.0.0.0/8", "fc00::/7"]),
        json!([block("0.0.0.0/0", &["10.0.0.0/8"]), block("::/0", &["fc00::/7"])])
    );
}

#[test]
fn the_namespace_has_the_level_of_its_pods() {
    for (values, level) in [
        (json!({}), Some("baseline")),
        (json!({ "sync": { "pods": { "podSecurity": "restricted" } } }), Some("restricted")),
        (json!({ "isolation": { "labelNamespace": false } }), None),
    ] {
        let namespace = namespace(&release(values));
        let label = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].as_str();
        assert_eq!(label, level);
    }
}

//! What a server says in the old form of discovery, in the aggregated one
//! (k8s.io/apiserver/pkg/endpoints/discovery/aggregated, converted as k8s.io/kube-aggregator does for old servers).

use serde_json::{Map, Value, json};

/// The version of an aggregated document. `resources`: those of its APIResourceList.
pub fn aggregated_version(version: &str, resources: &[Value], is_fresh: bool) -> Value {
    let text = |resource: &Value, field: &str| resource[field].as_str().unwrap_or_default().to_owned();
    let kind = |resource: &Value| json!({"group": text(resource, "group"), "version": text(resource, "version"), "kind": text(resource, "kind")});
    let verbs =
        |resource: &Value| if resource["verbs"].is_array() { resource["verbs"].clone() } else { json!([]) };
    let mut out: Vec<Map<String, Value>> = Vec::new();
    for resource in resources {
        let name = text(resource, "name");
        let (name, sub) = name.split_once('/').map_or((&*name, None), |(name, sub)| (name, Some(sub)));
        let at = match out.iter().position(|known| known["resource"] == name) {
            Some(at) => at,
            None => {
                let scope = if resource["namespaced"] == true { "Namespaced" } else { "Cluster" };
                let made = json!({"resource": name, "scope": scope, "responseKind": {"group": "", "version": "", "kind": ""}, "verbs": [], "singularResource": ""});
                out.extend(made.as_object().cloned());
                out.len() - 1
            }
        };
        let entry = &mut out[at];
        match sub {
            Some(sub) => {
                let made =
                    json!({"subresource": sub, "responseKind": kind(resource), "verbs": verbs(resource)});
                let subs = entry.entry("subresources").or_insert_with(|| json!([]));
                if let Value::Array(subs) = subs {
                    subs.push(made);
                }
            }
            None => {
                entry.insert("responseKind".into(), kind(resource));
                entry.insert("singularResource".into(), text(resource, "singularName").into());
                entry.insert("verbs".into(), verbs(resource));
                for names in ["shortNames", "categories"] {
                    if resource[names].is_array() {
                        entry.insert(names.into(), resource[names].clone());
                    }
                }
            }
        }
    }
    let freshness = if is_fresh { "Current" } else { "Stale" };
    json!({"version": version, "resources": out, "freshness": freshness})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subresources_stand_in_their_resource() {
        let list = [
            json!({"name": "flunders", "singularName": "flunder", "namespaced": true, "kind": "Flunder", "verbs": ["get"], "shortNames": ["fl"]}),
            json!({"name": "flunders/status", "singularName": "", "namespaced": true, "kind": "Flunder", "verbs": ["patch"]}),
            json!({"name": "fischers", "singularName": "fischer", "namespaced": false, "kind": "Fischer", "verbs": ["list"]}),
        ];
        let none = json!({"group": "", "version": "", "kind": "Flunder"});
        let expected = json!({"version": "v1", "freshness": "Stale", "resources": [
            {
                "resource": "flunders", "scope": "Namespaced", "responseKind": none, "verbs": ["get"],
                "singularResource": "flunder", "shortNames": ["fl"],
                "subresources": [{"subresource": "status", "responseKind": none, "verbs": ["patch"]}],
            },
            {
                "resource": "fischers", "scope": "Cluster", "singularResource": "fischer", "verbs": ["list"],
                "responseKind": {"group": "", "version": "", "kind": "Fischer"},
            },
        ]});
        assert_eq!(aggregated_version("v1", &list, false), expected);
    }
}

//! How a pod's names are resolved and what it calls itself. The host's kubelet would point it at the host's DNS with the
//! host's search paths; so the tenant's are written out, merged with the pod's own as the kubelet merges them
//! (k8s.io/kubernetes/pkg/kubelet/network/dns).

use super::Refusal;
use alcove_object::{Value, meta};
use serde_json::json;

/// What the kubelet gives pods of ClusterFirst.
const NDOTS: (&str, &str) = ("ndots", "5");
/// Limits of the API, beyond which the kubelet cuts (and the host would refuse).
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARACTERS_MAX: usize = 2048;
/// The longest name that a Linux kernel takes.
const FQDN_MAX: usize = 64;

/// The tenant's DNS, as its pods reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// Points a pod of ClusterFirst at the tenant's DNS. Pods that ask for the node's DNS, or for none, are left alone.
pub fn rewrite_dns(resolver: Option<&Resolver>, domain: &str, namespace: &str, spec: &mut Value) {
    let Some(resolver) = resolver.filter(|_| is_cluster_first(spec)) else { return };
    let own = spec.get("dnsConfig").cloned().unwrap_or(Value::Null);
    let texts = |field: &str| -> Vec<String> {
        let list = own[field].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut nameservers = once_each([resolver.addresses.clone(), texts("nameservers")].concat());
    nameservers.truncate(NAMESERVERS_MAX);
    let cluster = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
    let mut searches = once_each([cluster, texts("searches")].concat());
    searches.truncate(SEARCHES_MAX);
    while searches.iter().map(|path| path.len() + 1).sum::<usize>() > SEARCH_CHARACTERS_MAX + 1 {
        searches.pop();
    }
    let mut options = vec![json!({ "name": NDOTS.0, "value": NDOTS.1 })];
    for option in own["options"].as_array().into_iter().flatten() {
        options.retain(|known| known["name"] != option["name"]);
        options.push(option.clone());
    }
    spec["dnsPolicy"] = "None".into();
    spec["dnsConfig"] = json!({ "nameservers": nameservers, "searches": searches, "options": options });
}

/// Whether a pod is to use its cluster's DNS.
pub fn is_cluster_first(spec: &Value) -> bool {
    match spec["dnsPolicy"].as_str().unwrap_or("ClusterFirst") {
        "ClusterFirst" => spec["hostNetwork"] != true,
        policy => policy == "ClusterFirstWithHostNet",
    }
}

fn once_each(list: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(list.len());
    for text in list {
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

/// What a pod calls itself: its name unless it says otherwise. A subdomain would be one of the host's namespace in
/// `/etc/hosts`, so it does not go there: the tenant's DNS knows the full name. A pod that wants its full name for a
/// host name gets it.
pub fn rewrite_hostname(pod: &Value, domain: &str, spec: &mut Value) -> Result<(), Refusal> {
    let is_on_host_network = spec["hostNetwork"] == true;
    if spec.get("hostname").is_none() && !is_on_host_network {
        spec["hostname"] = hostname(meta::name(pod)).into();
    }
    let Some(fields) = spec.as_object_mut() else { return Ok(()) };
    let subdomain = fields.remove("subdomain");
    let wants_full_name = fields.remove("setHostnameAsFQDN") == Some(Value::Bool(true));
    let Some(subdomain) = subdomain.as_ref().and_then(Value::as_str).filter(|_| wants_full_name) else {
        return Ok(());
    };
    let own = fields.get("hostname").and_then(Value::as_str).unwrap_or_default();
    let full = format!("{own}.{subdomain}.{}.svc.{domain}", meta::namespace(pod));
    if full.len() > FQDN_MAX {
        let why = format!("the name {full} is too long for a host name ({FQDN_MAX} characters is the max)");
        return Err(Refusal::of("spec.setHostnameAsFQDN", why));
    }
    if !is_on_host_network {
        fields.insert("hostnameOverride".into(), full.into());
    }
    Ok(())
}

/// A pod's name as a host name: dots become dashes, at most 63 characters.
fn hostname(name: &str) -> String {
    let short: String = name.chars().take(63).map(|c| if c == '.' { '-' } else { c }).collect();
    short.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(mut spec: Value) -> Value {
        let resolver = Resolver { addresses: vec!["10.0.0.10".into()] };
        rewrite_dns(Some(&resolver), "cluster.local", "shop", &mut spec);
        spec
    }

    #[test]
    fn cluster_first_is_written_out_and_the_rest_is_left() {
        let plain = dns(json!({}));
        assert_eq!(plain["dnsPolicy"], "None");
        let expected = json!({ "nameservers": ["10.0.0.10"],
            "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
            "options": [{ "name": "ndots", "value": "5" }] });
        assert_eq!(plain["dnsConfig"], expected);
        assert_eq!(
            dns(json!({ "dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true }))["dnsConfig"],
            expected
        );
        for spec in [
            json!({ "dnsPolicy": "Default" }),
            json!({ "dnsPolicy": "None", "dnsConfig": { "nameservers": ["1.1.1.1"] } }),
            json!({ "dnsPolicy": "ClusterFirst", "hostNetwork": true }),
        ] {
            assert_eq!(dns(spec.clone()), spec);
        }
    }

    #[test]
    fn what_the_pod_says_is_merged_and_kept() {
        let own = json!({ "nameservers": ["1.1.1.1", "10.0.0.10", "2.2.2.2", "3.3.3.3"],
            "searches": ["example.com", "svc.cluster.local"],
            "options": [{ "name": "ndots", "value": "2" }, { "name": "edns0" }] });
        let merged = dns(json!({ "dnsConfig": own }))["dnsConfig"].clone();
        assert_eq!(merged["nameservers"], json!(["10.0.0.10", "1.1.1.1", "2.2.2.2"]));
        assert_eq!(merged["searches"][3], "example.com");
        assert_eq!(merged["searches"].as_array().unwrap().len(), 4);
        assert_eq!(merged["options"], json!([{ "name": "ndots", "value": "2" }, { "name": "edns0" }]));
    }

    #[test]
    fn search_paths_fit() {
        let long: Vec<String> = (0..40).map(|n| format!("{}.{n}.example", "a".repeat(60))).collect();
        let merged = dns(json!({ "dnsConfig": { "searches": long } }))["dnsConfig"].clone();
        let line: Vec<&str> =
            merged["searches"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(line.len() <= SEARCHES_MAX && line.join(" ").len() <= SEARCH_CHARACTERS_MAX);
    }

    #[test]
    fn a_pod_is_called_as_in_its_tenant() {
        let name = |pod: Value| {
            let mut spec = pod["spec"].clone();
            rewrite_hostname(&pod, "cluster.local", &mut spec).map(|()| spec).map_err(|refusal| refusal.field)
        };
        let pod =
            |spec: Value| json!({ "metadata": { "name": "web.v1", "namespace": "shop" }, "spec": spec });
        assert_eq!(name(pod(json!({}))), Ok(json!({ "hostname": "web-v1" })));
        assert_eq!(name(pod(json!({ "hostNetwork": true }))), Ok(json!({ "hostNetwork": true })));
        let member = json!({ "hostname": "web-0", "subdomain": "web" });
        assert_eq!(name(pod(member)), Ok(json!({ "hostname": "web-0" })));
        let full = json!({ "hostname": "web-0", "subdomain": "web", "setHostnameAsFQDN": true });
        let expected = json!({ "hostname": "web-0", "hostnameOverride": "web-0.web.shop.svc.cluster.local" });
        assert_eq!(name(pod(full)), Ok(expected));
        let long = json!({ "hostname": "a".repeat(60), "subdomain": "web", "setHostnameAsFQDN": true });
        assert_eq!(name(pod(long)), Err("spec.setHostnameAsFQDN".into()));
    }
}

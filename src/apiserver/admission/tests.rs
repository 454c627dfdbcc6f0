//! Addresses, accounts, priorities and tolerations, through the whole pipeline.

use super::*;
use crate::authorization::AlwaysAllow;
use crate::bootstrap;
use crate::client::Client;
use crate::kinds;
use crate::server::{ApiServer, ServerConfig};
use crate::testing::{TestEnv, memory_store};
use alcove_object::Gvr;
use alcove_object::meta;
use alcove_schema::Minor;
use serde_json::json;

async fn client() -> Client {
    let (env, store) = (Arc::new(TestEnv::new(7)), memory_store());
    let addresses = LocalAddresses::new(AddressConfig::default(), store.clone(), env.clone());
    let admission: Vec<Arc<dyn Admission>> = vec![
        Arc::new(LimitRanger::new(store.clone())),
        Arc::new(ServiceAccount::new(store.clone(), env.clone())),
        Arc::new(Priority::new(store.clone())),
        Arc::new(DefaultTolerationSeconds),
        Arc::new(RuntimeClass::new(store.clone())),
        Arc::new(ServiceIp::new(Arc::new(addresses))),
        Arc::new(AddressObjects::new(store.clone(), false)),
    ];
    let server = ApiServer::new(ServerConfig {
        minor: Minor::DEFAULT,
        env,
        store,
        resources: kinds::resources(Minor::DEFAULT),
        admission,
        authorizer: Arc::new(AlwaysAllow),
        connector: None,
        tokens: None,
    });
    bootstrap(&server, &[]).await.unwrap();
    let client = server.client(User::component("tester"), "tester");
    account(&client, "default", json!({})).await;
    client
}

async fn account(client: &Client, name: &str, fields: Value) {
    let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    for (field, value) in fields.as_object().unwrap() {
        account[field] = value.clone();
    }
    account["metadata"]["name"] = name.into();
    client.create(&Gvr::new("", "v1", "serviceaccounts"), "default", account).await.unwrap();
}

fn services() -> Gvr {
    Gvr::new("", "v1", "services")
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

async fn create(client: &Client, name: &str, spec: Value) -> Result<Value, String> {
    let made = client.create(&services(), "default", service(name, spec)).await;
    made.map(|o| o.parse()).map_err(|status| status.message.clone())
}

#[tokio::test]
async fn services_get_addresses() {
    let client = client().await;
    let ports = json!([{"port": 80}]);
    let made = create(&client, "a", json!({"ports": ports})).await.unwrap();
    let ip = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(ip.starts_with("10.96."), "{ip}");
    assert_eq!(made["spec"]["clusterIPs"], json!([ip]));
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(made["spec"]["ipFamilyPolicy"], "SingleStack");

    let taken = create(&client, "b", json!({"ports": ports, "clusterIP": ip})).await.unwrap_err();
    assert!(
        taken.ends_with(&format!("failed to allocate IP {ip}: provided IP is already allocated")),
        "{taken}"
    );
    let outside = create(&client, "b", json!({"ports": ports, "clusterIP": "1.2.3.4"})).await.unwrap_err();
    assert!(outside.ends_with("the provided network does not match the current range"), "{outside}");

    let headless = create(&client, "c", json!({"clusterIP": "None", "selector": {"a": "b"}})).await.unwrap();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    let external =
        create(&client, "d", json!({"type": "ExternalName", "externalName": "x.y"})).await.unwrap();
    assert_eq!(external["spec"].get("clusterIP"), None);

    client.delete(&services(), "default", "a", &Default::default()).await.unwrap();
    let again = create(&client, "b", json!({"ports": ports, "clusterIP": ip})).await.unwrap();
    assert_eq!(again["spec"]["clusterIP"], json!(ip));
}

fn address_objects() -> Gvr {
    Gvr::new("networking.k8s.io", "v1", "ipaddresses")
}

#[tokio::test]
async fn an_address_has_its_object_as_long_as_the_service_has_it() {
    let client = client().await;
    let ports = json!([{"port": 80}]);
    let made = create(&client, "a", json!({"ports": ports})).await.unwrap();
    let ip = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let object = client.get(&address_objects(), "", &ip).unwrap().parse();
    assert_eq!(
        object["spec"],
        json!({"parentRef": {"resource": "services", "namespace": "default", "name": "a"}})
    );
    assert_eq!(
        object["metadata"]["labels"],
        json!({"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"})
    );
    assert!(!meta::uid(&object).is_empty() && !meta::text(&object, "creationTimestamp").is_empty());

    let count = || client.list(&address_objects(), "", &Default::default()).unwrap().items.len();
    for spec in [
        json!({"clusterIP": "None"}),
        json!({"type": "ExternalName", "externalName": "x.y"}),
        json!({"ports": ports, "clusterIP": ip}),
    ] {
        let _refused_or_without_address = create(&client, "b", spec).await;
        assert_eq!(count(), 1);
        let _ = client.delete(&services(), "default", "b", &Default::default()).await;
    }
    // With another type the address goes, and with the first one another comes.
    let external = service("a", json!({"type": "ExternalName", "externalName": "x.y", "clusterIP": ""}));
    client.update(&services(), "default", external).await.unwrap();
    assert_eq!(count(), 0);
    let back =
        client.update(&services(), "default", service("a", json!({"ports": ports}))).await.unwrap().parse();
    let ip = back["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&address_objects(), "", &ip).unwrap().name(), ip);
    client.delete(&services(), "default", "a", &Default::default()).await.unwrap();
    assert_eq!(count(), 0);
}

#[tokio::test]
async fn an_address_that_has_an_object_of_somebody_is_not_given() {
    let client = client().await;
    let theirs = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": "10.96.0.9"},
        "spec": {"parentRef": {"group": "example.com", "resource": "things", "name": "mine"}},
    });
    client.create(&address_objects(), "", theirs).await.unwrap();
    let refused = create(&client, "a", json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.9"})).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.ends_with("failed to allocate IP 10.96.0.9: provided IP is already allocated"),
        "{refused}"
    );
    assert_eq!(
        client.get(&address_objects(), "", "10.96.0.9").unwrap().parse()["spec"]["parentRef"]["name"],
        "mine"
    );
}

#[tokio::test]
async fn a_held_service_keeps_its_address_until_it_is_let_go() {
    let client = client().await;
    let mut held = service("a", json!({"ports": [{"port": 80}]}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let ip = client.create(&services(), "default", held).await.unwrap().parse()["spec"]["clusterIP"].clone();
    client.delete(&services(), "default", "a", &Default::default()).await.unwrap();
    assert!(client.get(&address_objects(), "", ip.as_str().unwrap()).is_ok());
    let mut last = client.get(&services(), "default", "a").unwrap().parse();
    meta::unset(&mut last, "finalizers");
    client.update(&services(), "default", last).await.unwrap();
    assert!(client.get(&address_objects(), "", ip.as_str().unwrap()).is_err());
}

#[tokio::test]
async fn addresses_come_of_ready_blocks() {
    let client = client().await;
    let blocks = Gvr::new("networking.k8s.io", "v1", "servicecidrs");
    let block = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more"},
        "spec": {"cidrs": ["192.168.7.0/30"]},
    });
    let wanted = |ip: &str| json!({"ports": [{"port": 80}], "clusterIP": ip});
    create(&client, "a", wanted("192.168.7.1")).await.unwrap_err();
    client.create(&blocks, "", block).await.unwrap();
    create(&client, "a", wanted("192.168.7.1")).await.unwrap();
    create(&client, "b", wanted("192.168.7.3")).await.unwrap_err();
}

#[tokio::test]
async fn node_ports_are_given_once_and_kept() {
    let client = client().await;
    let spec = json!({"type": "NodePort", "ports": [
        {"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}, {"name": "x", "port": 1, "nodePort": 30100},
    ]});
    let made = create(&client, "a", spec.clone()).await.unwrap();
    let port = |made: &Value, i: usize| made["spec"]["ports"][i]["nodePort"].as_i64().unwrap();
    assert!((30000..=32767).contains(&port(&made, 0)));
    assert_eq!(port(&made, 0), port(&made, 1));
    assert_eq!(port(&made, 2), 30100);

    let same = client.update(&services(), "default", service("a", spec)).await.unwrap().parse();
    assert_eq!(same["spec"], made["spec"]);

    let wanted = |number: i64| json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": number}]});
    let taken = create(&client, "b", wanted(30100)).await.unwrap_err();
    let text = "spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated";
    assert!(taken.ends_with(text), "{taken}");
    let outside = create(&client, "b", wanted(80)).await.unwrap_err();
    assert!(outside.ends_with("The range of valid ports is 30000-32767"), "{outside}");
}

#[tokio::test]
async fn pods_get_account_priority_and_tolerations() {
    let client = client().await;
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 7,
    });
    client.create(&Gvr::new("scheduling.k8s.io", "v1", "priorityclasses"), "", class).await.unwrap();
    let pod = |name: &str, class: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "priorityClassName": class, "containers": [{"name": "c", "image": "x"}],
        }})
    };
    let pods = Gvr::new("", "v1", "pods");
    let plain = client.create(&pods, "default", pod("a", "")).await.unwrap().parse();
    assert_eq!(plain["spec"]["serviceAccountName"], "default");
    assert_eq!(plain["spec"]["priority"], 0);
    assert_eq!(plain["spec"]["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(plain["spec"]["tolerations"].as_array().map(Vec::len), Some(2));
    let high = client.create(&pods, "default", pod("b", "high")).await.unwrap().parse();
    assert_eq!(high["spec"]["priority"], 7);
    let missing = client.create(&pods, "default", pod("c", "nope")).await.unwrap_err();
    assert_eq!(
        (missing.code, missing.message.contains("no PriorityClass with name nope was found")),
        (403, true)
    );
}

#[tokio::test]
async fn bootstrap_objects_are_valid() {
    let client = client().await;
    let server = Some(("10.0.0.5".parse().unwrap(), 8443));
    let resources = kinds::resources(Minor::DEFAULT);
    for object in kinds::bootstrap::objects(&AddressConfig::default(), server) {
        let resource = resources.iter().find(|r| object["kind"] == *r.gvk.kind).unwrap();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        client.create(&resource.gvr, &namespace, object).await.unwrap();
    }
}

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

async fn create_pod(client: &Client, spec: Value) -> Result<Value, String> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": spec});
    let made = client.create(&Gvr::new("", "v1", "pods"), "default", pod).await;
    made.map(|pod| pod.parse()).map_err(|status| status.message.clone())
}

#[tokio::test]
async fn pods_get_a_volume_with_their_token() {
    let client = client().await;
    let own = json!({"name": "v", "mountPath": TOKEN_PATH});
    let pod = create_pod(
        &client,
        json!({
            "initContainers": [{"name": "i", "image": "x"}],
            "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x", "volumeMounts": [own]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        }),
    )
    .await
    .unwrap();
    let volume = &pod["spec"]["volumes"][1];
    let name = volume["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    assert_eq!(
        volume["projected"],
        json!({"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            ]}},
        ]})
    );
    let mounts = |list: &str, i: usize| pod["spec"][list][i]["volumeMounts"].clone();
    let mount = json!([{"name": name, "readOnly": true, "mountPath": TOKEN_PATH}]);
    assert_eq!(mounts("initContainers", 0), mount);
    assert_eq!(mounts("containers", 0), mount);
    assert_eq!(mounts("containers", 1), json!([own]), "what the container mounts there itself stays");
}

#[tokio::test]
async fn pods_and_accounts_opt_out_of_tokens() {
    let client = client().await;
    account(&client, "quiet", json!({"automountServiceAccountToken": false})).await;
    for (account, pod, expected) in [
        ("default", None, true),
        ("default", Some(false), false),
        ("quiet", None, false),
        ("quiet", Some(true), true),
    ] {
        let mut spec = json!({"serviceAccountName": account, "containers": [{"name": "c", "image": "x"}]});
        if let Some(pod) = pod {
            spec["automountServiceAccountToken"] = pod.into();
        }
        let made = create_pod(&client, spec).await.unwrap();
        assert_eq!(made["spec"].get("volumes").is_some(), expected, "{account} {pod:?}");
    }
}

#[tokio::test]
async fn accounts_give_pull_secrets_and_limit_others() {
    let client = client().await;
    let strict = json!({
        "metadata": {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
        "secrets": [{"name": "mine"}], "imagePullSecrets": [{"name": "registry"}],
    });
    account(&client, "strict", strict).await;
    let of = |extra: Value| {
        let mut spec = json!({"serviceAccountName": "strict", "containers": [{"name": "c", "image": "x"}]});
        for (field, value) in extra.as_object().unwrap() {
            spec[field] = value.clone();
        }
        spec
    };
    let plain = create_pod(&client, of(json!({}))).await.unwrap();
    assert_eq!(plain["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
    let volume = |secret: &str| of(json!({"volumes": [{"name": "s", "secret": {"secretName": secret}}]}));
    assert!(create_pod(&client, volume("mine")).await.is_ok());
    let refused = create_pod(&client, volume("yours")).await.unwrap_err();
    let why = "volume with secret.secretName=\"yours\" is not allowed because service account strict does not \
        reference that secret";
    assert_eq!(refused, format!("pods \"p-\" is forbidden: {why}"));
    let from = json!([{"name": "c", "image": "x", "envFrom": [{"secretRef": {"name": "yours"}}]}]);
    let refused = create_pod(&client, of(json!({"containers": from}))).await.unwrap_err();
    assert!(
        refused.contains("container c with envFrom referencing secret.secretName=\"yours\""),
        "{refused}"
    );
    let refused = create_pod(&client, of(json!({"imagePullSecrets": [{"name": "x"}]}))).await.unwrap_err();
    assert!(refused.contains("imagePullSecrets[0].name=\"x\" is not allowed"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn pods_need_an_account_that_is_there() {
    let client = client().await;
    let spec = |name: &str| json!({"serviceAccountName": name, "containers": [{"name": "c", "image": "x"}]});
    let missing = |name: &str| {
        format!(
            "pods \"p-\" is forbidden: error looking up service account default/{name}: serviceaccount \"{name}\" \
             not found"
        )
    };
    assert_eq!(create_pod(&client, spec("none")).await, Err(missing("none")));
    let accounts = Gvr::new("", "v1", "serviceaccounts");
    client.delete(&accounts, "default", "default", &Default::default()).await.unwrap();
    assert_eq!(create_pod(&client, spec("default")).await, Err(missing("default")));
}

#[tokio::test]
async fn pods_come_as_soon_as_the_default_account_is_there() {
    let client = client().await;
    let accounts = Gvr::new("", "v1", "serviceaccounts");
    client.delete(&accounts, "default", "default", &Default::default()).await.unwrap();
    let spec = |name: &str| json!({"serviceAccountName": name, "containers": [{"name": "c", "image": "x"}]});
    let (made, ()) =
        tokio::join!(create_pod(&client, spec("default")), account(&client, "default", json!({})));
    assert!(made.is_ok(), "{made:?}");
}

#[tokio::test]
async fn runtime_classes_must_be_there_and_complete_their_pods() {
    let client = client().await;
    let pods = Gvr::new("", "v1", "pods");
    let pod = |spec: Value| {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"runtimeClassName": "sandboxed", "containers": [{"name": "c", "image": "i"}]},
        });
        for (field, value) in spec.as_object().unwrap() {
            pod["spec"][field] = value.clone();
        }
        pod
    };
    let create = async |spec: Value| {
        let made = client.create(&pods, "default", pod(spec)).await;
        made.map(|o| o.parse()).map_err(|status| (status.code, status.message.clone()))
    };
    let missing = create(json!({})).await.unwrap_err();
    let text = "pods \"p\" is forbidden: pod rejected: RuntimeClass \"sandboxed\" not found";
    assert_eq!(missing, (403, text.to_owned()));

    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "sandboxed"}, "handler": "h",
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]},
    });
    client.create(&Gvr::new("node.k8s.io", "v1", "runtimeclasses"), "", class).await.unwrap();
    let conflict = create(json!({"nodeSelector": {"a": "c"}})).await.unwrap_err();
    assert!(
        conflict
            .1
            .ends_with("conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c")
    );
    let other = create(json!({"overhead": {"cpu": "1"}})).await.unwrap_err();
    assert!(other.1.ends_with("Pod's Overhead doesn't match RuntimeClass's defined Overhead"), "{}", other.1);
    let made = create(json!({"nodeSelector": {"c": "d"}})).await.unwrap();
    assert_eq!(made["spec"]["overhead"], json!({"cpu": "250m"}));
    assert_eq!(made["spec"]["nodeSelector"], json!({"a": "b", "c": "d"}));
    assert!(made["spec"]["tolerations"].as_array().unwrap().iter().any(|t| t["key"] == "k"));
}

#[tokio::test]
async fn limit_ranges_complete_pods_and_refuse_those_past_them() {
    let client = client().await;
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}}]},
    });
    client.create(&Gvr::new("", "v1", "limitranges"), "default", range).await.unwrap();
    let create = async |name: &str, resources: Value| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
        });
        client.create(&Gvr::new("", "v1", "pods"), "default", pod).await.map(|o| o.parse())
    };
    let made = create("small", json!({})).await.unwrap();
    assert_eq!(made["spec"]["containers"][0]["resources"]["limits"], json!({"cpu": "500m"}));
    let refused = create("large", json!({"limits": {"cpu": "2"}})).await.unwrap_err();
    let text = "pods \"large\" is forbidden: maximum cpu usage per Container is 1, but limit is 2";
    assert_eq!((refused.code, refused.message.as_str()), (403, text));
}

#[tokio::test]
async fn a_full_store_takes_nothing_new_and_lets_go() {
    let store = memory_store();
    let limits = StoreLimits { objects: 2, bytes: 0 };
    let server = ApiServer::new(ServerConfig {
        minor: Minor::DEFAULT,
        env: Arc::new(TestEnv::new(7)),
        store: store.clone(),
        resources: kinds::resources(Minor::DEFAULT),
        admission: vec![Arc::new(StoreQuota::new(store, limits))],
        authorizer: Arc::new(AlwaysAllow),
        connector: None,
        tokens: None,
    });
    let client = server.client(User::component("tester"), "tester");
    let maps = Gvr::new("", "v1", "configmaps");
    let create = async |name: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        client.create(&maps, "default", map).await.map(|o| o.parse())
    };
    let mut first = create("a").await.unwrap();
    create("b").await.unwrap();
    let refused = create("c").await.unwrap_err();
    let text = "configmaps \"c\" is forbidden: exceeded quota of this cluster: 2 objects of 2; delete what is not needed, or ask the platform team for more";
    assert_eq!((refused.code, refused.message.as_str()), (403, text));
    first["data"] = json!({"k": "v"});
    client.update(&maps, "default", first).await.unwrap();
    client.delete(&maps, "default", "b", &crate::options::DeleteOptions::default()).await.unwrap();
    create("c").await.unwrap();
}

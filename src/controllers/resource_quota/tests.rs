//! The controller and the admission step together, on a server in memory: what is charged is what is counted.

use super::*;
use alcove_apiserver::admission::{Admission, ResourceQuota};
use alcove_apiserver::options::DeleteOptions;
use alcove_apiserver::testing::{self, TestEnv};
use alcove_apiserver::{User, kinds};
use alcove_object::Reason;
use alcove_schema::Minor;
use futures_util::future::join_all;
use serde_json::json;

struct World {
    client: Client,
    quotas: Arc<ResourceQuotas>,
}

fn config_maps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
}

impl World {
    /// A server whose namespace `default` has a quota `q` of these limits, counted already.
    async fn new(hard: Value) -> World {
        let env = Arc::new(TestEnv::new(3));
        let server = testing::server_with(kinds::resources(Minor::DEFAULT), env.clone(), |store| {
            vec![Arc::new(ResourceQuota::new(store.clone(), env.clone())) as Arc<dyn Admission>]
        });
        alcove_apiserver::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let quotas = ResourceQuotas::new(server, client.clone(), env, Arc::default());
        let world = World { client, quotas: Arc::new(quotas) };
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q" }, "spec": { "hard": hard },
        });
        world.client.create(&resource(), "default", quota).await.unwrap();
        assert_eq!(world.recount().await, Next::After(STRAGGLERS));
        world
    }

    async fn recount(&self) -> Next {
        self.quotas.reconcile(&"default/q".into()).await.unwrap()
    }

    fn used(&self) -> Value {
        self.client.get(&resource(), "default", "q").unwrap().parse()["status"]["used"].clone()
    }

    async fn create(&self, name: &str) -> Result<Object, Status> {
        self.client.create(&config_maps(), "default", config_map(name)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_never_exceed_a_quota() {
    let world = World::new(json!({ "count/configmaps": "5" })).await;
    let names: Vec<String> = (0..40).map(|i| format!("c{i}")).collect();
    let results = join_all(names.iter().map(|name| world.create(name))).await;
    let refused: Vec<&Status> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(refused.len(), 35);
    let why = "is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=5, limited: count/configmaps=5";
    assert!(refused.iter().all(|status| status.is(Reason::FORBIDDEN)), "{refused:?}");
    assert!(refused.iter().any(|status| status.message.ends_with(why)), "{refused:?}");
    assert_eq!(world.used(), json!({ "count/configmaps": "5" }));
    assert_eq!(world.recount().await, Next::After(RESYNC), "what was charged is what is there");
    let list = world.client.list(&config_maps(), "default", &ListOptions::default()).unwrap();
    assert_eq!(list.items.len(), 5);
}

#[tokio::test]
async fn what_is_refused_for_another_reason_is_not_charged() {
    let world = World::new(json!({ "count/configmaps": "5" })).await;
    world.create("a").await.unwrap();
    assert!(world.create("a").await.is_err_and(|status| status.is(Reason::ALREADY_EXISTS)));
    assert_eq!(world.used(), json!({ "count/configmaps": "1" }));
}

#[tokio::test]
async fn what_is_deleted_is_given_back() {
    let world = World::new(json!({ "count/configmaps": "1", "count/things.example.com": "1" })).await;
    world.create("a").await.unwrap();
    assert!(world.create("b").await.is_err_and(|status| status.is(Reason::FORBIDDEN)));
    world.client.delete(&config_maps(), "default", "a", &DeleteOptions::default()).await.unwrap();
    assert!(world.create("b").await.is_err_and(|status| status.is(Reason::FORBIDDEN)), "not counted yet");
    assert_eq!(world.recount().await, Next::After(RESYNC));
    assert_eq!(world.used(), json!({ "count/configmaps": "0" }), "nothing is known of things");
    world.create("b").await.unwrap();
}

#[tokio::test]
async fn updates_pay_for_the_difference() {
    let world = World::new(json!({ "services.nodeports": "2" })).await;
    let services = Gvr::new("", "v1", "services");
    let service = |kind: &str, ports: i64| {
        let ports: Vec<Value> = (1..=ports).map(|p| json!({ "name": format!("p{p}"), "port": p })).collect();
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" },
            "spec": { "type": kind, "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": ports } })
    };
    world.client.create(&services, "default", service("ClusterIP", 3)).await.unwrap();
    assert_eq!(world.used(), json!({ "services.nodeports": "0" }));
    let refused = world.client.update(&services, "default", service("NodePort", 3)).await.unwrap_err();
    let why = "exceeded quota: q, requested: services.nodeports=3, used: services.nodeports=0, limited: services.nodeports=2";
    assert!(refused.message.ends_with(why), "{refused}");
    world.client.update(&services, "default", service("NodePort", 1)).await.unwrap();
    assert_eq!(world.used(), json!({ "services.nodeports": "1" }));
    world.client.update(&services, "default", service("NodePort", 2)).await.unwrap();
    assert_eq!(world.used(), json!({ "services.nodeports": "2" }));
    world.client.update(&services, "default", service("ClusterIP", 2)).await.unwrap();
    world.recount().await;
    assert_eq!(world.used(), json!({ "services.nodeports": "0" }));
}

#[tokio::test]
async fn only_new_limits_and_what_gives_back_make_it_count() {
    let world = World::new(json!({ "count/configmaps": "5", "pods": "1" })).await;
    let quota = world.client.get(&resource(), "default", "q").unwrap();
    let keys = |mapper: &Mapper, event: Event| {
        let mut keys = Vec::new();
        mapper(&event, &mut |key| keys.push(key.to_string()));
        keys
    };
    let own = &world.quotas.sources()[0].mapper;
    assert_eq!(keys(own, Event::Added(quota.clone())), ["default/q"]);
    assert!(keys(own, Event::Modified(quota.clone())).is_empty(), "a charge");
    let watched: Vec<String> = world.quotas.watched().into_keys().map(|table| table.to_string()).collect();
    assert!(
        watched.len() == 2 && ["pods", "configmaps"].iter().all(|t| watched.iter().any(|w| w == t)),
        "{watched:?}"
    );

    let object =
        |tree: Value| Object { revision: 1, key: "default/o".into(), bytes: tree.to_string().into() };
    let pods = world.quotas.mapper(&Gvr::new("", "v1", "pods"));
    let cases = [
        (json!({ "metadata": { "generation": 1 }, "status": { "phase": "Running" } }), false),
        (json!({ "metadata": { "generation": 1 }, "status": { "phase": "Failed" } }), true),
        (json!({ "metadata": { "generation": 2 }, "status": { "phase": "Running" } }), true),
    ];
    for (pod, counts) in cases {
        assert_eq!(!keys(&pods, Event::Modified(object(pod.clone()))).is_empty(), counts, "{pod}");
        assert!(keys(&pods, Event::Added(object(pod))).is_empty());
    }
    let secrets = world.quotas.mapper(&Gvr::new("", "v1", "secrets"));
    assert!(keys(&secrets, Event::Deleted(object(json!({})))).is_empty(), "no quota counts secrets");
    let maps = world.quotas.mapper(&config_maps());
    assert_eq!(keys(&maps, Event::Deleted(object(json!({})))), ["default/q"]);
    let elsewhere = Object { revision: 1, key: "other/o".into(), bytes: "{}".into() };
    assert!(keys(&maps, Event::Deleted(elsewhere)).is_empty());
}

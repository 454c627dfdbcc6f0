//! kube-rs's informer sees every change once, over kill -9 and a restart in the middle of its watch.

use super::harness::{Api, Server};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event};
use kube::{Client, Config};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PER_PHASE: usize = 100;

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a config");
    Client::try_from(config).expect("a client")
}

/// What an informer tells: `+` an object at a version, `-` an object that is gone, `*` all is listed anew.
#[derive(Debug, PartialEq)]
enum Seen {
    Applied(String, String),
    Gone(String),
    Listed,
}

fn names(object: ConfigMap) -> (String, String) {
    (object.metadata.name.unwrap_or_default(), object.metadata.resource_version.unwrap_or_default())
}

/// Runs an informer until the receiver is gone.
fn inform(kubeconfig: &Path, how: watcher::Config) -> mpsc::Receiver<Seen> {
    let (sender, receiver) = mpsc::channel();
    let kubeconfig = kubeconfig.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let maps: kube::Api<ConfigMap> = kube::Api::namespaced(client(&kubeconfig).await, "default");
            let mut events = std::pin::pin!(watcher::watcher(maps, how));
            while let Some(event) = events.next().await {
                let seen = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        let (name, version) = names(object);
                        Seen::Applied(name, version)
                    }
                    Ok(Event::Delete(object)) => Seen::Gone(names(object).0),
                    Ok(Event::InitDone) => Seen::Listed,
                    Ok(Event::Init) => continue,
                    // The server is away: the informer tries again by itself, at its own pace.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                };
                if sender.send(seen).is_err() {
                    return;
                }
            }
        });
    });
    receiver
}

/// Creates objects, changes every second one and deletes every fifth; what an informer must see of it, in order.
fn changes(api: &Api, phase: &str) -> Vec<Seen> {
    let version = |object: serde_json::Value| {
        object["metadata"]["resourceVersion"].as_str().expect("a version").to_owned()
    };
    let mut expected = Vec::new();
    for at in 0..PER_PHASE {
        let name = format!("{phase}-{at}");
        let created = api.post(CONFIG_MAPS, &json!({"metadata": {"name": name}})).expect(201);
        expected.push(Seen::Applied(name.clone(), version(created)));
        let path = format!("{CONFIG_MAPS}/{name}");
        if at % 2 == 0 {
            let changed = api.patch("merge", &path, &json!({"data": {"changed": "yes"}})).expect(200);
            expected.push(Seen::Applied(name.clone(), version(changed)));
        }
        if at % 5 == 0 {
            api.delete(&path).expect(200);
            expected.push(Seen::Gone(name));
        }
    }
    expected
}

fn sees_every_change_once(how: watcher::Config) {
    let mut server = Server::serve(&[]);
    let api = server.api();
    api.post(CONFIG_MAPS, &json!({"metadata": {"name": "first"}})).expect(201);
    let informer = inform(&server.kubeconfig("admin"), how);
    let next = || informer.recv_timeout(super::harness::wait::DEADLINE).expect("the informer goes on");
    let mut listed = BTreeMap::new();
    loop {
        match next() {
            Seen::Applied(name, version) => assert_eq!(listed.insert(name, version), None, "listed once"),
            Seen::Listed => break,
            Seen::Gone(name) => panic!("{name} was never there"),
        }
    }
    assert!(listed.contains_key("first"));
    for (phase, kill) in [("calm", false), ("killed", true), ("again", true)] {
        let api = server.api();
        let expected = changes(&api, phase);
        if kill {
            // The informer may have read any part of it by now; the rest it must get from the restarted server.
            server.kill();
            server.start_again();
        }
        for (at, expected) in expected.iter().enumerate() {
            assert_eq!(next(), *expected, "{phase}, change {at}");
        }
    }
    let late = server.api().post(CONFIG_MAPS, &json!({"metadata": {"name": "late"}})).expect(201);
    let version = late["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    assert_eq!(next(), Seen::Applied("late".into(), version), "nothing came twice");
}

#[test]
fn listing_first() {
    sees_every_change_once(watcher::Config::default());
}

#[test]
fn streaming_lists() {
    sees_every_change_once(watcher::Config::default().streaming_lists());
}

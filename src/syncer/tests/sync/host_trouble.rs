//! A host that is away, that forgot its history, or that asks for patience.

use crate::support::host::creates;
use crate::support::tenant::{config_map, pod, pod_with, secret, service};
use crate::support::{Host, Side, gvr, phase, server_uid};
use alcove_object::Status;
use alcove_syncer::State;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn a_host_that_is_away_is_caught_up_with() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", service("before")).await;
    side.create("pods", pod("web")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    host.until("services", "before-x-default-x-demo", |_| true).await;
    host.proxy.shut();
    side.create("services", service("meanwhile")).await;
    side.delete("services", "before", None).await;
    host.run("web-x-default-x-demo", "node-1").await;
    host.proxy.open();
    host.until("services", "meanwhile-x-default-x-demo", |_| true).await;
    host.until_gone("services", "before-x-default-x-demo").await;
    side.until("pods", "web", |p| phase(p) == "Running").await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_host_that_forgot_its_history_is_listed_again_and_nothing_is_deleted() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    for name in ["a", "b", "c"] {
        side.create("services", service(name)).await;
        side.create("pods", pod(name)).await;
        let on_host = side.host_name("default", name);
        host.until("pods", &on_host, |_| true).await;
        host.until("services", &on_host, |_| true).await;
        host.run(&on_host, "node-1").await;
        side.until("pods", name, |p| phase(p) == "Running").await;
    }
    let uid = |name: &str| server_uid(&host.get("services", &side.host_name("default", name)).unwrap());
    let (a, b) = (uid("a"), uid("b"));
    host.proxy.shut();
    host.delete("services", "c-x-default-x-demo", None).await;
    host.delete("pods", "c-x-default-x-demo", Some(0)).await;
    host.server.store.compact(host.server.store.revision()).await.unwrap();
    host.proxy.open();
    side.until("pods", "c", |p| phase(p) == "Failed").await;
    host.until("services", "c-x-default-x-demo", |_| true).await;
    side.settled(&host).await;
    assert_eq!((uid("a"), uid("b")), (a, b));
    assert!(["a", "b"].iter().all(|name| phase(&side.get("pods", name).unwrap()) == "Running"));
}

/// It says for how long, or does not.
#[tokio::test]
async fn a_host_that_asks_for_patience_gets_it() {
    for seconds in [Some(1), None] {
        let host = Host::start().await;
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        host.admit(move |write| {
            if !creates(write, "services") || count.fetch_add(1, Ordering::SeqCst) >= 2 {
                return Ok(());
            }
            let mut busy = Status::too_many_requests("not now", 1);
            busy.details.iter_mut().for_each(|details| details.retry_after_seconds = seconds.unwrap_or(0));
            Err(busy)
        });
        let side = Side::start(&host, "demo", 2).await;
        side.create("services", service("web")).await;
        host.until("services", "web-x-default-x-demo", |_| true).await;
        assert_eq!(
            refused.load(Ordering::SeqCst),
            3,
            "once for each time it was asked to wait, then once more"
        );
        side.settled(&host).await;
    }
}

#[tokio::test]
async fn what_a_slow_host_answers_late_is_not_asked_twice() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("pods", pod("before")).await;
    host.until("pods", "before-x-default-x-demo", |_| true).await;
    host.proxy.hold();
    side.create("services", service("web")).await;
    side.create("pods", pod("web")).await;
    host.run("before-x-default-x-demo", "node-1").await;
    side.delete("pods", "web", Some(0)).await;
    side.create("pods", pod("later")).await;
    host.proxy.let_pass();
    side.until("pods", "before", |p| phase(p) == "Running").await;
    host.until("pods", "later-x-default-x-demo", |_| true).await;
    host.until("services", "web-x-default-x-demo", |_| true).await;
    side.settled(&host).await;
    assert_eq!(host.writes("Create services"), 1);
    assert!(host.writes("Create pods") <= 3, "each at most once: {}", host.writes("Create pods"));
}

#[tokio::test]
async fn a_host_that_takes_requests_and_never_answers_holds_nobody_up_for_ever() {
    let host = Host::start_with_addresses().await;
    let side = Side::start_with_addresses(&host, "demo", 2).await;
    side.create("services", service("before")).await;
    side.settled(&host).await;
    host.proxy.hold();
    let refused = side.client.create(&gvr("services"), "default", service("web")).await.unwrap_err();
    assert_eq!(refused.code, 503, "{refused}");
    assert!(refused.message.contains("the host cluster cannot be asked"), "{refused}");
    // What needs nothing of the host goes on.
    side.create("configmaps", config_map("app", "v1")).await;
    side.create("pods", pod("web")).await;
    // Its connections end as such connections do, and new ones lead to a host that answers.
    host.proxy.open();
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    side.create("services", service("web")).await;
    side.settled(&host).await;
}

/// It may not write one kind any more, while it may look at it: nothing is off, and who writes is told whom to ask.
#[tokio::test]
async fn a_write_that_the_host_forbids_is_told_with_whom_to_ask() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    host.deny_writes(Some("services"));
    side.create("services", service("web")).await;
    let event = side.until_event("web", "HostRefused").await;
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("ask the platform team for this right"), "{message}");
    assert!(message.contains("services \"web\" is forbidden"), "{message}");
    side.create("pods", pod("web")).await;
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    assert_eq!(side.features.state("services"), State::On);
    host.deny_writes(None);
    host.until("services", "web-x-default-x-demo", |_| true).await;
    side.settled(&host).await;
}

#[tokio::test]
async fn a_kind_that_the_host_refuses_is_off_and_the_others_go_on() {
    let host = Host::start().await;
    host.deny(Some("secrets"));
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    side.create("configmaps", config_map("app", "v1")).await;
    side.create("secrets", secret("app")).await;
    side.create("pods", pod("plain")).await;
    host.until("services", "web-x-default-x-demo", |_| true).await;
    host.until("pods", "plain-x-default-x-demo", |_| true).await;
    side.create("pods", pod_with("web", "app")).await;
    let event = side.until_event("web", "SyncRefused").await;
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("list and watch secrets") && message.contains("platform team"), "{message}");
    assert!(matches!(side.features.state("secrets"), State::Off(_)));
    assert_eq!(side.features.state("pods"), State::On);
    // As soon as the right is there, it goes on.
    host.deny(None);
    host.until("pods", "web-x-default-x-demo", |_| true).await;
    assert_eq!(side.features.state("secrets"), State::On);
    side.settled(&host).await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_deletes_nothing() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    side.create("services", service("web")).await;
    let before = server_uid(&host.until("services", "web-x-default-x-demo", |_| true).await);
    host.deny(Some("services"));
    host.proxy.shut();
    host.proxy.open();
    let mut states = side.features.follow();
    states.wait_for(|states| matches!(states["services"], State::Off(_))).await.unwrap();
    side.create("services", service("later")).await;
    side.until_event("later", "SyncUnavailable").await;
    host.deny(None);
    host.until("services", "later-x-default-x-demo", |_| true).await;
    assert_eq!(server_uid(&host.get("services", "web-x-default-x-demo").unwrap()), before);
    side.settled(&host).await;
}

//! Several tenants in one host namespace, and names that are hard to tell apart.

use crate::support::host::running;
use crate::support::tenant::{config_map, pod, pod_with, service};
use crate::support::{Host, Side, phase};
use serde_json::json;

#[tokio::test]
async fn two_tenants_with_the_same_names_do_not_meet() {
    let host = Host::start().await;
    let (blue, green) = (Side::start(&host, "blue", 2).await, Side::start(&host, "green", 3).await);
    for (side, value) in [(&blue, "b"), (&green, "g")] {
        side.create("configmaps", config_map("app", value)).await;
        side.create("services", service("web")).await;
        side.create("pods", pod_with("web", "app")).await;
        let name = side.host_name("default", "web");
        host.until("pods", &name, |_| true).await;
        host.run(&name, "node-1").await;
        side.until("pods", "web", |p| phase(p) == "Running").await;
        side.settled(&host).await;
    }
    assert_eq!(host.get("configmaps", "app-x-default-x-blue").unwrap()["data"]["key"], "b");
    blue.delete("services", "web", None).await;
    blue.delete("pods", "web", Some(0)).await;
    host.until_gone("configmaps", "app-x-default-x-blue").await;
    host.delete("pods", "web-x-default-x-blue", Some(0)).await;
    blue.settled(&host).await;
    green.settled(&host).await;
    assert_eq!(host.objects_of("green").len(), 4);
    assert_eq!(phase(&green.get("pods", "web").unwrap()), "Running");
}

#[tokio::test]
async fn names_that_are_equal_when_cut_stay_apart() {
    let host = Host::start().await;
    let side = Side::start(&host, "demo", 2).await;
    let names = [format!("{}1", "a".repeat(60)), format!("{}2", "a".repeat(60))];
    for (at, name) in names.iter().enumerate() {
        side.create("pods", pod(name)).await;
        let on_host = side.host_name("default", name);
        assert_eq!(on_host.len(), 63);
        host.until("pods", &on_host, |_| true).await;
        let mut status = running();
        status["podIP"] = format!("10.0.0.{at}").into();
        status["podIPs"] = json!([{ "ip": format!("10.0.0.{at}") }]);
        host.bind(&on_host, "node-1").await;
        host.report(&on_host, status).await;
        side.until("pods", name, |p| p["status"]["podIP"] == format!("10.0.0.{at}")).await;
    }
    side.delete("pods", &names[0], Some(0)).await;
    host.end(&side.host_name("default", &names[0])).await;
    side.settled(&host).await;
    assert_eq!(host.objects_of("demo").len(), 2);
}

//! A tenant behind HTTPS whose pod `web` runs on a host, and a client that can become something else than HTTP.

use super::kubelet::Kubelet;
use crate::support::tenant::pod;
use crate::support::{Host, Side, phase};
use alcove_apiserver::testing::front::Https;
use alcove_object::Value;
use alcove_syncer::HostStreams;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use std::sync::Arc;

pub struct World {
    pub kubelet: Kubelet,
    pub host: Host,
    pub side: Side,
    pub streams: HostStreams,
    pub client: kube::Client,
    _front: Https,
}

pub const POD: &str = "/api/v1/namespaces/default/pods/web";

impl World {
    pub async fn new() -> World {
        let kubelet = Kubelet::default();
        let host = Host::start_with_connector(Arc::new(kubelet.clone())).await;
        let (side, streams) = Side::start_with_streams(&host, "demo", 2).await;
        let front = Https::start(side.server.clone()).await;
        let config = alcove_syncer::host_config(Some(&front.admin_kubeconfig())).await.unwrap();
        let client = alcove_syncer::host_client(config).unwrap();
        side.create("pods", pod("web")).await;
        let on_host = side.host_name("default", "web");
        host.until("pods", &on_host, |_| true).await;
        host.run(&on_host, "node-1").await;
        side.until("pods", "web", |pod| phase(pod) == "Running").await;
        World { kubelet, host, side, streams, client, _front: front }
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.client.send(request).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response<Body> {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Asks for an upgrade, with all that a client may send along.
    pub async fn ask(&self, path: &str, protocol: &str) -> Response<Body> {
        let request = Request::get(path)
            .header("connection", "Upgrade, X-Hop")
            .header("upgrade", protocol)
            .header("x-hop", "this hop")
            .header("cookie", "session=tenant")
            .header("x-forwarded-for", "10.0.0.1")
            .header("sec-websocket-key", "a2V5")
            .header(
                "sec-websocket-protocol",
                "base64url.bearer.authorization.k8s.io.dGVuYW50, v5.channel.k8s.io",
            )
            .header("x-stream-protocol-version", "v5.channel.k8s.io");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Runs a command in the pod.
    pub async fn exec(&self, command: &str) -> TokioIo<Upgraded> {
        let answer = self.ask(&format!("{POD}/exec?stdin=true&command={command}"), "SPDY/3.1").await;
        assert_eq!(answer.status(), 101);
        TokioIo::new(hyper::upgrade::on(answer).await.unwrap())
    }
}

pub async fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Code and message of a refusal.
pub async fn refusal(answer: Response<Body>) -> (u16, String) {
    let code = answer.status().as_u16();
    let status: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(status["kind"], "Status");
    (code, status["message"].as_str().unwrap_or_default().to_owned())
}

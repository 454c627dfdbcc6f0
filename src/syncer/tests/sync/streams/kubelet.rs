//! What answers for a host's pods in these tests: it does what the command says, and remembers who asked for what.

use alcove_apiserver::rest::{Connection, Connector, HttpBody, no_body};
use alcove_object::Status;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

/// One request as it came to the host.
#[derive(Clone, Debug)]
pub struct Seen {
    pub user: String,
    pub url: String,
    pub headers: HeaderMap,
}

#[derive(Default)]
pub struct State {
    pub seen: Mutex<Vec<Seen>>,
    /// Bytes that a flood could write.
    pub flooded: AtomicUsize,
    /// Told when a stream or a request has ended for the host.
    pub gone: Notify,
    /// Told when a request waits that is never answered.
    pub waits: Notify,
    /// Writes into logs that are followed.
    pub logs: Mutex<Vec<mpsc::Sender<&'static str>>>,
}

#[derive(Clone, Default)]
pub struct Kubelet(pub Arc<State>);

impl Kubelet {
    /// What came, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().clone()
    }

    async fn answer(self, connection: Connection) -> Result<Response<HttpBody>, Status> {
        let Connection { caller, target, tail, request, .. } = connection;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (user, url) = (caller.user.name, request.uri().to_string());
        self.0.seen.lock().push(Seen { user, url, headers: request.headers().clone() });
        match target.subresource_name() {
            "log" => Ok(self.log(&query)),
            "proxy" if request.headers().get("upgrade").is_none() => {
                proxied(&target.name, &tail, request).await
            }
            _ => self.stream(&query, request).await,
        }
    }

    async fn stream(self, query: &str, request: Request<HttpBody>) -> Result<Response<HttpBody>, Status> {
        let command =
            query.split('&').find_map(|pair| pair.strip_prefix("command=")).unwrap_or("echo").to_owned();
        match &*command {
            "refuse" => {
                let why = r#"container "main" in pod "web-x-default-x-demo" is not running"#;
                return Err(Status::bad_request(why));
            }
            "redirect" => {
                let mut answer = nothing(StatusCode::FOUND);
                answer.headers_mut().insert("location", "https://169.254.169.254/secret".parse().unwrap());
                return Ok(answer);
            }
            "never" => {
                let _gone = Gone(self.0.clone());
                self.0.waits.notify_one();
                return std::future::pending().await;
            }
            _ => {}
        }
        let mut answer = nothing(StatusCode::SWITCHING_PROTOCOLS);
        let headers = answer.headers_mut();
        headers.insert("connection", "Upgrade".parse().unwrap());
        headers.insert("upgrade", request.headers()["upgrade"].clone());
        headers.insert("x-stream-protocol-version", "v5.channel.k8s.io".parse().unwrap());
        headers.insert("x-of-the-host", "secret".parse().unwrap());
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(request).await.unwrap();
            let _gone = Gone(self.0.clone());
            self.run(&command, TokioIo::new(upgraded)).await;
        });
        Ok(answer)
    }

    async fn run(&self, command: &str, mut stream: TokioIo<Upgraded>) {
        let mut buffer = vec![0; 1024];
        let mut read = 0;
        match command {
            "count" => {
                while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                    read += bytes;
                }
                stream.write_all(format!("read {read}").as_bytes()).await.unwrap();
            }
            "flood" => {
                while let Ok(bytes) = stream.write(&[7; 4096]).await {
                    self.0.flooded.fetch_add(bytes, Ordering::SeqCst);
                }
                return;
            }
            _ => {
                while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..bytes]).await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
        }
        let _ = stream.shutdown().await;
    }

    fn log(&self, query: &str) -> Response<HttpBody> {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send("first line\n").unwrap();
        if query.contains("follow=true") {
            self.0.logs.lock().push(sender);
        } else {
            drop(sender);
        }
        let gone = Gone(self.0.clone());
        let lines = futures_util::stream::poll_fn(move |cx| {
            let _ = &gone;
            receiver.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(Bytes::from(line)))))
        });
        let mut answer = Response::new(HttpBody::new(StreamBody::new(lines)));
        answer.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        answer
    }
}

impl Connector for Kubelet {
    fn connect(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = Result<Response<HttpBody>, Status>> + Send + '_>> {
        Box::pin(self.clone().answer(connection))
    }
}

/// Tells when it is dropped.
struct Gone(Arc<State>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

fn nothing(code: StatusCode) -> Response<HttpBody> {
    let mut answer = Response::new(no_body());
    *answer.status_mut() = code;
    answer
}

/// What an application behind the host's proxy says, as the host hands it on: with links below the host's own path.
async fn proxied(name: &str, tail: &str, request: Request<HttpBody>) -> Result<Response<HttpBody>, Status> {
    let base = format!("/api/v1/namespaces/{}/pods/{name}/proxy", crate::support::host::NAMESPACE);
    let (code, kind, body, location) = match tail {
        "" => (301, "text/plain", String::new(), Some(format!("{base}/"))),
        "page" => (200, "text/html; charset=utf-8", format!(r#"<a href="{base}/next">"#), None),
        "away" => (302, "text/plain", String::new(), Some("https://elsewhere.example/".to_owned())),
        "broken" => {
            return Err(Status::unavailable(format!(
                "error trying to reach service {name}: connection refused"
            )));
        }
        _ => {
            let method = request.method().to_string();
            let url = request.uri().to_string();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let said = json!({ "method": method, "url": url, "body": String::from_utf8_lossy(&body) });
            (418, "application/json", said.to_string(), None)
        }
    };
    let mut answer = Response::new(HttpBody::new(Full::new(body.into()).map_err(|never| match never {})));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer.headers_mut().insert("content-type", kind.parse().unwrap());
    answer.headers_mut().insert("set-cookie", "host=secret".parse().unwrap());
    answer.headers_mut().insert("x-app", "yes".parse().unwrap());
    if let Some(location) = location {
        answer.headers_mut().insert("location", location.parse().unwrap());
    }
    Ok(answer)
}

//! One call: one POST, one answer. Errors read as Go's client writes them, since people see them in the answers to
//! their requests.

use super::{ANSWER_BYTES_MAX, Webhook};
use crate::outbound;
use crate::rest::HttpBody;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use std::time::Duration;

impl Webhook {
    /// Posts JSON and gives the answer's body. Fails with a sentence after `timeout` at the latest.
    ///
    /// In a box: every write could come here, and hardly any does.
    pub fn post(&self, timeout: Duration, body: Vec<u8>) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move {
            let url = Webhook::with_timeout(&self.url, timeout.as_secs().max(1));
            match tokio::time::timeout(timeout, self.exchange(&url, body)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(Failed::Transport(why))) => Err(format!("Post {url:?}: {why}")),
                Ok(Err(Failed::Answer(why))) => Err(why),
                Err(_) => Err(format!("Post {url:?}: context deadline exceeded")),
            }
        })
    }

    async fn exchange(&self, url: &str, body: Vec<u8>) -> Result<Bytes, Failed> {
        let request = Request::post(url)
            .header(header::HOST, &self.server_name)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .body(HttpBody::new(Full::new(Bytes::from(body)).map_err(|never| match never {})))
            .map_err(|error| Failed::Transport(error.to_string()))?;
        let answer = self.peer.send(request).await.map_err(Failed::Transport)?;
        let (status, answer) =
            outbound::collect(answer, ANSWER_BYTES_MAX).await.map_err(Failed::Transport)?;
        match status.as_u16() {
            200..=299 => Ok(answer),
            404 => Err(Failed::Answer("the server could not find the requested resource".to_owned())),
            500..=599 => {
                let text = String::from_utf8_lossy(&answer[..answer.len().min(2048)]).trim().to_owned();
                Err(Failed::Answer(format!(
                    "an error on the server ({text:?}) has prevented the request from succeeding"
                )))
            }
            code => Err(Failed::Answer(format!(
                "the server responded with the status code {code} but did not return more information"
            ))),
        }
    }
}

/// Why there is no answer, or none that can be used.
enum Failed {
    Transport(String),
    Answer(String),
}

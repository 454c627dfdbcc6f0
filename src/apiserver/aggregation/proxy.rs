//! Passing requests on to the server that serves their group (k8s.io/kube-aggregator/pkg/apiserver/handler_proxy.go).
//!
//! Bodies go through as they come, and an upgrade (WebSocket, SPDY) becomes bytes both ways. Nothing of a client's
//! credentials goes along.

use super::remote::Remote;
use crate::http::body::Body;
use crate::http::handle::Call;
use crate::http::respond::{self, Answer};
use crate::rest::{HttpBody, no_body};
use alcove_object::Status;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::sync::watch;

/// What concerns one connection alone, and what is the client's secret.
const NOT_PASSED: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    header::AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Answers a request by what the other server answers.
pub async fn forward(mut call: Call, remote: &Arc<Remote>) -> Result<Answer, Status> {
    if !remote.known.is_available {
        return Ok(unavailable("service unavailable"));
    }
    let protocol = upgrade(&call.head);
    let request = request(&mut call, protocol.as_ref());
    let path = call.head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let answer = match remote.send(&call.user, path, request).await {
        Ok(answer) => answer,
        Err(why) => {
            tracing::info!(group = remote.group, %why, "an aggregated API server did not answer");
            return Ok(unavailable(&format!("error trying to reach service: {why}")));
        }
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS && protocol.is_some() {
        return Ok(upgraded(call.head, answer, call.front.closing.subscribe()));
    }
    let is_redirect = answer.status().is_redirection() && answer.headers().contains_key(header::LOCATION);
    if is_redirect || answer.status().is_informational() {
        let why = "the backend attempted to redirect this request, which is not permitted";
        return Ok(respond::text(502, format!("{why}\n")));
    }
    Ok(passed_back(answer))
}

fn unavailable(why: &str) -> Answer {
    respond::text(503, format!("{why}\n"))
}

/// What a request wants to become.
fn upgrade(head: &Parts) -> Option<http::HeaderValue> {
    let connection = head.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asks = connection
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    head.headers.get(header::UPGRADE).filter(|_| asks && head.version == Version::HTTP_11).cloned()
}

/// Headers but those that are not passed, and but those that `Connection` names.
fn passed(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|token| token.trim().to_ascii_lowercase()))
        .collect();
    let goes = |name: &HeaderName| {
        !NOT_PASSED.contains(name)
            && !matches!(name.as_str(), "keep-alive" | "proxy-connection")
            && !name.as_str().starts_with("impersonate-")
            && !named.iter().any(|other| other == name.as_str())
    };
    headers.iter().filter(|(name, _)| goes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn request(call: &mut Call, protocol: Option<&http::HeaderValue>) -> Request<HttpBody> {
    let body = match call.body.take().filter(|_| protocol.is_none()) {
        Some(body) => HttpBody::new(body.map_err(Into::into)),
        None => no_body(),
    };
    let mut request = Request::new(body);
    *request.method_mut() = call.head.method.clone();
    let mut headers = passed(&call.head.headers);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, http::HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
    *request.headers_mut() = headers;
    request
}

fn passed_back(answer: Response<Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    let mut out = Response::new(Body::foreign(HttpBody::new(body.map_err(Into::into))));
    *out.status_mut() = head.status;
    *out.headers_mut() = passed(&head.headers);
    out
}

/// The answer to a client whose request becomes something else, until one side or the server ends.
fn upgraded(client: Parts, answer: Response<Incoming>, mut closing: watch::Receiver<bool>) -> Answer {
    let mut out = Response::new(Body::empty());
    *out.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *out.headers_mut() = passed(answer.headers());
    for name in [header::CONNECTION, header::UPGRADE] {
        if let Some(value) = answer.headers().get(&name) {
            out.headers_mut().insert(name, value.clone());
        }
    }
    tokio::spawn(async move {
        let mut client = Request::from_parts(client, ());
        let both =
            futures_util::future::try_join(hyper::upgrade::on(&mut client), hyper::upgrade::on(answer));
        if let Ok((near, far)) = both.await {
            let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
        // Its places end here: they are kept in the request.
        drop(client);
    });
    out
}

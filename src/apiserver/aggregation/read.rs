//! Reading from another server: one GET, in somebody's name, with an answer that fits in memory.

use super::remote::Remote;
use crate::outbound;
use crate::rest::no_body;
use crate::user::User;
use alcove_object::{Reason, Status, Value};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use std::fmt::Write;
use std::time::Duration;

/// Time for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of one answer; past it, there is none.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Asks for a path, as this user. Gives the code and body of the answer; fails with a sentence.
pub(super) async fn get(remote: &Remote, path: &str, user: &User) -> Result<(u16, Bytes), String> {
    send(remote, Method::GET, path, user).await
}

async fn send(remote: &Remote, method: Method, path: &str, user: &User) -> Result<(u16, Bytes), String> {
    let asked = async {
        let mut request = Request::new(no_body());
        *request.method_mut() = method;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = remote.send(user, path, request).await?;
        outbound::collect(answer, DOCUMENT_BYTES_MAX).await
    };
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(answered) => answered.map(|(code, body)| (code.as_u16(), body)),
        Err(_) => {
            Err("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned())
        }
    }
}

/// What is read from another server, in the words of its path; what is empty is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Namespace, empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Name, empty for a collection.
    pub name: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Parameters, those without a value left out.
    pub query: &'a [(&'a str, String)],
}

impl Place<'_> {
    fn path(&self) -> String {
        let mut path = format!("/apis/{}/{}", self.group, self.version);
        let namespaces = if self.namespace.is_empty() { "" } else { "namespaces" };
        for part in [namespaces, self.namespace, self.resource, self.name, self.subresource] {
            if !part.is_empty() {
                path.push('/');
                encode(part, &mut path);
            }
        }
        let given = self.query.iter().filter(|(_, value)| !value.is_empty());
        for (at, (key, value)) in given.enumerate() {
            path += if at == 0 { "?" } else { "&" };
            path += key;
            path.push('=');
            encode(value, &mut path);
        }
        path
    }

    /// What a client says when a server's answer says nothing itself (apimachinery's NewGenericServerResponse).
    pub(crate) fn unexplained(&self, verb: &str, code: u16, body: &[u8]) -> Status {
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", self.name) };
        let what = format!("({verb} {}.{}{name})", self.resource, self.group);
        let (reason, text) = match code {
            401 => (Reason::UNAUTHORIZED, "the server has asked for the client to provide credentials"),
            403 => (Reason::FORBIDDEN, "the server does not allow access to the requested resource"),
            404 => (Reason::NOT_FOUND, "the server could not find the requested resource"),
            405 => (
                Reason::METHOD_NOT_ALLOWED,
                "the server does not allow this method on the requested resource",
            ),
            503 => (Reason::SERVICE_UNAVAILABLE, "the server is currently unable to handle the request"),
            _ => {
                let body = String::from_utf8_lossy(body);
                let text =
                    format!("an error on the server ({body:?}) has prevented the request from succeeding");
                return Status::new(code, Reason::INTERNAL_ERROR, format!("{text} {what}"));
            }
        };
        Status::new(code, reason, format!("{text} {what}"))
    }
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'*' => {
                out.push(byte.into())
            }
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

/// What a server has in a place, as it tells this user. Errors are the server's, or a client's.
pub(crate) async fn read(remote: &Remote, place: &Place<'_>, user: &User) -> Result<Value, Status> {
    ask(remote, place, Method::GET, user).await
}

/// Deletes what a server has in a place, in this user's name; what it owns goes after it.
pub(crate) async fn delete(remote: &Remote, place: &Place<'_>, user: &User) -> Result<(), Status> {
    let query = [("propagationPolicy", "Background".to_owned())];
    ask(remote, &Place { query: &query, ..*place }, Method::DELETE, user).await.map(drop)
}

async fn ask(remote: &Remote, place: &Place<'_>, method: Method, user: &User) -> Result<Value, Status> {
    let verb = if method == Method::DELETE { "delete" } else { "get" };
    if !remote.known.is_available {
        return Err(place.unexplained(verb, 503, b""));
    }
    let (code, body) = send(remote, method, &place.path(), user).await.map_err(|why| {
        tracing::info!(group = remote.group, %why, "an aggregated API server did not answer");
        place.unexplained(verb, 503, b"")
    })?;
    let tree: Option<Value> = serde_json::from_slice(&body).ok();
    match (code, tree) {
        (200..300, Some(tree)) => Ok(tree),
        (code, tree) => {
            let told = tree.as_ref().and_then(Status::from_value);
            Err(told.unwrap_or_else(|| place.unexplained(verb, code, &body)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path() {
        let place = Place { group: "g.io", version: "v1", resource: "pods", ..Place::default() };
        let query = [("labelSelector", "a=b,c in (d)".to_owned()), ("metricLabelSelector", String::new())];
        for (place, expected) in [
            (place, "/apis/g.io/v1/pods"),
            (
                Place { namespace: "n", name: "*", subresource: "q/s", ..place },
                "/apis/g.io/v1/namespaces/n/pods/*/q%2Fs",
            ),
            (Place { query: &query, ..place }, "/apis/g.io/v1/pods?labelSelector=a%3Db%2Cc%20in%20%28d%29"),
        ] {
            assert_eq!(place.path(), expected);
        }
    }

    #[test]
    fn an_answer_without_words_is_told_in_a_clients() {
        let place = Place { group: "metrics.k8s.io", resource: "pods", ..Place::default() };
        for (code, expected) in [
            (404, "the server could not find the requested resource (get pods.metrics.k8s.io)"),
            (503, "the server is currently unable to handle the request (get pods.metrics.k8s.io)"),
            (
                500,
                "an error on the server (\"oh\") has prevented the request from succeeding (get pods.metrics.k8s.io)",
            ),
        ] {
            assert_eq!(place.unexplained("get", code, b"oh").message, expected);
        }
    }
}

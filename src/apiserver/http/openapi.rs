//! `/openapi/v2` and `/openapi/v3`: which form a client takes, whether its copy is still good, and the bytes, which are
//! kept compressed (k8s.io/kube-openapi/pkg/handler and handler3).

use super::body::Body;
use super::handle::Call;
use super::negotiate;
use super::plain::is_known;
use super::respond::{self, Answer};
use crate::openapi::Documents;
use alcove_object::Status;
use alcove_schema::openapi::{V2_PROTOBUF, V2_PROTOBUF_OLD};
use bytes::Bytes;
use http::{HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use std::io::Read;
use std::sync::Arc;

const JSON: &str = "application/json";

/// Forms of the version 2 document: what a client accepts, and the type it gets.
const V2_FORMS: [(&str, &str); 3] =
    [(JSON, JSON), (V2_PROTOBUF, V2_PROTOBUF_OLD), (V2_PROTOBUF_OLD, V2_PROTOBUF_OLD)];

/// Answers a path below `/openapi`; `None` if there is nothing.
pub async fn answer(call: &Call, path: &str) -> Result<Option<Answer>, Status> {
    let server = &call.front.server;
    let documents = call.front.openapi.documents(server.registry(), server.minor);
    match path.strip_prefix("/openapi/") {
        Some("v2") => v2(call, documents).await.map(Some),
        Some("v3") => Ok(Some(index(call, &documents))),
        Some(path) => match path.strip_prefix("v3/") {
            Some(group) => v3(call, documents, group.to_owned()).await,
            None => Ok(None),
        },
        None => Ok(None),
    }
}

fn index(call: &Call, documents: &Documents) -> Answer {
    let etag = format!("\"{}\"", documents.hash);
    let mut answer = match is_known(call.headers(), &etag) {
        true => respond::not_modified(),
        false => respond::answer(200, JSON, Body::full(documents.index.clone())),
    };
    tag(&mut answer, &etag);
    answer
}

/// The first of the forms that the client takes, most wanted first.
fn accepted(call: &Call, forms: &[(&str, &'static str)]) -> Option<&'static str> {
    let accept = match negotiate::accept(call.headers()) {
        "" => "*/*",
        accept => accept,
    };
    let clauses = negotiate::clauses(accept);
    clauses
        .iter()
        .find_map(|clause| forms.iter().find(|(form, _)| clause.takes(form)).map(|(_, answer)| *answer))
}

async fn v2(call: &Call, documents: Arc<Documents>) -> Result<Answer, Status> {
    let Some(media_type) = accepted(call, &V2_FORMS) else { return Err(negotiate::not_acceptable(false)) };
    let etag = format!("\"{}\"", documents.hash);
    if is_known(call.headers(), &etag) {
        let mut answer = respond::not_modified();
        tag(&mut answer, &etag);
        return Ok(answer);
    }
    let is_json = media_type == JSON;
    let build = move || if is_json { documents.v2_json() } else { documents.v2_protobuf() };
    let mut answer = stored(call, media_type, blocking(build).await?);
    tag(&mut answer, &etag);
    Ok(answer)
}

async fn v3(call: &Call, documents: Arc<Documents>, group: String) -> Result<Option<Answer>, Status> {
    let Some(hash) = documents.v3_hash(&group).map(str::to_owned) else { return Ok(None) };
    let Some(media_type) = accepted(call, &[(JSON, JSON)]) else {
        return Err(negotiate::not_acceptable(false));
    };
    let asked = call.query.get("hash").filter(|asked| !asked.is_empty());
    if asked.is_some_and(|asked| asked != hash) {
        return Ok(Some(moved(&format!("/openapi/v3/{group}?hash={hash}"))));
    }
    let etag = format!("\"{hash}\"");
    let mut answer = match is_known(call.headers(), &etag) {
        true => respond::not_modified(),
        false => {
            let built = blocking(move || documents.v3(&group)).await?;
            let Some(bytes) = built else { return Ok(None) };
            stored(call, media_type, bytes)
        }
    };
    tag(&mut answer, &etag);
    if asked.is_some() {
        let year = SignedDuration::from_hours(365 * 24);
        let until = Timestamp::now().checked_add(year).unwrap_or(Timestamp::MAX);
        let expires = until.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        if let Ok(expires) = HeaderValue::try_from(expires) {
            headers.insert(header::EXPIRES, expires);
        }
    }
    Ok(Some(answer))
}

/// Building takes long enough to keep other requests waiting: it runs beside them.
async fn blocking<T: Send + 'static>(build: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(build)
        .await
        .map_err(|_| Status::internal("cannot build the OpenAPI document"))
}

/// Compressed bytes as they are, or plain for the rare client that takes no gzip.
fn stored(call: &Call, media_type: &'static str, gzipped: Bytes) -> Answer {
    if negotiate::takes_gzip(call.headers()) {
        let mut answer = respond::answer(200, media_type, Body::full(gzipped));
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return answer;
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&gzipped[..]).read_to_end(&mut plain).expect("we compressed it ourselves");
    respond::answer(200, media_type, Body::full(plain))
}

fn tag(answer: &mut Answer, etag: &str) {
    let headers = answer.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
}

fn moved(to: &str) -> Answer {
    let mut answer = respond::text(301, "");
    if let Ok(location) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

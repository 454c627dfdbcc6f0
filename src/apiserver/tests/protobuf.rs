//! Answers in protobuf, read back by the decoder of requests, which has its own tests against upstream's bytes.

#![allow(clippy::unwrap_used)] // in tests a panic is the failure

mod support;

use alcove_apiserver::testing::front::Https;
use alcove_schema::decode::{Encoding, decode};
use alcove_schema::{Minor, builtin};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use support::{Connection, server};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const METADATA: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

fn read(body: &[u8]) -> Value {
    let types = builtin::types(Minor::DEFAULT);
    decode(body, Encoding::Protobuf, None, |kind| types.kind(kind)).unwrap().value
}

async fn with_maps(names: &[&str]) -> (Https, Connection) {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    for name in names {
        let map = json!({"metadata": {"name": name, "labels": {"a": "b"}}, "data": {"k": name}});
        assert_eq!(client.post(MAPS, &map).await.status, StatusCode::CREATED);
    }
    (https, client)
}

#[tokio::test]
async fn objects_lists_and_failures() {
    let (https, mut client) = with_maps(&["a", "b", "c"]).await;
    let both = "application/vnd.kubernetes.protobuf,application/json";
    for path in [format!("{MAPS}/a"), format!("{MAPS}?labelSelector=a%3Db"), format!("{MAPS}?limit=1")] {
        let answer = client.get(&path, both).await;
        assert_eq!(answer.header("content-type"), PROTOBUF);
        let tree = read(&answer.body);
        let expected = client.get(&path, "application/json").await.json();
        // Items of lists name no kind in JSON either; continue tokens are opaque but equal.
        if let Some(items) = tree.get("items").and_then(Value::as_array) {
            assert!(items.iter().all(|item| item.get("kind").is_none()));
        }
        assert_eq!(tree, expected, "{path}");
    }
    let gone = client.get(&format!("{MAPS}/none"), both).await;
    assert_eq!((gone.status, gone.header("content-type")), (StatusCode::NOT_FOUND, PROTOBUF));
    assert_eq!(read(&gone.body)["message"], "configmaps \"none\" not found");

    let deleted = client.send(Method::DELETE, &format!("{MAPS}/a"), &[("accept", both)], "").await;
    assert_eq!(read(&deleted.body)["status"], "Success");

    let table = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io";
    assert_eq!(client.get(MAPS, table).await.status, StatusCode::NOT_ACCEPTABLE);
    https.shut_down().await;
}

/// The bytes of the fields with this number in a message of length-delimited fields alone.
fn fields(mut message: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        assert_eq!(tag & 7, 2, "length-delimited");
        let length = varint(&mut message) as usize;
        if tag >> 3 == number {
            found.push(&message[..length]);
        }
        message = &message[length..];
    }
    found
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = message[0];
        *message = &message[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Kind and message out of an envelope.
fn opened(body: &[u8]) -> (String, Vec<u8>) {
    let unknown = body.strip_prefix(b"k8s\0").unwrap();
    let kind = fields(fields(unknown, 1)[0], 2)[0];
    (String::from_utf8(kind.to_vec()).unwrap(), fields(unknown, 2)[0].to_vec())
}

/// ObjectMeta's name.
fn name_of_partial(message: &[u8]) -> String {
    String::from_utf8(fields(fields(message, 1)[0], 1)[0].to_vec()).unwrap()
}

#[tokio::test]
async fn metadata_alone() {
    let (https, mut client) = with_maps(&["a", "b"]).await;
    let one = client.get(&format!("{MAPS}/a"), METADATA).await;
    assert_eq!(one.header("content-type"), PROTOBUF);
    let (kind, message) = opened(&one.body);
    assert_eq!((kind.as_str(), name_of_partial(&message).as_str()), ("PartialObjectMetadata", "a"));
    assert_eq!(fields(&message, 2).len(), 0, "no data");

    let list = METADATA.replace("PartialObjectMetadata", "PartialObjectMetadataList");
    let list = client.get(&format!("{MAPS}?labelSelector=a"), &list).await;
    let (kind, message) = opened(&list.body);
    let names: Vec<String> = fields(&message, 2).into_iter().map(name_of_partial).collect();
    assert_eq!((kind.as_str(), names), ("PartialObjectMetadataList", vec!["a".into(), "b".into()]));
    https.shut_down().await;
}

/// Reads frames of four bytes of length and a message.
struct Frames {
    body: Incoming,
    rest: Vec<u8>,
}

impl Frames {
    /// The next event: its type, and the body that it holds.
    async fn next(&mut self) -> (String, Vec<u8>) {
        loop {
            if let Some((length, rest)) = self.rest.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if rest.len() >= length {
                    let event = rest[..length].to_vec();
                    self.rest.drain(..length + 4);
                    let kind = String::from_utf8(fields(&event, 1)[0].to_vec()).unwrap();
                    return (kind, fields(fields(&event, 2)[0], 1)[0].to_vec());
                }
            }
            let frame = self.body.frame().await.unwrap().unwrap();
            self.rest.extend_from_slice(&frame.into_data().unwrap());
        }
    }
}

#[tokio::test]
async fn watches() {
    let (https, mut client) = with_maps(&["a"]).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let path = format!("{MAPS}?{query}&fieldSelector=metadata.name%3Da");
    let started = client.start(Method::GET, &path, &[("accept", PROTOBUF)], "").await;
    assert_eq!(started.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let mut events = Frames { body: started.into_body(), rest: Vec::new() };
    let (kind, object) = events.next().await;
    assert_eq!((kind.as_str(), &read(&object)["data"]), ("ADDED", &json!({"k": "a"})));
    let (kind, object) = events.next().await;
    let bookmark = read(&object);
    assert_eq!((kind.as_str(), &bookmark["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");

    let mut other = Connection::admin(&https).await;
    assert_eq!(other.send(Method::DELETE, &format!("{MAPS}/a"), &[], "").await.status, StatusCode::OK);
    let (kind, object) = events.next().await;
    assert_eq!((kind.as_str(), &read(&object)["metadata"]["name"]), ("DELETED", &json!("a")));

    let partial = format!("{METADATA};stream=watch");
    let path = format!("{MAPS}?watch=1&resourceVersion=0");
    assert_eq!(other.post(MAPS, &json!({"metadata": {"name": "b"}})).await.status, StatusCode::CREATED);
    let mut third = Connection::admin(&https).await;
    let started = third.start(Method::GET, &path, &[("accept", &partial)], "").await;
    let mut events = Frames { body: started.into_body(), rest: Vec::new() };
    let (kind, object) = events.next().await;
    assert_eq!((kind.as_str(), opened(&object).0.as_str()), ("ADDED", "PartialObjectMetadata"));
    https.shut_down().await;
}

//! The API over a real TLS connection: what clients see on the wire.

mod support;

use alcove_apiserver::admission::{Admission, Admitting, Attributes};
use alcove_apiserver::certs::Authority;
use alcove_apiserver::flow::Gate;
use alcove_apiserver::http::Limits;
use alcove_apiserver::testing::front::Https;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use support::{Connection, Lines, admin, server, server_with, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

#[tokio::test]
async fn objects_live_and_die() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;

    let created = client.post(MAPS, &config_map("a")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    assert!(!created.header("audit-id").is_empty());
    assert_eq!(created.header("cache-control"), "no-cache, private");
    let mut object = created.json();
    assert_eq!(object["kind"], "ConfigMap");

    let again = client.post(MAPS, &config_map("a")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.json()["reason"], "AlreadyExists");

    let read = client.get(&format!("{MAPS}/a"), "application/json").await;
    assert_eq!(read.json(), object);

    object["data"]["k"] = "w".into();
    let json = [("content-type", "application/json")];
    let updated = client.send(Method::PUT, &format!("{MAPS}/a"), &json, object.to_string()).await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.text());
    let stale = client.send(Method::PUT, &format!("{MAPS}/a"), &json, object.to_string()).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);

    let merge = [("content-type", "application/merge-patch+json")];
    let patch = json!({"data": {"l": "x"}}).to_string();
    let patched = client.send(Method::PATCH, &format!("{MAPS}/a"), &merge, patch).await;
    assert_eq!(patched.json()["data"], json!({"k": "w", "l": "x"}));

    let list = client.get(MAPS, "application/json").await.json();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert_eq!(list["items"][0].get("kind"), None);

    let deleted = client.send(Method::DELETE, &format!("{MAPS}/a"), &[], "").await;
    assert_eq!(deleted.json()["status"], "Success");
    let gone = client.get(&format!("{MAPS}/a"), "application/json").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(gone.json()["message"], "configmaps \"a\" not found");
    let empty = client.get(MAPS, "application/json").await.json();
    assert_eq!(empty["items"], json!([]));
    https.shut_down().await;
}

#[tokio::test]
async fn bodies_in_yaml_are_taken_and_given() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: in-yaml\ndata:\n  k: v\n";
    let headers = [("content-type", "application/yaml"), ("accept", "application/yaml")];
    let created = client.send(Method::POST, MAPS, &headers, yaml).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    assert_eq!(created.header("content-type"), "application/yaml");
    assert!(created.text().contains("name: in-yaml"), "{}", created.text());
    let options = [("content-type", "application/yaml")];
    let body = "kind: DeleteOptions\napiVersion: v1\npreconditions:\n  uid: other\n";
    let refused = client.send(Method::DELETE, &format!("{MAPS}/in-yaml"), &options, body).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
}

#[tokio::test]
async fn a_watch_streams_and_ends_with_the_server() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let mut watcher = Connection::admin(&https).await;
    let response = watcher.start(Method::GET, &format!("{MAPS}?watch=1"), &[], "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut events = Lines::of(response);
    client.post(MAPS, &config_map("w")).await;
    let added = events.next().await.unwrap();
    assert_eq!((&added["type"], &added["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("w")));
    client.send(Method::DELETE, &format!("{MAPS}/w"), &[], "").await;
    assert_eq!(events.next().await.unwrap()["type"], "DELETED");
    drop(client);
    https.shut_down().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_table_watch_tells_its_columns_once() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let mut watcher = Connection::admin(&https).await;
    let response = watcher.start(Method::GET, &format!("{MAPS}?watch=1"), &[("accept", TABLE)], "").await;
    let mut events = Lines::of(response);
    client.post(MAPS, &config_map("a")).await;
    client.post(MAPS, &config_map("b")).await;
    let (first, second) = (events.next().await.unwrap(), events.next().await.unwrap());
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(second["object"]["columnDefinitions"], Value::Null);
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
    assert_eq!(second["object"]["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn lists_become_tables_and_metadata() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    for name in ["a", "b", "c"] {
        client.post(MAPS, &config_map(name)).await;
    }
    let table = client.get(&format!("{MAPS}?limit=2"), TABLE).await.json();
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    assert_eq!(table["rows"][0]["cells"][1], 1, "{table}");
    assert_eq!(table["metadata"]["remainingItemCount"], 1);
    assert_ne!(table["metadata"]["continue"], "");
    let none = client.get(&format!("{MAPS}?includeObject=None"), TABLE).await.json();
    assert_eq!(none["rows"][0]["object"], Value::Null);
    let object = client.get(&format!("{MAPS}/a?includeObject=Object"), TABLE).await.json();
    assert_eq!(object["rows"][0]["object"]["data"]["k"], "v");

    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = client.get(MAPS, partial).await.json();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(list["items"][0].get("data"), None);
    assert_eq!(client.get(&format!("{MAPS}/a"), partial).await.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn http2_carries_many_streams_on_one_connection() {
    let https = Https::start(server().await).await;
    let issued = admin(&https.authority, Timestamp::now());
    let mut client = Connection::open(&https, Some(&issued), &["h2", "http/1.1"]).await;
    assert!(client.http2);
    let mut watches = Vec::new();
    for _ in 0..200 {
        let response = client.start(Method::GET, &format!("{MAPS}?watch=1"), &[], "").await;
        assert_eq!(response.status(), StatusCode::OK);
        watches.push(Lines::of(response));
    }
    client.post(MAPS, &config_map("shared")).await;
    for watch in &mut watches {
        assert_eq!(watch.next().await.unwrap()["object"]["metadata"]["name"], "shared");
    }
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let https = Https::start(server().await).await;
    let mut stream = TcpStream::connect(https.address).await.unwrap();
    stream.write_all(b"GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{answer}");
}

#[tokio::test]
async fn certificates_decide_who_asks() {
    let https = Https::start(server().await).await;
    let now = Timestamp::now();
    let whoami = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

    let mut good = Connection::admin(&https).await;
    let review = good.post(path, &whoami).await;
    assert_eq!(review.status, StatusCode::CREATED, "{}", review.text());
    let user = &review.json()["status"]["userInfo"];
    assert_eq!(user["username"], "kubernetes-admin");
    assert_eq!(user["groups"], json!(["system:masters", "system:authenticated"]));

    let mut nobody = Connection::open(&https, None, &[]).await;
    let review = nobody.post(path, &whoami).await.json();
    assert_eq!(review["status"]["userInfo"]["username"], "system:anonymous");

    let stranger = admin(&Authority::generate(now).unwrap(), now);
    let expired = admin(&https.authority, now - SignedDuration::from_hours(48));
    for bad in [stranger, expired] {
        let mut client = Connection::open(&https, Some(&bad), &[]).await;
        let refused = client.get("/api", "application/json").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.json()["reason"], "Unauthorized");
    }
    let bearer = [("authorization", "Bearer nonsense")];
    assert_eq!(nobody.send(Method::GET, "/api", &bearer, "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_as_upstream_does() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let unknown = client.get("/nothing/here", "application/json").await;
    assert_eq!((unknown.status, unknown.text()), (StatusCode::NOT_FOUND, "404 page not found\n"));
    assert_eq!(client.get("/apis/no.such.group/v1/things", "*/*").await.text(), "404 page not found\n");

    let media = client.send(Method::POST, MAPS, &[("content-type", "text/xml")], "<a/>").await;
    assert_eq!(media.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(media.json()["reason"], "UnsupportedMediaType");
    assert_eq!(client.get(MAPS, "image/png").await.status, StatusCode::NOT_ACCEPTABLE);

    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    let refused = client.send(Method::POST, MAPS, &[("content-type", "application/json")], large).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.json()["message"], "Request entity too large: limit is 3145728");

    let mut client = Connection::admin(&https).await;
    let bad = client.get(&format!("{MAPS}?limit=x"), "*/*").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(bad.json()["message"], "strconv.ParseInt: parsing \"x\": invalid syntax");
    let options = client.send(Method::OPTIONS, MAPS, &[], "").await;
    assert_eq!(options.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn discovery_is_kept_by_clients() {
    const WANTED: &str =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let groups = client.get("/apis", WANTED).await;
    assert_eq!(groups.header("content-type"), WANTED.split(',').next().unwrap());
    let list = groups.json();
    assert_eq!(list["kind"], "APIGroupDiscoveryList");
    let apps =
        list["items"].as_array().unwrap().iter().find(|group| group["metadata"]["name"] == "apps").unwrap();
    let resources = apps["versions"][0]["resources"].as_array().unwrap();
    let deployments = resources.iter().find(|resource| resource["resource"] == "deployments").unwrap();
    assert_eq!(deployments["singularResource"], "deployment");
    assert_eq!(deployments["shortNames"], json!(["deploy"]));
    let etag = groups.header("etag").to_owned();
    assert_eq!(etag.len(), 128 + 2);
    let known = client.send(Method::GET, "/apis", &[("accept", WANTED), ("if-none-match", &etag)], "").await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));

    for path in
        ["/api", "/api/", "/apis", "/apis/", "/apis/apps", "/apis/apps/v1", "/apis/apps/v1/", "/api/v1"]
    {
        let answer = client.get(path, "application/json").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    let core = client.get("/api/v1", "application/json").await.json();
    let pods =
        core["resources"].as_array().unwrap().iter().find(|resource| resource["name"] == "pods").unwrap();
    assert_eq!(pods["storageVersionHash"], "xPOwRZ+Yhw8=");
    assert_eq!(client.get("/apis/nope", "application/json").await.status, StatusCode::NOT_FOUND);
    let version = client.get("/version", "*/*").await.json();
    assert_eq!(version["minor"], "36");
}

#[tokio::test]
async fn openapi_documents_are_kept_by_hash() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let index = client.get("/openapi/v3", "application/json").await.json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let document = client.get(&url, "application/json").await;
    assert_eq!(document.header("cache-control"), "public, immutable");
    assert!(document.header("expires").ends_with(" GMT"));
    let patch = &document.json()["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-action"], "patch");
    let etag = document.header("etag").to_owned();
    let known = client.send(Method::GET, &url, &[("if-none-match", &etag)], "").await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    let moved = client.get("/openapi/v3/apis/apps/v1?hash=OLD", "*/*").await;
    assert_eq!((moved.status, moved.header("location")), (StatusCode::MOVED_PERMANENTLY, &*url));
    assert_eq!(client.get("/openapi/v3/apis/nope/v1", "*/*").await.status, StatusCode::NOT_FOUND);

    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let gzip = [("accept", PROTOBUF), ("accept-encoding", "gzip")];
    let packed = client.send(Method::GET, "/openapi/v2", &gzip, "").await;
    assert_eq!(packed.header("content-type"), "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    assert_eq!(packed.header("content-encoding"), "gzip");
    let plain = client.get("/openapi/v2", PROTOBUF).await;
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    assert_eq!(client.get("/openapi/v2", "text/html").await.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn connections_without_a_connector_fail_before_any_upgrade() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    client.post("/api/v1/namespaces/default/pods", &pod).await;
    let path = "/api/v1/namespaces/default/pods/p/exec?command=sh";
    let refused = client.send(Method::GET, path, &upgrade, "").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert_eq!(refused.json()["kind"], "Status");
}

struct Panics;

impl Admission for Panics {
    fn name(&self) -> &'static str {
        "Panics"
    }

    fn mutate<'a>(&'a self, _: &'a mut Attributes<'_>) -> Admitting<'a> {
        panic!("a step broke")
    }
}

#[tokio::test]
async fn a_panic_ends_one_request_and_nothing_else() {
    let https = Https::start(server_with(Arc::new(Panics)).await).await;
    let mut client = Connection::admin(&https).await;
    let broken = client.post(MAPS, &config_map("a")).await;
    assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(broken.json()["reason"], "InternalError");
    assert_eq!(client.get(MAPS, "*/*").await.status, StatusCode::OK);
}

/// Holds every write until it is told to go on.
#[derive(Default)]
struct Holds {
    entered: Notify,
    go_on: Notify,
}

impl Admission for Holds {
    fn name(&self) -> &'static str {
        "Holds"
    }

    fn mutate<'a>(&'a self, _: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(async {
            self.entered.notify_one();
            self.go_on.notified().await;
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_tears_no_write() {
    let holds = Arc::new(Holds::default());
    let https = Https::start(server_with(holds.clone()).await).await;
    let mut watcher = Connection::admin(&https).await;
    let response = watcher.start(Method::GET, &format!("{MAPS}?watch=1"), &[], "").await;
    let mut events = Lines::of(response);
    let issued = admin(&https.authority, Timestamp::now());
    let mut stream = tls(&https, Some(&issued), &["http/1.1"]).await;
    let body = config_map("kept").to_string();
    let length = body.len();
    let head = format!("POST {MAPS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    holds.entered.notified().await;
    // The server has let go of the request when it closes its side.
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    holds.go_on.notify_one();
    assert_eq!(events.next().await.unwrap()["object"]["metadata"]["name"], "kept");
}

#[tokio::test]
async fn too_many_requests_are_turned_away_but_not_the_administrators() {
    let https = Https::start_behind(server().await, Limits::default(), Gate::new(0)).await;
    let mut nobody = Connection::open(&https, None, &[]).await;
    for path in [MAPS.to_owned(), format!("{MAPS}?watch=1")] {
        let refused = nobody.get(&path, "*/*").await;
        assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
        assert_eq!(refused.text(), "Too many requests, please try again later.\n");
    }
    let mut admin = Connection::admin(&https).await;
    assert_eq!(admin.get(MAPS, "*/*").await.status, StatusCode::OK);
}

#[tokio::test]
async fn connections_past_the_limit_are_closed() {
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let https = Https::start_with(server().await, limits).await;
    let mut first = Connection::admin(&https).await;
    assert_eq!(first.get("/version", "*/*").await.status, StatusCode::OK);
    let mut second = TcpStream::connect(https.address).await.unwrap();
    assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(first.get("/version", "*/*").await.status, StatusCode::OK);
}

#[tokio::test]
async fn idle_connections_are_closed_and_watched_ones_stay() {
    let limits = Limits { idle: Duration::from_millis(50), ..Limits::default() };
    let https = Https::start_with(server().await, limits).await;
    let mut watching = Connection::admin(&https).await;
    let mut events = Lines::of(watching.start(Method::GET, &format!("{MAPS}?watch=true"), &[], "").await);
    for protocol in ["http/1.1", "h2"] {
        let mut silent = tls(&https, None, &[protocol]).await;
        let mut said = Vec::new();
        // Whether the end is told in TLS too does not matter.
        let _ = silent.read_to_end(&mut said).await;
    }
    Connection::admin(&https).await.post(MAPS, &config_map("a")).await;
    assert_eq!(events.next().await.unwrap()["object"]["metadata"]["name"], "a");
    https.shut_down().await;
}

/// A number that the server tells of itself.
async fn metric(client: &mut Connection, name: &str) -> i64 {
    let metrics = client.get("/metrics", "*/*").await;
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)).expect("the metric is there");
    line.trim().parse().expect("metrics are numbers")
}

/// Waits until the server tells this number.
async fn until_metric(client: &mut Connection, name: &str, expected: i64) {
    while metric(client, name).await != expected {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn watches_that_are_opened_and_dropped_leave_nothing() {
    let https = Https::start(server().await).await;
    let issued = admin(&https.authority, Timestamp::now());
    let mut client = Connection::admin(&https).await;
    let mut watcher = Connection::open(&https, Some(&issued), &["h2"]).await;
    for round in 0..100 {
        let mut watches = Vec::new();
        for _ in 0..100 {
            let response = watcher.start(Method::GET, &format!("{MAPS}?watch=1"), &[], "").await;
            assert_eq!(response.status(), StatusCode::OK, "round {round}");
            watches.push(response);
        }
        drop(watches);
        until_metric(&mut client, "alcove_longrunning_requests", 0).await;
    }
    // Also where the connection goes with its watch.
    for _ in 0..20 {
        let mut watcher = Connection::admin(&https).await;
        watcher.start(Method::GET, &format!("{MAPS}?watch=1"), &[], "").await;
    }
    drop(watcher);
    until_metric(&mut client, "alcove_longrunning_requests", 0).await;
    until_metric(&mut client, "alcove_connections", 1).await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_watch_is_cut_off() {
    let limits = Limits { stalled: Duration::from_millis(50), ..Limits::default() };
    let https = Https::start_with(server().await, limits).await;
    let issued = admin(&https.authority, Timestamp::now());
    let mut deaf = tls(&https, Some(&issued), &["http/1.1"]).await;
    let request = format!("GET {MAPS}?watch=1 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    deaf.write_all(request.as_bytes()).await.unwrap();
    let mut client = Connection::admin(&https).await;
    until_metric(&mut client, "alcove_longrunning_requests", 1).await;
    let large = json!({"metadata": {"name": "large"}, "data": {"a": "x".repeat(1 << 20)}});
    // More than the kernel holds for it: the watch waits, and then its connection is closed.
    while metric(&mut client, "alcove_longrunning_requests").await > 0 {
        client.post(MAPS, &large).await;
        client.send(Method::DELETE, &format!("{MAPS}/large"), &[], "").await;
    }
    drop(deaf);
}

#[tokio::test]
async fn health_and_metrics() {
    let https = Https::start(server().await).await;
    let mut client = Connection::open(&https, None, &[]).await;
    assert_eq!(client.get("/readyz", "*/*").await.text(), "ok");
    assert_eq!(client.get("/livez?verbose", "*/*").await.text(), "[+]ping ok\nlivez check passed\n");
    client.get(MAPS, "*/*").await;
    let metrics = client.get("/metrics", "*/*").await;
    let line = "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\",scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 1\n";
    assert!(metrics.text().contains(line), "{}", metrics.text());
    assert!(metrics.text().contains("apiserver_storage_objects{resource=\"namespaces\"} 4\n"));
}

#[tokio::test]
async fn reviews_ask_the_authorizer() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = client.post(path, &review).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert_eq!(answer.json()["status"]["allowed"], true);
    let empty =
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}});
    assert_eq!(client.post(path, &empty).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn large_lists_are_compressed_on_request() {
    let https = Https::start(server().await).await;
    let mut client = Connection::admin(&https).await;
    for index in 0..5 {
        let mut object = config_map(&format!("large-{index}"));
        object["data"]["k"] = "x".repeat(100_000).into();
        assert_eq!(client.post(MAPS, &object).await.status, StatusCode::CREATED);
    }
    let plain = client.get(MAPS, "*/*").await;
    assert!(plain.body.len() > 500_000);
    assert_eq!(plain.json()["items"].as_array().unwrap().len(), 5);
    let packed = client.send(Method::GET, MAPS, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let small = client.send(Method::GET, &format!("{MAPS}/none"), &[("accept-encoding", "gzip")], "").await;
    assert_eq!(small.header("content-encoding"), "");
}

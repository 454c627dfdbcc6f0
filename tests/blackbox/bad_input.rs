//! Bad input gets a clear error, and nothing is lost by it.

use super::harness::certificates::{Signer, Subject};
use super::harness::{Api, Server, assert_fits, shared};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

const NAMESPACE: &str = "bad-input";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A request and the Status that must answer it. `@` in a path is the ConfigMaps of the test's namespace.
struct Bad {
    what: &'static str,
    request: (&'static str, &'static str),
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    code: u16,
    reason: &'static str,
    message: &'static str,
}

fn post(what: &'static str, media: &'static str, body: impl Into<Vec<u8>>) -> Bad {
    let headers = vec![("content-type", media)];
    Bad {
        what,
        request: ("POST", "@"),
        headers,
        body: body.into(),
        code: 400,
        reason: "BadRequest",
        message: "",
    }
}

fn patch(what: &'static str, media: &'static str, body: impl Into<Vec<u8>>) -> Bad {
    Bad { request: ("PATCH", "@/kept"), ..post(what, media, body) }
}

impl Bad {
    fn at(self, method: &'static str, path: &'static str) -> Bad {
        Bad { request: (method, path), ..self }
    }

    fn is(self, code: u16, reason: &'static str) -> Bad {
        Bad { code, reason, ..self }
    }

    fn says(self, message: &'static str) -> Bad {
        Bad { message, ..self }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Bad {
        self.headers.push((name, value));
        self
    }
}

/// `{"a":{"a":…` this deep.
fn nested(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

/// A few lines that would be gigabytes when every alias is written out.
fn alias_bomb() -> String {
    let mut text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            .to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

/// The protobuf of a ConfigMap in its envelope.
fn protobuf(cut: usize) -> Vec<u8> {
    let mut bytes = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x09\x0a\x07\x0a\x05proto".to_vec();
    bytes.truncate(bytes.len() - cut);
    bytes
}

fn operations(count: usize) -> String {
    let operation = r#"{"op":"add","path":"/data/a","value":"b"}"#;
    format!("[{}]", vec![operation; count].join(","))
}

const STRICT: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","colour":"red"},"dta":{},"data":{"a":"1","a":"2"}}"#;

fn bodies() -> Vec<Bad> {
    vec![
        post("empty", JSON, "").says("[..]"),
        post("cut JSON", JSON, "{\"apiVersion\":").says("[..]couldn't get version/kind; json parse error: unexpected end of JSON input[..]"),
        post("no JSON", JSON, "hello").says("[..]couldn't get version/kind; json parse error: [..]"),
        post("a list", JSON, "[1,2]").says("[..]couldn't get version/kind; json parse error: [..]"),
        post("another kind", JSON, r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}"#)
            .says("[..]Secret[..]"),
        post("another version", JSON, r#"{"apiVersion":"v2","kind":"ConfigMap","metadata":{"name":"x"}}"#)
            .says("the API version in the data (v2) does not match the expected API version (v1)"),
        post("a number for a text", JSON, r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"a":1}}"#)
            .says("ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        post("no base64", JSON, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"binaryData":{"a":"%"}}"#)
            .says("ConfigMap in version \"v1\" cannot be handled as a ConfigMap: [..]base64[..]"),
        post("no time", JSON, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","creationTimestamp":"noon"}}"#)
            .says("[..]noon[..]"),
        post("10,000 levels", JSON, nested(10_000)).says("[..]"),
        post("10,000 levels where they fit", JSON, format!("{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{}}}", nested(10_000)))
            .says("[..]exceeded max depth[..]"),
        post("10,000 levels of YAML", YAML, "[".repeat(10_000)).says("[..]"),
        post("no YAML", YAML, "a: [b\nc: {").says("[..]"),
        post("a tab in YAML", YAML, "a:\n\tb: c").says("[..]"),
        post("a YAML alias bomb", YAML, alias_bomb()).says("[..]"),
        post("no protobuf", PROTOBUF, r#"{"kind":"ConfigMap"}"#).says("[..]"),
        post("a cut protobuf magic", PROTOBUF, "k8").says("[..]"),
        post("an empty protobuf envelope", PROTOBUF, "k8s\0").says("[..]"),
        post("a cut protobuf envelope", PROTOBUF, protobuf(3)).says("[..]"),
        post("a cut protobuf field", PROTOBUF, protobuf(14)).says("[..]"),
        post("garbage in protobuf", PROTOBUF, [&protobuf(9)[..], &[0xff; 9]].concat()).says("[..]"),
        post("4 MiB", JSON, vec![b' '; 4 << 20]).is(413, "RequestEntityTooLarge").says("Request entity too large: limit is 3145728"),
        post("text", "text/plain", "hello").is(415, "UnsupportedMediaType").says(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        patch("a patch as JSON", JSON, "{}").is(415, "UnsupportedMediaType").says(
            "415: Unsupported Media Type",
        ),
        post("text wanted", JSON, r#"{"metadata":{"name":"x"}}"#).header("accept", "text/plain").is(406, "NotAcceptable").says(
            "406: Not Acceptable[..]Available representations: application/json, application/yaml[..]",
        ),
        post("strict", JSON, STRICT).at("POST", "@?fieldValidation=Strict").says(
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: [..]unknown field \"dta\"[..]",
        ),
        post("another strictness", JSON, STRICT).at("POST", "@?fieldValidation=Lenient").is(422, "Invalid").says("[..]fieldValidation: [..]"),
        post("another dry run", JSON, r#"{"metadata":{"name":"x"}}"#).at("POST", "@?dryRun=Some").is(422, "Invalid").says("[..]dryRun: [..]"),
        post("no name", JSON, "{}").is(422, "Invalid").says("ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"),
        post("a bad name", JSON, r#"{"metadata":{"name":"No_Name"}}"#).is(422, "Invalid").says("ConfigMap \"No_Name\" is invalid: metadata.name: Invalid value: \"No_Name\": a lowercase RFC 1123 subdomain[..]"),
        post("a name that escapes", JSON, r#"{"metadata":{"name":"../x"}}"#).is(422, "Invalid").says("[..]metadata.name: Invalid value[..]"),
        post("another namespace", JSON, r#"{"metadata":{"name":"x","namespace":"other"}}"#)
            .says("the namespace of the provided object does not match the namespace sent on the request"),
        post("a name that is there", JSON, r#"{"metadata":{"name":"kept"}}"#).is(409, "AlreadyExists").says("configmaps \"kept\" already exists"),
        post("another name", JSON, r#"{"metadata":{"name":"other"}}"#).at("PUT", "@/kept")
            .says("the name of the object (other) does not match the name on the URL (kept)"),
        post("nothing there", JSON, r#"{"metadata":{"name":"gone"}}"#).at("PUT", "@/gone").is(404, "NotFound").says("configmaps \"gone\" not found"),
        post("an old version", JSON, r#"{"metadata":{"name":"kept","resourceVersion":"1"}}"#).at("PUT", "@/kept").is(409, "Conflict")
            .says("Operation cannot be fulfilled on configmaps \"kept\": the object has been modified; please apply your changes to the latest version and try again"),
        post("another uid", JSON, r#"{"metadata":{"name":"kept","uid":"11111111-2222-3333-4444-555555555555"}}"#).at("PUT", "@/kept").is(409, "Conflict")
            .says("Operation cannot be fulfilled on configmaps \"kept\": [..]Precondition failed: UID in precondition: 11111111-2222-3333-4444-555555555555, UID in object meta: [..]"),
        patch("10,001 operations", JSON_PATCH, operations(10_001)).is(413, "RequestEntityTooLarge")
            .says("Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"),
        patch("a patch that is no list", JSON_PATCH, "{}").says("[..]"),
        patch("a cut patch", MERGE_PATCH, "{\"data\":").says("[..]"),
        patch("a patch of another name", MERGE_PATCH, r#"{"metadata":{"name":"other"}}"#)
            .says("the name of the object (other) does not match the name on the URL (kept)"),
        patch("a patch of an old version", MERGE_PATCH, r#"{"metadata":{"resourceVersion":"1"}}"#).is(409, "Conflict").says("[..]the object has been modified[..]"),
        patch("a test that fails", JSON_PATCH, r#"[{"op":"test","path":"/data/a","value":"9"}]"#).is(422, "Invalid").says("[..]"),
        patch("a path that is not there", JSON_PATCH, r#"[{"op":"remove","path":"/data/zzz"}]"#).is(422, "Invalid").says("[..]"),
        patch("nothing to patch", MERGE_PATCH, "{}").at("PATCH", "@/gone").is(404, "NotFound").says("configmaps \"gone\" not found"),
        patch("apply without a manager", "application/apply-patch+yaml", "{}").is(422, "Invalid").says("[..]fieldManager: Required value[..]"),
        post("no such verb", JSON, "{}").at("POST", "@/kept").is(405, "MethodNotAllowed").says("the server does not allow this method on the requested resource"),
        post("PUT to all", JSON, "{}").at("PUT", "@").is(405, "MethodNotAllowed").says("the server does not allow this method on the requested resource"),
        post("PATCH to all", MERGE_PATCH, "{}").at("PATCH", "@").is(405, "MethodNotAllowed").says("the server does not allow this method on the requested resource"),
        post("no such namespace", JSON, r#"{"metadata":{"name":"x"}}"#).at("POST", "/api/v1/namespaces/nowhere/configmaps").is(404, "NotFound").says("namespaces \"nowhere\" not found"),
        post("a bad version", JSON, "").at("GET", "@?resourceVersion=abc").says("[..]abc[..]"),
        post("a bad token", JSON, "").at("GET", "@?continue=%25%25").says("invalid continue token: continue key is not valid: [..]"),
        // Tokens of {"v":"meta.k8s.io/v1","rv":-1,"start":START}, for START ../../secrets/x, ../../../etc/passwd, and //.
        post("a token that leads elsewhere", JSON, "").at("GET", "@?limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4vc2VjcmV0cy94XHUwMDAwIn0")
            .says("invalid continue token: continue key is not valid: ../../secrets/x"),
        post("a token that leads to a file", JSON, "").at("GET", "@?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4vLi4vZXRjL3Bhc3N3ZCJ9")
            .says("invalid continue token: continue key is not valid: ../../../etc/passwd"),
        post("a token that leads to the root", JSON, "").at("GET", "@?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLy8ifQ")
            .says("invalid continue token: continue key is not valid: //"),
        post("a bad limit", JSON, "").at("GET", "@?limit=abc").says("[..]abc[..]"),
        post("a bad label selector", JSON, "").at("GET", "@?labelSelector=%3D%3D%21").says("[..]"),
        post("a bad field selector", JSON, "").at("GET", "@?fieldSelector=spec.colour%3Dred").says("\"spec.colour\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
    ]
}

#[track_caller]
fn check(api: &Api, bad: &Bad) {
    let configmaps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let (method, path) = (bad.request.0, bad.request.1.replace('@', &configmaps));
    let answer = api.send(method, &path, &bad.headers, &bad.body);
    assert_eq!(answer.status, bad.code, "{}: {}", bad.what, answer.text());
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": bad.code, "reason": bad.reason, "message": bad.message,
    });
    assert_fits(bad.what, &expected, &answer.json());
}

#[test]
fn each_gets_its_status_and_nothing_is_lost() {
    let api = shared().api();
    api.namespace(NAMESPACE);
    let configmaps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    api.post(&configmaps, &json!({"metadata": {"name": "kept"}, "data": {"a": "1"}})).expect(201);
    let before = api.get(&format!("{configmaps}/kept")).expect(200);
    let mut wrong = Vec::new();
    for bad in bodies() {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&api, &bad)));
        wrong.extend(checked.err().map(|_| bad.what));
    }
    assert_eq!(wrong, Vec::<&str>::new(), "see above for each");
    assert_eq!(api.get(&format!("{configmaps}/kept")).expect(200), before);
    let list = api.get(&configmaps).expect(200);
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|o| o["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["kept", "kube-root-ca.crt"]);
}

#[test]
fn what_belongs_to_the_cluster_is_at_no_path_with_a_namespace() {
    // A right in one namespace is judged by the namespace of the path: there must be nothing beyond it.
    let api = shared().api();
    let within = "/namespaces/default";
    for path in ["/api/v1{}/nodes", "/api/v1{}/namespaces", "/api/v1{}/namespaces/kube-system"] {
        api.get(&path.replace("{}", within)).expect(404);
    }
    let path = format!("/apis/rbac.authorization.k8s.io/v1{within}/clusterroles");
    api.post(&path, &json!({"metadata": {"name": "beyond"}})).expect(404);
    api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/beyond").expect(404);
    assert_eq!(api.send("DELETE", "/api/v1/pods", &[], b"").status, 405);
    api.post("/api/v1/pods", &json!({"metadata": {"name": "nowhere"}})).expect(405);
}

#[test]
fn a_patch_makes_no_other_kind_and_no_end() {
    let api = shared().api();
    api.namespace("kinds-stay");
    let path = "/api/v1/namespaces/kinds-stay/configmaps";
    api.post(path, &json!({"metadata": {"name": "a"}})).expect(201);
    let path = format!("{path}/a");
    let before = api.get(&path).expect(200);
    let merge = |patch: Value| {
        let headers = [("content-type", "application/merge-patch+json")];
        api.send("PATCH", &path, &headers, patch.to_string().as_bytes())
    };
    merge(json!({"kind": "Secret"})).expect(422);
    merge(json!({"apiVersion": "v9"})).expect(422);
    merge(json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}})).expect(422);
    merge(json!({"kind": null, "apiVersion": null})).expect(200);
    assert_eq!(api.get(&path).expect(200), before);
}

#[test]
fn strict_errors_are_all_told_and_warnings_too() {
    let api = shared().api();
    api.namespace("strict-errors");
    let path = "/api/v1/namespaces/strict-errors/configmaps";
    let send = |how: &str| {
        api.send(
            "POST",
            &format!("{path}?fieldValidation={how}"),
            &[("content-type", JSON)],
            STRICT.as_bytes(),
        )
    };
    let message = send("Strict").expect(400)["message"].as_str().unwrap().to_owned();
    let said = ["unknown field \"dta\"", "unknown field \"metadata.colour\"", "duplicate field \"data.a\""];
    for part in said {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let answer = send("Warn");
    let warnings: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "warning")
        .map(|(_, value)| value.as_str())
        .collect();
    for part in said {
        let quoted = format!("299 - \"{}\"", part.replace('"', "\\\""));
        assert!(warnings.contains(&quoted.as_str()), "{quoted} is not in {warnings:?}");
    }
    answer.expect(201);
    api.delete(&format!("{path}/x")).expect(200);
    let answer = send("Ignore");
    assert_eq!(answer.header("warning"), "");
    assert_eq!(answer.expect(201)["data"], json!({"a": "2"}));
}

/// Certificates: of an administrator, a stranger's, and one that has ended.
#[test]
fn client_certificates_are_judged() {
    let server = Server::serve(&[]);
    let kubeconfig = server.kubeconfig("admin");
    let pki = server.data().join("pki");
    let read = |name: &str| fs::read_to_string(pki.join(name)).expect("the authority");
    let own = Signer { certificate: read("ca.crt"), key: read("ca.key") };
    let subject = Subject { user: "ada", group: "system:masters", expired: false };
    let former = Subject { expired: true, ..subject };
    for (what, identity, expected) in [
        ("good", own.sign(&subject), 200),
        ("expired", own.sign(&former), 401),
        ("of a stranger", Signer::stranger().sign(&subject), 401),
    ] {
        let api = Api::with_identity(&kubeconfig, Some(&identity)).expect("a client");
        let answer = api.get("/api/v1/namespaces");
        assert_eq!(answer.status, expected, "{what}: {}", answer.text());
        if expected == 401 {
            let status = json!({"kind": "Status", "status": "Failure", "reason": "Unauthorized", "message": "Unauthorized", "code": 401});
            assert_fits(what, &status, &answer.json());
        }
    }
    let nobody = Api::with_identity(&kubeconfig, None).expect("a client");
    let token = [("authorization", "Bearer nobody")];
    assert_eq!(nobody.send("GET", "/version", &token, b"").status, 401, "a bad token is not nobody");
    for (path, expected) in [("/readyz", 200), ("/version", 200), ("/api/v1/namespaces/default/secrets", 403)]
    {
        let answer = nobody.get(path);
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
    }
}

#[test]
fn plain_http_on_the_tls_port_is_told() {
    let mut stream = TcpStream::connect(&shared().api().address).expect("a connection");
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer in order");
    assert!(text.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{text}");
    assert!(text.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{text}");
}

/// Bytes that are nothing at all end the connection, and the server goes on.
#[test]
fn noise_on_the_port_harms_nobody() {
    let api = shared().api();
    for noise in [&b"\x16\x03\x01\xff\xff"[..], &[0; 100], &[0xff; 4096], b"\x16\x03\x01\x00\x05hello"] {
        let mut stream = TcpStream::connect(&api.address).expect("a connection");
        let _ = stream.write_all(noise);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let version: Value = api.get("/version").expect(200);
    assert_eq!(version["major"], "1");
}

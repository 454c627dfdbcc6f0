//! An API server of the test's own, behind an APIService: the protocol of an aggregated one over HTTP/1.1, as far as
//! clients need it. It lets in nobody but who shows a certificate of the published authority, and remembers what it heard.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub const GROUP_VERSION: &str = "wardle.example.com/v1alpha1";
const BASE: &str = "/apis/wardle.example.com/v1alpha1";

/// A running server; it ends with the test's process.
pub struct Wardle {
    pub port: u16,
    /// Its certificate, as `caBundle` wants it.
    pub bundle: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_down: AtomicBool,
    /// By namespace and name.
    flunders: Mutex<BTreeMap<String, Value>>,
    /// What is said at a path, whatever else is there.
    said: Mutex<BTreeMap<String, Value>>,
    /// The headers of the last request by path.
    heard: Mutex<BTreeMap<String, Vec<(String, String)>>>,
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Wardle {
    /// Serves for `NAME.NAMESPACE.svc` on a free loopback port. `authority`: whose certificates clients must show, in PEM.
    pub fn start(host: &str, authority: &str) -> Wardle {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![host.to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        for trusted in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(trusted.expect("PEM")).expect("an authority");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_client_cert_verifier(verifier.build().expect("an authority"))
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .expect("a certificate and its key");
        let listener = TcpListener::bind("localhost:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let state: Arc<State> = Arc::default();
        let (tls, shared) = (Arc::new(tls), state.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, state) = (tls.clone(), shared.clone());
                if !state.is_down.load(Ordering::SeqCst) {
                    // Whoever hangs up in the middle is no concern of the test's.
                    std::thread::spawn(move || drop(serve(stream, tls, &state)));
                }
            }
        });
        Wardle { port, bundle: BASE64_STANDARD.encode(certificate.pem()), state }
    }

    /// Says this at a path from now on.
    pub fn say(&self, path: &str, document: Value) {
        self.state.said.lock().expect("nobody panics").insert(path.to_owned(), document);
    }

    /// Answers nobody from now on.
    pub fn stop(&self) {
        self.state.is_down.store(true, Ordering::SeqCst);
    }

    /// All values of a header of the last request for a path.
    pub fn heard(&self, path: &str, header: &str) -> Vec<String> {
        let heard = self.state.heard.lock().expect("nobody panics");
        let headers = heard.get(path).into_iter().flatten();
        headers.filter(|(name, _)| name == header).map(|(_, value)| value.clone()).collect()
    }
}

type Stream = BufReader<StreamOwned<ServerConnection, TcpStream>>;

fn serve(stream: TcpStream, tls: Arc<ServerConfig>, state: &State) -> std::io::Result<()> {
    let tls = ServerConnection::new(tls).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    while let Some(request) = read(&mut stream)?.filter(|_| !state.is_down.load(Ordering::SeqCst)) {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        state.heard.lock().expect("nobody panics").insert(path.clone(), request.headers.clone());
        if request.headers.iter().any(|(name, value)| name == "upgrade" && value == "echo") {
            return echo(&mut stream);
        }
        let (code, extra, body) = answer(&request, &path, state);
        let head = format!(
            "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n{extra}content-length: {}\r\n\r\n",
            body.len()
        );
        let out = stream.get_mut();
        out.write_all(head.as_bytes())?;
        out.write_all(body.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

fn read(stream: &mut Stream) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut headers, mut length, mut is_chunked) = (Vec::new(), 0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "transfer-encoding" => is_chunked = true,
            _ => {}
        }
        headers.push((name, value));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    while is_chunked {
        let mut size = String::new();
        stream.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        stream.read_line(&mut String::new())?;
        is_chunked = size > 0;
    }
    Ok(Some(Request { method, path, headers, body }))
}

/// Becomes something else: says back every line.
fn echo(stream: &mut Stream) -> std::io::Result<()> {
    let out = stream.get_mut();
    out.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n")?;
    out.flush()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        stream.get_mut().write_all(format!("back: {line}").as_bytes())?;
        stream.get_mut().flush()?;
    }
}

fn answer(request: &Request, path: &str, state: &State) -> (u16, &'static str, String) {
    let told = |code: u16, body: Value| (code, "", body.to_string());
    let said = state.said.lock().expect("nobody panics").get(path).cloned();
    if let Some(document) = said.or_else(|| document(path)) {
        return told(200, document);
    }
    let mut flunders = state.flunders.lock().expect("nobody panics");
    let place = path.strip_prefix(BASE).unwrap_or_default().trim_start_matches("/namespaces/");
    let (namespace, name) = place.split_once("/flunders").unwrap_or_default();
    match (request.method.as_str(), name.trim_start_matches('/')) {
        ("GET", "moved") => (302, "location: https://127.0.0.1/secret\r\n", String::new()),
        ("GET", "") => {
            let items: Vec<&Value> =
                flunders.iter().filter(|(key, _)| key.starts_with(namespace)).map(|(_, f)| f).collect();
            told(
                200,
                json!({"apiVersion": GROUP_VERSION, "kind": "FlunderList", "metadata": {}, "items": items}),
            )
        }
        ("GET", name) => match flunders.get(&format!("{namespace}/{name}")) {
            Some(found) => told(200, found.clone()),
            None => told(
                404,
                json!({
                    "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
                    "message": format!("flunders.wardle.example.com \"{name}\" not found"),
                }),
            ),
        },
        ("POST", _) => {
            let mut made: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            made["metadata"]["namespace"] = namespace.into();
            made["metadata"]["creationTimestamp"] = "2026-11-21T09:30:00Z".into();
            let name = made["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            flunders.insert(format!("{namespace}/{name}"), made.clone());
            told(201, made)
        }
        ("DELETE", name) => match flunders.remove(&format!("{namespace}/{name}")) {
            Some(gone) => told(200, gone),
            None => told(404, json!({})),
        },
        _ => told(405, json!({})),
    }
}

fn document(path: &str) -> Option<Value> {
    Some(match path {
        BASE => json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": [{
                "name": "flunders", "singularName": "flunder", "namespaced": true, "kind": "Flunder",
                "verbs": ["create", "delete", "get", "list"], "shortNames": ["fl"],
            }],
        }),
        "/openapi/v3" => json!({"paths": {&BASE[1..]: {
            "serverRelativeURL": format!("/openapi/v3{BASE}?hash=ABC123"),
        }}}),
        "/openapi/v3/apis/wardle.example.com/v1alpha1" => json!({
            "openapi": "3.0.0", "info": {"title": "Wardle", "version": "1"},
            "paths": {format!("{BASE}/namespaces/{{namespace}}/flunders"): {"post": {
                "x-kubernetes-action": "post",
                "x-kubernetes-group-version-kind":
                    {"group": "wardle.example.com", "version": "v1alpha1", "kind": "Flunder"},
                "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            }}},
            "components": {"schemas": {"com.example.wardle.v1alpha1.Flunder": {
                "type": "object", "description": "A flunder flunders.",
                "properties": {
                    "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
                    "spec": {"type": "object", "description": "What it flunders."},
                },
                "x-kubernetes-group-version-kind":
                    [{"group": "wardle.example.com", "version": "v1alpha1", "kind": "Flunder"}],
            }}},
        }),
        "/openapi/v2" => json!({
            "swagger": "2.0", "info": {"title": "Wardle", "version": "1"},
            "paths": {format!("{BASE}/"): {"get": {"responses": {"200": {"schema": {"$ref": "#/definitions/wardle.List"}}}}}},
            "definitions": {"wardle.List": {"type": "object"}, "wardle.Other": {"type": "object"}},
        }),
        _ => return None,
    })
}

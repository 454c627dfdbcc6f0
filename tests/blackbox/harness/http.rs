//! Raw HTTP/1.1 over TLS: every byte of a request is the test's choice, and every byte of the answer is seen.

use super::wait::DEADLINE;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::config::Kubeconfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// An API server and who we are to it.
#[derive(Clone)]
pub struct Api {
    /// `HOST:PORT`.
    pub address: String,
    tls: Arc<ClientConfig>,
}

/// A client certificate and its key, in PEM.
pub struct ClientIdentity {
    pub certificate: String,
    pub key: String,
}

impl Api {
    /// The server and the user of a kubeconfig.
    pub fn of(kubeconfig: &Path) -> Result<Api, String> {
        let config = Kubeconfig::read_from(kubeconfig).map_err(|error| error.to_string())?;
        // As JSON, because the key is a secret that cannot be read as a field.
        let users = serde_json::to_value(&config.auth_infos).map_err(|error| error.to_string())?;
        let text = |key: &str| users[0]["user"][key].as_str().map(decode).ok_or(format!("no {key}"));
        let identity =
            ClientIdentity { certificate: text("client-certificate-data")?, key: text("client-key-data")? };
        Api::with_identity(kubeconfig, Some(&identity))
    }

    /// The server of a kubeconfig, as another user or as nobody.
    pub fn with_identity(kubeconfig: &Path, identity: Option<&ClientIdentity>) -> Result<Api, String> {
        let config = Kubeconfig::read_from(kubeconfig).map_err(|error| error.to_string())?;
        let cluster =
            config.clusters.first().and_then(|cluster| cluster.cluster.clone()).ok_or("no cluster")?;
        let authority = decode(&cluster.certificate_authority_data.ok_or("no authority")?);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&authority) {
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions")
            .with_root_certificates(roots);
        let tls = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
                    .map_err(|error| error.to_string())?;
                builder
                    .with_client_auth_cert(certificates(&identity.certificate), key)
                    .map_err(|e| e.to_string())?
            }
        };
        let server = cluster.server.ok_or("no server")?;
        let address = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        Ok(Api { address, tls: Arc::new(tls) })
    }

    /// A connection that can be used again and again.
    pub fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        Ok(Connection { stream: BufReader::new(StreamOwned::new(tls, stream)), host: self.address.clone() })
    }

    /// One request on a connection of its own.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.connect()?.send(method, path, headers, body)
    }

    /// One request on a connection of its own, which must be answered.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        match self.try_send(method, path, headers, body) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path} was not answered: {error}"),
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"")
    }

    /// POST of JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// PUT of JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// PATCH; `kind` is `json`, `merge`, `strategic-merge` or `apply`.
    #[track_caller]
    pub fn patch(&self, kind: &str, path: &str, body: &Value) -> Answer {
        let media = match kind {
            "apply" => "application/apply-patch+yaml".to_owned(),
            _ => format!("application/{kind}-patch+json"),
        };
        self.send("PATCH", path, &[("content-type", &media)], body.to_string().as_bytes())
    }

    /// A watch: its status must be 200.
    #[track_caller]
    pub fn watch(&self, path: &str) -> Watch {
        let open = || {
            let mut connection = self.connect()?;
            connection.write("GET", path, &[], b"")?;
            let head = connection.read_head()?;
            assert_eq!(head.status, 200, "watch {path}");
            io::Result::Ok(Watch { connection, left_in_chunk: 0, ended: false })
        };
        open().unwrap_or_else(|error| panic!("watch {path}: {error}"))
    }

    /// Makes a namespace and waits until it can be used: its default service account is there.
    #[track_caller]
    pub fn namespace(&self, name: &str) {
        let namespace =
            serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let answer = self.post("/api/v1/namespaces", &namespace);
        assert_eq!(answer.status, 201, "{}", answer.text());
        super::eventually("the namespace's default service account", || {
            let answer = self.get(&format!("/api/v1/namespaces/{name}/serviceaccounts/default"));
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
    }
}

fn decode(text: &str) -> String {
    let bytes = BASE64_STANDARD.decode(text).expect("kubeconfigs hold base64");
    String::from_utf8(bytes).expect("PEM is text")
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|found| found.expect("a certificate in PEM")).collect()
}

/// What a server answers.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's first value, empty if it is not there. The name is in lower case.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in an answer {}: {}", self.status, self.text()))
    }

    /// The body as JSON of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }
}

/// A connection under TLS, one request at a time.
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    host: String,
}

impl Connection {
    /// Sends a request and reads its whole answer.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let written = self.write(method, path, headers, body);
        // A server may answer and hang up before it has read a body that it does not want.
        let mut answer = match self.read_head() {
            Ok(answer) => answer,
            Err(error) => return Err(written.err().unwrap_or(error)),
        };
        answer.body = self.read_body(&answer)?;
        Ok(answer)
    }

    /// Sends a request without its body, which the server goes on waiting for.
    pub fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        self.write(method, path, headers, b"")
    }

    /// Sends the body of a request that was begun, and reads the answer.
    pub fn finish(&mut self, body: &[u8]) -> io::Result<Answer> {
        let stream = self.stream.get_mut();
        stream.write_all(body)?;
        stream.flush()?;
        let mut answer = self.read_head()?;
        answer.body = self.read_body(&answer)?;
        Ok(answer)
    }

    /// Sends a line to what the connection has become, and reads one.
    pub fn say(&mut self, line: &str) -> io::Result<String> {
        let stream = self.stream.get_mut();
        stream.write_all(line.as_bytes())?;
        stream.flush()?;
        self.line()
    }

    fn write(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn read_head(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {first}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Answer { status, headers, body: Vec::new() })
    }

    fn read_body(&mut self, head: &Answer) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if head.header("transfer-encoding") == "chunked" {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..])?;
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length: usize = head.header("content-length").parse().unwrap_or(0);
        body.resize(length, 0);
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

/// A running watch over JSON.
pub struct Watch {
    connection: Connection,
    left_in_chunk: usize,
    ended: bool,
}

impl Watch {
    /// The next event; `None` when the server ended the watch in order.
    #[track_caller]
    pub fn next(&mut self) -> Option<Value> {
        let line = self.read_line().unwrap_or_else(|error| panic!("the watch broke: {error}"));
        line.map(|line| serde_json::from_slice(&line).expect("one JSON object per line"))
    }

    /// The next event, which must come.
    #[track_caller]
    pub fn event(&mut self) -> Value {
        self.next().expect("an event, not the end of the watch")
    }

    /// Events until the watch ends, as `TYPE name`.
    #[track_caller]
    pub fn rest(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(|event| summary(&event)).collect()
    }

    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        while !self.ended {
            if self.left_in_chunk == 0 {
                self.left_in_chunk =
                    usize::from_str_radix(&self.connection.line()?, 16).map_err(io::Error::other)?;
                self.ended = self.left_in_chunk == 0;
                continue;
            }
            let mut byte = [0];
            self.connection.stream.read_exact(&mut byte)?;
            self.left_in_chunk -= 1;
            if self.left_in_chunk == 0 {
                self.connection.line()?;
            }
            if byte[0] == b'\n' {
                return Ok(Some(line));
            }
            line.push(byte[0]);
        }
        Ok(None)
    }
}

/// An event as `TYPE name`.
pub fn summary(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]))
}

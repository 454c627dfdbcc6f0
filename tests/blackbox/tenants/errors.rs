//! What is wrong outside of us: each ends in a sentence that says what to do.

use super::{Person, host};
use crate::harness::certificates::Signer;
use base64::prelude::{BASE64_STANDARD, Engine};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

#[test]
fn hosts_that_cannot_be_reached_are_told_apart() {
    let person = Person::new();
    let path = person.kubeconfig();
    let good = std::fs::read_to_string(&path).expect("it is there");
    let address = format!("https://{}", host().api().address);
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let other = std::fs::read_to_string(crate::harness::shared().kubeconfig("host")).expect("a kubeconfig");
    let line =
        |text: &str, key: &str| text.lines().find(|line| line.contains(key)).expect("a line").to_owned();
    let (ours, theirs) =
        (line(&good, "certificate-authority-data"), line(&other, "certificate-authority-data"));
    let (user, key) = (line(&good, "client-certificate-data"), line(&good, "client-key-data"));
    for (text, words) in [
        (good.replace(&address, &format!("https://{nobody}")), vec!["cannot be reached", "--context"]),
        (
            good.replace(&address, "https://no-such-host.invalid"),
            vec!["cannot be reached", "no-such-host.invalid"],
        ),
        (good.replace(&ours, &theirs), vec!["certificate", "another authority", "fetch a new kubeconfig"]),
        (
            good.replace("client-certificate-data", "x-unknown").replace("client-key-data", "x-key"),
            vec!["you may not", "platform team"],
        ),
        (
            good.replace(&user, "    token: wrong").replace(&key, ""),
            vec!["does not accept your credentials", "log in again"],
        ),
        ("clusters: [".into(), vec!["not understood", "config"]),
        (good.replace("current-context", "x-context"), vec!["no current context", "--context"]),
    ] {
        std::fs::write(&path, &text).expect("writable");
        person.says(&["list"]).failed(&words);
    }
    std::fs::write(&path, &good).expect("writable");
    person.says(&["list", "--context", "elsewhere"]).failed(&["no context \"elsewhere\"", "there are"]);
    person.says(&["list", "--kubeconfig", "/nowhere/config"]).failed(&["/nowhere/config", "--kubeconfig"]);
    std::fs::remove_file(&path).expect("it is there");
    person.says(&["list"]).failed(&["there is no kubeconfig", "$KUBECONFIG"]);
}

/// A host that shows a certificate which is good between these years and does no more; a kubeconfig that trusts its
/// authority.
fn host_of_years(from: i32, to: i32) -> (SocketAddr, String) {
    let signer = Signer::stranger();
    let identity = signer.serve(from, to);
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has all of them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a key for the certificate");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = Arc::new(config);
    // It ends with the process of the tests.
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut tls = ServerConnection::new(config.clone()).expect("a configuration");
            // The other side hangs up.
            while tls.is_handshaking() && tls.complete_io(&mut socket).is_ok() {}
        }
    });
    let authority = BASE64_STANDARD.encode(&signer.certificate);
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "odd",
        "clusters": [{ "name": "odd", "cluster": { "server": format!("https://{address}"), "certificate-authority-data": authority } }],
        "users": [{ "name": "me", "user": { "token": "any" } }],
        "contexts": [{ "name": "odd", "context": { "cluster": "odd", "user": "me" } }],
    });
    (address, kubeconfig.to_string())
}

/// Clocks that differ show in certificates first: each way it is told which clock to look at.
#[test]
fn clocks_that_differ_are_told_apart() {
    let person = Person::new();
    for (from, to, words) in [
        (2098, 2099, ["is not valid yet", "the clock of this machine", "set it right"]),
        (2020, 2021, ["has expired", "renew it there", "the clock of this machine"]),
    ] {
        let (address, kubeconfig) = host_of_years(from, to);
        std::fs::write(person.kubeconfig(), kubeconfig).expect("writable");
        for command in [&["list"][..], &["create", "red", "--connect=false"], &["doctor", "red"]] {
            person.says(command).failed(&[&words[..], &[&address.to_string(), "context odd"]].concat());
        }
    }
}

/// A host that takes connections and says nothing.
#[test]
fn a_host_that_is_silent_is_told() {
    let person = Person::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let good = std::fs::read_to_string(person.kubeconfig()).expect("it is there");
    let ours = format!("https://{}", host().api().address);
    let theirs = format!("https://{}", silent.local_addr().expect("an address"));
    std::fs::write(person.kubeconfig(), good.replace(&ours, &theirs)).expect("writable");
    person.says(&["list"]).failed(&["cannot be reached", &theirs, "check that it runs", "--context"]);
}

#[test]
fn names_and_tenants_that_are_none_are_told() {
    let person = Person::new();
    let said = person.says(&["create", "Not_a_label"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("cannot be the name of a tenant"), "{}", said.err);
    for command in ["connect", "describe", "pause", "resume", "doctor"] {
        person.says(&[command, "nobody"]).failed(&["there is no tenant nobody", "alcove list"]);
    }
    person.says(&["connect", "Not_a_label"]).failed(&["cannot be the name of a tenant"]);
}

#[test]
fn two_of_one_name_are_told_apart_by_their_namespaces() {
    let person = Person::new();
    for namespace in ["twin-a", "twin-b"] {
        host().api().namespace(namespace);
        person.says(&["create", "twin", "-n", namespace, "--timeout", "1s"]).failed(&["not ready"]);
    }
    person.says(&["describe", "twin"]).failed(&["twin-a, twin-b", "-n"]);
    person.says(&["describe", "twin", "-n", "twin-a"]).well();
    for namespace in ["twin-a", "twin-b"] {
        person.says(&["delete", "twin", "-n", namespace, "--yes"]).well();
    }
}

/// A tenant that keeps nothing is not paused, and one without a kubeconfig is not connected to.
#[test]
fn what_would_be_lost_or_is_not_there_yet_is_told() {
    let person = Person::new();
    let set = "controlPlane.storage.persistent=false";
    person.says(&["create", "brief", "--set", set, "--timeout", "1s"]).failed(&["not ready"]);
    person.says(&["pause", "brief"]).failed(&["keeps nothing over a pause"]);
    person.says(&["connect", "brief"]).failed(&[
        "has no kubeconfig yet",
        "brief-kubeconfig",
        "alcove doctor brief",
    ]);
    let foreign =
        json!({ "metadata": { "name": "brief-kubeconfig" }, "data": { "value": "bm90IHlhbWw6IFs=" } });
    host().api().post("/api/v1/namespaces/brief/secrets", &foreign).expect(201);
    person.says(&["connect", "brief"]).failed(&["brief-kubeconfig", "not understood"]);
    person.says(&["delete", "brief", "--yes"]).well();
}

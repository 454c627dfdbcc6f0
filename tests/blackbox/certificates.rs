//! Certificates for people: what kubectl's users do to let somebody in who has a key of their own.

use super::harness::session::Session;
use super::harness::shared;
use super::harness::transcript::play;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

/// A key that its owner keeps, and the request for its certificate: `ada`, of the groups `dev` and `ops`.
fn key_and_request() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ada");
    // rcgen keeps one value per spelling of an attribute type, and knows two of this one.
    params.distinguished_name.push(DnType::OrganizationName, "dev");
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 10]), "ops");
    let request = params.serialize_request(&key).and_then(|request| request.pem()).expect("a request");
    (key.serialize_pem(), request)
}

#[test]
fn a_key_of_ones_own_becomes_a_user() {
    let mut session = Session::new(shared(), "certificates", &[("kubectl", "kubectl-1.35")]);
    let (key, request) = key_and_request();
    let home = session.kubeconfig().parent().expect("a home").to_owned();
    std::fs::write(home.join("ada.key"), key).expect("a new file");
    session.variables.push(("REQUEST", BASE64_STANDARD.encode(request)));
    play(&session, "1.35", "certificates");
}

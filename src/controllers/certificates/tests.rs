//! Whole requests through the controller, and a table of what signers say.

use super::*;
use crate::testing::World;
use alcove_apiserver::options::{PatchType, WriteOptions};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

/// A request with this subject and these alternative names.
fn request(name: &str, group: &str, places: &[SanType]) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.subject_alt_names = places.to_vec();
    let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    BASE64_STANDARD.encode(request.pem().unwrap())
}

#[test]
fn signers_sign_what_is_theirs() {
    let place = || SanType::DnsName("node".try_into().unwrap());
    let uri = || SanType::URI("spiffe://node".try_into().unwrap());
    let mail = || SanType::Rfc822Name("a@node".try_into().unwrap());
    let address = || SanType::IpAddress([10, 0, 0, 1].into());
    let (client, kubelet, serving) =
        ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving");
    let node = ("system:node:a", "system:nodes");
    let to_serve = ["server auth", "digital signature"];
    let to_call = ["client auth", "digital signature", "key encipherment"];
    type Case<'a> = (&'a str, (&'a str, &'a str), &'a [SanType], &'a [&'a str], &'a str);
    let cases: &[Case<'_>] = &[
        (client, ("ada", "dev"), &[], &["client auth"], ""),
        (client, ("ada", "dev"), &[place()], &to_call, ""),
        (client, ("ada", "dev"), &[], &["client auth", "any"], "invalid usage for client certificate: any"),
        (
            client,
            ("ada", "dev"),
            &[],
            &["digital signature"],
            "missing required usage for client certificate: client auth",
        ),
        (kubelet, node, &[], &to_call, ""),
        (kubelet, node, &[], &["client auth", "digital signature"], ""),
        (kubelet, (node.0, "dev"), &[], &to_call, "subject organization is not system:nodes"),
        (kubelet, node, &[place()], &to_call, "DNS subjectAltNames are not allowed"),
        (kubelet, node, &[mail()], &to_call, "Email subjectAltNames are not allowed"),
        (kubelet, node, &[address()], &to_call, "IP subjectAltNames are not allowed"),
        (kubelet, node, &[uri()], &to_call, "URI subjectAltNames are not allowed"),
        (kubelet, ("ada", node.1), &[], &to_call, "subject common name does not begin with system:node:"),
        (
            kubelet,
            node,
            &[],
            &["client auth"],
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (serving, node, &[place()], &to_serve, ""),
        (serving, node, &[address()], &to_serve, ""),
        (serving, node, &[], &to_serve, "DNS or IP subjectAltName is required"),
        (serving, node, &[place(), uri()], &to_serve, "URI subjectAltNames are not allowed"),
        (
            serving,
            node,
            &[place()],
            &to_call,
            "usages did not match [digital signature key encipherment server auth]",
        ),
        (
            serving,
            ("ada", node.1),
            &[place()],
            &to_serve,
            "subject common name does not begin with system:node:",
        ),
    ];
    for (signer, (name, group), places, usages, expected) in cases {
        let object = json!({ "spec": { "request": request(name, group, places) } });
        let check = signers::check(&format!("kubernetes.io/{signer}")).unwrap();
        let said = check(&CertificateRequest::of(&object).unwrap(), usages);
        let said = said.err().map(|why| why.to_string()).unwrap_or_default();
        assert_eq!(said, *expected, "{signer} {name} {group} {usages:?}");
    }
    assert!(
        signers::check("kubernetes.io/legacy-unknown").is_none() && signers::check("example.com/a").is_none()
    );
}

/// A request by its signer, usage and the type of the condition that somebody gave it.
async fn asked(world: &World, name: &str, usage: &str, decision: &str) {
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": { "name": name },
        "spec": { "request": request("ada", "dev", &[]), "usages": [usage],
            "signerName": "kubernetes.io/kube-apiserver-client" },
    });
    let mut object = world.create(&resource(), object).await;
    if !decision.is_empty() {
        object["status"]["conditions"] = json!([{ "type": decision, "status": "True", "reason": "ByHand" }]);
        world.client.update_subresource(&resource(), "approval", "", object).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_approved_is_signed_or_fails_and_goes_in_time() {
    let world = World::new().await;
    asked(&world, "denied", "client auth", "Denied").await;
    asked(&world, "waiting", "client auth", "").await;
    asked(&world, "wrong", "server auth", "Approved").await;
    asked(&world, "good", "client auth", "Approved").await;
    let of = |all: &[Value], name: &str| all.iter().find(|r| meta::name(r) == name).cloned().unwrap();
    let settled = |all: &[Value]| {
        life::is_issued(&of(all, "good")) && condition::find(&of(all, "wrong"), "Failed").is_some()
    };
    let all = world.until(&resource(), settled).await;
    let failed = condition::find(&of(&all, "wrong"), "Failed").cloned().unwrap();
    assert_eq!(failed["reason"], "SignerValidationFailure");
    assert_eq!(failed["message"], "invalid usage for client certificate: server auth");
    assert!(!life::is_issued(&of(&all, "denied")) && !life::is_issued(&of(&all, "waiting")));

    world.env.advance(3_601);
    // A change shows it to the controller now and not when its time has come.
    let patch = json!({ "metadata": { "labels": { "seen": "again" } } });
    for name in ["denied", "waiting", "wrong", "good"] {
        let options = WriteOptions::default();
        let patched =
            world.client.patch(&resource(), "", "", name, PatchType::Merge, patch.clone(), &options).await;
        drop(patched);
    }
    world.until(&resource(), |all| crate::testing::names(all) == ["waiting"]).await;
}

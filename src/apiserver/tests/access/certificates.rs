//! Certificates asked for and approved, and acting as somebody else.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::world::*;

/// A request for a certificate with this subject, as `spec.request` holds it.
fn certificate_request(user: &str, group: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, user);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
    BASE64_STANDARD.encode(params.serialize_request(&key).unwrap().pem().unwrap())
}

#[tokio::test]
async fn certificates_are_asked_for_and_approved_by_those_who_may() {
    let mut world = World::new().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let all = json!({"verbs": ["*"], "apiGroups": ["certificates.k8s.io"], "resources": [
        "certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status",
    ]});
    world.allow("ada", json!([all])).await;
    let mut ada = world.user("ada", &["dev"]).await;
    let request = |name: &str, group: &str, spec: Value| {
        let mut object = json!({"metadata": {"name": name}, "spec": {
            "request": certificate_request("eve", group), "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"], "username": "root", "groups": ["system:masters"],
        }});
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        object
    };
    let made = ada.post(path, &request("a", "dev", json!({}))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["spec"]["username"], "ada", "who sends it is who asks");
    assert_eq!(made["spec"]["groups"], json!(["dev", "system:authenticated"]));

    let masters = ada.post(path, &request("b", "system:masters", json!({}))).await;
    assert_eq!(
        message(&masters),
        "certificatesigningrequests.certificates.k8s.io \"b\" is forbidden: use of kubernetes.io/kube-apiserver-client \
         signer with system:masters group is not allowed"
    );
    for (spec, why) in [
        (json!({"request": "bm9uc2Vuc2U="}), "spec.request: Invalid value: "),
        (json!({"usages": []}), "spec.usages: Required value"),
        (json!({"usages": ["fun"]}), "spec.usages[0]: Unsupported value: \"fun\""),
        (json!({"usages": ["any", "any"]}), "spec.usages[1]: Duplicate value: \"any\""),
        (json!({"signerName": "nobody"}), "must be a fully qualified domain and path of the form"),
        (json!({"signerName": "kubernetes.io/legacy-unknown"}), "the legacy signerName is not allowed"),
        (json!({"expirationSeconds": 599}), "may not specify a duration less than 600 seconds (10 minutes)"),
    ] {
        let refused = ada.post(path, &request("c", "dev", spec.clone())).await;
        assert_eq!(refused.status, 422, "{spec}");
        assert!(message(&refused).contains(why), "{spec}: {}", refused.text());
    }

    let mut approved = made.clone();
    approved["spec"]["signerName"] = "example.com/other".into();
    approved["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Test"}]);
    let put = [("content-type", "application/json")];
    let approval = format!("{path}/a/approval");
    let refused = ada.send(Method::PUT, &approval, &put, approved.to_string()).await;
    assert_eq!(
        message(&refused),
        "certificatesigningrequests.certificates.k8s.io \"a\" is forbidden: user not permitted to approve requests with \
         signerName \"kubernetes.io/kube-apiserver-client\""
    );
    let early = ada.send(Method::PUT, &format!("{path}/a/status"), &put, approved.to_string()).await;
    assert_eq!(early.status, 422, "approval has its own subresource: {}", early.text());

    let signers = json!({"verbs": ["approve"], "apiGroups": ["certificates.k8s.io"], "resources": ["signers"],
        "resourceNames": ["kubernetes.io/*"]});
    let role = json!({"metadata": {"name": "approver"}, "rules": [signers]});
    world.made(&format!("{RBAC}/clusterroles"), role).await;
    let binding = json!({
        "metadata": {"name": "approver"}, "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "approver"},
        "subjects": [{"apiGroup": GROUP, "kind": "User", "name": "ada"}],
    });
    world.made(&format!("{RBAC}/clusterrolebindings"), binding).await;
    let answer = ada.send(Method::PUT, &approval, &put, approved.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let object = answer.json();
    assert_eq!(object["spec"], made["spec"], "approval changes conditions alone");
    assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "2026-11-21T09:30:00Z");
    let mut denied = object.clone();
    denied["status"]["conditions"] = json!([{"type": "Denied", "status": "True"}]);
    let refused = ada.send(Method::PUT, &approval, &put, denied.to_string()).await;
    assert!(
        message(&refused).contains("updates may not remove a condition of type \"Approved\""),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn whoever_may_acts_as_somebody_else() {
    let mut world = World::new().await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let mut eve = world.user("eve", &[]).await;
    let refused = eve.send(Method::GET, "/version", &[("impersonate-user", "root")], "").await;
    assert_eq!(
        (refused.status.as_u16(), message(&refused)),
        (
            403,
            "users \"root\" is forbidden: User \"eve\" cannot impersonate resource \"users\" in API group \"\" at the \
             cluster scope"
                .to_owned()
        )
    );
    world.allow("eve", json!([
        {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users", "serviceaccounts"]},
        {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["groups"], "resourceNames": ["dev"]},
        {"verbs": ["impersonate"], "apiGroups": ["authentication.k8s.io"], "resources": ["userextras/scopes"],
            "resourceNames": ["view"]},
    ]))
    .await;
    let account = "system:serviceaccount:default:builder";
    for (headers, expected) in [
        (
            vec![("impersonate-user", "ada")],
            Ok(json!({"username": "ada", "groups": ["system:authenticated"]})),
        ),
        (
            vec![
                ("impersonate-user", "ada"),
                ("impersonate-group", "dev"),
                ("impersonate-extra-scopes", "view"),
            ],
            Ok(
                json!({"username": "ada", "groups": ["dev", "system:authenticated"], "extra": {"scopes": ["view"]}}),
            ),
        ),
        (
            vec![("impersonate-user", account)],
            Ok(json!({"username": account, "groups":
                ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]})),
        ),
        (
            vec![("impersonate-user", "ada"), ("impersonate-group", "system:masters")],
            Err((
                403,
                "groups \"system:masters\" is forbidden: User \"eve\" cannot impersonate resource \"groups\"",
            )),
        ),
        (
            vec![("impersonate-user", "ada"), ("impersonate-extra-scopes", "edit")],
            Err((
                403,
                "userextras.authentication.k8s.io \"edit\" is forbidden: User \"eve\" cannot impersonate resource \"userextras/scopes\"",
            )),
        ),
        (
            vec![("impersonate-user", "ada"), ("impersonate-uid", "1")],
            Err((
                403,
                "uids.authentication.k8s.io \"1\" is forbidden: User \"eve\" cannot impersonate resource \"uids\"",
            )),
        ),
        (vec![("impersonate-group", "dev")], Err((400, "requested &user.DefaultInfo{"))),
    ] {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers.clone());
        let answer = eve.send(Method::POST, WHOAMI, &all, review.clone()).await;
        match expected {
            Ok(user) => assert_eq!(answer.json()["status"]["userInfo"], user, "{headers:?}"),
            Err((code, why)) => {
                assert_eq!(answer.status, code, "{headers:?}");
                assert!(message(&answer).starts_with(why), "{}", answer.text());
            }
        }
    }
    // What is acted as counts, not who acts.
    let pods = format!("{CORE}/pods");
    let answer = world.admin.send(Method::GET, &pods, &[("impersonate-user", "ada")], "").await;
    assert_eq!(answer.status, 403);
    let headers = [("impersonate-user", "ada"), ("impersonate-group", "system:masters")];
    assert_eq!(world.admin.send(Method::GET, &pods, &headers, "").await.status, 200);
}

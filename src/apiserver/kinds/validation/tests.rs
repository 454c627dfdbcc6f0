//! What is wrong with objects, against what upstream's strategies say of the same ones (k8s.io/kubernetes v1.36.3),
//! through the whole pipeline. Upstream shows a diff behind the first line of some messages; only that line counts.

use crate::bootstrap;
use crate::client::Client;
use crate::kinds;
use crate::registry::Registry;
use crate::testing::{TestEnv, server};
use crate::user::User;
use alcove_object::{Gvk, Gvr, Status, Value, meta};
use alcove_schema::Minor;
use std::collections::BTreeSet;
use std::sync::Arc;

fn gvr(registry: &Registry, object: &Value) -> Gvr {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let gvk = Gvk::from_api_version(text("apiVersion"), text("kind"));
    registry.kind(&gvk).expect("every case is of a built-in kind").gvr.clone()
}

/// Field and first line of the message of every cause.
fn causes(result: Result<(), Status>) -> BTreeSet<(String, String)> {
    let Err(status) = result else { return BTreeSet::new() };
    let details = status.details.clone().unwrap_or_default();
    if details.causes.is_empty() {
        return BTreeSet::from([("".to_owned(), status.message.clone())]);
    }
    details.causes.iter().map(|c| (c.field.clone(), comparable(&c.message))).collect()
}

/// The first line, without objects: upstream shows them in the form of its Go types.
fn comparable(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match (line.find("value: {"), line.rfind('}')) {
        (Some(start), Some(end)) => format!("{}{}", &line[..start], &line[end + 1..]),
        _ => line.to_owned(),
    }
}

async fn attempt(client: &Client, registry: &Registry, case: &Value) -> Result<(), Status> {
    let object = case["given"].clone();
    let resource = gvr(registry, &object);
    let namespace = meta::namespace(&object).to_owned();
    if let Some(old) = case.get("old") {
        client.create(&resource, &namespace, old.clone()).await.expect("what is to be changed is valid");
        return client.update(&resource, &namespace, object).await.map(|_| ());
    }
    client.create(&resource, &namespace, object).await.map(|_| ())
}

#[tokio::test]
async fn errors_equal_upstream() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../testdata/validation.json")).unwrap();
    let mut wrong = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let server = server(kinds::resources(Minor(36)), Arc::new(TestEnv::new(1)));
        bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        let wanted: Vec<(String, String)> = serde_json::from_value(case["causes"].clone()).unwrap();
        let wanted = wanted.into_iter().map(|(field, message)| (field, comparable(&message))).collect();
        let got = causes(attempt(&client, &server.registry(), case).await);
        if got != wanted {
            let missing: Vec<_> = BTreeSet::difference(&wanted, &got).collect();
            let added: Vec<_> = got.difference(&wanted).collect();
            wrong.push(format!(
                "case {i} {}\n  missing {missing:#?}\n  added {added:#?}",
                case["given"]["kind"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} of {} cases", wrong.join("\n"), wrong.len(), cases.len());
}

//! What is wrong outside of us: each ends in a sentence that says what to do.

use super::{Person, host};
use serde_json::json;

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

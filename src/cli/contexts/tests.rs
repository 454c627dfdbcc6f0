//! Edits of kubeconfigs: nothing is lost, and one comes back to where one was.

use super::*;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const FOREIGN: &str = "\
apiVersion: v1
kind: Config
preferences: {colors: true}
x-ours: {number: 1, text: \"1\", yes: \"true\"}
clusters:
- name: prod
  cluster: {server: 'https://10.0.0.1:6443', extensions: [{name: a, extension: {b: [1, 2]}}]}
users:
- name: me
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: get-token, env: [{name: A, value: \"0123\"}]}}
contexts:
- name: prod
  context: {cluster: prod, user: me, namespace: \"123\"}
current-context: prod
";

fn entry(name: &str, previous: &str) -> Entry {
    Entry {
        name: name.into(),
        cluster: json!({ "server": "https://127.0.0.1:8443" }),
        user: json!({ "token": "0x10" }),
        namespace: None,
        mark: Mark {
            tenant: "red".into(),
            namespace: "team".into(),
            parent: Some("prod".into()),
            previous: Some(previous.into()),
        },
    }
}

#[test]
fn an_entry_comes_and_goes_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, FOREIGN).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let before: Value = file::read(&path).unwrap();
    let files = Files { paths: vec![path.clone()] };

    files.add(&entry("alcove_red", "prod"), true).unwrap();
    assert_eq!(files.current().unwrap().as_deref(), Some("alcove_red"));
    assert_eq!(files.mark("alcove_red").unwrap(), Some(entry("alcove_red", "prod").mark));
    assert_eq!(files.mark("prod").unwrap(), None);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let merged = files.merged().unwrap();
    assert_eq!(merged.contexts.len(), 2);

    files.add(&entry("alcove_red", "prod"), true).unwrap();
    assert_eq!(
        file::read(&path).unwrap()["contexts"].as_array().unwrap().len(),
        2,
        "the same name is replaced"
    );

    assert_eq!(files.remove("alcove_red").unwrap().as_deref(), Some("prod"));
    assert_eq!(file::read(&path).unwrap(), before);
    assert!(!folder.path().join("config.lock").exists());
}

#[test]
fn one_goes_back_to_where_one_came_from_if_that_is_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, FOREIGN).unwrap();
    let files = Files { paths: vec![path] };
    files.add(&entry("one", "prod"), true).unwrap();
    files.add(&entry("two", "one"), true).unwrap();
    files.add(&entry("three", "two"), true).unwrap();
    files.remove("two").unwrap();
    assert_eq!(files.current().unwrap().as_deref(), Some("three"), "another one's end changes nothing");
    assert_eq!(files.remove("three").unwrap().as_deref(), Some("prod"), "the one before it is gone");
}

#[test]
fn of_several_files_the_first_counts_and_missing_ones_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let [missing, first, second] = ["missing", "first", "second"].map(|name| folder.path().join(name));
    fs::write(&first, "").unwrap();
    fs::write(&second, FOREIGN).unwrap();
    let files = Files { paths: vec![missing.clone(), first.clone(), second.clone()] };
    assert_eq!(files.current().unwrap().as_deref(), Some("prod"));
    files.add(&entry("red", "prod"), true).unwrap();
    assert_eq!(files.current().unwrap().as_deref(), Some("red"));
    assert_eq!(fs::read_to_string(&second).unwrap(), FOREIGN);
    assert_eq!(files.remove("red").unwrap().as_deref(), Some("prod"));
    assert!(!missing.exists());
    assert_eq!(file::read(&first).unwrap()["contexts"], json!([]));
}

#[test]
fn links_stay_links_and_locks_are_respected() {
    let folder = tempfile::tempdir().unwrap();
    let [real, link] = ["real", "link"].map(|name| folder.path().join(name));
    fs::write(&real, FOREIGN).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let files = Files { paths: vec![link.clone()] };
    files.add(&entry("red", "prod"), false).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(files.current().unwrap().as_deref(), Some("prod"));
    fs::write(folder.path().join("real.lock"), "").unwrap();
    let error = files.add(&entry("blue", "prod"), false).unwrap_err().to_string();
    assert!(error.contains("real.lock"), "{error}");
}

#[test]
fn what_is_no_kubeconfig_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    for (text, word) in [("a: [", "config"), ("just text", "no keys"), ("clusters: 7", "config")] {
        fs::write(&path, text).unwrap();
        let error = Files { paths: vec![path.clone()] }.merged().unwrap_err().to_string();
        assert!(error.contains("not understood") && error.contains("config"), "{word}: {error}");
    }
    let error = Files::find(Some(&folder.path().join("nowhere"))).unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("--kubeconfig"), "{error}");
}

//! The process itself: its command line, its files, how it ends, and what it refuses to start over.

use super::harness::server::{Launch, scratch};
use super::harness::{Server, eventually};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// How a command that must fail failed: it ends with a code, not by a signal, and says something on stderr.
fn failure(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|code| code != 0), "{:?}\n{text}", output.status);
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[track_caller]
fn assert_mentions(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

fn alcove() -> Command {
    Command::new(env!("CARGO_BIN_EXE_alcove"))
}

#[test]
fn help_and_version_are_printed() {
    let output = alcove().arg("--help").output().expect("the binary starts");
    assert!(output.status.success());
    assert_mentions(&String::from_utf8_lossy(&output.stdout), &["dev", "serve"]);
    let output = alcove().arg("--version").output().expect("the binary starts");
    assert_mentions(&String::from_utf8_lossy(&output.stdout), &["alcove", env!("CARGO_PKG_VERSION")]);
    assert_mentions(&failure(alcove().arg("devv")), &["devv", "dev"]);
}

/// Ctrl-C and SIGTERM end the process in order, with what was written still there.
#[test]
fn signals_end_it_in_order() {
    let mut server = Server::dev(&["--nodes", "1"]);
    server.api().namespace("kept");
    for signal in [Signal::INT, Signal::TERM] {
        server.signal(signal);
        let (status, output) = server.wait_for_end();
        assert!(status.success(), "{signal:?}: {status}\n{output}");
        assert!(!output.contains("panicked"), "{output}");
        server.start_again();
        server.api().get("/api/v1/namespaces/kept").expect(200);
    }
}

/// A watch that is open does not hold up the end; its client sees an orderly end.
#[test]
fn the_end_does_not_wait_for_watchers() {
    let mut server = Server::serve(&[]);
    let mut watch = server.api().watch("/api/v1/namespaces?watch=1&resourceVersion=0");
    watch.event();
    server.signal(Signal::TERM);
    while watch.next().is_some() {}
    let (status, output) = server.wait_for_end();
    assert!(status.success(), "{status}\n{output}");
}

#[test]
fn dev_says_where_to_go_on() {
    let launch = Launch { kubeconfig: "trial.kubeconfig", ..Launch::dev(&["trial", "--nodes", "2"]) };
    let server = Server::start(launch);
    let (host, tenant) = (server.kubeconfig("host"), server.kubeconfig("trial"));
    eventually("the next commands", || {
        let output = server.output();
        let said =
            ["export KUBECONFIG=", "kubectl ", &tenant.display().to_string(), &host.display().to_string()];
        let missing = said.iter().find(|part| !output.contains(**part));
        missing.map_or(Ok(()), |part| Err(format!("{part:?} is not in: {output}")))
    });
    for kubeconfig in [host, tenant] {
        let mode = fs::metadata(&kubeconfig).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", kubeconfig.display());
    }
    let nodes = server.host().get("/api/v1/nodes").expect(200);
    assert_eq!(nodes["items"].as_array().expect("a list").len(), 2);
}

#[test]
fn every_minor_is_served() {
    for minor in ["1.34", "1.35", "1.37"] {
        let server = Server::serve(&["--kubernetes-version", minor]);
        let version = server.api().get("/version").expect(200);
        assert_eq!(
            format!("{}.{}", version["major"].as_str().unwrap(), version["minor"].as_str().unwrap()),
            minor
        );
        let storage = server.api().get("/apis/storagemigration.k8s.io/v1");
        assert_eq!(storage.status == 200, minor == "1.37", "{minor}: {}", storage.text());
    }
    let scratch = scratch();
    let text = failure(
        Launch::serve(&["--kubernetes-version", "1.12"]).command(scratch.path()).args(["--port", "0"]),
    );
    assert_mentions(&text, &["1.12"]);
}

#[test]
fn a_second_process_is_refused_over_one_directory() {
    let server = Server::serve(&[]);
    let text = failure(&mut Launch::serve(&[]).command(server.data()));
    assert_mentions(&text, &["another alcove process uses", &server.data().display().to_string()]);
    assert_eq!(server.api().get("/readyz").status, 200);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let server = Server::serve(&[]);
    let (_, port) =
        server.api().address.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let scratch = scratch();
    let launch =
        Launch { arguments: ["serve", "--port", &port].map(str::to_owned).to_vec(), ..Launch::serve(&[]) };
    assert_mentions(&failure(&mut launch.command(scratch.path())), &[&port, "taken", "--port"]);
}

#[test]
fn a_free_port_is_kept_over_restarts() {
    let mut server = Server::serve(&[]);
    let before = server.api().address;
    server.kill();
    server.start_again();
    assert_eq!(server.api().address, before);
}

/// The database files below a data directory.
fn databases(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a data directory").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { databases(&path) } else { vec![path] })
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")))
        .collect()
}

#[test]
fn a_damaged_database_is_refused_with_the_way_to_restore() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let mut server = Server::start_in(Launch::serve(&[]), &data);
    for at in 0..200 {
        let body =
            serde_json::json!({"metadata": {"name": format!("filler-{at}")}, "data": {"a": "x".repeat(500)}});
        server.api().post("/api/v1/namespaces/default/configmaps", &body).expect(201);
    }
    server.signal(Signal::TERM);
    server.wait_for_end();
    let found = databases(&data);
    let database = found.first().expect("a database");
    let sound = fs::read(database).expect("readable");
    let mut torn = sound.clone();
    torn.truncate(sound.len() / 2);
    let mut scribbled = sound.clone();
    for byte in &mut scribbled[4096..] {
        *byte = 0xa5;
    }
    for damaged in [torn, scribbled, b"not a database at all, but long enough to be one".repeat(20)] {
        fs::write(database, &damaged).expect("writable");
        let text = failure(&mut Launch::serve(&[]).command(&data));
        assert_mentions(&text, &[&database.display().to_string(), "damaged", "alcove restore"]);
        assert_eq!(fs::read(database).expect("readable"), damaged, "nothing was changed");
    }
    fs::write(database, sound).expect("writable");
    server.start_again();
    server.api().get("/api/v1/namespaces/default/configmaps/filler-199").expect(200);
}

#[test]
fn an_unknown_config_key_is_named_with_the_nearest() {
    let scratch = scratch();
    let config = scratch.path().join("config.yaml");
    let head = "apiVersion: alcove.dev/v1alpha1\nkind: Config\n";
    for (body, words) in [
        ("kubernetesVersoin: \"1.36\"\n", vec!["kubernetesVersoin", "kubernetesVersion"]),
        ("kubernetesVersion: [\n", vec!["config.yaml"]),
        ("kubernetesVersion: \"0.9\"\n", vec!["kubernetesVersion", "1.34"]),
    ] {
        fs::write(&config, format!("{head}{body}")).expect("writable");
        let launch = Launch::serve(&["--config", config.to_str().expect("text")]);
        assert_mentions(&failure(&mut launch.command(&scratch.path().join("data"))), &words);
    }
    let missing = Launch::serve(&["--config", "/nowhere/config.yaml"]);
    assert_mentions(&failure(&mut missing.command(&scratch.path().join("data"))), &["/nowhere/config.yaml"]);
}

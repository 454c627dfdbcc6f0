//! The real kubectl of three minors does what its users know, and prints what they know: see `transcripts/`.

use super::harness::server::Server;
use super::harness::session::Session;
use super::harness::shared;
use super::harness::transcript::play;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn run(transcript: &str, minor: &str) {
    let namespace = format!("{transcript}-{}", minor.replace('.', "-"));
    let session = Session::new(shared(), &namespace, &[("kubectl", &format!("kubectl-{minor}"))]);
    play(&session, minor, transcript);
}

/// A module per transcript, a test per minor of kubectl.
macro_rules! transcripts {
    ($($name:ident)*) => { $(
        mod $name {
            #[test]
            fn v1_33() { super::run(stringify!($name), "1.33") }

            #[test]
            fn v1_35() { super::run(stringify!($name), "1.35") }

            #[test]
            fn v1_37() { super::run(stringify!($name), "1.37") }
        }
    )* };
}

transcripts! { access create apply change rollout stateful get describe discover delete custom quota cron autoscale ephemeral flow policy }

/// What concerns a whole cluster, on one of its own.
fn run_alone(transcript: &str) {
    let server = Server::dev(&["--nodes", "1"]);
    let session = Session::new(&server, transcript, &[("kubectl", "kubectl-1.35")]);
    play(&session, "1.35", transcript);
}

#[test]
fn drain() {
    run_alone("drain");
}

#[test]
fn metrics() {
    run_alone("metrics");
}

/// `kubectl get -w` shows an object's changes as rows, in order, while they happen.
fn get_watch(minor: &str) {
    let namespace = format!("watch-{}", minor.replace('.', "-"));
    let session = Session::new(shared(), &namespace, &[("kubectl", &format!("kubectl-{minor}"))]);
    session.ok("kubectl create deployment web --image=nginx --replicas=0");
    let mut command = session.command("exec kubectl get deployment web --watch --output-watch-events");
    let mut kubectl = command.stdout(Stdio::piped()).spawn().expect("a shell starts");
    let mut lines = BufReader::new(kubectl.stdout.take().expect("piped")).lines();
    let mut next =
        || lines.next().expect("a line").expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(next(), "EVENT NAME READY UP-TO-DATE AVAILABLE AGE");
    assert!(next().starts_with("ADDED web 0/0 0 0 "));
    session.ok("kubectl scale deployment web --replicas=1");
    let mut rows = Vec::new();
    while !rows.last().is_some_and(|row: &String| row.starts_with("MODIFIED web 1/1 1 1 ")) {
        rows.push(next());
    }
    assert!(rows[0].starts_with("MODIFIED web 0/"), "{rows:?}");
    session.ok("kubectl delete deployment web");
    let last = std::iter::from_fn(|| Some(next())).find(|row| row.starts_with("DELETED web "));
    assert!(last.is_some());
    kubectl.kill().expect("our own child");
    kubectl.wait().expect("our own child");
}

#[test]
fn get_watch_v1_33() {
    get_watch("1.33");
}

#[test]
fn get_watch_v1_35() {
    get_watch("1.35");
}

#[test]
fn get_watch_v1_37() {
    get_watch("1.37");
}

//! Daemon sets: their pods come and go with the nodes of a tenant, and those are there while something else is on them.
//! Nodes are everybody's in a tenant, so each test has one of its own.

use super::harness::Server;
use super::harness::session::Session;
use super::harness::transcript::play;

fn run(minor: &str) {
    let server = Server::dev(&["demo", "--nodes", "2"]);
    let session = Session::new(&server, "daemon", &[("kubectl", &format!("kubectl-{minor}"))]);
    play(&session, minor, "daemon");
}

#[test]
fn v1_33() {
    run("1.33");
}

#[test]
fn v1_35() {
    run("1.35");
}

#[test]
fn v1_37() {
    run("1.37");
}

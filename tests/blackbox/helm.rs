//! The real helm 3 and helm 4 (which installs by server-side apply) with a chart of one of each kind and a hook.

use super::harness::session::Session;
use super::harness::shared;
use super::harness::transcript::play;

fn run(version: &str) {
    let namespace = format!("releases-{version}");
    let tools = [("helm", version), ("kubectl", "kubectl-1.35")];
    let session = Session::new(shared(), &namespace, &tools);
    play(&session, version, "helm");
}

#[test]
fn helm_3() {
    run("helm-3");
}

#[test]
fn helm_4() {
    run("helm-4");
}

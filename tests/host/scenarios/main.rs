//! What tenants do on a real Kubernetes: `make test-host`.
//!
//! A scenario is a transcript of what users type and see (`transcripts/SUBJECT/NAME.txt`), or a function where that is
//! not enough. Each has a namespace of its own in the tenant. In its end, what is on the host must be what the tenant's
//! objects say (see `agreement`), and when its namespace is gone nothing of it may be left on the host. Scenarios run
//! side by side; those that shake the tenant or the host run alone, after the others; the tenants are deleted last,
//! which must leave nothing.
//!
//! `ALCOVE_HOST_KUBECONFIG` names the host. With `ALCOVE_SCENARIOS_ON=host` transcripts are played on the host itself:
//! what upstream's own cluster does not do, a scenario must not expect of a tenant.

mod agreement;
#[allow(dead_code, unused_imports, reason = "shared with the black-box tests, which use more of it")]
#[path = "../../blackbox/harness/mod.rs"]
mod harness;
mod install;
mod runner;
mod scenario;
mod world;

fn main() {
    std::process::exit(runner::run());
}

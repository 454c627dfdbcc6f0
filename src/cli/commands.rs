//! The commands that work on tenants of a host: one file each.
//!
//! They speak to the host with the rights of whoever runs them. What they install is the object set of
//! `alcove_operator::provision`, so that helm can take over what they made, and they can what helm did.

pub mod connect;
pub mod create;
pub mod delete;
pub mod describe;
pub mod disconnect;
pub mod doctor;
pub mod findings;
pub mod forward;
pub mod list;
pub mod pause;
pub mod session;

/// Why a command on a tenant failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{place}: {detail}")]
    Values { place: String, detail: String },
    #[error(
        "you lack rights on the host cluster {host}: {missing}; ask its platform team for them, or choose another namespace with -n"
    )]
    Rights { host: String, missing: String },
    #[error(
        "the tenant {name} is there already, in namespace {namespace}; `alcove connect {name}` leads to it, --update changes it"
    )]
    Exists { name: String, namespace: String },
    #[error("there is no tenant {name} in namespace {namespace} to change; leave --update out to make it")]
    NothingToUpdate { name: String, namespace: String },
    #[error(
        "namespace {namespace} belongs to the tenant {other}; choose another one with -n, or let them share it with --set 'isolation.sharedWith=[{other}]'"
    )]
    SecondTenant { namespace: String, other: String },
    #[error("namespace {namespace} is being deleted; wait until it is gone, or choose another one with -n")]
    NamespaceGoes { namespace: String },
    #[error("there is no namespace {namespace}; make it, or leave --create-namespace=false out")]
    NoNamespace { namespace: String },
    #[error(
        "namespace {namespace} has {objects} already, and they belong to something else; choose another name, or another namespace with -n"
    )]
    Foreign { namespace: String, objects: String },
    #[error(
        "the claim of {name} cannot become {what} while it is there; save what is in the tenant, delete it and make it anew"
    )]
    ClaimIsFixed { name: String, what: String },
    #[error(
        "{name} is not ready after {seconds} s: {why}\n  {advice}\n  What was made stays: `alcove doctor {name}` looks again, `alcove delete {name}` removes it."
    )]
    NotReady { name: String, seconds: u64, why: String, advice: String },
    #[error("{what} is still there after {seconds} s{detail}; `alcove delete` can be run again")]
    StillThere { what: String, seconds: u64, detail: String },
    #[error("{loss}; say --yes to do it without being asked")]
    Unconfirmed { loss: String },
    #[error("nothing was done")]
    Declined,
    #[error(
        "{name} has no kubeconfig yet (Secret {namespace}/{secret}): it is {state}; `alcove doctor {name}` tells why"
    )]
    NoKubeconfig { name: String, namespace: String, secret: String, state: String },
    #[error("the kubeconfig in Secret {namespace}/{secret} is not understood: {detail}")]
    BadKubeconfig { namespace: String, secret: String, detail: String },
    #[error("the tenant {name} does not answer at {server}: {detail}")]
    NoAnswer { name: String, server: String, detail: String },
    #[error("cannot listen on 127.0.0.1:{port} ({source}); choose another port with --local-port")]
    Listen { port: u16, source: std::io::Error },
    #[error("cannot run {command}: {source}")]
    Command { command: String, source: std::io::Error },
    #[error("{current}; `alcove connect NAME` leads to a tenant")]
    NotConnected { current: String },
    #[error(
        "{name} keeps nothing over a pause: it has no claim (controlPlane.storage.persistent is false), so all that is in it would be lost; delete it instead"
    )]
    NothingKept { name: String },
    #[error(
        "namespace {namespace} was not made by `alcove create`, so it is not deleted; leave --delete-namespace out, or delete it with kubectl"
    )]
    NotOurNamespace { namespace: String },
}

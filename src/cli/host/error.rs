//! What can go wrong between the command line and a host, as sentences that say what to do.

use super::Host;
use crate::contexts;
use alcove_syncer::{Certificate, certificate, deepest};
use std::time::Duration;

/// Why a host did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Kubeconfig(#[from] contexts::Error),
    #[error(
        "the host cluster {host} cannot be reached ({detail}); check that it runs and that your network leads there, or choose another one with --context or --kubeconfig"
    )]
    Unreachable { host: String, detail: String },
    #[error(
        "the host cluster {host} was reached but did not answer within {} s; try again, or look at its API server and at what stands before it",
        after.as_secs()
    )]
    Silent { host: String, after: Duration },
    #[error(
        "the certificate of the host cluster {host} is not valid yet; the clock of this machine is probably slow: set it right"
    )]
    NotYetValid { host: String },
    #[error(
        "the certificate of the host cluster {host} has expired; renew it there, or set the clock of this machine right if it is fast"
    )]
    Expired { host: String },
    #[error(
        "the certificate of the host cluster {host} is not the one that the kubeconfig trusts ({detail}); fetch a new kubeconfig for this cluster, or choose another context with --context"
    )]
    Untrusted { host: String, detail: String },
    #[error(
        "the host cluster {host} does not accept your credentials; log in again, or choose another context with --context"
    )]
    Unauthorized { host: String },
    #[error("the credentials of the kubeconfig cannot be used for {host}: {detail}; log in again")]
    Credentials { host: String, detail: String },
    #[error(
        "you may not {doing} on the host cluster {host}; ask its platform team for this right, or choose another namespace with -n ({message})"
    )]
    Forbidden { host: String, doing: String, message: String },
    #[error("cannot {doing} on the host cluster {host}: {message}")]
    Status { host: String, doing: String, code: u16, message: String },
    #[error("cannot {doing} on the host cluster {host}: {message}")]
    Other { host: String, doing: String, message: String },
    #[error("cannot make a request: {0}")]
    Request(String),
}

impl Error {
    /// Whether it is about a right that the user has not.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Error::Forbidden { .. })
    }

    /// What kept the host from an answer to `doing`, such as `list pods in namespace red`.
    pub fn of(host: &Host, doing: &str, error: kube::Error) -> Error {
        let (host, doing) = (host.called(), doing.to_owned());
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Error::Unauthorized { host },
                403 => Error::Forbidden { host, doing, message: status.message.clone() },
                code => Error::Status { host, doing, code, message: status.message.clone() },
            },
            kube::Error::Auth(error) => Error::Credentials { host, detail: deepest(&error) },
            error => match certificate(&error) {
                Some(Certificate::NotYetValid) => Error::NotYetValid { host },
                Some(Certificate::Expired) => Error::Expired { host },
                Some(Certificate::Other(detail)) => Error::Untrusted { host, detail },
                None if matches!(error, kube::Error::Service(_) | kube::Error::HyperError(_)) => {
                    Error::Unreachable { host, detail: deepest(&error) }
                }
                None => Error::Other { host, doing, message: deepest(&error) },
            },
        }
    }
}

//! What can go wrong between the command line and a host, as sentences that say what to do.

use super::Host;
use crate::contexts;

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

/// What is wrong with a server's certificate.
#[derive(Debug, PartialEq, Eq)]
pub enum Certificate {
    NotYetValid,
    Expired,
    Other(String),
}

/// What is wrong with the server's certificate, if that is what an error is about.
pub fn certificate(error: &(dyn std::error::Error + 'static)) -> Option<Certificate> {
    use rustls::CertificateError as Wrong;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
            next = Some(inner);
            continue;
        }
        let tls = error.downcast_ref::<rustls::Error>();
        if let Some(rustls::Error::InvalidCertificate(wrong)) = tls {
            return Some(match wrong {
                Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => Certificate::NotYetValid,
                Wrong::Expired | Wrong::ExpiredContext { .. } => Certificate::Expired,
                Wrong::UnknownIssuer | Wrong::BadSignature => {
                    Certificate::Other("it is signed by another authority".into())
                }
                wrong => Certificate::Other(wrong.to_string()),
            });
        }
        next = error.source();
    }
    None
}

/// The last cause, which says most.
pub fn deepest(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_found_however_deep_it_is_wrapped() {
        let wrapped = |wrong: rustls::CertificateError| {
            let inner = std::io::Error::other(rustls::Error::InvalidCertificate(wrong));
            std::io::Error::other(inner)
        };
        assert_eq!(
            certificate(&wrapped(rustls::CertificateError::NotValidYet)),
            Some(Certificate::NotYetValid)
        );
        assert_eq!(certificate(&wrapped(rustls::CertificateError::Expired)), Some(Certificate::Expired));
        assert!(matches!(
            certificate(&wrapped(rustls::CertificateError::BadSignature)),
            Some(Certificate::Other(_))
        ));
        assert_eq!(certificate(&std::io::Error::other("refused")), None);
    }
}

//! Why a key could not be synced.

use crate::causes::{Certificate, certificate, deepest};
use alcove_object::Status;
use std::time::Duration;

/// Why a key could not be synced, sorted by what is to be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host is down or asks for patience: the key waits with all others until it may be asked again.
    #[error("the host cannot be asked now: {why}")]
    Unavailable {
        /// What it said, or did not say.
        why: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
        /// The status code of its answer; 0: none.
        code: u16,
        /// What is wrong with its certificate, if that is why.
        certificate: Option<Certificate>,
    },
    /// The host judged the object and refuses it: the tenant is told.
    #[error("{message}")]
    Refused {
        /// What it said.
        message: String,
        /// The status code of its answer.
        code: u16,
    },
    /// What the object asks for is the host's to give free in a moment: it is asked again.
    #[error("the host has not yet given free what the object had that went")]
    Held,
    /// The host's object is not the one that we know: its watch tells what it is now.
    #[error("the host's object changed meanwhile: {0}")]
    Changed(#[source] kube::Error),
    /// Any other answer of the host.
    #[error(transparent)]
    Host(kube::Error),
    /// The tenant's API server refused.
    #[error(transparent)]
    Tenant(#[from] Status),
    /// An object that is no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Sorts what the host's client says.
    pub fn of(error: kube::Error) -> Error {
        let unavailable = |retry_after, code| Error::Unavailable {
            why: deepest(&error),
            retry_after,
            code,
            certificate: certificate(&error),
        };
        match &error {
            kube::Error::Api(status) => match status.code {
                // What its authorizer says, and no admission step (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters).
                403 if status.message.contains(" cannot ") && status.message.contains(" resource \"") => {
                    let message = format!("{}; ask the platform team for this right", status.message);
                    Error::Refused { message, code: 403 }
                }
                code @ (400 | 403 | 422) => Error::Refused { message: status.message.clone(), code },
                // A webhook of the host that does not answer: upstream calls that an internal error.
                500 if status.message.contains("failed calling webhook") => {
                    Error::Refused { message: status.message.clone(), code: 500 }
                }
                409 => Error::Changed(error),
                code @ (401 | 429 | 503 | 504) => {
                    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                    unavailable((seconds > 0).then(|| Duration::from_secs(seconds.into())), code)
                }
                _ => Error::Host(error),
            },
            kube::Error::Service(_)
            | kube::Error::HyperError(_)
            | kube::Error::ReadEvents(_)
            | kube::Error::Auth(_) => unavailable(None, 0),
            _ => Error::Host(error),
        }
    }

    /// The host did not answer in time.
    pub fn silence(after: Duration) -> Error {
        let why = format!("no answer within {} s", after.as_secs());
        Error::Unavailable { why, retry_after: None, code: 0, certificate: None }
    }

    /// What an outage means to whoever reads the log, and what to do.
    pub fn advice(&self) -> &'static str {
        let Error::Unavailable { code, certificate, .. } = self else { return "" };
        match (certificate, code) {
            (Some(Certificate::NotYetValid), _) => {
                "the certificate of the host is not valid yet: the clock here is slow, or the host's is fast; set them right"
            }
            (Some(Certificate::Expired), _) => {
                "the certificate of the host has expired: renew it there, or set the clock here right if it is fast"
            }
            (Some(Certificate::Other(_)), _) => {
                "the certificate of the host is not one that this cluster trusts: give it the host's present authority"
            }
            (None, 401) => {
                "the host refuses the credentials of this cluster: a new token is read as soon as there is one; if none comes, \
                 delete the pod, so that its next one gets one, or mend the kubeconfig"
            }
            (None, 429) => "the host asks for patience: everything waits, and is caught up with",
            (None, _) => "the host cannot be asked: everything waits, and is caught up with",
        }
    }

    /// The status code of the host's answer; 0: there was none.
    pub fn code(&self) -> u16 {
        match self {
            Error::Unavailable { code, .. } | Error::Refused { code, .. } => *code,
            Error::Changed(kube::Error::Api(status)) | Error::Host(kube::Error::Api(status)) => status.code,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> Error {
        Error::of(kube::Error::Api(Box::new(kube::core::Status::failure(message, "").with_code(code))))
    }

    #[test]
    fn an_outage_says_what_to_do() {
        let broken = |wrong| {
            let wrong = std::io::Error::other(rustls::Error::InvalidCertificate(wrong));
            Error::of(kube::Error::Service(Box::new(wrong)))
        };
        for (error, advice) in [
            (broken(rustls::CertificateError::NotValidYet), "the clock here is slow"),
            (broken(rustls::CertificateError::Expired), "renew it there"),
            (broken(rustls::CertificateError::UnknownIssuer), "the host's present authority"),
            (answer(401, "Unauthorized"), "a new token is read as soon as there is one"),
            (answer(429, "busy"), "asks for patience"),
            (answer(503, "starting"), "cannot be asked"),
            (Error::silence(Duration::from_secs(30)), "cannot be asked"),
        ] {
            assert!(error.advice().contains(advice), "{error:?}: {}", error.advice());
        }
    }

    #[test]
    fn a_right_that_is_missing_names_whom_to_ask() {
        let forbidden = "pods \"a\" is forbidden: User \"u\" cannot patch resource \"pods\" in API group \"\" in the namespace \"n\"";
        let refused = answer(403, forbidden).to_string();
        assert_eq!(refused, format!("{forbidden}; ask the platform team for this right"));
        let quota = "pods \"a\" is forbidden: exceeded quota: q";
        assert_eq!(answer(403, quota).to_string(), quota);
    }
}

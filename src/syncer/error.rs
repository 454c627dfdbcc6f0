//! Why a key could not be synced.

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
        let unavailable =
            |retry_after, code| Error::Unavailable { why: error.to_string(), retry_after, code };
        match &error {
            kube::Error::Api(status) => match status.code {
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
            kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::Auth(_) => {
                unavailable(None, 0)
            }
            _ => Error::Host(error),
        }
    }

    /// The host did not answer in time.
    pub fn silence(after: Duration) -> Error {
        let why = format!("no answer within {} s", after.as_secs());
        Error::Unavailable { why, retry_after: None, code: 0 }
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

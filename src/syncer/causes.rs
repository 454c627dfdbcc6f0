//! What lies beneath an error of a connection: whoever tells a person of it says the last cause, and what is wrong with a
//! certificate, since that is where clocks that differ show first.

/// What is wrong with a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// It begins later than now, as our clock says.
    NotYetValid,
    /// It ended before now, as our clock says.
    Expired,
    /// Anything else, in words.
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

//! Client certificates: CN is the user, O are the groups (k8s.io/apiserver/pkg/authentication/request/x509).
//!
//! The TLS handshake takes whatever certificate a client offers, checking only that the client holds its key; whether
//! we trust it is decided here, so that a wrong or expired one is a 401 with a `Status`, as upstream answers, and not
//! a broken connection that tells nothing. Trust is judged once per connection, the end of validity on every request.

use crate::user::User;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::sync::{Arc, OnceLock};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Kubernetes' own attribute type for a user's UID in a certificate's subject.
const UID_ATTRIBUTE: &str = "1.3.6.1.4.1.57683.2";

/// Why a client certificate was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum X509Error {
    /// No authority for client certificates is configured.
    #[error("no authority for client certificates is configured")]
    NoAuthority,
    /// The chain does not lead to our authority, or is not valid now, or not for clients.
    #[error("the certificate is not valid: {0}")]
    Untrusted(String),
    /// The certificate was good when the connection was made, and has expired since.
    #[error("the certificate expired during the connection")]
    Expired,
    /// The certificate is no X.509.
    #[error("the certificate cannot be read")]
    Unreadable,
}

/// The authority that client certificates must come from.
#[derive(Debug)]
pub struct ClientCertificates {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCertificates {
    /// Trusts certificates that these authorities signed for client use.
    pub fn new(
        authorities: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<ClientCertificates, X509Error> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|error| X509Error::Untrusted(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .map_err(|error| X509Error::Untrusted(error.to_string()))?;
        Ok(ClientCertificates { verifier })
    }

    /// Whom a chain stands for, and until when (seconds since 1970). `None`: nobody, since it names no user.
    fn judge(
        &self,
        chain: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Result<Option<(User, i64)>, X509Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(X509Error::Unreadable)?;
        self.verifier
            .verify_client_cert(leaf, intermediates, now)
            .map_err(|error| X509Error::Untrusted(error.to_string()))?;
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| X509Error::Unreadable)?;
        let until = certificate.validity().not_after.timestamp();
        Ok(user_of(&certificate, leaf).map(|user| (user, until)))
    }
}

fn user_of(certificate: &X509Certificate<'_>, der: &[u8]) -> Option<User> {
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok().filter(|name| !name.is_empty())?;
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    let uid = subject
        .iter_attributes()
        .find(|attribute| attribute.attr_type().to_id_string() == UID_ATTRIBUTE)
        .and_then(|attribute| attribute.as_str().ok());
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(User {
        name: name.to_owned(),
        uid: uid.unwrap_or_default().to_owned(),
        groups: groups.map(str::to_owned).collect(),
        extra: vec![("authentication.kubernetes.io/credential-id".into(), vec![format!("X509SHA256={hex}")])],
    })
}

/// What a connection's client certificate says, judged when first asked.
#[derive(Debug, Default)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    judged: OnceLock<Result<Option<(User, i64)>, X509Error>>,
}

impl Identity {
    /// A connection without a client certificate.
    pub fn none() -> Identity {
        Identity::default()
    }

    /// A connection with this chain, leaf first.
    pub fn of(chain: &[CertificateDer<'_>]) -> Identity {
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Identity { chain, judged: OnceLock::new() }
    }

    /// Whom the certificate stands for right now. `None`: there is no certificate, or it names nobody.
    pub fn user(&self, authority: Option<&ClientCertificates>) -> Option<Result<User, X509Error>> {
        if self.chain.is_empty() {
            return None;
        }
        let Some(authority) = authority else { return Some(Err(X509Error::NoAuthority)) };
        let now = UnixTime::now();
        match self.judged.get_or_init(|| authority.judge(&self.chain, now)) {
            Ok(None) => None,
            Ok(Some((_, until))) if now.as_secs() as i64 > *until => Some(Err(X509Error::Expired)),
            Ok(Some((user, _))) => Some(Ok(user.clone())),
            Err(error) => Some(Err(error.clone())),
        }
    }
}

/// Takes any client certificate whose key the client holds. Who it is, authentication decides: see the top.
#[derive(Debug)]
pub struct DeferredVerifier {
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl DeferredVerifier {
    /// A verifier that hints at these authorities, so that clients with many certificates pick the right one.
    pub fn new(authorities: &[CertificateDer<'static>], provider: &CryptoProvider) -> DeferredVerifier {
        let subject = |der: &CertificateDer<'static>| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(DistinguishedName::from(certificate.subject().as_raw().to_vec()))
        };
        DeferredVerifier {
            subjects: authorities.iter().filter_map(subject).collect(),
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ClientCertVerifier for DeferredVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

//! Whom to trust outside.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};
use std::sync::Arc;

/// How a TLS connection is made and judged.
pub type Tls = rustls::ClientConfig;

/// A connection whose judge is still to be named.
pub fn builder() -> Result<ConfigBuilder<Tls, WantsVerifier>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = Tls::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|error| error.to_string())
}

/// The authorities of a `caBundle`: PEM in base64. Fails with a sentence. Without one there is nobody to trust: this
/// process has no authorities of its own.
pub fn bundle(text: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let pem = BASE64_STANDARD.decode(text).map_err(|error| format!("caBundle: {error}"))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("caBundle: {error}"))?;
        roots.add(certificate).map_err(|error| format!("caBundle: {error}"))?;
    }
    Ok(roots)
}

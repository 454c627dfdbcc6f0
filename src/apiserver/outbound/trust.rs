//! Whom to trust outside.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// How a TLS connection is made and judged.
pub type Tls = rustls::ClientConfig;

/// A connection whose judge is still to be named.
pub fn builder() -> Result<ConfigBuilder<Tls, WantsVerifier>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = Tls::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|error| error.to_string())
}

/// Where systems keep the authorities that everybody trusts (Go's crypto/x509: root_linux.go). The first that is there
/// counts.
const SYSTEM: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Names another file of authorities, as Go's programs have it.
const SYSTEM_VARIABLE: &str = "SSL_CERT_FILE";

/// The authorities of a `caBundle`: PEM in base64. Fails with a sentence. Without one they are the system's.
pub fn bundle(text: &str) -> Result<Arc<RootCertStore>, String> {
    if text.is_empty() {
        return Ok(system());
    }
    let mut roots = RootCertStore::empty();
    let pem = BASE64_STANDARD.decode(text).map_err(|error| format!("caBundle: {error}"))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("caBundle: {error}"))?;
        roots.add(certificate).map_err(|error| format!("caBundle: {error}"))?;
    }
    Ok(Arc::new(roots))
}

/// The system's authorities, read when somebody first needs them: most processes never do. A new file counts after a
/// restart.
fn system() -> Arc<RootCertStore> {
    static SYSTEM_ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = SYSTEM_ROOTS.get_or_init(|| {
        let named = std::env::var_os(SYSTEM_VARIABLE).map(PathBuf::from);
        Arc::new(match named {
            Some(file) => authorities(&[file]),
            None => authorities(&SYSTEM.map(PathBuf::from)),
        })
    });
    roots.clone()
}

/// What the first of these files holds that is there, without what is no authority; nobody if there is none.
fn authorities(files: &[PathBuf]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let Some(pem) = files.iter().find_map(|file| std::fs::read(file).ok()) else { return roots };
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_is_there_names_the_authorities() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty, full) =
            (folder.path().join("missing"), folder.path().join("empty"), folder.path().join("full"));
        let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem();
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&full, format!("# one\n{certificate}\nnothing\n{certificate}")).unwrap();
        for (files, expected) in [
            (vec![], 0),
            (vec![missing.clone()], 0),
            (vec![missing, full.clone()], 2),
            (vec![empty, full], 0),
        ] {
            assert_eq!(authorities(&files).len(), expected, "{files:?}");
        }
    }

    #[test]
    fn a_bundle_is_read_whole_or_not_at_all() {
        let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem();
        assert_eq!(bundle(&BASE64_STANDARD.encode(certificate)).unwrap().len(), 1);
        assert!(bundle("%").unwrap_err().starts_with("caBundle: "));
    }
}

//! Secrets that say they are a certificate and its key for TLS and are not, in the words of Go's crypto/tls.X509KeyPair.

use crate::http::provider;
use crate::kinds::tree::{field_text, text};
use alcove_object::Value;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Secrets.
pub(in crate::kinds) fn secret(object: &Value, _: Option<&Value>) -> Vec<String> {
    if field_text(object, "type") != "kubernetes.io/tls" {
        return Vec::new();
    }
    let decoded = |pointer: &str| BASE64_STANDARD.decode(text(object, pointer)).unwrap_or_default();
    pair(&decoded("/data/tls.crt"), &decoded("/data/tls.key")).err().into_iter().collect()
}

fn pair(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let kinds = blocks(certificate);
    let is_key = |kind: &str| kind.ends_with(PRIVATE_KEY);
    if !kinds.iter().any(|kind| kind == CERTIFICATE) {
        return Err(match &kinds[..] {
            [] => "tls: failed to find any PEM data in certificate input".into(),
            [one] if is_key(one) => {
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; \
                 PEM inputs may have been switched"
                    .into()
            }
            skipped => format!(
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks \
                 of the following types: [{}]",
                skipped.join(" ")
            ),
        });
    }
    let kinds = blocks(key);
    if !kinds.iter().any(|kind| is_key(kind)) {
        return Err(match &kinds[..] {
            [] => "tls: failed to find any PEM data in key input".into(),
            [one] if one == CERTIFICATE => {
                "tls: found a certificate rather than a key in the PEM for the private key".into()
            }
            skipped => format!(
                "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after \
                 skipping PEM blocks of the following types: [{}]",
                skipped.join(" ")
            ),
        });
    }
    // What Go's parsers say of what is no certificate is about its insides.
    let Ok(certificate) = CertificateDer::from_pem_slice(certificate) else { return Ok(()) };
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else {
        return Err("tls: failed to parse private key".into());
    };
    match CertifiedKey::from_der(vec![certificate], key, &provider()) {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err("tls: private key does not match public key".into())
        }
        _ => Ok(()),
    }
}

/// The kinds of the blocks of a text in PEM.
fn blocks(pem: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(pem);
    let begun = text.lines().filter_map(|line| line.trim_end().strip_prefix("-----BEGIN "));
    let kinds = begun.filter_map(|rest| rest.strip_suffix("-----"));
    kinds.filter(|kind| text.contains(&format!("-----END {kind}-----"))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn pairs_that_are_none_are_told() {
        let key = KeyPair::generate().unwrap();
        let other = KeyPair::generate().unwrap().serialize_pem();
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let request = "-----BEGIN CERTIFICATE REQUEST-----\nQQ==\n-----END CERTIFICATE REQUEST-----\n";
        for (certificate, key, expected) in [
            (&*certificate, &*key, ""),
            (&certificate, &other, "tls: private key does not match public key"),
            ("", &key, "tls: failed to find any PEM data in certificate input"),
            (
                &key,
                &certificate,
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; \
                 PEM inputs may have been switched",
            ),
            (
                request,
                &key,
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks \
                 of the following types: [CERTIFICATE REQUEST]",
            ),
            (&certificate, "x", "tls: failed to find any PEM data in key input"),
            (
                &certificate,
                &certificate,
                "tls: found a certificate rather than a key in the PEM for the private key",
            ),
        ] {
            let said = pair(certificate.as_bytes(), key.as_bytes()).err().unwrap_or_default();
            assert_eq!(said, expected);
        }
    }
}

//! The keys that sign and verify service-account tokens: ECDSA P-256, kept in `DIR/pki/sa.key` (mode 0600).
//!
//! The file may hold several keys: the first one signs, all verify. So a key is replaced by putting a new one in front,
//! and the old one is taken away when the last token that it signed has ended.

use crate::certs;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The name of the algorithm in tokens and key sets.
pub const ALGORITHM: &str = "ES256";
/// What stands before the point of a P-256 key in the DER form of a public key (RFC 5480).
const PUBLIC_KEY_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Bytes of one coordinate of a point.
const COORDINATE_BYTES: usize = 32;

/// What can go wrong with signing keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written, or no key can be made.
    #[error(transparent)]
    File(#[from] certs::Error),
    /// The file holds something else than keys.
    #[error(
        "{path} holds no usable ECDSA P-256 key; restore it, or remove it for a new key (all tokens end then)"
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// The keys of one cluster; the first one signs.
pub struct SigningKeys {
    keys: Vec<Key>,
    random: SystemRandom,
}

struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        write!(out, "SigningKeys({ids:?})")
    }
}

impl SigningKeys {
    /// A new key, kept nowhere.
    pub fn generate() -> Result<SigningKeys, KeyError> {
        SigningKeys::from_pem(&certs::new_private_key()?, Path::new("memory"))
    }

    /// The keys of a data directory, made when there are none.
    pub fn open(dir: &Path) -> Result<SigningKeys, KeyError> {
        let path = certs::pki_dir(dir)?.join("sa.key");
        if !path.exists() {
            certs::write_private(&path, &certs::new_private_key()?)?;
        }
        SigningKeys::from_pem(&certs::read(&path)?, &path)
    }

    /// Keys in PEM (PKCS#8), the signing one first.
    pub fn from_pem(pem: &str, path: &Path) -> Result<SigningKeys, KeyError> {
        let no_key = || KeyError::NoKey { path: path.to_owned() };
        let random = SystemRandom::new();
        let mut keys = Vec::new();
        for der in PrivatePkcs8KeyDer::pem_slice_iter(pem.as_bytes()) {
            let der = der.map_err(|_| no_key())?;
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der(), &random);
            let pair = pair.map_err(|_| no_key())?;
            keys.push(Key { id: key_id(pair.public_key().as_ref()), pair });
        }
        if keys.is_empty() { Err(no_key()) } else { Ok(SigningKeys { keys, random }) }
    }

    /// A signed token with these claims (RFC 7515, compact form).
    pub fn sign(&self, claims: &Value) -> Result<String, String> {
        let key = self.keys.first().ok_or("there is no signing key")?;
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = encode(&json!({"alg": ALGORITHM, "kid": key.id}));
        token.push('.');
        token += &encode(claims);
        let signature = key.pair.sign(&self.random, token.as_bytes()).map_err(|_| "the key cannot sign")?;
        token.push('.');
        token += &BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(token)
    }

    /// The claims of a token that one of these keys signed. `None` for what is no token of ours in form.
    pub fn verify(&self, token: &str) -> Option<Result<Vec<u8>, String>> {
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let (signature, claims) = (decode(signature)?, decode(claims)?);
        // The algorithm is ours to choose, never the token's.
        if header.get("alg").and_then(Value::as_str) != Some(ALGORITHM) || header.get("crit").is_some() {
            return None;
        }
        let id = header.get("kid").and_then(Value::as_str).unwrap_or_default();
        let mut known = self.keys.iter().filter(|key| id.is_empty() || key.id == id).peekable();
        if known.peek().is_none() {
            return Some(Err("invalid signature, no keys found".into()));
        }
        let is_good = known.any(|key| {
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref());
            public.verify(signed.as_bytes(), &signature).is_ok()
        });
        Some(if is_good { Ok(claims) } else { Err("invalid signature".into()) })
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    pub fn key_set(&self) -> Value {
        let keys = self.keys.iter().map(|key| {
            let (x, y) = key.pair.public_key().as_ref()[1..].split_at(COORDINATE_BYTES);
            let [x, y] = [x, y].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
            json!({"use": "sig", "kty": "EC", "kid": key.id, "crv": "P-256", "alg": ALGORITHM, "x": x, "y": y})
        });
        json!({"keys": keys.collect::<Vec<Value>>()})
    }
}

/// Upstream's name of a key: the digest of its public half in DER (k8s.io/kubernetes/pkg/serviceaccount/jwt.go).
fn key_id(point: &[u8]) -> String {
    let der = [&PUBLIC_KEY_HEAD, point].concat();
    BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &der))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_private_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = SigningKeys::open(dir.path()).unwrap();
        let token = first.sign(&json!({"sub": "x"})).unwrap();
        let again = SigningKeys::open(dir.path()).unwrap();
        assert_eq!(again.verify(&token).unwrap().unwrap(), br#"{"sub":"x"}"#);
        let path = dir.path().join("pki/sa.key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(SigningKeys::open(dir.path()), Err(KeyError::NoKey { .. })));
    }

    #[test]
    fn an_old_key_verifies_until_it_is_taken_away() {
        let pem = || certs::new_private_key().unwrap();
        let keys = |pem: &str| SigningKeys::from_pem(pem, Path::new("memory")).unwrap();
        let (old, new) = (pem(), pem());
        let token = keys(&old).sign(&json!({})).unwrap();
        let both = keys(&format!("{new}{old}"));
        assert!(both.verify(&token).unwrap().is_ok());
        assert_eq!(both.key_set()["keys"].as_array().unwrap().len(), 2);
        let fresh = both.sign(&json!({})).unwrap();
        assert!(keys(&new).verify(&fresh).unwrap().is_ok());
        assert_eq!(keys(&new).verify(&token), Some(Err("invalid signature, no keys found".into())));
    }

    #[test]
    fn forged_tokens_are_refused() {
        let keys = SigningKeys::generate().unwrap();
        let token = keys.sign(&json!({"sub": "a"})).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let other = encode(json!({"sub": "b"}));
        let none = encode(json!({"alg": "none"}));
        let hmac = encode(json!({"alg": "HS256"}));
        for (forged, looks_like_one) in [
            (format!("{}.{other}.{}", parts[0], parts[2]), true),
            (format!("{}.{}.{}", parts[0], parts[1], encode(json!(1))), true),
            (format!("{none}.{}.", parts[1]), false),
            (format!("{hmac}.{}.{}", parts[1], parts[2]), false),
            (format!("{}.{}", parts[0], parts[1]), false),
            ("abc".into(), false),
            (String::new(), false),
        ] {
            let judged = keys.verify(&forged);
            assert_eq!(judged.is_some(), looks_like_one, "{forged}");
            assert!(!matches!(judged, Some(Ok(_))), "{forged}");
        }
    }
}

//! The server's own certificate authority: who may serve as us, and whom clients are.
//!
//! Only the authority is kept on disk (`DIR/pki`, directory 0700, files 0600). The serving certificate is made at
//! start and again at run time before it ends, so that nobody has to restart anything, ever. Keys are ECDSA P-256.

mod requests;

pub use requests::{CertificateRequest, Validity};

use alcove_object::Env;
use arc_swap::ArcSwap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority lives. All kubeconfigs end with it.
const AUTHORITY_VALIDITY: Duration = DAY.saturating_mul(10 * 365);
/// How long a serving certificate lives; it is replaced after two thirds of that.
const SERVING_VALIDITY: Duration = DAY.saturating_mul(365);
/// How far certificates reach back, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(5 * 60);
/// Groups in one client certificate. Past it: an error.
const GROUPS_MAX: usize = 2;
/// Object identifier of the attribute type organizationName: where certificates carry groups.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum Error {
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
    #[error("cannot use the certificate: {0}")]
    Using(#[from] rustls::Error),
    #[error("cannot read or write {path}: {source}; it must belong to the user that alcove runs as")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{path} holds no certificate; restore it together with its key, or remove both for a new authority"
    )]
    NoCertificate { path: PathBuf },
    #[error("a certificate for {user} can carry {GROUPS_MAX} groups, not {groups}")]
    TooManyGroups { user: String, groups: usize },
    #[error("{path} is there and {missing} is not; restore it, or remove both for a new authority")]
    Half { path: PathBuf, missing: PathBuf },
    #[error("the authority has a certificate or a key that cannot be used to sign requests")]
    Unreadable,
}

/// A certificate with its key, in PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
    /// When it ends.
    pub until: Timestamp,
}

/// The authority that signs serving and client certificates.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// Held while a kept certificate and its key are read or written: two that ask at once must not mix theirs.
    keeping: Mutex<()>,
}

impl Authority {
    /// A new authority, kept nowhere.
    pub fn generate(now: Timestamp) -> Result<Authority, Error> {
        let (pem, key) = Authority::new_pair(now)?;
        Authority::from_pem(pem, &key, Path::new("memory"))
    }

    /// The authority of a data directory: `DIR/pki/ca.crt` and `ca.key`, made when both are missing.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Authority, Error> {
        let pki = pki_dir(dir)?;
        let (certificate, key) = (pki.join("ca.crt"), pki.join("ca.key"));
        match (certificate.exists(), key.exists()) {
            (true, true) => {}
            (false, false) => {
                let (pem, private) = Authority::new_pair(now)?;
                write_private(&key, &private)?;
                write_private(&certificate, &pem)?;
            }
            (true, false) => return Err(Error::Half { path: certificate, missing: key }),
            (false, true) => return Err(Error::Half { path: key, missing: certificate }),
        }
        let (pem, private) = (read(&certificate)?, read(&key)?);
        Authority::from_pem(pem, &private, &certificate)
    }

    fn new_pair(now: Timestamp) -> Result<(String, String), Error> {
        let key = new_key()?;
        let mut params = params("alcove", now, AUTHORITY_VALIDITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
    }

    fn from_pem(pem: String, key: &str, path: &Path) -> Result<Authority, Error> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::NoCertificate { path: path.to_owned() })?;
        let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(key)?)?;
        Ok(Authority { pem, der, issuer, keeping: Mutex::new(()) })
    }

    /// The authority's certificate in PEM, for kubeconfigs and `kube-root-ca.crt`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The authority's certificate in DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// A certificate for serving under these host names and addresses.
    pub fn serving(&self, names: &[String], now: Timestamp) -> Result<Issued, Error> {
        let mut params = CertificateParams::new(names)?;
        let plain = params_of(&mut params, "kube-apiserver", now, SERVING_VALIDITY);
        plain.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params, now, SERVING_VALIDITY)
    }

    /// A certificate for a user in these groups.
    pub fn client(
        &self,
        user: &str,
        groups: &[&str],
        now: Timestamp,
        validity: Duration,
    ) -> Result<Issued, Error> {
        let mut params = params(user, now, validity);
        if groups.len() > GROUPS_MAX {
            return Err(Error::TooManyGroups { user: user.to_owned(), groups: groups.len() });
        }
        // rcgen keeps one value per spelling of an attribute type, and knows two spellings of this one.
        let spellings = [DnType::OrganizationName, DnType::CustomDnType(ORGANIZATION.to_vec())];
        for (spelling, group) in spellings.into_iter().zip(groups) {
            params.distinguished_name.push(spelling, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params, now, validity)
    }

    /// A certificate for a user that is kept in `DIR/pki/FILE.crt` and `FILE.key`, so that restarts give out the same
    /// one; a new one when two thirds of its life are over, or when what is kept is no longer ours.
    pub fn kept_client(
        &self,
        dir: &Path,
        file: &str,
        user: &str,
        groups: &[&str],
        now: Timestamp,
        validity: Duration,
    ) -> Result<Issued, Error> {
        let _alone = self.keeping.lock();
        let pki = pki_dir(dir)?;
        let (certificate, key) = (pki.join(format!("{file}.crt")), pki.join(format!("{file}.key")));
        if let (Ok(kept), Ok(kept_key)) = (read(&certificate), read(&key))
            && let Some((from, until)) = self.life_of(&kept)
            && until.as_second() - now.as_second() > (until.as_second() - from.as_second()) / 3
        {
            return Ok(Issued { certificate: kept, key: kept_key, until });
        }
        let issued = self.client(user, groups, now, validity)?;
        write_private(&key, &issued.key)?;
        write_private(&certificate, &issued.certificate)?;
        Ok(issued)
    }

    /// From when until when a certificate in PEM is good; `None` unless this authority signed it.
    fn life_of(&self, pem: &str) -> Option<(Timestamp, Timestamp)> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        let (_, authority) = x509_parser::parse_x509_certificate(&self.der).ok()?;
        certificate.verify_signature(Some(authority.public_key())).ok()?;
        let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some((at(certificate.validity().not_before)?, at(certificate.validity().not_after)?))
    }

    fn sign(&self, params: &CertificateParams, now: Timestamp, validity: Duration) -> Result<Issued, Error> {
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let until = now.saturating_add(validity).unwrap_or(Timestamp::MAX);
        Ok(Issued { certificate, key: key.serialize_pem(), until })
    }
}

/// A new private key in PEM (PKCS#8).
pub(crate) fn new_private_key() -> Result<String, Error> {
    Ok(new_key()?.serialize_pem())
}

/// `DIR/pki`, made when missing.
pub(crate) fn pki_dir(dir: &Path) -> Result<PathBuf, Error> {
    let pki = dir.join("pki");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&pki).map_err(at(&pki))?;
    Ok(pki)
}

/// The text of a file below `DIR/pki`.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(at(path))
}

fn new_key() -> Result<KeyPair, Error> {
    Ok(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?)
}

fn params(name: &str, now: Timestamp, validity: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params_of(&mut params, name, now, validity);
    params
}

fn params_of<'a>(
    params: &'a mut CertificateParams,
    name: &str,
    now: Timestamp,
    validity: Duration,
) -> &'a mut CertificateParams {
    let since_1970 = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let start = rcgen::date_time_ymd(1970, 1, 1) + since_1970;
    params.not_before = start - BACKDATED;
    params.not_after = start + validity;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::Io { path, source }
}

/// Writes a file that nobody else can read, wholly or not at all, and so that it outlives a crash. What is left of an
/// earlier try, or was put in its place by somebody else, is not written through.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let part = path.with_extension("part");
    let write = || {
        match std::fs::remove_file(&part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(at(path))
}

/// The serving certificate in use: handshakes read it, [`Serving::renew`] replaces it.
#[derive(Debug)]
pub struct Serving {
    authority: Arc<Authority>,
    names: Mutex<Vec<String>>,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<(Arc<CertifiedKey>, Timestamp)>,
}

impl Serving {
    /// A serving certificate for these names, valid from now on.
    pub fn new(
        authority: Arc<Authority>,
        names: Vec<String>,
        provider: Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<Serving, Error> {
        let first = certified(&authority, &names, &provider, now)?;
        Ok(Serving { authority, names: Mutex::new(names), provider, current: ArcSwap::from_pointee(first) })
    }

    /// Serves under these names and addresses too, from the next handshake on.
    pub fn add_names(&self, more: &[String], now: Timestamp) -> Result<(), Error> {
        let mut names = self.names.lock();
        let before = names.len();
        for name in more {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if names.len() > before {
            self.current.store(Arc::new(certified(&self.authority, &names, &self.provider, now)?));
        }
        Ok(())
    }

    /// Replaces the certificate whenever two thirds of its life are over. Never returns.
    pub async fn renew(&self, env: Arc<dyn Env>) {
        loop {
            let now = env.now();
            let left = self.current.load().1.as_second() - now.as_second();
            let spare = i64::try_from(SERVING_VALIDITY.as_secs() / 3).unwrap_or(0);
            if left > spare {
                tokio::time::sleep(Duration::from_secs((left - spare).unsigned_abs())).await;
                continue;
            }
            let next = certified(&self.authority, &self.names.lock(), &self.provider, now);
            match next {
                Ok(next) => self.current.store(Arc::new(next)),
                Err(error) => {
                    tracing::error!(%error, "cannot renew the serving certificate; trying again in an hour");
                    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
                }
            }
        }
    }
}

fn certified(
    authority: &Authority,
    names: &[String],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<(Arc<CertifiedKey>, Timestamp), Error> {
    let issued = authority.serving(names, now)?;
    let chain = vec![
        CertificateDer::from_pem_slice(issued.certificate.as_bytes())
            .expect("rcgen writes PEM that rustls reads"),
        authority.der.clone(),
    ];
    let key =
        PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("rcgen writes PEM that rustls reads");
    Ok((Arc::new(CertifiedKey::from_der(chain, key, provider)?), issued.until))
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().0.clone())
    }
}

/// What a kubeconfig proves its user with.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // both in PEM
pub enum Credentials<'a> {
    Certificate { certificate: &'a str, key: &'a str },
    Token(&'a str),
}

/// A kubeconfig with one cluster, one user and one context, all under the same `name`.
pub fn kubeconfig(
    name: &str,
    server: &str,
    authority: &str,
    user: Credentials<'_>,
    namespace: &str,
) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let encoded = |pem: &str| BASE64_STANDARD.encode(pem);
    let name = quoted(name);
    let user = match user {
        Credentials::Certificate { certificate, key } => format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            encoded(certificate),
            encoded(key)
        ),
        Credentials::Token(token) => format!("    token: {}\n", quoted(token)),
    };
    let namespace = match namespace {
        "" => String::new(),
        namespace => format!("    namespace: {}\n", quoted(namespace)),
    };
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster:\n    server: {}\n    \
         certificate-authority-data: {}\nusers:\n- name: {name}\n  user:\n{user}contexts:\n- name: {name}\n  \
         context:\n    cluster: {name}\n    user: {name}\n{namespace}current-context: {name}\n",
        quoted(server),
        encoded(authority),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_authority_survives_restarts_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path(), now()).unwrap();
        let again = Authority::open(dir.path(), now()).unwrap();
        assert_eq!(first.pem(), again.pem());
        let mode = |path: &str| dir.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("pki"), mode("pki/ca.key"), mode("pki/ca.crt")), (0o700, 0o600, 0o600));
        std::fs::remove_file(dir.path().join("pki/ca.key")).unwrap();
        assert!(matches!(Authority::open(dir.path(), now()), Err(Error::Half { .. })));
    }

    #[test]
    fn a_kept_certificate_is_given_out_until_two_thirds_of_its_life_are_over() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), now()).unwrap();
        let after =
            |days: u64| now().saturating_add(DAY.saturating_mul(u32::try_from(days).unwrap())).unwrap();
        let get = |authority: &Authority, at| {
            let issued = authority.kept_client(dir.path(), "admin", "ada", &["dev"], at, DAY * 30).unwrap();
            issued.certificate
        };
        let first = get(&authority, now());
        assert_eq!(get(&authority, after(19)), first);
        let second = get(&authority, after(21));
        assert_ne!(second, first);
        assert_eq!(get(&authority, after(22)), second);
        let other = Authority::generate(now()).unwrap();
        assert_ne!(get(&other, after(22)), second, "another authority's is no use");
    }

    #[test]
    fn two_that_ask_for_a_kept_certificate_at_once_get_one() {
        for _ in 0..8 {
            let dir = tempfile::tempdir().unwrap();
            let authority = Authority::generate(now()).unwrap();
            let get = || authority.kept_client(dir.path(), "admin", "ada", &["dev"], now(), DAY).unwrap();
            let all: Vec<Issued> = std::thread::scope(|scope| {
                let asking: Vec<_> = (0..4).map(|_| scope.spawn(get)).collect();
                asking.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for other in &all[1..] {
                assert_eq!((&other.certificate, &other.key), (&all[0].certificate, &all[0].key));
            }
        }
    }

    #[test]
    fn private_files_are_not_written_through_what_is_in_their_way() {
        let dir = tempfile::tempdir().unwrap();
        let (other, key) = (dir.path().join("other"), dir.path().join("a.key"));
        std::fs::write(&other, "of somebody else").unwrap();
        std::os::unix::fs::symlink(&other, key.with_extension("part")).unwrap();
        write_private(&key, "secret").unwrap();
        assert_eq!(std::fs::read_to_string(&key).unwrap(), "secret");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "of somebody else");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn certificates_say_who_and_until_when() {
        let authority = Authority::generate(now()).unwrap();
        let issued = authority.client("ada", &["system:masters", "dev"], now(), DAY).unwrap();
        let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let subject = certificate.subject();
        let groups: Vec<_> = subject.iter_organization().map(|group| group.as_str().unwrap()).collect();
        assert_eq!(subject.iter_common_name().next().unwrap().as_str().unwrap(), "ada");
        assert_eq!(groups, ["system:masters", "dev"]);
        assert_eq!(certificate.validity().not_after.timestamp(), now().as_second() + 24 * 60 * 60);
        assert_eq!(issued.until.as_second(), now().as_second() + 24 * 60 * 60);
    }

    #[test]
    fn kubeconfigs_are_yaml() {
        let credentials = Credentials::Certificate { certificate: "C", key: "K" };
        let text = kubeconfig("demo", "https://127.0.0.1:8443", "CA", credentials, "");
        let tree: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(tree["clusters"][0]["cluster"]["server"], "https://127.0.0.1:8443");
        assert_eq!(tree["clusters"][0]["cluster"]["certificate-authority-data"], "Q0E=");
        assert_eq!(tree["users"][0]["user"]["client-key-data"], "Sw==");
        assert_eq!(tree["contexts"][0]["context"]["user"], "demo");
        let token = kubeconfig("demo", "https://x", "CA", Credentials::Token("t\"k"), "dev");
        let tree: serde_json::Value = serde_saphyr::from_str(&token).unwrap();
        assert_eq!(tree["users"][0]["user"]["token"], "t\"k");
        assert_eq!(tree["contexts"][0]["context"]["namespace"], "dev");
    }
}

//! Client certificates as an administrator, a stranger and a former colleague would have them, and those of servers whose
//! clocks or keepers are wrong.

use super::http::ClientIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// Whoever signs: a certificate and its key, in PEM.
pub struct Signer {
    pub certificate: String,
    pub key: String,
}

/// A user, and whether the certificate is still good.
pub struct Subject<'a> {
    pub user: &'a str,
    pub group: &'a str,
    pub expired: bool,
}

impl Signer {
    /// An authority that nobody trusts.
    pub fn stranger() -> Signer {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "alcove");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Signer { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A certificate for a server on this machine, good from the first of January of one year to that of another.
    pub fn serve(&self, from: i32, to: i32) -> ClientIdentity {
        let key = KeyPair::from_pem(&self.key).expect("the authority's key");
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, key).expect("the authority's certificate");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        ClientIdentity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client certificate.
    pub fn sign(&self, subject: &Subject<'_>) -> ClientIdentity {
        let key = KeyPair::from_pem(&self.key).expect("the authority's key");
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, key).expect("the authority's certificate");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, subject.user);
        params.distinguished_name.push(DnType::OrganizationName, subject.group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after =
            if subject.expired { date_time_ymd(2021, 1, 1) } else { date_time_ymd(2099, 1, 1) };
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        ClientIdentity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

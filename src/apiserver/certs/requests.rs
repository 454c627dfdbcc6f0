//! Certificates for keys that others hold: what a request asks for is read here, and certified as upstream's authority
//! does it (k8s.io/kubernetes/pkg/controller/certificates/authority).
//!
//! Of a request come only names that Kubernetes knows, alternative names, and the key; whatever else it asks for is
//! dropped. The usages are the policy's. rcgen would keep one value for each kind of name in a subject, and groups are
//! many values of one kind, so the certificate is written here.

use super::{Authority, Error};
use crate::kinds::strategies::certificates::parse;
use alcove_object::{Env, Value};
use jiff::Timestamp;
use rcgen::SigningKey;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::x509::X509Name;
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, Tag};

type Oid = &'static [u64];

const COMMON_NAME: Oid = &[2, 5, 4, 3];
const ORGANIZATION: Oid = &[2, 5, 4, 10];
const SERIAL_NUMBER: Oid = &[2, 5, 4, 5];
/// The kinds of names that a subject may have, in the order in which Go writes them: country, organization, unit,
/// locality, province, street, postal code, common name, serial number.
const NAMES: [Oid; 9] = [
    &[2, 5, 4, 6],
    ORGANIZATION,
    &[2, 5, 4, 11],
    &[2, 5, 4, 7],
    &[2, 5, 4, 8],
    &[2, 5, 4, 9],
    &[2, 5, 4, 17],
    COMMON_NAME,
    SERIAL_NUMBER,
];

/// What a key may be used for, by the word in a request and the bit of the extension.
const KEY_USAGES: [(&str, u32); 10] = [
    ("signing", 0),
    ("digital signature", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("cert sign", 5),
    ("crl sign", 6),
    ("encipher only", 7),
    ("decipher only", 8),
];

/// What a certificate may be used for beyond that.
const EXTENDED_USAGES: [(&str, Oid); 13] = [
    ("any", &[2, 5, 29, 37, 0]),
    ("server auth", &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    ("client auth", &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    ("code signing", &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    ("email protection", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("s/mime", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsec end system", &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsec tunnel", &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsec user", &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    ("ocsp signing", &[1, 3, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoft sgc", &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
    ("netscape sgc", &[2, 16, 840, 1, 113_730, 4, 1]),
];

const KEY_USAGE: Oid = &[2, 5, 29, 15];
const SUBJECT_ALTERNATIVE_NAME: Oid = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: Oid = &[2, 5, 29, 19];
const AUTHORITY_KEY_IDENTIFIER: Oid = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: Oid = &[2, 5, 29, 37];

/// What a CertificateSigningRequest asks to have certified.
#[derive(Debug, Default)]
pub struct CertificateRequest {
    /// Values of the kinds in [`NAMES`].
    subject: [Vec<String>; NAMES.len()],
    /// Alternative names that are names of hosts.
    pub dns_names: Vec<String>,
    /// Alternative names that are addresses of mail.
    pub emails: Vec<String>,
    /// Alternative names that are addresses, four or sixteen bytes each.
    pub addresses: Vec<Vec<u8>>,
    /// Alternative names that are URIs.
    pub uris: Vec<String>,
    /// The key with its algorithm, in DER.
    public_key: Vec<u8>,
}

impl CertificateRequest {
    /// Reads the request in `spec.request` of a CertificateSigningRequest. An error says what is wrong with it: it cannot
    /// be read, or its key did not sign it.
    pub fn of(object: &Value) -> Result<CertificateRequest, String> {
        parse(object, |request| {
            let info = &request.certification_request_info;
            let mut read = CertificateRequest {
                subject: subject(&info.subject)?,
                public_key: info.subject_pki.raw.to_vec(),
                ..CertificateRequest::default()
            };
            for extension in request.requested_extensions().into_iter().flatten() {
                if let ParsedExtension::SubjectAlternativeName(names) = extension {
                    read.add_names(&names.general_names);
                }
            }
            Ok(read)
        })?
    }

    fn add_names(&mut self, names: &[GeneralName<'_>]) {
        for name in names {
            match *name {
                GeneralName::DNSName(name) => self.dns_names.push(name.to_owned()),
                GeneralName::RFC822Name(name) => self.emails.push(name.to_owned()),
                GeneralName::URI(name) => self.uris.push(name.to_owned()),
                GeneralName::IPAddress(address) => self.addresses.push(address.to_vec()),
                _ => {}
            }
        }
    }

    /// Whom the certificate is for; empty: nobody.
    pub fn common_name(&self) -> &str {
        self.names(COMMON_NAME).first().map_or("", String::as_str)
    }

    /// The groups.
    pub fn organizations(&self) -> &[String] {
        self.names(ORGANIZATION)
    }

    fn names(&self, kind: Oid) -> &[String] {
        let of_kind = NAMES.iter().zip(&self.subject).find(|(known, _)| **known == kind);
        of_kind.map_or(&[], |(_, values)| values)
    }

    fn has_alternative_names(&self) -> bool {
        let texts = [&self.dns_names, &self.emails, &self.uris];
        !self.addresses.is_empty() || texts.iter().any(|names| !names.is_empty())
    }
}

/// The names of a subject by their kind. Of common names and serial numbers the last one counts.
fn subject(name: &X509Name<'_>) -> Result<[Vec<String>; NAMES.len()], String> {
    let mut subject: [Vec<String>; NAMES.len()] = Default::default();
    for attribute in name.iter_attributes() {
        let kind: Vec<u64> = attribute.attr_type().iter().into_iter().flatten().collect();
        let Some(i) = NAMES.iter().position(|known| *known == kind) else { continue };
        let value = attribute.as_str().map_err(|error| format!("the subject cannot be read: {error}"))?;
        if [COMMON_NAME, SERIAL_NUMBER].contains(&NAMES[i]) {
            subject[i].clear();
        }
        subject[i].push(value.to_owned());
    }
    Ok(subject)
}

/// From when until when a certificate holds.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the type says it
pub struct Validity {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Authority {
    /// When the authority itself ends; what it signs cannot outlive it.
    pub fn until(&self) -> Option<Timestamp> {
        self.life_of(&self.pem).map(|(_, until)| until)
    }

    /// The certificate that a request asks for, in PEM, for these usages; it is nobody's authority. Usages are words of a
    /// CertificateSigningRequest, which validation has seen.
    pub fn certify(
        &self,
        request: &CertificateRequest,
        usages: &[&str],
        validity: Validity,
        env: &dyn Env,
    ) -> Result<String, Error> {
        let (_, authority) = x509_parser::parse_x509_certificate(&self.der).map_err(|_| Error::Unreadable)?;
        let algorithm = self.signature_algorithm()?;
        let to_be_signed = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2));
                let serial = [env.random().to_be_bytes(), env.random().to_be_bytes()].concat();
                writer.next().write_bigint_bytes(&serial, true);
                writer.next().write_der(&algorithm);
                writer.next().write_der(authority.subject().as_raw());
                writer.next().write_sequence(|writer| {
                    write_time(writer.next(), validity.from);
                    write_time(writer.next(), validity.until);
                });
                write_subject(writer.next(), request);
                writer.next().write_der(&request.public_key);
                writer.next().write_tagged(Tag::context(3), |writer| {
                    writer.write_sequence(|writer| {
                        write_extensions(writer, request, usages, key_identifier(&authority));
                    });
                });
            });
        });
        let signature = self.issuer.key().sign(&to_be_signed)?;
        let der = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&to_be_signed);
                writer.next().write_der(&algorithm);
                writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        Ok(to_pem(&der))
    }

    /// The AlgorithmIdentifier of our signatures, in DER.
    fn signature_algorithm(&self) -> Result<Vec<u8>, Error> {
        let key = self.issuer.key().algorithm();
        let (oid, has_parameters): (Oid, bool) = match key {
            key if key == &rcgen::PKCS_ECDSA_P256_SHA256 => (&[1, 2, 840, 10_045, 4, 3, 2], false),
            key if key == &rcgen::PKCS_ECDSA_P384_SHA384 => (&[1, 2, 840, 10_045, 4, 3, 3], false),
            key if key == &rcgen::PKCS_ED25519 => (&[1, 3, 101, 112], false),
            key if key == &rcgen::PKCS_RSA_SHA256 => (&[1, 2, 840, 113_549, 1, 1, 11], true),
            _ => return Err(Error::Unreadable),
        };
        Ok(yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                write_oid(writer.next(), oid);
                if has_parameters {
                    writer.next().write_null();
                }
            });
        }))
    }
}

fn key_identifier<'a>(authority: &'a x509_parser::certificate::X509Certificate<'_>) -> Option<&'a [u8]> {
    authority.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
        _ => None,
    })
}

fn write_oid(writer: DERWriter<'_>, oid: Oid) {
    writer.write_oid(&ObjectIdentifier::from_slice(oid));
}

/// Times before 2050 have two digits for their year, as RFC 5280 wants it.
fn write_time(writer: DERWriter<'_>, time: Timestamp) {
    let short = time.strftime("%y%m%d%H%M%SZ").to_string();
    let is_short =
        time.strftime("%Y").to_string().parse().is_ok_and(|year: i32| (1950..2050).contains(&year));
    match UTCTime::parse(short.as_bytes()).filter(|_| is_short) {
        Some(time) => writer.write_utctime(&time),
        None => {
            let long = time.strftime("%Y%m%d%H%M%SZ").to_string();
            let time = GeneralizedTime::parse(long.as_bytes());
            writer.write_generalized_time(&time.expect("a timestamp has four digits for its year"));
        }
    }
}

/// All values of one kind are one set, as Go writes them.
fn write_subject(writer: DERWriter<'_>, request: &CertificateRequest) {
    writer.write_sequence(|writer| {
        let kinds = NAMES.iter().zip(&request.subject).filter(|(_, values)| !values.is_empty());
        for (kind, values) in kinds {
            writer.next().write_set_of(|writer| {
                for value in values {
                    writer.next().write_sequence(|writer| {
                        write_oid(writer.next(), kind);
                        writer.next().write_utf8_string(value);
                    });
                }
            });
        }
    });
}

fn write_extensions(
    writer: &mut DERWriterSeq<'_>,
    request: &CertificateRequest,
    usages: &[&str],
    authority_key: Option<&[u8]>,
) {
    let bits = KEY_USAGES.iter().filter(|(word, _)| usages.contains(word));
    let bits = bits.fold(0u16, |all, (_, bit)| all | (0x8000 >> bit));
    if bits != 0 {
        let length = 16 - bits.trailing_zeros() as usize;
        let bytes = &bits.to_be_bytes()[..length.div_ceil(8)];
        write_extension(writer, KEY_USAGE, true, |writer| writer.write_bitvec_bytes(bytes, length));
    }
    let mut extended: Vec<Oid> = Vec::new();
    for (_, oid) in EXTENDED_USAGES.iter().filter(|(word, _)| usages.contains(word)) {
        if !extended.contains(oid) {
            extended.push(oid);
        }
    }
    if !extended.is_empty() {
        write_extension(writer, EXTENDED_KEY_USAGE, false, |writer| {
            writer.write_sequence(|writer| extended.iter().for_each(|oid| write_oid(writer.next(), oid)));
        });
    }
    // An empty sequence: no authority.
    write_extension(writer, BASIC_CONSTRAINTS, true, |writer| writer.write_sequence(|_| ()));
    if let Some(key) = authority_key {
        write_extension(writer, AUTHORITY_KEY_IDENTIFIER, false, |writer| {
            writer.write_sequence(|writer| write_name(writer, 0, key));
        });
    }
    if request.has_alternative_names() {
        let is_critical = request.subject.iter().all(Vec::is_empty);
        write_extension(writer, SUBJECT_ALTERNATIVE_NAME, is_critical, |writer| {
            writer.write_sequence(|writer| {
                request.dns_names.iter().for_each(|name| write_name(writer, 2, name.as_bytes()));
                request.emails.iter().for_each(|name| write_name(writer, 1, name.as_bytes()));
                request.addresses.iter().for_each(|address| write_name(writer, 7, address));
                request.uris.iter().for_each(|name| write_name(writer, 6, name.as_bytes()));
            });
        });
    }
}

fn write_extension(
    writer: &mut DERWriterSeq<'_>,
    oid: Oid,
    is_critical: bool,
    content: impl FnOnce(DERWriter<'_>),
) {
    writer.next().write_sequence(|writer| {
        write_oid(writer.next(), oid);
        if is_critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(&yasna::construct_der(content));
    });
}

/// One of the names of which a list has many, told apart by its tag.
fn write_name(writer: &mut DERWriterSeq<'_>, tag: u64, bytes: &[u8]) {
    writer.next().write_tagged_implicit(Tag::context(tag), |writer| writer.write_bytes(bytes));
}

fn to_pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::{ClientCertificates, Identity};
    use crate::http::provider;
    use crate::testing::TestEnv;
    use base64::Engine;
    use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use serde_json::json;
    use std::time::Duration;

    fn request_of(params: &CertificateParams) -> CertificateRequest {
        let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        let request = base64::prelude::BASE64_STANDARD.encode(request);
        CertificateRequest::of(&json!({ "spec": { "request": request } })).unwrap()
    }

    fn certify(request: &CertificateRequest, usages: &[&str]) -> (Authority, CertificateDer<'static>) {
        let now = Timestamp::now();
        let authority = Authority::generate(now).unwrap();
        let validity = Validity { from: now, until: now + Duration::from_secs(600) };
        let pem = authority.certify(request, usages, validity, &TestEnv::new(1)).unwrap();
        (authority, CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
    }

    fn person() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "ada");
        params.distinguished_name.push(DnType::OrganizationName, "dev");
        params.distinguished_name.push(DnType::CustomDnType(ORGANIZATION.to_vec()), "ops");
        // A UID in Kubernetes' own attribute, which nobody may give to themselves.
        params
            .distinguished_name
            .push(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57_683, 2]), "of somebody else");
        params
    }

    #[test]
    fn who_holds_the_key_is_who_the_certificate_names() {
        let request = request_of(&person());
        assert_eq!(
            (request.common_name(), request.organizations()),
            ("ada", &["dev".into(), "ops".into()][..])
        );
        let (authority, der) = certify(&request, &["client auth", "digital signature"]);
        let trusted = ClientCertificates::new(&[authority.der().clone()], &provider()).unwrap();
        let user = Identity::of(&[der]).user(Some(&trusted)).unwrap().unwrap();
        let mut groups = user.groups.clone();
        groups.sort();
        assert_eq!(
            (user.name.as_str(), user.uid.as_str(), groups),
            ("ada", "", vec!["dev".into(), "ops".into()])
        );
    }

    #[test]
    fn a_certificate_for_servers_is_none_for_clients() {
        let (authority, der) = certify(&request_of(&person()), &["server auth"]);
        let trusted = ClientCertificates::new(&[authority.der().clone()], &provider()).unwrap();
        assert!(Identity::of(&[der]).user(Some(&trusted)).unwrap().is_err());
    }

    #[test]
    fn a_certificate_has_the_usages_given_and_the_names_asked_for_and_nothing_else() {
        let mut params = person();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0])];
        params.subject_alt_names = vec![
            SanType::DnsName("a.example".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 1].into()),
            SanType::Rfc822Name("a@a.example".try_into().unwrap()),
            SanType::URI("spiffe://a".try_into().unwrap()),
        ];
        let usages = ["s/mime", "email protection", "key encipherment", "decipher only", "any"];
        let (authority, der) = certify(&request_of(&params), &usages);
        let (rest, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let (_, issuer) = x509_parser::parse_x509_certificate(authority.der()).unwrap();
        assert!(rest.is_empty());
        certificate.verify_signature(Some(issuer.public_key())).unwrap();
        assert_eq!(certificate.issuer().as_raw(), issuer.subject().as_raw());
        let (mut seen, mut names) = (Vec::new(), Vec::new());
        for extension in certificate.extensions() {
            seen.push((extension.oid.to_id_string(), extension.critical));
            match extension.parsed_extension() {
                ParsedExtension::KeyUsage(usage) => {
                    assert!(usage.key_encipherment() && usage.decipher_only());
                    assert!(!usage.key_cert_sign() && !usage.digital_signature());
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    assert!(usage.any && usage.email_protection && !usage.client_auth);
                }
                ParsedExtension::BasicConstraints(constraints) => assert!(!constraints.ca),
                ParsedExtension::SubjectAlternativeName(found) => {
                    names = found.general_names.iter().map(|name| name.to_string()).collect();
                }
                _ => {}
            }
        }
        let expected = [
            ("2.5.29.15", true),
            ("2.5.29.37", false),
            ("2.5.29.19", true),
            ("2.5.29.35", false),
            ("2.5.29.17", false),
        ];
        assert_eq!(seen, expected.map(|(oid, critical)| (oid.to_owned(), critical)));
        assert_eq!(names.len(), 4, "{names:?}");
    }

    #[test]
    fn times_are_written_as_their_year_wants_it() {
        for (time, tag) in [("2049-12-31T23:59:59Z", 0x17), ("2050-01-01T00:00:00Z", 0x18)] {
            let der = yasna::construct_der(|writer| write_time(writer, time.parse().unwrap()));
            assert_eq!(der[0], tag, "{time}");
        }
    }
}

//! Kinds that are, or were in some minor that is served, only there as beta or alpha: leases' candidates, bundles of trust,
//! certificates of pods, rules of taints, migrations, versions in store, workloads (k8s.io/kubernetes/pkg/apis/coordination,
//! certificates, resource, storagemigration, apiserverinternal and scheduling, each in validation). What upstream judges
//! beyond this is listed in docs/differences.md.

use super::by;
use super::conditions::conditions;
use super::devices::{pool_name, taint};
use super::rules::Check::{By, Inside, Named, NamedIfAny, Required, RequiredNamed, Unique, Within};
use super::rules::{Rule, path_segment};
use super::storage::driver_name;
use crate::kinds::strategies::certificates::signer;
use crate::kinds::tree::{field, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};

/// Bytes of a bundle. Past it: 422.
const BUNDLE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a UID that a request for a certificate names. Past it: 422.
const UID_BYTES_MAX: usize = 128;
/// Templates of pod groups in a workload. Past it: 422.
const TEMPLATES_MAX: usize = 8;

pub(crate) const LEASE_CANDIDATE: &[Rule] = &[
    ("metadata/name", Named(name::is_config_map_key)),
    ("spec/leaseName", Required("")),
    ("spec", By(candidate_versions)),
];

fn candidate_versions(spec: &Value, path: &Path) -> Vec<Error> {
    let (binary, emulated) = (text(spec, "/binaryVersion"), text(spec, "/emulationVersion"));
    let (binary_path, emulated_path) = (path.child("binaryVersion"), path.child("emulationVersion"));
    let wrong = |path: &Path, version: &str| {
        let is_wrong = !version.is_empty() && semantic(version).is_none();
        is_wrong.then(|| Error::invalid(path, version, "must be a valid semantic version"))
    };
    let mut errors: Vec<Error> = wrong(&emulated_path, emulated).into_iter().collect();
    match binary {
        "" => errors.push(Error::required(&binary_path, "")),
        binary => errors.extend(wrong(&binary_path, binary)),
    }
    if let (Some(of_binary), Some(of_emulated)) = (semantic(binary), semantic(emulated))
        && of_binary < of_emulated
    {
        errors.push(Error::invalid(
            &binary_path,
            binary,
            "must be greater than or equal to `emulationVersion`",
        ));
    }
    let path = path.child("strategy");
    match text(spec, "/strategy") {
        "" => errors.push(Error::required(&path, "")),
        "OldestEmulationVersion" if semantic(emulated).unwrap_or_default() == (0, 0, 0) => {
            let why = "must be specified when `strategy` is 'OldestEmulationVersion'";
            errors.push(Error::required(&emulated_path, why));
        }
        "OldestEmulationVersion" => {}
        strategy if strategy.contains('/') => {
            errors.extend(by(name::is_qualified_name, strategy, &path.child("strategy")));
        }
        strategy => {
            let known = ["OldestEmulationVersion"];
            errors.push(Error::not_supported(&path.child("strategy"), strategy, &known));
        }
    }
    errors
}

/// Major, minor and patch of a semantic version.
fn semantic(version: &str) -> Option<(u64, u64, u64)> {
    let numbers = version.split(['-', '+']).next()?;
    let mut numbers = numbers.split('.').map(|number| {
        let is_plain =
            number == "0" || !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
        number.parse::<u64>().ok().filter(|_| is_plain)
    });
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(version)
}

pub(crate) const CLUSTER_TRUST_BUNDLE: &[Rule] = &[("", By(bundle))];

/// The name says who signs.
fn bundle(object: &Value, _: &Path) -> Vec<Error> {
    let signer_name = text(object, "/spec/signerName");
    let name = meta::name(object);
    let place = Path::new("metadata").child("name");
    let spec = Path::new("spec");
    let mut errors = match signer_name {
        "" if name.contains(':') => {
            let why = "ClusterTrustBundle without signer name must not have \":\" in its name";
            vec![Error::invalid(&place, name, why)]
        }
        "" => by(name::is_dns1123_subdomain, name, &place).collect(),
        signer_name => {
            let prefix = format!("{}:", signer_name.replace('/', ":"));
            match name.strip_prefix(&prefix) {
                Some(rest) => name::is_dns1123_subdomain(rest)
                    .into_iter()
                    .map(|why| Error::invalid(&place, name, why))
                    .collect(),
                None => {
                    let why = format!(
                        "ClusterTrustBundle for signerName {signer_name} must be named with prefix {prefix}"
                    );
                    vec![Error::invalid(&place, name, why)]
                }
            }
        }
    };
    if !signer_name.is_empty() {
        errors.extend(signer(signer_name, &spec.child("signerName")));
    }
    errors.extend(anchors(text(object, "/spec/trustBundle"), &spec.child("trustBundle")));
    errors
}

/// One certificate authority at least, none of them twice.
fn anchors(bundle: &str, path: &Path) -> Vec<Error> {
    const HIDDEN: &str = "<value omitted>";
    if bundle.len() > BUNDLE_BYTES_MAX {
        return vec![Error::too_long(path, BUNDLE_BYTES_MAX)];
    }
    let mut errors = Vec::new();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for (at, block) in x509_parser::pem::Pem::iter_from_buffer(bundle.as_bytes()).enumerate() {
        let Ok(block) = block else { break };
        let why = match (block.label.as_str(), block.parse_x509()) {
            ("CERTIFICATE", Ok(certificate)) if certificate.is_ca() => {
                seen.push(block.contents.clone());
                continue;
            }
            ("CERTIFICATE", Ok(_)) => format!("entry {at} does not have the CA bit set"),
            ("CERTIFICATE", Err(_)) => format!("entry {at} does not parse as X.509"),
            (label, _) => format!("entry {at} has bad block type: {label}"),
        };
        errors.push(Error::invalid(path, HIDDEN, why));
    }
    if !errors.is_empty() {
        return errors;
    }
    if seen.is_empty() {
        return vec![Error::invalid(path, HIDDEN, "at least one trust anchor must be provided")];
    }
    let is_first = |at: usize| !seen[..at].contains(&seen[at]);
    for at in (0..seen.len()).filter(|at| is_first(*at)) {
        let same: Vec<String> = (at..seen.len())
            .filter(|other| seen[*other] == seen[at])
            .map(|other| other.to_string())
            .collect();
        if same.len() > 1 {
            let why = format!("duplicate trust anchor (indices [{}])", same.join(" "));
            errors.push(Error::invalid(path, HIDDEN, why));
        }
    }
    errors
}

pub(crate) const POD_CERTIFICATE_REQUEST: &[Rule] = &[
    ("spec/signerName", By(|value, path| signer(value.as_str().unwrap_or_default(), path))),
    ("spec/podName", Named(name::is_dns1123_subdomain)),
    ("spec/podUID", By(uid)),
    ("spec/serviceAccountName", Named(name::is_dns1123_subdomain)),
    ("spec/serviceAccountUID", By(uid)),
    ("spec/nodeName", Named(name::is_dns1123_subdomain)),
    ("spec/nodeUID", By(uid)),
    ("spec", By(request)),
];

fn uid(value: &Value, path: &Path) -> Vec<Error> {
    match value.as_str().unwrap_or_default() {
        "" => vec![Error::invalid(path, "", "must not be empty")],
        uid if uid.len() > UID_BYTES_MAX => vec![Error::too_long(path, UID_BYTES_MAX)],
        _ => Vec::new(),
    }
}

/// How long the certificate may be valid, and one way to prove the key. Whether the proof holds is not looked at.
fn request(spec: &Value, path: &Path) -> Vec<Error> {
    const HOUR: i64 = 60 * 60;
    let place = path.child("maxExpirationSeconds");
    let Some(seconds) = field(spec, "maxExpirationSeconds").and_then(Value::as_i64) else {
        return vec![Error::required(&place, "must be set")];
    };
    let domain = text(spec, "/signerName").split('/').next().unwrap_or_default();
    let is_kubernetes = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
    let most = if is_kubernetes { 24 * HOUR } else { 91 * 24 * HOUR };
    let mut errors = Vec::new();
    if !(HOUR..=most).contains(&seconds) {
        errors.push(Error::invalid(&place, seconds, format!("must be in the range [{HOUR}, {most}]")));
    }
    let has = |name: &str| !text(spec, name).is_empty();
    let (stub, key, proof) = (has("/stubPKCS10Request"), has("/pkixPublicKey"), has("/proofOfPossession"));
    if !matches!((stub, key, proof), (true, false, false) | (false, true, true)) {
        let why = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
        errors.push(Error::invalid(path, Value::Null, why));
    }
    errors
}

pub(crate) const DEVICE_TAINT_RULE: &[Rule] = &[
    (
        "spec/deviceSelector/driver",
        By(|value, path| if value.is_null() { Vec::new() } else { driver_name(value, path) }),
    ),
    (
        "spec/deviceSelector/pool",
        By(|value, path| value.as_str().map_or_else(Vec::new, |pool| pool_name(pool, path))),
    ),
    ("spec/deviceSelector/device", NamedIfAny(name::is_dns1123_label)),
    ("spec/taint", By(taint)),
];

pub(crate) const STORAGE_VERSION_MIGRATION: &[Rule] = &[
    ("spec/resource/resource", By(migrated)),
    ("spec/resource/group", NamedIfAny(name::is_dns1123_subdomain)),
];

fn migrated(value: &Value, path: &Path) -> Vec<Error> {
    match value.as_str().unwrap_or_default() {
        "" => vec![Error::required(path, "resource is required to be set")],
        resource => by(name::is_dns1035_label, resource, path).collect(),
    }
}

/// A status whose conditions have the common form; what has succeeded or failed stays so, and is one of both.
pub(crate) fn conditions_change(object: &Value, old: &Value) -> Vec<Error> {
    let path = Path::new("status").child("conditions");
    let mut errors = conditions(object.get("status").unwrap_or(&Value::Null), &path);
    if text(object, "/kind") != "StorageVersionMigration" {
        return errors;
    }
    let is = |object: &Value, kind: &str| {
        let mut all = list(object, "/status/conditions").iter();
        all.any(|c| text(c, "/type") == kind && text(c, "/status") == "True")
    };
    let all = || some(object, "/status/conditions").cloned().unwrap_or_default();
    let (before, now) = (text(old, "/status/resourceVersion"), text(object, "/status/resourceVersion"));
    if !before.is_empty() && before != now {
        let path = Path::new("status").child("resourceVersion");
        errors.push(Error::invalid(&path, now, "field is immutable"));
    }
    if is(object, "Succeeded") && is(object, "Failed") {
        let why = "Both success and failed conditions cannot be true at the same time";
        errors.push(Error::invalid(&path, all(), why));
    }
    for (kind, word) in [("Succeeded", "Success"), ("Failed", "Failed")] {
        if is(old, kind) && !is(object, kind) {
            let why = format!("{word} condition cannot be set to false once it is true");
            errors.push(Error::invalid(&path, all(), why));
        }
    }
    errors
}

pub(crate) const STORAGE_VERSION: &[Rule] = &[("metadata/name", Named(storage_version_name))];

fn storage_version_name(name: &str) -> Vec<String> {
    let Some((group, resource)) = name.rsplit_once('.') else {
        return vec!["name must be in the form of <group>.<resource>".into()];
    };
    let of_group =
        name::is_dns1123_subdomain(group).into_iter().map(|why| format!("the group segment {why}"));
    let of_resource =
        name::is_dns1035_label(resource).into_iter().map(|why| format!("the resource segment {why}"));
    of_group.chain(of_resource).collect()
}

/// Each server says once what it stores.
pub(crate) fn storage_version(object: &Value, _: &Value) -> Vec<Error> {
    const RULES: &[Rule] = &[
        ("status/storageVersions", Unique("apiServerID")),
        ("status/storageVersions/*/apiServerID", Named(name::is_dns1123_subdomain)),
    ];
    super::rules::check(object, RULES)
}

pub(crate) const WORKLOAD: &[Rule] = &[
    ("spec/podGroupTemplates", Required("")),
    ("spec/podGroupTemplates", By(templates)),
    ("spec/podGroupTemplates/*", Inside(&[("name", RequiredNamed(name::is_dns1123_label))])),
    ("spec/podGroupTemplates", Unique("name")),
    (
        "spec/controllerRef",
        Inside(&[
            ("apiGroup", NamedIfAny(name::is_dns1123_subdomain)),
            ("kind", RequiredNamed(path_segment)),
            ("name", RequiredNamed(path_segment)),
        ]),
    ),
];

fn templates(value: &Value, path: &Path) -> Vec<Error> {
    let count = value.as_array().map_or(0, Vec::len);
    if count > TEMPLATES_MAX { vec![Error::too_many(path, count, TEMPLATES_MAX)] } else { Vec::new() }
}

pub(crate) const RESOURCE_POOL_STATUS_REQUEST: &[Rule] = &[
    ("spec/driver", By(driver_name)),
    ("spec/limit", Within(1, 1000, "must be between 1 and 1000, inclusive")),
];

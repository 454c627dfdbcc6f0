//! Security contexts of pods and containers, and annotations of old that say the same
//! (k8s.io/kubernetes/pkg/apis/core/validation).

use super::pod::each_container;
use super::volume::descending;
use super::{by, items};
use crate::kinds::tree::{field, field_text, flag, list, some, text};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, name};
use serde_json::json;
use std::collections::BTreeSet;

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// What a node's path can hold, without the byte that ends it.
const PROFILE_PATH_BYTES_MAX: usize = 4095;
const SPEC_BYTES_MAX: usize = 64 * 1024;
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
pub(in crate::kinds) const APP_ARMOR_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Numbers of users and groups.
fn ids(context: &Value, fields: &[&str], path: &Path) -> Vec<Error> {
    let given = fields.iter().filter_map(|f| Some((path.child(f), field(context, f)?.as_i64()?)));
    given.flat_map(|(at, id)| id_errors(id, &at)).collect()
}

pub(super) fn id_errors(id: i64, path: &Path) -> Vec<Error> {
    name::is_valid_id(id).into_iter().map(|why| Error::invalid(path, id, why)).collect()
}

fn one_of(context: &Value, name: &str, allowed: &[&str], path: &Path) -> Option<Error> {
    let given = field(context, name)?.as_str()?;
    (!allowed.contains(&given)).then(|| Error::not_supported(&path.child(name), given, allowed))
}

/// The security context of a pod.
pub(super) fn of_pod(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(context) = field(spec, "securityContext") else { return Vec::new() };
    let shares = flag(spec, "/shareProcessNamespace") && flag(spec, "/hostPID");
    let path = path.child("securityContext");
    let mut errors = ids(context, &["fsGroup", "runAsUser", "runAsGroup"], &path);
    for (at, group) in items(context, "supplementalGroups", &path) {
        errors.extend(id_errors(group.as_i64().unwrap_or(0), &at));
    }
    if shares {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path.child("shareProcessNamespace"), true, why));
    }
    errors.extend(sysctls(spec, context, &path));
    errors.extend(one_of(context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], &path));
    errors.extend(seccomp(context, &path));
    errors.extend(windows_options(context, &path));
    errors.extend(app_armor(context, &path));
    errors.extend(one_of(context, "supplementalGroupsPolicy", &["Merge", "Strict"], &path));
    errors.extend(one_of(context, "seLinuxChangePolicy", &["Recursive"], &path));
    errors
}

/// The security context of a container.
pub(super) fn of_container(container: &Value, host_users: bool, path: &Path) -> Vec<Error> {
    let Some(context) = field(container, "securityContext") else { return Vec::new() };
    let mut errors = ids(context, &["runAsUser", "runAsGroup"], path);
    errors.extend(one_of(context, "procMount", &["Default", "Unmasked"], path));
    if host_users && text(context, "/procMount") == "Unmasked" {
        let why = "`hostUsers` must be false to use `Unmasked`";
        errors.push(Error::invalid(&path.child("procMount"), "Unmasked", why));
    }
    errors.extend(seccomp(context, path));
    if some(context, "/allowPrivilegeEscalation").is_some_and(|allowed| *allowed == false) {
        let head = "cannot set `allowPrivilegeEscalation` to false and";
        if flag(context, "/privileged") {
            errors.push(Error::invalid(path, context.clone(), format!("{head} `privileged` to true")));
        }
        let asks = list(context, "/capabilities/add").iter().filter(|given| *given == "CAP_SYS_ADMIN");
        errors.extend(asks.map(|_| {
            Error::invalid(path, context.clone(), format!("{head} `capabilities.Add` CAP_SYS_ADMIN"))
        }));
    }
    errors.extend(windows_options(context, path));
    errors.extend(app_armor(context, path));
    errors
}

fn seccomp(context: &Value, path: &Path) -> Vec<Error> {
    let Some(profile) = field(context, "seccompProfile") else { return Vec::new() };
    let path = path.child("seccompProfile");
    let (kind, at) = (text(profile, "/type"), path.child("localhostProfile"));
    let mut errors = Vec::new();
    match kind {
        "" => {
            let why = "type is required when seccompProfile is set";
            errors.push(Error::required(&path.child("type"), why));
        }
        kind if !PROFILES.contains(&kind) => {
            errors.push(Error::not_supported(&path.child("type"), kind, &PROFILES));
        }
        _ => {}
    }
    match (kind, field(profile, "localhostProfile").and_then(Value::as_str)) {
        ("Localhost", None) => {
            errors.push(Error::required(&at, "must be set when seccomp type is Localhost"));
        }
        ("Localhost", Some(given)) => errors.extend(descending(given, &at)),
        (_, Some(_)) => {
            let why = "can only be set when seccomp type is Localhost";
            errors.push(Error::invalid(&at, profile.clone(), why));
        }
        (_, None) => {}
    }
    errors
}

fn app_armor(context: &Value, path: &Path) -> Vec<Error> {
    const NEEDED: &str = "must be set when AppArmor type is Localhost";
    let Some(profile) = field(context, "appArmorProfile") else { return Vec::new() };
    let path = path.child("appArmorProfile");
    let (at, given) = (path.child("localhostProfile"), field(profile, "localhostProfile"));
    let mut errors = Vec::new();
    match (text(profile, "/type"), given.and_then(Value::as_str)) {
        ("Localhost", None) => errors.push(Error::required(&at, NEEDED)),
        ("Localhost", Some(given)) => {
            if given.trim() != given {
                errors.push(Error::invalid(&at, given, "must not be padded with whitespace"));
            } else if given.is_empty() {
                errors.push(Error::required(&at, NEEDED));
            }
            if given.len() > PROFILE_PATH_BYTES_MAX {
                errors.push(Error::too_long(&at, PROFILE_PATH_BYTES_MAX));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(given)) => {
            errors.push(Error::invalid(&at, given, "can only be set when AppArmor type is Localhost"));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => {
            let why = "type is required when appArmorProfile is set";
            errors.push(Error::required(&path.child("type"), why));
        }
        (kind, _) => errors.push(Error::not_supported(&path.child("type"), kind, &PROFILES)),
    }
    errors
}

/// Kernel parameters: their names, each once, none of a namespace that the pod shares with its node.
fn sysctls(spec: &Value, context: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (at, sysctl) in items(context, "sysctls", path) {
        let (given, at) = (text(sysctl, "/name"), at.child("name"));
        match given {
            "" => errors.push(Error::required(&at, "")),
            given if !is_sysctl(given) => {
                let pattern = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
                let why = format!("must have at most 253 characters and match regex ^{pattern}$");
                errors.push(Error::invalid(&at, given, why));
            }
            given if names.contains(given) => errors.push(Error::duplicate(&at, given)),
            _ => {}
        }
        names.insert(given);
        if let Some(shared) = namespace_of(given).filter(|shared| flag(spec, &format!("/{shared}"))) {
            let why = format!("may not be specified when '{shared}' is true");
            errors.push(Error::invalid(&at, given, why));
        }
    }
    errors
}

fn is_sysctl(name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            let ends =
                bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b));
            ends && bytes.iter().all(|&b| is_word(b) || matches!(b, b'-' | b'_'))
        })
}

/// The switch of a pod that shares the namespace to which a parameter belongs
/// (k8s.io/component-helpers/node/util/sysctl).
fn namespace_of(sysctl: &str) -> Option<&'static str> {
    let first = sysctl.find(['.', '/']).map(|at| sysctl.as_bytes()[at]);
    let dotted: String = match first {
        Some(b'/') => {
            let swapped = |c| match c {
                '/' => '.',
                '.' => '/',
                other => other,
            };
            sysctl.chars().map(swapped).collect()
        }
        _ => sysctl.to_owned(),
    };
    let is_ipc = dotted == "kernel.sem"
        || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| dotted.starts_with(prefix));
    match dotted.starts_with("net.") {
        true => Some("hostNetwork"),
        false => is_ipc.then_some("hostIPC"),
    }
}

fn windows_options(context: &Value, path: &Path) -> Vec<Error> {
    let Some(options) = field(context, "windowsOptions") else { return Vec::new() };
    let path = path.child("windowsOptions");
    let mut errors = Vec::new();
    if let Some(given) = field(options, "gmsaCredentialSpecName").and_then(Value::as_str) {
        errors.extend(by(name::is_dns1123_subdomain, given, &path.child("gmsaCredentialSpecName")));
    }
    if let Some(given) = field(options, "gmsaCredentialSpec").and_then(Value::as_str) {
        let why = match given.len() {
            0 => Some("gmsaCredentialSpec cannot be an empty string".to_owned()),
            length if length > SPEC_BYTES_MAX => {
                Some("gmsaCredentialSpec size must be under 64 KiB".to_owned())
            }
            _ => None,
        };
        errors.extend(why.map(|why| Error::invalid(&path.child("gmsaCredentialSpec"), given, why)));
    }
    if let Some(given) = field(options, "runAsUserName").and_then(Value::as_str) {
        let at = path.child("runAsUserName");
        let wrong = user_name(given).into_iter();
        errors.extend(wrong.map(|why| Error::invalid(&at, given, format!("runAsUserName{why}"))));
    }
    errors
}

/// What is wrong with a user of Windows, which may have a domain before a backslash.
fn user_name(given: &str) -> Vec<&'static str> {
    let parts: Vec<&str> = given.split('\\').collect();
    if given.is_empty() {
        return vec![" cannot be an empty string"];
    }
    if given.chars().any(|c| c.is_ascii_control()) {
        return vec![" cannot contain control characters"];
    }
    let (domain, user) = match parts[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return vec![" cannot contain more than one backslash"],
    };
    let checks = [
        (domain.is_some_and(|d| d.len() >= 256), "'s Domain length must be under 256 characters"),
        (
            domain.is_some_and(|d| !is_netbios(d) && !is_dns_domain(d)),
            "'s Domain doesn't match the NetBios nor the DNS format",
        ),
        (user.is_empty(), "'s User cannot be empty"),
        (user.len() > 104, "'s User length must not be longer than 104 characters"),
        (
            !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')),
            "'s User cannot contain only periods or spaces",
        ),
        (
            user.contains(|c| r#""/\:;|=,+*?<>@[]"#.contains(c)),
            r#"'s User cannot contain the following characters: "/\:;|=,+*?<>@[]"#,
        ),
    ];
    checks.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| why).collect()
}

fn is_netbios(domain: &str) -> bool {
    let count = domain.chars().count();
    (1..=15).contains(&count) && !domain.starts_with('.') && !domain.contains(|c| r#"\/:*?"<>|"#.contains(c))
}

fn is_dns_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    })
}

/// A pod with containers that are processes of a Windows host has no others, and its host's network.
pub(super) fn host_processes(spec: &Value, path: &Path) -> Vec<Error> {
    let pointer = "/securityContext/windowsOptions/hostProcess";
    let whole = some(spec, pointer).and_then(Value::as_bool);
    let (mut all, mut hosts, mut errors) = (0, 0, Vec::new());
    for (at, container) in each_container(spec, path) {
        all += 1;
        let own = some(container, pointer).and_then(Value::as_bool);
        if let (Some(whole), Some(own)) = (whole, own)
            && whole != own
        {
            let at = at.child("securityContext").child("windowsOptions").child("hostProcess");
            let why = format!("pod hostProcess value must be identical if both are specified, was {whole}");
            errors.push(Error::invalid(&at, own, why));
        }
        hosts += usize::from(own.or(whole) == Some(true));
    }
    if hosts > 0 && hosts != all {
        let why =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(Error::invalid(path, "", why));
    }
    if hosts > 0 && !flag(spec, "/hostNetwork") {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(Error::invalid(&path.child("hostNetwork"), false, why));
    }
    errors
}

/// Users of its own, which a pod cannot have together with its host's processes.
pub(super) fn host_users(spec: &Value, path: &Path) -> Vec<Error> {
    if some(spec, "/hostUsers").is_none_or(|users| *users == true) {
        return Vec::new();
    }
    const WHY: &str = "when `hostUsers` is false";
    let mut errors = Vec::new();
    for (switch, place) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if field(spec, switch).is_some_and(|on| *on == true) {
            errors.push(Error::forbidden(&path.child(place), WHY));
        }
    }
    let with_devices = each_container(spec, path).filter(|(_, c)| !list(c, "/volumeDevices").is_empty());
    errors.extend(with_devices.map(|(at, _)| Error::forbidden(&at.child("volumeDevices"), WHY)));
    errors
}

/// What a pod for one system cannot say.
pub(super) fn system(spec: &Value, path: &Path) -> Vec<Error> {
    const SYSTEMS: [&str; 2] = ["linux", "windows"];
    let Some(system) = field(spec, "os") else { return Vec::new() };
    let at = path.child("os");
    match text(system, "/name") {
        "" => vec![Error::required(&at.child("name"), "")],
        "linux" => linux(spec, path),
        "windows" => windows(spec, path),
        other => vec![Error::not_supported(&at, other, &SYSTEMS)],
    }
}

fn linux(spec: &Value, path: &Path) -> Vec<Error> {
    let contexts = std::iter::once((path.clone(), spec)).chain(each_container(spec, path));
    let with_options = contexts.filter(|(_, c)| some(c, "/securityContext/windowsOptions").is_some());
    let error = |(at, _): (Path, _)| {
        let at = at.child("securityContext").child("windowsOptions");
        Error::forbidden(&at, "windows options cannot be set for a linux pod")
    };
    with_options.map(error).collect()
}

fn windows(spec: &Value, path: &Path) -> Vec<Error> {
    const OF_POD: [&str; 15] = [
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "hostUsers",
        "hostPID",
        "hostIPC",
        "securityContext.seccompProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.sysctls",
        "shareProcessNamespace",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
        "securityContext.supplementalGroups",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.seLinuxChangePolicy",
    ];
    const OF_CONTAINER: [&str; 10] = [
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "securityContext.seccompProfile",
        "securityContext.capabilities",
        "securityContext.readOnlyRootFilesystem",
        "securityContext.privileged",
        "securityContext.allowPrivilegeEscalation",
        "securityContext.procMount",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
    ];
    let set = |value: &Value, places: &[&str], path: &Path| -> Vec<Error> {
        let is_set = |place: &&&str| {
            let given = some(value, &format!("/{}", place.replace('.', "/")));
            let is_switch = matches!(**place, "hostPID" | "hostIPC");
            given.is_some_and(|v| !(is_switch && *v == false) && v.as_array().is_none_or(|v| !v.is_empty()))
        };
        let at = |place: &str| place.split('.').fold(path.clone(), |at, step| at.child(step));
        let error = |place: &&str| Error::forbidden(&at(place), "cannot be set for a windows pod");
        places.iter().filter(is_set).map(error).collect()
    };
    let mut errors = set(spec, &OF_POD, path);
    errors.extend(each_container(spec, path).flat_map(|(at, c)| set(c, &OF_CONTAINER, &at)));
    errors
}

/// The field that says what an annotation of old says of a container's AppArmor profile; `None`: none can say it
/// (k8s.io/kubernetes/pkg/api/pod: ApparmorFieldForAnnotation).
pub(in crate::kinds) fn app_armor_profile(said: &str) -> Option<Value> {
    match said {
        "unconfined" => Some(json!({ "type": "Unconfined" })),
        "runtime/default" => Some(json!({ "type": "RuntimeDefault" })),
        other => {
            let profile = other.strip_prefix("localhost/")?;
            let is_good =
                !profile.is_empty() && profile.trim() == profile && profile.len() <= PROFILE_PATH_BYTES_MAX;
            is_good.then(|| json!({ "type": "Localhost", "localhostProfile": profile }))
        }
    }
}

/// Annotations of old for profiles: their form, and the containers that they name.
pub(super) fn annotations(metadata: &Value, spec: &Value, path: &Path) -> Vec<Error> {
    let names: Vec<&str> = each_container(spec, path).map(|(_, c)| field_text(c, "name")).collect();
    let mut errors = Vec::new();
    for (key, profile) in meta::entries(metadata.get("annotations")) {
        let at = path.key(key);
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            errors.extend(seccomp_name(profile, &at));
        }
        let Some(container) = key.strip_prefix(APP_ARMOR_CONTAINER) else { continue };
        if !names.contains(&container) {
            errors.push(Error::invalid(&at, container, "container not found"));
        }
        let is_known = matches!(profile, "" | "runtime/default" | "unconfined");
        if !is_known && !profile.starts_with("localhost/") {
            let why = format!("invalid AppArmor profile name: {}", alcove_object::field::quote(profile));
            errors.push(Error::invalid(&at, profile, why));
        }
    }
    errors
}

fn seccomp_name(profile: &str, path: &Path) -> Vec<Error> {
    match profile {
        "runtime/default" | "docker/default" | "unconfined" => Vec::new(),
        other => match other.strip_prefix("localhost/") {
            Some(rest) => descending(rest, path),
            None => vec![Error::invalid(path, other, "must be a valid seccomp profile")],
        },
    }
}

/// Where annotation and field say what profile a container has, they say the same.
pub(super) fn profiles_match(
    metadata: &Value,
    spec: &Value,
    with_app_armor: bool,
    path: &Path,
) -> Vec<Error> {
    let annotation = |key: &str| metadata.get("annotations")?.get(key)?.as_str();
    let mut errors = Vec::new();
    let pod_seccomp = some(spec, "/securityContext/seccompProfile");
    if let (Some(profile), Some(said)) = (pod_seccomp, annotation(SECCOMP_POD)) {
        let at = path.child("securityContext").child("seccompProfile");
        errors.extend(mismatch("seccomp", profile, said, &["runtime/default", "docker/default"], &at));
    }
    for (at, container) in each_container(spec, path) {
        let own = some(container, "/securityContext/seccompProfile");
        let key = format!("{SECCOMP_CONTAINER}{}", field_text(container, "name"));
        if let (Some(profile), Some(said)) = (own, annotation(&key)) {
            let at = at.child("securityContext").child("seccompProfile");
            errors.extend(mismatch("seccomp", profile, said, &["runtime/default", "docker/default"], &at));
        }
    }
    if !with_app_armor || text(spec, "/os/name") == "windows" {
        return errors;
    }
    let whole = some(spec, "/securityContext/appArmorProfile");
    for (at, container) in each_container(spec, path) {
        let profile = some(container, "/securityContext/appArmorProfile").or(whole);
        let key = format!("{APP_ARMOR_CONTAINER}{}", field_text(container, "name"));
        if let (Some(profile), Some(said)) = (profile, annotation(&key)) {
            let at = at.child("securityContext").child("appArmorProfile");
            errors.extend(mismatch("apparmor", profile, said, &["runtime/default"], &at));
        }
    }
    errors
}

fn mismatch(kind: &str, profile: &Value, said: &str, default: &[&str], path: &Path) -> Option<Error> {
    let types = || {
        let why = format!("{kind} type in annotation and field must match");
        Some(Error::forbidden(&path.child("type"), why))
    };
    match (text(profile, "/type"), said.strip_prefix("localhost/")) {
        ("Unconfined", _) if said != "unconfined" => types(),
        ("RuntimeDefault", _) if !default.contains(&said) => types(),
        ("Localhost", None) => types(),
        ("Localhost", Some(said)) if text(profile, "/localhostProfile") != said => {
            let why = format!("{kind} profile in annotation and field must match");
            Some(Error::forbidden(&path.child("localhostProfile"), why))
        }
        _ => None,
    }
}

//! What names, keys and values may look like: k8s.io/apimachinery/pkg/util/validation and pkg/api/validation.
//!
//! Every rule gives the list of what is wrong, in upstream's words, and an empty list for a good name. The
//! matchers are written out by hand, since several of them run for every write.

use std::net::IpAddr;

/// DNS labels (RFC 1123, RFC 1035), in bytes.
pub const DNS_LABEL_BYTES_MAX: usize = 63;
/// DNS subdomains (RFC 1123), in bytes.
pub const DNS_SUBDOMAIN_BYTES_MAX: usize = 253;
/// The name part of a label's or annotation's key, in bytes.
pub const LABEL_KEY_BYTES_MAX: usize = 63;
/// A label's value, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 63;
/// A port's name, in bytes.
pub const PORT_NAME_BYTES_MAX: usize = 15;

/// A rule for object names. `prefix` says that the text is a `generateName`, to which something gets appended.
pub type NameRule = fn(name: &str, prefix: bool) -> Vec<String>;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// Names that are DNS subdomains, as most objects have.
pub fn dns_subdomain(name: &str, prefix: bool) -> Vec<String> {
    is_dns1123_subdomain(&masked(name, prefix))
}

/// Names that are DNS labels, as namespaces have.
pub fn dns_label(name: &str, prefix: bool) -> Vec<String> {
    is_dns1123_label(&masked(name, prefix))
}

/// Names that are DNS labels and start with a letter, as services had.
pub fn dns1035_label(name: &str, prefix: bool) -> Vec<String> {
    is_dns1035_label(&masked(name, prefix))
}

/// Names that are IP addresses in their one canonical form, as IPAddress objects have
/// (k8s.io/apimachinery/pkg/util/validation: IsValidIP).
pub fn ip_address(name: &str, _: bool) -> Vec<String> {
    let why = match name.parse::<IpAddr>() {
        Err(_) => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned(),
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => {
            "must not be an IPv4-mapped IPv6 address".to_owned()
        }
        Ok(ip) if ip.to_string() != name => format!("must be in canonical form ({:?})", ip.to_string()),
        Ok(_) => return Vec::new(),
    };
    vec![why]
}

/// Names that only have to fit into a path, as roles and role bindings have.
pub fn path_segment(name: &str, prefix: bool) -> Vec<String> {
    match (name, prefix) {
        ("." | "..", false) => vec![format!("may not be '{name}'")],
        _ => ["/", "%"]
            .into_iter()
            .filter(|illegal| name.contains(illegal))
            .map(|illegal| format!("may not contain '{illegal}'"))
            .collect(),
    }
}

/// A prefix may end with a dash, since something follows. Upstream puts an `a` in the place of the last two bytes.
fn masked(name: &str, prefix: bool) -> std::borrow::Cow<'_, str> {
    match name.len().checked_sub(2) {
        Some(cut) if prefix && name.ends_with('-') => {
            (String::from_utf8_lossy(&name.as_bytes()[..cut]).into_owned() + "a").into()
        }
        _ => name.into(),
    }
}

/// A DNS label (RFC 1123): lower case, digits and inner dashes.
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS_LABEL_BYTES_MAX, "characters");
    if !matches_label(value.as_bytes()) {
        errors.push(if matches_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            let what = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
                        must start and end with an alphanumeric character";
            regex_error(what, LABEL, &["my-name", "123-abc"])
        });
    }
    errors
}

/// DNS labels joined by dots.
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    subdomain_errors(value, "characters")
}

fn subdomain_errors(value: &str, unit: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS_SUBDOMAIN_BYTES_MAX, unit);
    if !matches_subdomain(value) {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                    and must start and end with an alphanumeric character";
        errors.push(regex_error(what, SUBDOMAIN, &["example.com"]));
    }
    errors
}

/// DNS labels joined by dots, in which underscores may stand.
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS_SUBDOMAIN_BYTES_MAX, "characters");
    let is_label = |label: &str| {
        let inner = label.strip_prefix('_').unwrap_or(label);
        let is_edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let bytes = inner.as_bytes();
        let is_known = |c: &u8| is_edge(Some(c)) || matches!(c, b'-' | b'_');
        is_edge(bytes.first()) && is_edge(bytes.last()) && bytes.iter().all(is_known)
    };
    if !value.split('.').all(is_label) {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or \
                    '.', and must start and end with an alphanumeric character";
        let label = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
        errors.push(regex_error(what, &format!("{label}(\\.{label})*"), &["example.com"]));
    }
    errors
}

/// A DNS subdomain behind `*.`, as hosts of an Ingress may be.
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS_SUBDOMAIN_BYTES_MAX, "characters");
    if !value.strip_prefix("*.").is_some_and(matches_subdomain) {
        let what = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which \
                    must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric \
                    character";
        errors.push(regex_error(what, &format!(r"\*\.{SUBDOMAIN}"), &["*.example.com"]));
    }
    errors
}

/// A DNS label that starts with a letter (RFC 1035).
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS_LABEL_BYTES_MAX, "characters");
    if !(matches_label(value.as_bytes()) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        let what = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                    alphabetic character, and end with an alphanumeric character";
        errors.push(regex_error(what, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    errors
}

/// A key of labels or annotations, and what finalizers and extended resources are called: `[PREFIX/]NAME`.
pub fn is_qualified_name(value: &str) -> Vec<String> {
    let what = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                alphanumeric character";
    let rule = || regex_error(what, KEY, &["MyName", "my.name", "123-abc"]);
    let (prefix, name) = match value.split_once('/') {
        None => (None, value),
        Some((_, name)) if name.contains('/') => {
            let rule = rule();
            return vec![format!(
                "a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    let mut errors = match prefix {
        None => Vec::new(),
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => {
            subdomain_errors(prefix, "bytes").into_iter().map(|e| format!("prefix part {e}")).collect()
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    }
    errors.extend(
        longer_than(name, LABEL_KEY_BYTES_MAX, "bytes").into_iter().map(|e| format!("name part {e}")),
    );
    if !matches_key(name) {
        errors.push(format!("name part {}", rule()));
    }
    errors
}

/// A label's value.
pub fn is_valid_label_value(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, LABEL_VALUE_BYTES_MAX, "bytes");
    if !value.is_empty() && !matches_key(value) {
        let what = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                    and must start and end with an alphanumeric character";
        errors.push(regex_error(what, &format!("({KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A port's name (IANA_SVC_NAME).
pub fn is_valid_port_name(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, PORT_NAME_BYTES_MAX, "characters");
    let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if value.is_empty() || !value.bytes().all(known) {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !value.bytes().any(|c| c.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// A port's number.
pub fn is_valid_port_number(port: i64) -> Vec<String> {
    is_in_range(port, 1, 65535)
}

/// A number between two others, both included.
pub fn is_in_range(value: i64, min: i64, max: i64) -> Vec<String> {
    if (min..=max).contains(&value) {
        return Vec::new();
    }
    vec![format!("must be between {min} and {max}, inclusive")]
}

/// A user's or group's number.
pub fn is_valid_id(id: i64) -> Vec<String> {
    is_in_range(id, 0, i64::from(i32::MAX))
}

/// A key of a ConfigMap or Secret.
pub fn is_config_map_key(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS_SUBDOMAIN_BYTES_MAX, "characters");
    if value.is_empty() || !value.bytes().all(is_key_byte) {
        let what = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(regex_error(what, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    errors.extend(climbs(value));
    errors
}

/// The name of an environment variable, by the strict rule.
pub fn is_env_var_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let digit = value.starts_with(|c: char| c.is_ascii_digit());
    if value.is_empty() || digit || !value.bytes().all(is_key_byte) {
        let what = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or \
                    '.', and must not start with a digit";
        errors.push(regex_error(
            what,
            "[-._a-zA-Z][-._a-zA-Z0-9]*",
            &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
        ));
    }
    errors.extend(climbs(value));
    errors
}

/// The name of an environment variable, by the rule since 1.34: printable ASCII without `=`.
pub fn is_relaxed_env_var_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if value.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b'=') {
        return Vec::new();
    }
    let what =
        "a valid environment variable name must consist only of printable ASCII characters other than '='";
    vec![what.to_owned()]
}

/// An identifier of the C language.
pub fn is_c_identifier(value: &str) -> Vec<String> {
    let digit = value.starts_with(|c: char| c.is_ascii_digit());
    if !value.is_empty() && !digit && value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return Vec::new();
    }
    let what = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                alphanumeric characters or '_'";
    vec![regex_error(what, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

/// Digits and a percent sign.
pub fn is_valid_percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) {
        return Vec::new();
    }
    let what = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![regex_error(what, "[0-9]+%", &["1%", "93%"])]
}

/// The name of an HTTP header.
pub fn is_http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return Vec::new();
    }
    let what = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![regex_error(what, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

fn longer_than(value: &str, max: usize, unit: &str) -> Vec<String> {
    if value.len() <= max { Vec::new() } else { vec![format!("must be no more than {max} {unit}")] }
}

fn regex_error(what: &str, regex: &str, examples: &[&str]) -> String {
    let examples = examples.iter().map(|e| format!("'{e}', ")).collect::<Vec<_>>().join(" or ");
    format!("{what} (e.g. {examples}regex used for validation is '{regex}')")
}

/// What a name must not be, or start with, as it would lead out of a directory.
fn climbs(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ => value.starts_with("..").then(|| "must not start with '..'".to_owned()),
    }
}

fn matches_label(value: &[u8]) -> bool {
    let edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-';
    edge(value.first()) && edge(value.last()) && value.iter().all(inner)
}

fn matches_subdomain(value: &str) -> bool {
    value.as_bytes().split(|c| *c == b'.').all(matches_label)
}

fn is_key_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')
}

fn matches_key(value: &str) -> bool {
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && value.bytes().all(is_key_byte)
}

#[cfg(test)]
mod tests;

//! The configuration file: `apiVersion: alcove.dev/v1alpha1, kind: Config`. An unknown key is an error that names the
//! key and the nearest known one.

use crate::arguments;
use crate::error::Error;
use alcove_schema::Minor;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const API_VERSION: &str = "alcove.dev/v1alpha1";
const KIND: &str = "Config";
/// The most that a configuration file may hold, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Two keys are near if this many letters differ at most.
const NEAR_LETTERS: usize = 3;

/// What a configuration file says. Everything may be left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Directory that keeps everything.
    pub data: Option<PathBuf>,
    /// Port to serve on.
    pub port: Option<u16>,
    /// Address to serve on.
    pub address: Option<IpAddr>,
    /// Kubernetes version to serve.
    pub kubernetes_version: Option<Minor>,
}

/// One key: its name, and how it is taken into a [`Config`].
type Key = (&'static str, fn(&mut Config, &Value) -> Result<(), String>);

const KEYS: [Key; 6] = [
    ("apiVersion", |_, value| expect(value, API_VERSION)),
    ("kind", |_, value| expect(value, KIND)),
    ("data", |config, value| {
        config.data = Some(text(value)?.into());
        Ok(())
    }),
    ("port", |config, value| {
        let port = value.as_u64().and_then(|n| u16::try_from(n).ok());
        config.port = Some(port.ok_or_else(|| format!("must be a port from 0 to 65535, not {value}"))?);
        Ok(())
    }),
    ("address", |config, value| {
        config.address =
            Some(text(value)?.parse().map_err(|_| format!("must be an IP address, not {value}"))?);
        Ok(())
    }),
    ("kubernetesVersion", |config, value| {
        // An unquoted 1.36 is a number in YAML.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        config.kubernetes_version = Some(arguments::minor(&text)?);
        Ok(())
    }),
];

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("must be a text, not {value}"))
}

fn expect(value: &Value, wanted: &str) -> Result<(), String> {
    if value == wanted { Ok(()) } else { Err(format!("must be {wanted:?}, not {value}")) }
}

/// Reads a configuration file.
pub fn read(path: &Path) -> Result<Config, Error> {
    let text = crate::files::read(path)?;
    parse(&text).map_err(|detail| Error::Config { path: path.to_owned(), detail })
}

fn parse(text: &str) -> Result<Config, String> {
    if text.len() > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    let document = alcove_schema::decode::parse_yaml(text.as_bytes())
        .map_err(|error| error.message("Config", text.as_bytes()))?;
    if let Some(error) = &document.strict {
        return Err(error.to_string());
    }
    let empty = Map::new();
    let keys = match &document.value {
        Value::Object(keys) => keys,
        Value::Null => &empty,
        _ => return Err("must hold keys and values".into()),
    };
    for required in ["apiVersion", "kind"] {
        if !keys.contains_key(required) {
            return Err(format!(
                "{required} is missing; start the file with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
            ));
        }
    }
    let mut config = Config::default();
    for (key, value) in keys {
        let Some((_, take)) = KEYS.iter().find(|(name, _)| name == key) else { return Err(unknown(key)) };
        take(&mut config, value).map_err(|detail| format!("{key} {detail}"))?;
    }
    Ok(config)
}

fn unknown(key: &str) -> String {
    let distance = |name: &str| letters_apart(&key.to_lowercase(), &name.to_lowercase());
    let nearest = KEYS.iter().map(|(name, _)| *name).min_by_key(|name| distance(name));
    match nearest.filter(|name| distance(name) <= NEAR_LETTERS) {
        Some(name) => format!("unknown key {key:?}; did you mean {name:?}?"),
        None => {
            let known: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
            format!("unknown key {key:?}; known keys are {}", known.join(", "))
        }
    }
}

/// How many letters must be changed, added or dropped to turn one word into the other.
fn letters_apart(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: alcove.dev/v1alpha1\nkind: Config\n";

    #[test]
    fn all_keys_are_read() {
        let text =
            format!("{HEAD}data: /var/lib/alcove\nport: 9443\naddress: 127.0.0.1\nkubernetesVersion: 1.35\n");
        let expected = Config {
            data: Some("/var/lib/alcove".into()),
            port: Some(9443),
            address: Some("127.0.0.1".parse().unwrap()),
            kubernetes_version: Some(Minor(35)),
        };
        assert_eq!(parse(&text), Ok(expected));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("prot: 1", "unknown key \"prot\"; did you mean \"port\"?"),
            (
                "kubernetesversion: 1.36",
                "unknown key \"kubernetesversion\"; did you mean \"kubernetesVersion\"?",
            ),
            (
                "banana: 1",
                "unknown key \"banana\"; known keys are apiVersion, kind, data, port, address, kubernetesVersion",
            ),
            ("port: 70000", "port must be a port from 0 to 65535, not 70000"),
            ("kubernetesVersion: 1.12", "kubernetesVersion this binary serves 1.34, 1.35, 1.36, 1.37"),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(&format!("{HEAD}{line}\n")), Err(expected.to_owned()));
        }
        assert!(parse("port: 1").unwrap_err().starts_with("apiVersion is missing"));
    }
}

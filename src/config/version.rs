//! The Kubernetes version that a tenant serves, as people write it.

use alcove_schema::Minor;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;
use std::str::FromStr;

/// A minor version of Kubernetes that this binary serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KubernetesVersion(pub Minor);

impl KubernetesVersion {
    /// All that are served, oldest first.
    pub fn all() -> impl Iterator<Item = KubernetesVersion> {
        (Minor::OLDEST.0..=Minor::NEWEST.0).map(|minor| KubernetesVersion(Minor(minor)))
    }
}

impl Default for KubernetesVersion {
    fn default() -> Self {
        KubernetesVersion(Minor::DEFAULT)
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KubernetesVersion {
    type Err = String;

    /// Reads `1.36`, and `v1.36.3` as people copy it; the patch is upstream's business.
    fn from_str(text: &str) -> Result<Self, String> {
        let minor = text.trim_start_matches('v').strip_prefix("1.").map(|rest| rest.split('.').next());
        let minor = minor.flatten().and_then(|number| number.parse().ok()).map(Minor);
        let served = |minor: &Minor| (Minor::OLDEST..=Minor::NEWEST).contains(minor);
        minor.filter(served).map(KubernetesVersion).ok_or_else(|| {
            let served: Vec<String> = KubernetesVersion::all().map(|version| version.to_string()).collect();
            format!("this binary serves {}", served.join(", "))
        })
    }
}

impl Serialize for KubernetesVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KubernetesVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An unquoted 1.36 is a number in YAML.
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(any(test, feature = "schema"))]
impl schemars::JsonSchema for KubernetesVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KubernetesVersion".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let versions: Vec<String> = KubernetesVersion::all().map(|version| version.to_string()).collect();
        schemars::json_schema!({ "type": ["string", "number"], "examples": versions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_write_them() {
        for text in ["1.36", "v1.36", "1.36.3", "v1.36.3"] {
            assert_eq!(text.parse(), Ok(KubernetesVersion(Minor(36))), "{text}");
        }
        for text in ["1.33", "1.99", "36", "2.36", ""] {
            let error = text.parse::<KubernetesVersion>().unwrap_err();
            assert_eq!(error, "this binary serves 1.34, 1.35, 1.36, 1.37", "{text}");
        }
    }
}

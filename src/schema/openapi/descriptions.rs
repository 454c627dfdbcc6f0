//! What built-in types and their fields are for, in words. Only documents need them, so they stay deflated until one
//! is built.

use alcove_object::Value;
use flate2::read::DeflateDecoder;
use serde_json::Map;

/// Written by the build script from the published types of the newest minor.
const DEFLATED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.deflate"));

/// A type whose apiVersion and kind are described.
const DESCRIBED: &str = "io.k8s.api.core.v1.ConfigMap";

/// Descriptions by definition name and field.
pub(super) struct Descriptions(Map<String, Value>);

impl Descriptions {
    /// Inflates them: a few milliseconds and about 2 MB until they are dropped.
    pub fn inflate() -> Descriptions {
        let read = serde_json::from_reader(std::io::BufReader::new(DeflateDecoder::new(DEFLATED)));
        Descriptions(read.expect("the build script wrote a JSON object and deflated it"))
    }

    /// What a type is for, if it is known.
    pub fn of_type(&self, definition: &str) -> Option<&str> {
        self.of_field(definition, "")
    }

    /// What a field is for, if it is known. Lists are not described one by one, since all are alike.
    pub fn of_field(&self, definition: &str, field: &str) -> Option<&str> {
        let listed = || match field {
            _ if !definition.ends_with("List") => None,
            "apiVersion" | "kind" => self.read(DESCRIBED, field),
            "metadata" => Some("Standard list metadata."),
            "items" => Some("The objects of the list."),
            _ => None,
        };
        self.read(definition, field).or_else(listed).or_else(|| self.of_version(definition, field))
    }

    /// What other versions say of the same: the source knows the newest minor alone, which has forgotten some.
    fn of_version(&self, definition: &str, field: &str) -> Option<&str> {
        const VERSIONS: [&str; 4] = ["v1", "v1beta2", "v1beta1", "v1alpha3"];
        let (rest, kind) = definition.rsplit_once('.')?;
        let (group, _) = rest.rsplit_once('.').filter(|(group, _)| group.starts_with("io.k8s.api."))?;
        VERSIONS.iter().find_map(|version| self.read(&format!("{group}.{version}.{kind}"), field))
    }

    fn read(&self, definition: &str, field: &str) -> Option<&str> {
        self.0.get(definition)?.get(field)?.as_str().filter(|text| !text.is_empty())
    }
}

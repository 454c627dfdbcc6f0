//! Why a body was refused, in upstream's words.

use super::wire::WireError;
use alcove_object::Gvk;
use alcove_object::field::quote;
use std::fmt;
use thiserror::Error;

/// A body that cannot be read. Always the client's fault: 400.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct DecodeError {
    /// The kind that the body was read as, once that was known.
    pub gvk: Option<Box<Gvk>>,
    /// What is wrong with it.
    #[source]
    pub cause: Cause,
}

/// What can be wrong with a body. The texts are those of k8s.io/apimachinery/pkg/runtime and sigs.k8s.io/json.
#[derive(Debug, Error)]
pub enum Cause {
    /// Not JSON, or not an object that could name its kind.
    #[error("couldn't get version/kind; json parse error: {0}")]
    Json(String),
    /// Not YAML.
    #[error("{0}")]
    Yaml(String),
    /// An apiVersion with more than one slash.
    #[error("unexpected GroupVersion string: {0}")]
    Version(String),
    /// No kind, neither in the body nor from the path.
    #[error("Object 'Kind' is missing in '{0}'")]
    NoKind(String),
    /// No version, neither in the body nor from the path.
    #[error("Object 'apiVersion' is missing in '{0}'")]
    NoVersion(String),
    /// A kind without a schema, where one is needed.
    #[error("no kind \"{}\" is registered for version \"{}\"", .0.kind, .0.api_version())]
    NoSchema(Box<Gvk>),
    /// A value that does not fit its type.
    #[error("{0}")]
    Shape(String),
    /// A JSON value of another type than the field's.
    #[error("{text}")]
    Mismatch {
        /// What encoding/json says of it.
        text: String,
        /// What Go's reading of JSON makes of the value.
        found: &'static str,
        /// How Go prints the type of the field.
        target: String,
    },
    /// Not protobuf.
    #[error(transparent)]
    Protobuf(#[from] WireError),
}

impl Cause {
    /// What is wrong with a tree that becomes an object without being written as JSON in between, as those that strategic
    /// patches make (k8s.io/apimachinery/pkg/runtime: `FromUnstructured`).
    pub fn of_tree(&self) -> String {
        let Cause::Mismatch { found, target, .. } = self else { return self.to_string() };
        match target.as_str() {
            "string" if *found == "int64" => "cannot convert int64 to string".to_owned(),
            "int32" | "int64" if *found == "float64" => format!("cannot convert {found} to {target}"),
            "string" | "bool" | "int32" | "int64" | "float64" => format!("unrecognized type: {target}"),
            _ if target.starts_with("map[") => format!("cannot restore map from {found}"),
            _ if target.starts_with("[]") => format!("cannot restore slice from {found}"),
            _ => format!("cannot restore struct from: {found}"),
        }
    }
}

impl DecodeError {
    /// An error about a body whose kind is known.
    pub fn of(gvk: &Gvk, cause: Cause) -> DecodeError {
        DecodeError { gvk: Some(Box::new(gvk.clone())), cause }
    }

    /// The message of the BadRequest Status: `kind` is what the request path expects, `body` is what was sent
    /// (k8s.io/apiserver/pkg/endpoints/handlers: transformDecodeError).
    pub fn message(&self, kind: &str, body: &[u8]) -> String {
        match &self.gvk {
            Some(gvk) => format!(
                "{} in version {} cannot be handled as a {kind}: {self}",
                gvk.kind,
                quote(&gvk.version)
            ),
            None => format!(
                "the object provided is unrecognized (must be of type {kind}): {self} ({})",
                summary(body)
            ),
        }
    }
}

impl From<Cause> for DecodeError {
    fn from(cause: Cause) -> DecodeError {
        DecodeError { gvk: None, cause }
    }
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> DecodeError {
        Cause::Protobuf(error).into()
    }
}

/// The start of a body: as text if it looks like JSON, else in hexadecimal digits.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    if body.is_empty() {
        return "<empty>".to_owned();
    }
    let start = &body[..body.len().min(SHOWN)];
    let mut text = if body[0] == b'{' {
        String::from_utf8_lossy(start).into_owned()
    } else {
        start.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    if body.len() > SHOWN {
        text.push_str(" ...");
    }
    text
}

/// One complaint of strict field validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StrictError {
    /// A field that the type does not have, by its path such as `spec.containers[0].imege`.
    Unknown(String),
    /// A field that is there twice, by its path. The last value counts.
    Duplicate(String),
    /// Keys that are there twice in YAML: upstream reports them by line, all in one error.
    Yaml(String),
}

impl fmt::Display for StrictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StrictError::Unknown(path) => write!(f, "unknown field {}", quote(path)),
            StrictError::Duplicate(path) => write!(f, "duplicate field {}", quote(path)),
            StrictError::Yaml(text) => f.write_str(text),
        }
    }
}

impl StrictError {
    /// The complaint as warnings, each fit for a header: those of YAML are one for each key.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            StrictError::Yaml(text) => text.lines().skip(1).map(|line| line.trim().to_owned()).collect(),
            one => vec![one.to_string()],
        }
    }
}

/// The text of the error that strict field validation answers with: all complaints in one line.
pub fn strict_message(errors: &[StrictError]) -> String {
    let texts: Vec<String> = errors.iter().map(StrictError::to_string).collect();
    format!("strict decoding error: {}", texts.join(", "))
}

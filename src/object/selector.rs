//! Label selectors and field selectors: parsing what a query or an object says, and matching.
//!
//! Rules and texts: k8s.io/apimachinery/pkg/labels and pkg/fields. `!=` and `notin` also match objects that do not
//! have the key.

mod fields;
mod labels;

pub use fields::{FieldTerm, Fields, escape_field_value};

use serde_json::Value;
use std::fmt;

/// A label selector: all requirements must hold. No requirements match everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Labels(pub Vec<Requirement>);

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is asked of its value.
    pub operator: Operator,
    /// The values asked for, of a text sorted and each once, of an object as they stand there; empty for `Exists` and
    /// `DoesNotExist`, one for all that are neither these nor `In` and `NotIn`.
    pub values: Vec<String>,
}

/// What is asked of a label. `Equals` and `DoubleEquals` ask the same as `In` with one value, `NotEquals` the same
/// as `NotIn`; they are told apart since the text form keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the variants are the words of the API
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Labels {
    /// Reads the text form of a query: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Requirements come out sorted by key.
    /// The error is upstream's text.
    pub fn parse(text: &str) -> Result<Labels, String> {
        labels::parse(text)
    }

    /// Reads a `metav1.LabelSelector` tree (`matchLabels`, `matchExpressions`). `None` and null match nothing,
    /// an empty selector matches everything, as upstream's LabelSelectorAsSelector has it: hence the `Option`.
    pub fn from_object(selector: Option<&Value>) -> Result<Option<Labels>, String> {
        labels::from_object(selector)
    }

    /// A plain map of labels that must all be equal, as in `Service.spec.selector`.
    pub fn from_map(map: Option<&Value>) -> Labels {
        Labels(
            crate::meta::entries(map)
                .map(|(k, v)| Requirement {
                    key: k.to_owned(),
                    operator: Operator::Equals,
                    values: vec![v.to_owned()],
                })
                .collect(),
        )
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels, read through `get`, satisfy all requirements.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|r| r.matches(get(&r.key)))
    }

    /// Whether `metadata.labels` of an object satisfy all requirements.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(|key| crate::meta::label(object, key))
    }

    /// The one value that the label `key` must have, if a requirement says so.
    pub fn exact(&self, key: &str) -> Option<&str> {
        let r = self.0.iter().find(|r| r.key == key)?;
        match (r.operator, r.values.as_slice()) {
            (Operator::In | Operator::Equals | Operator::DoubleEquals, [value]) => Some(value),
            _ => None,
        }
    }
}

/// The canonical text form, which [`Labels::parse`] reads back; `status.selector` of a Scale carries it.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl Requirement {
    /// Whether a label's value, or its absence, satisfies this requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(|v| self.has(v)),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(|v| self.has(v)),
            Operator::GreaterThan => self.compares(value, |v, bound| v > bound),
            Operator::LessThan => self.compares(value, |v, bound| v < bound),
        }
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|v| v == value)
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|v| v.parse().ok());
        let value = value.and_then(|v| v.parse().ok());
        value.zip(bound).is_some_and(|(v, bound)| holds(v, bound))
    }
}

#[cfg(test)]
mod tests;

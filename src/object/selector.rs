//! Label selectors and field selectors: parsing what a query or an object says, and matching.
//!
//! Rules and texts: k8s.io/apimachinery/pkg/labels and pkg/fields. `!=` and `notin` also match objects that do not
//! have the key.

use serde_json::Value;

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
    /// The values asked for; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<String>,
}

/// What is asked of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the variants are the words of the API
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Labels {
    /// Reads the text form of a query: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. The error is upstream's text.
    pub fn parse(text: &str) -> Result<Labels, String> {
        let _ = text;
        todo!("the object room's own work")
    }

    /// Reads a `metav1.LabelSelector` tree (`matchLabels`, `matchExpressions`). `None` and null match nothing,
    /// an empty selector matches everything, as upstream's LabelSelectorAsSelector has it: hence the `Option`.
    pub fn from_object(selector: Option<&Value>) -> Result<Option<Labels>, String> {
        let _ = selector;
        todo!("the object room's own work")
    }

    /// A plain map of labels that must all be equal, as in `Service.spec.selector`.
    pub fn from_map(map: Option<&Value>) -> Labels {
        Labels(
            crate::meta::entries(map)
                .map(|(k, v)| Requirement {
                    key: k.to_owned(),
                    operator: Operator::In,
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
}

impl Requirement {
    /// Whether a label's value, or its absence, satisfies this requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        match (self.operator, value) {
            (Operator::Exists, v) => v.is_some(),
            (Operator::DoesNotExist, v) => v.is_none(),
            (Operator::In, Some(v)) => self.values.iter().any(|w| w == v),
            (Operator::In, None) => false,
            (Operator::NotIn, Some(v)) => self.values.iter().all(|w| w != v),
            (Operator::NotIn, None) => true,
            (Operator::GreaterThan | Operator::LessThan, v) => self.compares(v),
        }
    }

    fn compares(&self, value: Option<&str>) -> bool {
        let bound = self.values.first().and_then(|w| w.parse::<i64>().ok());
        match (value.and_then(|v| v.parse::<i64>().ok()), bound) {
            (Some(v), Some(w)) if self.operator == Operator::GreaterThan => v > w,
            (Some(v), Some(w)) => v < w,
            _ => false,
        }
    }
}

/// A field selector: all terms must hold.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fields(pub Vec<FieldTerm>);

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field's label, such as `spec.nodeName`.
    pub field: String,
    /// The value it must, or must not, have. A missing field counts as empty.
    pub value: String,
    /// True for `!=`.
    pub negated: bool,
}

impl Fields {
    /// Reads `a=b,c==d,e!=f` with upstream's escapes (`\\`, `\,`, `\=`). The error is upstream's text.
    pub fn parse(text: &str) -> Result<Fields, String> {
        let _ = text;
        todo!("the object room's own work")
    }

    /// Whether fields, read through `get`, satisfy all terms.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|t| (get(&t.field) == t.value) != t.negated)
    }

    /// The value that `field` must be equal to, if a term says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|t| t.field == field && !t.negated).map(|t| t.value.as_str())
    }
}

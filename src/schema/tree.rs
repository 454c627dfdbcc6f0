//! A JSON tree that borrows its texts from what it was read from. Most bodies are looked at once and become part of
//! something else, or are what is there already: their texts need not be copied for that, nor their keys be looked up.

use alcove_object::Value;
use alcove_object::gather::Gather;
use serde_json::Number;
use std::borrow::Cow;

/// A value. It reads as the [`Value`] that it becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Tree<'a>>),
    /// A map, its keys in order and without doubles.
    Map(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// What is under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Tree<'a>> {
        let Tree::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Tree::Null)
    }

    /// The tree with texts of its own.
    pub fn to_value(&self) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Text(text) => Value::String(text.clone().into_owned()),
            Tree::List(items) => Value::Array(items.iter().map(Tree::to_value).collect()),
            Tree::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.clone().into_owned(), value.to_value()));
                Value::Object(entries.gather())
            }
        }
    }

    /// The same, without copies of texts that are its own already.
    pub fn into_value(self) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(value),
            Tree::Number(number) => Value::Number(number),
            Tree::Text(text) => Value::String(text.into_owned()),
            Tree::List(items) => Value::Array(items.into_iter().map(Tree::into_value).collect()),
            Tree::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key.into_owned(), value.into_value()));
                Value::Object(entries.gather())
            }
        }
    }

    /// Whether it reads as this value.
    pub fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Tree::Null, Value::Null) => true,
            (Tree::Bool(a), Value::Bool(b)) => a == b,
            (Tree::Number(a), Value::Number(b)) => a == b,
            (Tree::Text(a), Value::String(b)) => a == b,
            (Tree::List(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b)),
            (Tree::Map(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((ak, av), (bk, bv))| ak == bk && av.is(bv))
            }
            _ => false,
        }
    }

    /// Does something to every number.
    pub(crate) fn each_number(&mut self, change: &impl Fn(&mut Number)) {
        match self {
            Tree::Number(number) => change(number),
            Tree::List(items) => items.iter_mut().for_each(|item| item.each_number(change)),
            Tree::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.each_number(change)),
            Tree::Null | Tree::Bool(_) | Tree::Text(_) => {}
        }
    }
}

impl<'a> From<&'a Value> for Tree<'a> {
    fn from(value: &'a Value) -> Tree<'a> {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(value) => Tree::Bool(*value),
            Value::Number(number) => Tree::Number(number.clone()),
            Value::String(text) => Tree::Text(Cow::Borrowed(text)),
            Value::Array(items) => Tree::List(items.iter().map(Tree::from).collect()),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), value.into()));
                Tree::Map(entries.collect())
            }
        }
    }
}

impl From<Value> for Tree<'static> {
    fn from(value: Value) -> Tree<'static> {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(value) => Tree::Bool(value),
            Value::Number(number) => Tree::Number(number),
            Value::String(text) => Tree::Text(Cow::Owned(text)),
            Value::Array(items) => Tree::List(items.into_iter().map(Tree::from).collect()),
            Value::Object(map) => {
                Tree::Map(map.into_iter().map(|(key, value)| (Cow::Owned(key), value.into())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trees_are_the_values_that_they_come_from() {
        let value = json!({"a": [1, -1.5, "x", null, true, {}], "b": {"c": {"d": []}}, "": "e\"f"});
        let tree = Tree::from(&value);
        assert!(tree.is(&value) && tree == Tree::from(value.clone()));
        assert_eq!((tree.to_value(), tree.clone().into_value()), (value.clone(), value.clone()));
        assert_eq!(tree.get("").and_then(Tree::as_str), Some("e\"f"));
        assert!(tree.get("c").is_none() && tree.get("b").is_some_and(|b| b.get("c").is_some()));
        for other in [json!({}), json!([]), json!({"a": [], "b": {"c": {"d": []}}, "": "e\"f"}), Value::Null]
        {
            assert!(!tree.is(&other), "{other}");
        }
    }
}

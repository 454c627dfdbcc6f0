//! Strict field validation of JSON: what is unknown, what is there twice, in the order of the text.
//!
//! Only a body that is known to have such a field is read here, a second time, since paths and order cost more than
//! the whole first read. The rules are those of sigs.k8s.io/json: duplicates of unknown fields and what is inside of
//! them are not told, nor anything inside types that read themselves.

use super::error::StrictError;
use super::path::Path;
use crate::limits::STRICT_ERRORS_MAX;
use crate::types::{Shape, View};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// The strict errors of a JSON text that was read before; of a text without a schema, duplicates only. At most
/// [`STRICT_ERRORS_MAX`](crate::limits::STRICT_ERRORS_MAX).
pub fn errors(text: &[u8], schema: Option<View<'_>>) -> Vec<StrictError> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let root = Checked { schema, path: &Path::ROOT, found: &mut found };
    // The text was read before, so this cannot fail; if it did, what was found is still right.
    let _read_before = root.deserialize(&mut reader);
    found
}

/// A value to be checked.
struct Checked<'a> {
    schema: Option<View<'a>>,
    path: &'a Path<'a>,
    found: &'a mut Vec<StrictError>,
}

impl Checked<'_> {
    fn found(&mut self, error: StrictError) {
        if self.found.len() < STRICT_ERRORS_MAX && !self.found.contains(&error) {
            self.found.push(error);
        }
    }

    /// Whether Go reads the type with a decoder of its own, which does not check.
    fn reads_itself(&self) -> bool {
        let shape = self.schema.map(View::shape);
        matches!(shape, Some(Shape::Any | Shape::BoolOr(_) | Shape::OneOrList(_) | Shape::OneOrStrings(_)))
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.reads_itself() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let schema = self.schema.and_then(View::item);
        for index in 0.. {
            let path = self.path.index(index);
            let item = Checked { schema, path: &path, found: &mut *self.found };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = self.path.key(&key);
            let schema = match self.schema {
                None => None,
                Some(view) => match view.child(&key) {
                    Some(child) => Some(child),
                    None if view.schema().preserve_unknown => None,
                    None => {
                        self.found(StrictError::Unknown(path.full()));
                        entries.next_value::<IgnoredAny>()?;
                        continue;
                    }
                },
            };
            if seen.contains(&key) {
                self.found(StrictError::Duplicate(path.full()));
            }
            entries.next_value_seed(Checked { schema, path: &path, found: &mut *self.found })?;
            seen.insert(key);
        }
        Ok(())
    }
}

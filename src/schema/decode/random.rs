//! Random inputs: nothing panics on any bytes, and what a schema allows survives every encoding.

use super::*;
use crate::{Minor, Shape, Types, builtin};
use proptest::prelude::*;
use serde_json::{Map, json};

/// A source of small numbers that a test case is made of.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len() as u64) as usize].clone()
    }
}

/// A value of this type, written canonically, with few enough fields to end. Lists and maps have something in them:
/// protobuf cannot tell an empty one from none.
fn sample(view: View<'_>, dice: &mut Dice, depth: usize) -> Value {
    match view.shape() {
        Shape::Struct(fields) => {
            let mut map = Map::new();
            for field in fields.iter().filter(|field| field.number > 0) {
                if dice.roll(2 + depth as u64 * 2) == 0 && depth < 12 {
                    map.insert(field.name.to_string(), sample(view.at(field.schema), dice, depth + 1));
                }
            }
            Value::Object(map)
        }
        Shape::Map(item) => {
            let keys = ["", "a", "b.c/d"].into_iter().take(1 + dice.roll(3) as usize);
            keys.map(|key| (key.to_owned(), sample(view.at(*item), dice, depth + 1))).collect()
        }
        Shape::List(item) => (0..=dice.roll(2)).map(|_| sample(view.at(*item), dice, depth + 1)).collect(),
        Shape::String => dice.pick(&["", "x", "ü\n\"", "*"]).into(),
        Shape::Boolean => (dice.roll(2) == 0).into(),
        Shape::Int32 => dice.pick(&[0, 1, -1, i32::MIN, i32::MAX]).into(),
        Shape::Int64 => dice.pick(&[0, 1, -1, i64::MIN, i64::MAX]).into(),
        Shape::Double => dice.pick(&[json!(0), json!(1.5), json!(-3)]),
        Shape::Bytes => dice.pick(&["", "AA==", "aGVsbG8="]).into(),
        Shape::IntOrString => dice.pick(&[json!(0), json!(-5), json!("25%"), json!("")]),
        Shape::Quantity => dice.pick(&["0", "100m", "1Gi", "-5", "1e3"]).into(),
        Shape::Time => dice.pick(&["2026-11-21T09:30:00Z", "1969-12-31T23:59:59Z"]).into(),
        Shape::MicroTime => dice.pick(&["2026-11-21T09:30:00.000001Z", "1969-12-31T23:59:59.999999Z"]).into(),
        Shape::Duration => dice.pick(&["0s", "1h0m0s", "-1.5s"]).into(),
        Shape::Any => dice.pick(&[json!({"a": [1.5, null]}), json!({}), json!([true])]),
        Shape::BoolOr(schema) => match dice.roll(3) {
            0 => sample(view.at(*schema), dice, depth + 3),
            roll => (roll == 1).into(),
        },
        Shape::OneOrList(schema) => match dice.roll(2) {
            0 => sample(view.at(*schema), dice, depth + 3),
            _ => json!([sample(view.at(*schema), dice, depth + 3)]),
        },
        Shape::OneOrStrings(schema) => match dice.roll(2) {
            0 => sample(view.at(*schema), dice, depth + 3),
            _ => json!(["a", ""]),
        },
    }
}

/// An object of any kind, conforming.
fn any_object(types: &Types, seed: u64) -> (View<'_>, Value) {
    // WatchEvent, which is no object, is a kind too.
    let mut kinds: Vec<_> = types.kinds().filter(|(_, view)| view.field("kind").is_some()).collect();
    kinds.sort_by_key(|(gvk, _)| *gvk);
    let mut dice = Dice(seed);
    let (gvk, view) = dice.pick(&kinds);
    let mut value = sample(view, &mut dice, 0);
    value["apiVersion"] = gvk.api_version().into();
    value["kind"] = gvk.kind.as_str().into();
    conform(&mut value, view, &mut Report::default()).unwrap();
    (view, value)
}

proptest! {
    #[test]
    fn every_kind_survives_every_encoding(seed: u64) {
        let types = builtin::types(Minor(36));
        let (view, mut value) = any_object(&types, seed);

        let resolve = |gvk: &Gvk| types.kind(gvk);
        let text = serde_json::to_vec(&value).unwrap();
        // With a marker in front, JSON is read as the YAML that it is.
        let marked = [b"--- ", text.as_slice()].concat();
        for (text, encoding) in [(&text, Encoding::Json), (&marked, Encoding::Yaml)] {
            let read = decode(text, encoding, None, resolve).unwrap();
            prop_assert_eq!((&read.value, read.strict.len()), (&value, 0));
        }
        let bytes = encode(&value, view).unwrap();
        let mut read = decode(&bytes, Encoding::Protobuf, None, resolve).unwrap().value;
        fill(&mut read, view);
        fill(&mut value, view);
        prop_assert_eq!(read, value);
    }

    #[test]
    fn no_bytes_panic(body: Vec<u8>, prefixed: bool) {
        let types = builtin::types(Minor(36));
        let mut body = body;
        if prefixed {
            // An envelope that claims to hold a CustomResourceDefinition, the type with all shapes.
            let kind = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"});
            let view = types.kind(&Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition")).unwrap();
            let mut whole = encode(&kind, view).unwrap();
            wire::put_bytes(&mut whole, 2, &body);
            body = whole;
        }
        for encoding in [Encoding::Json, Encoding::Yaml, Encoding::Protobuf] {
            let _any_answer = decode(&body, encoding, None, |gvk| types.kind(gvk));
        }
    }

    #[test]
    fn no_text_panics(text in r#"[\[\]{}:,"'&*a!|>0-9eE.+ \n\t#<?~%-]{0,60}"#) {
        let _any_answer = parse_json(text.as_bytes());
        let _any_answer = parse_yaml(text.as_bytes());
    }

    #[test]
    fn damaged_messages_never_panic(seed: u64, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let types = builtin::types(Minor(36));
        let (view, value) = any_object(&types, seed);
        let mut bytes = encode(&value, view).unwrap();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _any_answer = decode(&bytes, Encoding::Protobuf, None, |gvk| types.kind(gvk));
    }

    /// A text that Go's scanner takes is one that the reader takes, as far as nesting and UTF-8 allow.
    #[test]
    fn syntax_errors_are_explained(text in r#"[\[\]{}:,"a0-9eE.+ tru-]{0,20}"#) {
        let read = parse_json(text.as_bytes());
        let explained = syntax::explain(text.as_bytes());
        let overflow = read.as_ref().is_err_and(|e| e.to_string().contains("number out of range"));
        prop_assert!(read.is_ok() == explained.is_none() || overflow, "{:?} {:?}", read, explained);
    }
}

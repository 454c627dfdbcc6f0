//! What a change leaves as it is stored. That was brought into the form of its type, defaulted and judged when it was
//! written; most changes touch a small part of their object, and only that is worth going through again.

use alcove_object::{Value, meta};

/// What of an object's members, and of theirs in turn, is as it is stored. Never `metadata`, and none that a walk would
/// not enter.
#[derive(Debug, Default)]
pub(super) struct Settled(Vec<(String, Part)>);

/// How much of a member.
#[derive(Debug)]
enum Part {
    Whole,
    Members(Vec<String>),
}

impl Settled {
    /// Compares an object with the stored one.
    pub fn of(object: &Value, old: &Value) -> Settled {
        let (Some(object), Some(old)) = (object.as_object(), old.as_object()) else {
            return Settled::default();
        };
        let members = object.iter().filter(|(name, _)| *name != "metadata");
        let parts = members.filter_map(|(name, value)| Some((name.clone(), part(value, old.get(name)?)?)));
        Settled(parts.collect())
    }

    /// Whether a member is as it is stored.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(settled, part)| settled == name && matches!(part, Part::Whole))
    }

    /// Whether defaults can have nothing to do: all is as it is stored but for metadata, and there the labels, which
    /// some kinds take from a template.
    pub fn is_defaulted(&self, object: &Value, old: &Value) -> bool {
        fn labels(object: &Value) -> Option<&Value> {
            object.get("metadata")?.get("labels")
        }
        let (Some(fields), Some(before)) = (object.as_object(), old.as_object()) else { return false };
        let is_same = |(name, value): (&String, &Value)| match value {
            Value::Object(_) | Value::Array(_) => name == "metadata" || self.has(name),
            scalar => before.get(name) == Some(scalar),
        };
        fields.len() == before.len() && labels(object) == labels(old) && fields.iter().all(is_same)
    }

    /// Does something to an object from which what is settled is laid aside meanwhile.
    pub fn beside<T>(&self, object: &mut Value, work: impl FnOnce(&mut Value) -> T) -> T {
        let mut aside = Vec::new();
        if let Some(map) = object.as_object_mut() {
            for (name, part) in &self.0 {
                match (part, map.get_mut(name)) {
                    (Part::Whole, _) => aside.extend(map.remove(name).map(|value| (name, None, value))),
                    (Part::Members(members), Some(Value::Object(map))) => aside.extend(
                        members.iter().filter_map(|inner| Some((name, Some(inner), map.remove(inner)?))),
                    ),
                    (Part::Members(_), _) => {}
                }
            }
        }
        let result = work(object);
        if let Some(map) = object.as_object_mut() {
            for (name, inner, value) in aside {
                match inner {
                    None => map.insert(name.clone(), value),
                    Some(inner) => meta::child_mut(map, name).insert(inner.clone(), value),
                };
            }
        }
        result
    }
}

fn part(value: &Value, old: &Value) -> Option<Part> {
    let (Value::Object(map), Value::Object(before)) = (value, old) else {
        return (value.is_array() && value == old).then_some(Part::Whole);
    };
    let mut settled = Vec::new();
    let mut is_whole = map.len() == before.len();
    for (name, value) in map {
        let is_same = before.get(name) == Some(value);
        is_whole &= is_same;
        if is_same && (value.is_object() || value.is_array()) {
            settled.push(name);
        }
    }
    match is_whole {
        true => Some(Part::Whole),
        false => Some(Part::Members(settled.into_iter().cloned().collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_settled_is_laid_aside_and_comes_back() {
        let of = |data: i32, spec: i32| {
            json!({
                "kind": "K", "metadata": {"a": 1}, "spec": {"a": [1], "b": {"c": 1}, "d": spec, "e": {"d": spec}},
                "status": {}, "data": {"x": data}, "list": [1],
            })
        };
        let old = of(1, 1);
        let mut new = of(2, 2);
        let settled = Settled::of(&new, &old);
        assert!(settled.has("status") && settled.has("list"));
        assert!(!["metadata", "kind", "data", "spec"].iter().any(|name| settled.has(name)));
        settled.beside(&mut new, |object| {
            let expected =
                json!({"kind": "K", "metadata": {"a": 1}, "spec": {"d": 2, "e": {"d": 2}}, "data": {"x": 2}});
            assert_eq!(*object, expected);
            object["spec"] = Value::Null;
            object["status"] = json!({"filled": true});
            object["metadata"] = json!({});
        });
        let expected = json!({
            "kind": "K", "metadata": {}, "spec": {"a": [1], "b": {"c": 1}}, "status": {}, "data": {"x": 2},
            "list": [1],
        });
        assert_eq!(new, expected);
        assert!(Settled::of(&old, &old).has("spec"));
    }

    #[test]
    fn defaults_have_nothing_to_do_where_only_metadata_changed() {
        let of = |labels: Value, spec: i32, more: bool| {
            let mut object = json!({"metadata": {"name": more, "labels": labels}, "spec": {"a": spec}});
            if more {
                object["x"] = 1.into();
            }
            object
        };
        let old = of(json!({"a": "b"}), 1, false);
        for (new, expected) in [
            (of(json!({"a": "b"}), 1, false), true),
            (of(json!({}), 1, false), false),
            (of(json!({"a": "b"}), 2, false), false),
            (of(json!({"a": "b"}), 1, true), false),
        ] {
            assert_eq!(Settled::of(&new, &old).is_defaulted(&new, &old), expected, "{new}");
        }
    }
}

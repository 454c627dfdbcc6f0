//! Which of the names that a definition asks for it gets: within a group, each name belongs to whoever had it first
//! (k8s.io/apiextensions-apiserver/pkg/controller/status).

use super::{text, texts};
use alcove_object::Value;
use alcove_object::field::quote;
use serde_json::{Map, json};

/// The names of a definition, asked for or accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub plural: String,
    pub singular: String,
    pub short: Vec<String>,
    pub kind: String,
    pub list_kind: String,
    pub categories: Vec<String>,
}

/// What came of asking for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The names that the definition has now.
    pub names: Names,
    /// Reason and message of the first conflict upstream would tell; `None`: all were accepted.
    pub conflict: Option<(&'static str, String)>,
}

impl Names {
    /// The names at a place of a definition: `/spec/names` or `/status/acceptedNames`.
    pub fn read(definition: &Value, at: &str) -> Names {
        let one = |name: &str| text(definition, &format!("{at}/{name}")).to_owned();
        let many = |name: &str| texts(definition, &format!("{at}/{name}"));
        Names {
            plural: one("plural"),
            singular: one("singular"),
            short: many("shortNames"),
            kind: one("kind"),
            list_kind: one("listKind"),
            categories: many("categories"),
        }
    }

    /// The names as a status has them.
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        out.insert("plural".into(), self.plural.clone().into());
        out.insert("kind".into(), self.kind.clone().into());
        for (key, name) in [("singular", &self.singular), ("listKind", &self.list_kind)] {
            if !name.is_empty() {
                out.insert(key.into(), name.clone().into());
            }
        }
        for (key, names) in [("shortNames", &self.short), ("categories", &self.categories)] {
            if !names.is_empty() {
                out.insert(key.into(), json!(names));
            }
        }
        out.into()
    }

    fn resources(&self) -> impl Iterator<Item = &String> {
        [&self.plural, &self.singular].into_iter().chain(&self.short)
    }

    fn kinds(&self) -> impl Iterator<Item = &String> {
        [&self.kind, &self.list_kind].into_iter()
    }

    /// Asks for these names for a definition that has `current` ones, beside the others of its group.
    pub fn ask<'o>(self, current: &Names, others: impl Iterator<Item = &'o Names> + Clone) -> Accepted {
        let is_resource =
            |name: &String| others.clone().any(|other| other.resources().any(|used| used == name));
        let is_kind = |name: &String| others.clone().any(|other| other.kinds().any(|used| used == name));
        let in_use = |name: &str| format!("{} is already in use", quote(name));
        let mut conflict = None;
        let mut ask = |wanted: String, has: &String, is_used: bool, reason: &'static str| {
            if wanted == *has || !is_used {
                return wanted;
            }
            conflict = Some((reason, in_use(&wanted)));
            has.clone()
        };
        let used = is_resource(&self.plural);
        let plural = ask(self.plural, &current.plural, used, "PluralConflict");
        let used = is_resource(&self.singular);
        let singular = ask(self.singular, &current.singular, used, "SingularConflict");
        let used = is_kind(&self.kind);
        let kind = ask(self.kind, &current.kind, used, "KindConflict");
        let used = is_kind(&self.list_kind);
        let list_kind = ask(self.list_kind, &current.list_kind, used, "ListKindConflict");
        let taken: Vec<String> = self
            .short
            .iter()
            .filter(|n| !current.short.contains(n) && is_resource(n))
            .map(|n| in_use(n))
            .collect();
        let short = if taken.is_empty() { self.short } else { current.short.clone() };
        if conflict.is_none() && !taken.is_empty() {
            let message = if taken.len() == 1 { taken[0].clone() } else { format!("[{}]", taken.join(", ")) };
            conflict = Some(("ShortNamesConflict", message));
        }
        let names = Names { plural, singular, short, kind, list_kind, categories: self.categories };
        Accepted { names, conflict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plural: &str, kind: &str, short: &[&str]) -> Names {
        Names {
            plural: plural.into(),
            singular: kind.to_lowercase(),
            short: short.iter().map(|s| (*s).to_owned()).collect(),
            kind: kind.into(),
            list_kind: format!("{kind}List"),
            categories: Vec::new(),
        }
    }

    #[test]
    fn a_name_belongs_to_whoever_had_it_first() {
        let other = names("foos", "Foo", &["f"]);
        for (asked, expected) in [
            (names("bars", "Bar", &["b"]), None),
            (names("bars", "Foo", &[]), Some(("ListKindConflict", "\"FooList\" is already in use"))),
            (names("bars", "Bar", &["f"]), Some(("ShortNamesConflict", "\"f\" is already in use"))),
            (names("foos", "Bar", &[]), Some(("PluralConflict", "\"foos\" is already in use"))),
        ] {
            let accepted = asked.ask(&Names::default(), [&other].into_iter());
            let expected = expected.map(|(reason, message)| (reason, message.to_owned()));
            assert_eq!(accepted.conflict, expected);
        }
        let kept = names("foos", "Foo", &["g"]).ask(&names("foos", "Foo", &["g"]), [&other].into_iter());
        assert_eq!(kept.conflict, None, "what one has, one keeps");
    }
}

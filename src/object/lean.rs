//! Trees of what somebody wants to see of an object. Most of a large object is not looked at by whoever shows a few of
//! its fields, and what is not wanted is stepped over, not read.

use crate::Value;
use crate::scan::{Malformed, Scanner};
use serde_json::Map;

/// The step of a path that stands for all items of a list.
const ITEMS: &str = "*";

/// The paths that are wanted of objects. By default nothing is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Everything from here on.
    whole: bool,
    below: Vec<(Box<str>, Wanted)>,
}

impl Wanted {
    /// Wants what stands at these paths, whose steps are parted by slashes: no key of theirs has one.
    pub fn of(paths: &[&str]) -> Wanted {
        let mut wanted = Wanted::default();
        paths.iter().for_each(|path| wanted.add(path.split('/')));
        wanted
    }

    /// Wants what stands at a path too, with everything below it. Steps are names of fields, and `*` for the items of a
    /// list. No step: the whole object.
    pub fn add<'p>(&mut self, path: impl IntoIterator<Item = &'p str>) {
        let mut at = self;
        for step in path {
            // Keys that JSON escapes are not looked for.
            if step.contains(['"', '\\']) || step.contains(char::is_control) {
                break;
            }
            let known = at.below.iter().position(|(name, _)| **name == *step);
            let found = known.unwrap_or_else(|| {
                at.below.push((step.into(), Wanted::default()));
                at.below.len() - 1
            });
            at = &mut at.below[found].1;
        }
        at.whole = true;
    }

    /// The tree of what is wanted of an object in compact JSON. Lists keep all of their items, with what is wanted of
    /// each; what is no object and no list is there if anything below it is wanted.
    pub fn read(&self, json: &[u8]) -> Result<Value, Malformed> {
        self.value(&mut Scanner::new(json))
    }

    fn value(&self, json: &mut Scanner<'_>) -> Result<Value, Malformed> {
        match json.peek() {
            Some(b'"') => Ok(Value::String(json.string()?.text()?.into_owned())),
            Some(b'{') if !self.whole => self.members(json),
            Some(b'[') if !self.whole => match self.at(|name| name == ITEMS) {
                Some(item) => item.items(json),
                None => json.tree(),
            },
            _ => json.tree(),
        }
    }

    fn members(&self, json: &mut Scanner<'_>) -> Result<Value, Malformed> {
        let mut map = Map::new();
        json.object(|json, key| match self.at(|name| key.is(name)) {
            Some(wanted) => {
                map.insert(key.text()?.into_owned(), wanted.value(json)?);
                Ok(())
            }
            None => json.value().map(|_| ()),
        })?;
        Ok(Value::Object(map))
    }

    fn items(&self, json: &mut Scanner<'_>) -> Result<Value, Malformed> {
        let mut items = Vec::new();
        json.array(|json| {
            items.push(self.value(json)?);
            Ok::<(), Malformed>(())
        })?;
        Ok(Value::Array(items))
    }

    fn at(&self, is_it: impl Fn(&str) -> bool) -> Option<&Wanted> {
        self.below.iter().find(|(name, _)| is_it(name)).map(|(_, wanted)| wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wanted_is_read() {
        let object = json!({
            "metadata": {"name": "a\"b", "labels": {"x": "y"}, "managedFields": [{"a": [1]}]},
            "spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d"}], "gates": [{"t": 1}], "n": null},
            "status": "none",
        });
        for (paths, expected) in [
            (&[][..], json!({})),
            (&[""], object.clone()),
            (&["metadata/name", "status/phase"], json!({"metadata": {"name": "a\"b"}, "status": "none"})),
            (
                &["spec/containers/*/name", "spec/n/x", "missing"],
                json!({"spec": {"containers": [{"name": "c"}, {"name": "d"}], "n": null}}),
            ),
            (&["spec/gates/0/t"], json!({"spec": {"gates": [{"t": 1}]}})),
            (&["metadata/labels/a\"b"], json!({"metadata": {"labels": {"x": "y"}}})),
            (&["metadata/labels", "metadata/labels/x"], json!({"metadata": {"labels": {"x": "y"}}})),
        ] {
            let mut wanted = Wanted::default();
            paths.iter().for_each(|path| wanted.add(path.split('/').filter(|step| !step.is_empty())));
            assert_eq!(wanted.read(object.to_string().as_bytes()), Ok(expected), "{paths:?}");
            if paths != [""] {
                assert_eq!(Wanted::of(paths), wanted);
            }
        }
        for broken in ["", "{", "{\"spec\":", "[}"] {
            let mut wanted = Wanted::default();
            wanted.add(["spec", "containers"]);
            assert_eq!(wanted.read(broken.as_bytes()), Err(Malformed), "{broken}");
        }
    }
}

//! The configuration of a tenant from what a person says: files, single values, and flags for the most common ones.

use crate::commands::Error;
use alcove_config::Config;
use alcove_schema::decode::yaml_tree;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Puts one tree over another: maps are merged, everything else is replaced.
pub fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// Reads a file of values; `-` is standard input.
pub fn file(path: &Path) -> Result<Value, Error> {
    let wrong = |detail: String| Error::Values { place: path.display().to_string(), detail };
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| wrong(error.to_string()))?;
    tree(&text).map_err(wrong)
}

/// YAML as a tree; nothing is an empty map.
fn tree(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    match yaml_tree(text)? {
        Value::Null => Ok(json!({})),
        tree @ Value::Object(_) => Ok(tree),
        _ => Err("must hold keys and values".into()),
    }
}

/// Sets one value, as `a.b[0].c=VALUE`; the value is YAML, so that lists and maps can be said, too. A point in a key has a
/// backslash before it, as with helm.
pub fn set(below: &mut Value, assignment: &str) -> Result<(), Error> {
    let wrong = |detail: &str| Error::Values { place: format!("--set {assignment}"), detail: detail.into() };
    let (path, value) = assignment
        .split_once('=')
        .ok_or_else(|| wrong("must be KEY=VALUE, such as expose.type=LoadBalancer"))?;
    let value: Value = match value {
        "" => "".into(),
        value => yaml_tree(value).unwrap_or_else(|_| value.into()),
    };
    let mut place = below;
    for part in parts(path) {
        let (key, indexes) = part.split_once('[').map_or((&*part, ""), |(key, rest)| (key, rest));
        if key.is_empty() {
            return Err(wrong("has an empty key"));
        }
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key];
        for index in indexes.split('[').filter(|index| !index.is_empty()) {
            let index = index.strip_suffix(']').and_then(|index| index.parse::<usize>().ok());
            let index = index.ok_or_else(|| wrong("has an index that is no number in brackets"))?;
            let length = place.as_array().map_or(0, Vec::len);
            if index > length {
                return Err(wrong("leaves a gap in a list"));
            }
            if !place.is_array() {
                *place = json!([]);
            }
            if index == length {
                place.as_array_mut().into_iter().for_each(|list| list.push(Value::Null));
            }
            place = &mut place[index];
        }
    }
    *place = value;
    Ok(())
}

/// The keys of a path, without the backslashes before points that are part of one.
fn parts(path: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => parts.push(std::mem::take(&mut part)),
            '\\' => part.extend(letters.next()),
            letter => part.push(letter),
        }
    }
    parts.push(part);
    parts
}

/// Registry and repository, and tag, of an image as people write it.
pub fn image(text: &str) -> Value {
    // A colon before the last slash is a registry's port.
    let name = text.rsplit('/').next().unwrap_or(text);
    match name.rsplit_once(':') {
        Some((_, tag)) => {
            json!({ "repository": text[..text.len() - tag.len() - 1], "tag": tag })
        }
        None => json!({ "repository": text }),
    }
}

/// A checked configuration. `steps`: how it came about, each with the state after it; a mistake is told with the step
/// that brought it.
pub fn checked(tree: Value, steps: Vec<(String, Value)>) -> Result<Config, Error> {
    let problem = match Config::from_tree(tree) {
        Ok(config) => return Ok(config),
        Err(problem) => problem,
    };
    let brought =
        steps.into_iter().find(|(_, state)| Config::from_tree(state.clone()).as_ref() == Err(&problem));
    let place = brought.map_or("the configuration".to_owned(), |(place, _)| place);
    Err(Error::Values { place, detail: problem.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_one_by_one() {
        let mut tree = json!({ "dns": { "port": 1 }, "list": ["a"] });
        for assignment in [
            "dns.port=1054",
            "expose.type=LoadBalancer",
            "list[0]=b",
            "list[1]=c",
            "sync.x=[1, two]",
            "on=true",
            "text=\"1\"",
            "empty=",
            "kubernetesVersion=1.36",
            r"runtimeConfig.networking\.k8s\.io/v1beta1=true",
            "runtimeConfig.api/alpha=false",
        ] {
            set(&mut tree, assignment).unwrap();
        }
        assert_eq!(
            tree,
            json!({ "dns": { "port": 1054 }, "expose": { "type": "LoadBalancer" }, "list": ["b", "c"],
                "sync": { "x": [1, "two"] }, "on": true, "text": "1", "empty": "", "kubernetesVersion": 1.36,
                "runtimeConfig": { "networking.k8s.io/v1beta1": true, "api/alpha": false } })
        );
        for (bad, word) in [
            ("dns.port", "KEY=VALUE"),
            ("a..b=1", "empty key"),
            ("list[9]=x", "gap"),
            ("list[x]=x", "no number"),
        ] {
            let error = set(&mut tree, bad).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(bad), "{error}");
        }
    }

    #[test]
    fn what_is_above_wins_and_the_rest_stays() {
        let mut tree = json!({ "a": { "b": 1, "c": [1, 2] }, "d": 1 });
        merge(&mut tree, json!({ "a": { "c": [3] }, "e": {} }));
        assert_eq!(tree, json!({ "a": { "b": 1, "c": [3] }, "d": 1, "e": {} }));
    }

    #[test]
    fn images_have_tags_and_registries_ports() {
        for (text, repository, tag) in [
            ("alcove", "alcove", None),
            ("alcove:dev", "alcove", Some("dev")),
            ("localhost:5000/alcove", "localhost:5000/alcove", None),
            ("localhost:5000/a/alcove:1.2", "localhost:5000/a/alcove", Some("1.2")),
        ] {
            let image = image(text);
            assert_eq!(
                (image["repository"].as_str(), image["tag"].as_str()),
                (Some(repository), tag),
                "{text}"
            );
        }
    }
}

//! `fieldPath` of a rule: fields and keys below the place of the rule, such as `.spec['a.b'].c`
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go: ValidFieldPath).

use super::super::{inner, schemas};
use alcove_object::Value;
use alcove_object::field::Path;

/// The path as errors show it; `None`: the schema has no such place.
pub(in crate::custom) fn normalized(path: &str, schema: &Value) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    let (mut rest, mut schema, mut out) = (path, schema, Path::default());
    while !rest.is_empty() {
        let name;
        (name, rest) = step(rest)?;
        let has_properties = schemas(schema, "properties").next().is_some();
        (out, schema) = match has_properties {
            true => (out.child(&name), schema.get("properties")?.get(&*name)?),
            false => (out.key(&name), inner(schema, "additionalProperties")?),
        };
    }
    Some(out.as_str().to_owned())
}

/// The first name, and what follows it.
fn step(path: &str) -> Option<(String, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        return (end > 0).then(|| (rest[..end].to_owned(), &rest[end..]));
    }
    let mut rest = path.strip_prefix("['")?.char_indices();
    let text = path.strip_prefix("['")?;
    let mut name = String::new();
    while let Some((i, c)) = rest.next() {
        match c {
            '\'' => return text[i + 1..].strip_prefix(']').map(|rest| (name, rest)),
            '\\' => name.push(match rest.next()?.1 {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                plain @ ('\'' | '\\') => plain,
                _ => return None,
            }),
            plain => name.push(plain),
        }
    }
    None
}

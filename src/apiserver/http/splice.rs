//! Reading and cutting stored objects as bytes, without a tree: the metadata's span, and where kind and apiVersion
//! stand.

use alcove_object::scan::Scanner;
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::Range;

/// The metadata of an object as JSON; an empty object if there is none.
pub fn metadata(json: &[u8]) -> &str {
    let mut scanner = Scanner::new(json);
    let found = scanner.find("metadata").ok().filter(|is_there| *is_there);
    let metadata = found.and_then(|_| scanner.value().ok());
    metadata.and_then(|metadata| std::str::from_utf8(metadata).ok()).unwrap_or("{}")
}

/// What the plainest tables show.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Plain<'a> {
    /// `metadata.name`.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// `metadata.creationTimestamp`.
    #[serde(borrow)]
    pub creation_timestamp: Cow<'a, str>,
}

/// Name and creation time out of metadata in JSON.
pub fn plain(metadata: &str) -> Plain<'_> {
    serde_json::from_str(metadata).unwrap_or_default()
}

/// An object without its `kind` and `apiVersion`, as items of typed lists are: the pieces that remain.
pub fn without_type_meta(json: &Bytes) -> [Bytes; 3] {
    let mut cuts = top_level_members(json)
        .filter(|(key, _)| matches!(&json[key.clone()], b"kind" | b"apiVersion"))
        .map(|(_, member)| member);
    match (cuts.next(), cuts.next()) {
        (Some(first), Some(second)) => {
            [json.slice(..first.start), json.slice(first.end..second.start), json.slice(second.end..)]
        }
        _ => [json.clone(), Bytes::new(), Bytes::new()],
    }
}

/// The members of a compact JSON object that another member follows: the key's span without quotes, and the whole
/// member's span with its comma. Ends early on anything that is no JSON.
fn top_level_members(json: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let start = at;
        if json.get(start) != Some(&b'"') {
            return None;
        }
        let key_end = text_end(json, start)?;
        if json.get(key_end) != Some(&b':') {
            return None;
        }
        let end = value_end(json, key_end + 1)?;
        if json.get(end) != Some(&b',') {
            return None;
        }
        at = end + 1;
        Some((start + 1..key_end - 1, start..at))
    })
}

/// Where a text ends that starts at a quote.
fn text_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where a value ends: before the comma or bracket that closes its member.
fn value_end(json: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0usize);
    loop {
        match json.get(at)? {
            b'"' => {
                at = text_end(json, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(json: &'static str) -> String {
        String::from_utf8(without_type_meta(&Bytes::from_static(json.as_bytes())).concat()).unwrap()
    }

    #[test]
    fn items_lose_their_type() {
        assert_eq!(
            cut(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#),
            r#"{"metadata":{"name":"a"}}"#
        );
        assert_eq!(
            cut(
                r#"{"apiVersion":"v1","data":{"kind":"x,\"}","n":[1,{"kind":2}]},"kind":"ConfigMap","metadata":{}}"#
            ),
            r#"{"data":{"kind":"x,\"}","n":[1,{"kind":2}]},"metadata":{}}"#
        );
        assert_eq!(cut(r#"{"kind":"A","apiVersion":"b","metadata":{}}"#), r#"{"metadata":{}}"#);
        for untouched in [r#"{"metadata":{}}"#, r#"{"kind":"A","metadata":{}}"#, "{}", "", r#"{"kind"#] {
            assert_eq!(cut(untouched), untouched);
        }
    }

    #[test]
    fn metadata_is_a_slice() {
        let json = br#"{"spec":{"metadata":1},"metadata":{"name":"a\"b","creationTimestamp":"t"}}"#;
        let metadata = metadata(json);
        assert_eq!(metadata, r#"{"name":"a\"b","creationTimestamp":"t"}"#);
        let plain = plain(metadata);
        assert_eq!((&*plain.name, &*plain.creation_timestamp), ("a\"b", "t"));
        assert_eq!(super::metadata(b"{}"), "{}");
    }
}

//! Writing trees as compact JSON: what the store holds, byte for byte what serde_json writes. Most of an object are short
//! texts in which nothing is escaped, and those are looked at eight bytes at a time and copied.

use crate::scan::{every, zeros};
use serde_json::Value;

/// Appends a value.
pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(_) => by_serde(out, value),
        Value::String(value) => text(out, value),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            out.push(b'{');
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                text(out, key);
                out.push(b':');
                write(out, value);
            }
            out.push(b'}');
        }
    }
}

/// Appends a text.
pub fn text(out: &mut Vec<u8>, text: &str) {
    if is_escaped(text.as_bytes()) {
        return by_serde(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn by_serde(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("writing a tree to memory does not fail");
}

/// Whether something in a text has to be escaped: quotes, backslashes and control characters.
fn is_escaped(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks();
    let is_special = |chunk: &[u8; 8]| {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(every(b' ')) & !word & every(0x80);
        (zeros(word ^ every(b'"')) | zeros(word ^ every(b'\\')) | control) != 0
    };
    chunks.iter().any(is_special) || rest.iter().any(|&c| c < b' ' || matches!(c, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_what_serde_writes() {
        for value in [
            json!(null),
            json!([true, false, 1, -1, 1.0, -0.0, 1e300, u64::MAX, i64::MIN]),
            json!({"a": {}, "b": [], "c": {"d": [[], {"e": ""}]}, "é\"\\": "\n"}),
        ] {
            let mut out = Vec::new();
            write(&mut out, &value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        for length in 0..20 {
            for c in ["\"", "\\", "\u{0}", "\u{1f}", " ", "!", "\u{7f}", "é", "€", "\u{10ffff}"] {
                let value = ["x".repeat(length), c.to_owned(), "y".repeat(length)].concat();
                let mut out = Vec::new();
                text(&mut out, &value);
                assert_eq!(String::from_utf8(out).unwrap(), json!(value).to_string());
            }
        }
    }
}

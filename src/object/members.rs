//! The members of a JSON object as they stand in its text. Who needs a few of them, or a part unread, passes over the
//! rest far quicker than a parser does that looks at all of it.
//!
//! For text that is known to be JSON, such as what the store holds: what is not is noticed in part only, and never more
//! than left out.

use crate::scan::Scanner;
use std::borrow::Cow;

/// The members of an object, in the order of its text.
pub struct Members<'a>(Cursor<'a>);

/// The items of a list.
pub struct Items<'a>(Cursor<'a>);

/// Where a walk over a text is: before a member or item, or at the end. Behind the text if there was something wrong.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    end: u8,
}

/// The members of a text that is an object: nothing where it is none.
pub fn members(json: &str) -> Option<Members<'_>> {
    Cursor::begin(json, b'{', b'}').map(Members)
}

/// The items of a text that is a list: nothing where it is none.
pub fn items(json: &str) -> Option<Items<'_>> {
    Cursor::begin(json, b'[', b']').map(Items)
}

/// What a text in JSON says: nothing where it is no text.
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(inner.into()) }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step(Cursor::member)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step(Cursor::value)
    }
}

impl Members<'_> {
    /// Whether there are no more, and nothing was wrong.
    pub fn is_at_end(&self) -> bool {
        self.0.is_at_end()
    }
}

impl Items<'_> {
    /// Whether there are no more, and nothing was wrong.
    pub fn is_at_end(&self) -> bool {
        self.0.is_at_end()
    }
}

impl<'a> Cursor<'a> {
    fn begin(text: &'a str, open: u8, end: u8) -> Option<Cursor<'a>> {
        let mut cursor = Cursor { text, at: 0, end };
        cursor.pass_over_space();
        cursor.take(open)?;
        Some(cursor)
    }

    fn step<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.is_at_end() {
            return None;
        }
        let found = read(self);
        if found.is_none() {
            self.at = self.text.len();
        }
        found
    }

    fn is_at_end(&self) -> bool {
        self.peek() == Some(self.end)
    }

    /// One byte that must be here, and the space after it.
    fn take(&mut self, expected: u8) -> Option<()> {
        (self.peek() == Some(expected)).then_some(())?;
        self.at += 1;
        self.pass_over_space();
        Some(())
    }

    fn member(&mut self) -> Option<(Cow<'a, str>, &'a str)> {
        let start = self.at;
        (self.peek() == Some(b'"')).then_some(())?;
        self.at = after_value(self.text, start)?;
        let name = text(&self.text[start..self.at])?;
        self.pass_over_space();
        self.take(b':')?;
        Some((name, self.value()?))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn pass_over_space(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// The value that begins here, and on to what comes after it.
    fn value(&mut self) -> Option<&'a str> {
        let start = self.at;
        let end = after_value(self.text, start)?;
        self.at = end;
        self.pass_over_space();
        if !self.is_at_end() {
            self.take(b',')?;
        }
        Some(&self.text[start..end])
    }
}

/// Where the value that begins here ends.
fn after_value(text: &str, start: usize) -> Option<usize> {
    let value = Scanner::new(text.as_bytes().get(start..)?).value().ok()?;
    Some(start + value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn members_and_items_are_what_a_parser_finds() {
        for json in [
            "{}",
            r#"{"a":1}"#,
            r#" { "a" : [ 1 , { "b" : "]}" } ] , "c\"\\" : "x\"y\\" , "d" : null , "e":{},"f":[],"g":-1.5e3 } "#,
            r#"{"ä":"\u00e4","k":{"k:{\"name\":\"a\"}":{".":{}}},"t":true}"#,
        ] {
            let expected: Value = serde_json::from_str(json).unwrap();
            let mut found = members(json).unwrap();
            let tree: serde_json::Map<String, Value> = found
                .by_ref()
                .map(|(name, value)| (name.into_owned(), serde_json::from_str(value).unwrap()))
                .collect();
            assert_eq!(Value::Object(tree), expected, "{json}");
            assert!(found.is_at_end(), "{json}");
        }
        for json in ["[]", "[ ]", r#"[1,"a",[2,[]],{"b":"\"]"} , null]"#] {
            let expected: Vec<Value> = serde_json::from_str(json).unwrap();
            let found = items(json).unwrap().map(|item| serde_json::from_str(item).unwrap());
            assert_eq!(found.collect::<Vec<Value>>(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_ends_early() {
        for json in ["", "[]", "1", "null", "\"{}\""] {
            assert!(members(json).is_none(), "{json}");
        }
        let broken = [
            "{",
            r#"{"a"#,
            r#"{"a""#,
            r#"{"a":"#,
            r#"{"a":1"#,
            r#"{"a":}"#,
            r#"{"a":[1}"#,
            r#"{"a":"\"#,
            "{1:2}",
        ];
        for json in broken {
            let mut found = members(json).unwrap();
            assert!(found.by_ref().count() == 0 && !found.is_at_end(), "{json}");
        }
        let mut found = items("[1,[2").unwrap();
        assert!(found.by_ref().count() == 1 && !found.is_at_end());
    }
}

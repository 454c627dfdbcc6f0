//! Reading an object's JSON where it stands, without a tree: for who wants little of a large object, or all of it once.
//!
//! It is meant for what the store holds: compact JSON that was judged before it was stored. Anything else ends the walk
//! with an error; not every error of syntax is noticed, and none of them makes it panic.

use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use thiserror::Error;

/// Nesting of objects and arrays that trees are read of. Past it: the text counts as malformed.
pub const TREE_DEPTH_MAX: usize = 128;

/// The text is no compact JSON, or not of the type that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no compact JSON of the expected type")]
pub struct Malformed;

/// A place in a JSON text. Copying it is how to come back.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    json: &'a [u8],
    /// The same, if it is known to be UTF-8.
    text: &'a str,
    at: usize,
}

/// A text as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// The bytes between the quotes.
    raw: &'a [u8],
    is_escaped: bool,
}

impl<'a> Text<'a> {
    /// The text's bytes, UTF-8 if the JSON is. Copied only where something is escaped. Bad escapes are an error.
    pub fn bytes(self) -> Result<Cow<'a, [u8]>, Malformed> {
        if !self.is_escaped {
            return Ok(Cow::Borrowed(self.raw));
        }
        let quoted = [b"\"", self.raw, b"\""].concat();
        let text: String = serde_json::from_slice(&quoted).map_err(|_| Malformed)?;
        Ok(Cow::Owned(text.into_bytes()))
    }

    /// The same as text. Bytes that are no UTF-8 are an error.
    pub fn text(self) -> Result<Cow<'a, str>, Malformed> {
        match self.bytes()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Malformed),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Malformed),
        }
    }

    /// Whether it is this word, which has nothing to escape.
    pub fn is(self, word: &str) -> bool {
        // The first bytes mostly tell: comparing them costs less than calling what compares many.
        self.raw.first() == word.as_bytes().first() && self.raw == word.as_bytes() && !self.is_escaped
    }
}

impl<'a> Scanner<'a> {
    /// Begins at the front of a text that holds one value.
    pub fn new(json: &'a [u8]) -> Scanner<'a> {
        Scanner { json, text: "", at: 0 }
    }

    /// The same for who is about to read most of it: checked as a whole, texts need not be checked one by one.
    pub fn checked(json: &'a [u8]) -> Result<Scanner<'a>, Malformed> {
        let text = std::str::from_utf8(json).map_err(|_| Malformed)?;
        Ok(Scanner { json, text, at: 0 })
    }

    /// The first byte of what is next, which tells its type; none at the end.
    pub fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        let rest = self.json.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    /// Walks over an object. `member` is called with each key, and has to read or skip the value.
    pub fn object<E: From<Malformed>>(
        &mut self,
        mut member: impl FnMut(&mut Scanner<'a>, Text<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(b'{')?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            member(self, key)?;
            if self.ends(b'}')? {
                return Ok(());
            }
        }
    }

    /// Goes to the value of an object's member, and looks at nothing behind it. False: the object has no such member.
    pub fn find(&mut self, name: &str) -> Result<bool, Malformed> {
        self.take(b'{')?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(false);
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            if key.is(name) {
                return Ok(true);
            }
            self.value()?;
            if self.ends(b'}')? {
                return Ok(false);
            }
        }
    }

    /// Walks over an array. `item` is called before each item, and has to read or skip it.
    pub fn array<E: From<Malformed>>(
        &mut self,
        mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(b'[')?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            if self.ends(b']')? {
                return Ok(());
            }
        }
    }

    /// Steps over what stands after a member or an item: true for the end, false for the comma before the next one.
    fn ends(&mut self, end: u8) -> Result<bool, Malformed> {
        let next = self.peek();
        self.at += 1;
        match next {
            Some(b',') => Ok(false),
            Some(byte) if byte == end => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// Reads a text.
    #[inline]
    pub fn string(&mut self) -> Result<Text<'a>, Malformed> {
        self.take(b'"')?;
        let start = self.at;
        let end = quote_or_backslash(self.json, start).ok_or(Malformed)?;
        let is_escaped = self.json[end] == b'\\';
        let end = if is_escaped { closing_quote(self.json, end)? } else { end };
        self.at = end + 1;
        Ok(Text { raw: &self.json[start..end], is_escaped })
    }

    /// Reads true or false.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        let is_true = self.peek() == Some(b't');
        self.word(if is_true { b"true" } else { b"false" })?;
        Ok(is_true)
    }

    /// Reads a null if it is one.
    pub fn null(&mut self) -> Result<bool, Malformed> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word(b"null")?;
        Ok(true)
    }

    /// Reads a whole number of 64 bits; a fraction or an exponent is an error.
    pub fn integer(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        let text = std::str::from_utf8(number).map_err(|_| Malformed)?;
        text.parse().map_err(|_| Malformed)
    }

    /// Steps over a number, and gives it as it is written.
    pub fn number(&mut self) -> Result<&'a [u8], Malformed> {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let is_of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(|byte| is_of_number(byte)).count();
        if length == 0 {
            return Err(Malformed);
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// Steps over a value of any type, and gives it as it is written.
    pub fn value(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string().map(|_| ())?,
            Some(b'{' | b'[') => self.container()?,
            Some(b't' | b'f') => self.boolean().map(|_| ())?,
            Some(b'n') => self.word(b"null")?,
            _ => self.number().map(|_| ())?,
        }
        Ok(&self.json[start..self.at])
    }

    /// Reads a value of any type as a tree.
    pub fn tree(&mut self) -> Result<Value, Malformed> {
        self.tree_within(TREE_DEPTH_MAX)
    }

    fn tree_within(&mut self, depth: usize) -> Result<Value, Malformed> {
        Ok(match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                Value::String(self.owned(text, self.at - 1)?)
            }
            Some(b'{') => {
                let (depth, mut map) = (depth.checked_sub(1).ok_or(Malformed)?, Map::new());
                self.object(|json, key| {
                    map.insert(json.key(key)?, json.tree_within(depth)?);
                    Ok::<(), Malformed>(())
                })?;
                Value::Object(map)
            }
            Some(b'[') => {
                let (depth, mut items) = (depth.checked_sub(1).ok_or(Malformed)?, Vec::new());
                self.array(|json| {
                    items.push(json.tree_within(depth)?);
                    Ok::<(), Malformed>(())
                })?;
                Value::Array(items)
            }
            Some(b't' | b'f') => Value::Bool(self.boolean()?),
            Some(b'n') => self.word(b"null").map(|()| Value::Null)?,
            _ => Value::Number(number(self.number()?)?),
        })
    }

    /// A member's key, right before its value.
    pub fn key(&self, key: Text<'a>) -> Result<String, Malformed> {
        self.owned(key, self.at - "\":".len())
    }

    /// A text that ends here.
    fn owned(&self, text: Text<'a>, end: usize) -> Result<String, Malformed> {
        match self.text.get(end.saturating_sub(text.raw.len())..end) {
            Some(known) if !text.is_escaped => Ok(known.to_owned()),
            _ => Ok(text.text()?.into_owned()),
        }
    }

    /// Whether there is nothing more.
    pub fn is_at_end(&self) -> bool {
        self.at == self.json.len()
    }

    /// Steps over an object or an array, whose brackets are taken on trust.
    fn container(&mut self) -> Result<(), Malformed> {
        let (mut depth, mut at) = (0usize, self.at);
        loop {
            let byte = self.json.get(at).ok_or(Malformed)?;
            at += 1;
            match byte {
                b'"' => at = closing_quote(self.json, at)? + 1,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => {
                    self.at = at;
                    return Ok(());
                }
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
    }
}

/// Where the quote stands that ends a text.
fn closing_quote(json: &[u8], from: usize) -> Result<usize, Malformed> {
    let mut at = from;
    loop {
        at = quote_or_backslash(json, at).ok_or(Malformed)?;
        if json[at] == b'"' {
            return Ok(at);
        }
        at += 2;
    }
}

/// A number as it is written. Most are short and whole.
fn number(text: &[u8]) -> Result<Number, Malformed> {
    const DIGITS_KEPT: usize = 18;
    if text.len() <= DIGITS_KEPT && text.iter().all(u8::is_ascii_digit) {
        return Ok(text.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0')).into());
    }
    serde_json::from_slice(text).map_err(|_| Malformed)
}

/// Reads a text that holds one value, and nothing after it.
pub fn tree(json: &[u8]) -> Result<Value, Malformed> {
    let mut scanner = Scanner::checked(json)?;
    let tree = scanner.tree()?;
    if scanner.is_at_end() { Ok(tree) } else { Err(Malformed) }
}

/// Where the next quote or backslash stands. Eight bytes at a time: most bytes of an object are in texts.
#[inline]
fn quote_or_backslash(json: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(chunk) = json.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*chunk);
        let found = zeros(word ^ every(b'"')) | zeros(word ^ every(b'\\'));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = json.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|found| at + found)
}

/// Eight times this byte.
pub(crate) const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of the first byte that is zero; of those after it there may be too many.
pub(crate) const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(every(1)) & !word & every(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All keys and scalars in their order, with the spans of what is skipped.
    fn walk(scanner: &mut Scanner<'_>, out: &mut Vec<String>) -> Result<(), Malformed> {
        match scanner.peek() {
            Some(b'{') => scanner.object(|scanner, key| {
                out.push(key.text()?.into_owned());
                if key.is("skipped") {
                    out.push(String::from_utf8_lossy(scanner.value()?).into_owned());
                    return Ok(());
                }
                walk(scanner, out)
            }),
            Some(b'[') => scanner.array(|scanner| walk(scanner, out)),
            Some(b'"') => {
                out.push(scanner.string()?.text()?.into_owned());
                Ok(())
            }
            Some(b't' | b'f') => {
                out.push(scanner.boolean()?.to_string());
                Ok(())
            }
            Some(b'n') => {
                assert!(scanner.null()?);
                Ok(())
            }
            _ => {
                out.push(scanner.integer()?.to_string());
                Ok(())
            }
        }
    }

    #[test]
    fn values_are_found_where_they_stand() {
        for (json, expected) in [
            ("{}", &[][..]),
            ("[]", &[]),
            (
                r#"{"a":"b","c":[1,-2,true,false,null,"x"],"d":{"e":{}}}"#,
                &["a", "b", "c", "1", "-2", "true", "false", "x", "d", "e"],
            ),
            (
                r#"{"skipped":{"a":["}\"",{"b":null}]},"z":"after"}"#,
                &["skipped", r#"{"a":["}\"",{"b":null}]}"#, "z", "after"],
            ),
            (r#"{"skipped":-1.5e3,"z":[[],[[]]]}"#, &["skipped", "-1.5e3", "z"]),
            (
                r#"["a\"\\\n\u00e9é","longer than eight bytes \" and so on"]"#,
                &["a\"\\\néé", "longer than eight bytes \" and so on"],
            ),
        ] {
            let mut found = Vec::new();
            assert_eq!(walk(&mut Scanner::new(json.as_bytes()), &mut found), Ok(()), "{json}");
            assert_eq!(found, expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_ends_the_walk() {
        for json in [
            "",
            "{",
            "[",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1]",
            "[1}",
            "[1 ]",
            "{ }",
            "nul",
            "tru",
            "\"\\",
            "\"a\\\"",
            "[1.5]",
            "[99999999999999999999]",
            "{\"skipped\":{\"a\":",
            "{\"skipped\":\"",
            "x",
            "{1:2}",
            "\"\\q\"",
        ] {
            assert_eq!(walk(&mut Scanner::new(json.as_bytes()), &mut Vec::new()), Err(Malformed), "{json}");
        }
    }

    #[test]
    fn trees_are_what_a_parser_reads() {
        for json in [
            r#"{"a":"b","c":[1,-2,true,false,null,"x"],"d":{"e":{}},"f":[],"a\u0062":"\u00e9\n"}"#,
            r#"[0,-0,1.5,-1.5e3,9223372036854775807,-9223372036854775808,18446744073709551615,123456789012345678]"#,
            "null",
            "\"ä\"",
        ] {
            assert_eq!(tree(json.as_bytes()).ok(), serde_json::from_str(json).ok(), "{json}");
        }
        let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(tree(nested(TREE_DEPTH_MAX).as_bytes()).is_ok());
        for broken in
            ["", "{", "[1", "1 ", "{}x", "{\"a\":1", "nul", "\"\\q\"", "1.", &nested(TREE_DEPTH_MAX + 1)]
        {
            assert_eq!(tree(broken.as_bytes()), Err(Malformed), "{broken}");
        }
        assert_eq!(tree(b"\"\xff\""), Err(Malformed));
    }

    #[test]
    fn a_member_is_found_and_nothing_behind_it_is_looked_at() {
        let found = |json: &'static str| {
            let mut scanner = Scanner::new(json.as_bytes());
            scanner.find("b")?.then(|| scanner.value()).transpose()
        };
        assert_eq!(found(r#"{"a":{"b":1},"b":[2],"c!"#), Ok(Some(&b"[2]"[..])));
        assert_eq!(found(r#"{"a":{"b":1}}"#), Ok(None));
        assert_eq!(found("{}"), Ok(None));
        assert_eq!(found(r#"{"a":1"#), Err(Malformed));
    }

    #[test]
    fn quotes_and_backslashes_at_every_offset() {
        for length in 0..40 {
            for byte in [b'"', b'\\'] {
                let mut json = vec![b'!'; length];
                assert_eq!(quote_or_backslash(&json, 0), None);
                json.push(byte);
                json.extend_from_slice(b"\xff#[\"\\");
                assert_eq!(quote_or_backslash(&json, 0), Some(length));
            }
        }
    }
}

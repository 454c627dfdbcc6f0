//! What is wrong with a text that is not JSON, in the words of Go's encoding/json.
//!
//! The fast reader only says that a body is bad. People paste its error into search engines and tests match on
//! it, so a bad body is looked at once more by this scanner, which knows Go's phrases and nothing else.

use crate::limits::DEPTH_MAX;
use alcove_object::field::quote;

/// Go's text for the first syntax error; none if this scanner finds the text well formed.
pub(super) fn explain(text: &[u8]) -> Option<String> {
    Scanner { text, at: 0 }.run().err()
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), String> {
        // Whether the collections around the cursor are objects, outermost first.
        let mut open: Vec<bool> = Vec::new();
        let mut expect = Expect::Value;
        loop {
            if expect == Expect::CommaOrEnd && open.is_empty() {
                return match self.token() {
                    Err(_) => Ok(()),
                    Ok(c) => Err(unexpected(c, "after top-level value")),
                };
            }
            let c = self.token()?;
            expect = match (expect, c) {
                (Expect::ValueOrEnd, b']') | (Expect::KeyOrEnd, b'}') => {
                    open.pop();
                    Expect::CommaOrEnd
                }
                (Expect::Value | Expect::ValueOrEnd, b'{' | b'[') => {
                    open.push(c == b'{');
                    if open.len() > DEPTH_MAX {
                        return Err(unexpected(c, "exceeded max depth"));
                    }
                    if c == b'{' { Expect::KeyOrEnd } else { Expect::ValueOrEnd }
                }
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    self.scalar(c)?;
                    Expect::CommaOrEnd
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    self.string()?;
                    Expect::Colon
                }
                (Expect::Key | Expect::KeyOrEnd, _) => {
                    return Err(unexpected(c, "looking for beginning of object key string"));
                }
                (Expect::Colon, b':') => Expect::Value,
                (Expect::Colon, _) => return Err(unexpected(c, "after object key")),
                (Expect::CommaOrEnd, _) => self.after_value(c, &mut open)?,
            };
        }
    }

    fn after_value(&mut self, c: u8, open: &mut Vec<bool>) -> Result<Expect, String> {
        match (open.last() == Some(&true), c) {
            (true, b',') => Ok(Expect::Key),
            (false, b',') => Ok(Expect::Value),
            (true, b'}') | (false, b']') => {
                open.pop();
                Ok(Expect::CommaOrEnd)
            }
            (true, _) => Err(unexpected(c, "after object key:value pair")),
            (false, _) => Err(unexpected(c, "after array element")),
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        let c = self.text.get(self.at).ok_or_else(|| "unexpected end of JSON input".to_owned())?;
        self.at += 1;
        Ok(*c)
    }

    /// The next byte inside of a literal; Go takes the end of the text for a space there.
    fn inner(&mut self) -> u8 {
        self.byte().unwrap_or(b' ')
    }

    /// The next byte that is not white space.
    fn token(&mut self) -> Result<u8, String> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                c => return Ok(c),
            }
        }
    }

    fn scalar(&mut self, first: u8) -> Result<(), String> {
        match first {
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.number(first),
            c => Err(unexpected(c, "looking for beginning of value")),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes().skip(1) {
            let c = self.inner();
            if c != expected {
                let context = format!("in literal {word} (expecting '{}')", expected as char);
                return Err(unexpected(c, &context));
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        loop {
            match self.byte()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                c if c < 0x20 => return Err(unexpected(c, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.inner() {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let c = self.inner();
                    if !c.is_ascii_hexdigit() {
                        return Err(unexpected(c, "in \\u hexadecimal character escape"));
                    }
                }
                Ok(())
            }
            c => Err(unexpected(c, "in string escape code")),
        }
    }

    fn number(&mut self, first: u8) -> Result<(), String> {
        let leading = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if leading != b'0' {
            self.digits();
        }
        if self.peek(b'.') {
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if self.peek(b'e') || self.peek(b'E') {
            let _signed = self.peek(b'+') || self.peek(b'-');
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Result<u8, String> {
        let c = self.inner();
        if c.is_ascii_digit() { Ok(c) } else { Err(unexpected(c, context)) }
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// Steps over this byte if it is next.
    fn peek(&mut self, expected: u8) -> bool {
        let found = self.text.get(self.at) == Some(&expected);
        self.at += usize::from(found);
        found
    }
}

fn unexpected(c: u8, context: &str) -> String {
    let shown = match c {
        b'\'' => r"\'".to_owned(),
        b'"' => "\"".to_owned(),
        // Go turns the lone byte into the code point of that number.
        c => {
            let quoted = quote(char::from(c).encode_utf8(&mut [0; 4]));
            quoted[1..quoted.len() - 1].to_owned()
        }
    };
    format!("invalid character '{shown}' {context}")
}

//! From text to tokens (cel-spec, doc/langdef.md: Syntax). Positions count characters, as upstream's do.

use crate::issue::Issue;

/// A token and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub at: usize,
    pub kind: Tok,
    /// As it was written.
    pub text: Box<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tok {
    Ident,
    Int(u64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
    /// Operators, brackets, and the words `in`, `true`, `false`, `null`.
    Sign(&'static str),
    End,
}

/// Longer ones before those that they begin with.
const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%", "<", ">", "=", "@",
];
const WORDS: [&str; 4] = ["in", "true", "false", "null"];

pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, Issue> {
    let text: Vec<char> = source.chars().collect();
    let mut lexer = Lexer { text: &text, at: 0 };
    let mut out = Vec::new();
    loop {
        let token = lexer.next()?;
        let is_end = token.kind == Tok::End;
        out.push(token);
        if is_end {
            return Ok(out);
        }
    }
}

struct Lexer<'s> {
    text: &'s [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn starts_with(&self, sign: &str) -> bool {
        sign.chars().enumerate().all(|(i, c)| self.peek(i) == c)
    }

    fn wrong(&self, from: usize) -> Issue {
        let end = (self.at + 1).min(self.text.len());
        let text: String = self.text[from.min(end)..end].iter().collect();
        Issue::new(from, format!("Syntax error: token recognition error at: '{text}'"))
    }

    fn next(&mut self) -> Result<Token, Issue> {
        self.skip_space();
        let at = self.at;
        let kind = self.kind()?;
        let text = match kind {
            Tok::End => "<EOF>".into(),
            _ => self.text[at..self.at].iter().collect::<String>().into(),
        };
        Ok(Token { at, kind, text })
    }

    fn skip_space(&mut self) {
        loop {
            if self.peek(0).is_ascii_whitespace() {
                self.at += 1;
            } else if self.starts_with("//") {
                while self.at < self.text.len() && self.peek(0) != '\n' {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    fn kind(&mut self) -> Result<Tok, Issue> {
        if self.at >= self.text.len() {
            return Ok(Tok::End);
        }
        let first = self.peek(0);
        if let Some(skip) = self.quote_after_prefix() {
            return self.quoted(skip);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(self.word());
        }
        if first.is_ascii_digit() || first == '.' && self.peek(1).is_ascii_digit() {
            return self.number();
        }
        match SIGNS.iter().find(|sign| self.starts_with(sign)) {
            Some(sign) if !matches!(*sign, "=" | "@") => {
                self.at += sign.len();
                Ok(Tok::Sign(sign))
            }
            _ => Err(self.wrong(self.at)),
        }
    }

    /// How many letters stand before a quote, if a quoted text begins here.
    fn quote_after_prefix(&self) -> Option<usize> {
        let is_quote = |i| matches!(self.peek(i), '"' | '\'');
        let is_prefix = |i| matches!(self.peek(i), 'r' | 'R' | 'b' | 'B');
        (0..=2).find(|&n| is_quote(n) && (0..n).all(is_prefix))
    }

    fn word(&mut self) -> Tok {
        let from = self.at;
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == '_' {
            self.at += 1;
        }
        let word: String = self.text[from..self.at].iter().collect();
        WORDS.iter().find(|known| **known == word).map_or(Tok::Ident, |known| Tok::Sign(known))
    }

    fn number(&mut self) -> Result<Tok, Issue> {
        let from = self.at;
        let is_hex = self.peek(0) == '0' && matches!(self.peek(1), 'x' | 'X');
        let mut is_double = false;
        if is_hex {
            self.at += 2;
            while self.peek(0).is_ascii_hexdigit() {
                self.at += 1;
            }
        } else {
            self.digits();
            if self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
                is_double = true;
                self.at += 1;
                self.digits();
            }
            let signed = usize::from(matches!(self.peek(1), '+' | '-'));
            if matches!(self.peek(0), 'e' | 'E') && self.peek(1 + signed).is_ascii_digit() {
                is_double = true;
                self.at += 1 + signed;
                self.digits();
            }
        }
        let text: String = self.text[from..self.at].iter().collect();
        let is_unsigned = !is_double && matches!(self.peek(0), 'u' | 'U');
        if is_unsigned {
            self.at += 1;
        }
        if is_double {
            let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
            return number.map(Tok::Double).ok_or_else(|| Issue::new(from, "invalid double literal".into()));
        }
        let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        match (number, is_unsigned) {
            (Ok(n), true) => Ok(Tok::Uint(n)),
            (Ok(n), false) => Ok(Tok::Int(n)),
            (Err(_), true) => Err(Issue::new(from, "invalid uint literal".into())),
            (Err(_), false) => Err(Issue::new(from, "invalid int literal".into())),
        }
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    fn quoted(&mut self, prefix: usize) -> Result<Tok, Issue> {
        let from = self.at;
        let has = |wanted: char| (0..prefix).any(|i| self.peek(i).eq_ignore_ascii_case(&wanted));
        let (is_raw, is_bytes) = (has('r'), has('b'));
        self.at += prefix;
        let quote = self.peek(0);
        let is_long = self.peek(1) == quote && self.peek(2) == quote;
        let width = if is_long { 3 } else { 1 };
        self.at += width;
        let mut out = Vec::new();
        loop {
            if self.at >= self.text.len() || (!is_long && matches!(self.peek(0), '\n' | '\r')) {
                return Err(self.wrong(from));
            }
            if (0..width).all(|i| self.peek(i) == quote) {
                self.at += width;
                break;
            }
            match self.peek(0) {
                '\\' if !is_raw => {
                    self.at += 1;
                    self.escape(is_bytes, &mut out).ok_or_else(|| self.wrong(from))?;
                }
                plain => {
                    self.at += 1;
                    push(plain, &mut out);
                }
            }
        }
        if is_bytes {
            return Ok(Tok::Bytes(out.into()));
        }
        let text = String::from_utf8(out).map_err(|_| self.wrong(from))?;
        Ok(Tok::String(text.into()))
    }

    fn escape(&mut self, is_bytes: bool, out: &mut Vec<u8>) -> Option<()> {
        let letter = self.peek(0);
        self.at += 1;
        let plain = match letter {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => letter,
            'x' | 'X' | 'u' | 'U' => {
                let digits = match letter {
                    'u' => 4,
                    'U' => 8,
                    _ => 2,
                };
                return self.code(0, digits, 16, is_bytes && digits == 2, out);
            }
            '0'..='3' => {
                self.at -= 1;
                return self.code(0, 3, 8, is_bytes, out);
            }
            _ => return None,
        };
        push(plain, out);
        Some(())
    }

    fn code(
        &mut self,
        start: u32,
        digits: usize,
        radix: u32,
        is_byte: bool,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let mut code = start;
        for _ in 0..digits {
            code = code * radix + self.peek(0).to_digit(radix)?;
            self.at += 1;
        }
        if is_byte {
            out.push(u8::try_from(code).ok()?);
        } else {
            push(char::from_u32(code)?, out);
        }
        Some(())
    }
}

fn push(c: char, out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
}

//! Reading label selectors: the text form of queries, and the `metav1.LabelSelector` of objects.
//!
//! The grammar is a list of requirements: `KEY`, `!KEY`, `KEY OP VALUE` or `KEY in|notin (VALUE, ...)`. The words
//! `in` and `notin` are operators only where an operator may stand, so labels may be called that.

use super::{Labels, Operator, Requirement};
use crate::field::{self, Path, quote};
use crate::{meta, name};
use serde_json::Value;

/// Reads the text form.
pub(super) fn parse(text: &str) -> Result<Labels, String> {
    let mut requirements = Parser::new(text).requirements()?;
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Labels(requirements))
}

/// Reads `matchLabels` and `matchExpressions`; `None` matches nothing.
pub(super) fn from_object(selector: Option<&Value>) -> Result<Option<Labels>, String> {
    let Some(selector) = selector.filter(|s| !s.is_null()) else { return Ok(None) };
    let mut requirements = Vec::new();
    for (key, value) in meta::entries(selector.get("matchLabels")) {
        requirements.push(requirement(key, Operator::Equals, vec![value.to_owned()])?);
    }
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        requirements.push(expression_requirement(expression)?);
    }
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Some(Labels(requirements)))
}

fn expression_requirement(expression: &Value) -> Result<Requirement, String> {
    let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
    let operator = match text("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(format!("{} is not a valid label selector operator", quote(other))),
    };
    let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
    let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
    requirement(text("key"), operator, values)
}

/// A requirement whose key and values follow the rules of labels, or all that is wrong with it.
fn requirement(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, String> {
    let mut errors = Vec::new();
    errors.extend(key_error(key, &Path::new("key")));
    let path = Path::new("values");
    let shown = || if values.is_empty() { Value::Null } else { Value::from(values.clone()) };
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            let why = "for 'in', 'notin' operators, values set can't be empty";
            errors.push(field::Error::invalid(&path, shown(), why));
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            let why = "values set must be empty for exists and does not exist";
            errors.push(field::Error::invalid(&path, shown(), why));
        }
        Operator::GreaterThan | Operator::LessThan => {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            let wrong = values.iter().enumerate().filter(|(_, v)| v.parse::<i64>().is_err());
            errors.extend(wrong.map(|(i, v)| field::Error::invalid(&path.index(i), v.as_str(), why)));
        }
        _ => {}
    }
    for (i, value) in values.iter().enumerate() {
        let messages = name::is_valid_label_value(value);
        if !messages.is_empty() {
            let at = path.index(i).key(key);
            errors.push(field::Error::invalid(&at, value.as_str(), messages.join("; ")));
        }
    }
    if !errors.is_empty() {
        return Err(field::join(&errors));
    }
    Ok(Requirement { key: key.to_owned(), operator, values })
}

fn key_error(key: &str, path: &Path) -> Option<field::Error> {
    let messages = name::is_qualified_name(key);
    (!messages.is_empty()).then(|| field::Error::invalid(path, key, messages.join("; ")))
}

/// What the text form is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Not,
    Comma,
    Open,
    Close,
    Operator(Operator),
    End,
}

impl<'a> Token<'a> {
    /// How error texts spell it.
    fn literal(self) -> &'a str {
        match self {
            Token::Word(word) => word,
            Token::Not => "!",
            Token::Comma => ",",
            Token::Open => "(",
            Token::Close => ")",
            Token::Operator(Operator::DoubleEquals) => "==",
            Token::Operator(Operator::NotEquals) => "!=",
            Token::Operator(Operator::GreaterThan) => ">",
            Token::Operator(Operator::LessThan) => "<",
            Token::Operator(_) => "=",
            Token::End => "",
        }
    }
}

/// The rest of the text, and what stands first in it.
struct Parser<'a> {
    rest: &'a str,
    next: Token<'a>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        let mut parser = Parser { rest: text, next: Token::End };
        parser.take();
        parser
    }

    /// Gives the token in front and moves on. At the end, the end stays.
    fn take(&mut self) -> Token<'a> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let (length, token) = first_token(self.rest);
        self.rest = &self.rest[length..];
        std::mem::replace(&mut self.next, token)
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.next {
                Token::Word(_) | Token::Not => {}
                Token::End => return Ok(requirements),
                other => {
                    let found = other.literal();
                    return Err(format!("found '{found}', expected: !, identifier, or 'end of string'"));
                }
            }
            let requirement = self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?;
            requirements.push(requirement);
            match self.take() {
                Token::End => return Ok(requirements),
                Token::Comma if matches!(self.next, Token::Word(_) | Token::Not) => {}
                Token::Comma => {
                    return Err(format!("found '{}', expected: identifier after ','", self.next.literal()));
                }
                other => {
                    return Err(format!("found '{}', expected: ',' or 'end of string'", other.literal()));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.next == Token::Not;
        if negated {
            self.take();
        }
        let key = match self.take() {
            Token::Word(word) => word,
            other => return Err(format!("found '{}', expected: identifier", other.literal())),
        };
        if let Some(error) = key_error(key, &Path::default()) {
            return Err(error.to_string());
        }
        if negated {
            return requirement(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.next, Token::End | Token::Comma) {
            return requirement(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        requirement(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, String> {
        match self.take() {
            Token::Operator(operator) => Ok(operator),
            Token::Word("in") => Ok(Operator::In),
            Token::Word("notin") => Ok(Operator::NotIn),
            other => Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.literal())),
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        match self.next {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Word(word) => {
                self.take();
                Ok(word.to_owned())
            }
            other => Err(format!("found '{}', expected: identifier", other.literal())),
        }
    }

    /// `(a, b)`. Nothing between commas or parentheses is the empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.take() {
            Token::Open => {}
            other => return Err(format!("found '{}' expected: '('", other.literal())),
        }
        if !matches!(self.next, Token::Word(_) | Token::Comma | Token::Close) {
            return Err(format!("found '{}', expected: ',', ')' or identifier", self.next.literal()));
        }
        let mut values = Vec::new();
        let mut after_word = false;
        loop {
            match self.take() {
                Token::Word(word) => {
                    if !matches!(self.next, Token::Comma | Token::Close) {
                        return Err(format!("found '{}', expected: ',' or ')'", self.next.literal()));
                    }
                    values.push(word.to_owned());
                    after_word = true;
                }
                Token::Comma => {
                    if !after_word {
                        values.push(String::new());
                    }
                    after_word = false;
                }
                Token::Close => {
                    if !after_word {
                        values.push(String::new());
                    }
                    break;
                }
                other => return Err(format!("found '{}', expected: ',', or identifier", other.literal())),
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }
}

/// The token at the start of a text, and its length. A NUL in front ends the text and one behind a
/// word is swallowed, as upstream has it.
fn first_token(text: &str) -> (usize, Token<'_>) {
    let bytes = text.as_bytes();
    let equals = bytes.get(1) == Some(&b'=');
    match bytes.first() {
        None | Some(0) => (0, Token::End),
        Some(b'(') => (1, Token::Open),
        Some(b')') => (1, Token::Close),
        Some(b',') => (1, Token::Comma),
        Some(b'>') => (1, Token::Operator(Operator::GreaterThan)),
        Some(b'<') => (1, Token::Operator(Operator::LessThan)),
        Some(b'=') if equals => (2, Token::Operator(Operator::DoubleEquals)),
        Some(b'=') => (1, Token::Operator(Operator::Equals)),
        Some(b'!') if equals => (2, Token::Operator(Operator::NotEquals)),
        Some(b'!') => (1, Token::Not),
        Some(_) => {
            let ends = |c: char| {
                matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<' | ' ' | '\t' | '\r' | '\n' | '\0')
            };
            let length = text.find(ends).unwrap_or(text.len());
            let swallowed = usize::from(bytes.get(length) == Some(&0));
            (length + swallowed, Token::Word(&text[..length]))
        }
    }
}

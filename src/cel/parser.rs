//! From tokens to a tree, by the precedence of operators (cel-spec, doc/langdef.md: Syntax).
//!
//! **Invariant.** No source makes the stack deep: nesting is limited, chains of `&&` and `||` become balanced trees,
//! and chains of other operators count as nesting.

use crate::ast::{Call, Entry, Expr, Kind, Literal, Member};
use crate::issue::Issue;
use crate::lexer::{Tok, Token, tokens};
use crate::limits::{DEPTH_MAX, SOURCE_CHARACTERS_MAX};
use crate::macros;

const EXPECTED: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
/// Words that no identifier may be.
pub(crate) const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Binary operators, those that bind most loosely first.
const RANKS: [&[&str]; 3] = [&["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"], &["*", "/", "%"]];

/// A tree, and how many expressions it has had.
pub(crate) struct Parsed {
    pub expr: Expr,
    pub count: usize,
}

pub(crate) fn parse(source: &str) -> Result<Parsed, Vec<Issue>> {
    let size = source.chars().count();
    if size > SOURCE_CHARACTERS_MAX {
        let why =
            format!("expression code point size exceeds limit: size: {size}, limit {SOURCE_CHARACTERS_MAX}");
        return Err(vec![Issue::new(0, why)]);
    }
    let tokens = tokens(source).map_err(|issue| vec![issue])?;
    let mut parser = Parser { tokens, next: 0, depth: 0, made: Maker { count: 0 } };
    let expr = parser.whole().map_err(|issue| vec![issue])?;
    Ok(Parsed { expr, count: parser.made.count })
}

/// Makes expressions with numbers of their own.
pub(crate) struct Maker {
    count: usize,
}

impl Maker {
    pub fn expr(&mut self, at: usize, kind: Kind) -> Expr {
        self.count += 1;
        Expr { id: self.count - 1, at, kind }
    }

    pub fn call(&mut self, at: usize, function: &str, args: Vec<Expr>) -> Expr {
        self.method(at, function, None, args)
    }

    pub fn method(&mut self, at: usize, function: &str, target: Option<Expr>, args: Vec<Expr>) -> Expr {
        let target = target.map(Box::new);
        let call = Call { function: function.into(), target, args, builtin: None, pattern: None };
        self.expr(at, Kind::Call(call))
    }

    pub fn literal(&mut self, at: usize, literal: Literal) -> Expr {
        self.expr(at, Kind::Literal(literal))
    }

    pub fn ident(&mut self, at: usize, name: &str) -> Expr {
        self.expr(at, Kind::Ident(name.into()))
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    made: Maker,
}

type Parse<T = Expr> = Result<T, Issue>;

impl Parser {
    fn token(&self) -> &Token {
        // The last token is the end, which is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token().kind, Tok::Sign(found) if found == sign)
    }

    /// Passes a sign if it stands here; gives its place.
    fn take(&mut self, sign: &str) -> Option<usize> {
        let at = self.token().at;
        self.is(sign).then(|| {
            self.next += 1;
            at
        })
    }

    fn take_any(&mut self, signs: &[&'static str]) -> Option<(usize, &'static str)> {
        signs.iter().find_map(|sign| self.take(sign).map(|at| (at, *sign)))
    }

    fn need(&mut self, sign: &str) -> Parse<usize> {
        self.take(sign).ok_or_else(|| {
            let token = self.token();
            Issue::new(token.at, format!("Syntax error: missing '{sign}' at '{}'", token.text))
        })
    }

    fn unexpected(&self, expected: &str) -> Issue {
        let token = self.token();
        let text = &token.text;
        Issue::new(token.at, format!("Syntax error: mismatched input '{text}' expecting {expected}"))
    }

    fn whole(&mut self) -> Parse {
        let expr = self.expr()?;
        match self.token().kind {
            Tok::End => Ok(expr),
            _ => {
                let token = self.token();
                let text = &token.text;
                let why = format!("Syntax error: extraneous input '{text}' expecting <EOF>");
                Err(Issue::new(token.at, why))
            }
        }
    }

    fn enter(&mut self) -> Parse<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let why = format!("expression recursion limit exceeded: {DEPTH_MAX}");
            return Err(Issue::new(self.token().at, why));
        }
        Ok(())
    }

    fn expr(&mut self) -> Parse {
        self.enter()?;
        let condition = self.chain(0)?;
        let Some(at) = self.take("?") else {
            self.depth -= 1;
            return Ok(condition);
        };
        let yes = self.chain(0)?;
        self.need(":")?;
        let no = self.expr()?;
        self.depth -= 1;
        Ok(self.made.call(at, "_?_:_", vec![condition, yes, no]))
    }

    /// Operands joined by one logical operator, as a balanced tree.
    fn chain(&mut self, rank: usize) -> Parse {
        let Some(&(sign, function)) = [("||", "_||_"), ("&&", "_&&_")].get(rank) else {
            return self.binary(0);
        };
        let mut operands = vec![self.chain(rank + 1)?];
        let mut places = Vec::new();
        while let Some(at) = self.take(sign) {
            places.push(at);
            operands.push(self.chain(rank + 1)?);
        }
        Ok(self.balance(function, operands, &places))
    }

    fn balance(&mut self, function: &str, mut operands: Vec<Expr>, places: &[usize]) -> Expr {
        if operands.len() < 2 {
            return operands.pop().expect("a chain has an operand");
        }
        let middle = places.len() / 2;
        let right = operands.split_off(middle + 1);
        let left = self.balance(function, operands, &places[..middle]);
        let right = self.balance(function, right, &places[middle + 1..]);
        self.made.call(places[middle], function, vec![left, right])
    }

    /// Operators of a rank or higher, from the left.
    fn binary(&mut self, rank: usize) -> Parse {
        let depth = self.depth;
        let mut left = self.unary()?;
        while let Some((found, signs)) =
            RANKS.iter().enumerate().skip(rank).find(|(_, s)| s.iter().any(|s| self.is(s)))
        {
            let Some((at, sign)) = self.take_any(signs) else { break };
            // Each turn makes the tree one deeper.
            self.enter()?;
            let right = self.binary(found + 1)?;
            let function = if sign == "in" { "@in".to_owned() } else { format!("_{sign}_") };
            left = self.made.call(at, &function, vec![left, right]);
        }
        self.depth = depth;
        Ok(left)
    }

    fn unary(&mut self) -> Parse {
        for (sign, function) in [("!", "!_"), ("-", "-_")] {
            let is_number = |token: Option<&Token>| matches!(token, Some(t) if matches!(t.kind, Tok::Int(_) | Tok::Double(_)));
            if sign == "-" && self.is("-") && is_number(self.tokens.get(self.next + 1)) {
                break;
            }
            let Some(at) = self.take(sign) else { continue };
            let mut times = 1;
            while self.take(sign).is_some() {
                times += 1;
            }
            let operand = self.member()?;
            return Ok(match times % 2 {
                0 => operand,
                _ => self.made.call(at, function, vec![operand]),
            });
        }
        self.member()
    }

    fn member(&mut self) -> Parse {
        let depth = self.depth;
        let mut operand = self.primary()?;
        loop {
            self.enter()?;
            operand = if let Some(at) = self.take(".") {
                if self.take("?").is_some() {
                    let field = self.name()?;
                    let field = self.made.literal(at, Literal::String(field));
                    self.made.call(at, "_?._", vec![operand, field])
                } else {
                    let field = self.name()?;
                    match self.take("(") {
                        Some(at) => self.called(at, Some(operand), &field)?,
                        None => {
                            let operand = Box::new(operand);
                            self.made.expr(at, Kind::Select { operand, field, test: false })
                        }
                    }
                }
            } else if let Some(at) = self.take("[") {
                let function = if self.take("?").is_some() { "_[?_]" } else { "_[_]" };
                let index = self.expr()?;
                self.need("]")?;
                self.made.call(at, function, vec![operand, index])
            } else {
                self.depth = depth;
                return Ok(operand);
            };
        }
    }

    fn name(&mut self) -> Parse<Box<str>> {
        match self.token().kind {
            Tok::Ident => {
                self.next += 1;
                Ok(self.tokens[self.next - 1].text.clone())
            }
            _ => {
                let token = self.token();
                let why = match token.kind {
                    Tok::End => "Syntax error: no viable alternative at input '.'".to_owned(),
                    _ => format!("Syntax error: no viable alternative at input '.{}'", token.text),
                };
                Err(Issue::new(token.at, why))
            }
        }
    }

    /// A call whose bracket was opened: a macro, or a function.
    fn called(&mut self, at: usize, target: Option<Expr>, function: &str) -> Parse {
        let args = self.list(")")?.into_iter().map(|(_, arg)| arg).collect();
        macros::expand(&mut self.made, at, target, function, args)
    }

    /// Expressions with commas between them, up to the closing sign; true: it may be missing.
    fn list(&mut self, close: &str) -> Parse<Vec<(bool, Expr)>> {
        let mut out = Vec::new();
        while !self.is(close) {
            let is_optional = close == "]" && self.take("?").is_some();
            out.push((is_optional, self.expr()?));
            if self.take(",").is_none() {
                break;
            }
        }
        self.need(close)?;
        Ok(out)
    }

    fn primary(&mut self) -> Parse {
        let token = self.token().clone();
        let at = token.at;
        if let Some(literal) = self.literal(&token)? {
            return Ok(self.made.literal(at, literal));
        }
        if self.take("(").is_some() {
            let inner = self.expr()?;
            self.need(")")?;
            return Ok(inner);
        }
        if self.take("[").is_some() {
            let items = self.list("]")?;
            let optional = items.iter().enumerate().filter(|(_, item)| item.0).map(|(i, _)| i).collect();
            let items = items.into_iter().map(|(_, item)| item).collect();
            return Ok(self.made.expr(at, Kind::List { items, optional }));
        }
        if self.take("{").is_some() {
            return self.map(at);
        }
        let is_rooted = self.is(".");
        let name_at = self.next + usize::from(is_rooted);
        if !self.tokens.get(name_at).is_some_and(|token| token.kind == Tok::Ident) {
            return Err(self.unexpected(EXPECTED));
        }
        self.next = name_at + 1;
        let name = self.tokens[name_at].text.clone();
        self.named(at, &name)
    }

    fn literal(&mut self, token: &Token) -> Parse<Option<Literal>> {
        let too_large = |at| Issue::new(at, "invalid int literal".into());
        let literal = match &token.kind {
            Tok::Int(n) => Literal::Int(i64::try_from(*n).map_err(|_| too_large(token.at))?),
            Tok::Uint(n) => Literal::Uint(*n),
            Tok::Double(n) => Literal::Double(*n),
            Tok::String(text) => Literal::String(text.clone()),
            Tok::Bytes(bytes) => Literal::Bytes(bytes.clone()),
            Tok::Sign("true") => Literal::Bool(true),
            Tok::Sign("false") => Literal::Bool(false),
            Tok::Sign("null") => Literal::Null,
            Tok::Sign("-") => {
                let literal = match self.tokens.get(self.next + 1).map(|token| &token.kind) {
                    Some(Tok::Int(n)) => {
                        let n = i64::try_from(-i128::from(*n)).map_err(|_| too_large(token.at))?;
                        Literal::Int(n)
                    }
                    Some(Tok::Double(n)) => Literal::Double(-n),
                    _ => return Ok(None),
                };
                self.next += 1;
                literal
            }
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(literal))
    }

    fn map(&mut self, at: usize) -> Parse {
        let mut entries = Vec::new();
        while !self.is("}") {
            let optional = self.take("?").is_some();
            let key = self.expr()?;
            self.need(":")?;
            let value = self.expr()?;
            entries.push(Entry { key, value, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.need("}")?;
        Ok(self.made.expr(at, Kind::Map(entries)))
    }

    /// What begins with a name: a variable, a call, or a struct.
    fn named(&mut self, at: usize, name: &str) -> Parse {
        if RESERVED.contains(&name) {
            return Err(Issue::new(at, format!("reserved identifier: {name}")));
        }
        if let Some(open) = self.take("(") {
            return self.called(open, None, name);
        }
        let (start, mut full) = (self.next, name.to_owned());
        while self.is(".") && self.tokens.get(self.next + 1).is_some_and(|t| t.kind == Tok::Ident) {
            full = format!("{full}.{}", self.tokens[self.next + 1].text);
            self.next += 2;
        }
        if self.is("{") {
            return self.structure(&full);
        }
        self.next = start;
        Ok(self.made.ident(at, name))
    }

    fn structure(&mut self, name: &str) -> Parse {
        let at = self.need("{")?;
        let mut fields = Vec::new();
        while !self.is("}") {
            let optional = self.take("?").is_some();
            let name = self.name()?;
            let at = self.need(":")?;
            fields.push(Member { at, name, value: self.expr()?, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.need("}")?;
        Ok(self.made.expr(at, Kind::Struct { name: name.into(), fields }))
    }
}

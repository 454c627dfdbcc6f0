//! Reads the lines of the table; its head describes the syntax. Nothing here knows what a type means.

use crate::types::Omit;
use crate::{ListKind, Minor};
use alcove_object::Value;

/// The committed table.
pub(crate) const TEXT: &str = include_str!("../tables/builtin.txt");

/// A definition of one minor, with the lines that hold in that minor.
#[derive(Debug, Default)]
pub(crate) struct Definition<'t> {
    pub name: &'t str,
    pub shape: Option<&'t str>,
    pub atomic: bool,
    pub unions: Option<&'t str>,
    pub kinds: Vec<KindLine<'t>>,
    pub fields: Vec<FieldLine<'t>>,
}

/// A kind's line.
#[derive(Debug, Default)]
pub(crate) struct KindLine<'t> {
    pub api_version: &'t str,
    pub kind: &'t str,
    pub deprecated: Option<u8>,
    pub removed: Option<u8>,
    pub replacement: Option<&'t str>,
}

/// A field's line.
#[derive(Debug, Default)]
pub(crate) struct FieldLine<'t> {
    pub name: &'t str,
    /// The protobuf number, after those of the messages around it that JSON does not show.
    pub numbers: Vec<u32>,
    pub type_text: &'t str,
    pub required: bool,
    pub atomic: bool,
    pub granular: bool,
    pub patch_merge: bool,
    pub retain_keys: bool,
    pub patch_replace: bool,
    pub merge_key: &'t str,
    pub default: Option<&'t str>,
    /// The allowed values as a JSON array, of a list or map those of what it holds; empty if the set is open.
    pub allowed: &'t str,
    pub pointer: bool,
    pub omit: Omit,
}

/// A list type, taken apart.
pub(crate) struct ListText<'t> {
    pub item: &'t str,
    pub kind: ListKind,
    /// Whether the table says `atomic`; a list of which it says nothing is atomic too.
    pub atomic: bool,
    pub wrapped: bool,
}

/// The table is malformed: what is wrong, and the text that is.
#[derive(Debug, thiserror::Error)]
#[error("type table: {what}: {text}")]
pub(crate) struct TableError {
    what: &'static str,
    text: String,
}

impl TableError {
    pub fn new(what: &'static str, text: &str) -> TableError {
        TableError { what, text: text.to_owned() }
    }
}

/// All definitions of a minor, in the table's order.
pub(crate) fn read(text: &str, minor: Minor) -> Result<Vec<Definition<'_>>, TableError> {
    let mut definitions = Vec::new();
    let mut skipped = false;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (line, holds) = span(line, minor)?;
        match (line.strip_prefix("def "), line.strip_prefix("  ")) {
            (Some(head), _) => {
                skipped = !holds;
                if holds {
                    definitions.push(definition(head)?);
                }
            }
            (None, Some(rest)) if holds && !skipped => {
                let last =
                    definitions.last_mut().ok_or_else(|| TableError::new("no definition before", line))?;
                member(last, rest)?;
            }
            (None, Some(_)) => {}
            (None, None) => return Err(TableError::new("neither head nor member", line)),
        }
    }
    Ok(definitions)
}

/// Cuts ` @34-36` from a line and tells whether the minor is in it.
fn span(line: &str, minor: Minor) -> Result<(&str, bool), TableError> {
    let Some((rest, minors)) =
        line.rsplit_once(" @").filter(|(_, s)| s.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return Ok((line, true));
    };
    let number = |text: &str| text.parse().map_err(|_| TableError::new("not a minor", line));
    let (since, until) = minors.split_once('-').ok_or_else(|| TableError::new("not a span", line))?;
    Ok((rest, (number(since)?..=number(until)?).contains(&minor.0)))
}

fn definition(head: &str) -> Result<Definition<'_>, TableError> {
    let mut words = head.split(' ');
    let mut definition = Definition { name: words.next().unwrap_or_default(), ..Definition::default() };
    for word in words {
        match word {
            "atomic" => definition.atomic = true,
            shape => definition.shape = Some(shape),
        }
    }
    if definition.name.is_empty() { Err(TableError::new("no name", head)) } else { Ok(definition) }
}

fn member<'t>(definition: &mut Definition<'t>, line: &'t str) -> Result<(), TableError> {
    match line.split_once(' ') {
        Some(("|", unions)) => definition.unions = Some(unions),
        Some(("=", kind)) => {
            definition.kinds.push(self::kind(kind).ok_or_else(|| TableError::new("not a kind", line))?);
        }
        _ => definition.fields.push(field(line)?),
    }
    Ok(())
}

fn kind(line: &str) -> Option<KindLine<'_>> {
    let mut words = line.split(' ');
    let mut kind = KindLine { api_version: words.next()?, kind: words.next()?, ..KindLine::default() };
    for word in words {
        match word.split_once('=')? {
            ("deprecated", minor) => kind.deprecated = Some(minor.parse().ok()?),
            ("removed", minor) => kind.removed = Some(minor.parse().ok()?),
            ("use", other) => kind.replacement = Some(other),
            _ => return None,
        }
    }
    Some(kind)
}

fn field(line: &str) -> Result<FieldLine<'_>, TableError> {
    let mut words = line.split(' ').peekable();
    let mut field = FieldLine { name: words.next().unwrap_or_default(), ..FieldLine::default() };
    if let Some(numbers) = words.next_if(|w| w.starts_with(|c: char| c.is_ascii_digit())) {
        let numbers = numbers.split('/').map(str::parse).collect::<Result<_, _>>();
        field.numbers = numbers.map_err(|_| TableError::new("not a number", line))?;
    }
    let type_text = words.next().ok_or_else(|| TableError::new("no type", line))?;
    (field.pointer, field.type_text) =
        type_text.strip_prefix('*').map_or((false, type_text), |rest| (true, rest));
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("required", _) => field.required = true,
            ("atomic", _) => field.atomic = true,
            ("granular", _) => field.granular = true,
            ("merge", key) => (field.patch_merge, field.merge_key) = (true, key),
            ("retainKeys", _) => field.retain_keys = true,
            ("replace", _) => field.patch_replace = true,
            ("always", _) => field.omit = Omit::Never,
            ("omitzero", _) => field.omit = Omit::Zero,
            ("omitempty+omitzero", _) => field.omit = Omit::EmptyOrZero,
            ("default", json) => field.default = Some(json),
            ("enum", json) => field.allowed = json,
            _ => return Err(TableError::new("unknown option", line)),
        }
    }
    Ok(field)
}

/// Takes `wrapped+map(a,b)[ITEM]` apart; nothing if the text is not a list.
pub(crate) fn list(text: &str) -> Result<Option<ListText<'_>>, TableError> {
    let Some((before, item)) = text.strip_suffix(']').and_then(|t| t.split_once('[')) else {
        return Ok(None);
    };
    if before.contains('{') {
        return Ok(None);
    }
    let (wrapped, kind) = before.strip_prefix("wrapped+").map_or((false, before), |rest| (true, rest));
    let list_kind = match (kind, brackets(kind)) {
        ("" | "atomic", _) => ListKind::Atomic,
        ("set", _) => ListKind::Set,
        (_, Some(("map", '(', keys))) => ListKind::Map(keys.split(',').map(Box::from).collect()),
        _ => return Err(TableError::new("unknown list type", text)),
    };
    Ok(Some(ListText { item, kind: list_kind, atomic: kind == "atomic", wrapped }))
}

/// Splits `word(inside)` and `{inside}` into the word, the opening bracket and the inside.
pub(crate) fn brackets(text: &str) -> Option<(&str, char, &str)> {
    let at = text.find(['(', '{'])?;
    let (open, close) = if text[at..].starts_with('(') { ('(', ')') } else { ('{', '}') };
    Some((&text[..at], open, text[at + 1..].strip_suffix(close)?))
}

/// A JSON value of the table.
pub(crate) fn json(text: &str) -> Result<Value, TableError> {
    serde_json::from_str(text).map_err(|_| TableError::new("not JSON", text))
}

/// A JSON array of the table.
pub(crate) fn json_list(text: &str) -> Result<Vec<Value>, TableError> {
    serde_json::from_str(text).map_err(|_| TableError::new("not a JSON array", text))
}

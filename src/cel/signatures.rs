//! The signatures of all functions, from `functions.txt`.

use crate::types::Type;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Libraries that only those expressions know for which they are declared.
pub(crate) const OPTIONAL_LIBRARIES: [&str; 1] = ["jsonpatch"];

/// One signature of a function.
pub(crate) struct Overload {
    pub id: &'static str,
    pub is_method: bool,
    /// Whether it has parameters.
    pub is_generic: bool,
    pub args: Vec<Type>,
    pub result: Type,
}

static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut functions: HashMap<&'static str, Vec<Overload>> = HashMap::new();
    for line in include_str!("functions.txt").lines().filter(|line| !line.starts_with('#')) {
        let (name, overload) = read(line).expect("a line of functions.txt is a signature");
        functions.entry(name).or_default().push(overload);
    }
    // What holds for `<` holds for the other comparisons.
    for function in ["_<=_", "_>_", "_>=_"] {
        let same = functions["_<_"].iter().map(|o| Overload {
            id: o.id,
            is_method: false,
            is_generic: o.is_generic,
            args: o.args.clone(),
            result: Type::Bool,
        });
        let same = same.collect();
        functions.insert(function, same);
    }
    functions
});

/// The signatures of a function, if there is such a one.
pub(crate) fn overloads(function: &str) -> Option<&'static [Overload]> {
    FUNCTIONS.get(function).map(Vec::as_slice)
}

fn read(line: &'static str) -> Option<(&'static str, Overload)> {
    let (id, rest) = line.split_once(' ')?;
    let rest = rest.trim();
    // The name of a function may itself have brackets of another kind, but no round ones.
    let open = rest.find('(')?;
    let close = rest.rfind(')')?;
    let (name, args, result) = (&rest[..open], &rest[open + 1..close], rest[close + 1..].trim());
    let is_method = name.starts_with('.');
    let has_parameter =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| matches!(w, "A" | "B" | "C"));
    let is_generic = has_parameter(args) || has_parameter(result);
    let args = split(args).into_iter().map(kind).collect::<Option<_>>()?;
    let result = kind(result)?;
    Some((name.strip_prefix('.').unwrap_or(name), Overload { id, is_method, is_generic, args, result }))
}

/// Splits at the commas that stand in no brackets.
fn split(text: &'static str) -> Vec<&'static str> {
    let (mut out, mut depth, mut from) = (Vec::new(), 0, 0);
    for (i, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                out.push(&text[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    if from < text.len() {
        out.push(&text[from..]);
    }
    out
}

fn kind(text: &'static str) -> Option<Type> {
    let simple = match text {
        "A" => Type::Param(0),
        "B" => Type::Param(1),
        "C" => Type::Param(2),
        "dyn" => Type::Dyn,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "type" => Type::Type,
        text if text.contains('.') && !text.contains('<') => Type::Opaque(text),
        _ => Type::Error,
    };
    if !matches!(simple, Type::Error) {
        return Some(simple);
    }
    let (outer, inner) = text.strip_suffix('>')?.split_once('<')?;
    let mut inner = split(inner).into_iter().map(kind);
    Some(match outer {
        "list" => Type::List(Arc::new(inner.next()??)),
        "optional" => Type::Optional(Arc::new(inner.next()??)),
        "map" => Type::Map(Arc::new((inner.next()??, inner.next()??))),
        _ => return None,
    })
}

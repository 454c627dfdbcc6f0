//! Regular expressions as Go writes them, for the crate that reads them here: most texts mean the same in both, but braces
//! that count nothing, brackets and operators in classes, quoted parts and what `\d` stands for do not
//! (regexp/syntax of Go's standard library).

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// How often Go repeats something at most.
const REPEATS_MAX: u32 = 1000;

/// Why a text is no regular expression, in Go's words.
#[derive(Debug, Error)]
pub enum PatternError {
    /// A group that does not end.
    #[error("error parsing regexp: missing closing ): `{0}`")]
    OpenGroup(String),
    /// A class that does not end.
    #[error("error parsing regexp: missing closing ]: `{0}`")]
    OpenClass(String),
    /// An end of a group that did not begin.
    #[error("error parsing regexp: unexpected ): `{0}`")]
    Unopened(String),
    /// More repetitions than there may be.
    #[error("error parsing regexp: invalid repeat count: `{0}`")]
    Repeats(String),
    /// A group that Go does not have.
    #[error("error parsing regexp: invalid or unsupported Perl syntax: `{0}`")]
    Group(String),
    /// A backslash at the end.
    #[error("error parsing regexp: trailing backslash at end of expression: ``")]
    Backslash,
    /// Anything else, in the words of the crate.
    #[error("error parsing regexp: {0}: `{1}`")]
    Other(String, String),
}

/// Compiles a regular expression of Go, into at most so many bytes if a limit is given.
pub fn compile(pattern: &str, bytes_max: Option<usize>) -> Result<Regex, PatternError> {
    let mut builder = RegexBuilder::new(&translate(pattern)?);
    if let Some(bytes_max) = bytes_max {
        builder.size_limit(bytes_max);
    }
    builder.build().map_err(|error| {
        let said = error.to_string();
        let why = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        PatternError::Other(why, pattern.to_owned())
    })
}

fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut groups = 0_usize;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => escape(rest, &mut out)?,
            '[' => class(rest, &mut out)?,
            '{' => braces(rest, &mut out)?,
            '(' => {
                groups += 1;
                group(rest, pattern)?;
                out.push('(');
                1
            }
            ')' => {
                groups = groups.checked_sub(1).ok_or_else(|| PatternError::Unopened(pattern.to_owned()))?;
                out.push(')');
                1
            }
            c => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    if groups > 0 { Err(PatternError::OpenGroup(pattern.to_owned())) } else { Ok(out) }
}

/// One escape outside of a class; gives how much was read.
fn escape(rest: &str, out: &mut String) -> Result<usize, PatternError> {
    let Some(c) = rest[1..].chars().next() else { return Err(PatternError::Backslash) };
    if c == 'Q' {
        let (quoted, end) = rest[2..].split_once("\\E").map_or((&rest[2..], 0), |(quoted, _)| (quoted, 2));
        out.push_str(&regex::escape(quoted));
        return Ok(2 + quoted.len() + end);
    }
    match (perl(c), c) {
        (Some((false, inside)), _) => *out += &format!("[{inside}]"),
        (Some((true, inside)), _) => *out += &format!("[^{inside}]"),
        (None, 'b') => *out += "(?-u:\\b)",
        // These are words of the crate, and nothing but themselves in Go.
        (None, '<' | '>') => out.push(c),
        // What stands in braces behind these is theirs.
        (None, 'p' | 'P' | 'x') if rest[2..].starts_with('{') => {
            let end = rest.find('}').map_or(rest.len(), |at| at + 1);
            out.push_str(&rest[..end]);
            return Ok(end);
        }
        _ => out.extend(['\\', c]),
    }
    Ok(1 + c.len_utf8())
}

/// What a class of Perl holds in Go, which is ASCII, and whether it means all others.
fn perl(c: char) -> Option<(bool, &'static str)> {
    let inside = match c.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        _ => return None,
    };
    Some((c.is_ascii_uppercase(), inside))
}

/// Braces: a count, or just themselves.
fn braces(rest: &str, out: &mut String) -> Result<usize, PatternError> {
    let count = rest[1..].find(|c: char| c != ',' && !c.is_ascii_digit()).map(|end| rest[1..].split_at(end));
    let count = count.filter(|(inside, after)| {
        after.starts_with('}')
            && inside.matches(',').count() < 2
            && !inside.is_empty()
            && !inside.starts_with(',')
    });
    let Some((inside, _)) = count else {
        out.push_str("\\{");
        return Ok(1);
    };
    let whole = &rest[..inside.len() + 2];
    let is_too_large = |text: &str| !text.is_empty() && !text.parse::<u32>().is_ok_and(|n| n <= REPEATS_MAX);
    if inside.split(',').any(is_too_large) {
        return Err(PatternError::Repeats(whole.to_owned()));
    }
    out.push_str(whole);
    Ok(whole.len())
}

/// Refuses groups that Go does not know.
fn group(rest: &str, pattern: &str) -> Result<(), PatternError> {
    let Some(inside) = rest.strip_prefix("(?") else { return Ok(()) };
    if inside.starts_with("P<")
        || (inside.starts_with('<') && !inside.starts_with("<=") && !inside.starts_with("<!"))
    {
        return Ok(());
    }
    for (at, c) in inside.char_indices() {
        match c {
            ':' | ')' => return Ok(()),
            'i' | 'm' | 's' | 'U' | '-' => {}
            c => return Err(PatternError::Group(format!("(?{}", &inside[..at + c.len_utf8()]))),
        }
    }
    Err(PatternError::OpenGroup(pattern.to_owned()))
}

/// A class; gives how much was read.
fn class(rest: &str, out: &mut String) -> Result<usize, PatternError> {
    let open = || PatternError::OpenClass(rest.to_owned());
    let mut left = &rest[1..];
    out.push('[');
    if let Some(after) = left.strip_prefix('^') {
        out.push('^');
        left = after;
    }
    let mut is_first = true;
    while is_first || !left.starts_with(']') {
        is_first = false;
        if let Some(named) = named_class(left) {
            out.push_str(named);
            left = &left[named.len()..];
            continue;
        }
        let may_begin = atom(&mut left, out).ok_or_else(open)?;
        let end = left.strip_prefix('-').filter(|end| may_begin && !end.is_empty() && !end.starts_with(']'));
        if let Some(end) = end {
            left = end;
            out.push('-');
            atom(&mut left, out).ok_or_else(open)?;
        }
    }
    out.push(']');
    Ok(rest.len() - left.len() + 1)
}

/// `[:alpha:]` and the like at the beginning of a text.
fn named_class(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("[:")?;
    let name = inside.find(|c: char| c != '^' && !c.is_ascii_lowercase())?;
    inside[name..].starts_with(":]").then(|| &text[..name + 4])
}

fn take(left: &mut &str) -> Option<char> {
    let c = left.chars().next()?;
    *left = &left[c.len_utf8()..];
    Some(c)
}

/// One character of a class, or a class in it; gives whether a range may begin with it. `None` at the end.
fn atom(left: &mut &str, out: &mut String) -> Option<bool> {
    let c = take(left)?;
    if c != '\\' {
        if matches!(c, '[' | ']' | '&' | '~' | '-' | '^') {
            out.push('\\');
        }
        out.push(c);
        return Some(true);
    }
    let c = take(left)?;
    match perl(c) {
        Some((false, inside)) => out.push_str(inside),
        Some((true, inside)) => *out += &format!("[^{inside}]"),
        None if matches!(c, '<' | '>') => out.push(c),
        None => out.extend(['\\', c]),
    }
    // What stands in braces behind these is theirs.
    if matches!(c, 'p' | 'P' | 'x') && left.starts_with('{') {
        while take(left).inspect(|c| out.push(*c))? != '}' {}
    } else if matches!(c, 'p' | 'P') {
        out.push(take(left)?);
    } else if c == 'x' {
        out.extend([take(left)?, take(left)?]);
    }
    Some(perl(c).is_none() && !matches!(c, 'p' | 'P'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_go() {
        for (pattern, yes, no) in [
            ("^{{.*}}$", "{{x}}", "{x"),
            (r"^\${[a-z]+}$", "${a}", "$a"),
            ("^[^[]*$", "a]", "["),
            ("^[a-z&&x]*$", "&b", "1"),
            ("^[a~~b]$", "~", "-"),
            ("^[+--]$", ",", "/"),
            (r"^\Q[x]\E$", "[x]", "x"),
            (r"^[\w\-_.]+\/\d+$", "a-b/1", "a/٣"),
            ("^a{,3}$", "a{,3}", "aa"),
            ("^a{1,3}$", "aa", "aaaa"),
            ("^[]a]$", "]", "b"),
            ("^[^]a]$", "b", "]"),
            ("^[[:alpha:]_]$", "_", ":"),
            (r"^[\s\x41-\x43]$", "B", "D"),
            (r"^[\pL-]$", "-", "1"),
            (r"^[\p{Lu}\x{e9}]$", "é", "e"),
            (r"^\p{L}+\x{41}\PL$", "éA1", "éAA"),
            (r"^\<a[\>]$", "<a>", "a"),
            (r"^(?P<x>a)(?i:B)\D$", "aba", "ab1"),
        ] {
            let compiled = compile(pattern, None).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert!(compiled.is_match(yes), "{pattern} takes {yes}");
            assert!(!compiled.is_match(no), "{pattern} refuses {no}");
        }
    }

    #[test]
    fn what_go_refuses() {
        for (pattern, why) in [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("a[b", "missing closing ]: `[b`"),
            ("x{1001}", "invalid repeat count: `{1001}`"),
            ("(?x) a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("a\\", "trailing backslash at end of expression: ``"),
        ] {
            let said = compile(pattern, None).expect_err(pattern).to_string();
            assert_eq!(said, format!("error parsing regexp: {why}"));
        }
    }
}

//! Comparing answers with what is expected of them: expectations name only what matters.

use serde_json::Value;

/// Whether a line is what is expected, where `[..]` stands for anything and runs of blanks after the indentation
/// count as one blank (columns are as wide as their widest cell).
pub fn line_fits(expected: &str, found: &str) -> bool {
    let (expected, found) = (single_blanks(expected), single_blanks(found));
    let mut parts = expected.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn single_blanks(line: &str) -> String {
    let text = line.trim_end();
    let indentation = text.len() - text.trim_start().len();
    let words: Vec<&str> = text.split_whitespace().collect();
    format!("{}{}", &text[..indentation], words.join(" "))
}

/// Whether lines are what is expected, where a line `...` stands for any number of lines.
pub fn lines_fit(expected: &[&str], found: &[&str]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return found.is_empty() };
    if first.trim() == "..." {
        return (0..=found.len()).any(|skipped| lines_fit(rest, &found[skipped..]));
    }
    found.split_first().is_some_and(|(line, others)| line_fits(first, line) && lines_fit(rest, others))
}

/// Where a value is not what is expected of it, or nothing. Objects may have more fields than expected, `null` means
/// that a field must not be there, strings may hold `[..]`, lists must have the length expected.
pub fn misfit(expected: &Value, found: &Value) -> Option<String> {
    misfit_at("", expected, found)
}

fn misfit_at(path: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().find_map(|(key, expected)| {
            misfit_at(&format!("{path}.{key}"), expected, found.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let pairs = expected.iter().zip(found).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (expected, found))| misfit_at(&format!("{path}[{at}]"), expected, found))
        }
        (Value::String(expected), Value::String(found)) if line_fits(expected, found) => None,
        _ if expected == found => None,
        _ => Some(format!("{path}: expected {expected}, found {found}")),
    }
}

/// Panics, showing both, unless the value is what is expected of it (see [`misfit`]).
#[track_caller]
pub fn assert_fits(what: &str, expected: &Value, found: &Value) {
    if let Some(where_) = misfit(expected, found) {
        panic!("{what}: {where_}\nwhole: {found:#}");
    }
}

#[test]
fn wildcards_stand_for_anything() {
    for (expected, found, fits) in [
        ("web   1/1 [..]s", "web  1/1   3s", true),
        ("web 1/1 [..]s", "web 1/1 3m", false),
        ("  indented", "indented", false),
        ("a[..]b[..]c", "a1b2c", true),
        ("a[..]b", "a", false),
        ("[..]", "", true),
    ] {
        assert_eq!(line_fits(expected, found), fits, "{expected:?} against {found:?}");
    }
    assert!(lines_fit(&["a", "...", "c"], &["a", "b", "b", "c"]));
    assert!(lines_fit(&["...", "c"], &["c"]));
    assert!(!lines_fit(&["a", "c"], &["a", "b", "c"]));
}

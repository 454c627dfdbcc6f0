//! Semantic versions (k8s.io/apiserver/pkg/cel/library/semverlib.go).

use super::Run;
use super::strings::text;
use crate::eval::{Eval, failed, no_overload};
use crate::value::Value;
use regex::Regex;
use std::cmp::Ordering;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// A version; what stands after `+` does not count.
#[derive(Clone, Debug)]
pub struct Semver {
    numbers: [u64; 3],
    pre: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(Box<str>),
}

impl Semver {
    fn parse(text: &str, is_lenient: bool) -> Option<Semver> {
        let text = if is_lenient { text.strip_prefix('v').unwrap_or(text) } else { text };
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let is_word =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if build.is_some_and(|build| !build.split('.').all(is_word)) {
            return None;
        }
        let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
        let mut numbers = [0; 3];
        let parts: Vec<&str> = core.split('.').collect();
        if parts.len() > 3 || parts.len() < 3 && !is_lenient {
            return None;
        }
        for (number, part) in numbers.iter_mut().zip(parts) {
            let is_plain = part.len() == 1 || !part.starts_with('0');
            if !part.chars().all(|c| c.is_ascii_digit()) || !is_plain && !is_lenient {
                return None;
            }
            *number = part.parse().ok()?;
        }
        let part = |part: &str| match part.parse() {
            _ if !is_word(part) => None,
            Ok(_) if part.len() > 1 && part.starts_with('0') => None,
            Ok(n) => Some(Part::Number(n)),
            Err(_) => Some(Part::Word(part.into())),
        };
        let pre = pre.map_or(Some(Vec::new()), |pre| pre.split('.').map(part).collect())?;
        Some(Semver { numbers, pre })
    }

    /// The order of two versions.
    pub fn cmp(&self, other: &Semver) -> Ordering {
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.pre.cmp(&other.pre),
        };
        self.numbers.cmp(&other.numbers).then(pre)
    }
}

fn read(args: &[Value<'_>]) -> Option<Option<Semver>> {
    let is_lenient = matches!(args.get(1), Some(Value::Bool(true)));
    text(args, 0).map(|text| Semver::parse(text, is_lenient))
}

pub fn parse<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match read(args) {
        Some(Some(version)) => Ok(Value::Semver(version.into())),
        Some(None) => failed("invalid semantic version"),
        None => no_overload(),
    }
}

pub fn is_semver<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    read(args).map_or_else(no_overload, |version| Ok(Value::Bool(version.is_some())))
}

fn number<'a>(args: &[Value<'a>], i: usize) -> Eval<'a> {
    match &args[0] {
        Value::Semver(version) => Ok(Value::Int(i64::try_from(version.numbers[i]).unwrap_or(i64::MAX))),
        _ => no_overload(),
    }
}

/// The function that reads one of the numbers.
pub fn part(function: &str) -> Option<Run> {
    Some(match function {
        "major" => |args, _| number(args, 0),
        "minor" => |args, _| number(args, 1),
        "patch" => |args, _| number(args, 2),
        _ => return None,
    })
}

//! URLs (k8s.io/apiserver/pkg/cel/library/urls.go): absolute ones and absolute paths, as Go's `ParseRequestURI` takes
//! them.

use super::Run;
use super::strings::text;
use crate::eval::{Eval, failed, no_overload};
use crate::value::{Key, Value};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::Arc;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// Reads a URL. Fails on what is neither an absolute URL nor an absolute path.
    pub fn parse(text: &str) -> Option<Url> {
        if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f || b == b' ') {
            return None;
        }
        let (rest, query) = text.split_once('?').unwrap_or((text, ""));
        let scheme_end = rest.find(':').filter(|end| {
            let scheme = &rest[..*end];
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
        let (scheme, rest) = match scheme_end {
            Some(end) => (rest[..end].to_ascii_lowercase(), &rest[end + 1..]),
            None => (String::new(), rest),
        };
        if scheme.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let (authority, path) = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
            Some(rest) => match rest.find('/') {
                Some(slash) => (&rest[..slash], &rest[slash..]),
                None => (rest, ""),
            },
            None => ("", rest),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if !is_escaped_well(path) || !is_host(host) {
            return None;
        }
        Some(Url { scheme, host: host.to_owned(), path: escaped(path), query: query.to_owned() })
    }

    fn split_host(&self) -> (&str, &str) {
        if let Some(rest) = self.host.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
            return (host, rest.strip_prefix(':').unwrap_or_default());
        }
        self.host.split_once(':').unwrap_or((&self.host, ""))
    }
}

fn is_escaped_well(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

fn is_host(host: &str) -> bool {
    let port = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, rest)) => rest,
            None => return false,
        },
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    is_port && !host.contains(['<', '>', '"', '\\', '^', '`', '{', '|', '}'])
}

/// The path with what must be escaped escaped.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(b as char),
            _ if b"-_.~$&+,/:;=@%!'()*[]".contains(&b) => out.push(b as char),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b => out.push(b),
        }
    }
    String::from_utf8(out).ok()
}

pub fn parse<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(text) = text(args, 0) else { return no_overload() };
    match Url::parse(text) {
        Some(url) => Ok(Value::Url(Arc::new(url))),
        None => failed(format!(
            "URL parse error during conversion from string: parse {text:?}: invalid URI for request"
        )),
    }
}

pub fn is_url<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    text(args, 0).map_or_else(no_overload, |text| Ok(Value::Bool(Url::parse(text).is_some())))
}

fn read<'a>(args: &[Value<'a>], part: fn(&Url) -> Value<'a>) -> Eval<'a> {
    match &args[0] {
        Value::Url(url) => Ok(part(url)),
        _ => no_overload(),
    }
}

fn query<'a>(url: &Url) -> Value<'a> {
    let mut all: BTreeMap<Key<'a>, Vec<Value<'a>>> = BTreeMap::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (unescaped(key), unescaped(value)) {
            all.entry(Key::String(key.into())).or_default().push(Value::text(value));
        }
    }
    Value::Map(Arc::new(all.into_iter().map(|(key, values)| (key, Value::list(values))).collect()))
}

/// The function that reads one part of a URL.
pub fn part(function: &str) -> Option<Run> {
    Some(match function {
        "getScheme" => |args, _| read(args, |url| Value::text(&*url.scheme)),
        "getHost" => |args, _| read(args, |url| Value::text(&*url.host)),
        "getHostname" => |args, _| read(args, |url| Value::text(url.split_host().0)),
        "getPort" => |args, _| read(args, |url| Value::text(url.split_host().1)),
        "getEscapedPath" => |args, _| read(args, |url| Value::text(&*url.path)),
        "getQuery" => |args, _| read(args, query),
        _ => return None,
    })
}

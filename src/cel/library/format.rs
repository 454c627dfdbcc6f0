//! Named formats (k8s.io/apiserver/pkg/cel/library/format.go).

use super::Run;
use super::strings::{read_base64, text};
use super::time::read_timestamp;
use super::url::Url;
use crate::eval::{Eval, no_overload};
use crate::value::Value;
use alcove_object::name;
use regex::Regex;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// A format: what is wrong with a text.
#[derive(Debug)]
pub struct Format {
    name: &'static str,
    check: fn(&str) -> Vec<String>,
}

static FORMATS: [Format; 13] = [
    Format { name: "dns1123Label", check: |text| name::dns_label(text, false) },
    Format { name: "dns1123Subdomain", check: |text| name::dns_subdomain(text, false) },
    Format { name: "dns1035Label", check: |text| name::dns1035_label(text, false) },
    Format { name: "qualifiedName", check: name::is_qualified_name },
    Format { name: "dns1123LabelPrefix", check: |text| name::dns_label(text, true) },
    Format { name: "dns1123SubdomainPrefix", check: |text| name::dns_subdomain(text, true) },
    Format { name: "dns1035LabelPrefix", check: |text| name::dns1035_label(text, true) },
    Format { name: "labelValue", check: name::is_valid_label_value },
    Format {
        name: "uri",
        check: |text| {
            wrong(Url::parse(text).is_some(), || format!("parse {text:?}: invalid URI for request"))
        },
    },
    Format { name: "uuid", check: |text| wrong(is_uuid(text), || "does not match the UUID format".into()) },
    Format { name: "byte", check: |text| wrong(read_base64(text).is_some(), || "invalid base64".into()) },
    Format {
        name: "date",
        check: |text| wrong(text.len() == 10 && read_timestamp(text).is_some(), || "invalid date".into()),
    },
    Format {
        name: "datetime",
        check: |text| wrong(text.len() > 10 && read_timestamp(text).is_some(), || "invalid datetime".into()),
    },
];

fn wrong(is_right: bool, why: impl FnOnce() -> String) -> Vec<String> {
    if is_right { Vec::new() } else { vec![why()] }
}

fn is_uuid(text: &str) -> bool {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

pub fn named<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(name) = text(args, 0) else { return no_overload() };
    Ok(Value::Optional(by_name(name).map(|format| Box::new(Value::Format(format)))))
}

/// Nothing, or what is wrong with the text.
pub fn validate<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let (Value::Format(format), Some(text)) = (&args[0], text(args, 1)) else { return no_overload() };
    let errors = (format.check)(text);
    Ok(match errors.is_empty() {
        true => Value::Optional(None),
        false => Value::some(Value::list(errors.into_iter().map(Value::text).collect())),
    })
}

macro_rules! constants {
    ($name:expr, $($i:literal),*) => {
        match FORMATS.iter().position(|format| format.name == $name) {
            $(Some($i) => Some(|_, _| Ok(Value::Format(&FORMATS[$i]))),)*
            _ => None,
        }
    };
}

/// The function `format.NAME()`.
pub fn constant(function: &str) -> Option<Run> {
    let name = function.strip_prefix("format.")?;
    constants!(name, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
}

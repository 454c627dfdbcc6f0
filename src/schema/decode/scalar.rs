//! What a plain YAML scalar means under YAML 1.1 as go-yaml v2 reads it: `yes` is true, `0777` is 511.
//!
//! Upstream reads YAML with sigs.k8s.io/yaml on that library, and manifests in the field depend on it.

use alcove_object::Value;
use serde_json::Number;

/// A resolved scalar. Numbers keep their kind, since map keys print them differently.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Past int64.
    Uint(u64),
    Float(f64),
    Text,
}

/// The meaning of a plain scalar without a tag.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => dotted(text),
        b'+' | b'-' | b'0'..=b'9' => number(text),
        _ => Scalar::Text,
    }
}

/// The meaning of a scalar that a tag asks to be of a type; none if it is not.
pub(super) fn resolve_as(suffix: &str, text: &str) -> Option<Scalar> {
    let found = resolve(text);
    match (suffix, &found) {
        ("bool", Scalar::Bool(_)) | ("null", Scalar::Null) => Some(found),
        ("int", Scalar::Int(_) | Scalar::Uint(_)) | ("float", Scalar::Float(_)) => Some(found),
        ("float", Scalar::Int(int)) => Some(Scalar::Float(*int as f64)),
        ("bool" | "null" | "int" | "float", _) => None,
        _ => Some(Scalar::Text),
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text,
    }
}

fn dotted(text: &str) -> Scalar {
    match text {
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
        _ => float(text),
    }
}

fn number(text: &str) -> Scalar {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix(['+', '-']) {
        Some(digits) => (&plain[..1], digits),
        None => ("", plain.as_str()),
    };
    integer(sign, digits).unwrap_or_else(|| float(&plain))
}

/// An integer in base 10, or in the base that its prefix names; a leading zero means 8.
fn integer(sign: &str, digits: &str) -> Option<Scalar> {
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (base, digits) = match lower.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust would take a second sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(int) = i64::from_str_radix(&format!("{sign}{digits}"), base) {
        return Some(Scalar::Int(int));
    }
    if sign.is_empty() { u64::from_str_radix(digits, base).ok().map(Scalar::Uint) } else { None }
}

/// A float in YAML's form, `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`; all else is text.
fn float(text: &str) -> Scalar {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    if !mantissa_fits || !exponent.is_none_or(digits) {
        return Scalar::Text;
    }
    match text.parse::<f64>() {
        // Go's ParseFloat refuses what overflows.
        Ok(float) if float.is_finite() => Scalar::Float(float),
        _ => Scalar::Text,
    }
}

impl Scalar {
    /// The short tag of what this is.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Scalar::Null => "!!null",
            Scalar::Bool(_) => "!!bool",
            Scalar::Int(_) | Scalar::Uint(_) => "!!int",
            Scalar::Float(_) => "!!float",
            Scalar::Text => "!!str",
        }
    }

    /// The scalar in a tree; for what JSON cannot hold, how Go prints it. `text` is how it was written.
    pub(super) fn into_value(self, text: &str) -> Result<Value, &'static str> {
        Ok(match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => value.into(),
            Scalar::Int(value) => value.into(),
            // Read back from JSON without a type, it is a float.
            Scalar::Uint(value) => Number::from_f64(value as f64).map_or(Value::Null, Value::Number),
            Scalar::Float(value) => {
                let number = Number::from_f64(value).ok_or(match value {
                    f64::INFINITY => "+Inf",
                    f64::NEG_INFINITY => "-Inf",
                    _ => "NaN",
                })?;
                Value::Number(super::json::whole(&number).unwrap_or(number))
            }
            Scalar::Text => text.into(),
        })
    }

    /// The scalar as a key of a JSON object; none for null, which cannot be one.
    pub(super) fn into_key(self, text: &str) -> Option<String> {
        Some(match self {
            Scalar::Null => return None,
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Uint(value) => value.to_string(),
            Scalar::Float(value) if value.is_nan() => ".nan".to_owned(),
            Scalar::Float(value) if value.is_infinite() => {
                if value > 0.0 {
                    ".inf".to_owned()
                } else {
                    "-.inf".to_owned()
                }
            }
            Scalar::Float(value) => (value as f32).to_string(),
            Scalar::Text => text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_go_yaml_says() {
        use Scalar::{Bool, Float, Int, Null, Text, Uint};
        for (text, expected) in [
            ("", Null),
            ("~", Null),
            ("Null", Null),
            ("yes", Bool(true)),
            ("Off", Bool(false)),
            ("n", Bool(false)),
            ("yEs", Text),
            ("12", Int(12)),
            ("+12", Int(12)),
            ("-1_000", Int(-1000)),
            ("0777", Int(511)),
            ("0o17", Int(15)),
            ("0x1F", Int(31)),
            ("-0b11", Int(-3)),
            ("08", Float(8.0)),
            ("9223372036854775808", Uint(9_223_372_036_854_775_808)),
            ("1e3", Float(1000.0)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            ("-.5e-1", Float(-0.05)),
            ("-.inf", Float(f64::NEG_INFINITY)),
            ("+-1", Text),
            ("0x", Text),
            ("1:30", Text),
            ("2026-11-21", Text),
            ("100m", Text),
            ("1e", Text),
            ("<<", Text),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }
}

//! `resource.Quantity`: how much of a resource, exact, with the suffix people wrote.
//!
//! Grammar, rounding and canonical form follow k8s.io/apimachinery/pkg/api/resource. A quantity is `mantissa * 10^scale`;
//! nothing finer than nano exists, what is finer rounds away from zero. Binary quantities end at `i64::MAX`. A text
//! that upstream takes for canonical is shown as it was written (`+5`, `1.500`), so that it survives a round trip.

use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`, which is `12 * 2^20`
    BinarySi,
    /// `12M`, which is `12 * 10^6`
    #[default]
    DecimalSi,
}

/// Why a text is no quantity. The texts are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text has not the form of a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// The number is none, or has more than 38 significant digits.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// The suffix is not known.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount of a resource. Compared by value: `1` equals `1000m`.
#[derive(Clone, Debug, Default)]
pub struct Quantity {
    mantissa: i128,
    scale: i32,
    format: Format,
    text: Option<Box<str>>,
}

const NANO: i32 = -9;
const MILLI: i32 = -3;
/// Decimal digits that fit into the mantissa, whatever they are.
const DIGITS_MAX: usize = 38;
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: [(&str, i32); 6] =
    [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl Quantity {
    /// A whole number.
    pub fn new(value: i64, format: Format) -> Quantity {
        Quantity { mantissa: value.into(), scale: 0, format, text: None }
    }

    /// Reads a quantity's text.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Form);
        }
        let parts = Parts::of(text)?;
        let suffix = Suffix::of(parts.suffix).ok_or(QuantityError::Suffix)?;
        if let Some((mantissa, scale)) = small(&parts, suffix) {
            let text = is_canonical(&parts, suffix, scale).then(|| text.into());
            return Ok(Quantity { mantissa, scale, format: suffix.format, text });
        }
        if !parts.has_number {
            return Err(QuantityError::Number);
        }
        large(&parts, suffix)
    }

    /// Reads a quantity from a tree: a text, around which spaces do not count, a number, or null for zero.
    pub fn from_value(value: &Value) -> Result<Quantity, QuantityError> {
        match value {
            Value::Null => Ok(Quantity::default()),
            Value::String(text) => Quantity::parse(text.trim()),
            Value::Number(number) => Quantity::parse(&number.to_string()),
            _ => Err(QuantityError::Form),
        }
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub fn signum(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// In whole units, rounded away from zero; past `i64`, its end.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// In thousandths, rounded away from zero; past `i64`, its end.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(MILLI)
    }

    /// The number of whole units, if it is one and fits.
    pub fn whole(&self) -> Option<i64> {
        let whole = self.value();
        (*self == Quantity::new(whole, self.format)).then_some(whole)
    }

    /// The nearest number that a float can say.
    pub fn approximate(&self) -> f64 {
        self.mantissa as f64 * 10_f64.powi(self.scale)
    }

    fn scaled_value(&self, scale: i32) -> i64 {
        let (value, _) = rescale(self.mantissa, self.scale, scale);
        value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The sum. A zero on the left takes the format of the right.
    pub fn add(&self, other: &Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        let scale = match (self.mantissa, other.mantissa) {
            (_, 0) => self.scale,
            (0, _) => other.scale,
            _ => self.scale.min(other.scale),
        };
        let (a, _) = rescale(self.mantissa, self.scale, scale);
        let (b, _) = rescale(other.mantissa, other.scale, scale);
        Quantity { mantissa: a.saturating_add(b), scale, format, text: None }
    }

    /// The difference. A zero on the left takes the format of the right.
    pub fn sub(&self, other: &Quantity) -> Quantity {
        self.add(&other.neg())
    }

    /// The same amount with the other sign.
    pub fn neg(&self) -> Quantity {
        Quantity { mantissa: self.mantissa.saturating_neg(), text: None, ..*self }
    }

    /// The amount in thousandths at the finest, rounded away from zero, as containers' resources are stored.
    pub fn round_up_to_milli(&self) -> Quantity {
        if self.scale >= MILLI {
            return self.clone();
        }
        let (mantissa, _) = rescale(self.mantissa, self.scale, MILLI);
        Quantity { mantissa, scale: MILLI, format: self.format, text: None }
    }

    /// Binary form, when the amount is whole and at least 1024: exponent and mantissa.
    fn as_binary(&self) -> Option<(i128, i32)> {
        let (mut whole, exact) = rescale(self.mantissa, self.scale, 0);
        if self.format != Format::BinarySi || !exact || whole.abs() < 1024 {
            return None;
        }
        let mut exponent = 0;
        while whole % 1024 == 0 {
            whole /= 1024;
            exponent += 10;
        }
        Some((whole, exponent))
    }
}

/// `mantissa * 10^from` in units of `10^to`: rounded away from zero, saturating; and whether that was exact.
fn rescale(mantissa: i128, from: i32, to: i32) -> (i128, bool) {
    if mantissa == 0 || from == to {
        return (mantissa, true);
    }
    let power = |n: i64| u32::try_from(n).ok().and_then(|n| 10_i128.checked_pow(n));
    let difference = i64::from(from) - i64::from(to);
    if difference > 0 {
        let scaled = power(difference).and_then(|power| mantissa.checked_mul(power));
        let end = if mantissa < 0 { i128::MIN } else { i128::MAX };
        return (scaled.unwrap_or(end), scaled.is_some());
    }
    match power(-difference) {
        None => (mantissa.signum(), false),
        Some(power) if mantissa % power == 0 => (mantissa / power, true),
        Some(power) => (mantissa / power + mantissa.signum(), false),
    }
}

/// A text cut into its pieces. Leading zeros of the whole part are gone; a missing number counts as zero.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
    has_number: bool,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Parts<'a>, QuantityError> {
        let digits =
            |text: &'a str| text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, rest) = digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
        let exponent =
            suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if !exponent.bytes().all(|c| c.is_ascii_digit()) {
            return Err(QuantityError::Form);
        }
        let has_number = !(whole.is_empty() && fraction.is_empty());
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        Ok(Parts { negative: text.starts_with('-'), whole, fraction, suffix, has_number })
    }
}

/// What a suffix multiplies by: `base^exponent`.
#[derive(Clone, Copy)]
struct Suffix {
    exponent: i32,
    format: Format,
}

impl Suffix {
    fn of(text: &str) -> Option<Suffix> {
        let find =
            |table: &[(&str, i32)]| table.iter().find(|(s, _)| *s == text).map(|(_, exponent)| *exponent);
        if let Some(exponent) = find(&DECIMAL_SUFFIXES) {
            return Some(Suffix { exponent, format: Format::DecimalSi });
        }
        if let Some(exponent) = find(&BINARY_SUFFIXES) {
            return Some(Suffix { exponent, format: Format::BinarySi });
        }
        let exponent: i64 = text.strip_prefix(['e', 'E'])?.parse().ok()?;
        // Upstream cuts the number to 32 bits.
        Some(Suffix { exponent: exponent as i32, format: Format::DecimalExponent })
    }
}

/// Mantissa and scale of the usual quantity, which upstream holds in an `i64` and may show as written. The bounds on
/// digits are upstream's, since they decide which texts are kept.
fn small(parts: &Parts<'_>, suffix: Suffix) -> Option<(i128, i32)> {
    let digits = (parts.whole.len() + parts.fraction.len()) as i64;
    let (factor, exponent) = match suffix.format {
        Format::BinarySi if !parts.fraction.is_empty() => return None,
        Format::BinarySi if 14 - digits - i64::from(suffix.exponent * 3 / 10) < 0 => return None,
        Format::BinarySi => (1 << suffix.exponent, 0),
        _ if digits > 18 => return None,
        _ => (1, suffix.exponent),
    };
    let scale = exponent.checked_sub(parts.fraction.len() as i32).filter(|scale| *scale >= NANO)?;
    let value: i64 = [parts.whole, parts.fraction].concat().parse().ok()?;
    let value = value.checked_mul(factor)?;
    Some((if parts.negative { -i128::from(value) } else { value.into() }, scale))
}

/// Whether upstream takes the text of a [`small`] quantity for canonical and keeps it.
fn is_canonical(parts: &Parts<'_>, suffix: Suffix, scale: i32) -> bool {
    let digits = [parts.whole, parts.fraction].concat();
    match suffix.format {
        // All binary exponents are multiples of ten.
        Format::BinarySi => digits.parse::<i64>().is_ok_and(|value| value & 7 != 0),
        _ => scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0'),
    }
}

/// Any quantity, rounded to nano and, if binary, capped.
fn large(parts: &Parts<'_>, suffix: Suffix) -> Result<Quantity, QuantityError> {
    let mut digits: Vec<u8> = parts.whole.bytes().chain(parts.fraction.bytes()).map(|c| c - b'0').collect();
    let mut scale = -(parts.fraction.len() as i64);
    match suffix.format {
        Format::BinarySi => (0..suffix.exponent / 10).for_each(|_| times_1024(&mut digits)),
        _ => scale += i64::from(suffix.exponent),
    }
    if scale < i64::from(NANO) {
        round_up(&mut digits, (i64::from(NANO) - scale) as usize);
        scale = NANO.into();
    }
    while digits.last() == Some(&0) {
        digits.pop();
        scale += 1;
    }
    let first = digits.iter().position(|d| *d != 0).unwrap_or(digits.len());
    let digits = &digits[first..];
    let binary = suffix.format == Format::BinarySi;
    // 10^19 is past i64, however many digits follow.
    let past_cap = binary && digits.len() as i64 + scale > 19;
    let mantissa = digits.iter().take(DIGITS_MAX).fold(0_i128, |n, d| n * 10 + i128::from(*d));
    let cap = i128::from(i64::MAX);
    let (mantissa, scale) = match i32::try_from(scale) {
        _ if past_cap || (binary && rescale(mantissa, scale as i32, 0).0 > cap) => (cap, 0),
        Ok(scale) if digits.len() <= DIGITS_MAX => (mantissa, scale),
        _ => return Err(QuantityError::Number),
    };
    let less_than_one = mantissa != 0 && rescale(mantissa, scale, 0) == (1, false);
    let format = if binary && less_than_one { Format::DecimalSi } else { suffix.format };
    Ok(Quantity { mantissa: if parts.negative { -mantissa } else { mantissa }, scale, format, text: None })
}

/// A number in decimal digits, times 1024.
fn times_1024(digits: &mut Vec<u8>) {
    let mut carry = 0_u32;
    for digit in digits.iter_mut().rev() {
        carry += u32::from(*digit) * 1024;
        *digit = (carry % 10) as u8;
        carry /= 10;
    }
    while carry > 0 {
        digits.insert(0, (carry % 10) as u8);
        carry /= 10;
    }
}

/// Cuts the last `count` digits off; if they were not all zero, the rest goes up by one.
fn round_up(digits: &mut Vec<u8>, count: usize) {
    let kept = digits.len().saturating_sub(count);
    let exact = digits[kept..].iter().all(|d| *d == 0);
    digits.truncate(kept);
    if exact {
        return;
    }
    for digit in digits.iter_mut().rev() {
        *digit = (*digit + 1) % 10;
        if *digit != 0 {
            return;
        }
    }
    digits.insert(0, 1);
}

/// The canonical text, or the text as it was written where upstream keeps it.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        if self.is_zero() {
            return f.write_str("0");
        }
        let suffix_of = |table: &[(&'static str, i32)], exponent: i64| {
            // Upstream has no suffix for what is past its table and shows none.
            table.iter().find(|(_, e)| i64::from(*e) == exponent).map_or("", |(suffix, _)| *suffix)
        };
        if let Some((number, exponent)) = self.as_binary() {
            return write!(f, "{number}{}", suffix_of(&BINARY_SUFFIXES, exponent.into()));
        }
        let (mut number, mut exponent) = (self.mantissa, i64::from(self.scale));
        while number % 10 == 0 {
            number /= 10;
            exponent += 1;
        }
        let zeros = exponent.rem_euclid(3);
        exponent -= zeros;
        write!(f, "{number}{}", &"00"[..zeros as usize])?;
        match self.format {
            Format::DecimalExponent if exponent != 0 => write!(f, "e{exponent}"),
            Format::DecimalExponent => Ok(()),
            _ => f.write_str(suffix_of(&DECIMAL_SUFFIXES, exponent)),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        let magnitudes = compare_magnitudes(self, other);
        match self.signum().cmp(&other.signum()) {
            Ordering::Equal if self.signum() < 0 => magnitudes.reverse(),
            Ordering::Equal => magnitudes,
            different => different,
        }
    }
}

fn compare_magnitudes(a: &Quantity, b: &Quantity) -> Ordering {
    let (x, y) = (a.mantissa.unsigned_abs(), b.mantissa.unsigned_abs());
    let (Some(digits), Some(others)) = (x.checked_ilog10(), y.checked_ilog10()) else {
        return x.cmp(&y);
    };
    let (top, other_top) = (i64::from(digits) + i64::from(a.scale), i64::from(others) + i64::from(b.scale));
    if top != other_top {
        return top.cmp(&other_top);
    }
    // Both have their first digit in the same place: bring them to the same number of digits. What does not fit
    // then is the greater one, since the other one does fit.
    let widened = |n: u128, by: u32| 10_u128.checked_pow(by).and_then(|power| n.checked_mul(power));
    if digits < others {
        widened(x, others - digits).map_or(Ordering::Greater, |x| x.cmp(&y))
    } else {
        widened(y, digits - others).map_or(Ordering::Less, |y| x.cmp(&y))
    }
}

#[cfg(test)]
mod tests;

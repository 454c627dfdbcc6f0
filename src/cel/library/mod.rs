//! The functions: those of the language, and those that Kubernetes adds. One file per subject; here is which name means
//! what, and what a call costs (k8s.io/apiserver/pkg/cel/library, cel-go interpreter/runtimecost.go).

mod access;
mod address;
mod core;
mod format;
mod lists;
mod optional;
mod quantity;
mod semver;
mod strings;
mod time;
mod url;

pub use access::{AUTHORIZER, Access, Authorizer, Decision, Question, RESOURCE_CHECK};
pub use address::Cidr;
pub use format::Format;
pub use semver::Semver;
pub use url::Url;

pub(crate) use strings::read_base64;
pub(crate) use time::{is_time, read_duration, read_timestamp};

use crate::eval::Eval;
use crate::value::Value;
use regex::Regex;

/// What a function does with its arguments; the pattern is there if it was a literal.
pub(crate) type Run = for<'a> fn(&mut Vec<Value<'a>>, Option<&Regex>) -> Eval<'a>;

/// A function and its price.
#[derive(Clone, Copy)]
pub(crate) struct Builtin {
    pub run: Run,
    pub price: Price,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Builtin({:?})", self.price)
    }
}

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Price {
    One,
    /// Reading one argument so many times over.
    Read {
        arg: usize,
        times: u64,
    },
    /// Reading the smaller of two.
    Smaller,
    /// Joining two texts; one for anything else.
    Join,
    /// Matching a pattern.
    Pattern,
    /// Looking for one text in another.
    Search,
    /// Looking at every item of the second argument, or at one entry.
    Member,
    /// Looking at every item, and reading it.
    Walk,
    /// Writing the result.
    Written,
    /// Checking a text by a named format.
    Validate,
    /// Asking what somebody may do: twice in an expression at most.
    Check,
    /// Reading a selector.
    Selector,
}

/// The cost of asking what somebody may do.
pub(crate) const CHECK_COST: u64 = 350_000;

/// The cost of reading a selector of so many characters.
pub(crate) fn selector_cost(size: u64) -> u64 {
    tenth(size).saturating_add(size.div_ceil(2).saturating_mul(50)).saturating_add(10)
}

/// A tenth of the characters, rounded up.
pub(crate) fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}

impl Price {
    /// What is known before the call.
    pub fn before(self, args: &[Value<'_>]) -> u64 {
        let size = |i: usize| args.get(i).map_or(1, Value::size);
        let pattern = |text: u64, pattern: u64| tenth(text + 1).saturating_mul(pattern.div_ceil(4));
        match self {
            Price::One => 1,
            Price::Written => 0,
            Price::Read { arg, times } => tenth(size(arg).saturating_mul(times)),
            Price::Smaller => tenth(size(0).min(size(1))),
            Price::Join => match args.first() {
                Some(Value::String(_) | Value::Bytes(_)) => tenth(size(0) + size(1)),
                _ => 1,
            },
            Price::Pattern => pattern(size(0), size(1)),
            Price::Search => tenth(size(0)).saturating_mul(tenth(size(1))),
            Price::Member => match args.get(1).and_then(Value::items) {
                Some(items) => items.len() as u64,
                None => 1,
            },
            Price::Walk => match args.first().and_then(Value::items) {
                Some(items) => items.iter().map(|item| read(&item)).sum(),
                None => tenth(size(0)),
            },
            Price::Validate => pattern(size(1), 128),
            Price::Check => CHECK_COST,
            Price::Selector => selector_cost(size(1)),
        }
    }

    /// What is known after it.
    pub fn after(self, result: &Value<'_>) -> u64 {
        match self {
            Price::Written => tenth(result.size() * 2),
            _ => 0,
        }
    }
}

fn read(value: &Value<'_>) -> u64 {
    match value {
        Value::String(_) | Value::Bytes(_) => tenth(value.size()),
        _ => 1,
    }
}

/// The function of a name.
pub(crate) fn find(function: &str, is_method: bool) -> Option<Builtin> {
    let read = |times| Price::Read { arg: 0, times };
    let (run, price): (Run, Price) = match (function, is_method) {
        // These choose what they evaluate.
        ("_&&_" | "_||_" | "_?_:_" | "@not_strictly_false" | "or" | "orValue", _) => {
            (core::never, Price::One)
        }
        ("!_", _) => (core::not, Price::One),
        ("-_", _) => (core::negate, Price::One),
        ("_==_", _) => (core::equals, Price::Smaller),
        ("_!=_", _) => (core::differs, Price::Smaller),
        ("_<_", _) => (core::less, Price::Smaller),
        ("_<=_", _) => (core::less_or_equal, Price::Smaller),
        ("_>_", _) => (core::greater, Price::Smaller),
        ("_>=_", _) => (core::greater_or_equal, Price::Smaller),
        ("_+_", _) => (core::add, Price::Join),
        ("_-_", _) => (core::subtract, Price::One),
        ("_*_", _) => (core::multiply, Price::One),
        ("_/_", _) => (core::divide, Price::One),
        ("_%_", _) => (core::modulo, Price::One),
        ("_[_]", _) => (core::index, Price::One),
        ("_[?_]", _) => (optional::index, Price::One),
        ("_?._", _) => (optional::select, Price::One),
        ("@in", _) => (core::is_in, Price::Member),
        ("size", _) => (core::size, Price::One),
        ("type", false) => (core::type_of, Price::One),
        ("dyn", false) => (core::same, Price::One),
        ("bool", false) => (core::to_bool, Price::One),
        ("bytes", false) => (core::to_bytes, read(1)),
        ("double", false) => (core::to_double, Price::One),
        ("int", false) => (core::to_int, Price::One),
        ("uint", false) => (core::to_uint, Price::One),
        ("string", false) => (core::to_string, Price::One),
        ("duration", false) => (time::to_duration, Price::One),
        ("timestamp", false) => (time::to_timestamp, Price::One),
        (
            "getFullYear" | "getMonth" | "getDayOfYear" | "getDayOfMonth" | "getDate" | "getDayOfWeek"
            | "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds",
            true,
        ) => (time::part(function)?, Price::One),
        ("matches", _) => (strings::matches, Price::Pattern),
        ("contains", true) => (strings::contains, Price::Search),
        ("startsWith", true) => (strings::starts_with, read(1)),
        ("endsWith", true) => (strings::ends_with, read(1)),
        ("charAt", true) => (strings::char_at, Price::One),
        ("lowerAscii", true) => (strings::lower, read(1)),
        ("upperAscii", true) => (strings::upper, read(1)),
        ("trim", true) => (strings::trim, read(1)),
        ("substring", true) => (strings::substring, read(1)),
        ("replace", true) => (strings::replace, read(2)),
        ("split", true) => (strings::split, read(2)),
        ("join", true) => (strings::join, Price::Written),
        ("format", true) => (strings::format, read(1)),
        ("strings.quote", false) => (strings::quote, read(1)),
        ("find", true) => (strings::find, Price::Pattern),
        ("findAll", true) => (strings::find_all, Price::Pattern),
        ("indexOf", true) => (lists::index_of, Price::Walk),
        ("lastIndexOf", true) => (lists::last_index_of, Price::Walk),
        ("isSorted", true) => (lists::is_sorted, Price::Walk),
        ("sum", true) => (lists::sum, Price::Walk),
        ("min", true) => (lists::min, Price::Walk),
        ("max", true) => (lists::max, Price::Walk),
        ("slice", true) => (lists::slice, Price::One),
        ("flatten", true) => (lists::flatten, Price::Walk),
        ("lists.range", false) => (lists::range, Price::One),
        ("reverse", true) => (lists::reverse, Price::Walk),
        ("distinct", true) => (lists::distinct, Price::Walk),
        ("sort", true) => (lists::sort, Price::Walk),
        ("@sortByAssociatedKeys", true) => (lists::sort_by_keys, Price::Walk),
        ("first", true) => (lists::first, Price::One),
        ("last", true) => (lists::last, Price::One),
        ("cel.@mapInsert", false) => (lists::map_insert, Price::One),
        ("sets.contains", false) => (lists::set_contains, Price::Member),
        ("sets.equivalent", false) => (lists::set_equivalent, Price::Member),
        ("sets.intersects", false) => (lists::set_intersects, Price::Member),
        ("optional.of", false) => (optional::of, Price::One),
        ("optional.ofNonZeroValue", false) => (optional::of_non_zero, Price::One),
        ("optional.none", false) => (optional::none, Price::One),
        ("value", true) => (optional::value, Price::One),
        ("hasValue", true) => (optional::has_value, Price::One),
        ("url", false) => (url::parse, read(1)),
        ("isURL", false) => (url::is_url, Price::One),
        ("jsonpatch.escapeKey", false) => (strings::escape_pointer, read(1)),
        ("getScheme" | "getHost" | "getHostname" | "getPort" | "getEscapedPath" | "getQuery", true) => {
            (url::part(function)?, Price::One)
        }
        ("ip", false) => (address::ip, read(1)),
        ("isIP", false) => (address::is_ip, read(1)),
        ("ip.isCanonical", false) => (address::is_canonical, read(2)),
        (
            "family"
            | "isUnspecified"
            | "isLoopback"
            | "isLinkLocalMulticast"
            | "isLinkLocalUnicast"
            | "isGlobalUnicast",
            true,
        ) => (address::part(function)?, Price::One),
        ("cidr", false) => (address::cidr, read(1)),
        ("isCIDR", false) => (address::is_cidr, read(1)),
        ("containsIP", true) => (address::contains_ip, Price::Read { arg: 1, times: 1 }),
        ("containsCIDR", true) => (address::contains_cidr, Price::Read { arg: 1, times: 1 }),
        ("ip", true) => (address::cidr_ip, Price::One),
        ("prefixLength", true) => (address::prefix_length, Price::One),
        ("masked", true) => (address::masked, Price::One),
        ("quantity", false) => (quantity::parse, read(1)),
        ("isQuantity", false) => (quantity::is_quantity, read(1)),
        ("sign", true) => (quantity::sign, Price::One),
        ("asInteger", true) => (quantity::as_integer, Price::One),
        ("isInteger", true) => (quantity::is_integer, Price::One),
        ("asApproximateFloat", true) => (quantity::as_float, Price::One),
        ("add", true) => (quantity::add, Price::One),
        ("sub", true) => (quantity::sub, Price::One),
        ("isGreaterThan", true) => (quantity::is_greater, Price::One),
        ("isLessThan", true) => (quantity::is_less, Price::One),
        ("compareTo", true) => (quantity::compare, Price::One),
        ("semver", false) => (semver::parse, read(1)),
        ("isSemver", false) => (semver::is_semver, read(1)),
        ("major" | "minor" | "patch", true) => (semver::part(function)?, Price::One),
        ("check", true) => (access::function(function)?, Price::Check),
        ("fieldSelector" | "labelSelector", true) => (access::function(function)?, Price::Selector),
        (
            "path" | "group" | "serviceAccount" | "resource" | "subresource" | "namespace" | "name"
            | "allowed" | "reason" | "errored" | "error",
            true,
        ) => (access::function(function)?, Price::One),
        ("validate", true) => (format::validate, Price::Validate),
        ("format.named", false) => (format::named, Price::One),
        (name, false) if name.starts_with("format.") => (format::constant(name)?, Price::One),
        _ => return None,
    };
    Some(Builtin { run, price })
}

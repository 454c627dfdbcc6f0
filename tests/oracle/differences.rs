//! What our answers and the judge's differ in, and the list of those differences that are known.

use alcove_object::Value;
use std::cell::Cell;
use std::collections::BTreeMap;

/// One place in which answers differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What was compared: `defaults`, `create` and so on.
    pub area: &'static str,
    /// Kind of the object.
    pub kind: String,
    /// Path of the field, with `*` for positions.
    pub place: String,
    /// What we say and what upstream says.
    pub what: String,
    /// What it was found with.
    pub example: Value,
}

/// Everything that was found in a run.
#[derive(Default)]
pub struct Findings {
    /// How many answers were compared, by area.
    pub compared: BTreeMap<&'static str, usize>,
    /// The differences.
    pub differences: Vec<Difference>,
}

impl Findings {
    /// Counts one comparison of an area.
    pub fn count(&mut self, area: &'static str) {
        *self.compared.entry(area).or_default() += 1;
    }

    /// Notes a difference.
    pub fn note(&mut self, area: &'static str, kind: &str, place: &str, what: String, example: &Value) {
        let (kind, place) = (kind.to_owned(), generalized(place));
        self.differences.push(Difference { area, kind, place, what, example: example.clone() });
    }

    /// Compares two trees and notes every place in which they differ.
    pub fn compare(
        &mut self,
        area: &'static str,
        kind: &str,
        ours: &Value,
        upstream: &Value,
        example: &Value,
    ) {
        let mut found = Vec::new();
        walk(ours, upstream, String::new(), &mut found);
        for (place, what) in found {
            self.note(area, kind, &place, what, example);
        }
    }
}

fn walk(ours: &Value, upstream: &Value, place: String, found: &mut Vec<(String, String)>) {
    match (ours, upstream) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let place = format!("{place}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => walk(a, b, place, found),
                    (a, b) => found.push((place, said(a, b))),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                walk(a, b, format!("{place}[{i}]"), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push((place, said(Some(a), Some(b)))),
    }
}

fn said(ours: Option<&Value>, upstream: Option<&Value>) -> String {
    let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    format!("ours {}, upstream {}", show(ours), show(upstream))
}

/// A path with `*` for positions and keys in brackets.
fn generalized(place: &str) -> String {
    let mut out = String::new();
    let mut inside = 0;
    for c in place.trim_start_matches('.').chars() {
        match c {
            '[' => {
                if inside == 0 {
                    out.push_str("[*");
                }
                inside += 1;
            }
            ']' if inside > 0 => {
                inside -= 1;
                if inside == 0 {
                    out.push(']');
                }
            }
            c if inside == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// The heading over the rows that only long runs meet.
const RARE: &str = "\n## In long runs\n";

/// The list in DIFFERENCES.md.
pub struct Known {
    rows: Vec<Row>,
}

struct Row {
    area: String,
    kind: String,
    place: String,
    what: String,
    /// Whether only long runs meet it.
    is_rare: bool,
    is_met: Cell<bool>,
}

impl Known {
    /// Reads the rows of the page's tables: area, kind, place and what, each with `…` for anything; then the reason. Those
    /// below the heading [`RARE`] need not be met.
    pub fn read(page: &str) -> Known {
        let (usual, rare) = page.split_once(RARE).expect("DIFFERENCES.md has both tables");
        let lines = |page: &str, is_rare: bool| -> Vec<(String, bool)> {
            let rows = page.lines().filter(|line| line.starts_with("| `"));
            rows.map(|line| (line.to_owned(), is_rare)).collect()
        };
        let rows = [lines(usual, false), lines(rare, true)].concat();
        let rows = rows.iter().map(|(line, is_rare)| {
            let cells: Vec<&str> =
                line.trim_matches('|').split(" | ").map(|c| c.trim().trim_matches('`')).collect();
            let [area, kind, place, what, _reason] = cells[..] else {
                panic!("DIFFERENCES.md: not five cells: {line}")
            };
            let owned = str::to_owned;
            Row {
                area: owned(area),
                kind: owned(kind),
                place: owned(place),
                what: owned(what),
                is_rare: *is_rare,
                is_met: Cell::new(false),
            }
        });
        Known { rows: rows.collect() }
    }

    /// Whether a difference is listed.
    pub fn has(&self, difference: &Difference) -> bool {
        let fits = |row: &&Row| {
            row.area.split(", ").any(|area| area == difference.area)
                && matches(&row.kind, &difference.kind)
                && matches(&row.place, &difference.place)
                && matches(&row.what, &difference.what)
        };
        let mut is_listed = false;
        for row in self.rows.iter().filter(fits) {
            row.is_met.set(true);
            is_listed = true;
        }
        is_listed
    }

    /// Rows that no difference of the run fitted: those of the first table, or of the one of long runs.
    pub fn unmet(&self, is_rare: bool) -> Vec<String> {
        let unmet = self.rows.iter().filter(|row| row.is_rare == is_rare && !row.is_met.get());
        unmet.map(|row| format!("{} {} {} {}", row.area, row.kind, row.place, row.what)).collect()
    }
}

/// Whether a text fits a pattern in which ` … ` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let parts: Vec<&str> = pattern.split('…').collect();
    for (i, part) in parts.iter().enumerate() {
        let at = match i {
            0 => rest.starts_with(part).then_some(0),
            _ if i + 1 == parts.len() => rest.ends_with(part).then(|| rest.len() - part.len()),
            _ => rest.find(part),
        };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || parts.len() > 1
}

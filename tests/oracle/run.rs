//! Our API machinery against upstream's own libraries: the same objects go to both, and what differs fails unless
//! DIFFERENCES.md lists it with the reason. A listed difference that no longer occurs fails too.
//!
//! Arguments choose areas. `ALCOVE_ORACLE_OBJECTS` says how many objects are compared in each, `ALCOVE_ORACLE_SEED`
//! what they follow from. Without Go there is no judge, and nothing is compared.

#![allow(clippy::unwrap_used)]

mod decoded;
mod differences;
mod generate;
mod judge;
mod kinds;
mod patches;
mod security;
mod writes;

use differences::{Difference, Findings, Known};
use judge::Judge;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Objects of a run that should meet what is rare, in each area.
const LONG: usize = 10_000;
/// What is compared unless something else is asked for.
const OBJECTS: usize = 640;
const SEED: u64 = 20_261_121;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut judge = match Judge::start() {
        Ok(judge) => judge,
        Err(why) => {
            println!("oracle: skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("ALCOVE_ORACLE_SEED").unwrap_or(SEED);
    let count = number("ALCOVE_ORACLE_OBJECTS").map_or(OBJECTS, |count| count as usize);
    println!("oracle: {count} objects in each area, ALCOVE_ORACLE_SEED={seed}");
    let findings = run(&mut judge, &arguments, seed, count);
    let is_usual = arguments.is_empty() && seed == SEED && count == OBJECTS;
    judged(&findings, is_usual, arguments.is_empty() && count >= LONG)
}

fn run(judge: &mut Judge, areas: &[String], seed: u64, count: usize) -> Findings {
    let mut findings = Findings::default();
    let is_asked = |area: &str| areas.is_empty() || areas.iter().any(|asked| area.contains(asked.as_str()));
    let objects = decoded::objects(seed, count);
    if is_asked("defaults") {
        decoded::defaults(judge, &objects, &mut findings);
    }
    if is_asked("protobuf") {
        decoded::protobuf(judge, &objects, &mut findings);
    }
    if is_asked("tables") {
        decoded::tables(judge, &objects, &mut findings);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if is_asked("create") {
        runtime.block_on(writes::creates(judge, seed, count, &mut findings));
    }
    if is_asked("update") {
        runtime.block_on(writes::updates(judge, seed, count, &mut findings));
    }
    if is_asked("subresource") {
        runtime.block_on(writes::parts(judge, seed, count, &mut findings));
    }
    if is_asked("strategic-merge") {
        patches::strategic(judge, seed, count, &mut findings);
    }
    if is_asked("security") {
        security::levels(judge, seed, count, &mut findings);
    }
    if is_asked("apply") {
        patches::owners(judge, seed, count / 2, &mut findings);
    }
    findings
}

/// Says what was found. Listed differences are fine; others are not, nor listed ones that the usual run does not find.
///
/// A long run names rows of its own table that it did not meet, too. They may be rare, so they are no failure.
fn judged(findings: &Findings, is_usual: bool, is_long: bool) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("tests/oracle/DIFFERENCES.md")).expect("the page is there");
    let known = Known::read(&page);
    let mut groups: BTreeMap<(&str, &str, &str, String), Vec<&Difference>> = BTreeMap::new();
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    for difference in &findings.differences {
        if known.has(difference) {
            *listed.entry(difference.area).or_default() += 1;
            continue;
        }
        let key = (difference.area, &*difference.kind, &*difference.place, difference.what.clone());
        groups.entry(key).or_default().push(difference);
    }
    for ((area, kind, place, what), found) in &groups {
        let what: String = what.chars().take(300).collect();
        println!("{}x {area} | {kind} | {place} | {what}", found.len());
        if std::env::var("ALCOVE_ORACLE_EXAMPLES").is_ok() {
            println!("    {}", found[0].example);
        }
    }
    for (area, compared) in &findings.compared {
        let unlisted: usize =
            groups.iter().filter(|(key, _)| key.0 == *area).map(|(_, found)| found.len()).sum();
        let listed = listed.get(area).copied().unwrap_or_default();
        println!("oracle: {area}: {compared} compared, {listed} listed differences, {unlisted} others");
    }
    let unmet = if is_usual { known.unmet(false) } else { Vec::new() };
    for row in &unmet {
        println!("DIFFERENCES.md lists what no longer occurs: {row}");
    }
    for row in if is_long { known.unmet(true) } else { Vec::new() } {
        println!("oracle: this run did not meet: {row}");
    }
    if groups.is_empty() && unmet.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

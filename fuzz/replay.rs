//! Inputs that somebody wrote, and those that once failed, through the checks of the fuzzer: `corpus/CHECK/INPUT`. An
//! ordinary test, so that what was mended stays so where nobody fuzzes.

#![allow(clippy::unwrap_used)]

mod checks;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn every_input_passes_its_check() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut failed = Vec::new();
    let mut tried = BTreeSet::new();
    for folder in fs::read_dir(corpus).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let check = checks::named(&name).unwrap_or_else(|| panic!("there is no check {name}"));
        for input in fs::read_dir(folder.path()).unwrap() {
            let path = input.unwrap().path();
            let input = fs::read(&path).unwrap();
            if catch_unwind(|| check(&input)).is_err() {
                failed.push(path);
            }
        }
        tried.insert(name);
    }
    assert!(failed.is_empty(), "see above for each: {failed:?}");
    assert_eq!(tried, checks::names().map(str::to_owned).collect(), "each check has inputs");
}

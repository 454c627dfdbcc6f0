//! The house's own rules: which room may use which, what only one room may know, and how files look.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms, each followed by all that it may use. An arrow that is not here is wrong.
const ARROWS: &[(&str, &[&str])] = &[
    ("object", &[]),
    ("cel", &["object"]),
    ("schema", &["object", "cel"]),
    ("config", &["object", "schema"]),
    ("store", &["object", "schema"]),
    ("apiserver", &["object", "cel", "schema", "store"]),
    ("dns", &["object", "schema", "store", "apiserver", "controllers"]),
    ("controllers", &["object", "schema", "store", "apiserver"]),
    ("syncer", &["object", "schema", "config", "store", "apiserver", "controllers"]),
    ("sandbox", &["object", "schema", "store", "apiserver", "controllers"]),
    ("operator", &["object", "schema", "config", "store", "apiserver", "controllers"]),
    (
        "cli",
        &[
            "object",
            "schema",
            "config",
            "store",
            "apiserver",
            "controllers",
            "dns",
            "syncer",
            "sandbox",
            "operator",
        ],
    ),
];

/// What only some rooms may know, as the dependency that brings it.
const SECRETS: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    // The syncer relays the bytes of connections to the host, which no client library does untouched.
    ("hyper", &["apiserver", "syncer"]),
    ("hyper-util", &["apiserver", "syncer"]),
    ("kube", &["syncer", "operator", "cli"]),
];

const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The dependencies of a room that end up in the product, by the names in its manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            if let Some(name) = section.strip_prefix("dependencies.") {
                found.push(name.to_owned());
            }
        } else if section == "dependencies" && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            found.push(name.trim().to_owned());
        }
    }
    found
}

fn rooms() -> BTreeMap<String, Vec<String>> {
    let folders = fs::read_dir(root().join("src")).expect("src");
    let manifests = folders.filter_map(|entry| {
        let folder = entry.expect("an entry of src").path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        Some((folder.file_name()?.to_str()?.to_owned(), dependencies(&manifest)))
    });
    manifests.collect()
}

/// Everything wrong with these rooms' dependencies.
fn wrong_arrows(rooms: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (room, dependencies) in rooms {
        let Some((_, may_use)) = ARROWS.iter().find(|(name, _)| name == room) else {
            wrong.push(format!("src/{room} is in no row of ARROWS"));
            continue;
        };
        for dependency in dependencies {
            let other = dependency.strip_prefix("alcove-");
            if other.is_some_and(|other| !may_use.contains(&other)) {
                wrong.push(format!("{room} must not use {dependency}"));
            }
            let secret = SECRETS.iter().find(|(name, _)| name == dependency);
            if secret.is_some_and(|(_, knowing)| !knowing.contains(&room.as_str())) {
                wrong.push(format!("{room} must not know {dependency}"));
            }
        }
    }
    wrong
}

#[test]
fn rooms_use_only_what_they_may() {
    assert!(rooms().len() >= 8, "{:?}", rooms().keys());
    assert_eq!(wrong_arrows(&rooms()), Vec::<String>::new());
}

#[test]
fn a_wrong_arrow_is_found() {
    for (room, dependency, expected) in [
        ("object", "alcove-schema", "object must not use alcove-schema"),
        ("controllers", "alcove-syncer", "controllers must not use alcove-syncer"),
        ("apiserver", "rusqlite", "apiserver must not know rusqlite"),
        ("controllers", "hyper", "controllers must not know hyper"),
        ("cellar", "serde", "src/cellar is in no row of ARROWS"),
    ] {
        let rooms = BTreeMap::from([(room.to_owned(), vec![dependency.to_owned()])]);
        assert_eq!(wrong_arrows(&rooms), [expected]);
    }
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nbytes.workspace = true\nkube = { workspace = true }\n\
        [dependencies.http]\nversion = \"1\"\n[dev-dependencies]\nrusqlite.workspace = true\n";
    assert_eq!(dependencies(manifest), ["bytes", "kube", "http"]);
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_say_why_they_exist_and_stay_short() {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 100, "{}", files.len());
    let faults: Vec<String> = files.iter().filter_map(|file| fault(file)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn fault(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).expect("a source file");
    let lines = text.lines().count();
    let name = file.strip_prefix(root()).expect("below the root").display();
    if !text.starts_with("//! ") {
        return Some(format!("{name} does not start with a paragraph that says why it exists"));
    }
    (lines > LINES_MAX).then(|| format!("{name} has {lines} lines; {LINES_MAX} are the most"))
}

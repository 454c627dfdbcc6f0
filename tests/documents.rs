//! Whether the project's lists are true: limits, dependencies, and what pages point to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder with this ending, without those that only tests need.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the project") {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match path.is_dir() {
                true if !["tests", "benches", "testdata"].contains(&name) => folders.push(path),
                false if name.ends_with(ending) && name != "tests.rs" => found.push(path),
                _ => {}
            }
        }
    }
    found
}

/// The cells of a page's table rows whose first cell is code.
fn rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// The name and the value of a constant, where a line defines one.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("const ")?;
    let (name, rest) = rest.split_once(':')?;
    let (_, value) = rest.split_once('=')?;
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_name.then(|| (name, value.trim().trim_end_matches(';')))
}

/// A number in code: products and shifts of literals, and durations of them in seconds.
fn number(code: &str) -> Option<f64> {
    let code = code.trim();
    if let Some(seconds) = code.strip_prefix("Duration::from_secs(") {
        return number(seconds.strip_suffix(')')?);
    }
    if let Some(millis) = code.strip_prefix("Duration::from_millis(") {
        return Some(number(millis.strip_suffix(')')?)? / 1000.0);
    }
    if let Some((left, right)) = code.split_once("<<") {
        return Some(number(left)? * number(right)?.exp2());
    }
    if let Some((left, right)) = code.split_once('*') {
        return Some(number(left)? * number(right)?);
    }
    code.replace('_', "").parse().ok()
}

/// A number in a page: `3 MiB`, `1,000`, `60 s`.
fn told(value: &str) -> Option<f64> {
    let (digits, unit) = value.split_once(' ').unwrap_or((value, ""));
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "d" => 86_400.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        _ => return None,
    };
    Some(digits.replace(',', "").parse::<f64>().ok()? * scale)
}

#[test]
fn limits_are_listed() {
    let page = read("docs/limits.md");
    let listed: BTreeSet<(String, String)> =
        rows(&page).iter().map(|row| (code(&row[0]).to_owned(), code(&row[2]).to_owned())).collect();
    let mut missing = Vec::new();
    for file in files("src", ".rs") {
        let path = file
            .strip_prefix(root())
            .expect("a file of the project")
            .to_str()
            .expect("a plain path")
            .to_owned();
        let text = fs::read_to_string(&file).expect("a file of the project");
        for (name, _) in text.lines().filter_map(constant).filter(|(name, _)| name.contains("_MAX")) {
            if !listed.contains(&(name.to_owned(), path.clone())) {
                missing.push(format!("{name} in {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/limits.md does not list: {missing:#?}");
}

#[test]
fn listed_limits_are_true() {
    let page = read("docs/limits.md");
    let rows = rows(&page);
    assert!(rows.len() > 60, "the page was read: {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let (name, value, path) = (code(&row[0]), &row[1], code(&row[2]));
        let text = read(path);
        let field = format!("{name}: ");
        let defined = text.lines().find_map(|line| match constant(line) {
            Some((found, value)) => (found == name).then(|| value.to_owned()),
            None => Some(line.trim().strip_prefix(&field)?.trim_end_matches(',').to_owned()),
        });
        // Not every definition is a plain number; what is one must agree.
        let agrees = match defined.as_deref().map(|defined| (number(defined), told(value))) {
            Some((Some(defined), Some(told))) => (defined - told).abs() < 1e-9,
            Some((None, Some(_))) => true,
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{name} in {path}: the page says {value}, the code {defined:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn dependencies_are_explained() {
    let manifest = read("Cargo.toml");
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("a section of dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    let used: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("alcove-"))
        .collect();
    let page = read("docs/dependencies.md");
    let inside = page.split("## Outside Cargo").next().unwrap_or_default();
    let rows = rows(inside);
    let explained: BTreeSet<&str> = rows.iter().map(|row| code(&row[0])).collect();
    assert!(used.len() > 20, "the manifest was read: {used:?}");
    assert_eq!(used, explained, "Cargo.toml on the left, docs/dependencies.md on the right");
}

#[test]
fn pages_point_to_what_exists() {
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    let pages = pages.iter().map(|page| (page.to_string(), "")).chain([
        ("docs/limits.md".to_owned(), "docs"),
        ("docs/quickstart.md".to_owned(), "docs"),
        ("docs/differences.md".to_owned(), "docs"),
        ("manifests/chart/README.md".to_owned(), "manifests/chart"),
        ("docs/dependencies.md".to_owned(), "docs"),
        ("benches/README.md".to_owned(), "benches"),
    ]);
    let mut dangling = Vec::new();
    for (page, folder) in pages {
        let text = read(&page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
        for link in links {
            if !root().join(folder).join(link.split('#').next().unwrap_or(link)).exists() {
                dangling.push(format!("{page}: {link}"));
            }
        }
        // Paths in code spans, but for patterns and rooms that are named as missing.
        for span in text.split('`').skip(1).step_by(2) {
            let is_path =
                span.starts_with("src/") && !span.contains(['*', '<', ' ']) && !span.contains("NAME");
            let missing = ["src/dns"];
            if is_path && !missing.contains(&span) && !root().join(span).exists() {
                dangling.push(format!("{page}: {span}"));
            }
        }
    }
    assert!(dangling.is_empty(), "{dangling:#?}");
}

/// docs/configuration.md is written from the configuration's types: run with `UPDATE_DOCS=1` to write it anew.
#[test]
fn the_configuration_is_explained_as_it_is() {
    let head = "# Configuration\n\nOne configuration serves the tenant's process (`alcove serve --config`), the Helm chart (`values.yaml`) and\n`alcove create --values`. Everything may be left out. This page is written from the types in `src/config`; keys that\nare not here are refused.\n\n";
    let expected = format!("{head}{}", alcove_config::markdown());
    let path = root().join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).expect("docs can be written");
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == expected,
        "run with UPDATE_DOCS=1 and read the diff"
    );
}

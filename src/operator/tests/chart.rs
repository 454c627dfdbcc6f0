//! The chart and this room, each the other's judge: what the real helm renders is what `objects()` gives, for every file
//! in `values/` and every example. What helm renders is kept beside them in `golden/`, so that a change of the chart is
//! seen as its users see it. `UPDATE_GOLDEN=1` writes all that is written from something else; read the diff.

#![allow(clippy::unwrap_used)]

use alcove_operator::provision::{GRANTS, Release, SET_BY_THE_CHART, namespace, objects};
use alcove_schema::decode::parse_yaml;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

const HELMS: [&str; 2] = ["helm-3", "helm-4"];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn root(path: &str) -> PathBuf {
    here("../..").join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a file with what it is written from, or writes it.
fn is_as_written(path: &Path, expected: &str) {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is not what it is written from: run with UPDATE_GOLDEN=1", path.display());
}

/// Runs one of the helms. It sees no cluster and no settings of whoever runs the tests.
fn helm(version: &str, arguments: &[&str]) -> Output {
    let tools = env::var_os("ALCOVE_TOOLS").map_or_else(|| root(".cache/tools"), PathBuf::from);
    let home = here("").join("../../target");
    Command::new(tools.join(version))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .output()
        .unwrap_or_else(|error| panic!("{version}: {error}; `make tools` puts it into .cache/tools"))
}

fn render(version: &str, name: &str, namespace: &str, values: &Path) -> Result<String, String> {
    let (chart, values) = (root("manifests/chart"), values.to_str().unwrap().to_owned());
    let chart = chart.to_str().unwrap();
    // What an uninstall runs is no part of the tenant.
    let out = helm(
        version,
        &["template", name, chart, "--namespace", namespace, "--values", &values, "--no-hooks"],
    );
    match out.status.success() {
        true => Ok(String::from_utf8(out.stdout).unwrap()),
        false => Err(String::from_utf8(out.stderr).unwrap()),
    }
}

fn yaml(text: &str) -> Value {
    let document = parse_yaml(text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    assert!(document.strict.is_none(), "{:?}\n{text}", document.strict);
    document.value
}

/// The objects of a stream of documents, by kind and name.
fn documents(text: &str) -> BTreeMap<String, Value> {
    let documents = text.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    let says_something = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    let documents = documents.filter(|text| text.lines().any(says_something));
    keyed(documents.map(yaml))
}

fn keyed(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let mut by_key = BTreeMap::new();
    for object in objects {
        let key = format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert!(by_key.insert(key.clone(), object).is_none(), "{key} is there twice");
    }
    by_key
}

/// Objects without the marks that helm itself makes when it installs.
fn before_install(objects: Vec<Value>) -> Vec<Value> {
    let mut objects = objects;
    for object in &mut objects {
        let metadata = object["metadata"].as_object_mut().unwrap();
        let annotations = metadata["annotations"].as_object_mut().unwrap();
        annotations.retain(|key, _| !key.starts_with("meta.helm.sh/"));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    objects
}

fn release(name: &str, namespace: &str, values: &Path) -> Release {
    let text = read(values);
    let is_empty = text.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
    let values = if is_empty { Value::Null } else { yaml(&text) };
    Release::new(name, namespace, env!("CARGO_PKG_VERSION"), values).unwrap()
}

fn same_objects(what: &str, found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) {
    let keys = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected), "{what}: the chart on the left, the code on the right");
    for (key, expected) in expected {
        assert!(found[key] == *expected, "{what}: {key}\nchart: {:#}\ncode: {expected:#}", found[key]);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

/// Names and values of all cases.
fn cases() -> Vec<(String, PathBuf)> {
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let values = files(&here("tests/values")).into_iter().map(|path| (name(&path), path));
    let examples = files(&root("manifests/examples")).into_iter();
    values.chain(examples.map(|path| (format!("example-{}", name(&path)), path))).collect()
}

#[test]
fn the_chart_renders_what_the_code_gives() {
    let cases = cases();
    assert!(cases.len() >= 25, "{cases:?}");
    for (name, values) in cases {
        let expected = keyed(before_install(objects(&release("red", "team", &values))));
        for version in HELMS {
            let text =
                render(version, "red", "team", &values).unwrap_or_else(|error| panic!("{name}: {error}"));
            same_objects(&format!("{version}, {name}"), &documents(&text), &expected);
            if version == HELMS[0] {
                is_as_written(&here(&format!("tests/golden/{name}.yaml")), &text);
            }
        }
    }
    let golden = files(&here("tests/golden")).len();
    assert_eq!(golden, self::cases().len(), "a golden file whose values are gone");
}

#[test]
fn the_chart_is_written_from_the_configuration() {
    let without: Vec<&str> = SET_BY_THE_CHART.into_iter().chain(["apiVersion", "kind"]).collect();
    let head = "# The values of this chart are alcove's one configuration: see docs/configuration.md. This file is written from the\n\
        # types in src/config; change them, not this.\n\n";
    is_as_written(
        &root("manifests/chart/values.yaml"),
        &format!("{head}{}", alcove_config::values_yaml(&without)),
    );
    let mut schema = alcove_config::json_schema();
    let known = schema["properties"].as_object_mut().unwrap();
    for key in SET_BY_THE_CHART {
        known.remove(key).unwrap();
    }
    known.insert("global".into(), json!({ "description": "Helm's own.", "type": "object" }));
    is_as_written(&root("manifests/chart/values.schema.json"), &format!("{schema:#}\n"));
    let chart = yaml(&read(&root("manifests/chart/Chart.yaml")));
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&env!("CARGO_PKG_VERSION").into(), &chart["version"])
    );
}

#[test]
fn the_manifest_is_the_chart_with_its_defaults() {
    let values = here("tests/values/default.yaml");
    let rendered = render(HELMS[0], "demo", "demo", &values).unwrap();
    let release = release("demo", "demo", &values);
    let level = namespace(&release)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].clone();
    let head = format!(
        "# The tenant `demo` in the namespace `demo`, for those who use neither helm nor the CLI:\n\
         #   kubectl apply -f install.yaml\n\
         # It is the chart in manifests/chart with its defaults.\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: demo\n  labels:\n    \
         pod-security.kubernetes.io/enforce: {}\n",
        level.as_str().unwrap()
    );
    let text = format!("{head}{rendered}");
    is_as_written(&root("manifests/install.yaml"), &text);
    let mut expected = before_install(objects(&release));
    expected.push(namespace(&release));
    same_objects("install.yaml", &documents(&text), &keyed(expected));
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    for version in HELMS {
        for (name, values) in cases() {
            let chart = root("manifests/chart");
            let arguments =
                ["lint", "--strict", chart.to_str().unwrap(), "--values", values.to_str().unwrap()];
            let out = helm(version, &arguments);
            let text = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
            assert!(out.status.success() && !text.contains("[WARNING]"), "{version}, {name}: {text}");
        }
    }
}

#[test]
fn values_that_cannot_work_are_refused_with_their_place() {
    let long = "a".repeat(41);
    let cases = [
        ("red", "dnz: {}", "dnz"),
        ("red", "sync: { pods: { podSecurty: restricted } }", "podSecurty"),
        ("red", "port: 9443", "port"),
        ("red", "host: { name: blue, namespace: team }", "host"),
        ("red", "sync: { pods: { podSecurity: strict } }", "podSecurity"),
        ("red", "dns: { port: many }", "port"),
        ("red", "expose: { ingress: { enabled: true } }", "expose.ingress.host must be set"),
        ("red", "expose: { tlsRoute: { enabled: true } }", "expose.tlsRoute.hosts must be set"),
        (&long, "", "must have at most 40 characters"),
        ("red.blue", "", "is no name for a tenant"),
    ];
    let folder = env::temp_dir().join(format!("alcove-chart-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for version in HELMS {
        for (name, values, expected) in cases {
            let file = folder.join("values.yaml");
            fs::write(&file, values).unwrap();
            let error = render(version, name, "team", &file).unwrap_err();
            assert!(error.contains(expected), "{version}: {values}: {error}");
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn helm_may_pass_global_values() {
    let chart = root("manifests/chart");
    let out =
        helm(HELMS[0], &["template", "red", chart.to_str().unwrap(), "--set", "global.registry=example.com"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && !text.contains("example.com"), "{text}");
}

#[test]
fn every_rule_of_the_chart_says_its_feature() {
    let text = read(&root("manifests/chart/templates/role.yaml"))
        + &read(&root("manifests/chart/templates/clusterrole.yaml"));
    for grant in GRANTS {
        assert!(text.contains(&format!("  # {}\n  - apiGroups:", grant.feature)), "{}", grant.feature);
    }
    assert_eq!(text.matches("- apiGroups:").count(), GRANTS.len());
}

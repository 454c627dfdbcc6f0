//! Tests as terminal transcripts: what a user types, and what the user sees.
//!
//! ```text
//! # a comment
//! $ kubectl get pods                     a command for the shell; `> ` continues it on the next line
//! NAME READY STATUS RESTARTS AGE         what it prints: `[..]` is anything, `...` alone any number of lines,
//! web-[..] 1/1 Running 0 [..]            blanks in a row are one blank, `$NS` is the variable's value
//! @1.33 only this version prints this
//! [exit 1]                               how it ends, when not with 0
//! $~ kubectl get pods                    looked at again until it prints what is expected: a wait for a condition
//! ```

use super::fits::lines_fit;
use super::session::{Outcome, Session};
use super::wait::DEADLINE;
use std::path::Path;
use std::time::Instant;

struct Step<'a> {
    line: usize,
    waits: bool,
    command: String,
    expected: Vec<&'a str>,
    code: i32,
}

/// Plays a transcript of `transcripts/` in a session. `version` chooses the lines that only some versions print.
#[track_caller]
pub fn play(session: &Session, version: &str, name: &str) {
    let path = format!("{}/tests/blackbox/transcripts/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    play_file(session, version, name, Path::new(&path));
}

/// Plays a transcript of a file.
#[track_caller]
pub fn play_file(session: &Session, version: &str, name: &str, path: &Path) {
    let text = std::fs::read_to_string(path).expect("a transcript");
    for step in steps(&text, version) {
        let command = &step.command;
        let expected: Vec<String> =
            step.expected.iter().map(|line| with_values(line, &session.variables)).collect();
        let expected: Vec<&str> = trimmed(expected.iter().map(String::as_str).collect());
        let started = Instant::now();
        loop {
            let outcome = session.run(command);
            let found = trimmed(outcome.output.lines().collect());
            if outcome.code == step.code && lines_fit(&expected, &found) {
                break;
            }
            if !step.waits || started.elapsed() > DEADLINE {
                panic!("{}", report(name, &step, command, &expected, &outcome));
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

/// A line in which `$NAME` stands for the variable's value, longer names first.
fn with_values(line: &str, variables: &[(&'static str, String)]) -> String {
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    variables.iter().fold(line.to_owned(), |line, (name, value)| line.replace(&format!("${name}"), value))
}

fn report(name: &str, step: &Step<'_>, command: &str, expected: &[&str], outcome: &Outcome) -> String {
    format!(
        "{name}:{}\n$ {command}\n--- expected, exit {}\n{}\n--- found, exit {}\n{}",
        step.line,
        step.code,
        expected.join("\n"),
        outcome.code,
        outcome.output
    )
}

fn trimmed(mut lines: Vec<&str>) -> Vec<&str> {
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let start = lines.iter().position(|line| !line.trim().is_empty()).unwrap_or(0);
    lines.split_off(start)
}

fn steps<'a>(text: &'a str, version: &str) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let waits = line.starts_with("$~ ");
        if let Some(command) = line.strip_prefix("$ ").or(line.strip_prefix("$~ ")) {
            steps.push(Step { line: at + 1, waits, command: command.into(), expected: Vec::new(), code: 0 });
            continue;
        }
        let Some(step) = steps.last_mut() else {
            assert!(line.is_empty() || line.starts_with('#'), "line {} is before the first command", at + 1);
            continue;
        };
        if let Some(more) = line.strip_prefix("> ").or((line == ">").then_some("")) {
            step.command.push('\n');
            step.command.push_str(more);
        } else if let Some(code) = line.strip_prefix("[exit ").and_then(|rest| rest.strip_suffix(']')) {
            step.code = code.parse().expect("an exit code");
        } else if let Some((only, rest)) = line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
            if only == version {
                step.expected.push(rest);
            }
        } else if !line.starts_with('#') {
            step.expected.push(line);
        }
    }
    steps
}

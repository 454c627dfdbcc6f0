//! How commands print: tables for people, trees and names for scripts, progress on standard error.

use clap::ValueEnum;
use serde_json::Value;
use std::io::Write;
use std::time::Instant;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table or text for people.
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Names alone, one a line.
    Name,
}

/// `-o`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct FormatArguments {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
}

/// Prints a result. Whoever closes the pipe has read enough.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
}

/// A tree as YAML.
pub fn yaml(tree: &Value) -> String {
    // Certificates stay on one line, as everybody who cuts kubeconfigs apart expects.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(tree, options).unwrap_or_else(|_| tree.to_string())
}

/// Prints a tree as JSON or YAML; gives false for the other formats.
pub fn print_tree(format: Format, tree: &Value) -> bool {
    match format {
        Format::Json => print(&format!("{tree:#}")),
        Format::Yaml => print(&yaml(tree)),
        _ => return false,
    }
    true
}

/// A table with aligned columns, three spaces between them, as kubectl's are.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = vec![head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().cloned());
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `LABEL:  value` lines with their values aligned.
pub fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.len() + 1).max().unwrap_or(0);
    let lines = rows.iter().map(|(label, value)| format!("{:<width$}  {value}", format!("{label}:")));
    lines.collect::<Vec<_>>().join("\n")
}

/// Tells on standard error how far a command is, each line with the time since it began.
pub struct Progress {
    begin: Instant,
    quiet: bool,
}

impl Progress {
    /// Progress from now on.
    pub fn start() -> Progress {
        Progress { begin: Instant::now(), quiet: false }
    }

    /// Progress that is not told.
    pub fn silent() -> Progress {
        Progress { begin: Instant::now(), quiet: true }
    }

    /// A step that is done.
    pub fn done(&self, what: &str) {
        if !self.quiet {
            eprintln!("  {what}  ({:.1} s)", self.begin.elapsed().as_secs_f64());
        }
    }

    /// Something that people should know.
    pub fn note(&self, what: &str) {
        if !self.quiet {
            eprintln!("  {what}");
        }
    }
}

/// Asks on the terminal; `None` if there is none to ask on.
pub fn confirm(question: &str) -> Option<bool> {
    use std::io::{BufRead, IsTerminal};
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows =
            [vec!["red".to_owned(), "Running".to_owned()], vec!["long-name".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "STATUS"], &rows), "NAME        STATUS\nred         Running\nlong-name");
        let rows = [("Name", "red".to_owned()), ("Namespace", "team".to_owned())];
        assert_eq!(fields(&rows), "Name:       red\nNamespace:  team");
    }
}

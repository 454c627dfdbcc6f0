//! What is wrong with an expression, in the form in which upstream tells it.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub at: usize,
    pub message: String,
}

impl Issue {
    pub fn new(at: usize, message: String) -> Issue {
        Issue { at, message }
    }
}

/// All that is wrong with an expression. As text: a line for each with its place, the line of the source, and a mark
/// below (cel-go, common/error.go).
#[derive(Clone, Debug, thiserror::Error)]
pub struct Issues {
    source_text: Box<str>,
    issues: Vec<Issue>,
}

impl Issues {
    pub(crate) fn new(source: &str, mut issues: Vec<Issue>) -> Issues {
        issues.sort_by_key(|issue| issue.at);
        Issues { source_text: source.into(), issues }
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, issue) in self.issues.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let (mut line, mut column) = (1, 0);
            for c in self.source_text.chars().take(issue.at) {
                (line, column) = if c == '\n' { (line + 1, 0) } else { (line, column + 1) };
            }
            let text = self.source_text.lines().nth(line - 1).unwrap_or_default();
            write!(f, "ERROR: <input>:{line}:{}: {}\n | {text}\n | ", column + 1, issue.message)?;
            write!(f, "{}^", ".".repeat(column))?;
        }
        Ok(())
    }
}

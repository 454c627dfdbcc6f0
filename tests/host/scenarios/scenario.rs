//! What a scenario is, and where all of them are listed.

use std::path::{Path, PathBuf};

/// One scenario.
pub struct Scenario {
    /// `SUBJECT/NAME`, which `make test-host SCENARIOS=...` chooses by.
    pub name: String,
    /// What is played.
    pub play: Play,
}

/// How a scenario is played.
pub enum Play {
    /// A transcript.
    Transcript(PathBuf),
}

/// All scenarios of the folder `transcripts`, by name.
pub fn transcripts() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/scenarios/transcripts");
    let mut found = Vec::new();
    for subject in entries(&folder) {
        for path in entries(&subject) {
            let name = path.strip_prefix(&folder).expect("an entry of the folder").with_extension("");
            found.push(Scenario { name: name.display().to_string(), play: Play::Transcript(path) });
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of a folder").path()).collect();
    paths.sort();
    paths
}

//! What `/version` says. helm and kubectl parse `gitVersion` as a semantic version, and charts compare it.

use alcove_schema::Minor;
use serde_json::{Value, json};

/// The patch release of each minor whose behaviour is served.
fn patch(minor: Minor) -> u8 {
    match minor.0 {
        34 => 9,
        35 => 8,
        36 => 3,
        37 => 2,
        _ => 0,
    }
}

/// `gitVersion`, such as `v1.36.3+alcove`. Build metadata, unlike a pre-release suffix, compares as equal.
pub fn git_version(minor: Minor) -> String {
    format!("v{minor}.{}+alcove", patch(minor))
}

/// The answer to `/version`.
pub fn info(minor: Minor) -> Value {
    let (number, oldest) = (minor.0.to_string(), minor.0.saturating_sub(1).to_string());
    let platform = match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        other => other,
    };
    json!({
        "major": "1", "minor": number,
        "emulationMajor": "1", "emulationMinor": number,
        "minCompatibilityMajor": "1", "minCompatibilityMinor": oldest,
        "gitVersion": git_version(minor),
        "gitCommit": concat!("alcove-", env!("CARGO_PKG_VERSION")),
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": platform,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(git_version(Minor::DEFAULT), "v1.36.3+alcove");
        let info = info(Minor(37));
        assert_eq!((&info["minor"], &info["gitVersion"]), (&json!("37"), &json!("v1.37.2+alcove")));
    }
}

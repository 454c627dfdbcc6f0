//! Where the real clients are.

use std::path::PathBuf;

/// A program such as `kubectl-1.33`, from `ALCOVE_TOOLS` or from `.cache/tools`.
pub fn tool(name: &str) -> PathBuf {
    let usual = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/tools");
    let path = std::env::var_os("ALCOVE_TOOLS").map_or_else(usual, PathBuf::from).join(name);
    assert!(path.exists(), "{} is not there; `make tools` puts it there", path.display());
    path
}

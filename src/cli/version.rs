//! `alcove version`.

use crate::arguments::Output;
use crate::error::Error;
use alcove_schema::Minor;
use serde_json::json;

/// The version of this binary.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn minors() -> Vec<String> {
    (Minor::OLDEST.0..=Minor::NEWEST.0).map(|minor| Minor(minor).to_string()).collect()
}

/// The version, and the Kubernetes versions served, on one line.
fn line() -> String {
    format!("alcove {VERSION} (serves Kubernetes {})", minors().join(", "))
}

/// Prints the version.
pub fn print(output: Output) -> Result<(), Error> {
    match output {
        Output::Text => println!("{}", line()),
        Output::Json => {
            let default = Minor::DEFAULT.to_string();
            println!("{}", json!({ "version": VERSION, "kubernetesVersions": minors(), "default": default }));
        }
    }
    Ok(())
}

//! Files that commands leave for people: kubeconfigs, and the ports that are kept over restarts.

use crate::error::Error;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

/// Makes a directory that only its owner can enter.
pub fn private_dir(path: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

/// Writes a file that only its owner can read, wholly or not at all.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    Ok(alcove_apiserver::certs::write_private(path, text)?)
}

/// Reads a whole text file.
pub fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(at(path))
}

/// The path as it is from anywhere.
pub fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(at(path))
}

/// The port that a data directory used last, if any.
pub fn remembered_port(dir: &Path) -> Option<u16> {
    std::fs::read_to_string(dir.join("port")).ok()?.trim().parse().ok()
}

/// Remembers the port of a data directory.
pub fn remember_port(dir: &Path, port: u16) -> Result<(), Error> {
    write_private(&dir.join("port"), &format!("{port}\n"))
}

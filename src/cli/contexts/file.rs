//! One kubeconfig file: read, changed under its lock, and written whole or not at all.

use super::Error;
use crate::{files, output};
use alcove_schema::decode::yaml_tree;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock that somebody else holds is looked at again.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How often that is done at most: five seconds in all.
const LOCK_TRIES_MAX: u32 = 100;

/// Reads a file as a tree; an empty one is an empty tree.
pub fn read(path: &Path) -> Result<Value, Error> {
    let source = |source| Error::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(source)?;
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    let wrong = |detail: String| Error::Parse { path: path.to_owned(), detail };
    let tree = yaml_tree(&text).map_err(wrong)?;
    match tree {
        Value::Object(_) => Ok(tree),
        Value::Null => Ok(json!({})),
        _ => Err(wrong("it holds no keys and values".into())),
    }
}

/// The lock that kubectl takes, too: a file beside the kubeconfig.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Lock, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        for _ in 0..LOCK_TRIES_MAX {
            match std::fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Lock(lock)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    std::thread::sleep(LOCK_PAUSE)
                }
                Err(source) => return Err(Error::Write { path: path.to_owned(), source }),
            }
        }
        Err(Error::Locked { path: path.to_owned() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Changes a file; one that is not there yet begins empty. Nothing is written if nothing changed.
pub fn edit(path: &Path, change: impl FnOnce(&mut Value)) -> Result<(), Error> {
    // A link stays a link: the file that it leads to is written.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let write = |source| Error::Write { path: path.clone(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(write)?;
    }
    let _lock = Lock::take(&path)?;
    let before = if path.exists() { read(&path)? } else { json!({}) };
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok(());
    }
    files::write_private(&path, &output::yaml(&after))
        .map_err(|error| write(std::io::Error::other(error.chain())))
}

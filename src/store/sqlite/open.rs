//! Opening the file: made whole or not at all, refused when it is not ours, newer, or broken.

use super::{CACHE_BYTES, PAGE_BYTES, WAL_BYTES_MAX, directory};
use crate::error::OpenError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// "alcv": how file(1) and we know our files.
const APPLICATION_ID: i64 = 0x616c_6376;
/// Raised whenever an older binary could no longer read the file.
const SCHEMA_VERSION: u32 = 1;

const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('floor', 0);
    CREATE TABLE tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE objects (
        revision INTEGER PRIMARY KEY, tbl INTEGER NOT NULL, key TEXT NOT NULL, head BLOB NOT NULL, json BLOB NOT NULL
    );
    CREATE TABLE ended (revision INTEGER PRIMARY KEY, was INTEGER NOT NULL);
";

/// Opens the database, and makes it before when there is none. Closing it does not change it until
/// [`allow_changes`].
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Io { path: path.into(), source };
    match std::fs::metadata(path) {
        Ok(file) if file.len() == 0 => return Err(corrupt(path, "it is empty")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if beside(path, "-wal").exists() {
                return Err(corrupt(path, "it is missing, but its write-ahead log is there"));
            }
            make(path)?;
        }
        Err(error) => return Err(failed(error)),
    }
    connect(path).map_err(|error| refuse(path, &error)).and_then(|database| {
        check_identity(&database, path)?;
        configure(&database).map_err(|error| refuse(path, &error))?;
        Ok(database)
    })
}

/// Makes an empty database under another name and gives it its own when it is durable: a crash leaves all or none.
fn make(path: &Path) -> Result<(), OpenError> {
    let fresh = beside(path, ".new");
    let failed = |source| OpenError::Io { path: path.into(), source };
    for leftover in [fresh.clone(), beside(&fresh, "-journal")] {
        match std::fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    let fill = || {
        let database = connect(&fresh)?;
        database.pragma_update(None, "page_size", PAGE_BYTES)?;
        database.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        database.pragma_update(None, "synchronous", "OFF")?;
        database.pragma_update(None, "journal_mode", "MEMORY")?;
        database.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
        database.pragma_update(None, "application_id", APPLICATION_ID)?;
        database.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        // Written into the file's head now, not with the first transaction.
        database.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        database.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| refuse(path, &error))?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    directory::sync(path.parent().unwrap_or(Path::new("."))).map_err(failed)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn check_identity(database: &Connection, path: &Path) -> Result<(), OpenError> {
    // Before the first read: it opens the log, and closing must leave a broken file as it was found.
    let protect = || {
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        database.pragma_update(None, "locking_mode", "EXCLUSIVE")
    };
    protect().map_err(|error| refuse(path, &error))?;
    let number = |name: &str| {
        database
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(|error| refuse(path, &error))
    };
    if number("application_id")? != APPLICATION_ID {
        return Err(corrupt(path, "it is a database, but not one of alcove's"));
    }
    let found = u32::try_from(number("user_version")?).unwrap_or(0);
    match found {
        0 => Err(corrupt(path, "it has no schema version")),
        1..=SCHEMA_VERSION => Ok(()),
        _ => Err(OpenError::Newer { path: path.into(), found, known: SCHEMA_VERSION }),
    }
}

fn configure(database: &Connection) -> rusqlite::Result<()> {
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update(None, "cache_size", -((CACHE_BYTES / 1024) as i64))?;
    database.pragma_update(None, "mmap_size", 0)?;
    database.pragma_update(None, "temp_store", "MEMORY")?;
    // The writer runs checkpoints itself, when nobody waits; this is for the case that its estimate is wrong.
    database.pragma_update(None, "wal_autocheckpoint", 8 * WAL_BYTES_MAX / PAGE_BYTES)?;
    database.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)
}

/// From here on the file is known to be sound, and closing it copies the log back.
pub(super) fn allow_changes(database: &Connection) -> rusqlite::Result<()> {
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    database.release_memory()
}

/// What an error of SQLite means for opening.
pub(super) fn refuse(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => corrupt(path, &error.to_string()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            OpenError::InUse { path: path.parent().unwrap_or(path).into() }
        }
        Some(_) => OpenError::Medium { path: path.into(), detail: error.to_string() },
        // Not SQLite's but the reading's: a row that is not of the kind it has to be.
        None => corrupt(path, &error.to_string()),
    }
}

pub(super) fn corrupt(path: &Path, detail: &str) -> OpenError {
    OpenError::Corrupt { path: path.into(), detail: detail.into() }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(suffix);
    name.into()
}

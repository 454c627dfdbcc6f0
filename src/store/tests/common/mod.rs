//! What the store's tests share: beds to run in, short ways to write operations, and a seeded random source.

#![allow(dead_code)] // each test binary uses its own part

use alcove_store::{
    Body, Change, ChangeKind, CommitError, Config, Entry, Index, Medium, Op, Range, Store, Watch,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// History that no test outlives.
pub const LONG: Duration = Duration::from_secs(3600);

/// A store and what it lies in.
pub struct Bed {
    pub store: Store,
    dir: Option<tempfile::TempDir>,
    config: Config,
}

/// The media that the shared suite runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Sqlite,
}

impl Bed {
    pub fn new(kind: Kind) -> Bed {
        Bed::with(kind, |_| {})
    }

    pub fn with(kind: Kind, change: impl FnOnce(&mut Config)) -> Bed {
        let dir = (kind == Kind::Sqlite).then(|| tempfile::tempdir().unwrap());
        let medium = match &dir {
            Some(dir) => Medium::Sqlite { dir: dir.path().join("data") },
            None => Medium::Memory,
        };
        let mut config = Config { medium, history: LONG, history_bytes_max: 64 << 20 };
        change(&mut config);
        Bed { store: Store::open(config.clone()).unwrap(), dir, config }
    }

    /// Closes the store and opens it again. Memory forgets: only for media that keep.
    pub async fn reopen(self) -> Bed {
        let Bed { store, dir, config } = self;
        store.close().await;
        drop(store);
        Bed { store: Store::open(config.clone()).unwrap(), dir, config }
    }
}

pub fn sqlite(dir: &Path) -> Config {
    Config { medium: Medium::Sqlite { dir: dir.into() }, history: LONG, history_bytes_max: 64 << 20 }
}

/// A body whose text says what it is.
pub fn body(text: &str) -> Body {
    let json = format!(r#"{{"metadata":{{"name":"x","uid":"u"}},"text":"{text}"}}"#);
    let index = Index {
        labels: [("text".into(), text.into())].into(),
        fields: [("metadata.name", "x".into()), ("spec.text", text.into())].into(),
    };
    Body { revision_at: json.find(r#""uid""#).unwrap(), json: json.into(), index }
}

/// What [`body`] was made with.
pub fn text(entry: &Entry) -> String {
    let json = std::str::from_utf8(&entry.json).unwrap();
    let stamp = format!(r#""resourceVersion":"{}","#, entry.revision);
    assert!(json[entry.revision_at..].starts_with(&stamp), "{json} carries {stamp} at its place");
    let text = json.split(r#""text":""#).nth(1).unwrap().trim_end_matches("\"}").to_owned();
    assert_eq!(entry.index.label("text"), Some(&*text), "the index tells of the same state");
    assert_eq!(entry.index.field("spec.text"), text);
    text
}

pub fn create(table: &str, key: &str, text: &str) -> Op {
    Op { table: table.into(), key: key.into(), expect: None, put: Some(body(text)) }
}

pub fn update(table: &str, key: &str, expect: u64, text: &str) -> Op {
    Op { table: table.into(), key: key.into(), expect: Some(expect), put: Some(body(text)) }
}

pub fn delete(table: &str, key: &str, expect: u64) -> Op {
    Op { table: table.into(), key: key.into(), expect: Some(expect), put: None }
}

/// Commits one operation, and gives its revision.
pub async fn one(store: &Store, op: Op) -> u64 {
    store.commit(vec![op]).await.unwrap()[0].revision
}

pub fn conflict(key: &str, found: Option<u64>) -> CommitError {
    CommitError::Conflict { key: key.into(), found }
}

/// Keys and texts of a whole table, newest or as it was.
pub fn contents(store: &Store, table: &str, at: Option<u64>) -> Vec<(String, String)> {
    let listing = store.list(table, &Range { at, ..Range::default() }, &|_| true).unwrap();
    listing.entries.iter().map(|entry| (entry.key.to_string(), text(entry))).collect()
}

/// A change as a line: `5 PUT a: old -> new`.
pub fn line(change: &Change) -> String {
    assert_eq!(change.revision, change.entry().revision);
    let entry = change.entry();
    match &change.kind {
        ChangeKind::Put { old: Some(old), .. } => {
            assert!(old.revision < change.revision);
            format!("{} PUT {}: {} -> {}", change.revision, entry.key, text(old), text(entry))
        }
        ChangeKind::Put { old: None, .. } => {
            format!("{} PUT {}: {}", change.revision, entry.key, text(entry))
        }
        ChangeKind::Delete { old, .. } => {
            assert!(old.revision < change.revision);
            assert_eq!(text(old), text(entry));
            format!("{} DELETE {}: {}", change.revision, entry.key, text(old))
        }
    }
}

/// Reads a watch until its table's newest change, in small bites. Does not wait.
pub async fn told(watch: &mut Watch, upto: u64) -> Vec<String> {
    let mut lines = Vec::new();
    while watch.position() < upto {
        let changes = watch.next(3).await.unwrap().unwrap();
        assert!(!changes.is_empty() && changes.len() <= 3);
        lines.extend(changes.iter().map(|change: &Arc<Change>| line(change)));
    }
    lines
}

/// SplitMix64: enough for tests, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    /// A source seeded by `ALCOVE_SEED`, or by the clock. Prints the seed, which a failing test shows.
    pub fn seeded() -> Random {
        let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("ALCOVE_SEED").map_or_else(|_| now(), |text| text.parse().unwrap());
        println!("ALCOVE_SEED={seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

//! What SQLite keeps over restarts, what it takes on disk, and what it refuses to open.

#![allow(clippy::unwrap_used)]

mod common;

use alcove_store::{OpenError, Store};
use common::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const PODS: &str = "pods";

fn bytes_in(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// A directory with a closed store of a few hundred objects.
async fn closed_store() -> (tempfile::TempDir, std::path::PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("data");
    let store = Store::open(sqlite(&dir)).unwrap();
    for n in 0..300 {
        one(&store, create(PODS, &format!("default/{n}"), &"x".repeat(500))).await;
    }
    store.close().await;
    (temp, dir)
}

#[tokio::test]
async fn a_restart_keeps_state_and_history() {
    let mut bed = Bed::new(Kind::Sqlite);
    one(&bed.store, create(PODS, "a", "1")).await; // 2
    one(&bed.store, create("nodes", "n", "1")).await; // 3
    one(&bed.store, update(PODS, "a", 2, "2")).await; // 4
    one(&bed.store, create(PODS, "b", "1")).await; // 5
    one(&bed.store, delete(PODS, "a", 4)).await; // 6
    one(&bed.store, create(PODS, "a", "3")).await; // 7
    one(&bed.store, delete("nodes", "n", 3)).await; // 8
    for _ in 0..2 {
        bed = bed.reopen().await;
        let store = &bed.store;
        assert_eq!((store.revision(), store.oldest()), (8, 1));
        assert_eq!(contents(store, PODS, None), [("a".into(), "3".into()), ("b".into(), "1".into())]);
        assert_eq!(contents(store, PODS, Some(5)), [("a".into(), "2".into()), ("b".into(), "1".into())]);
        let pods = ["2 PUT a: 1", "4 PUT a: 1 -> 2", "5 PUT b: 1", "6 DELETE a: 2", "7 PUT a: 3"];
        assert_eq!(told(&mut store.watch(PODS, 1).unwrap(), 7).await, pods);
        assert_eq!(told(&mut store.watch("nodes", 1).unwrap(), 8).await, ["3 PUT n: 1", "8 DELETE n: 1"]);
    }
    bed.store.compact(5).await.unwrap();
    bed = bed.reopen().await;
    assert_eq!((bed.store.revision(), bed.store.oldest()), (8, 5));
    assert!(bed.store.watch(PODS, 4).is_err());
    assert_eq!(told(&mut bed.store.watch(PODS, 5).unwrap(), 7).await, ["6 DELETE a: 2", "7 PUT a: 3"]);
    assert_eq!(told(&mut bed.store.watch("nodes", 5).unwrap(), 8).await, ["8 DELETE n: 1"]);
}

#[tokio::test]
async fn dropping_the_last_clone_closes_the_store() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(sqlite(temp.path())).unwrap();
    let clone = store.clone();
    one(&store, create(PODS, "a", "1")).await;
    let mut watch = store.watch(PODS, 2).unwrap();
    drop(store);
    one(&clone, create(PODS, "b", "1")).await;
    drop(clone);
    assert_eq!(watch.next(5).await.unwrap().unwrap().len(), 1);
    assert!(watch.next(5).await.is_none());
    assert_eq!(Store::open(sqlite(temp.path())).unwrap().count(PODS), 2);
}

#[tokio::test]
async fn the_directory_and_its_files_are_private_and_small() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("a/b");
    let store = Store::open(sqlite(&dir)).unwrap();
    one(&store, create(PODS, "a", "1")).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert!(bytes_in(&dir) < 200_000, "{} bytes", bytes_in(&dir));
    store.close().await;
    assert!(bytes_in(&dir) < 100_000, "{} bytes", bytes_in(&dir));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_gives_disk_back() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(sqlite(temp.path())).unwrap();
    let text = "x".repeat(4_000);
    let mut revision = one(&store, create(PODS, "a", &text)).await;
    for _ in 0..20 {
        let ops = (0..200).map(|n| update(PODS, "a", revision + n, &text)).collect();
        revision = store.commit(ops).await.unwrap()[199].revision;
    }
    assert!(bytes_in(temp.path()) > 16_000_000);
    store.compact(revision).await.unwrap();
    while bytes_in(temp.path()) > 6_000_000 {
        tokio::task::yield_now().await;
    }
    store.close().await;
    assert!(bytes_in(temp.path()) < 2_000_000, "{} bytes", bytes_in(temp.path()));
    let store = Store::open(sqlite(temp.path())).unwrap();
    assert_eq!((store.count(PODS), store.revision()), (1, revision));
}

#[tokio::test]
async fn one_process_at_a_time() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(sqlite(temp.path())).unwrap();
    let error = Store::open(sqlite(temp.path())).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { path } if path == temp.path()), "{error}");
    store.close().await;
    Store::open(sqlite(temp.path())).unwrap();
}

/// What is in the file alone after a pause is all there is.
#[tokio::test]
async fn a_quiet_store_has_no_log() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, copy) = (temp.path().join("data"), temp.path().join("copy"));
    let store = Store::open(sqlite(&dir)).unwrap();
    for key in ["a", "b"] {
        one(&store, create(PODS, key, &"x".repeat(400_000))).await;
        while fs::metadata(dir.join("state.db-wal")).unwrap().len() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    fs::create_dir(&copy).unwrap();
    fs::copy(dir.join("state.db"), copy.join("state.db")).unwrap();
    let copied = Store::open(sqlite(&copy)).unwrap();
    assert_eq!(contents(&copied, PODS, None), contents(&store, PODS, None));
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_name() {
    let (_temp, dir) = closed_store().await;
    let database = rusqlite::Connection::open(dir.join("state.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let error = Store::open(sqlite(&dir)).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("99") && error.to_string().contains("up to 1"), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("file"), "").unwrap();
    let error = Store::open(sqlite(&temp.path().join("file/data"))).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

/// Where objects lie in a file. Not the first ones: pages that were split carry dead copies.
fn texts_in(file: &[u8]) -> Vec<usize> {
    file.windows(100).enumerate().filter(|(_, window)| *window == [b'x'; 100]).map(|(at, _)| at).collect()
}

/// A damaged file keeps its log: whoever repairs it needs both as they were.
#[tokio::test]
async fn damage_leaves_the_log_alone() {
    let (temp, dir) = closed_store().await;
    let store = Store::open(sqlite(&dir)).unwrap();
    one(&store, create(PODS, "late", "1")).await;
    let broken = temp.path().join("broken");
    fs::create_dir(&broken).unwrap();
    let log = fs::read(dir.join("state.db-wal")).unwrap();
    let mut file = fs::read(dir.join("state.db")).unwrap();
    let texts = texts_in(&file);
    file[texts[texts.len() / 3]] ^= 0x40;
    fs::write(broken.join("state.db"), &file).unwrap();
    fs::write(broken.join("state.db-wal"), &log).unwrap();
    let error = Store::open(sqlite(&broken)).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(fs::read(broken.join("state.db")).unwrap() == file);
    assert!(fs::read(broken.join("state.db-wal")).unwrap() == log);
}

/// Damage of every kind is named, and the damaged file is left as it was found.
#[tokio::test]
async fn damage_is_refused_and_left_alone() {
    let (_temp, dir) = closed_store().await;
    let path = dir.join("state.db");
    let sound = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let texts = texts_in(&sound);
    let cases = [
        ("empty", Vec::new()),
        ("garbage", b"garbage".repeat(3_000)),
        ("zeroes", vec![0; sound.len()]),
        ("cut in the middle", sound[..sound.len() / 2].to_vec()),
        ("cut by a page", sound[..sound.len() - 8192].to_vec()),
        ("cut to its head", sound[..100].to_vec()),
        ("its first byte", flipped(0)),
        ("an object", flipped(texts[texts.len() / 2])),
        ("another object", flipped(texts[texts.len() / 3])),
    ];
    for (what, bytes) in cases {
        fs::write(&path, &bytes).unwrap();
        let error = Store::open(sqlite(&dir)).expect_err(what);
        assert!(matches!(error, OpenError::Corrupt { .. }), "{what}: {error}");
        assert!(error.to_string().contains("alcove restore"), "{what}: {error}");
        assert!(fs::read(&path).unwrap() == bytes, "{what}: the file was changed");
    }
    fs::write(&path, &sound).unwrap();
    assert_eq!(Store::open(sqlite(&dir)).unwrap().count(PODS), 300);
}

/// Flips of random bits either do not matter or are named; none panics, none shows another object than was stored.
#[tokio::test]
async fn random_damage_never_shows_wrong_objects() {
    let (_temp, dir) = closed_store().await;
    let path = dir.join("state.db");
    let sound = fs::read(&path).unwrap();
    let mut random = Random::seeded();
    for round in 0..100 {
        let mut bytes = sound.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        let _ = fs::remove_file(dir.join("state.db-wal"));
        fs::write(&path, &bytes).unwrap();
        match Store::open(sqlite(&dir)) {
            Ok(store) => {
                assert_eq!((store.count(PODS), store.revision()), (300, 301), "round {round}");
                for (_, text) in contents(&store, PODS, None) {
                    assert_eq!(text, "x".repeat(500), "round {round}");
                }
            }
            Err(OpenError::Corrupt { .. } | OpenError::Newer { .. }) => {}
            Err(error) => panic!("round {round}: {error}"),
        }
    }
}

#[tokio::test]
async fn missing_pieces_are_named() {
    let (_temp, dir) = closed_store().await;
    let path = dir.join("state.db");
    let sound = fs::read(&path).unwrap();
    let damage = [
        ("DELETE FROM objects WHERE revision = 100", "revision 100 is missing"),
        (
            "DELETE FROM objects WHERE revision = 301; INSERT INTO ended VALUES (302, 301)",
            "revision 302 ends 301",
        ),
        ("INSERT INTO ended VALUES (400, 2)", "revision 302 is missing"),
        ("UPDATE objects SET key = 'default/1' WHERE revision = 200", "checksum"),
        ("UPDATE objects SET tbl = 7 WHERE revision = 200", "table is unknown"),
        ("DROP TABLE ended", "no such table"),
        ("DELETE FROM meta", "no rows"),
        ("PRAGMA application_id = 1", "not one of alcove's"),
    ];
    for (sql, expected) in damage {
        fs::write(&path, &sound).unwrap();
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch(sql).unwrap();
        drop(database);
        let error = Store::open(sqlite(&dir)).unwrap_err();
        assert!(error.to_string().contains(expected), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_log_without_its_file_is_refused() {
    let (_temp, dir) = closed_store().await;
    fs::remove_file(dir.join("state.db")).unwrap();
    fs::write(dir.join("state.db-wal"), "left over").unwrap();
    let error = Store::open(sqlite(&dir)).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

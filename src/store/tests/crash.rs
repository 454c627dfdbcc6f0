//! Processes that die while they write. A child of this very binary writes and says what was acknowledged; the
//! parent kills it at a random moment and compares.

#![allow(clippy::unwrap_used)]

mod common;

use alcove_store::{CommitError, Config, Range, Store};
use common::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

const DIR: &str = "ALCOVE_STORE_TEST_DIR";
const PODS: &str = "pods";
const WRITERS: u64 = 8;
const ROUNDS: u64 = 6;

/// Runs one test of this binary, which only does something when the directory is named, in a process of its own.
fn child(test: &str, dir: &Path, seed: u64) -> tokio::process::Command {
    // A write beyond the file size limit must be an error, not a signal; that is inherited.
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    command.env(DIR, dir).env("ALCOVE_SEED", seed.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

fn directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIR).map(Into::into)
}

/// History short enough that compaction and pruning go on all the time.
fn busy(dir: &Path) -> Config {
    Config { history: Duration::from_millis(50), ..sqlite(dir) }
}

/// What a key may be found as: its revision and text, or nothing.
type Found = Option<(u64, String)>;

/// One key, as far as the parent was told.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The last acknowledged state.
    acknowledged: Found,
    /// What was tried after that: a text, or a deletion.
    tried: Option<Option<String>>,
}

/// The child: each writer has keys of its own, and says `@try KEY TEXT` before and `@ack KEY REVISION` after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_killed() {
    let Some(dir) = directory() else { return };
    let store = Store::open(busy(&dir)).unwrap();
    println!("\n@open {} {}", store.revision(), store.count(PODS));
    let seed = Random::seeded().0;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_forever(store.clone(), writer, Random(seed ^ (writer << 32))));
    }
    // They end only by failing.
    writers.join_next().await.unwrap().unwrap();
}

async fn write_forever(store: Store, writer: u64, mut random: Random) {
    loop {
        let key = format!("{writer}/{}", random.below(10));
        let found = store.get(PODS, &key).map(|entry| entry.revision);
        let text = format!("{}-{}", random.below(1 << 40), "x".repeat(random.below(3_000) as usize));
        let op = match found {
            Some(revision) if random.below(4) == 0 => delete(PODS, &key, revision),
            Some(revision) => update(PODS, &key, revision, &text),
            None => create(PODS, &key, &text),
        };
        println!("@try {key} {}", if op.put.is_some() { &text } else { "" });
        println!("@ack {key} {}", one(&store, op).await);
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let temp = tempfile::tempdir().unwrap();
    let mut random = Random::seeded();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut newest = 1;
    for round in 0..ROUNDS {
        let mut child = child("writes_until_killed", temp.path(), random.next()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acks = 100 + random.below(1_500);
        let mut seen = 0;
        // To the very end: what the child said before it died counts.
        while let Some(line) = lines.next_line().await.unwrap() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["@try", key, text] => {
                    let text = (!text.is_empty()).then(|| text.to_owned());
                    known.entry(key.into()).or_default().tried = Some(text);
                }
                ["@ack", key, revision] => {
                    let revision = revision.parse().unwrap();
                    let known = known.get_mut(key).unwrap();
                    known.acknowledged = known.tried.take().unwrap().map(|text| (revision, text));
                    newest = newest.max(revision);
                    seen += 1;
                    if seen == acks {
                        child.start_kill().unwrap();
                    }
                }
                _ => {}
            }
        }
        assert!(seen >= acks, "round {round}: the child ended by itself after {seen} writes");
        assert!(!child.wait().await.unwrap().success());

        let store = Store::open(sqlite(temp.path())).unwrap();
        assert!(store.revision() >= newest, "round {round}: the revision fell");
        for (key, known) in &mut known {
            let found = store.get(PODS, key).map(|entry| (entry.revision, text(&entry)));
            // Killed between the write and its acknowledgement, an attempt may have happened or not.
            let happened = known.tried.take().is_some_and(|tried| match (&found, tried) {
                (Some((_, found)), Some(tried)) => *found == tried,
                (None, None) => true,
                _ => false,
            });
            assert!(
                happened || found == known.acknowledged,
                "round {round}: {key}: {known:?}, found {found:?}"
            );
            known.acknowledged = found;
        }
        let count = known.values().filter(|known| known.acknowledged.is_some()).count();
        assert_eq!(store.count(PODS), count, "round {round}");
        // History is whole from the floor on, and starts from what an exact list there shows.
        let (oldest, revision) = (store.oldest(), store.revision());
        let base = store.list(PODS, &Range { at: Some(oldest), ..Range::default() }, &|_| true).unwrap();
        let mut replayed: BTreeMap<String, u64> =
            base.entries.iter().map(|entry| (entry.key.to_string(), entry.revision)).collect();
        let mut watch = store.watch(PODS, oldest).unwrap();
        let mut last = oldest;
        while last < revision {
            for change in watch.next(100).await.unwrap().unwrap() {
                assert_eq!(change.revision, last + 1);
                last = change.revision;
                let key = change.entry().key.to_string();
                let before = match change.is_delete() {
                    true => replayed.remove(&key),
                    false => replayed.insert(key, change.revision),
                };
                assert_eq!(before, change.old().map(|old| old.revision));
            }
        }
        let listing = store.list(PODS, &Range::default(), &|_| true).unwrap();
        let now: BTreeMap<String, u64> =
            listing.entries.iter().map(|entry| (entry.key.to_string(), entry.revision)).collect();
        assert_eq!(replayed, now, "round {round}");
        newest = revision;
        store.close().await;
    }
}

/// The child: fills a disk that ends at 1 MB, frees it again.
#[tokio::test]
async fn fills_a_disk() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(dir) = directory() else { return };
    let store = Store::open(sqlite(&dir)).unwrap();
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 20), maximum: before.maximum }).unwrap();
    let text = "x".repeat(10_000);
    let mut written = 0;
    let error = loop {
        match store.commit(vec![create(PODS, &format!("{written}"), &text)]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Medium(_)), "{error}");
    assert!(written > 10, "{written}");
    let mut watch = store.watch(PODS, store.revision()).unwrap();
    for _ in 0..3 {
        // Nothing of it is visible, reads go on, and the next try is a try.
        assert_eq!((store.count(PODS), store.revision()), (written, 1 + written as u64));
        assert_eq!(text, common::text(&store.get(PODS, "0").unwrap()));
        let again = store.commit(vec![create(PODS, "again", &text)]).await;
        assert!(matches!(again, Err(CommitError::Medium(_))), "{again:?}");
    }
    setrlimit(Resource::Fsize, before).unwrap();
    let revision = one(&store, create(PODS, "again", &text)).await;
    assert_eq!(revision, 2 + written as u64, "no revision was lost to what failed");
    assert_eq!(watch.next(9).await.unwrap().unwrap()[0].revision, revision);
    store.close().await;
    drop(store);
    let store = Store::open(sqlite(&dir)).unwrap();
    assert_eq!((store.count(PODS), store.revision()), (written + 1, revision));
    println!("\n@done");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let temp = tempfile::tempdir().unwrap();
    let output = child("fills_a_disk", temp.path(), 1).stderr(Stdio::piped()).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("@done"), "{out}\n{err}");
}

/// Power that fails while the log is written leaves a part of it. Whatever part: a prefix of the transactions opens.
#[tokio::test]
async fn a_torn_log_opens_as_a_prefix() {
    // So few that the log is left alone meanwhile.
    const WRITES: u64 = 12;
    let temp = tempfile::tempdir().unwrap();
    let live = temp.path().join("live");
    let store = Store::open(sqlite(&live)).unwrap();
    for n in 0..WRITES {
        let ops = vec![create(PODS, &format!("{n:02}a"), "x"), create(PODS, &format!("{n:02}b"), "x")];
        store.commit(ops).await.unwrap();
    }
    let log = std::fs::read(live.join("state.db-wal")).unwrap();
    let mut random = Random::seeded();
    let mut cuts: Vec<usize> = (0..40).map(|_| random.below(log.len() as u64) as usize).collect();
    cuts.extend([0, log.len()]);
    for cut in cuts {
        let torn = temp.path().join(format!("torn-{cut}"));
        std::fs::create_dir(&torn).unwrap();
        std::fs::copy(live.join("state.db"), torn.join("state.db")).unwrap();
        std::fs::write(torn.join("state.db-wal"), &log[..cut]).unwrap();
        let store = Store::open(sqlite(&torn)).unwrap();
        let count = store.count(PODS) as u64;
        assert_eq!(count % 2, 0, "cut at {cut}: half a transaction");
        assert_eq!(store.revision(), 1 + count, "cut at {cut}");
        let keys: Vec<_> = contents(&store, PODS, None).into_iter().map(|(key, _)| key).collect();
        let expected: Vec<_> =
            (0..count / 2).flat_map(|n| [format!("{n:02}a"), format!("{n:02}b")]).collect();
        assert_eq!(keys, expected, "cut at {cut}");
        assert!(cut < log.len() || count == 2 * WRITES);
    }
}

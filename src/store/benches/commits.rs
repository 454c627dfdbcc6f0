//! How many commits a second the store makes, and what watchers and memory cost. Prints; judges nothing.
//! Run: `cargo bench -p alcove-store --profile quick`.

#![allow(clippy::unwrap_used)]

use alcove_store::{Body, Config, Index, Medium, Op, Range, Store};
use std::time::{Duration, Instant};

const WRITERS: usize = 32;
const COMMITS: usize = 1_000;
const OBJECT_BYTES: usize = 2_100;

fn body() -> Body {
    let json = format!(r#"{{"metadata":{{"uid":"u"}},"pad":"{}"}}"#, "x".repeat(OBJECT_BYTES));
    let index = Index {
        labels: [("app".into(), "web".into()), ("pod-template-hash".into(), "5d4f".into())].into(),
        fields: [("spec.nodeName", "node-1".into()), ("status.phase", "Running".into())].into(),
    };
    Body { revision_at: 13, json: json.into(), index }
}

fn config(medium: Medium) -> Config {
    Config { medium, history: Duration::from_secs(300), history_bytes_max: 16 << 20 }
}

/// Creates, then updates, by many writers at once; gives seconds for each.
async fn write(store: &Store) -> [f64; 2] {
    let mut seconds = [0.0; 2];
    for (round, seconds) in seconds.iter_mut().enumerate() {
        let start = Instant::now();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 0..COMMITS {
                        let key: std::sync::Arc<str> = format!("default/{writer}-{n}").into();
                        let expect = (round > 0).then(|| store.get("pods", &key).unwrap().revision);
                        let op = Op { table: "pods".into(), key, expect, put: Some(body()) };
                        store.commit(vec![op]).await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        *seconds = start.elapsed().as_secs_f64();
    }
    seconds
}

async fn watch(watchers: usize, events: usize) -> f64 {
    let store = Store::open(config(Medium::Memory)).unwrap();
    let start = Instant::now();
    let readers: Vec<_> = (0..watchers)
        .map(|_| {
            let mut watch = store.watch("pods", 1).unwrap();
            tokio::spawn(async move {
                let mut seen = 0;
                while seen < events {
                    seen += watch.next(256).await.unwrap().unwrap().len();
                }
            })
        })
        .collect();
    for n in 0..events {
        let op = Op { table: "pods".into(), key: n.to_string().into(), expect: None, put: Some(body()) };
        store.commit(vec![op]).await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
    start.elapsed().as_secs_f64()
}

/// Resident bytes of this process: /proc/self/statm counts pages.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::main]
async fn main() {
    let total = (WRITERS * COMMITS) as f64;
    let temp = tempfile::tempdir_in(std::env::var_os("ALCOVE_BENCH_DIR").unwrap_or("/tmp".into())).unwrap();
    let sqlite = config(Medium::Sqlite { dir: temp.path().join("data") });
    for (name, config) in [("memory", config(Medium::Memory)), ("sqlite", sqlite.clone())] {
        let store = Store::open(config).unwrap();
        let [create, update] = write(&store).await;
        println!(
            "{name}: {WRITERS} writers: {:.0} creates/s, {:.0} updates/s",
            total / create,
            total / update
        );
        let start = Instant::now();
        let listing =
            store.list("pods", &Range::default(), &|e| e.index.label("app") == Some("web")).unwrap();
        println!("{name}: list of {} by a label: {:?}", listing.entries.len(), start.elapsed());
        store.close().await;
    }
    let before = resident();
    let start = Instant::now();
    let store = Store::open(config(sqlite.medium)).unwrap();
    let opened = start.elapsed();
    let count = store.count("pods");
    store.compact(store.revision()).await.unwrap();
    let each = (resident() - before) / count;
    println!("sqlite: open with {count} objects and their history: {opened:?}, {each} resident bytes each");
    store.close().await;
    let file = std::fs::metadata(temp.path().join("data/state.db")).unwrap().len();
    // Each was written and updated once, and what was updated may not be pruned yet.
    println!("sqlite: {} bytes on disk per state", file / (2 * count) as u64);
    let (watchers, events) = (100, 1_000);
    let seconds = watch(watchers, events).await;
    println!(
        "memory: {watchers} watchers, {events} events: {:.0} events/s",
        (watchers * events) as f64 / seconds
    );
}

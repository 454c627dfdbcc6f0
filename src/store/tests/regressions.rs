//! What went wrong in etcd, each once, by its issue number: none of it may happen here.

#![allow(clippy::unwrap_used)]

mod common;

use alcove_store::{Error, Store};
use common::*;
use std::time::Duration;

const PODS: &str = "pods";

/// Writes until the revision.
async fn fill(store: &Store, upto: u64) {
    while store.revision() < upto {
        one(store, create("filler", &(store.revision() + 1).to_string(), "x")).await;
    }
}

/// <https://github.com/etcd-io/etcd/issues/17780>: the revision fell when a crash followed the compaction of
/// everything that carried it.
#[tokio::test]
async fn etcd_17780_the_revision_never_falls() {
    let bed = Bed::new(Kind::Sqlite);
    for n in 0..50 {
        let revision = one(&bed.store, create(PODS, &n.to_string(), "x")).await;
        one(&bed.store, delete(PODS, &n.to_string(), revision)).await;
    }
    let revision = bed.store.revision();
    bed.store.compact(revision).await.unwrap();
    let mut bed = bed;
    for _ in 0..3 {
        bed = bed.reopen().await;
        assert_eq!(
            (bed.store.revision(), bed.store.oldest(), bed.store.count(PODS)),
            (revision, revision, 0)
        );
    }
    assert_eq!(one(&bed.store, create(PODS, "a", "x")).await, revision + 1);
}

/// <https://github.com/etcd-io/etcd/issues/18089>: a watch skipped an event when its revision was compacted and was
/// a deletion's.
#[tokio::test]
async fn etcd_18089_compacting_on_a_delete_drops_no_event() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let store = Bed::new(kind).store;
        one(&store, create(PODS, "a", "1")).await; // 2
        one(&store, delete(PODS, "a", 2)).await; // 3
        one(&store, create(PODS, "a", "2")).await; // 4
        let mut behind = store.watch(PODS, 2).unwrap();
        let mut level = store.watch(PODS, 3).unwrap();
        store.compact(3).await.unwrap();
        let gone = Error::Compacted { asked: 2, oldest: 3 };
        assert_eq!(
            behind.next(10).await.unwrap().unwrap_err(),
            gone,
            "it lost the deletion, so it must hear so"
        );
        assert_eq!(store.watch(PODS, 2).unwrap_err(), gone);
        assert_eq!(told(&mut level, 4).await, ["4 PUT a: 2"]);
    }
}

/// <https://github.com/etcd-io/etcd/issues/19179>: a watch opened right at the compaction revision missed the
/// deletion that followed.
#[tokio::test]
async fn etcd_19179_a_watch_at_the_compaction_revision_sees_the_delete() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let bed = Bed::new(kind);
        one(&bed.store, create(PODS, "a", "1")).await; // 2
        one(&bed.store, delete(PODS, "a", 2)).await; // 3
        bed.store.compact(2).await.unwrap();
        assert_eq!(told(&mut bed.store.watch(PODS, 2).unwrap(), 3).await, ["3 DELETE a: 1"]);
        if kind == Kind::Sqlite {
            let bed = bed.reopen().await;
            assert_eq!(told(&mut bed.store.watch(PODS, 2).unwrap(), 3).await, ["3 DELETE a: 1"]);
            assert_eq!(bed.store.watch(PODS, 1).unwrap_err(), Error::Compacted { asked: 1, oldest: 2 });
        }
    }
}

/// <https://github.com/etcd-io/etcd/issues/17529>: streams that starved each other lost events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_17529_starved_watches_lose_nothing() {
    let store = Bed::new(Kind::Memory).store;
    let readers: Vec<_> = (0..200)
        .map(|_| {
            let mut watch = store.watch(PODS, 1).unwrap();
            // One change per turn, and a turn for everybody else in between.
            tokio::spawn(async move {
                let mut last = 1;
                while last < 501 {
                    let changes = watch.next(1).await.unwrap().unwrap();
                    assert_eq!(changes[0].revision, last + 1);
                    last = changes[0].revision;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 0..500 {
        one(&store, create(PODS, &n.to_string(), "x")).await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

/// <https://github.com/etcd-io/etcd/issues/15220>: progress was told ahead of events that had yet to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_15220_progress_is_never_ahead_of_events() {
    let store = Bed::new(Kind::Memory).store;
    let mut watch = store.watch(PODS, 1).unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..500 {
                let table = if n % 3 == 0 { PODS } else { "nodes" };
                one(&store, create(table, &n.to_string(), "x")).await;
            }
        }
    });
    let mut seen = 0;
    let mut progress = 1;
    while seen < 167 {
        let changes = watch.next(2).await.unwrap().unwrap();
        seen += changes.len();
        assert!(changes[0].revision > progress, "{} came after progress {progress}", changes[0].revision);
        let newest = store.revision();
        progress = watch.position();
        assert!(progress >= changes.last().unwrap().revision);
        assert!(progress <= newest.max(store.revision()));
    }
    writer.await.unwrap();
}

/// <https://github.com/etcd-io/etcd/issues/20221>: a watch on a revision in the future was told older events.
#[tokio::test]
async fn etcd_20221_a_future_watch_sees_nothing_older() {
    let store = Bed::new(Kind::Memory).store;
    let mut watch = store.watch(PODS, 6).unwrap();
    let early = tokio::time::timeout(Duration::ZERO, watch.next(10)).await;
    assert!(early.is_err(), "{early:?}");
    one(&store, create(PODS, "a", "2")).await;
    one(&store, create(PODS, "b", "3")).await;
    fill(&store, 5).await;
    one(&store, create(PODS, "c", "6")).await;
    let early = tokio::time::timeout(Duration::ZERO, watch.next(10)).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(watch.position(), 6);
    one(&store, create(PODS, "d", "7")).await;
    assert_eq!(told(&mut watch, 7).await, ["7 PUT d: 7"]);
}

/// <https://github.com/etcd-io/etcd/issues/20418>: reads were stale after a pause. A read that starts after an
/// acknowledgement shows what was acknowledged, on every way of reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_20418_reads_are_never_stale() {
    let store = Bed::new(Kind::Memory).store;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let table = format!("table-{}", writer % 2);
                let key = writer.to_string();
                let mut revision = one(&store, create(&table, &key, "0")).await;
                for n in 1..300 {
                    revision = one(&store, update(&table, &key, revision, &n.to_string())).await;
                    assert!(store.revision() >= revision);
                    assert_eq!(store.get(&table, &key).unwrap().revision, revision);
                    let listing = store.list(&table, &Default::default(), &|e| *e.key == *key).unwrap();
                    assert_eq!((listing.entries[0].revision, listing.revision >= revision), (revision, true));
                    let told = store.watch(&table, revision - 1).unwrap().next(1).await.unwrap().unwrap();
                    assert_eq!(told[0].revision, revision);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

//! The store's contract: one suite, run against every medium.

#![allow(clippy::unwrap_used)]

mod common;

use alcove_store::{ChangeKind, CommitError, Error, Range, Store, Usage};
use common::*;
use std::time::Duration;

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Kind::Memory).await })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Kind::Sqlite).await })*
        }
    };
}

suite!(
    an_empty_store_is_at_revision_one,
    a_transaction_is_all_or_nothing,
    expectations_are_checked,
    one_transaction_may_touch_a_key_twice,
    concurrent_writers_never_share_a_revision,
    lists_page_in_key_order,
    usage_is_what_the_newest_states_are,
    lists_filter_and_count_what_follows,
    exact_lists_show_the_past,
    a_watch_tells_everything_in_order,
    a_watch_starts_where_it_is_told,
    a_watch_tells_old_and_new,
    bookmarks_follow_other_tables,
    compaction_forgets,
    history_is_bounded_in_bytes,
    history_is_bounded_in_time,
    waiting_for_a_revision,
    close_ends_watches_and_refuses_writes,
    a_dropped_caller_does_not_tear_a_transaction,
    big_transactions_and_big_objects_fit,
);

const PODS: &str = "pods";

async fn an_empty_store_is_at_revision_one(kind: Kind) {
    let store = Bed::new(kind).store;
    assert_eq!((store.revision(), store.oldest(), store.count(PODS)), (1, 1, 0));
    assert!(store.get(PODS, "a").is_none());
    let listing = store.list(PODS, &Range::default(), &|_| true).unwrap();
    assert_eq!((listing.revision, listing.entries.len(), listing.remaining), (1, 0, 0));
    let ahead = store.list(PODS, &Range { at: Some(2), ..Range::default() }, &|_| true).unwrap_err();
    assert_eq!(ahead, Error::Future { asked: 2, newest: 1 });
    assert!(store.commit(vec![]).await.unwrap().is_empty());
    assert_eq!(one(&store, create(PODS, "a", "1")).await, 2);
}

async fn a_transaction_is_all_or_nothing(kind: Kind) {
    let store = Bed::new(kind).store;
    let entries = store.commit(vec![create(PODS, "a", "1"), create("nodes", "n", "1")]).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.revision).collect::<Vec<_>>(), [2, 3]);
    let refused = store
        .commit(vec![update(PODS, "a", 2, "2"), update("nodes", "n", 2, "2"), create(PODS, "b", "1")])
        .await
        .unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { key, found: Some(3) } if key == "n"));
    assert_eq!(store.revision(), 3);
    assert_eq!(contents(&store, PODS, None), [("a".into(), "1".into())]);
    assert_eq!(one(&store, update(PODS, "a", 2, "3")).await, 4);
}

async fn expectations_are_checked(kind: Kind) {
    let store = Bed::new(kind).store;
    let created = one(&store, create(PODS, "a", "1")).await;
    let refusals = [
        (create(PODS, "a", "2"), Some(created)),
        (update(PODS, "a", created + 1, "2"), Some(created)),
        (delete(PODS, "a", created - 1), Some(created)),
        (update(PODS, "b", created, "2"), None),
        (delete(PODS, "b", created), None),
        (alcove_store::Op { expect: None, ..delete(PODS, "b", 0) }, None),
    ];
    for (op, found) in refusals {
        let said = format!("{op:?}");
        let error = store.commit(vec![op.clone()]).await.unwrap_err();
        assert_eq!(error.to_string(), conflict(&op.key, found).to_string(), "{said}");
    }
    let deleted = store.commit(vec![delete(PODS, "a", created)]).await.unwrap();
    assert_eq!((deleted[0].revision, text(&deleted[0]).as_str()), (created + 1, "1"));
    assert!(store.get(PODS, "a").is_none());
    assert_eq!(one(&store, create(PODS, "a", "3")).await, created + 2);
}

async fn one_transaction_may_touch_a_key_twice(kind: Kind) {
    let store = Bed::new(kind).store;
    let mut watch = store.watch(PODS, 1).unwrap();
    let ops =
        vec![create(PODS, "a", "1"), update(PODS, "a", 2, "2"), delete(PODS, "a", 3), create(PODS, "a", "4")];
    store.commit(ops).await.unwrap();
    assert_eq!(told(&mut watch, 5).await, ["2 PUT a: 1", "3 PUT a: 1 -> 2", "4 DELETE a: 2", "5 PUT a: 4"]);
    assert_eq!(contents(&store, PODS, Some(4)), []);
    assert_eq!(contents(&store, PODS, Some(3)), [("a".into(), "2".into())]);
}

async fn concurrent_writers_never_share_a_revision(kind: Kind) {
    const WRITERS: u64 = 16;
    const WRITES: u64 = 50;
    let store = Bed::new(kind).store;
    one(&store, create(PODS, "shared", "0")).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for n in 0..WRITES {
                    revisions.push(one(&store, create(PODS, &format!("{writer}/{n}"), "own")).await);
                    // Read-modify-write of one counter, until it succeeds.
                    loop {
                        let seen = store.get(PODS, "shared").unwrap();
                        let count: u64 = text(&seen).parse().unwrap();
                        let op = update(PODS, "shared", seen.revision, &(count + 1).to_string());
                        match store.commit(vec![op]).await {
                            Ok(entries) => break revisions.push(entries[0].revision),
                            Err(CommitError::Conflict { found: Some(found), .. }) => {
                                assert_ne!(found, seen.revision)
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                assert!(revisions.is_sorted());
                revisions
            })
        })
        .collect();
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (3..3 + 2 * WRITERS * WRITES).collect::<Vec<_>>(), "consecutive, each given once");
    assert_eq!(text(&store.get(PODS, "shared").unwrap()), (WRITERS * WRITES).to_string());
}

async fn lists_page_in_key_order(kind: Kind) {
    let store = Bed::new(kind).store;
    for key in ["b/x", "a/z", "a-b/x", "a/b", "a/a", "ab/c"] {
        one(&store, create(PODS, key, "1")).await;
    }
    let pages = [
        ("", None, 0, vec!["a-b/x", "a/a", "a/b", "a/z", "ab/c", "b/x"], 0),
        ("", None, 2, vec!["a-b/x", "a/a"], 4),
        ("", Some("a/a"), 2, vec!["a/b", "a/z"], 2),
        ("", Some("a/z"), 2, vec!["ab/c", "b/x"], 0),
        ("", Some("b/x"), 2, vec![], 0),
        ("a/", None, 0, vec!["a/a", "a/b", "a/z"], 0),
        ("a/", Some("a/a"), 1, vec!["a/b"], 1),
        ("a/", Some("a-"), 1, vec!["a/a"], 2),
        ("a/", Some("a/aa"), 1, vec!["a/b"], 1),
        ("a/", Some("b"), 1, vec![], 0),
        ("c/", None, 1, vec![], 0),
    ];
    let at = store.revision();
    let check = |at| {
        for (prefix, after, limit, keys, remaining) in &pages {
            let range = Range { prefix, after: *after, limit: *limit, at };
            let listing = store.list(PODS, &range, &|_| true).unwrap();
            let found: Vec<&str> = listing.entries.iter().map(|e| &*e.key).collect();
            assert_eq!((&found, listing.remaining), (keys, *remaining), "{range:?}");
        }
    };
    check(None);
    check(Some(at));
    // The same pages again, of a past that has been written over.
    one(&store, create(PODS, "a/c", "1")).await;
    one(&store, delete(PODS, "a/a", store.get(PODS, "a/a").unwrap().revision)).await;
    one(&store, update(PODS, "b/x", store.get(PODS, "b/x").unwrap().revision, "2")).await;
    check(Some(at));
}

async fn usage_is_what_the_newest_states_are(kind: Kind) {
    let bed = Bed::new(kind);
    let sum = |store: &Store, tables: &[&str]| {
        let lists = tables.iter().map(|table| store.list(table, &Range::default(), &|_| true).unwrap());
        let entries: Vec<_> = lists.flat_map(|listing| listing.entries).collect();
        let bytes = entries.iter().map(|entry| entry.json.len() as u64).sum();
        Usage { objects: entries.len() as u64, bytes }
    };
    let ops = vec![create(PODS, "a", "1"), create(PODS, "b", "long"), create("events", "e", "1")];
    bed.store.commit(ops).await.unwrap();
    assert_eq!(bed.store.usage(&["events"]), sum(&bed.store, &[PODS]));
    bed.store.commit(vec![update(PODS, "a", 2, "longer"), delete(PODS, "b", 3)]).await.unwrap();
    let all = sum(&bed.store, &[PODS, "events"]);
    assert_eq!((bed.store.usage(&[]), all.objects), (all, 2));
    if kind == Kind::Sqlite {
        assert_eq!(bed.reopen().await.store.usage(&[]), all);
    }
}

async fn lists_filter_and_count_what_follows(kind: Kind) {
    let store = Bed::new(kind).store;
    for n in 0..10 {
        one(&store, create(PODS, &format!("p{n}"), if n % 3 == 0 { "yes" } else { "no" })).await;
    }
    let range = Range { limit: 2, ..Range::default() };
    let listing = store.list(PODS, &range, &|e| e.index.label("text") == Some("yes")).unwrap();
    let keys: Vec<&str> = listing.entries.iter().map(|e| &*e.key).collect();
    assert_eq!((keys, listing.remaining, listing.revision), (vec!["p0", "p3"], 6, 11));
}

async fn exact_lists_show_the_past(kind: Kind) {
    let store = Bed::new(kind).store;
    one(&store, create(PODS, "a", "1")).await; // 2
    one(&store, create("nodes", "n", "1")).await; // 3
    one(&store, update(PODS, "a", 2, "2")).await; // 4
    one(&store, create(PODS, "b", "1")).await; // 5
    one(&store, delete(PODS, "a", 4)).await; // 6
    one(&store, create(PODS, "a", "3")).await; // 7
    let expected: [(u64, &[(&str, &str)]); 7] = [
        (1, &[]),
        (2, &[("a", "1")]),
        (3, &[("a", "1")]),
        (4, &[("a", "2")]),
        (5, &[("a", "2"), ("b", "1")]),
        (6, &[("b", "1")]),
        (7, &[("a", "3"), ("b", "1")]),
    ];
    for (at, expected) in expected {
        let found = contents(&store, PODS, Some(at));
        let found: Vec<_> = found.iter().map(|(key, text)| (&**key, &**text)).collect();
        assert_eq!(found, expected, "at {at}");
    }
    let listing = store.list(PODS, &Range { at: Some(3), ..Range::default() }, &|_| true).unwrap();
    assert_eq!(listing.revision, 3);
}

async fn a_watch_tells_everything_in_order(kind: Kind) {
    const WRITES: u64 = 300;
    let store = Bed::new(kind).store;
    let watchers: Vec<_> = (0..20)
        .map(|n| {
            let mut watch = store.watch(PODS, 1).unwrap();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                while revisions.len() < WRITES as usize {
                    revisions.extend(watch.next(1 + n).await.unwrap().unwrap().iter().map(|c| c.revision));
                }
                revisions
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITES)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { one(&store, create(PODS, &n.to_string(), "1")).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for watcher in watchers {
        assert_eq!(watcher.await.unwrap(), (2..2 + WRITES).collect::<Vec<_>>());
    }
}

async fn a_watch_starts_where_it_is_told(kind: Kind) {
    let store = Bed::new(kind).store;
    for n in 2..=6 {
        one(&store, create(PODS, &n.to_string(), "1")).await;
    }
    for after in 1..=6 {
        let mut watch = store.watch(PODS, after).unwrap();
        let expected: Vec<_> = (after + 1..=6).map(|n| format!("{n} PUT {n}: 1")).collect();
        assert_eq!(told(&mut watch, 6).await, expected);
    }
}

async fn a_watch_tells_old_and_new(kind: Kind) {
    let store = Bed::new(kind).store;
    let mut watch = store.watch(PODS, 1).unwrap();
    one(&store, create(PODS, "a", "1")).await;
    one(&store, update(PODS, "a", 2, "2")).await;
    one(&store, delete(PODS, "a", 3)).await;
    assert_eq!(told(&mut watch, 4).await, ["2 PUT a: 1", "3 PUT a: 1 -> 2", "4 DELETE a: 2"]);
    let again = store.watch(PODS, 3).unwrap().next(10).await.unwrap().unwrap();
    let ChangeKind::Delete { entry, old } = &again[0].kind else { panic!("{again:?}") };
    assert_eq!((entry.revision, old.revision), (4, 3), "the last state is restamped, and there as it was");
}

async fn bookmarks_follow_other_tables(kind: Kind) {
    let store = Bed::new(kind).store;
    let watch = store.watch(PODS, 1).unwrap();
    assert_eq!(watch.position(), 1);
    one(&store, create("nodes", "n", "1")).await;
    assert_eq!(watch.position(), 2, "nothing happened to pods up to 2, and that is known");
    one(&store, create(PODS, "a", "1")).await;
    assert_eq!(watch.position(), 1, "the pod at 3 has not been told; nothing was read since 1");
}

async fn compaction_forgets(kind: Kind) {
    let store = Bed::new(kind).store;
    one(&store, create(PODS, "a", "1")).await; // 2
    one(&store, update(PODS, "a", 2, "2")).await; // 3
    one(&store, update(PODS, "a", 3, "3")).await; // 4
    let mut slow = store.watch(PODS, 2).unwrap();
    store.compact(3).await.unwrap();
    assert_eq!(store.oldest(), 3);
    let gone = Error::Compacted { asked: 2, oldest: 3 };
    let exact = |at| store.list(PODS, &Range { at: Some(at), ..Range::default() }, &|_| true);
    assert_eq!(exact(2).unwrap_err(), gone);
    assert_eq!(store.watch(PODS, 2).unwrap_err(), gone);
    assert_eq!(store.watch("never-used", 2).unwrap_err(), gone, "a table without changes is no exception");
    assert_eq!(slow.next(10).await.unwrap().unwrap_err(), gone);
    assert_eq!(contents(&store, PODS, Some(3)), [("a".into(), "2".into())], "the floor itself is known");
    assert_eq!(told(&mut store.watch(PODS, 3).unwrap(), 4).await, ["4 PUT a: 2 -> 3"]);
    store.compact(2).await.unwrap();
    assert_eq!(store.oldest(), 3, "the floor never falls");
    store.compact(100).await.unwrap();
    assert_eq!((store.oldest(), store.revision()), (4, 4), "what is in the future cannot be compacted");
    assert_eq!(one(&store, update(PODS, "a", 4, "4")).await, 5);
    assert_eq!(told(&mut store.watch(PODS, 4).unwrap(), 5).await, ["5 PUT a: 3 -> 4"]);
}

async fn history_is_bounded_in_bytes(kind: Kind) {
    let bed = Bed::with(kind, |config| config.history_bytes_max = 10_000);
    let store = &bed.store;
    let mut slow = store.watch(PODS, 1).unwrap();
    let mut other = store.watch("nodes", 1).unwrap();
    one(store, create("nodes", "n", "1")).await;
    let mut revision = one(store, create(PODS, "a", "0")).await;
    for n in 0..200 {
        revision = one(store, update(PODS, "a", revision, &n.to_string())).await;
    }
    let Error::Compacted { asked: 1, oldest } = slow.next(10).await.unwrap().unwrap_err() else { panic!() };
    assert!((revision - 100..revision - 20).contains(&oldest), "{oldest} of {revision}");
    assert_eq!(store.watch(PODS, oldest - 1).unwrap_err(), Error::Compacted { asked: oldest - 1, oldest });
    assert_eq!(told(&mut store.watch(PODS, oldest).unwrap(), revision).await.len() as u64, revision - oldest);
    assert_eq!(
        told(&mut other, 2).await,
        ["2 PUT n: 1"],
        "one table's noise does not shorten another's history"
    );
}

async fn history_is_bounded_in_time(kind: Kind) {
    let bed = Bed::with(kind, |config| config.history = Duration::from_millis(20));
    let store = &bed.store;
    let mut slow = store.watch(PODS, 1).unwrap();
    let revision = one(store, create(PODS, "a", "0")).await;
    while store.oldest() < revision {
        tokio::task::yield_now().await;
    }
    assert!(matches!(slow.next(1).await, Some(Err(Error::Compacted { asked: 1, .. }))));
    assert_eq!(contents(store, PODS, Some(revision)), [("a".into(), "0".into())]);
    assert!(store.watch(PODS, revision).is_ok(), "the newest revision is never forgotten");
}

async fn waiting_for_a_revision(kind: Kind) {
    let store = Bed::new(kind).store;
    assert!(store.wait_for(1, Duration::ZERO).await);
    assert!(!store.wait_for(2, Duration::from_millis(1)).await);
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.wait_for(3, LONG).await }
    });
    one(&store, create(PODS, "a", "1")).await;
    one(&store, create(PODS, "b", "1")).await;
    assert!(waiter.await.unwrap());
}

async fn close_ends_watches_and_refuses_writes(kind: Kind) {
    let store = Bed::new(kind).store;
    let mut watch = store.watch(PODS, 1).unwrap();
    let mut idle = store.watch("nodes", 1).unwrap();
    let waiting = tokio::spawn(async move { idle.next(1).await.is_none() });
    let before: Vec<_> = (0..10)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(vec![create(PODS, &n.to_string(), "1")]).await.is_ok() })
        })
        .collect();
    let mut written = 0;
    for commit in before {
        written += usize::from(commit.await.unwrap());
    }
    store.close().await;
    assert!(waiting.await.unwrap());
    assert_eq!(written, 10);
    assert_eq!(watch.next(100).await.unwrap().unwrap().len(), 10, "what was published is still told");
    assert!(watch.next(1).await.is_none());
    assert!(matches!(store.commit(vec![create(PODS, "x", "1")]).await, Err(CommitError::Closed)));
    assert!(matches!(store.compact(1).await, Err(CommitError::Closed)));
    assert_eq!(store.count(PODS), 10, "reads go on");
    store.close().await;
}

async fn a_dropped_caller_does_not_tear_a_transaction(kind: Kind) {
    use std::future::Future;
    let store = Bed::new(kind).store;
    {
        let mut commit =
            std::pin::pin!(store.commit(vec![create(PODS, "a", "1"), create("nodes", "n", "1")]));
        let waker = std::task::Waker::noop();
        let _ = commit.as_mut().poll(&mut std::task::Context::from_waker(waker));
    }
    assert_eq!(one(&store, create(PODS, "b", "1")).await, 4);
    assert_eq!((store.count(PODS), store.count("nodes")), (2, 1));
}

async fn big_transactions_and_big_objects_fit(kind: Kind) {
    let store = Bed::new(kind).store;
    let ops = (0..3_000).map(|n| create(PODS, &format!("{n:04}"), "1")).collect();
    assert_eq!(store.commit(ops).await.unwrap().len(), 3_000);
    assert_eq!(store.revision(), 3_001);
    let big = "x".repeat(3 << 20);
    one(&store, create(PODS, "big", &big)).await;
    assert_eq!(text(&store.get(PODS, "big").unwrap()).len(), big.len());
    // More than the whole queue holds at once still goes through, alone.
    let huge: Vec<_> = (0..30).map(|n| create("huge", &n.to_string(), &big)).collect();
    assert_eq!(store.commit(huge).await.unwrap().len(), 30);
}

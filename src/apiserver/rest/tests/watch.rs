//! watch.

use super::{World, gvr, object};
use crate::client::{Event, Watch};
use crate::options::{DeleteOptions, ListOptions, VersionMatch};
use crate::rest::Target;
use alcove_object::selector::Labels;
use alcove_object::{Status, Value, meta};
use serde_json::json;
use std::time::Duration;

fn show(event: &Event) -> String {
    match event {
        Event::Added(o) => format!("+{}", o.name()),
        Event::Modified(o) => format!("~{}", o.name()),
        Event::Deleted(o) => format!("-{}", o.name()),
        Event::Bookmark { initial_end: true, .. } => "|".into(),
        Event::Bookmark { .. } => "=".into(),
    }
}

/// The next so many events, as text.
async fn told(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(watch.next().await.unwrap().unwrap().iter().map(show));
    }
    all
}

impl World {
    async fn watch(&self, options: ListOptions) -> Result<Watch, Status> {
        let target = Target::named(&self.server.registry(), &gvr("configs"), "", "default", "").unwrap();
        self.server.watch(&target, &options).await
    }

    async fn labelled(&self, name: &str, label: &str) {
        let configs = gvr("configs");
        match self.client.get(&configs, "default", name) {
            Ok(found) => {
                let mut o = found.parse();
                o["metadata"]["labels"]["l"] = label.into();
                self.client.update(&configs, "default", o).await.unwrap();
            }
            Err(_) => {
                let mut o = object("configs", name);
                o["metadata"]["labels"] = json!({"l": label});
                self.created("configs", o).await;
            }
        }
    }
}

#[tokio::test]
async fn without_a_version_the_state_comes_first() {
    let w = World::new().await;
    w.labelled("a", "x").await;
    w.labelled("b", "x").await;
    for version in ["", "0"] {
        for bookmarks in [false, true] {
            let options =
                ListOptions { resource_version: version.into(), bookmarks, ..ListOptions::default() };
            let mut watch = w.watch(options).await.unwrap();
            let expected: &[&str] = if bookmarks { &["+a", "+b", "|"] } else { &["+a", "+b"] };
            assert_eq!(told(&mut watch, expected.len()).await, expected);
        }
    }
}

#[tokio::test]
async fn after_a_version_only_what_follows_comes() {
    let w = World::new().await;
    w.labelled("a", "x").await;
    let options =
        ListOptions { resource_version: w.server.store.revision().to_string(), ..ListOptions::default() };
    w.labelled("b", "x").await;
    w.labelled("a", "y").await;
    let mut watch = w.watch(options).await.unwrap();
    assert_eq!(told(&mut watch, 2).await, ["+b", "~a"]);
    w.client.delete(&gvr("configs"), "default", "b", &DeleteOptions::default()).await.unwrap();
    assert_eq!(told(&mut watch, 1).await, ["-b"]);
}

#[tokio::test]
async fn selectors_make_objects_come_and_go() {
    let w = World::new().await;
    let labels = Labels::parse("l=x").unwrap();
    let mut watch = w.watch(ListOptions { labels, ..ListOptions::default() }).await.unwrap();
    w.labelled("a", "y").await;
    w.labelled("a", "x").await;
    w.labelled("a", "x").await; // no write
    w.labelled("a", "z").await;
    let left_at = w.server.store.revision();
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(watch.next().await.unwrap().unwrap());
    }
    assert_eq!(events.iter().map(show).collect::<Vec<_>>(), ["+a", "-a"]);
    let Event::Deleted(left) = &events[1] else { panic!("the second is a deletion") };
    let tree = left.parse();
    assert_eq!(meta::label(&tree, "l"), Some("x"), "the old content");
    assert_eq!((left.revision, meta::revision(&tree)), (left_at, left_at), "with the new version");
}

#[tokio::test]
async fn history_that_is_gone_is_an_error_on_the_stream() {
    let w = World::new().await;
    let old = w.server.store.revision();
    w.labelled("a", "x").await;
    w.labelled("b", "x").await;
    w.server.store.compact(w.server.store.revision()).await.unwrap();
    let options = ListOptions { resource_version: old.to_string(), ..ListOptions::default() };
    let mut watch = w.watch(options).await.unwrap();
    let status = watch.next().await.unwrap().unwrap_err();
    assert_eq!(status.code, 410);
    assert!(status.message.starts_with(&format!("too old resource version: {old} (")), "{}", status.message);
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_version_in_the_future_is_waited_for() {
    let w = World::new().await;
    let next = w.server.store.revision() + 2;
    let plain = ListOptions { resource_version: next.to_string(), ..ListOptions::default() };
    let mut watch = w.watch(plain.clone()).await.unwrap();
    w.labelled("a", "x").await;
    w.labelled("b", "x").await;
    w.labelled("c", "x").await;
    assert_eq!(told(&mut watch, 1).await, ["+c"]);

    let far = w.server.store.revision() + 1;
    let whole = ListOptions {
        resource_version: far.to_string(),
        send_initial_events: Some(true),
        version_match: Some(VersionMatch::NotOlderThan),
        ..ListOptions::default()
    };
    let mut watch = w.watch(whole).await.unwrap();
    let status = watch.next().await.unwrap().unwrap_err();
    assert_eq!(status.code, 504);
    assert!(status.message.contains("Too large resource version"));
}

#[tokio::test(start_paused = true)]
async fn a_time_below_zero_is_over_and_none_is_none() {
    let w = World::new().await;
    let start = tokio::time::Instant::now();
    for (seconds, is_long) in [(Some(-1), false), (Some(0), true), (None, true)] {
        let options = ListOptions { timeout_seconds: seconds, ..ListOptions::default() };
        let mut watch = w.watch(options).await.unwrap();
        while watch.next().await.is_some() {}
        assert_eq!(start.elapsed() > std::time::Duration::from_secs(60), is_long, "{seconds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bookmarks_tick_and_the_end_is_clean() {
    let w = World::new().await;
    let options = ListOptions {
        bookmarks: true,
        timeout_seconds: Some(130),
        resource_version: w.server.store.revision().to_string(),
        ..ListOptions::default()
    };
    let start = tokio::time::Instant::now();
    let mut watch = w.watch(options).await.unwrap();
    w.client.create(&gvr("configs"), "kube-system", object("configs", "elsewhere")).await.unwrap();
    let mut at = Vec::new();
    while let Some(events) = watch.next().await {
        for event in events.unwrap() {
            let Event::Bookmark { revision, initial_end: false } = event else { panic!("{event:?}") };
            assert_eq!(revision, w.server.store.revision());
            at.push(start.elapsed().as_secs());
        }
    }
    assert_eq!(at, [60, 120, 128]);
    assert_eq!(start.elapsed().as_secs(), 130);
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_limit_gets_a_random_one() {
    let w = World::new().await;
    let start = tokio::time::Instant::now();
    let mut watch = w.watch(ListOptions::default()).await.unwrap();
    assert!(watch.next().await.is_none());
    let minutes = start.elapsed().as_secs() / 60;
    assert!((30..60).contains(&minutes), "{minutes}");
}

#[tokio::test]
async fn combinations_that_make_no_sense() {
    let w = World::new().await;
    let base = ListOptions::default;
    let cases = [
        ListOptions { send_initial_events: Some(true), ..base() },
        ListOptions { version_match: Some(VersionMatch::NotOlderThan), ..base() },
        ListOptions { send_initial_events: Some(true), version_match: Some(VersionMatch::Exact), ..base() },
    ];
    for options in cases {
        let text = format!("{options:?}");
        assert_eq!(w.watch(options).await.err().map(|s| s.code), Some(422), "{text}");
    }
    assert_eq!(
        w.watch(ListOptions { resource_version: "x".into(), ..base() }).await.err().map(|s| s.code),
        Some(400)
    );
}

#[tokio::test]
async fn initial_events_can_be_declined() {
    let w = World::new().await;
    w.labelled("a", "x").await;
    let options = ListOptions {
        send_initial_events: Some(false),
        version_match: Some(VersionMatch::NotOlderThan),
        ..ListOptions::default()
    };
    let mut watch = w.watch(options).await.unwrap();
    w.labelled("b", "x").await;
    assert_eq!(told(&mut watch, 1).await, ["+b"]);
}

#[tokio::test]
async fn giving_up_waiting_loses_nothing() {
    let w = World::new().await;
    let mut watch = w.watch(ListOptions::default()).await.unwrap();
    for name in ["a", "b", "c"] {
        let waited = tokio::time::timeout(Duration::from_millis(1), watch.next()).await;
        assert!(waited.is_err(), "nothing happened");
        w.labelled(name, "x").await;
        assert_eq!(told(&mut watch, 1).await, [format!("+{name}")]);
    }
}

#[tokio::test]
async fn every_watcher_shares_the_same_bytes() {
    let w = World::new().await;
    let mut watches =
        [w.watch(ListOptions::default()).await.unwrap(), w.watch(ListOptions::default()).await.unwrap()];
    w.labelled("a", "x").await;
    let mut seen = Vec::new();
    for watch in &mut watches {
        let events = watch.next().await.unwrap().unwrap();
        let Event::Added(o) = &events[0] else { panic!("{events:?}") };
        seen.push(o.bytes.as_ptr());
    }
    assert_eq!(seen[0], seen[1]);
    let _: Value = w.client.get(&gvr("configs"), "default", "a").unwrap().parse();
}

#[test]
fn an_idle_watcher_is_small() {
    const BYTES_MAX: usize = 1024;
    assert!(size_of::<Watch>() <= BYTES_MAX, "{}", size_of::<Watch>());
}

//! create, get, update, delete, list and watch as a client sees them.

use super::{World, gvr, object};
use crate::client::Event;
use crate::options::{DeleteOptions, ListOptions};
use alcove_object::meta;
use serde_json::json;

#[tokio::test]
async fn an_object_lives_and_dies() {
    let w = World::new().await;
    let configs = gvr("configs");
    let mut config = object("configs", "a");
    config["data"] = json!({"k": "v"});
    let mut watch = w.client.watch(&configs, "default", &ListOptions::default()).unwrap();

    let created = w.client.create(&configs, "default", config).await.unwrap();
    let tree = created.parse();
    assert_eq!(meta::namespace(&tree), "default");
    assert_eq!(meta::text(&tree, "creationTimestamp"), "2026-11-21T09:30:00Z");
    assert_eq!(meta::revision(&tree), created.revision);
    assert_eq!(w.client.get(&configs, "default", "a").unwrap().bytes, created.bytes);

    let mut changed = tree.clone();
    changed["data"]["k"] = "w".into();
    let updated = w.client.update(&configs, "default", changed).await.unwrap();
    assert!(updated.revision > created.revision);
    assert_eq!(meta::uid(&updated.parse()), meta::uid(&tree));

    let list = w.client.list(&configs, "", &ListOptions::default()).unwrap();
    assert_eq!(list.items.len(), 1);

    assert!(w.client.delete(&configs, "default", "a", &DeleteOptions::default()).await.unwrap().is_none());
    assert_eq!(w.client.get(&configs, "default", "a").unwrap_err().code, 404);

    let mut told = Vec::new();
    while told.len() < 3 {
        for event in watch.next().await.unwrap().unwrap() {
            told.push(match event {
                Event::Added(o) => ("added", o.revision),
                Event::Modified(o) => ("modified", o.revision),
                Event::Deleted(o) => ("deleted", o.revision),
                Event::Bookmark { revision, .. } => ("bookmark", revision),
            });
        }
    }
    assert_eq!(told[..2], [("added", created.revision), ("modified", updated.revision)]);
    assert_eq!(told[2].0, "deleted");
    assert!(told[2].1 > updated.revision);
}

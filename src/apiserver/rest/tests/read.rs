//! get and list.

use super::{World, gvr, object};
use crate::client::ObjectList;
use crate::options::{ListOptions, VersionMatch};
use crate::rest::Target;
use alcove_object::selector::{Fields, Labels};
use alcove_object::{Reason, Status};
use serde_json::json;

impl World {
    /// Configs a to e in `default`; a, c and e have the label l=x.
    async fn five(&self) {
        for name in ["a", "b", "c", "d", "e"] {
            let mut o = object("configs", name);
            o["metadata"]["labels"] = json!({"l": if "ace".contains(name) { "x" } else { "y" }});
            self.created("configs", o).await;
        }
    }

    async fn list(&self, options: ListOptions) -> Result<ObjectList, Status> {
        let target = Target::named(&self.server.registry(), &gvr("configs"), "", "default", "").unwrap();
        self.server.list(&target, &options).await
    }
}

fn names(list: &ObjectList) -> String {
    list.items.iter().map(|o| o.name()).collect()
}

fn limited(limit: usize) -> ListOptions {
    ListOptions { limit, ..ListOptions::default() }
}

#[tokio::test]
async fn pages_follow_each_other_at_one_revision() {
    let w = World::new().await;
    w.five().await;
    let first = w.list(limited(2)).await.unwrap();
    assert_eq!((names(&first).as_str(), first.remaining), ("ab", Some(3)));
    w.created("configs", object("configs", "bb")).await;
    let second = w.list(ListOptions { continue_token: first.continue_token, ..limited(2) }).await.unwrap();
    assert_eq!((names(&second).as_str(), second.remaining), ("cd", Some(1)));
    assert_eq!(second.revision, first.revision);
    let third = w.list(ListOptions { continue_token: second.continue_token, ..limited(2) }).await.unwrap();
    assert_eq!((names(&third).as_str(), third.remaining, third.continue_token.as_str()), ("e", None, ""));
}

#[tokio::test]
async fn a_page_is_filled_with_what_a_selector_matches() {
    let w = World::new().await;
    w.five().await;
    let labels = Labels::parse("l=x").unwrap();
    let page = w.list(ListOptions { labels, ..limited(2) }).await.unwrap();
    assert_eq!((names(&page).as_str(), page.remaining), ("ac", None));
    assert!(!page.continue_token.is_empty());
}

#[tokio::test]
async fn an_expired_token_comes_with_a_fresh_one() {
    let w = World::new().await;
    w.five().await;
    let first = w.list(limited(2)).await.unwrap();
    w.created("configs", object("configs", "f")).await;
    w.server.store.compact(w.server.store.revision()).await.unwrap();
    let old = ListOptions { continue_token: first.continue_token, ..limited(2) };
    let status = w.list(old).await.unwrap_err();
    assert_eq!((status.code, &status.reason), (410, &Reason::EXPIRED));
    let fresh = ListOptions { continue_token: status.continue_token.clone(), ..limited(10) };
    let rest = w.list(fresh).await.unwrap();
    assert_eq!((names(&rest).as_str(), rest.revision), ("cdef", w.server.store.revision()));
}

#[tokio::test]
async fn what_a_version_asks_for() {
    let w = World::new().await;
    w.five().await;
    let then = w.server.store.revision();
    w.created("configs", object("configs", "f")).await;
    let at = |version: String, how: Option<VersionMatch>, limit: usize| ListOptions {
        resource_version: version,
        version_match: how,
        limit,
        ..ListOptions::default()
    };
    use VersionMatch::{Exact, NotOlderThan};
    let then = then.to_string();
    let cases = [
        (at(String::new(), None, 0), "abcdef"),
        (at("0".into(), None, 2), "abcdef"),
        (at("0".into(), Some(NotOlderThan), 2), "abcdef"),
        (at(then.clone(), None, 0), "abcdef"),
        (at(then.clone(), Some(NotOlderThan), 0), "abcdef"),
        (at(then.clone(), None, 9), "abcde"),
        (at(then.clone(), Some(Exact), 0), "abcde"),
        (at(then.clone(), Some(Exact), 2), "ab"),
    ];
    for (options, expected) in cases {
        let text = format!("{options:?}");
        assert_eq!(names(&w.list(options).await.unwrap()), expected, "{text}");
    }
}

#[tokio::test]
async fn combinations_that_make_no_sense() {
    let w = World::new().await;
    w.five().await;
    let token = w.list(limited(2)).await.unwrap().continue_token;
    let base = ListOptions::default;
    let cases = [
        (
            ListOptions { resource_version: "0".into(), version_match: Some(VersionMatch::Exact), ..base() },
            422,
        ),
        (ListOptions { version_match: Some(VersionMatch::Exact), ..base() }, 422),
        (
            ListOptions {
                continue_token: token.clone(),
                resource_version: "5".into(),
                version_match: Some(VersionMatch::Exact),
                ..base()
            },
            422,
        ),
        (ListOptions { continue_token: token.clone(), resource_version: "5".into(), ..base() }, 400),
        (ListOptions { continue_token: "garbage".into(), ..base() }, 400),
        (ListOptions { send_initial_events: Some(true), ..base() }, 422),
        (ListOptions { resource_version: "abc".into(), ..base() }, 400),
        (ListOptions { fields: Fields::parse("spec.x=y").unwrap(), ..base() }, 400),
    ];
    for (options, code) in cases {
        let text = format!("{options:?}");
        assert_eq!(w.list(options).await.unwrap_err().code, code, "{text}");
    }
    w.list(ListOptions { continue_token: token, resource_version: "0".into(), ..base() }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_come_is_refused() {
    let w = World::new().await;
    let asked = w.server.store.revision() + 1;
    let options = ListOptions { resource_version: asked.to_string(), ..ListOptions::default() };
    let status = w.list(options).await.unwrap_err();
    assert_eq!((status.code, &status.reason), (504, &Reason::TIMEOUT));
    assert!(status.message.starts_with("Timeout: Too large resource version: "));
    let details = status.details.clone().unwrap();
    assert_eq!((details.retry_after_seconds, &*details.causes[0].reason), (1, "ResourceVersionTooLarge"));
}

#[tokio::test]
async fn a_version_in_the_future_is_waited_for() {
    let w = World::new().await;
    let asked = w.server.store.revision() + 1;
    let options = ListOptions { resource_version: asked.to_string(), ..ListOptions::default() };
    let (listed, _) = tokio::join!(w.list(options), w.created("configs", object("configs", "a")));
    assert_eq!(names(&listed.unwrap()), "a");
}

#[tokio::test]
async fn field_selectors_narrow_by_key_and_index() {
    let w = World::new().await;
    w.five().await;
    w.client.create(&gvr("configs"), "kube-system", object("configs", "a")).await.unwrap();
    for (name, node) in [("p", "n1"), ("q", "n2")] {
        let mut pod = object("pods", name);
        pod["spec"] = json!({"nodeName": node});
        w.created("pods", pod).await;
    }
    let found = |plural: &str, namespace: &str, text: &str| {
        let options = ListOptions { fields: Fields::parse(text).unwrap(), ..ListOptions::default() };
        let list = w.client.list(&gvr(plural), namespace, &options).unwrap();
        list.items.iter().map(|o| o.key.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("configs", "", "metadata.name=a"), "default/a kube-system/a");
    assert_eq!(found("configs", "default", "metadata.name=a"), "default/a");
    assert_eq!(found("configs", "default", "metadata.name=missing"), "");
    assert_eq!(found("configs", "", "metadata.namespace=kube-system"), "kube-system/a");
    assert_eq!(
        found("configs", "default", "metadata.name!=a,metadata.name!=b"),
        "default/c default/d default/e"
    );
    assert_eq!(found("pods", "", "spec.nodeName=n2"), "default/q");
    assert_eq!(found("pods", "", "spec.nodeName!=n2"), "default/p");
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let w = World::new().await;
    let refused = |plural: &str| {
        let options = ListOptions { fields: Fields::parse("spec.x=y").unwrap(), ..ListOptions::default() };
        w.client.list(&gvr(plural), "", &options).unwrap_err().message.clone()
    };
    assert_eq!(
        refused("configs"),
        "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    assert_eq!(refused("pods"), "field label not supported: spec.x");
}

#[tokio::test]
async fn an_empty_list_has_the_stores_revision() {
    let w = World::new().await;
    let list = w.list(ListOptions::default()).await.unwrap();
    assert_eq!((list.items.len(), list.revision), (0, w.server.store.revision()));
    assert!(list.revision > 0);
}

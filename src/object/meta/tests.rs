//! Reading metadata of trees.

use super::*;
use serde_json::json;

#[test]
fn reads_what_is_there() {
    let object = json!({"metadata": {
        "name": "a", "namespace": "b", "uid": "c", "resourceVersion": "12", "generation": 3,
        "deletionTimestamp": "2026-11-21T09:30:00Z",
        "labels": {"x": "1", "y": 2}, "annotations": {"z": "3"}, "finalizers": ["f", 1, "g"],
        "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}],
    }});
    assert_eq!((name(&object), namespace(&object), uid(&object)), ("a", "b", "c"));
    assert_eq!((revision(&object), generation(&object), is_deleting(&object)), (12, 3, true));
    assert_eq!(labels(&object).collect::<Vec<_>>(), [("x", "1")]);
    assert_eq!(
        (label(&object, "x"), label(&object, "y"), annotation(&object, "z")),
        (Some("1"), None, Some("3"))
    );
    assert_eq!(finalizers(&object).collect::<Vec<_>>(), ["f", "g"]);
    assert_eq!(owner_references(&object).len(), 2);
    assert_eq!(controller_of(&object).map(|o| &o["uid"]), Some(&json!("2")));
}

#[test]
fn reads_nothing_where_nothing_fits() {
    for object in
        [json!(null), json!([]), json!({}), json!({"metadata": 1}), json!({"metadata": {"name": 1}})]
    {
        assert_eq!((name(&object), revision(&object), generation(&object)), ("", 0, 0), "{object}");
        assert!(!is_deleting(&object) && controller_of(&object).is_none(), "{object}");
        assert_eq!((labels(&object).count(), finalizers(&object).count()), (0, 0), "{object}");
    }
}

#[test]
fn writes_make_what_is_missing() {
    let mut object = json!({"metadata": "wrong"});
    set(&mut object, "name", "a");
    child_mut(metadata_mut(&mut object), "labels").insert("x".into(), "1".into());
    assert_eq!(object, json!({"metadata": {"name": "a", "labels": {"x": "1"}}}));
    unset(&mut object, "name");
    assert_eq!(object, json!({"metadata": {"labels": {"x": "1"}}}));
}

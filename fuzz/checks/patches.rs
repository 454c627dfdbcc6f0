//! Patches, to an object of some kind: the first line is the object, each other one a patch.

use super::bodies::object;
use super::parts;
use alcove_object::Value;
use alcove_schema::apply::{self, ApplyError, Manager};
use alcove_schema::decode::{Report, conform, fill, parse_json};
use alcove_schema::patch::{json_patch, merge_patch, strategic_merge};
use alcove_schema::{View, limits};

const TIME: &str = "2026-11-21T09:30:00Z";

/// A patch: a list is a JSON patch, an object a merge patch and a strategic one.
pub fn patch(input: &[u8]) {
    let [original, patch] = parts(input);
    let Some((original, view)) = object(original) else { return };
    let Ok(patch) = parse_json(patch) else { return };
    let patch = patch.value;
    let mut patched = original.clone();
    if json_patch(&mut patched, &patch).is_ok() {
        may_be_stored(patched, view);
    }
    let mut merged = original.clone();
    if merge_patch(&mut merged, &patch).is_ok() {
        let mut again = merged.clone();
        merge_patch(&mut again, &patch).expect("what was merged can be merged again");
        assert_eq!(again, merged, "merged twice");
        may_be_stored(merged, view);
    }
    if let Ok(merged) = strategic_merge(&original, &patch, view) {
        may_be_stored(merged, view);
    }
}

/// What a patch made is not too deep to be written, and conforms or does not, but ends no process.
fn may_be_stored(mut value: Value, view: View<'_>) {
    assert!(depth(&value) <= limits::DEPTH_MAX + 1, "deeper than what can be read");
    let _may_be_refused = conform(&mut value, view, &mut Report::default());
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Server-side apply: an object, and what two managers apply to it one after the other.
pub fn apply(input: &[u8]) {
    let [live, one, two] = parts(input);
    let Some((mut live, view)) = object(live) else { return };
    fill(&mut live, view);
    let api_version = live["apiVersion"].as_str().unwrap_or_default().to_owned();
    let manager = |name| Manager { name, api_version: &api_version, subresource: "", time: TIME };
    apply::track_update(None, &mut live, view, &manager("creator"), &["status"])
        .expect("a write does not fail for its bookkeeping");
    for (name, patch) in [("one", one), ("kubectl", two)] {
        let Ok(patch) = parse_json(patch) else { return };
        let Some(applied) = applied(&live, &patch.value, view, &manager(name)) else { return };
        live = applied;
    }
    let mut changed = live.clone();
    apply::track_update(Some(&live), &mut changed, view, &manager("creator"), &["status"])
        .expect("a write does not fail for its bookkeeping");
    apply::keep_times(&live, &mut changed);
}

/// The object after an apply that had to be forced if need be. Applied again, it changes nothing.
fn applied(live: &Value, patch: &Value, view: View<'_>, manager: &Manager<'_>) -> Option<Value> {
    let apply = |live: &Value, force| {
        let mut object = apply::apply(Some(live), &patch.into(), view, manager, force, &["status"])?;
        // What the server does with it next.
        let conforms = conform(&mut object, view, &mut Report::default()).is_ok();
        fill(&mut object, view);
        Ok((object, conforms))
    };
    let (object, conforms) = match apply(live, false) {
        Err(ApplyError::Conflicts(_)) => match apply(live, true) {
            Err(ApplyError::Conflicts(conflicts)) => panic!("conflicts although forced: {conflicts:?}"),
            outcome => outcome.ok()?,
        },
        outcome => outcome.ok()?,
    };
    if !conforms {
        return None;
    }
    let (again, _) = apply(&object, false).expect("what was applied can be applied again without force");
    assert_eq!(again, object, "applied twice");
    Some(object)
}

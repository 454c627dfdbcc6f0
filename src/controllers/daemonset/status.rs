//! What a DaemonSet reports of its nodes and pods. Pure.

use super::plan::{Fit, View};
use crate::pods;
use alcove_object::{Value, meta};
use serde_json::{Map, json};

/// The set's status as it should be. What others wrote into it stays.
pub(super) fn of(view: &View) -> Value {
    let (mut current, mut misplaced, mut ready, mut updated, mut available) = (0, 0, 0, 0, 0);
    for (node, fit) in &view.nodes {
        let Some(oldest) = view.pods.get(node).and_then(|pods| pods.first()) else { continue };
        if *fit != Fit::Runs {
            misplaced += 1;
            continue;
        }
        current += 1;
        ready += usize::from(pods::is_ready(oldest));
        available += usize::from(view.is_available(oldest));
        updated += usize::from(view.is_updated(oldest));
    }
    let desired = view.desired();
    let mut status: Map<String, Value> = view.set["status"].as_object().cloned().unwrap_or_default();
    let always = [
        ("currentNumberScheduled", current),
        ("numberMisscheduled", misplaced),
        ("desiredNumberScheduled", desired),
        ("numberReady", ready),
    ];
    let if_any = [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", available),
        ("numberUnavailable", desired - available),
    ];
    for (field, count) in always.into_iter().chain(if_any) {
        status.insert(field.to_owned(), json!(count));
    }
    status.retain(|field, count| if_any.iter().all(|(name, _)| name != field) || *count != json!(0));
    status.insert("observedGeneration".to_owned(), meta::generation(&view.set).into());
    status.into()
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::view;
    use super::*;

    #[test]
    fn nodes_are_counted_by_what_is_on_them() {
        let mut view =
            view(json!({}), &["a", "b", "c", "d", "-e"], &["a run b", "b slow b", "c run a", "e run b"]);
        view.set["status"] = json!({ "collisionCount": 2, "numberUnavailable": 9, "conditions": [] });
        view.set["metadata"]["generation"] = 4.into();
        assert_eq!(
            of(&view),
            json!({ "collisionCount": 2, "conditions": [], "observedGeneration": 4,
                "desiredNumberScheduled": 4, "currentNumberScheduled": 3, "numberMisscheduled": 1,
                "numberReady": 2, "numberAvailable": 2, "numberUnavailable": 2, "updatedNumberScheduled": 2 })
        );
    }

    #[test]
    fn without_nodes_all_is_zero() {
        assert_eq!(
            of(&view(json!({}), &[], &[])),
            json!({ "observedGeneration": 0, "desiredNumberScheduled": 0, "currentNumberScheduled": 0,
                "numberMisscheduled": 0, "numberReady": 0 })
        );
    }
}

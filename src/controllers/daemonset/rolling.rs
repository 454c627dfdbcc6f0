//! How a DaemonSet replaces pods of an older revision: some nodes lose theirs first (`maxUnavailable`), or some have two
//! for a while (`maxSurge`). Pure.

use super::plan::{Fit, View};
use alcove_object::gather::Gather;
use alcove_object::{Value, meta};
use std::collections::BTreeMap;

/// Whether pods are replaced without being deleted by hand.
pub(super) fn is_rolling(set: &Value) -> bool {
    set.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("RollingUpdate")
}

/// A number of nodes, or a share of them, rounded up.
fn limit(set: &Value, field: &str, nodes: usize) -> usize {
    let rolling = set.pointer("/spec/updateStrategy/rollingUpdate").filter(|_| is_rolling(set));
    match rolling.and_then(|rolling| rolling.get(field)) {
        Some(Value::Number(number)) => number.as_u64().map_or(0, |number| number as usize),
        Some(Value::String(text)) => {
            let percent: usize = text.trim_end_matches('%').parse().unwrap_or(0);
            nodes.saturating_mul(percent).div_ceil(100)
        }
        _ => 0,
    }
}

/// Nodes that may have two pods.
pub(super) fn max_surge(set: &Value, nodes: usize) -> usize {
    limit(set, "maxSurge", nodes)
}

/// The pods of a node: the one of the current revision and the older one; `None` when there are more.
fn pair<'a>(view: &View, pods: &'a [Value]) -> Option<(Option<&'a Value>, Option<&'a Value>)> {
    let alive = || pods.iter().filter(|pod| !meta::is_deleting(pod));
    let only = |is_new: bool| {
        let mut some = alive().filter(|pod| view.is_updated(pod) == is_new);
        (some.next(), some.next().is_some())
    };
    let ((new, has_more_new), (old, has_more_old)) = (only(true), only(false));
    (!has_more_new && !has_more_old).then_some((new, old))
}

/// Nodes that get a pod, and pods that go, in this step.
pub(super) fn step(view: &View) -> (Vec<String>, Vec<Value>) {
    let nodes = view.desired();
    let (surge, mut unavailable) = (max_surge(&view.set, nodes), limit(&view.set, "maxUnavailable", nodes));
    if surge == 0 && unavailable == 0 && nodes > 0 {
        unavailable = 1;
    }
    let mut pods: BTreeMap<&str, &[Value]> =
        view.pods.iter().map(|(node, pods)| (node.as_str(), pods.as_slice())).gather();
    for (node, _) in view.nodes.iter().filter(|(_, fit)| **fit == Fit::Runs) {
        pods.entry(node).or_default();
    }
    match surge {
        0 => (Vec::new(), take_down(view, &pods, unavailable)),
        surge => grow(view, &pods, surge),
    }
}

/// Old pods that go so that new ones come: those that are of no use, and as many others as may be missing.
fn take_down(view: &View, pods: &BTreeMap<&str, &[Value]>, max_unavailable: usize) -> Vec<Value> {
    let (mut missing, mut useless, mut candidates) = (0, Vec::new(), Vec::new());
    for pods in pods.values() {
        match pair(view, pods) {
            Some((None, Some(old))) if view.is_available(old) => candidates.push(old),
            Some((None, Some(old))) => {
                useless.push(old);
                missing += 1;
            }
            Some((Some(new), None)) if view.is_available(new) => {}
            // One that comes or goes, or too many: the next round looks after it.
            _ => missing += 1,
        }
    }
    let more = candidates.into_iter().take(max_unavailable.saturating_sub(missing));
    useless.into_iter().chain(more).cloned().collect()
}

/// Nodes that get a new pod beside the old one, and old pods that go since their new one serves.
fn grow(view: &View, pods: &BTreeMap<&str, &[Value]>, max_surge: usize) -> (Vec<String>, Vec<Value>) {
    let (mut surging, mut available) = (0, 0);
    let (mut useless, mut candidates) = (Vec::new(), Vec::new());
    let (mut delete, mut misplaced) = (Vec::new(), Vec::new());
    for (node, pods) in pods {
        let Some((new, old)) = pair(view, pods) else {
            surging += 1;
            continue;
        };
        available += usize::from(old.or(new).is_some_and(|pod| view.is_available(pod)));
        let runs = view.nodes.get(*node) == Some(&Fit::Runs);
        match (new, old) {
            (_, None) => {}
            (Some(new), Some(old)) if view.is_available(new) => delete.push(old),
            (Some(_), Some(_)) => surging += 1,
            (None, Some(old)) => match (view.is_available(old), runs) {
                (false, false) => delete.push(old),
                (false, true) => useless.push(*node),
                (true, false) => misplaced.push(old),
                (true, true) => candidates.push(*node),
            },
        }
    }
    // Who surges wants no gap, so a pod on a node that should have none waits until another one serves.
    delete.extend(misplaced.into_iter().take(available.saturating_sub(view.desired())));
    let more = candidates.into_iter().take(max_surge.saturating_sub(surging));
    let create = useless.into_iter().chain(more).map(str::to_owned).collect();
    (create, delete.into_iter().cloned().collect())
}

//! In which order the items of a merged list stand.
//!
//! What a client sent keeps its order, what only the server has keeps its own, and where both meet the live order
//! decides, as far as it knows the items (k8s.io/apimachinery/pkg/util/strategicpatch: normalizeElementOrder). Items
//! are told apart by a key: the value of the merge key for objects, the item itself for scalars.

use alcove_object::Value;

/// Where a key stands in an order, if it does.
pub(super) fn position(order: &[Value], key: &Value) -> Option<usize> {
    order.iter().position(|k| k == key)
}

/// Puts items with their keys into order: those whose keys are in `patch_order` by that, the others by
/// `server_order`, and both merged.
pub(super) fn arrange(
    items: Vec<(Value, Value)>,
    patch_order: &[Value],
    server_order: &[Value],
) -> Vec<Value> {
    let (mut sent, mut server_only): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|(key, _)| position(patch_order, key).is_some());
    sort(&mut sent, patch_order);
    sort(&mut server_only, server_order);
    interleave(server_only, sent, server_order)
}

/// Sorts by the place of the keys in `order`.
///
/// Upstream calls an item that the order does not know smaller than any other, which is no order at all; what comes
/// out then depends on its sort. It is repeated here as the insertion sort which that is for short lists.
fn sort(items: &mut [(Value, Value)], order: &[Value]) {
    let places: Vec<Option<usize>> = items.iter().map(|(key, _)| position(order, key)).collect();
    if places.iter().all(Option::is_some) {
        return items.sort_by_cached_key(|(key, _)| position(order, key));
    }
    let mut places = places;
    for end in 1..items.len() {
        for i in (1..=end).rev() {
            let in_order = matches!((places[i], places[i - 1]), (Some(a), Some(b)) if a >= b);
            if in_order {
                break;
            }
            items.swap(i, i - 1);
            places.swap(i, i - 1);
        }
    }
}

/// Merges two lists of different items, the first item of the left one first where the live order says so.
fn interleave(left: Vec<(Value, Value)>, right: Vec<(Value, Value)>, order: &[Value]) -> Vec<Value> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let mut left = left.into_iter().peekable();
    let mut right = right.into_iter().peekable();
    while let (Some((l, _)), Some((r, _))) = (left.peek(), right.peek()) {
        let left_first = position(order, l).zip(position(order, r)).is_some_and(|(l, r)| l < r);
        merged.extend(if left_first { left.next() } else { right.next() });
    }
    merged.extend(left.chain(right));
    merged.into_iter().map(|(_, item)| item).collect()
}

//! Strategic merge patch: a merge patch that knows from the schema which lists merge and by which key, and that
//! takes orders in keys of its own:
//!
//! | in | key | says |
//! |---|---|---|
//! | an object | `$patch: replace`, `delete` | take the patch as it is; leave nothing |
//! | an item of a list | `$patch: delete`, `replace` | drop the item of this key; the list has only what the patch lists |
//! | an object | `$retainKeys: [...]` | drop all other fields |
//! | an object | `$deleteFromPrimitiveList/F: [...]` | drop these items of the list F |
//! | an object | `$setElementOrder/F: [...]` | put the items of the list F into this order |
//!
//! What the schema does not know merges as JSON merge patch does; decoding the result will complain of it.

use super::order::{arrange, position};
use super::{PatchError, check_depth};
use crate::View;
use crate::go;
use alcove_object::Value;
use serde_json::Map;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_ITEMS: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// The original with the patch applied. `schema` is that of both. Null means no patch.
pub fn strategic_merge(original: &Value, patch: &Value, schema: View<'_>) -> Result<Value, PatchError> {
    check_depth(patch)?;
    let original = original.as_object().cloned().unwrap_or_default();
    match patch {
        Value::Null => Ok(Value::Object(original)),
        Value::Object(patch) => merge_objects(original, patch.clone(), Some(schema)).map(Value::Object),
        other => Err(PatchError::Malformed(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go::json_kind(other)
        ))),
    }
}

type Object = Map<String, Value>;

/// How the schema wants a field merged.
struct Rule<'a> {
    schema: Option<View<'a>>,
    merge_key: &'a str,
    merge: bool,
    replace: bool,
}

impl<'a> Rule<'a> {
    fn of(parent: Option<View<'a>>, name: &str) -> Rule<'a> {
        let field = parent.and_then(|parent| parent.field(name));
        Rule {
            schema: parent.and_then(|parent| parent.child(name)),
            merge_key: field.map_or("", |f| &f.merge_key),
            merge: field.is_some_and(|f| f.patch_merge),
            replace: field.is_some_and(|f| f.patch_replace),
        }
    }

    fn item(&self) -> Option<View<'a>> {
        self.schema.and_then(View::item)
    }
}

fn merge_objects(
    mut original: Object,
    mut patch: Object,
    schema: Option<View<'_>>,
) -> Result<Object, PatchError> {
    match patch.get(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) if directive == "delete" => return Ok(Object::new()),
        Some(Value::String(directive)) if directive == "replace" => {
            patch.remove(DIRECTIVE);
            return Ok(patch);
        }
        Some(other) => return Err(unknown_directive(other, &patch)),
    }
    if let Some(keys) = patch.remove(RETAIN_KEYS) {
        retain_keys(&mut original, &patch, &keys)?;
    }
    merge_ordered_lists(&mut original, &mut patch, schema)?;
    for (key, change) in patch {
        let (name, deletes) = match key.strip_prefix(DELETE_ITEMS) {
            None => (key.as_str(), false),
            Some(rest) => (field_of(rest, "invalid patch format of primitive list")?, true),
        };
        let current = original.remove(name);
        if let Some(merged) = merge_field(current, change, &Rule::of(schema, name), deletes)? {
            original.insert(name.to_owned(), merged);
        }
    }
    Ok(original)
}

/// The field that `$directive/FIELD` is about, from what follows the directive.
fn field_of<'a>(rest: &'a str, malformed: &str) -> Result<&'a str, PatchError> {
    rest.strip_prefix('/').ok_or_else(|| PatchError::Malformed(malformed.into()))
}

/// A field's value after the change; `None` drops it. `deletes`: the change lists items to take out.
fn merge_field(
    current: Option<Value>,
    change: Value,
    rule: &Rule<'_>,
    deletes: bool,
) -> Result<Option<Value>, PatchError> {
    Ok(match (current, change) {
        (_, Value::Null) => None,
        (Some(Value::Object(_)), change @ Value::Object(_)) if rule.replace => Some(change),
        (Some(Value::Object(current)), Value::Object(change)) => {
            Some(Value::Object(merge_objects(current, change, rule.schema)?))
        }
        (Some(Value::Array(current)), Value::Array(change)) if rule.merge || deletes => {
            Some(Value::Array(merge_lists(current, change, rule, deletes)?.items))
        }
        (Some(Value::Array(_)), change @ Value::Array(_)) => Some(change),
        (current, _) if deletes => current,
        (_, mut change) => {
            discard_nulls(&mut change);
            without_directives(change)
        }
    })
}

/// Drops all null fields of objects, at any depth. Null items of lists stay.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// Drops what carries a `$patch`, at any depth: there is nothing that it could be about.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            Some(map.into_iter().filter_map(|(k, v)| without_directives(v).map(|v| (k, v))).collect())
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        scalar => Some(scalar),
    }
}

/// Drops the fields that are not to be kept. All that the patch sets must be among those that are.
fn retain_keys(original: &mut Object, patch: &Object, keys: &Value) -> Result<(), PatchError> {
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".into());
    let keys = keys.as_array().ok_or_else(malformed)?;
    let kept = |key: &str| keys.iter().any(|k| k == key);
    let directive = |key: &str| key.starts_with(DELETE_ITEMS) || key.starts_with(SET_ORDER);
    if !patch.iter().all(|(key, value)| value.is_null() || directive(key) || kept(key)) {
        return Err(malformed());
    }
    original.retain(|key, _| kept(key));
    Ok(())
}

/// Merges the lists that come with an order, and takes both out of the patch.
fn merge_ordered_lists(
    original: &mut Object,
    patch: &mut Object,
    schema: Option<View<'_>>,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = list(patch.remove(&directive).unwrap_or_default())?;
        let name = field_of(&directive[SET_ORDER.len()..], BAD_ORDER)?;
        let current = original.get(name).cloned().map(list).transpose()?;
        let change = patch.get(name).cloned().map(list).transpose()?;
        if let Some(merged) = merge_in_order(current, change, &order, &Rule::of(schema, name))? {
            original.insert(name.to_owned(), Value::Array(merged));
            patch.remove(name);
        }
    }
    Ok(())
}

const BAD_ORDER: &str = "invalid patch format of setElementOrder list";

fn merge_in_order(
    current: Option<Vec<Value>>,
    change: Option<Vec<Value>>,
    order: &[Value],
    rule: &Rule<'_>,
) -> Result<Option<Vec<Value>>, PatchError> {
    if let Some(change) = &change {
        check_order(change, order, rule.merge_key)?;
    }
    let lists = [current.as_deref().unwrap_or_default(), change.as_deref().unwrap_or_default()];
    let kind = (current.is_some() || change.is_some()).then(|| element_kind(lists));
    let merged = match (current, change) {
        (None, None) => return Ok(None),
        (Some(current), None) => Merged { live_keys: keys_of(&current, rule.merge_key)?, items: current },
        (None, Some(change)) => {
            let items = change.into_iter().filter_map(without_directives).collect();
            Merged { items, live_keys: Vec::new() }
        }
        (Some(current), Some(change)) if rule.merge => merge_lists(current, change, rule, false)?,
        (Some(current), Some(change)) => {
            Merged { live_keys: keys_of(&current, rule.merge_key)?, items: change }
        }
    };
    kind.transpose()?;
    let keys = keys_of(&merged.items, rule.merge_key)?;
    let items = keys.into_iter().zip(merged.items).collect();
    Ok(Some(arrange(items, &keys_of(order, rule.merge_key)?, &merged.live_keys)))
}

/// The items of the patch, but for those that it deletes, must stand in the given order in the same sequence.
fn check_order(patch: &[Value], order: &[Value], merge_key: &str) -> Result<(), PatchError> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let mut rest =
        patch.iter().filter(|item| merge_key.is_empty() || item.get(DIRECTIVE) != Some(&"delete".into()));
    let mut item = rest.next();
    for next in order {
        while item.is_some_and(|item| item.get(DIRECTIVE).is_some()) {
            item = rest.next();
        }
        let Some(wanted) = item else { return Ok(()) };
        let same = match merge_key {
            "" => wanted == next,
            key => key_of(wanted, key)? == key_of(next, key)?,
        };
        if same {
            item = rest.next();
        }
    }
    // Upstream does not look for directives behind the end of the order, and refuses them.
    if item.is_none() {
        return Ok(());
    }
    let (patch, order) = (go::plain_list(patch), go::plain_list(order));
    let text = format!("The order in patch list:\n{patch}\n doesn't match {SET_ORDER} list:\n{order}\n");
    Err(PatchError::Unmergeable(text))
}

/// A merged list, and the keys of the live one, as far as they count for the order of the items.
struct Merged {
    items: Vec<Value>,
    live_keys: Vec<Value>,
}

fn merge_lists(
    original: Vec<Value>,
    patch: Vec<Value>,
    rule: &Rule<'_>,
    deletes: bool,
) -> Result<Merged, PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(Merged { items: original, live_keys: Vec::new() });
    }
    if element_kind([&original, &patch])? == "map[string]interface {}" {
        return merge_object_lists(original, patch, rule);
    }
    let live_keys = original.clone();
    if deletes {
        let items = original.into_iter().filter(|item| !patch.contains(item)).collect();
        return Ok(Merged { items, live_keys });
    }
    if !rule.merge_key.is_empty() {
        keys_of(&live_keys, rule.merge_key)?;
        keys_of(&patch, rule.merge_key)?;
    }
    let mut items: Vec<(Value, Value)> = Vec::with_capacity(original.len() + patch.len());
    let mut seen = std::collections::HashSet::new();
    for item in original.iter().chain(&patch).filter(|item| seen.insert(item.to_string())) {
        items.push((item.clone(), item.clone()));
    }
    Ok(Merged { items: arrange(items, &patch, &original), live_keys })
}

fn merge_object_lists(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    rule: &Rule<'_>,
) -> Result<Merged, PatchError> {
    let key = rule.merge_key;
    if key.is_empty() {
        let text = "cannot merge lists without merge key for struct";
        return Err(PatchError::Unmergeable(text.into()));
    }
    let mut live = LiveKeys::of(&original, key);
    let (special, mut changes): (Vec<_>, Vec<_>) =
        patch.into_iter().partition(|item| item.get(DIRECTIVE).is_some());
    let mut replace = false;
    for item in &special {
        match item.get(DIRECTIVE).and_then(Value::as_str) {
            Some("delete") => {
                let value = key_of(item, key)?;
                original.retain(|item| item.get(key) != Some(value));
                live.delete(value);
            }
            Some("replace") => replace = true,
            Some("merge") => {
                let text = "merging lists cannot yet be specified in the patch";
                return Err(PatchError::Unmergeable(text.into()));
            }
            _ => return Err(unknown_directive(&item[DIRECTIVE], object(item)?)),
        }
    }
    if replace {
        original = std::mem::take(&mut changes);
    }
    let patch_keys = keys_of(&changes, key)?;
    let mut order = keys_of(&original, key)?;
    let known = order.len();
    for (change, value) in changes.into_iter().zip(&patch_keys) {
        match position(&order, value) {
            Some(at) => {
                let (current, change) = (into_object(original[at].take())?, into_object(change)?);
                original[at] = Value::Object(merge_objects(current, change, rule.item())?);
            }
            None => {
                live.append(value);
                order.push(value.clone());
                original.push(change);
            }
        }
    }
    order.truncate(known);
    let items = keys_of(&original, key)?.into_iter().zip(original).collect();
    Ok(Merged { items: arrange(items, &patch_keys, &order), live_keys: live.keys })
}

/// The keys of the live list, as an order by `$setElementOrder` sees them afterwards.
///
/// Upstream merges in the memory of the live list and looks at that again for the order: what items are deleted
/// moves the others up, and what is added takes the places that became free. Whether an added item comes before or
/// after one that only the server has depends on it, so it is repeated here.
struct LiveKeys {
    keys: Vec<Value>,
    used: usize,
}

impl LiveKeys {
    fn of(items: &[Value], merge_key: &str) -> LiveKeys {
        let keys: Vec<Value> = items.iter().map(|i| i.get(merge_key).cloned().unwrap_or_default()).collect();
        LiveKeys { used: keys.len(), keys }
    }

    fn delete(&mut self, key: &Value) {
        while let Some(at) = position(&self.keys[..self.used], key) {
            for i in at..self.used - 1 {
                self.keys[i] = self.keys[i + 1].clone();
            }
            self.used -= 1;
        }
    }

    fn append(&mut self, key: &Value) {
        if let Some(free) = self.keys.get_mut(self.used) {
            *free = key.clone();
            self.used += 1;
        }
    }
}

/// Go's name for the type of all items of the lists, which must be one, and none of lists.
fn element_kind(lists: [&[Value]; 2]) -> Result<&'static str, PatchError> {
    let mut items = lists.into_iter().flatten();
    let Some(first) = items.next() else {
        return Err(PatchError::Unmergeable("no elements in any of the given slices".into()));
    };
    let kind = go_type(first);
    if first.is_array() {
        return Err(PatchError::Failed("lists of lists are not supported".into()));
    }
    if items.any(|item| go_type(item) != kind) {
        let lists = lists.map(go::plain_list).join(" ");
        return Err(PatchError::Unmergeable(format!("list element types are not identical: [{lists}]")));
    }
    Ok(kind)
}

/// What tells an item apart: the value of its merge key, or itself where there is no merge key.
fn key_of<'a>(item: &'a Value, merge_key: &str) -> Result<&'a Value, PatchError> {
    if merge_key.is_empty() && !item.is_object() {
        return Ok(item);
    }
    let map = object(item)?;
    map.get(merge_key).ok_or_else(|| {
        let shown = go::plain_map(map);
        PatchError::Unmergeable(format!("map: {shown} does not contain declared merge key: {merge_key}"))
    })
}

fn keys_of(items: &[Value], merge_key: &str) -> Result<Vec<Value>, PatchError> {
    items.iter().map(|item| key_of(item, merge_key).cloned()).collect()
}

fn object(value: &Value) -> Result<&Object, PatchError> {
    value.as_object().ok_or_else(|| wrong_type("map[string]interface {}", value))
}

fn into_object(value: Value) -> Result<Object, PatchError> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(wrong_type("map[string]interface {}", &other)),
    }
}

fn list(value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(wrong_type("[]interface {}", &other)),
    }
}

fn wrong_type(expected: &str, actual: &Value) -> PatchError {
    PatchError::Unmergeable(format!("expected a {expected}, but received a {}", go_type(actual)))
}

fn unknown_directive(directive: &Value, map: &Object) -> PatchError {
    let shown = if directive.is_null() { go_type(directive).to_owned() } else { go::plain(directive) };
    PatchError::Unmergeable(format!("unknown patch type: {shown} in map: {}", go::plain_map(map)))
}

/// The name of a value's type, as Go's `%s` shows it for null too.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        other => go::type_name(other),
    }
}

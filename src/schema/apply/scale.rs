//! Who owns the replicas: managed fields between an object and its Scale
//! (k8s.io/apimachinery/pkg/util/managedfields/scalehandler.go).
//!
//! A Scale is not stored, so that who scaled what is written down in the object: an owner of its replicas is an owner
//! of the Scale's, and the other way round.

use super::managed::{self, Entry, Owner, Owners};
use super::set::Set;
use alcove_object::Value;
use std::borrow::Cow;

/// The version that a Scale's owners name fields in.
const SCALE: &str = "autoscaling/v1";
/// The replicas in a Scale.
const SCALE_REPLICAS: &str = "spec.replicas";

/// Where a kind has its replicas.
#[derive(Clone, Copy, Debug)]
pub struct Replicas<'a> {
    /// The dotted path in the object, such as `spec.replicas`.
    pub path: &'a str,
    /// The `apiVersion` of the request.
    pub api_version: &'a str,
    /// Every `apiVersion` that the kind is served in: entries of others are dropped.
    pub served: &'a [String],
}

impl Replicas<'_> {
    /// Writes into a Scale who owns the replicas of the object.
    pub fn to_scale(&self, object: &Value, scale: &mut Value) {
        let mut owners = Owners::read(Some(object)).unwrap_or_default();
        owners.entries.retain(|entry| self.is_served(entry) && has(&entry.fields, self.path));
        for entry in &mut owners.entries {
            entry.owner = self.in_scale(&entry.owner);
            entry.api_version = Cow::Borrowed(SCALE);
            entry.fields = Set::from_fields([SCALE_REPLICAS]);
        }
        owners.join_same();
        managed::put(scale, owners.write());
    }

    /// Writes into the object who owns its replicas after a write to its Scale: whoever the Scale does not name any
    /// more loses them.
    pub fn to_object(&self, scale: &Value, object: &mut Value) {
        let mut theirs = Owners::read(Some(scale)).unwrap_or_default();
        let mut owners = Owners::read(Some(object)).unwrap_or_default();
        owners.entries.retain(|entry| self.is_served(entry));
        for entry in owners.entries.iter_mut().filter(|entry| has(&entry.fields, self.path)) {
            let known = self.in_scale(&entry.owner);
            match theirs.entries.iter().position(|other| other.owner == known) {
                Some(at) => {
                    theirs.entries.remove(at);
                }
                None => {
                    let fields = std::mem::take(&mut entry.fields);
                    entry.fields = fields.difference(&Set::from_fields([self.path]));
                }
            }
        }
        owners.drop_empty();
        for entry in theirs.entries.into_iter().filter(|entry| has(&entry.fields, SCALE_REPLICAS)) {
            owners.entries.push(Entry {
                owner: self.renamed(&entry.owner, self.api_version),
                api_version: Cow::Borrowed(self.api_version),
                time: entry.time,
                fields: Set::from_fields([self.path]),
                is_applied: false,
            });
        }
        owners.join_same();
        let owners = owners.write();
        managed::put(object, owners);
    }

    fn is_served(&self, entry: &Entry<'_>) -> bool {
        self.served.iter().any(|version| *version == entry.api_version)
    }

    fn in_scale<'o>(&self, owner: &Owner<'o>) -> Owner<'o> {
        self.renamed(owner, SCALE)
    }

    /// The same owner in another version; applies have none.
    fn renamed<'o>(&self, owner: &Owner<'o>, version: &str) -> Owner<'o> {
        let mut owner = owner.clone();
        if !owner.api_version.is_empty() {
            owner.api_version = Cow::Owned(version.to_owned());
        }
        owner
    }
}

fn has(fields: &Set<'_>, path: &str) -> bool {
    Set::from_fields([path]).is_subset(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVED: [&str; 1] = ["apps/v1"];

    fn entry(manager: &str, operation: &str, version: &str, subresource: &str, fields: Value) -> Value {
        let mut entry = json!({
            "manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1",
            "time": "2026-01-01T00:00:00Z", "fieldsV1": fields,
        });
        if !subresource.is_empty() {
            entry["subresource"] = subresource.into();
        }
        entry
    }

    fn owned(entries: &[Value]) -> Value {
        json!({"metadata": {"managedFields": entries}})
    }

    fn replicas() -> Value {
        json!({"f:spec": {"f:replicas": {}}})
    }

    fn with_replicas<T>(test: impl FnOnce(Replicas<'_>) -> T) -> T {
        let served = SERVED.map(str::to_owned);
        test(Replicas { path: "spec.replicas", api_version: "apps/v1", served: &served })
    }

    #[test]
    fn owners_of_replicas_own_the_scale() {
        let more = json!({"f:spec": {"f:replicas": {}, "f:selector": {}}});
        let object = owned(&[
            entry("a", "Apply", "apps/v1", "", more),
            entry("b", "Update", "apps/v1", "scale", replicas()),
            entry("c", "Update", "apps/v1", "", json!({"f:spec": {"f:selector": {}}})),
            entry("d", "Update", "apps/v1beta9", "", replicas()),
        ]);
        let mut scale = json!({"metadata": {}});
        with_replicas(|replicas| replicas.to_scale(&object, &mut scale));
        let expected = owned(&[
            entry("a", "Apply", SCALE, "", replicas()),
            entry("b", "Update", SCALE, "scale", replicas()),
        ]);
        assert_eq!(scale, expected);
    }

    #[test]
    fn replicas_change_hands() {
        let selector = json!({"f:spec": {"f:selector": {}}});
        let both = json!({"f:spec": {"f:replicas": {}, "f:selector": {}}});
        for (before, scale, after) in [
            // Somebody else takes them.
            (
                vec![entry("a", "Apply", "apps/v1", "", both.clone())],
                vec![entry("b", "Update", SCALE, "scale", replicas())],
                vec![
                    entry("a", "Apply", "apps/v1", "", selector.clone()),
                    entry("b", "Update", "apps/v1", "scale", replicas()),
                ],
            ),
            // Nothing changes, for updates too.
            (
                vec![entry("a", "Update", "apps/v1", "", both.clone())],
                vec![entry("a", "Update", SCALE, "", replicas())],
                vec![entry("a", "Update", "apps/v1", "", both.clone())],
            ),
            // Two own them.
            (
                vec![entry("a", "Apply", "apps/v1", "", both.clone())],
                vec![
                    entry("a", "Apply", SCALE, "", replicas()),
                    entry("b", "Apply", SCALE, "scale", replicas()),
                ],
                vec![
                    entry("a", "Apply", "apps/v1", "", both.clone()),
                    entry("b", "Apply", "apps/v1", "scale", replicas()),
                ],
            ),
            // Nobody does any more, and whoever had nothing else is gone; so are versions that are not served.
            (
                vec![
                    entry("a", "Apply", "apps/v1", "", replicas()),
                    entry("b", "Update", "apps/v0", "", selector.clone()),
                    entry("c", "Update", "apps/v1", "", selector.clone()),
                ],
                vec![],
                vec![entry("c", "Update", "apps/v1", "", selector.clone())],
            ),
        ] {
            let mut object = owned(&before);
            with_replicas(|replicas| replicas.to_object(&owned(&scale), &mut object));
            assert_eq!(object, owned(&after));
        }
    }
}

//! How much a tenant may keep in its own store. Host quotas do not cover it: a million ConfigMaps that no pod uses never
//! reach the host, and would fill the memory and disk that the platform team gave the tenant.

use super::{Admission, Admitting, Attributes};
use crate::request::Verb;
use alcove_object::Status;
use alcove_store::{Store, Usage};

/// Tables that do not count: events go by themselves, and must be told where a limit is reached.
const EXEMPT: [&str; 1] = ["events"];
/// What is there may still grow until this many parts of a hundred of the bytes are in use, so that controllers can go on
/// saying how things are when nothing new fits.
const GROWTH_PERCENT: u64 = 110;

/// What may be kept. 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLimits {
    /// Objects.
    pub objects: u64,
    /// Bytes of all objects.
    pub bytes: u64,
}

/// Refuses what does not fit: 403, as a ResourceQuota would. Deleting is always allowed.
pub struct StoreQuota {
    store: Store,
    limits: StoreLimits,
}

impl StoreQuota {
    /// A step that looks at how full this store is.
    pub fn new(store: Store, limits: StoreLimits) -> StoreQuota {
        StoreQuota { store, limits }
    }

    fn judge(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if self.limits == StoreLimits::default() {
            return Ok(());
        }
        let resource = attributes.resource;
        let is_new = attributes.verb == Verb::Create && attributes.subresource.is_empty();
        let is_stored = resource.verbs.has(Verb::List);
        if !is_stored || EXEMPT.contains(&&*resource.table) || !is_new && attributes.old.is_none() {
            return Ok(());
        }
        let full = if is_new { broken(self.limits, self.usage()) } else { self.outgrown(attributes) };
        let Some(what) = full else { return Ok(()) };
        let why = format!(
            "exceeded quota of this cluster: {what}; delete what is not needed, or ask the platform team for more"
        );
        Err(Status::forbidden(&resource.gvr.group, &resource.gvr.resource, attributes.name, &why))
    }

    fn usage(&self) -> Usage {
        self.store.usage(&EXEMPT)
    }

    /// Why nothing may grow any more.
    fn ungrown(&self) -> Option<String> {
        let bytes = self.limits.bytes / 100 * GROWTH_PERCENT;
        broken(StoreLimits { objects: 0, bytes }, self.usage())
    }

    /// Why an object may not grow any more. One that shrinks always may.
    fn outgrown(&self, attributes: &Attributes<'_>) -> Option<String> {
        let full = self.ungrown()?;
        let size = |object: &alcove_object::Value| object.to_string().len();
        let before = attributes.old.map_or(0, size);
        (size(attributes.object) > before).then_some(full)
    }
}

/// Which limit is reached.
fn broken(limits: StoreLimits, usage: Usage) -> Option<String> {
    let reached = |limit: u64, used: u64| limit != 0 && used >= limit;
    if reached(limits.objects, usage.objects) {
        return Some(format!("{} objects of {}", usage.objects, limits.objects));
    }
    reached(limits.bytes, usage.bytes).then(|| format!("{} bytes of {}", usage.bytes, limits.bytes))
}

impl Admission for StoreQuota {
    fn name(&self) -> &'static str {
        "StoreQuota"
    }

    // They count when an object's size does.
    fn reads_owners(&self) -> bool {
        self.limits.bytes != 0 && self.ungrown().is_some()
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.judge(attributes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_reached_by_objects_or_by_bytes() {
        let limits = StoreLimits { objects: 2, bytes: 100 };
        let cases = [
            (1, 99, None),
            (2, 0, Some("2 objects of 2")),
            (0, 100, Some("100 bytes of 100")),
            (3, 300, Some("3 objects of 2")),
        ];
        for (objects, bytes, expected) in cases {
            assert_eq!(broken(limits, Usage { objects, bytes }).as_deref(), expected);
        }
        assert_eq!(broken(StoreLimits::default(), Usage { objects: 1 << 40, bytes: 1 << 40 }), None);
    }
}

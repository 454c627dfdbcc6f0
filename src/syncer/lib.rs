//! Tenant objects to host objects and back.
//!
//! [`translate`] says what belongs where; it is pure. The engine around it watches both sides, holds each key once, and
//! writes to the host by server-side apply with field manager `alcove`.
//!
//! **Invariants.** Every synced field has one owner, the tenant or the host. A host object is written or deleted only if
//! its ownership annotations name this tenant's object; nothing else in the host namespace is ever touched, and nothing
//! is left behind. A host object deleted by hand comes back. From the host only pruned metadata and digests are kept.
//! This room must not know HTTP serving or storage; it speaks to the tenant through the in-process client and to the
//! host through the crate `kube`.

pub mod translate;

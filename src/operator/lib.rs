//! Virtual clusters as objects of a host. [`provision`] says which objects one is made of; the CLI applies them, and the
//! chart in `manifests/chart` renders the same ones.
//!
//! **Invariants.** What a tenant is made of follows from its release alone: no clock, no randomness, no look at a host.
//! The chart and this room give equal objects for equal values. This room must not know how a tenant works inside.

pub mod provision;

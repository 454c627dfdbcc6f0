//! API priority and fairness: who waits when more is asked than the server works on at once
//! (k8s.io/apiserver/pkg/util/flowcontrol).
//!
//! A [`Gate`] holds the server's seats. Every request is classified by the first flow schema that it matches
//! ([`matching`]) and takes seats of that schema's priority level; while there are none it stands in one of the level's
//! queues ([`queues`]) or is turned away. [`seats`] says who may have the next seat. [`Flows`] follows the objects of the
//! two kinds, keeps those that every cluster has ([`bootstrap`]), and tells in each schema whether its level is there.
//!
//! A level may always have what it does not lend, and beyond that what others lend and do not use at that moment. Who
//! is served is decided when a seat is asked for or comes back; upstream takes stock every ten seconds.
//!
//! **Invariants.** Whoever is below what its level never lends takes its seats without a lock. Nothing runs while nobody
//! asks. This room knows of no kind but FlowSchema and PriorityLevelConfiguration, and nothing of HTTP but two headers.

pub mod bootstrap;
mod controller;
mod gate;
mod matching;
mod queues;
mod seats;
#[cfg(test)]
mod tests;

pub use controller::Flows;
pub use gate::{Gate, Permit, Rejection};
pub use matching::Schema;

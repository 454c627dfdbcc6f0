//! The syncer between two API servers of our own. One module per subject; each test ends with what must hold: the host
//! has exactly the translation of the tenant's objects.

#![allow(clippy::unwrap_used)] // in tests a panic is the failure

mod addresses;
mod costs;
mod endpoints;
mod host_trouble;
mod kinds;
mod lifecycle;
mod ownership;
mod pods;
mod policies;
mod refusals;
mod storage;
mod streams;
mod support;
mod surroundings;
mod tenants;
mod tokens;

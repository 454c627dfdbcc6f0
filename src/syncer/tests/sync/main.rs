//! The syncer between two API servers of our own. One module per subject; each test ends with what must hold: the host
//! has exactly the translation of the tenant's objects.

mod addresses;
mod host_trouble;
mod kinds;
mod lifecycle;
mod ownership;
mod refusals;
mod support;
mod tenants;

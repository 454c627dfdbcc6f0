//! API aggregation: groups that another server serves, named by an APIService (k8s.io/kube-aggregator).
//!
//! [`Aggregation`] keeps an APIService for every group-version that this server serves itself ([`local`]), and for those
//! of others finds out whether they answer ([`availability`], [`probe`]). What they serve becomes [`Remote`]s in the
//! registry, beside the resources: requests for them are passed on ([`proxy`]), discovery and OpenAPI tell of them, and
//! controllers read from them ([`read`]).
//!
//! **Invariants.** What this server serves without definitions is served by nobody else. Another server learns who asks
//! from headers that only we can send, by a certificate of an authority that exists for nothing else ([`FrontProxy`]); it
//! never sees a client's credentials. No redirect is passed on. Nothing is asked for unless there is an APIService with
//! a service.

mod availability;
mod controller;
pub(crate) mod document;
pub(crate) mod local;
mod probe;
pub mod proxy;
pub(crate) mod read;
mod remote;

pub use controller::Aggregation;
pub use read::Place;
pub use remote::{FrontProxy, Remote};

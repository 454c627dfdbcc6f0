//! The whole product, from outside: the real binary, driven by the real kubectl and helm, by kube-rs and by raw HTTPS.
//!
//! One binary, because linking one is what tests wait for. Each module is a subject. What kubectl and helm users type
//! and see is data: see `transcripts/`. Tests share one running `alcove dev` where they can and work in namespaces of
//! their own; nothing here sleeps for luck or tries again: what takes its time is waited for by its condition.

mod aggregation;
mod api;
mod architecture;
mod bad_input;
mod certificates;
mod clients;
mod daemons;
mod dev;
mod dns;
mod durability;
mod flow;
mod harness;
mod helm;
mod informer;
mod kubectl;
mod media;
mod process;
mod provision;
mod tenants;
mod versions;

//! The strategies: what is special about single kinds.

pub(super) mod access;
pub(crate) mod certificates;
pub(super) mod cluster;
pub(super) mod config;
pub(super) mod cron_job;
pub(super) mod definition;
pub(super) mod events;
pub(super) mod forms;
pub(super) mod job;
pub(super) mod pod;
pub(super) mod quota;
pub(super) mod ruled;
pub(crate) mod scaling;
pub(super) mod service;
pub(super) mod sets;
pub(super) mod workload;

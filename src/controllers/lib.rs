//! What kube-controller-manager does, in process: reconcilers that make the state asked for true.
//!
//! A reconciler is a function from a key to a set of writes. It watches keys, not objects: when one changes it reads
//! the API server's shared bytes through the in-process client, parses what it needs, compares, writes, and forgets
//! everything again but its index of keys. [`runtime`] is the one engine under all of them, and under the syncer and
//! the simulated nodes too.
//!
//! **Invariants.** No object is held twice. Nothing polls: an idle reconciler waits on its watches and on due times.
//! Every write is safe to repeat, so a reconciler may be cut off anywhere. This room must not know HTTP, storage or a
//! host cluster; it speaks to the API server as any client does.

pub mod deployment;
pub mod events;
pub mod garbage;
pub mod namespace;
pub mod pods;
pub mod presence;
pub mod replica_set;
pub mod runtime;

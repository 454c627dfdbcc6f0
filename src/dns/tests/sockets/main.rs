//! The DNS server over real sockets on loopback, in front of a server in memory and of resolvers that misbehave.

mod cluster;
mod garbage;
mod limits;
mod support;
mod world;

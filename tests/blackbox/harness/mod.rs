//! What every subject needs: a running alcove, raw HTTPS to it, real clients, and waiting for conditions.

pub mod certificates;
pub mod fits;
pub mod http;
pub mod random;
pub mod server;
pub mod session;
pub mod tools;
pub mod transcript;
pub mod wait;
pub mod wardle;

pub use fits::assert_fits;
pub use http::{Answer, Api};
pub use server::{Server, shared};
pub use wait::eventually;

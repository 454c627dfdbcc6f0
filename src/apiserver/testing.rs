//! For tests of this room and of those that stand on it: a world that replays from a seed, and a server in memory.

pub mod front;
#[cfg(test)]
pub(crate) mod webhook;

use crate::admission::{Admission, NamespaceLifecycle};
use crate::authn::{ServiceAccountTokens, SigningKeys};
use crate::authorization::AlwaysAllow;
use crate::certs::Authority;
use crate::registry::Resource;
use crate::server::{ApiServer, Server, ServerConfig};
use alcove_object::Env;
use alcove_schema::Minor;
use alcove_store::{Config, Medium, Store};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// An authority that is kept nowhere.
pub fn authority() -> Arc<Authority> {
    let now = TestEnv::new(0).now();
    Arc::new(Authority::generate(now).expect("ring makes keys"))
}

/// A clock that stands still until it is moved, and numbers that follow from a seed.
#[derive(Debug)]
pub struct TestEnv {
    state: Mutex<(Timestamp, u64)>,
}

impl TestEnv {
    /// A world that begins at 2026-11-21T09:30:00Z.
    pub fn new(seed: u64) -> TestEnv {
        let start = Timestamp::new(1_795_253_400, 0).expect("a time in this century");
        TestEnv { state: Mutex::new((start, seed)) }
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: i64) {
        let mut state = self.state.lock();
        state.0 += SignedDuration::from_secs(seconds);
    }
}

impl Env for TestEnv {
    fn now(&self) -> Timestamp {
        self.state.lock().0
    }

    /// SplitMix64.
    fn random(&self) -> u64 {
        let mut state = self.state.lock();
        state.1 = state.1.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state.1;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A store that keeps nothing.
pub fn memory_store() -> Store {
    let config = Config {
        medium: Medium::Memory,
        history: Duration::from_secs(300),
        history_bytes_max: 64 * 1024 * 1024,
    };
    Store::open(config).expect("memory opens")
}

/// A server over memory that lets everybody do everything and knows these resources, with NamespaceLifecycle as its
/// only admission step. Must be called inside a tokio runtime.
pub fn server(resources: Vec<Arc<Resource>>, env: Arc<TestEnv>) -> Server {
    server_with(resources, env, |_| Vec::new())
}

/// The same with more admission steps, which are made with its store.
pub fn server_with(
    resources: Vec<Arc<Resource>>,
    env: Arc<TestEnv>,
    steps: impl FnOnce(&Store) -> Vec<Arc<dyn Admission>>,
) -> Server {
    let store = memory_store();
    let mut admission: Vec<Arc<dyn Admission>> = vec![Arc::new(NamespaceLifecycle::new(store.clone()))];
    admission.extend(steps(&store));
    let keys = SigningKeys::generate().expect("a key can be made");
    let tokens = ServiceAccountTokens::new(keys, store.clone(), env.clone());
    ApiServer::new(ServerConfig {
        minor: Minor::DEFAULT,
        env,
        store,
        resources,
        admission,
        authorizer: Arc::new(AlwaysAllow),
        connector: None,
        tokens: Some(Arc::new(tokens)),
    })
}

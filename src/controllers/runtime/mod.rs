//! The engine under every reconciler: watches turn into keys, keys wait in a queue that holds each once, workers
//! take them, failures come back with growing delays.

mod facts;
mod feeds;
mod queue;
mod skim;
mod watch;

pub use facts::{Facts, OwnerReference};
pub use feeds::Feeds;
pub use queue::Queue;
pub use skim::skim;
pub use watch::{Listener, Mapper, Shared, Source, by_key, feed};

use alcove_apiserver::Client;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What a key stands for: `namespace/name`, or the name of a cluster-scoped object.
pub type Key = Arc<str>;

/// Splits a key into namespace (empty for cluster-scoped objects) and name.
pub fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

/// Joins namespace and name into a key.
pub fn join(namespace: &str, name: &str) -> Key {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

/// What a reconciler asks for after it did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the next change brings the key back.
    Done,
    /// The key again after this time (a day at most), whatever changes until then.
    After(Duration),
}

/// Why a key could not be reconciled. It is logged, and the key is tried again after a growing delay.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A function from a key to a set of writes.
pub trait Reconciler: Send + Sync + 'static {
    /// Name for logs and for the user agent of its writes, upstream's where there is one.
    fn name(&self) -> &'static str;

    /// How many keys are worked on at once. The same key is never worked on twice at once.
    fn workers(&self) -> usize {
        2
    }

    /// Makes what the key stands for as it should be. Must be safe to repeat and to cut off.
    fn reconcile(&self, key: &Key) -> impl Future<Output = Result<Next, Failure>> + Send;
}

/// Runs a reconciler until the set of tasks is dropped: one task per watched resource, one per worker.
///
/// `queue` is the caller's, so that a reconciler can put keys into it by itself.
pub fn start<R: Reconciler>(
    tasks: &mut JoinSet<()>,
    reconciler: Arc<R>,
    client: &Client,
    queue: &Arc<Queue>,
    sources: Vec<Source>,
) {
    let mut watches = Shared::default();
    watches.add(reconciler.name(), queue, sources);
    watches.start(tasks, client);
    start_workers(tasks, reconciler, queue);
}

/// Runs a reconciler whose watches are started elsewhere until the set of tasks is dropped.
pub fn start_workers<R: Reconciler>(tasks: &mut JoinSet<()>, reconciler: Arc<R>, queue: &Arc<Queue>) {
    for _ in 0..reconciler.workers() {
        tasks.spawn(work(reconciler.clone(), queue.clone()));
    }
}

/// What a worker needs of a reconciler, so that all reconcilers share one worker.
trait Work: Send + Sync {
    fn name(&self) -> &'static str;

    /// Boxed, so that a worker that waits takes no room for the work.
    fn begin<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Next, Failure>>;
}

impl<R: Reconciler> Work for R {
    fn name(&self) -> &'static str {
        Reconciler::name(self)
    }

    fn begin<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Next, Failure>> {
        Box::pin(self.reconcile(key))
    }
}

async fn work(reconciler: Arc<dyn Work>, queue: Arc<Queue>) {
    loop {
        let key = queue.next().await;
        // What begins the work may panic as the work may.
        let work = AssertUnwindSafe(async { reconciler.begin(&key).await }).catch_unwind();
        let (result, busy) = timed(work).await;
        // A panic is one key's failure, not the end of its worker.
        match result.unwrap_or_else(|_| Err("the reconciler panicked".into())) {
            Ok(next) => queue.finish(&key, next, busy),
            Err(failure) => {
                let delay = queue.fail(&key);
                tracing::debug!(controller = reconciler.name(), %key, error = %failure, ?delay, "will try again");
            }
        }
    }
}

/// Runs a future; gives its result, and how long it was worked on, waits left out.
async fn timed<F: Future>(future: F) -> (F::Output, Duration) {
    let mut future = pin!(future);
    let mut busy = Duration::ZERO;
    let result = poll_fn(|context| {
        let begun = Instant::now();
        let polled = future.as_mut().poll(context);
        busy += begun.elapsed();
        polled
    });
    (result.await, busy)
}

//! Whether anybody uses a connection. Without an end to idle ones, whoever reaches the port could open as many as are
//! allowed, and lock everybody else out without ever proving who they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What is going on on one connection.
#[derive(Debug, Default)]
pub struct Activity {
    /// Requests under way: being answered, or answered to somebody who was let in and is still reading.
    requests: AtomicUsize,
    /// Something began or ended since the last look.
    moved: AtomicBool,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Activity {
    /// A request begins.
    pub fn begin(self: &Arc<Activity>) -> Busy {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.moved.store(true, Ordering::Release);
        Busy(self.clone())
    }

    /// Waits until no request was under way for this long; at the latest says so after twice the time. A request costs
    /// no timer: whoever waits looks once in a while.
    pub async fn idle_for(&self, time: Duration) {
        loop {
            tokio::time::sleep(time).await;
            let moved = self.moved.swap(false, Ordering::AcqRel);
            if !moved && self.requests.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.moved.store(true, Ordering::Release);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const LIMIT: Duration = Duration::from_secs(90);

    async fn until_idle(activity: &Activity) -> Duration {
        let begin = Instant::now();
        activity.idle_for(LIMIT).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_idle() {
        assert_eq!(until_idle(&Activity::default()).await, LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_counts_from_its_end() {
        let activity = Arc::new(Activity::default());
        drop(activity.begin());
        assert_eq!(until_idle(&activity).await, 2 * LIMIT);
        let watch = activity.begin();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            drop(watch);
        });
        assert_eq!(until_idle(&activity).await, Duration::from_secs(90 * 13));
    }
}

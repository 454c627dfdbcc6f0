//! Whether anybody uses a connection. Without an end to idle ones, whoever reaches the port could open as many as are
//! allowed, and lock everybody else out without ever proving who they are. Without an end to those whose client reads
//! nothing, each would hold what waits for it for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is going on on one connection.
#[derive(Debug, Default)]
pub struct Activity {
    /// Requests under way: being answered, or answered to somebody who was let in and is still reading.
    requests: AtomicUsize,
    /// Something began or ended since the last look.
    moved: AtomicBool,
    /// What is to be written waits until the client has read.
    waiting: AtomicBool,
    /// The client has taken something since the last look.
    taken: AtomicBool,
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

    /// Waits until no request was under way for `idle`, or until the client has read nothing of what waits for it for
    /// `stalled`; says so later by the shorter of both at the latest. Neither requests nor writes cost a timer: whoever
    /// waits looks once in a while.
    pub async fn abandoned(&self, idle: Duration, stalled: Duration) {
        let step = idle.min(stalled);
        let (mut quiet, mut stuck) = (Duration::ZERO, Duration::ZERO);
        while quiet < idle && stuck < stalled {
            tokio::time::sleep(step).await;
            let moved = self.moved.swap(false, Ordering::AcqRel);
            let is_quiet = !moved && self.requests.load(Ordering::Acquire) == 0;
            quiet = if is_quiet { quiet + step } else { Duration::ZERO };
            let taken = self.taken.swap(false, Ordering::AcqRel);
            let is_stuck = !taken && self.waiting.load(Ordering::Acquire);
            stuck = if is_stuck { stuck + step } else { Duration::ZERO };
        }
    }

    fn wrote<T>(&self, written: Poll<T>) -> Poll<T> {
        self.waiting.store(written.is_pending(), Ordering::Release);
        if written.is_ready() {
            self.taken.store(true, Ordering::Release);
        }
        written
    }
}

/// A stream whose writes are noted in the connection's activity.
pub struct Noted<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Noted<S> {
    /// Notes in `activity` what becomes of writes to the stream.
    pub fn new(stream: S, activity: Arc<Activity>) -> Noted<S> {
        Noted { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.activity.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // Flushing is tried again and again where nothing is left to write: only that it waits says anything.
        if flushed.is_pending() { self.activity.wrote(flushed) } else { flushed }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    const LIMIT: Duration = Duration::from_secs(90);

    async fn until_idle(activity: &Activity) -> Duration {
        let begin = Instant::now();
        activity.abandoned(LIMIT, 10 * LIMIT).await;
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

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_stalled_and_who_reads_little_is_not() {
        let activity = Arc::new(Activity::default());
        let _watch = activity.begin();
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = Noted::new(near, activity.clone());
        tokio::spawn(async move { near.write_all(&[7; 1000]).await });
        let begin = Instant::now();
        let reading = async {
            for _ in 0..20 {
                tokio::time::sleep(5 * LIMIT).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = activity.abandoned(LIMIT, 10 * LIMIT) => {}
            () = reading => {}
        }
        let since_the_last_byte = begin.elapsed() - 100 * LIMIT;
        assert!(
            since_the_last_byte >= 10 * LIMIT && since_the_last_byte <= 12 * LIMIT,
            "{since_the_last_byte:?}"
        );
    }
}

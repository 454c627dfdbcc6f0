//! Bytes both ways between a client and the host, once both speak something that is not HTTP.
//!
//! Each direction reads only when what it read before is gone, so a slow reader slows its writer down. One side may stop
//! writing and go on reading; it is given that long as the other has something to say. What either side says to end it
//! ends both.

use super::{Lease, headers};
use alcove_apiserver::rest::{HttpBody, no_body};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// A stream on which nobody says anything for so long is ended. Kubelets have the same limit.
pub const SILENCE_MAX: Duration = Duration::from_secs(4 * 60 * 60);
/// How long one side may still say nothing when the other has stopped.
const LINGER: Duration = Duration::from_secs(10);
/// How long both sides may take to become what they agreed on, and to take leave at the end.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes on their way in each direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// The client's answer to the host's 101; from then on bytes go both ways until one side or the syncer ends.
pub fn upgraded(client: Parts, host: Response<Incoming>, lease: Lease) -> Response<HttpBody> {
    let mut answer = Response::new(no_body());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = headers::of_upgrade(host.headers());
    tokio::spawn(hand_over(client, host, lease));
    answer
}

async fn hand_over(client: Parts, host: Response<Incoming>, mut lease: Lease) {
    let mut client = Request::from_parts(client, ());
    let both = futures_util::future::try_join(hyper::upgrade::on(&mut client), hyper::upgrade::on(host));
    let both = tokio::select! {
        both = tokio::time::timeout(HANDOVER_TIMEOUT, both) => both,
        () = lease.ended() => return,
    };
    match both {
        Ok(Ok((near, far))) => {
            relay(TokioIo::new(near), TokioIo::new(far), lease.ended()).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a stream ended before it began"),
        Err(_) => tracing::debug!("a stream did not begin in time"),
    }
    // Its places end here: with them `client` keeps those that the front gave.
    drop(client);
}

/// Copies both ways until both sides have stopped writing, one of them is gone, nobody says anything, or `ended`.
pub async fn relay<N, F>(near: N, far: F, ended: impl Future<Output = ()>)
where
    N: AsyncRead + AsyncWrite,
    F: AsyncRead + AsyncWrite,
{
    let ((mut near_reads, mut near_writes), (mut far_reads, mut far_writes)) =
        (tokio::io::split(near), tokio::io::split(far));
    let moved = Moved::new();
    let (mut open, mut patience) = (2, SILENCE_MAX);
    {
        let mut there = pin!(pipe(&mut near_reads, &mut far_writes, &moved));
        let mut back = pin!(pipe(&mut far_reads, &mut near_writes, &moved));
        let mut ended = pin!(ended);
        let (mut is_there, mut is_back) = (true, true);
        while open > 0 {
            let piped = tokio::select! {
                piped = &mut there, if is_there => { is_there = false; piped }
                piped = &mut back, if is_back => { is_back = false; piped }
                () = moved.silent_for(patience) => break,
                () = &mut ended => break,
            };
            // Who cannot be written to, or broke off, is gone: there is nobody left to relay for.
            if piped.is_err() {
                break;
            }
            moved.now();
            (open, patience) = (open - 1, LINGER);
        }
    }
    // Whoever is still there is told in order.
    let farewell = futures_util::future::join(near_writes.shutdown(), far_writes.shutdown());
    let _ = tokio::time::timeout(HANDOVER_TIMEOUT, farewell).await;
}

/// One direction, to the end of what is read.
async fn pipe(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moved: &Moved,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        moved.now();
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        moved.now();
    }
}

/// When bytes moved last.
struct Moved {
    begin: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

impl Moved {
    fn new() -> Moved {
        Moved { begin: Instant::now(), last: AtomicU64::new(0) }
    }

    fn now(&self) {
        let since = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Waits until nothing has moved for this long. Bytes cost no timer: it looks again when the time is over.
    async fn silent_for(&self, time: Duration) {
        loop {
            let due = self.begin + Duration::from_millis(self.last.load(Ordering::Relaxed)) + time;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    struct World {
        client: DuplexStream,
        host: DuplexStream,
        relay: JoinHandle<()>,
        end: Option<oneshot::Sender<()>>,
    }

    fn world(pipe_bytes: usize) -> World {
        let (client, near) = duplex(pipe_bytes);
        let (host, far) = duplex(pipe_bytes);
        let (end, ended) = oneshot::channel::<()>();
        let relay = tokio::spawn(relay(near, far, async { drop(ended.await) }));
        World { client, host, relay, end: Some(end) }
    }

    async fn read(from: &mut DuplexStream, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        from.read_exact(&mut buffer).await.unwrap();
        buffer
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_both_ways_at_once() {
        let mut world = world(1024);
        world.client.write_all(b"question").await.unwrap();
        assert_eq!(read(&mut world.host, 8).await, b"question");
        world.host.write_all(b"answer").await.unwrap();
        assert_eq!(read(&mut world.client, 6).await, b"answer");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_writing_may_still_read() {
        let World { mut client, mut host, relay, end: _end } = world(64);
        client.write_all(b"all of it").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        host.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "all of it");
        let answers = tokio::spawn(async move {
            for _ in 0..100 {
                tokio::time::sleep(LINGER / 2).await;
                host.write_all(b"more").await.unwrap();
            }
        });
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "more".repeat(100));
        answers.await.unwrap();
        relay.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn silence_after_one_side_stopped_ends_both() {
        for client_stops in [true, false] {
            let World { mut client, mut host, relay, end: _end } = world(64);
            if client_stops { &mut client } else { &mut host }.shutdown().await.unwrap();
            let begin = Instant::now();
            relay.await.unwrap();
            assert_eq!(begin.elapsed(), LINGER);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_gone_is_noticed_at_the_first_byte() {
        let World { client, mut host, relay, end: _end } = world(64);
        drop(client);
        host.write_all(b"are you there").await.unwrap();
        relay.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_borne_for_long() {
        let World { mut client, mut host, relay, end: _end } = world(64);
        tokio::time::sleep(SILENCE_MAX - Duration::from_secs(1)).await;
        client.write_all(b"a").await.unwrap();
        assert_eq!(read(&mut host, 1).await, b"a");
        let begin = Instant::now();
        relay.await.unwrap();
        assert_eq!(begin.elapsed(), SILENCE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_slows_the_writer_down() {
        let World { mut client, mut host, relay: _relay, end: _end } = world(64);
        let all = vec![7; 1024 * 1024];
        let written = tokio::spawn(async move {
            let mut written = 0;
            for piece in all.chunks(64) {
                match tokio::time::timeout(Duration::from_secs(5), host.write_all(piece)).await {
                    Ok(done) => done.unwrap(),
                    Err(_) => break,
                }
                written += piece.len();
            }
            (written, host)
        });
        let (written, _host) = written.await.unwrap();
        assert!(written <= BUFFER_BYTES + 4 * 64, "{written} bytes went to a client that reads nothing");
        assert_eq!(read(&mut client, written).await, vec![7; written]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_told_to_both() {
        let World { mut client, mut host, relay, end } = world(64);
        drop(end);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        host.read_to_end(&mut rest).await.unwrap();
        relay.await.unwrap();
        assert_eq!(rest, b"");
    }
}

//! Every limit of the HTTP front, with its unit and its answer.

use std::time::Duration;

/// Limits that a configuration may change. The rest are constants below.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; each costs about 30 KB. Past it: new ones are closed at once.
    pub connections_max: i64,
    /// Time for a request that neither watches nor connects. Past it: 504. `?timeout=` may ask for less.
    pub request: Duration,
    /// Time without a request under way on a connection. Past it, at the latest past twice of it: the connection is
    /// closed. Upstream's is as long.
    pub idle: Duration,
    /// Time in which a client reads nothing of what waits for it. Past it: the connection is closed. As long as a watch
    /// lasts that names no time, since whoever pipes one into a pager may be reading.
    pub stalled: Duration,
    /// How long a shutdown waits for requests under way. Past it: connections are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 4096,
            request: Duration::from_secs(60),
            idle: Duration::from_secs(90),
            stalled: Duration::from_secs(1800),
            drain: Duration::from_secs(20),
        }
    }
}

/// Requests that are worked on at once, but for those that nothing limits and those that may take as long as they like:
/// the seats that priority levels share. Past it: they wait or get 429. Upstream's defaults for reads and writes
/// together.
pub const REQUESTS_MAX: u32 = 600;
/// Part of a request's time that it may wait for a seat (k8s.io/apiserver/pkg/server/filters/priority-and-fairness.go).
pub const WAIT_PART: u32 = 4;
/// The longest time to wait for a seat. Past it: 429.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes of a request's body. Past it: 413.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Bytes that are read of a body beyond that, and dropped, so that its sender comes to read the answer; past it the
/// connection is cut.
pub const REFUSED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Time for a TLS handshake, and for the first byte of a connection. Past it: the connection is closed.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for a client to take leave when its idle connection is closed. Past it: the connection is cut.
pub const FAREWELL: Duration = Duration::from_secs(10);
/// Time for the head of an HTTP/1.1 request, idle time between requests included. Past it: the connection is closed.
pub const REQUEST_HEAD: Duration = Duration::from_secs(90);
/// Streams on one HTTP/2 connection: every informer of a process is one. Past it: the client waits.
pub const STREAMS_MAX: u32 = 1000;
/// Bytes of all headers of an HTTP/2 request. Past it: 431.
pub const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Bytes that a client may send on one HTTP/2 stream before we have read them.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes that a client may send on one HTTP/2 connection before we have read them: what each of its clients can make
/// the server hold.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes that one HTTP/2 stream holds for a client that does not read.
pub const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Idle time after which the kernel asks whether the client is still there.
pub const KEEPALIVE: Duration = Duration::from_secs(180);

//! Every limit of the HTTP front, with its unit and its answer.

use std::time::Duration;

/// Limits that a configuration may change. The rest are constants below.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests being answered that change something. Past it: 429, except for `system:masters`.
    pub mutating_max: i64,
    /// Requests being answered that only read, watches aside. Past it: 429, except for `system:masters`.
    pub read_only_max: i64,
    /// Open connections; each costs about 30 KB. Past it: new ones are closed at once.
    pub connections_max: i64,
    /// Time for a request that neither watches nor connects. Past it: 504. `?timeout=` may ask for less.
    pub request: Duration,
    /// Time without a request under way on a connection. Past it, at the latest past twice of it: the connection is
    /// closed. Upstream's is as long.
    pub idle: Duration,
    /// How long a shutdown waits for requests under way. Past it: connections are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            mutating_max: 200,
            read_only_max: 400,
            connections_max: 4096,
            request: Duration::from_secs(60),
            idle: Duration::from_secs(90),
            drain: Duration::from_secs(20),
        }
    }
}

/// Bytes of a request's body. Past it: 413.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
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

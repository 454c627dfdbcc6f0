//! Small writes of one moment leave as one: HTTP/2 flushes after every frame of data, and each would become a TLS record,
//! a system call and a packet of its own. A hundred watchers on four connections hear of a change in four packets.

use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait at most: more is sent at once, and the writer waits when the client does not take them.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// A stream that holds back what is flushed until its task is polled again, when everybody who had something to say at
/// that moment has said it. The task must read whenever it is polled, as that of an HTTP/2 connection does.
pub struct Coalesced<S> {
    stream: S,
    held: BytesMut,
    /// What is held was flushed and leaves with the next poll.
    is_due: bool,
    /// Whether anything is held back at all.
    is_lazy: bool,
}

impl<S: AsyncWrite + Unpin> Coalesced<S> {
    /// Holds back what is written if `is_lazy`; otherwise hands everything through.
    pub fn new(stream: S, is_lazy: bool) -> Coalesced<S> {
        Coalesced { stream, held: BytesMut::new(), is_due: false, is_lazy }
    }

    /// Hands over what is held.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        // Most connections are idle most of the time: they keep no room.
        self.held = BytesMut::new();
        self.is_due = false;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Makes room, if it must.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.len() < HELD_BYTES_MAX { Poll::Ready(Ok(())) } else { self.drain(cx) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_due
            && let Poll::Ready(Err(error)) = self.drain(cx)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_lazy {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        ready!(self.poll_room(cx))?;
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.is_lazy {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        }
        ready!(self.poll_room(cx))?;
        pieces.iter().for_each(|piece| self.held.extend_from_slice(piece));
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.is_lazy || self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Pin::new(&mut self.stream).poll_flush(cx);
        }
        if !self.is_due {
            self.is_due = true;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// A stream over a pipe, and its other end.
    fn pipe(is_lazy: bool) -> (Coalesced<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1 << 20);
        (Coalesced::new(near, is_lazy), far)
    }

    /// What has arrived at the other end.
    fn arrived(far: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let mut out = ReadBuf::new(&mut bytes);
        let _ = Pin::new(far).poll_read(&mut Context::from_waker(Waker::noop()), &mut out);
        out.filled().to_vec()
    }

    /// Polls once, as the connection's task does.
    fn poll(near: &mut Coalesced<DuplexStream>) {
        let mut out = [0; 16];
        let read =
            Pin::new(near).poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut out));
        assert!(read.is_pending(), "nobody has sent anything");
    }

    #[tokio::test]
    async fn what_is_flushed_leaves_together_with_the_next_poll() {
        let (mut near, mut far) = pipe(true);
        for word in ["a", "b", "c"] {
            near.write_all(word.as_bytes()).await.unwrap();
            near.flush().await.unwrap();
        }
        assert_eq!(arrived(&mut far), b"");
        poll(&mut near);
        assert_eq!(arrived(&mut far), b"abc");
        poll(&mut near);
        assert_eq!(arrived(&mut far), b"");
    }

    #[tokio::test]
    async fn nothing_is_held_unless_lazy() {
        let (mut near, mut far) = pipe(false);
        near.write_all(b"a").await.unwrap();
        assert_eq!(arrived(&mut far), b"a");
    }

    #[tokio::test]
    async fn little_is_held() {
        let (mut near, mut far) = pipe(true);
        let piece = vec![7; HELD_BYTES_MAX / 4 + 1];
        for _ in 0..5 {
            near.write_all(&piece).await.unwrap();
        }
        assert_eq!(arrived(&mut far).len(), piece.len() * 4);
        assert_eq!(near.held.len(), piece.len());
    }

    #[tokio::test]
    async fn a_shutdown_leaves_nothing_behind() {
        let (mut near, mut far) = pipe(true);
        near.write_all(b"goodbye").await.unwrap();
        near.flush().await.unwrap();
        near.shutdown().await.unwrap();
        let mut all = String::new();
        far.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "goodbye");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_stops_the_writer() {
        let (near, _far) = duplex(16);
        let mut near = Coalesced::new(near, true);
        let piece = vec![7; HELD_BYTES_MAX];
        near.write_all(&piece).await.unwrap();
        let write = Pin::new(&mut near).poll_write(&mut Context::from_waker(Waker::noop()), b"more");
        assert!(write.is_pending());
    }
}

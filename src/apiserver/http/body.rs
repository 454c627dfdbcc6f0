//! The body of an answer: pieces that exist already, chained and coalesced into chunks on their way out.
//!
//! A list is never built as a whole. Its items are slices that the store shares with everybody; they are copied once,
//! into a chunk that the connection can encrypt and send, when the client has taken what came before.

use super::pretty::Indenter;
use crate::rest::HttpBody;
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;
use hyper::body::{Frame, SizeHint};
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes in a chunk when pieces are small: one TLS record is 16 KiB, one system call should carry several.
const CHUNK_BYTES: usize = 64 * 1024;
/// Pieces from this size on are sent as they are, without a copy.
const WHOLE_PIECE_BYTES: usize = 16 * 1024;
/// Answers from this size on are compressed when the client takes gzip; below, it costs more than it saves.
pub const GZIP_FROM_BYTES: u64 = 128 * 1024;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Something that ends with the body, such as a place among the requests in flight.
pub type Guard = Box<dyn std::any::Any + Send>;

/// The body of an answer.
pub struct Body {
    source: Source,
    guard: Option<Guard>,
}

enum Source {
    Full(Bytes),
    Pieces(Box<Chunks>),
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
    Foreign(HttpBody),
}

/// Pieces and what happens to them on their way out.
pub struct Chunks {
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
    /// A piece that did not fit into the chunk before.
    held: Option<Bytes>,
    /// Bytes to come, when that is known.
    length: Option<u64>,
    pretty: Option<Indenter>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    ended: bool,
}

impl Body {
    /// No bytes.
    pub fn empty() -> Body {
        Body::full(Bytes::new())
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Body {
        Body { source: Source::Full(bytes.into()), guard: None }
    }

    /// These pieces, one after the other. `length`: their sum, when it is known.
    pub fn pieces(pieces: impl Iterator<Item = Bytes> + Send + 'static, length: Option<u64>) -> Body {
        let pieces = Box::new(pieces);
        let chunks = Chunks { pieces, held: None, length, pretty: None, gzip: None, ended: false };
        Body { source: Source::Pieces(Box::new(chunks)), guard: None }
    }

    /// Frames as they come, each sent at once.
    pub fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Body {
        Body { source: Source::Stream(Box::pin(stream)), guard: None }
    }

    /// A body that somebody else makes.
    pub fn foreign(body: HttpBody) -> Body {
        Body { source: Source::Foreign(body), guard: None }
    }

    /// The same body, which keeps something until it has been sent or dropped.
    pub fn guarded(mut self, guard: Guard) -> Body {
        self.guard = Some(guard);
        self
    }

    /// The same body, which keeps one more thing, if it keeps any: what is told to somebody who was not let in is not
    /// worth waiting for.
    pub fn with_guard(mut self, guard: Guard) -> Body {
        self.guard = self.guard.map(|first| -> Guard { Box::new((first, guard)) });
        self
    }

    /// The same JSON, indented.
    pub fn indented(self) -> Body {
        let Body { source, guard } = self.into_pieces();
        let Source::Pieces(mut chunks) = source else { return Body { source, guard } };
        chunks.pretty = Some(Indenter::default());
        chunks.length = None;
        Body { source: Source::Pieces(chunks), guard }
    }

    /// The same bytes, compressed as fast as gzip can.
    pub fn gzipped(self) -> Body {
        let Body { source, guard } = self.into_pieces();
        let Source::Pieces(mut chunks) = source else { return Body { source, guard } };
        chunks.gzip = Some(GzEncoder::new(Vec::new(), Compression::fast()));
        chunks.length = None;
        Body { source: Source::Pieces(chunks), guard }
    }

    /// The same bytes, as one when they turn out to be few although nobody knew.
    pub fn whole_if_small(self) -> Body {
        let Body { source, guard } = self;
        let mut chunks = match source {
            Source::Pieces(chunks) if chunks.length.is_none() => chunks,
            source => return Body { source, guard },
        };
        let mut first = BytesMut::new();
        while (first.len() as u64) < GZIP_FROM_BYTES {
            match chunks.next() {
                Some(chunk) => first.extend_from_slice(&chunk),
                None => return Body { guard, ..Body::full(first) },
            }
        }
        Body { guard, ..Body::pieces(std::iter::once(first.freeze()).chain(*chunks), None) }
    }

    fn into_pieces(self) -> Body {
        let Body { source: Source::Full(bytes), guard } = self else { return self };
        let length = Some(bytes.len() as u64);
        Body { guard, ..Body::pieces(std::iter::once(bytes), length) }
    }

    /// Whether compressing is worth it: the length is not known, or known to be large. [`Self::whole_if_small`] makes it
    /// known where it is small.
    pub fn is_large(&self) -> bool {
        match &self.source {
            Source::Full(bytes) => bytes.len() as u64 >= GZIP_FROM_BYTES,
            Source::Pieces(chunks) => chunks.length.is_none_or(|length| length >= GZIP_FROM_BYTES),
            Source::Stream(_) | Source::Foreign(_) => false,
        }
    }

    /// All bytes at once; for forms that cannot be streamed. Streams give nothing.
    pub fn collect(self) -> Vec<u8> {
        match self.source {
            Source::Full(bytes) => bytes.to_vec(),
            Source::Pieces(chunks) => chunks.flatten().collect(),
            Source::Stream(_) | Source::Foreign(_) => Vec::new(),
        }
    }
}

impl Chunks {
    /// Pieces up to a chunk's size, or one large piece alone.
    fn coalesced(&mut self) -> Option<Bytes> {
        let first = self.held.take().or_else(|| self.pieces.next())?;
        if first.len() >= WHOLE_PIECE_BYTES {
            return Some(first);
        }
        let mut chunk = BytesMut::with_capacity(first.len());
        chunk.extend_from_slice(&first);
        while chunk.len() < CHUNK_BYTES {
            let Some(piece) = self.pieces.next() else { break };
            if piece.len() >= WHOLE_PIECE_BYTES {
                self.held = Some(piece);
                break;
            }
            if chunk.capacity() < CHUNK_BYTES {
                chunk.reserve(CHUNK_BYTES + WHOLE_PIECE_BYTES);
            }
            chunk.extend_from_slice(&piece);
        }
        Some(chunk.freeze())
    }

    fn compressed(&mut self, chunk: &[u8]) -> Bytes {
        let Some(gzip) = &mut self.gzip else { return Bytes::copy_from_slice(chunk) };
        gzip.write_all(chunk).expect("writing into memory does not fail");
        std::mem::take(gzip.get_mut()).into()
    }

    fn end(&mut self) -> Option<Bytes> {
        self.ended = true;
        let gzip = self.gzip.take()?;
        Some(gzip.finish().expect("writing into memory does not fail").into())
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            let Some(mut chunk) = self.coalesced() else { return self.end() };
            if let Some(pretty) = &mut self.pretty {
                let mut indented = Vec::with_capacity(chunk.len() * 2);
                pretty.push(&chunk, &mut indented);
                chunk = indented.into();
            }
            if self.gzip.is_some() {
                chunk = self.compressed(&chunk);
            }
            if !chunk.is_empty() {
                self.length = self.length.map(|length| length.saturating_sub(chunk.len() as u64));
                return Some(chunk);
            }
        }
        None
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = match &mut self.source {
            Source::Full(bytes) if bytes.is_empty() => None,
            Source::Full(bytes) => Some(std::mem::take(bytes)),
            Source::Pieces(chunks) => chunks.next(),
            Source::Stream(stream) => std::task::ready!(stream.as_mut().poll_next(cx)),
            Source::Foreign(body) => return Pin::new(body).poll_frame(cx),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Full(bytes) => bytes.is_empty(),
            Source::Pieces(chunks) => chunks.length == Some(0),
            Source::Stream(_) => false,
            Source::Foreign(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Pieces(chunks) => chunks.length.map_or_else(SizeHint::default, SizeHint::with_exact),
            Source::Stream(_) => SizeHint::default(),
            Source::Foreign(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn pieces(sizes: &[usize]) -> Body {
        let sizes = sizes.to_vec();
        let sum = sizes.iter().sum::<usize>() as u64;
        Body::pieces(sizes.into_iter().map(|n| Bytes::from(vec![b'x'; n])), Some(sum))
    }

    fn chunk_sizes(body: Body) -> Vec<usize> {
        let Source::Pieces(chunks) = body.source else { panic!("made of pieces") };
        chunks.map(|chunk| chunk.len()).collect()
    }

    #[test]
    fn small_pieces_travel_together_and_large_ones_alone() {
        assert_eq!(chunk_sizes(pieces(&[10, 20, 30])), [60]);
        assert_eq!(chunk_sizes(pieces(&[10, 20_000, 30])), [10, 20_000, 30]);
        assert_eq!(chunk_sizes(pieces(&[10_000; 20])), [70_000, 70_000, 60_000]);
        assert!(chunk_sizes(pieces(&[])).is_empty());
    }

    #[test]
    fn the_length_is_told_while_it_is_known() {
        let exact = |body: &Body| hyper::body::Body::size_hint(body).exact();
        assert_eq!(exact(&pieces(&[1, 2, 3])), Some(6));
        assert_eq!(exact(&pieces(&[1, 2, 3]).gzipped()), None);
        assert_eq!(exact(&Body::full("abc")), Some(3));
    }

    #[test]
    fn few_bytes_become_one_body() {
        let exact = |body: &Body| hyper::body::Body::size_hint(body).exact();
        let of = |sizes: &[usize]| {
            let sizes = sizes.to_vec();
            Body::pieces(sizes.into_iter().map(|n| Bytes::from(vec![b'x'; n])), None).whole_if_small()
        };
        assert_eq!((exact(&of(&[3, 20_000])), of(&[3]).is_large()), (Some(20_003), false));
        let large = of(&[100_000, 100_000, 5]);
        assert!(large.is_large() && exact(&large).is_none());
        assert_eq!(large.collect().len(), 200_005);
    }

    #[test]
    fn gzip_gives_the_same_bytes() {
        let text: Vec<u8> = (0..400_000u32).map(|i| b"abcdefg"[(i % 7) as usize]).collect();
        let cut: Vec<Bytes> = text.chunks(5000).map(Bytes::copy_from_slice).collect();
        let packed = Body::pieces(cut.into_iter(), None).gzipped().collect();
        assert!(packed.len() < text.len() / 10);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, text);
    }

    #[test]
    fn indented_json() {
        let body = Body::full(r#"{"a":[1,{}],"b":"{\"x\":1}","c":[]}"#).indented().collect();
        let expected = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"{\\\"x\\\":1}\",\n  \"c\": []\n}";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

//! Protobuf's wire format: varints, tags and lengths, with the error texts of Go's generated code.

use thiserror::Error;

/// Why bytes are not the message they should be. The texts are those of gogo/protobuf's generated code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The body has no bytes.
    #[error("empty data")]
    NoData,
    /// The body ends after the magic bytes.
    #[error("empty body")]
    NoBody,
    /// The magic bytes are missing.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoPrefix,
    /// A length or a varint reaches past the end.
    #[error("unexpected EOF")]
    End,
    /// A varint has more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A length of more than 63 bits.
    #[error("proto: negative length found during unmarshaling")]
    Length,
    /// A field number that cannot be.
    #[error("proto: illegal tag {0} (wire type {1})")]
    Tag(u64, u64),
    /// A wire type that is not there, or no longer.
    #[error("proto: illegal wireType {0}")]
    Kind(u8),
    /// A field with another wire type than its own.
    #[error("proto: wrong wireType = {0} for field {1}")]
    WrongKind(u8, Box<str>),
    /// A text that is not UTF-8.
    #[error("proto: invalid UTF-8 in field {0}")]
    Utf8(Box<str>),
    /// Messages nested past the limit.
    #[error("exceeded max depth")]
    Depth,
    /// A value inside that spells itself wrongly: a quantity, a time, raw JSON.
    #[error("{0}")]
    Value(String),
}

/// The wire types in use; groups are not.
pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const FIXED32: u8 = 5;

/// Reads one message's bytes from front to back.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// One field as the wire has it: numbers as bits, everything else as bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(WireError::End)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Overflow)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::End)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, WireError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn fixed32(&mut self) -> Result<u32, WireError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// The next field: its number and content.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Content<'a>)>, WireError> {
        if self.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or(WireError::Tag(tag >> 3, tag))?;
        let content = match (tag & 7) as u8 {
            VARINT => Content::Varint(self.varint()?),
            FIXED64 => Content::Fixed64(self.fixed64()?),
            BYTES => {
                let length = i64::try_from(self.varint()?).map_err(|_| WireError::Length)?;
                Content::Bytes(self.take(usize::try_from(length).map_err(|_| WireError::Length)?)?)
            }
            FIXED32 => Content::Fixed32(self.fixed32()?),
            other => return Err(WireError::Kind(other)),
        };
        Ok(Some((number, content)))
    }
}

impl<'a> Content<'a> {
    fn kind(self) -> u8 {
        match self {
            Content::Varint(_) => VARINT,
            Content::Fixed64(_) => FIXED64,
            Content::Bytes(_) => BYTES,
            Content::Fixed32(_) => FIXED32,
        }
    }

    pub(super) fn wrong(self, field: &str) -> WireError {
        WireError::WrongKind(self.kind(), field.into())
    }

    pub(super) fn bytes(self, field: &str) -> Result<&'a [u8], WireError> {
        match self {
            Content::Bytes(bytes) => Ok(bytes),
            other => Err(other.wrong(field)),
        }
    }

    pub(super) fn text(self, field: &str) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| WireError::Utf8(field.into()))
    }

    pub(super) fn varint(self, field: &str) -> Result<u64, WireError> {
        match self {
            Content::Varint(value) => Ok(value),
            other => Err(other.wrong(field)),
        }
    }
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a tag.
pub(super) fn put_tag(out: &mut Vec<u8>, number: u32, kind: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(kind));
}

/// Appends a field of bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field of a varint.
pub(super) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, VARINT);
    put_varint(out, value);
}

/// Appends a field whose bytes are written by `body`; its length is put before it afterwards.
pub(super) fn put_message<E>(
    out: &mut Vec<u8>,
    number: u32,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    put_tag(out, number, BYTES);
    // The first byte of the length has its place; where it has more, as long messages have, these move in behind it.
    let start = out.len();
    out.push(0);
    body(out)?;
    let length = out.len() - start - 1;
    out[start] = length as u8;
    if length >= 0x80 {
        out[start] |= 0x80;
        let end = out.len();
        put_varint(out, (length >> 7) as u64);
        let more = out.len() - end;
        out[start + 1..].rotate_right(more);
    }
    Ok(())
}

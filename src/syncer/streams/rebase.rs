//! Links in pages: the host's API server writes the path of its own proxy before each link of a page to the application
//! itself; the tenant's has another.

use bytes::Bytes;

/// Replaces one text by another in bytes that come in pieces.
pub struct Rebase {
    from: Vec<u8>,
    to: Vec<u8>,
    /// The end of what came, which may be the beginning of `from`.
    held: Vec<u8>,
}

impl Rebase {
    /// Replaces `from`, which must not be empty.
    pub fn new(from: &str, to: &str) -> Rebase {
        Rebase { from: from.into(), to: to.into(), held: Vec::new() }
    }

    /// The next piece, as far as it is clear what becomes of it.
    pub fn push(&mut self, piece: &[u8]) -> Bytes {
        self.held.extend_from_slice(piece);
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if rest.starts_with(&self.from) {
                out.extend_from_slice(&self.to);
                at += self.from.len();
            } else if self.from.starts_with(rest) {
                break;
            } else {
                out.push(rest[0]);
                at += 1;
            }
        }
        self.held.drain(..at);
        out.into()
    }

    /// What was held back, at the end.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_matter() {
        let page = "<a href='/host/x/a'> /host/y /hos /host/x";
        let expected = "<a href='/t/a'> /host/y /hos /t";
        for size in 1..=page.len() {
            let mut rebase = Rebase::new("/host/x", "/t");
            let mut out = Vec::new();
            page.as_bytes().chunks(size).for_each(|piece| out.extend_from_slice(&rebase.push(piece)));
            out.extend_from_slice(&rebase.rest());
            assert_eq!(String::from_utf8(out).unwrap(), expected, "pieces of {size}");
        }
    }
}

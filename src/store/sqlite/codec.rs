//! What is stored beside an object's JSON, so that opening does not parse JSON: a checksum, the place of the
//! resourceVersion, labels and selectable fields.
//!
//! Form: CRC-32 (little endian) of key, the rest of the head, and JSON; then LEB128 numbers and strings with their
//! length before them: place, number of labels, label pairs, number of fields, field pairs.

use crate::entry::{Entry, Index, field_label};
use bytes::Bytes;
use flate2::Crc;
use std::sync::Arc;

const CHECKSUM_BYTES: usize = 4;

pub(super) fn head(entry: &Entry) -> Vec<u8> {
    let mut head = vec![0; CHECKSUM_BYTES];
    put_number(&mut head, entry.revision_at);
    put_number(&mut head, entry.index.labels.len());
    for (key, value) in &entry.index.labels {
        put_text(&mut head, key);
        put_text(&mut head, value);
    }
    put_number(&mut head, entry.index.fields.len());
    for (label, value) in &entry.index.fields {
        put_text(&mut head, label);
        put_text(&mut head, value);
    }
    let sum = checksum(&entry.key, &head[CHECKSUM_BYTES..], &entry.json);
    head[..CHECKSUM_BYTES].copy_from_slice(&sum.to_le_bytes());
    head
}

/// An entry from its row. The error says what is wrong with it.
pub(super) fn entry(revision: u64, key: &str, head: &[u8], json: &[u8]) -> Result<Entry, &'static str> {
    let (sum, mut rest) = head.split_at_checked(CHECKSUM_BYTES).ok_or("a head is cut short")?;
    if sum != checksum(key, rest, json).to_le_bytes() {
        return Err("a checksum does not match");
    }
    let index = read_index(&mut rest).ok_or("a head cannot be read")?;
    let (revision_at, index) = index?;
    if revision_at > json.len() {
        return Err("a head points outside of its object");
    }
    Ok(Entry { key: Arc::from(key), revision, json: Bytes::copy_from_slice(json), revision_at, index })
}

fn read_index(head: &mut &[u8]) -> Option<Result<(usize, Index), &'static str>> {
    let revision_at = number(head)?;
    let labels = (0..number(head)?)
        .map(|_| Some((Box::from(text(head)?), Box::from(text(head)?))))
        .collect::<Option<Box<[_]>>>()?;
    let mut fields = Vec::new();
    for _ in 0..number(head)? {
        let Some(label) = field_label(text(head)?) else {
            return Some(Err("it has more selectable fields than a process can know"));
        };
        fields.push((label, Box::from(text(head)?)));
    }
    Some(Ok((revision_at, Index { labels, fields: fields.into() })))
}

fn checksum(key: &str, head: &[u8], json: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(key.as_bytes());
    sum.update(head);
    sum.update(json);
    sum.sum()
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn number(input: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn text<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    let length = number(input)?;
    let (text, rest) = input.split_at_checked(length)?;
    *input = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Entry {
        Entry {
            key: "default/a".into(),
            revision: 7,
            json: Bytes::from_static(b"{\"a\":1}"),
            revision_at: 1,
            index: Index {
                labels: [("app".into(), "x".repeat(300).into()), ("z".into(), "".into())].into(),
                fields: [("metadata.name", "a".into())].into(),
            },
        }
    }

    #[test]
    fn a_head_gives_back_its_entry() {
        let entry = example();
        let again = super::entry(7, &entry.key, &head(&entry), &entry.json).expect("it was just made");
        assert_eq!((again.revision_at, &again.index, &again.json), (1, &entry.index, &entry.json));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let entry = example();
        let head = head(&entry);
        for bit in 0..head.len() * 8 {
            let mut broken = head.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(super::entry(7, &entry.key, &broken, &entry.json).is_err(), "bit {bit}");
        }
        for cut in 0..head.len() {
            assert!(super::entry(7, &entry.key, &head[..cut], &entry.json).is_err(), "cut at {cut}");
        }
        assert!(super::entry(7, &entry.key, &head, b"{\"a\":2}").is_err());
        assert!(super::entry(7, "default/b", &head, &entry.json).is_err());
    }

    #[test]
    fn numbers_that_never_end_are_refused() {
        assert_eq!(number(&mut &[0xff; 20][..]), None);
        assert_eq!(number(&mut &[0x80][..]), None);
        assert_eq!(number(&mut &[0xac, 0x02][..]), Some(300));
    }
}

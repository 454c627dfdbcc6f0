//! Indents compact JSON while it flows by, for people who read answers with curl. Two spaces, as upstream.

/// Where in the JSON the last byte stood.
#[derive(Clone, Debug, Default)]
pub struct Indenter {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// A bracket was opened and nothing has followed yet: an empty pair stays together.
    opened: bool,
}

impl Indenter {
    /// Takes the next bytes of compact JSON and appends them indented.
    pub fn push(&mut self, json: &[u8], out: &mut Vec<u8>) {
        for &byte in json {
            if self.in_text {
                self.in_text = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
                out.push(byte);
                continue;
            }
            self.structure(byte, out);
        }
    }

    fn structure(&mut self, byte: u8, out: &mut Vec<u8>) {
        let closes = matches!(byte, b'}' | b']');
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        // The line breaks after an opening bracket unless the pair is empty, and before a closing one.
        if self.opened != closes && byte != b'\n' {
            self.line(out);
        }
        if byte != b'\n' {
            self.opened = false;
        }
        out.push(byte);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.line(out),
            b':' => out.push(b' '),
            b'"' => self.in_text = true,
            _ => {}
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', self.depth * 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn equals_serde_json_wherever_the_bytes_are_cut() {
        let value: Value = json!({
            "a": {"b": [], "c": {}, "d": [[1, 2], [{"e": "x,y:{[\\\" "}]]}, "f": null, "g": "", "h": [true, -1.5e3],
        });
        let compact = serde_json::to_vec(&value).unwrap();
        let expected = serde_json::to_string_pretty(&value).unwrap();
        for cut in 0..=compact.len() {
            let (mut indenter, mut out) = (Indenter::default(), Vec::new());
            indenter.push(&compact[..cut], &mut out);
            indenter.push(&compact[cut..], &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "cut at {cut}");
        }
    }
}

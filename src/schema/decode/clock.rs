//! Go's time layouts as far as Kubernetes reads them, with time.Parse's error texts.

use alcove_object::field::quote;

/// Checks a text against RFC 3339 as Go's time.Parse does.
///
/// `digits` is how many digits the layout asks of a second's fraction; none means that any fraction is taken.
/// Gives the fraction's digits. Fails with Go's text: what of the text was not what element of the layout.
pub(super) fn check<'t>(text: &'t str, layout: &str, digits: Option<usize>) -> Result<&'t str, String> {
    let mut reader = Reader { text, rest: text, layout };
    let year = reader.number("2006", 4, 0..=9999)?;
    reader.literal("-")?;
    let month = reader.number("01", 2, 1..=12)?;
    reader.literal("-")?;
    let day = reader.number("02", 2, 0..=31)?;
    reader.literal("T")?;
    reader.number("15", 2, 0..=23)?;
    reader.literal(":")?;
    reader.number("04", 2, 0..=59)?;
    reader.literal(":")?;
    reader.number("05", 2, 0..=59)?;
    let fraction = reader.fraction(digits)?;
    reader.zone()?;
    if !reader.rest.is_empty() {
        return Err(reader.error(&format!(": extra text: {}", quote(reader.rest))));
    }
    if day < 1 || day > days_in(year, month) {
        return Err(reader.error(": day out of range"));
    }
    Ok(fraction)
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

struct Reader<'t, 'l> {
    text: &'t str,
    rest: &'t str,
    layout: &'l str,
}

impl<'t> Reader<'t, '_> {
    fn error(&self, detail: &str) -> String {
        format!("parsing time {}{detail}", quote(self.text))
    }

    fn cannot(&self, element: &str) -> String {
        let (rest, element) = (quote(self.rest), quote(element));
        self.error(&format!(" as {}: cannot parse {rest} as {element}", quote(self.layout)))
    }

    fn number(
        &mut self,
        element: &str,
        width: usize,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, String> {
        let digits = self.rest.get(..width).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let number: u32 = digits.and_then(|d| d.parse().ok()).ok_or_else(|| self.cannot(element))?;
        self.rest = &self.rest[width..];
        if !range.contains(&number) {
            let unit = match element {
                "01" => "month",
                "02" => "day",
                "15" => "hour",
                "04" => "minute",
                _ => "second",
            };
            return Err(self.error(&format!(": {unit} out of range")));
        }
        Ok(number)
    }

    fn literal(&mut self, literal: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(literal).ok_or_else(|| self.cannot(literal))?;
        Ok(())
    }

    /// The fraction of a second: this many digits, or however many there are.
    fn fraction(&mut self, digits: Option<usize>) -> Result<&'t str, String> {
        let found = match self.rest.strip_prefix(['.', ',']) {
            Some(rest) => rest.bytes().take_while(u8::is_ascii_digit).count(),
            None => 0,
        };
        let width = match digits {
            Some(digits) if found < digits => return Err(self.cannot(&format!(".{}", "0".repeat(digits)))),
            Some(digits) => digits,
            None if found == 0 => return Ok(""),
            None => found,
        };
        let (fraction, rest) = self.rest.split_at(1 + width);
        self.rest = rest;
        Ok(&fraction[1..])
    }

    fn zone(&mut self) -> Result<(), String> {
        const ELEMENT: &str = "Z07:00";
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(());
        }
        let zone = self.rest.as_bytes().get(..6).ok_or_else(|| self.cannot(ELEMENT))?;
        let shape = zone.iter().zip(b"+00:00").all(|(found, wanted)| match wanted {
            b'+' => matches!(found, b'+' | b'-'),
            b'0' => found.is_ascii_digit(),
            _ => found == wanted,
        });
        if !shape {
            return Err(self.cannot(ELEMENT));
        }
        let (hours, minutes) = (&zone[1..3], &zone[4..6]);
        if hours > b"24".as_slice() {
            return Err(self.error(": time zone offset hour out of range"));
        }
        if minutes > b"60".as_slice() {
            return Err(self.error(": time zone offset minute out of range"));
        }
        self.rest = &self.rest[6..];
        Ok(())
    }
}

//! Field selectors: `metadata.name=a,spec.nodeName!=b`.

/// A field selector: all terms must hold.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fields(pub Vec<FieldTerm>);

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field's label, such as `spec.nodeName`.
    pub field: String,
    /// The value it must, or must not, have. A missing field counts as empty.
    pub value: String,
    /// True for `!=`.
    pub negated: bool,
}

impl Fields {
    /// Reads `a=b,c==d,e!=f` with upstream's escapes (`\\`, `\,`, `\=`). Terms come out sorted by their text; empty
    /// terms (`` and `=`) are passed over. The error is upstream's text.
    pub fn parse(text: &str) -> Result<Fields, String> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let terms = terms.into_iter().filter(|term| !term.is_empty());
        let mut terms = terms.map(|term| parse_term(text, term)).collect::<Result<Vec<_>, _>>()?;
        terms.retain(|term| !(term.field.is_empty() && term.value.is_empty()));
        Ok(Fields(terms))
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether fields, read through `get`, satisfy all terms.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|t| (get(&t.field) == t.value) != t.negated)
    }

    /// The value that `field` must be equal to, if a term says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|t| t.field == field && !t.negated).map(|t| t.value.as_str())
    }
}

/// Escapes a value for use in a field selector.
pub fn escape_field_value(value: &str) -> String {
    value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=")
}

/// Cuts at commas that no backslash escapes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let cut = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        cut
    })
    .collect()
}

fn parse_term(selector: &str, term: &str) -> Result<FieldTerm, String> {
    // The first operator counts; a field has no escapes.
    let at = term.char_indices().find(|(i, c)| *c == '=' || (*c == '!' && term[i + 1..].starts_with('=')));
    let Some((at, _)) = at else {
        return Err(format!("invalid selector: '{selector}'; can't understand '{term}'"));
    };
    let (field, rest) = term.split_at(at);
    let negated = rest.starts_with('!');
    let value = rest.strip_prefix("!=").or_else(|| rest.strip_prefix("==")).unwrap_or(&rest[1..]);
    Ok(FieldTerm { field: field.to_owned(), value: unescape(value)?, negated })
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!("invalid field selector: invalid escape sequence: \\{other}"));
                }
            },
            ',' | '=' => {
                let code = u32::from(c);
                return Err(format!("invalid field selector: unescaped character in value: {code}"));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

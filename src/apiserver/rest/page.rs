//! Continue tokens: where the next page of a list begins, as base64url JSON that clients must not look into
//! (k8s.io/apiserver/pkg/storage/continue.go).

use alcove_object::Status;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A key without its collection's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenKey<'a>(pub &'a str);

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The revision that the list shows; `None`: the newest, whatever the pages before showed.
    pub revision: Option<u64>,
    /// The last key of the page before, without its collection's prefix.
    pub after: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    v: Cow<'a, str>,
    rv: i64,
    start: Cow<'a, str>,
}

const VERSION: &str = "meta.k8s.io/v1";

impl Token {
    /// The token as text.
    pub fn encode(revision: Option<u64>, after: TokenKey<'_>) -> String {
        let rv = revision.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
        let wire = Wire { v: VERSION.into(), rv, start: format!("{}\0", after.0).into() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).expect("three plain fields encode"))
    }

    /// Reads a token that a client sent. 400 for anything that [`Token::encode`] does not make, in particular for a
    /// start that would lead out of the collection.
    pub fn decode(text: &str) -> Result<Token, Status> {
        let refuse = |why: &str| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text);
        let bytes =
            bytes.map_err(|e| refuse(&format!("illegal base64 data at input byte {}", place(&e, text))))?;
        let wire: Wire<'_> = serde_json::from_slice(&bytes).map_err(|e| refuse(&e.to_string()))?;
        if wire.v != VERSION {
            return Err(refuse(&format!("server does not recognize this encoded version {}", wire.v)));
        }
        if wire.rv == 0 {
            return Err(refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let after = wire.start.strip_suffix('\0').unwrap_or(&wire.start);
        if after.is_empty() {
            return Err(refuse("encoded start key empty (version meta.k8s.io/v1)"));
        }
        let leads_out = after.split('/').any(|part| matches!(part, "" | "." | "..")) || after.contains('\0');
        if leads_out {
            return Err(refuse(after));
        }
        Ok(Token { revision: u64::try_from(wire.rv).ok(), after: after.to_owned() })
    }
}

/// Where Go's decoder stops.
fn place(error: &DecodeError, text: &str) -> usize {
    match error {
        DecodeError::InvalidByte(place, _) | DecodeError::InvalidLastSymbol(place, _) => *place,
        DecodeError::InvalidLength(_) => text.len() - text.len() % 4,
        DecodeError::InvalidPadding => text.find('=').unwrap_or(text.len()),
    }
}

/// 410 for a token whose revision is compacted, with one that goes on at the newest state instead.
pub(crate) fn expired(after: TokenKey<'_>) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.continue_token = Token::encode(None, after);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        for revision in [Some(7), None] {
            let text = Token::encode(revision, TokenKey("default/a"));
            assert_eq!(Token::decode(&text), Ok(Token { revision, after: "default/a".into() }));
        }
    }

    #[test]
    fn tokens_that_lead_elsewhere_are_refused() {
        let forge = |json: &str| Token::decode(&URL_SAFE_NO_PAD.encode(json)).unwrap_err().code;
        for json in [
            r#"{"v":"meta.k8s.io/v1","rv":5,"start":"../secrets"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":5,"start":"a//b"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":5,"start":"/a"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":5,"start":""}"#,
            r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#,
            r#"{"v":"meta.k8s.io/v2","rv":5,"start":"a"}"#,
            "{}",
            "not json",
        ] {
            assert_eq!(forge(json), 400, "{json}");
        }
        assert_eq!(Token::decode("***").unwrap_err().code, 400);
    }
}

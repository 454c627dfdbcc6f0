//! Which headers pass. Streams and logs: only those that negotiate a protocol. Proxies: what is the application's, and
//! nothing that says who the client is to this cluster, or that was meant for the next hop alone.

use super::ask::Kind;
use alcove_object::{Reason, Status};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Bytes of names and values that pass to the host. Past it: 431.
const HEADER_BYTES_MAX: usize = 16 * 1024;

const WEBSOCKET_PROTOCOL: &str = "sec-websocket-protocol";
/// A bearer token may stand among a WebSocket's protocols (k8s.io/apiserver/pkg/authentication/request/websocket).
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";
/// What negotiates a protocol, in either direction.
const NEGOTIATION: [&str; 7] = [
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    WEBSOCKET_PROTOCOL,
    "x-stream-protocol-version",
];
/// What ends at the next hop (RFC 9110, section 7.6.1), and what a sender says anew.
const HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
    // What is not compressed can be read by whoever turns the host's paths into the tenant's.
    "accept-encoding",
];
/// What says who the client is, to this cluster or to what stands before it.
const CREDENTIALS: [&str; 6] =
    ["authorization", "proxy-authorization", "proxy-authenticate", "cookie", "forwarded", "audit-id"];
const CREDENTIAL_PREFIXES: [&str; 4] = ["impersonate-", "x-remote-", "x-forwarded-", "x-real-"];
/// What the host says to its own clients.
const HOSTS_OWN: [&str; 3] = ["set-cookie", "audit-id", "strict-transport-security"];
const HOSTS_OWN_PREFIX: &str = "x-kubernetes-pf-";

/// Whether a request wants to become something else.
pub fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE) && named_in_connection(headers).any(|name| name == "upgrade")
}

/// The client's headers as the host may see them. 431 for more than [`HEADER_BYTES_MAX`].
pub fn to_host(kind: Kind, from: &HeaderMap) -> Result<HeaderMap, Status> {
    let mut headers = match kind {
        Kind::Proxy => end_to_end(from, |name| {
            !CREDENTIALS.contains(&name) && !CREDENTIAL_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        }),
        _ => HeaderMap::new(),
    };
    if asks_for_upgrade(from) {
        negotiation(from, &mut headers);
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES_MAX {
        let why = format!("the headers of this request have more than {HEADER_BYTES_MAX} bytes");
        return Err(Status::new(431, Reason::BAD_REQUEST, why));
    }
    Ok(headers)
}

/// The host's headers with which a protocol begins.
pub fn of_upgrade(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    negotiation(from, &mut headers);
    headers
}

/// The host's headers of a proxied answer.
pub fn of_answer(from: &HeaderMap) -> HeaderMap {
    end_to_end(from, |name| !HOSTS_OWN.contains(&name) && !name.starts_with(HOSTS_OWN_PREFIX))
}

fn negotiation(from: &HeaderMap, to: &mut HeaderMap) {
    for name in NEGOTIATION.map(HeaderName::from_static) {
        to.remove(&name);
        for value in from.get_all(&name) {
            let passes = if name == WEBSOCKET_PROTOCOL { without_tokens(value) } else { Some(value.clone()) };
            if let Some(value) = passes {
                to.append(&name, value);
            }
        }
    }
    to.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
}

fn without_tokens(protocols: &HeaderValue) -> Option<HeaderValue> {
    let all = protocols.to_str().ok()?.split(',').map(str::trim);
    let left: Vec<&str> = all.filter(|protocol| !protocol.starts_with(TOKEN_PROTOCOL)).collect();
    HeaderValue::from_str(&left.join(", ")).ok().filter(|value| !value.is_empty())
}

fn end_to_end(from: &HeaderMap, passes: impl Fn(&str) -> bool) -> HeaderMap {
    let hops: Vec<String> = named_in_connection(from).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in from {
        let text = name.as_str();
        if !HOP.contains(&text) && !hops.iter().any(|hop| hop == text) && passes(text) {
            headers.append(name, value.clone());
        }
    }
    headers
}

fn named_in_connection(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[&str]) -> HeaderMap {
        let pairs = lines.iter().map(|line| line.split_once(": ").unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    const CLIENTS: [&str; 14] = [
        "authorization: Bearer tenant",
        "cookie: session=tenant",
        "impersonate-user: root",
        "impersonate-group: system:masters",
        "x-remote-user: root",
        "x-forwarded-for: 10.0.0.1",
        "proxy-authorization: Basic dA==",
        "connection: Upgrade, X-Hop",
        "x-hop: this hop",
        "upgrade: websocket",
        "sec-websocket-key: a2V5",
        "sec-websocket-protocol: base64url.bearer.authorization.k8s.io.dGVuYW50, v5.channel.k8s.io",
        "te: trailers",
        "x-app: its own",
    ];

    #[test]
    fn streams_pass_what_negotiates_and_nothing_else() {
        let passed = to_host(Kind::Exec, &map(&CLIENTS)).unwrap();
        let expected = [
            "connection: Upgrade",
            "sec-websocket-key: a2V5",
            "sec-websocket-protocol: v5.channel.k8s.io",
            "upgrade: websocket",
        ];
        assert_eq!(lines(&passed), expected);
        let spdy = [
            "connection: Upgrade",
            "upgrade: SPDY/3.1",
            "x-stream-protocol-version: v5.channel.k8s.io",
            "x-stream-protocol-version: v4.channel.k8s.io",
        ];
        assert_eq!(lines(&to_host(Kind::Attach, &map(&spdy)).unwrap()), {
            let mut sorted = spdy.map(str::to_owned);
            sorted.sort();
            sorted
        });
    }

    #[test]
    fn logs_pass_nothing() {
        let plain: Vec<&str> = CLIENTS.into_iter().filter(|line| !line.starts_with("connection")).collect();
        assert_eq!(lines(&to_host(Kind::Log, &map(&plain)).unwrap()), [] as [&str; 0]);
    }

    #[test]
    fn proxies_pass_what_is_the_applications() {
        let plain: Vec<&str> = CLIENTS
            .into_iter()
            .map(|line| if line.starts_with("connection") { "connection: close, X-Hop" } else { line })
            .filter(|line| !line.starts_with("sec-"))
            .collect();
        assert_eq!(lines(&to_host(Kind::Proxy, &map(&plain)).unwrap()), ["x-app: its own"]);
    }

    #[test]
    fn answers_keep_what_is_the_applications() {
        let host = [
            "audit-id: 1",
            "x-kubernetes-pf-flowschema-uid: 2",
            "set-cookie: a=b",
            "content-type: text/html",
            "connection: keep-alive",
            "location: /a",
        ];
        assert_eq!(lines(&of_answer(&map(&host))), ["content-type: text/html", "location: /a"]);
    }

    #[test]
    fn too_many_headers_are_refused() {
        let long = format!("x-app: {}", "a".repeat(HEADER_BYTES_MAX));
        assert_eq!(to_host(Kind::Proxy, &map(&[&long])).unwrap_err().code, 431);
        assert!(to_host(Kind::Log, &map(&[&long])).is_ok());
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        for (headers, expected) in [
            (&["connection: Upgrade", "upgrade: SPDY/3.1"][..], true),
            (&["connection: keep-alive, upgrade", "upgrade: websocket"], true),
            (&["connection: keep-alive", "upgrade: websocket"], false),
            (&["connection: upgrade"], false),
        ] {
            assert_eq!(asks_for_upgrade(&map(headers)), expected, "{headers:?}");
        }
    }
}

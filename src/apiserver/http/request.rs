//! Reading method and URL: [`RequestInfo`], the query, and the percent signs in both.
//!
//! The rules are those of k8s.io/apiserver/pkg/endpoints/request/requestinfo.go. Authorization, routing, audit and
//! metrics read the one value made here, so that they cannot disagree.

use crate::request::{RequestInfo, Verb};
use alcove_object::Status;
use alcove_object::selector::Fields;
use http::{Method, Uri};

/// Subresources of namespaces; what else follows a namespace's name is a resource in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// The parameters of a URL, decoded, in the order of the URL.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`. Pairs with broken escapes or semicolons are left out, as Go's ParseQuery does.
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        Query(
            pairs
                .filter_map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((percent_decode(key, true)?, percent_decode(value, true)?))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// A boolean as apimachinery reads it: everything but `0` and `false` is true, even the empty text.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

/// Replaces `%XX` by the byte it stands for, and `+` by a space in queries. `None` for broken escapes and for bytes
/// that are no UTF-8.
pub fn percent_decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let (high, low) = (bytes.next()?, bytes.next()?);
                (char::from(high).to_digit(16)? * 16 + char::from(low).to_digit(16)?) as u8
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

impl RequestInfo {
    /// What a request is about. 400 for a path that cannot be decoded.
    pub fn parse(method: &Method, uri: &Uri, query: &Query) -> Result<RequestInfo, Status> {
        let path = percent_decode(uri.path(), false)
            .ok_or_else(|| Status::bad_request(format!("invalid URL escape in {:?}", uri.path())))?;
        let mut info = non_resource(method, path);
        let path = info.path.clone();
        let parts: Vec<&str> = match path.trim_matches('/') {
            "" => Vec::new(),
            trimmed => trimmed.split('/').collect(),
        };
        let (group, parts) = match parts.as_slice() {
            ["api", rest @ ..] if rest.len() >= 2 => ("", rest),
            ["apis", group, rest @ ..] if rest.len() >= 2 => (*group, rest),
            _ => return Ok(info),
        };
        info.is_resource = true;
        info.group = group.to_owned();
        info.version = parts[0].to_owned();
        let parts = read_verb(&mut info, method, &parts[1..])?;
        let parts = read_namespace(&mut info, parts);
        read_names(&mut info, parts, path.ends_with('/'));
        read_query(&mut info, query);
        Ok(info)
    }
}

fn non_resource(method: &Method, path: String) -> RequestInfo {
    RequestInfo {
        is_resource: false,
        path,
        verb: Verb::Get,
        method: method.as_str().to_ascii_lowercase(),
        group: String::new(),
        version: String::new(),
        namespace: String::new(),
        resource: String::new(),
        subresource: String::new(),
        name: String::new(),
        tail: String::new(),
    }
}

/// Sets the verb from the method, or from the old `/watch/` and `/proxy/` prefixes, and gives what follows.
fn read_verb<'a, 'p>(
    info: &mut RequestInfo,
    method: &Method,
    parts: &'a [&'p str],
) -> Result<&'a [&'p str], Status> {
    let prefix = match parts[0] {
        "watch" => Some(Verb::Watch),
        "proxy" => Some(Verb::Connect),
        _ => None,
    };
    if let Some(verb) = prefix {
        if parts.len() < 2 {
            let why = format!("unable to determine kind and namespace from url, {}", info.path);
            return Err(Status::internal(why));
        }
        info.verb = verb;
        return Ok(&parts[1..]);
    }
    info.verb = match *method {
        Method::POST => Verb::Create,
        Method::GET | Method::HEAD => Verb::Get,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => Verb::Unnamed,
    };
    Ok(parts)
}

fn read_namespace<'a, 'p>(info: &mut RequestInfo, parts: &'a [&'p str]) -> &'a [&'p str] {
    if parts[0] != "namespaces" || parts.len() < 2 {
        return parts;
    }
    info.namespace = parts[1].to_owned();
    match parts.get(2) {
        Some(next) if !NAMESPACE_SUBRESOURCES.contains(next) => &parts[2..],
        _ => parts,
    }
}

fn read_names(info: &mut RequestInfo, parts: &[&str], slash_at_end: bool) {
    info.resource = parts[0].to_owned();
    if let Some(name) = parts.get(1) {
        info.name = (*name).to_owned();
    }
    // The old proxy prefix has no subresources: all that follows the name is a path.
    let at = if info.verb == Verb::Connect { 2 } else { 3 };
    if let (3, Some(subresource)) = (at, parts.get(2)) {
        info.subresource = (*subresource).to_owned();
    }
    if parts.len() > at {
        info.tail = parts[at..].join("/");
        if slash_at_end {
            info.tail.push('/');
        }
    } else if slash_at_end && info.subresource == "proxy" {
        // The root of what is behind a proxy, where upstream redirects those to who leave the slash out.
        info.tail.push('/');
    }
}

fn read_query(info: &mut RequestInfo, query: &Query) {
    if info.name.is_empty() && info.verb == Verb::Get {
        info.verb = if query.flag("watch") == Some(true) { Verb::Watch } else { Verb::List };
        let selected = query.get("fieldSelector").filter(|text| !text.is_empty());
        if let Some(fields) = selected.and_then(|text| Fields::parse(text).ok()) {
            let name = fields.exact("metadata.name").filter(|name| is_path_segment(name));
            info.name = name.unwrap_or_default().to_owned();
        }
    }
    if info.name.is_empty() && info.verb == Verb::Delete {
        info.verb = Verb::DeleteCollection;
    }
}

/// Whether a text can be one segment of a path (k8s.io/apimachinery/pkg/api/validation/path).
fn is_path_segment(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, url: &str) -> Result<RequestInfo, Status> {
        let uri: Uri = url.parse().unwrap();
        let query = Query::parse(uri.query().unwrap_or_default());
        RequestInfo::parse(&Method::from_bytes(method.as_bytes()).unwrap(), &uri, &query)
    }

    #[test]
    fn resource_paths() {
        // method, url, verb, group, version, namespace, resource, subresource, name, tail
        let cases = [
            "GET /api/v1/namespaces | list  v1  namespaces   ",
            "GET /api/v1/namespaces/other | get  v1 other namespaces  other ",
            "GET /api/v1/namespaces/other/pods | list  v1 other pods   ",
            "GET /api/v1/namespaces/other/pods/foo | get  v1 other pods  foo ",
            "HEAD /api/v1/namespaces/other/pods/foo | get  v1 other pods  foo ",
            "GET /api/v1/pods | list  v1  pods   ",
            "HEAD /api/v1/pods | list  v1  pods   ",
            "GET /api/v1/pods/ | list  v1  pods   ",
            "GET /api/v1/proxy/namespaces/other/pods/foo | connect  v1 other pods  foo ",
            "GET /api/v1/proxy/namespaces/other/pods/foo/a/b | connect  v1 other pods  foo a/b",
            "GET /api/v1/watch/pods | watch  v1  pods   ",
            "GET /api/v1/watch/namespaces/other/pods | watch  v1 other pods   ",
            "GET /api/v1/watch/namespaces/other/pods/foo | watch  v1 other pods  foo ",
            "GET /api/v1/pods?watch=true | watch  v1  pods   ",
            "GET /api/v1/pods?watch | watch  v1  pods   ",
            "GET /api/v1/pods?watch=yes | watch  v1  pods   ",
            "GET /api/v1/pods?watch=false | list  v1  pods   ",
            "GET /api/v1/pods?watch=FALSE | list  v1  pods   ",
            "GET /api/v1/namespaces/other/pods?watch=1 | watch  v1 other pods   ",
            "GET /api/v1/namespaces/other/pods?watch=0 | list  v1 other pods   ",
            "GET /api/v1/namespaces/other/pods/foo/status | get  v1 other pods status foo ",
            "GET /api/v1/namespaces/other/pods/foo/proxy/subpath | get  v1 other pods proxy foo subpath",
            "GET /api/v1/namespaces/other/pods/foo/proxy | get  v1 other pods proxy foo ",
            "GET /api/v1/namespaces/other/pods/foo/proxy/ | get  v1 other pods proxy foo /",
            "GET /api/v1/namespaces/other/pods/foo/proxy/a/b/ | get  v1 other pods proxy foo a/b/",
            "PUT /api/v1/namespaces/other/finalize | update  v1 other namespaces finalize other ",
            "PUT /api/v1/namespaces/other/status | update  v1 other namespaces status other ",
            "PATCH /api/v1/namespaces/other/pods/foo | patch  v1 other pods  foo ",
            "DELETE /api/v1/namespaces/other/pods/foo | delete  v1 other pods  foo ",
            "POST /api/v1/namespaces/other/pods | create  v1 other pods   ",
            "DELETE /api/v1/nodes | deletecollection  v1  nodes   ",
            "DELETE /api/v1/namespaces | deletecollection  v1  namespaces   ",
            "DELETE /api/v1/namespaces/other/pods | deletecollection  v1 other pods   ",
            "DELETE /apis/extensions/v1/namespaces/other/pods | deletecollection extensions v1 other pods   ",
            "POST /apis/extensions/v1/namespaces/other/pods | create extensions v1 other pods   ",
            "OPTIONS /api/v1/namespaces/other/pods/foo/proxy/a |   v1 other pods proxy foo a",
            "GET /apis/batch/v1/jobs/foo/scale | get batch v1  jobs scale foo ",
            "GET /apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode | get rbac.authorization.k8s.io v1  clusterroles  system:node ",
        ];
        for case in cases {
            let (request, expected) = case.split_once(" | ").unwrap();
            let (method, url) = request.split_once(' ').unwrap();
            let i = parse(method, url).unwrap();
            assert!(i.is_resource, "{request}");
            let verb = i.verb.as_str();
            let actual =
                [verb, &i.group, &i.version, &i.namespace, &i.resource, &i.subresource, &i.name, &i.tail];
            assert_eq!(actual.join(" "), expected, "{request}");
        }
    }

    #[test]
    fn other_paths_are_no_resources() {
        for url in [
            "/",
            "/api",
            "/api/",
            "/api/v1",
            "/api/version/",
            "/apis",
            "/apis/group/version/",
            "/apis/version/resource",
            "/badprefix/version/resource",
            "/healthz/ping",
        ] {
            let info = parse("GET", url).unwrap();
            assert!(!info.is_resource, "{url}");
            assert_eq!(info.path, url);
            assert_eq!(info.method, "get");
        }
    }

    #[test]
    fn a_field_selector_names_the_object() {
        let name = |url: &str| parse("GET", url).unwrap().name;
        assert_eq!(name("/apis/g/v/r?fieldSelector=metadata.name=name1"), "name1");
        assert_eq!(name("/apis/g/v/r?watch=true&fieldSelector=metadata.name%3Dname1"), "name1");
        assert_eq!(name("/apis/g/v/r?fieldSelector=foo=bar"), "");
        assert_eq!(name("/apis/g/v/r?fieldSelector=metadata.name=name1,foo"), "");
        assert_eq!(
            name("/apis/g/v/r?fieldSelector=metadata.name=foo&fieldSelector=metadata.name=bar"),
            "foo"
        );
        assert_eq!(name("/apis/g/v/r?fieldSelector=metadata.name=a/b"), "");
        assert_eq!(name("/apis/g/v/watch/r?fieldSelector=metadata.name=foo"), "");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(parse("GET", "/api/v1/pods/%zz").unwrap_err().code, 400);
        assert_eq!(parse("GET", "/api/v1/pods/%ff").unwrap_err().code, 400);
        assert_eq!(parse("GET", "/api/v1/watch").unwrap_err().code, 500);
        assert_eq!(parse("GET", "/apis/g/v1/watch").unwrap_err().code, 500);
    }

    #[test]
    fn queries() {
        let query = Query::parse("a=1&b=x%20y+z&a=2&c&d=%zz&e=f;g&=h");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("b"), Some("x y z"));
        assert_eq!(query.get("c"), Some(""));
        assert_eq!((query.get("d"), query.get("e"), query.get("f")), (None, None, None));
        for (text, expected) in
            [("w=1", true), ("w", true), ("w=no", true), ("w=0", false), ("w=False", false)]
        {
            assert_eq!(Query::parse(text).flag("w"), Some(expected), "{text}");
        }
    }
}

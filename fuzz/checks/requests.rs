//! What stands around bodies: paths, parameters, headers, and continue tokens.

use super::parts;
use alcove_apiserver::http::negotiate::{self, Offer};
use alcove_apiserver::http::options::{Writing, delete_options, list_options, write_options};
use alcove_apiserver::http::request::Query;
use alcove_apiserver::options::{DeleteOptions, ListOptions, PatchType};
use alcove_apiserver::request::RequestInfo;
use alcove_apiserver::testing::{TestEnv, server};
use alcove_apiserver::{Client, User, kinds};
use alcove_object::{Gvr, Value};
use alcove_schema::Minor;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Uri};
use serde_json::json;
use std::cell::LazyCell;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A request line without its version: a method and a URL.
pub fn path(line: &[u8]) {
    let Some((method, url)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' ')) else {
        return;
    };
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), url.parse::<Uri>()) else { return };
    let query = Query::parse(uri.query().unwrap_or_default());
    let Ok(info) = RequestInfo::parse(&method, &uri, &query) else { return };
    let RequestInfo { group, version, namespace, resource, subresource, name, .. } = &info;
    let parts = [group, version, namespace, resource, subresource, name];
    assert!(parts.iter().all(|part| !part.contains('/')), "a part of a path has no slash: {info:?}");
    assert!(info.is_resource || parts.iter().all(|part| part.is_empty()), "no resource: {info:?}");
    let _may_be_refused = list_options(&query, name);
}

/// Parameters, an Accept header, a Content-Type, and a body of options.
pub fn options(input: &[u8]) {
    let [query, accept, content_type, body] = parts(input);
    let Ok(query) = std::str::from_utf8(query) else { return };
    let query = Query::parse(query);
    let _may_be_refused = list_options(&query, query.get("name").unwrap_or_default());
    let _may_be_refused = delete_options(&query);
    for writing in
        [Writing::Create, Writing::Update, Writing::Patch(PatchType::Apply), Writing::Patch(PatchType::Merge)]
    {
        let _may_be_refused = write_options(&query, writing);
    }
    if let Ok(body) = serde_json::from_slice::<Value>(body) {
        let _may_be_refused = DeleteOptions::read(&body);
    }
    let (Ok(accept), Ok(content_type)) =
        (HeaderValue::from_bytes(accept), HeaderValue::from_bytes(content_type))
    else {
        return;
    };
    let headers = HeaderMap::from_iter([(ACCEPT, accept), (CONTENT_TYPE, content_type)]);
    for (is_stream, has_protobuf) in [(false, false), (false, true), (true, false), (true, true)] {
        let _may_be_refused = negotiate::answer(
            &headers,
            &query,
            Offer { is_stream, is_list: !is_stream, is_routed: true, has_protobuf, has_forms: !is_stream },
        );
    }
    let _may_be_refused = negotiate::plain_answer(&headers, &query);
    let _may_be_refused = negotiate::body_encoding(&headers);
    let _may_be_refused = negotiate::patch_type(&headers, true);
}

/// A server with two namespaces and ConfigMaps in both.
struct World {
    client: Client,
    _runtime: Runtime,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl World {
    fn new() -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let client = runtime.block_on(async {
            let server = server(kinds::resources(Minor::DEFAULT), Arc::new(TestEnv::new(1)));
            let client = server.client(User::component("fuzz"), "fuzz");
            for namespace in NAMES {
                let object = json!({"metadata": {"name": namespace}});
                client.create(&Gvr::new("", "v1", "namespaces"), "", object).await.expect("a namespace");
                for name in NAMES {
                    let object = json!({"metadata": {"name": name}});
                    client.create(&configmaps(), namespace, object).await.expect("a ConfigMap");
                }
            }
            client
        });
        World { client, _runtime: runtime }
    }
}

fn configmaps() -> Gvr {
    Gvr::new("", "v1", "configmaps")
}

/// A continue token, or the JSON in one: whatever it says, a list shows what was asked for.
pub fn token(input: &[u8]) {
    thread_local!(static WORLD: LazyCell<World> = const { LazyCell::new(World::new) });
    let token = match input.first() {
        Some(b'{') => URL_SAFE_NO_PAD.encode(input),
        _ => match std::str::from_utf8(input) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
    };
    WORLD.with(|world| {
        for namespace in ["", "b"] {
            let mut seen: Vec<Arc<str>> = Vec::new();
            let mut options =
                ListOptions { limit: 2, continue_token: token.clone(), ..ListOptions::default() };
            // An empty token is the first page; no token leads round in circles.
            while let Ok(page) = world.client.list(&configmaps(), namespace, &options) {
                assert!(page.items.iter().all(|item| namespace.is_empty() || item.namespace() == namespace));
                seen.extend(page.items.into_iter().map(|item| item.key));
                assert!(seen.is_sorted_by(|a, b| a < b), "in order, each once: {seen:?}");
                if page.continue_token.is_empty() {
                    break;
                }
                options.continue_token = page.continue_token;
            }
        }
    });
}

//! Acting as somebody else: the `Impersonate-*` headers of `kubectl --as`
//! (k8s.io/apiserver/pkg/endpoints/filters/impersonation).
//!
//! Whoever sends them needs the verb `impersonate` on the user, on each group, on the UID and on each extra value.
//! Headers that nobody reads would be worse than none: a request would be done with the rights of its sender.

use super::request::percent_decode;
use crate::authorization::Action;
use crate::server::Server;
use crate::user::{AUTHENTICATED, User};
use alcove_object::Status;
use alcove_object::field::quote;
use http::{HeaderMap, HeaderName, HeaderValue};

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const EXTRA_PREFIX: &str = "impersonate-extra-";
const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ACCOUNT_PREFIX: &str = "system:serviceaccount:";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Who a request is to be done as: the user itself, unless headers name another one. 403 when the user may not act as
/// that one, 400 for headers without a user.
pub fn acting(server: &Server, user: User, headers: &HeaderMap) -> Result<User, Status> {
    let texts = |name: &HeaderName| -> Result<Vec<String>, Status> {
        headers.get_all(name).iter().map(|value| text(name, value)).collect()
    };
    let one = |name: &HeaderName| Ok::<_, Status>(texts(name)?.into_iter().next().unwrap_or_default());
    let (name, uid, groups) = (one(&USER)?, one(&UID)?, texts(&GROUP)?);
    let mut acted = User { name, uid, groups, extra: extra(headers)? };
    if acted == User::default() {
        return Ok(user);
    }
    if acted.name.is_empty() {
        return Err(nameless(&acted));
    }
    let account = acted.name.strip_prefix(ACCOUNT_PREFIX).and_then(|name| name.split_once(':'));
    let account = account.filter(|(namespace, name)| !namespace.is_empty() && !name.contains(':'));
    match account {
        Some((namespace, name)) => {
            server.authorize(&user, &Action { namespace, ..action("", "serviceaccounts", "", name) })?;
        }
        None => server.authorize(&user, &action("", "users", "", &acted.name))?,
    }
    for group in &acted.groups {
        server.authorize(&user, &action("", "groups", "", group))?;
    }
    for (key, values) in &acted.extra {
        for value in values {
            server.authorize(&user, &action(AUTHENTICATION, "userextras", key, value))?;
        }
    }
    if !acted.uid.is_empty() {
        server.authorize(&user, &action(AUTHENTICATION, "uids", "", &acted.uid))?;
    }
    let own_groups = account.filter(|_| acted.groups.is_empty()).map(|(namespace, _)| {
        vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
    });
    acted.groups.extend(own_groups.unwrap_or_default());
    let is_told = acted.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED);
    if !is_told {
        let group = if acted.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        acted.groups.push(group.to_owned());
    }
    Ok(acted)
}

/// 400 for headers that say more than a name, but no name, with what they say as Go would print it.
fn nameless(acted: &User) -> Status {
    let listed = |values: &[String]| values.iter().map(|v| quote(v)).collect::<Vec<_>>().join(", ");
    let groups = match acted.groups.is_empty() {
        true => "[]string(nil)".to_owned(),
        false => format!("[]string{{{}}}", listed(&acted.groups)),
    };
    let entry =
        |(key, values): &(String, Vec<String>)| format!("{}:[]string{{{}}}", quote(key), listed(values));
    let extra = match acted.extra.is_empty() {
        true => "map[string][]string(nil)".to_owned(),
        false => {
            format!("map[string][]string{{{}}}", acted.extra.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    };
    Status::bad_request(format!(
        "requested &user.DefaultInfo{{Name:\"\", UID:{}, Groups:{groups}, Extra:{extra}}} without impersonating a user name",
        quote(&acted.uid)
    ))
}

/// A header's text. One that cannot be read must not be passed over.
fn text(name: &HeaderName, value: &HeaderValue) -> Result<String, Status> {
    let text = std::str::from_utf8(value.as_bytes());
    text.map(str::to_owned).map_err(|_| Status::bad_request(format!("cannot read the header {name}")))
}

fn extra(headers: &HeaderMap) -> Result<Vec<(String, Vec<String>)>, Status> {
    let mut extra: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in headers {
        let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) else { continue };
        let key = percent_decode(key, false).unwrap_or_else(|| key.to_owned());
        let value = text(name, value)?;
        match extra.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => extra.push((key, vec![value])),
        }
    }
    Ok(extra)
}

fn action<'a>(group: &'a str, resource: &'a str, subresource: &'a str, name: &'a str) -> Action<'a> {
    Action {
        is_resource: true,
        verb: "impersonate",
        group,
        version: "v1",
        resource,
        subresource,
        namespace: "",
        name,
        path: "",
    }
}

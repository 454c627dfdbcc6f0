//! What the user may do on the host, asked before anything is done.

use super::{Error, Host};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Something that one may do, or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The verb.
    pub verb: &'static str,
    /// The API group.
    pub group: String,
    /// The resource, such as `pods` or `pods/portforward`.
    pub resource: String,
    /// The namespace; none for what has none.
    pub namespace: String,
}

impl Right {
    /// A right on a resource of a namespace.
    pub fn new(verb: &'static str, group: &str, resource: &str, namespace: &str) -> Right {
        Right { verb, group: group.into(), resource: resource.into(), namespace: namespace.into() }
    }

    fn review(&self) -> Value {
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource,
                "namespace": self.namespace,
            } },
        })
    }
}

impl Host {
    /// Whether the user has a right. A host that does not answer such questions is taken to allow it: it will say so
    /// when it does not.
    pub async fn may(&self, right: &Right) -> Result<bool, Error> {
        let answer = self.create(&right.review()).await;
        match answer {
            Ok(answer) => Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(true)),
            Err(Error::Forbidden { .. } | Error::Status { code: 404, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Those of the rights that the user has not, in order.
pub async fn missing(host: &Host, rights: Vec<Right>) -> Result<Vec<Right>, Error> {
    let mut rights = rights;
    rights.sort();
    rights.dedup();
    let allowed = try_join_all(rights.iter().map(|right| host.may(right))).await?;
    Ok(rights.iter().zip(allowed).filter(|(_, allowed)| !allowed).map(|(right, _)| right.clone()).collect())
}

/// Rights in words: `create and patch roles.rbac.authorization.k8s.io; create namespaces`.
pub fn in_words(rights: &[Right]) -> String {
    let mut by_resource: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for right in rights {
        let name = match right.group.as_str() {
            "" => right.resource.clone(),
            group => format!("{}.{group}", right.resource),
        };
        by_resource.entry(name).or_default().push(right.verb);
    }
    // Resources with the same verbs are told together.
    let mut by_verbs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (resource, verbs) in by_resource {
        by_verbs.entry(listed(&verbs)).or_default().push(resource);
    }
    let parts: Vec<String> = by_verbs
        .iter()
        .map(|(verbs, resources)| {
            format!("{verbs} {}", listed(&resources.iter().map(String::as_str).collect::<Vec<_>>()))
        })
        .collect();
    parts.join("; ")
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_told_together() {
        let rbac = "rbac.authorization.k8s.io";
        let rights = [
            Right::new("create", "", "namespaces", ""),
            Right::new("create", rbac, "roles", "red"),
            Right::new("patch", rbac, "roles", "red"),
            Right::new("create", "apps", "statefulsets", "red"),
            Right::new("patch", "apps", "statefulsets", "red"),
        ];
        assert_eq!(
            in_words(&rights),
            "create namespaces; create and patch roles.rbac.authorization.k8s.io and statefulsets.apps"
        );
        assert_eq!(in_words(&rights[..1]), "create namespaces");
    }
}

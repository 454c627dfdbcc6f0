//! Kubeconfigs as the crate `kube` takes them, read by the parser that reads all our YAML: the one that the crate brings
//! would be a second one in every tenant's memory.

use alcove_object::Value;
use alcove_schema::decode::yaml_tree;
use kube::config::Kubeconfig;

/// The files that a kubeconfig names, by the list that they stand in, and what the list's entries hold.
const FILES: &[(&str, &str, &[&str])] = &[
    ("clusters", "cluster", &["certificate-authority"]),
    ("users", "user", &["client-certificate", "client-key", "tokenFile"]),
];

/// A kubeconfig as text. Errors: text that is no YAML, keys that are there twice, values of a wrong type.
pub fn parse(text: &str) -> Result<Kubeconfig, String> {
    from_tree(yaml_tree(text)?)
}

/// A kubeconfig as a tree; an empty one says nothing. Errors: values of a wrong type.
pub fn from_tree(tree: Value) -> Result<Kubeconfig, String> {
    if tree.is_null() {
        return Ok(Kubeconfig::default());
    }
    serde_json::from_value(tree).map_err(|error| error.to_string())
}

/// Makes the files that a kubeconfig names relative to where it lies absolute, as kubectl does; of commands those with a
/// slash, since others are looked for in `$PATH` (k8s.io/client-go/tools/clientcmd: RelativizePathWithNoBacksteps and
/// GetAuthInfoFileReferences).
pub fn resolve(tree: &mut Value, folder: &std::path::Path) {
    let absolute = |place: Option<&mut Value>| {
        let Some(Value::String(path)) = place else { return };
        if !path.is_empty() && std::path::Path::new(path.as_str()).is_relative() {
            *path = folder.join(path.as_str()).to_string_lossy().into_owned();
        }
    };
    for (list, entry, files) in FILES {
        for named in tree.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(entry) = named.get_mut(entry) else { continue };
            files.iter().for_each(|file| absolute(entry.get_mut(file)));
            let command = entry.pointer_mut("/exec/command");
            absolute(command.filter(|command| command.as_str().is_some_and(|text| text.contains('/'))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn files_are_relative_to_the_kubeconfig_and_commands_of_the_path_are_not() {
        let user = |certificate: &str, token: &str, command: &str| {
            json!({ "name": "u", "user": {
                "client-certificate": certificate, "tokenFile": token,
                "exec": { "command": command, "apiVersion": "client.authentication.k8s.io/v1" },
            } })
        };
        let cluster = |file: &str| json!({ "name": "c", "cluster": { "certificate-authority": file } });
        let mut tree = json!({
            "clusters": [cluster("ca.crt"), { "name": "d" }],
            "users": [user("a/b.crt", "/token", "aws"), user("", "../t", "bin/get")],
        });
        resolve(&mut tree, Path::new("/home/me/.kube"));
        let expected = json!({
            "clusters": [cluster("/home/me/.kube/ca.crt"), { "name": "d" }],
            "users": [
                user("/home/me/.kube/a/b.crt", "/token", "aws"),
                user("", "/home/me/.kube/../t", "/home/me/.kube/bin/get"),
            ],
        });
        assert_eq!(tree, expected);
        assert!(from_tree(tree).is_ok());
    }

    #[test]
    fn what_is_no_kubeconfig_is_told() {
        for (text, expected) in [
            ("", Ok(0)),
            ("clusters: null", Ok(0)),
            ("{clusters: [{name: a}], x-ours: 1}", Ok(1)),
            ("clusters: [", Err("yaml: line 1:")),
            ("clusters: 1", Err("invalid type")),
            ("a: 1\na: 2", Err("key \"a\" already set")),
        ] {
            match (parse(text), expected) {
                (Ok(read), Ok(count)) => assert_eq!(read.clusters.len(), count, "{text}"),
                (Err(error), Err(part)) => {
                    assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}")
                }
                (read, _) => panic!("{text}: {:?}", read.map(|read| read.clusters.len())),
            }
        }
    }
}

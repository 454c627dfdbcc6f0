//! Files of a volume that are in each other's way: two keys in one file, or a file where another needs a folder
//! (k8s.io/kubernetes/pkg/api/pod: warningsForOverlappingVirtualPaths).

use crate::kinds::tree::{field_text, list, some, text};
use alcove_object::Value;

/// Where a file lies, and what it comes from; empty when the volume has one source.
struct File {
    path: String,
    source: String,
}

impl File {
    fn told(&self) -> String {
        match &*self.source {
            "" => format!("{:?}", self.path),
            source => format!("{:?} ({source})", self.path),
        }
    }

    fn is_in_the_way_of(&self, other: &File) -> bool {
        let holds = |folder: &str, path: &str| format!("{path}/").starts_with(&format!("{folder}/"));
        !self.path.is_empty()
            && !other.path.is_empty()
            && (holds(&self.path, &other.path) || holds(&other.path, &self.path))
    }
}

/// All files of a pod's volumes that are in each other's way, and projected volumes with empty sources.
pub(super) fn overlaps(pod: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for volume in list(pod, "/spec/volumes") {
        let name = field_text(volume, "name");
        let mut tell = |what: &str, files: Vec<File>| {
            let body = |(one, other): (String, String)| {
                format!("volume {name:?} ({what}): overlapping paths: {one} with {other}")
            };
            warnings.extend(pairs(&files).into_iter().map(body));
        };
        for (kind, what, named) in
            [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"), ("downwardAPI", "", "")]
        {
            let Some(source) = some(volume, &format!("/{kind}")) else { continue };
            let what = match what {
                "" => "DownwardAPI".to_owned(),
                what => format!("{what} {:?}", field_text(source, named)),
            };
            tell(&what, files(source, ""));
        }
        let Some(projected) = some(volume, "/projected") else { continue };
        let mut all = Vec::new();
        let mut empty = 0;
        for source in list(projected, "/sources") {
            match source.as_object().is_none_or(|source| source.values().all(Value::is_null)) {
                true => empty += 1,
                false => all.extend(projection(source)),
            }
        }
        tell("Projected", all);
        let told = format!("volume {name:?} (Projected) has no sources provided");
        warnings.extend(std::iter::repeat_n(told, empty));
    }
    warnings
}

/// The files of one source of a projected volume.
fn projection(source: &Value) -> Vec<File> {
    for (kind, what) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
        if let Some(given) = some(source, &format!("/{kind}")).filter(|given| given.get("items").is_some()) {
            return files(given, &format!("{what} {:?}", field_text(given, "name")));
        }
    }
    if let Some(given) = some(source, "/downwardAPI").filter(|given| given.get("items").is_some()) {
        return files(given, "DownwardAPI");
    }
    if some(source, "/serviceAccountToken").is_some() {
        return vec![file(text(source, "/serviceAccountToken/path"), "ServiceAccountToken")];
    }
    if let Some(bundle) = some(source, "/clusterTrustBundle") {
        let name = some(bundle, "/name").or(some(bundle, "/signerName")).and_then(Value::as_str);
        let what = format!("ClusterTrustBundle {:?}", name.unwrap_or_default());
        return vec![file(field_text(bundle, "path"), &what)];
    }
    let parts = [
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    ];
    let given = parts.iter().map(|(field, what)| (text(source, &format!("/podCertificate/{field}")), what));
    given.filter(|(path, _)| !path.is_empty()).map(|(path, what)| file(path, what)).collect()
}

fn files(source: &Value, what: &str) -> Vec<File> {
    list(source, "/items").iter().map(|item| file(field_text(item, "path"), what)).collect()
}

fn file(path: &str, source: &str) -> File {
    File { path: path.trim_end_matches('/').to_owned(), source: source.to_owned() }
}

/// Each file with each one before it that is in its way.
fn pairs(files: &[File]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (i, file) in files.iter().enumerate() {
        let others = files[..i].iter().filter(|other| file.is_in_the_way_of(other));
        pairs.extend(others.map(|other| (file.told(), other.told())));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_in_each_others_way_are_told() {
        let items =
            |paths: &[&str]| paths.iter().map(|p| json!({ "key": "k", "path": p })).collect::<Vec<_>>();
        let token = json!({ "serviceAccountToken": { "path": "a/b/" } });
        let map = json!({ "configMap": { "name": "m", "items": items(&["a"]) } });
        for (volume, expected) in [
            (json!({ "secret": { "secretName": "s", "items": items(&["a", "ab", "b/a"]) } }), vec![]),
            (
                json!({ "secret": { "secretName": "s", "items": items(&["a", "a/b", "a"]) } }),
                vec![
                    "volume \"v\" (Secret \"s\"): overlapping paths: \"a/b\" with \"a\"",
                    "volume \"v\" (Secret \"s\"): overlapping paths: \"a\" with \"a\"",
                    "volume \"v\" (Secret \"s\"): overlapping paths: \"a\" with \"a/b\"",
                ],
            ),
            (
                json!({ "projected": { "sources": [map, token] } }),
                vec![
                    "volume \"v\" (Projected): overlapping paths: \"a/b\" (ServiceAccountToken) with \"a\" (ConfigMap \"m\")",
                ],
            ),
            (
                json!({ "projected": { "sources": [{}] } }),
                vec!["volume \"v\" (Projected) has no sources provided"],
            ),
        ] {
            let mut volume = volume;
            volume["name"] = "v".into();
            assert_eq!(overlaps(&json!({ "spec": { "volumes": [volume] } })), expected, "{volume}");
        }
    }
}

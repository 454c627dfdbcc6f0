//! Which versions of the built-in kinds are served: what is generally available, and what is switched on or off as
//! upstream's `--runtime-config` names it (k8s.io/apiserver/pkg/server/resourceconfig, pkg/server/options).

use crate::Minor;
use alcove_object::gvk::join_api_version;
use std::collections::BTreeMap;

/// The keys for many versions at once, each before those that win over it.
const MANY: [(&str, Option<Stability>); 4] = [
    ("api/all", None),
    ("api/ga", Some(Stability::Ga)),
    ("api/beta", Some(Stability::Beta)),
    ("api/alpha", Some(Stability::Alpha)),
];

/// How far a version has come, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stability {
    Ga,
    Beta,
    Alpha,
}

impl Stability {
    fn of(version: &str) -> Stability {
        match version {
            version if version.contains("alpha") => Stability::Alpha,
            version if version.contains("beta") => Stability::Beta,
            _ => Stability::Ga,
        }
    }
}

/// Why a key cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each says itself
pub enum BadRuntimeConfig {
    #[error(
        "invalid key {0:?}: keys are api/all, api/ga, api/beta, api/alpha, GROUP/VERSION and GROUP/VERSION/RESOURCE; \
         /v1 is the core group"
    )]
    Malformed(String),
    #[error("invalid key {key:?}: a resource is a lowercase plural, not {resource:?}")]
    Resource { key: String, resource: String },
    #[error("unknown API group in {key:?}: Kubernetes {minor} has no group {group:?}")]
    Group { key: String, group: String, minor: Minor },
    #[error("group version {version} has not been registered: Kubernetes {minor} knows {known}")]
    Version { version: String, minor: Minor, known: String },
    #[error(
        "api/all=false alone leaves nothing to serve; switch something on beside it, such as api/ga=true"
    )]
    Nothing,
}

/// What is switched on and off, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    switches: BTreeMap<String, bool>,
}

impl Enabled {
    /// Takes switches. Errors: keys that are malformed, that name a group or version which the minor's types do not know,
    /// and `api/all=false` with nothing beside it. A resource that a version does not have is no error, as upstream has
    /// it: what one minor serves, the next may have moved on.
    pub fn new(minor: Minor, switches: &BTreeMap<String, bool>) -> Result<Enabled, BadRuntimeConfig> {
        if switches.len() == 1 && switches.get("api/all") == Some(&false) {
            return Err(BadRuntimeConfig::Nothing);
        }
        switches.keys().try_for_each(|key| check(minor, key))?;
        Ok(Enabled { switches: switches.clone() })
    }

    /// Whether a version of a resource is served, if its minor has it: the word about the resource wins over that about
    /// its version, which wins over that about all versions of its stability, which wins over that about all.
    pub fn has(&self, group: &str, version: &str, resource: &str) -> bool {
        let api = format!("{group}/{version}");
        let stability = Stability::of(version);
        let many = MANY
            .iter()
            .rev()
            .filter(|(_, of)| of.is_none_or(|of| of == stability))
            .map(|(key, _)| (*key).to_owned());
        let keys = [format!("{api}/{resource}"), api].into_iter().chain(many);
        let said = keys.filter_map(|key| self.switches.get(&key)).next();
        said.copied().unwrap_or(stability == Stability::Ga)
    }

    /// The keys that switch on one version, or one resource of it.
    pub fn switched_on(&self) -> impl Iterator<Item = &str> {
        let is_one = |key: &str| MANY.iter().all(|(many, _)| *many != key);
        self.switches.iter().filter(move |(key, on)| **on && is_one(key)).map(|(key, _)| key.as_str())
    }
}

fn check(minor: Minor, key: &str) -> Result<(), BadRuntimeConfig> {
    if MANY.iter().any(|(many, _)| *many == key) {
        return Ok(());
    }
    let mut parts = key.split('/');
    let (Some(group), Some(version), resource, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BadRuntimeConfig::Malformed(key.to_owned()));
    };
    if group == "api" {
        return Err(BadRuntimeConfig::Malformed(key.to_owned()));
    }
    let known = versions(minor, group);
    if known.is_empty() {
        return Err(BadRuntimeConfig::Group { key: key.to_owned(), group: group.to_owned(), minor });
    }
    if !known.iter().any(|name| name == version) {
        let known: Vec<String> = known.iter().map(|version| join_api_version(group, version)).collect();
        let version = join_api_version(group, version);
        return Err(BadRuntimeConfig::Version { version, minor, known: known.join(", ") });
    }
    match resource.filter(|resource| resource.chars().any(char::is_uppercase)) {
        Some(resource) => {
            Err(BadRuntimeConfig::Resource { key: key.to_owned(), resource: resource.to_owned() })
        }
        None => Ok(()),
    }
}

/// The versions of a group that a minor's libraries know, served or not. They all know how to read options of deletions.
fn versions(minor: Minor, group: &str) -> Vec<String> {
    const EVERYWHERE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
    let types = super::types(minor);
    let kinds = types.named(EVERYWHERE).map_or(&[][..], |view| &view.schema().kinds);
    let mut versions: Vec<String> =
        kinds.iter().filter(|kind| kind.group == group).map(|kind| kind.version.clone()).collect();
    versions.sort_unstable();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(minor: u8, switches: &[(&str, bool)]) -> Result<Enabled, BadRuntimeConfig> {
        let switches = switches.iter().map(|(key, on)| ((*key).to_owned(), *on)).collect();
        Enabled::new(Minor(minor), &switches)
    }

    /// The cases of upstream's TestParseRuntimeConfig, with a beta version of today where it has extensions/v1beta1,
    /// which it takes to be on by default: (switches, then pods, deployments, services' addresses and their ranges).
    #[test]
    fn the_narrower_word_wins() {
        type Case<'a> = (&'a [(&'a str, bool)], [bool; 4]);
        const BETA: &str = "networking.k8s.io/v1beta1";
        const RANGES: &str = "networking.k8s.io/v1beta1/servicecidrs";
        let cases: &[Case<'_>] = &[
            (&[], [true, true, false, false]),
            (&[("apps/v1", true)], [true, true, false, false]),
            (&[("/v1", false)], [false, true, false, false]),
            (&[("api/all", true)], [true, true, true, true]),
            (&[("api/all", false), ("/v1", true)], [true, false, false, false]),
            (&[("api/all", false), ("api/beta", true)], [false, false, true, true]),
            (&[("api/all", true), ("api/beta", false)], [true, true, false, false]),
            (&[("api/ga", false)], [false, false, false, false]),
            (&[("api/ga", false), ("api/beta", true)], [false, false, true, true]),
            (&[("api/beta", true)], [true, true, true, true]),
            (&[("api/alpha", true)], [true, true, false, false]),
            (&[(RANGES, true)], [true, true, false, true]),
            (&[(BETA, true)], [true, true, true, true]),
            (&[(BETA, true), (RANGES, false)], [true, true, true, false]),
            (&[(BETA, false), (RANGES, true)], [true, true, false, true]),
            (&[("api/beta", true), (BETA, false)], [true, true, false, false]),
            (&[("api/beta", true), (BETA, false), (RANGES, true)], [true, true, false, true]),
            (&[("api/beta", false), (BETA, true), (RANGES, false)], [true, true, true, false]),
            (&[("apps/v1/deployments", false)], [true, false, false, false]),
            (&[("apps/v1", true), ("apps/v1/deployments", false)], [true, false, false, false]),
            (&[("apps/v1", false), ("apps/v1/deployments", true)], [true, true, false, false]),
            (&[("api/ga", true), ("apps/v1/deployments", false)], [true, false, false, false]),
            (&[("api/ga", false), ("apps/v1/deployments", true)], [false, true, false, false]),
            (
                &[("api/ga", false), ("apps/v1", true), ("apps/v1/deployments", false)],
                [false, false, false, false],
            ),
            (
                &[("api/ga", true), ("apps/v1", false), ("apps/v1/deployments", true)],
                [true, true, false, false],
            ),
            (&[("apps/v1/nothing", true)], [true, true, false, false]),
        ];
        for (switches, expected) in cases {
            let enabled = enabled(36, switches).expect("keys that can be meant");
            let found = [
                enabled.has("", "v1", "pods"),
                enabled.has("apps", "v1", "deployments"),
                enabled.has("networking.k8s.io", "v1beta1", "ipaddresses"),
                enabled.has("networking.k8s.io", "v1beta1", "servicecidrs"),
            ];
            assert_eq!(found, *expected, "{switches:?}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (minor, key, words) in [
            (36, "v1", "invalid key \"v1\": keys are"),
            (36, "", "invalid key"),
            (36, "api/gamma", "invalid key \"api/gamma\""),
            (36, "a/b/c/d", "invalid key \"a/b/c/d\""),
            (36, "apps/v1/Deployment", "a resource is a lowercase plural, not \"Deployment\""),
            (36, "invalidgroup/version", "Kubernetes 1.36 has no group \"invalidgroup\""),
            (36, "/v2", "group version v2 has not been registered: Kubernetes 1.36 knows v1"),
            (36, "scheduling.k8s.io/v1alpha1", "has not been registered"),
            (36, "lifecycle.k8s.io/v1alpha1", "has no group"),
        ] {
            let error = enabled(minor, &[(key, true)]).expect_err(key).to_string();
            assert!(error.contains(words), "{key}: {error}");
        }
        // What the libraries know and nobody serves any more is let through, as upstream does.
        for (minor, key) in
            [(36, "apps/v1beta1"), (35, "scheduling.k8s.io/v1alpha1"), (37, "networking.k8s.io/v1beta1")]
        {
            assert!(enabled(minor, &[(key, true)]).is_ok(), "{key}");
        }
        assert_eq!(enabled(36, &[("api/all", false)]), Err(BadRuntimeConfig::Nothing));
        assert!(enabled(36, &[("api/all", false), ("api/ga", true)]).is_ok());
    }
}

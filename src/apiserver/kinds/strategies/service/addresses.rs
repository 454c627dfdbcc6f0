//! The families and addresses of a service: what is filled in, what must fit together, and what may change of it
//! (k8s.io/kubernetes/pkg/registry/core/service/storage/alloc.go: initIPFamilyFields, and
//! pkg/apis/core/validation: ValidateServiceClusterIPsRelatedFields and the rules for changes).

use super::carried::spec_mut;
use super::{is_headless, kind, needs_cluster_ip};
use crate::kinds::tree::{list, some, text};
use crate::kinds::validation::address;
use alcove_object::Value;
use alcove_object::field::{Error, Path};
use serde_json::json;
use std::collections::BTreeSet;

const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];
/// Addresses that a service can have: one of each family.
const ADDRESSES_MAX: usize = 2;

fn spec_path(field: &str) -> Path {
    Path::new("spec").child(field)
}

fn given(service: &Value, field: &str) -> Value {
    service.pointer(&format!("/spec/{field}")).cloned().unwrap_or_default()
}

fn policy(service: &Value) -> &str {
    text(service, "/spec/ipFamilyPolicy")
}

fn selects(service: &Value) -> bool {
    service.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|map| !map.is_empty())
}

fn family_of(ip: &str) -> &'static str {
    if ip.contains(':') { "IPv6" } else { "IPv4" }
}

fn other(family: &Value) -> &'static str {
    if *family == "IPv4" { "IPv6" } else { "IPv4" }
}

/// Fills in families and their policy on a cluster that has addresses of `configured` families, the first being the one
/// that services get unless they ask for another. The errors are all that is wrong; nothing else is to be judged then.
pub(crate) fn fill_families(
    service: &mut Value,
    old: Option<&Value>,
    configured: &[&'static str],
) -> Result<(), Vec<Error>> {
    if !needs_cluster_ip(service) || old.is_some_and(|old| is_settled(service, old)) {
        return Ok(());
    }
    let Some(spec) = spec_mut(service) else { return Ok(()) };
    if spec.get("ipFamilyPolicy").is_none_or(Value::is_null) {
        let policy = first_policy(service, old);
        set(service, "ipFamilyPolicy", policy.into());
    }
    let wrong = fields(&service["spec"], old.and_then(|old| old.get("spec")));
    fail(wrong)?;
    let mut wrong = old.map_or_else(Vec::new, |old| release(service, old));
    wrong.extend(more_than_one(service));
    wrong.extend(families_of_addresses(service, configured));
    fail(wrong)?;
    match text(service, "/spec/clusterIP") == "None" && !selects(service) {
        true => reach_anything(service, configured[0]),
        false => fit_cluster(service, configured)?,
    }
    Ok(())
}

fn fail(errors: Vec<Error>) -> Result<(), Vec<Error>> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn set(service: &mut Value, field: &str, value: Value) {
    if let Some(spec) = spec_mut(service) {
        spec.insert(field.into(), value);
    }
}

/// Who prefers two families keeps what there was, on whatever cluster that was given.
fn is_settled(service: &Value, old: &Value) -> bool {
    let prefers = |service: &Value| policy(service) == "PreferDualStack";
    let same = |field: &str| {
        let pointer = format!("/spec/{field}");
        list(service, &pointer) == list(old, &pointer)
    };
    prefers(service)
        && (policy(old).is_empty() || prefers(old))
        && kind(service) == kind(old)
        && same("clusterIPs")
        && same("ipFamilies")
}

fn first_policy(service: &Value, old: Option<&Value>) -> String {
    match old.map(policy).filter(|policy| !policy.is_empty()) {
        Some(had) => had.to_owned(),
        // What has neither an address nor a selector is reached through what somebody else writes, of any family.
        None if text(service, "/spec/clusterIP") == "None" && !selects(service) => "RequireDualStack".into(),
        None => "SingleStack".into(),
    }
}

/// Who wants one family from now on lets go of the second address.
fn release(service: &mut Value, old: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let pointer = format!("/spec/{field}");
        let (new, was) = (list(service, &pointer), list(old, &pointer));
        if policy(service) == "SingleStack" {
            if new == was && new.len() > 1 {
                let first = json!([new[0]]);
                set(service, field, first);
            }
        } else if !new.is_empty() && new.len() < was.len() {
            let why = format!("must be 'SingleStack' to release the secondary {what}");
            let path = spec_path("ipFamilyPolicy");
            errors.push(Error::invalid(&path, given(service, "ipFamilyPolicy"), why));
        }
    }
    errors
}

fn more_than_one(service: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    for (field, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
        let count = list(service, &format!("/spec/{field}")).len();
        if policy(service) == "SingleStack" && count == ADDRESSES_MAX {
            let why =
                format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            let path = spec_path("ipFamilyPolicy");
            errors.push(Error::invalid(&path, given(service, "ipFamilyPolicy"), why));
        }
    }
    errors
}

/// Addresses that are given say their families.
fn families_of_addresses(service: &mut Value, configured: &[&str]) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut families = list(service, "/spec/ipFamilies").to_vec();
    let ips = list(service, "/spec/clusterIPs");
    for (i, ip) in ips.iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        if ip == "None" {
            break;
        }
        let family = family_of(ip);
        if i >= families.len() {
            match configured.contains(&family) {
                true => families.push(family.into()),
                false => errors.push(Error::invalid(
                    &spec_path("clusterIPs").index(i),
                    ips.to_vec(),
                    format!("{family} is not configured on this cluster"),
                )),
            }
        }
    }
    if !families.is_empty() {
        set(service, "ipFamilies", families.into());
    }
    errors
}

fn reach_anything(service: &mut Value, first: &str) {
    let mut families = list(service, "/spec/ipFamilies").to_vec();
    if families.is_empty() {
        families.push(first.into());
    }
    if families.len() < ADDRESSES_MAX && policy(service) != "SingleStack" {
        families.push(other(&families[0]).into());
    }
    set(service, "ipFamilies", families.into());
}

fn fit_cluster(service: &mut Value, configured: &[&'static str]) -> Result<(), Vec<Error>> {
    let mut errors = Vec::new();
    if policy(service) == "RequireDualStack" && configured.len() < ADDRESSES_MAX {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(Error::invalid(&spec_path("ipFamilyPolicy"), given(service, "ipFamilyPolicy"), why));
    }
    let mut families = list(service, "/spec/ipFamilies").to_vec();
    let unknown = families.iter().enumerate().filter(|(_, f)| !configured.iter().any(|c| **f == **c));
    errors.extend(unknown.map(|(i, family)| {
        let path = spec_path("ipFamilies").index(i);
        Error::invalid(&path, family.clone(), "not configured on this cluster")
    }));
    fail(errors)?;
    if families.is_empty() {
        families.push(configured[0].into());
    }
    if policy(service) != "SingleStack" && families.len() == 1 && configured.len() == ADDRESSES_MAX {
        families.push(other(&families[0]).into());
    }
    set(service, "ipFamilies", families.into());
    Ok(())
}

/// What is wrong with a spec's addresses, families and policy, each by itself and together. An address that the old spec
/// had is not judged again.
pub(super) fn fields(spec: &Value, old: Option<&Value>) -> Vec<Error> {
    if text(spec, "/type") == "ExternalName" {
        return Vec::new();
    }
    let path = spec_path("clusterIPs");
    let (ip, ips) = (text(spec, "/clusterIP"), list(spec, "/clusterIPs"));
    let whole = || Value::from(ips.to_vec());
    let mut errors = Vec::new();
    match (ip, ips.first()) {
        ("", None) => {}
        ("", Some(_)) => {
            errors.push(Error::invalid(&path, whole(), "must be empty when `clusterIP` is not specified"));
        }
        (_, None) => errors.push(Error::required(&path, "")),
        (ip, Some(first)) if first != ip => {
            errors.push(Error::invalid(&path, whole(), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    errors.extend(family_names(spec));
    let wrong = single_addresses(spec, old);
    let is_readable = wrong.is_empty();
    errors.extend(wrong);
    if ips.len() > ADDRESSES_MAX {
        errors.push(Error::invalid(&path, whole(), "may only hold up to 2 values"));
    }
    if is_readable {
        errors.extend(together(spec));
    }
    errors
}

fn family_names(spec: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, family) in list(spec, "/ipFamilies").iter().enumerate() {
        let (family, path) = (family.as_str().unwrap_or_default(), spec_path("ipFamilies").index(i));
        if !FAMILIES.contains(&family) {
            errors.push(Error::not_supported(&path, family, FAMILIES));
        }
        if !seen.insert(family) {
            errors.push(Error::duplicate(&path, family));
        }
    }
    let policy = some(spec, "/ipFamilyPolicy").and_then(Value::as_str);
    let unknown = policy.filter(|policy| !POLICIES.contains(policy));
    errors.extend(unknown.map(|p| Error::not_supported(&spec_path("ipFamilyPolicy"), p, POLICIES)));
    errors
}

fn single_addresses(spec: &Value, old: Option<&Value>) -> Vec<Error> {
    let (path, ips) = (spec_path("clusterIPs"), list(spec, "/clusterIPs"));
    let had = old.map_or(&[][..], |old| list(old, "/clusterIPs"));
    let mut errors = Vec::new();
    for (i, ip) in ips.iter().enumerate() {
        let text = ip.as_str().unwrap_or_default();
        if i == 0 && text == "None" {
            if ips.len() > 1 {
                let why = "'None' must be the first and only value";
                errors.push(Error::invalid(&path, ips.to_vec(), why));
            }
        } else if !had.contains(ip) {
            errors.extend(address::address(text, &path.index(i)));
        }
    }
    errors
}

fn together(spec: &Value) -> Vec<Error> {
    let (path, ips) = (spec_path("clusterIPs"), list(spec, "/clusterIPs"));
    let mut errors = Vec::new();
    let families: Vec<&str> = ips.iter().filter_map(Value::as_str).map(family_of).collect();
    if ips.len() > 1 && families.iter().collect::<BTreeSet<_>>().len() < ADDRESSES_MAX {
        let why = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(&path, ips.to_vec(), why));
    }
    if ips.len() == 1 && ips[0] == "None" {
        return errors;
    }
    for (i, (ip, family)) in ips.iter().zip(list(spec, "/ipFamilies")).enumerate() {
        let is_other = FAMILIES.iter().any(|f| family == *f) && family != families[i];
        if is_other {
            let why = format!(
                "expected an {} value as indicated by `ipFamilies[{i}]`",
                family.as_str().unwrap_or_default()
            );
            errors.push(Error::invalid(&path.index(i), ip.clone(), why));
        }
    }
    errors
}

/// Addresses and families stay what they were once they are set; a second one may come and go.
pub(super) fn changes(object: &Value, old: &Value) -> Vec<Error> {
    if kind(object) == "ExternalName" || kind(old) == "ExternalName" {
        return Vec::new();
    }
    if is_headless(object) && is_headless(old) {
        return Vec::new();
    }
    let mut errors = change_of(object, old, &CLUSTER_IPS);
    if !is_headless(object) && !is_headless(old) {
        errors.extend(change_of(object, old, &IP_FAMILIES));
    }
    errors
}

/// A list that may lose its second item with a change of the policy, and upstream's words for that.
struct Pair {
    field: &'static str,
    unset: &'static str,
    release: &'static str,
    /// Upstream shows the addresses where a family changes along with the number of families.
    shown: &'static str,
    /// Upstream names the first family whichever changes.
    names_each: bool,
}

const CLUSTER_IPS: Pair = Pair {
    field: "clusterIPs",
    unset: "primary clusterIP can not be unset",
    release: "must be set to 'SingleStack' when releasing the secondary clusterIP",
    shown: "clusterIPs",
    names_each: true,
};

const IP_FAMILIES: Pair = Pair {
    field: "ipFamilies",
    unset: "primary ipFamily can not be unset",
    release: "must be set to 'SingleStack' when releasing the secondary ipFamily",
    shown: "clusterIPs",
    names_each: false,
};

fn change_of(object: &Value, old: &Value, pair: &Pair) -> Vec<Error> {
    const WHY: &str = "may not change once set";
    let pointer = format!("/spec/{}", pair.field);
    let (new, was) = (list(object, &pointer), list(old, &pointer));
    let path = spec_path(pair.field);
    let mut errors = Vec::new();
    if new.len() == was.len() {
        let changed = was.iter().zip(new).enumerate().filter(|(_, (was, new))| was != new);
        errors.extend(changed.map(|(i, _)| {
            Error::invalid(&path.index(if pair.names_each { i } else { 0 }), new.to_vec(), WHY)
        }));
        return errors;
    }
    if new.len() < was.len() && list(object, "/spec/clusterIPs").is_empty() {
        errors.push(Error::invalid(&path.index(0), given(object, pair.field), pair.unset));
    }
    if let (Some(was), Some(new)) = (was.first(), new.first())
        && was != new
    {
        errors.push(Error::invalid(&path.index(0), given(object, pair.shown), WHY));
    }
    if new.len() < was.len() && new.len() == 1 && policy(object) != "SingleStack" {
        let path = spec_path("ipFamilyPolicy");
        errors.push(Error::invalid(&path, given(object, "ipFamilyPolicy"), pair.release));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[&str] = &["IPv4", "IPv6"];
    const ONE: &[&str] = &["IPv4"];

    fn service(spec: &Value) -> Value {
        let mut service = json!({"spec": {"type": "ClusterIP"}});
        for (field, value) in spec.as_object().unwrap() {
            service["spec"][field] = value.clone();
        }
        service
    }

    /// Policy and families after filling in, or the texts of the errors.
    fn filled(
        spec: Value,
        old: Option<Value>,
        configured: &[&'static str],
    ) -> Result<(String, Value), String> {
        let (mut new, old) = (service(&spec), old.map(|old| service(&old)));
        match fill_families(&mut new, old.as_ref(), configured) {
            Ok(()) => Ok((policy(&new).to_owned(), given(&new, "ipFamilies"))),
            Err(errors) => Err(errors.iter().map(|e| e.detail.clone()).collect::<Vec<_>>().join("; ")),
        }
    }

    #[test]
    fn families_of_new_services() {
        let four = || json!(["IPv4"]);
        let selector = json!({"a": "b"});
        for (spec, configured, expected) in [
            (json!({}), ONE, Ok(("SingleStack", four()))),
            (json!({}), BOTH, Ok(("SingleStack", four()))),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), ONE, Ok(("PreferDualStack", four()))),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), BOTH, Ok(("PreferDualStack", json!(BOTH)))),
            (
                json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
                BOTH,
                Ok(("RequireDualStack", json!(["IPv6", "IPv4"]))),
            ),
            (
                json!({"ipFamilyPolicy": "RequireDualStack"}),
                ONE,
                Err("this cluster is not configured for dual-stack services"),
            ),
            (json!({"ipFamilies": ["IPv6"]}), ONE, Err("not configured on this cluster")),
            (
                json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                ONE,
                Err("IPv6 is not configured on this cluster"),
            ),
            (
                json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                BOTH,
                Ok(("SingleStack", json!(["IPv6"]))),
            ),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"]}),
                ONE,
                Ok(("RequireDualStack", json!(["IPv4", "IPv6"]))),
            ),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": selector}),
                ONE,
                Ok(("SingleStack", four())),
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"]}),
                BOTH,
                Err(
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
                ),
            ),
        ] {
            let expected = expected.map(|(p, f): (&str, Value)| (p.to_owned(), f)).map_err(str::to_owned);
            assert_eq!(filled(spec.clone(), None, configured), expected, "{spec} {configured:?}");
        }
    }

    #[test]
    fn the_second_address_comes_and_goes_with_the_policy() {
        let two = json!({
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack",
        });
        let one = json!({
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
        });
        let with = |base: &Value, field: &str, value: Value| {
            let mut spec = base.clone();
            spec[field] = value;
            spec
        };
        let down = with(&two, "ipFamilyPolicy", json!("SingleStack"));
        assert_eq!(filled(down, Some(two.clone()), BOTH), Ok(("SingleStack".into(), json!(["IPv4"]))));
        let up = with(&one, "ipFamilyPolicy", json!("PreferDualStack"));
        assert_eq!(filled(up, Some(one.clone()), BOTH), Ok(("PreferDualStack".into(), json!(BOTH))));
        let fewer = with(&two, "ipFamilies", json!(["IPv4"]));
        let why = "must be 'SingleStack' to release the secondary IP family";
        assert_eq!(filled(fewer, Some(two), BOTH), Err(why.into()));
        // What prefers two families and does not change keeps the one that it had.
        let kept = with(&one, "ipFamilyPolicy", json!("PreferDualStack"));
        let same = filled(kept.clone(), Some(kept), BOTH);
        assert_eq!(same, Ok(("PreferDualStack".into(), json!(["IPv4"]))));
    }

    #[test]
    fn what_is_set_does_not_change() {
        let of = |ips: Value, policy: &str| {
            service(&json!({"clusterIPs": ips, "ipFamilyPolicy": policy, "ipFamilies": ["IPv4"]}))
        };
        for (old, new, expected) in [
            (of(json!(["10.0.0.1"]), ""), of(json!(["10.0.0.1"]), ""), ""),
            (of(json!(["10.0.0.1"]), ""), of(json!(["10.0.0.2"]), ""), "may not change once set"),
            (of(json!(["10.0.0.1"]), ""), of(json!([]), "SingleStack"), "primary clusterIP can not be unset"),
            (of(json!(["10.0.0.1", "fd00::1"]), ""), of(json!(["10.0.0.1"]), "SingleStack"), ""),
            (
                of(json!(["10.0.0.1", "fd00::1"]), ""),
                of(json!(["10.0.0.1"]), "PreferDualStack"),
                "must be set to 'SingleStack' when releasing the secondary clusterIP",
            ),
            (of(json!(["10.0.0.1"]), ""), of(json!(["10.0.0.1", "fd00::1"]), ""), ""),
            (of(json!(["None"]), ""), of(json!(["10.0.0.1"]), ""), "may not change once set"),
        ] {
            let errors: Vec<String> = changes(&new, &old).iter().map(|e| e.detail.clone()).collect();
            assert_eq!(errors.join("; "), expected, "{old} {new}");
        }
    }
}

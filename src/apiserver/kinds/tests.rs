//! The rows against a table of what kube-apiserver 1.36 serves.

use super::*;
use crate::registry::{FieldValue, SubresourceKind, VerbSet};
use crate::request::Verb;
use std::collections::BTreeSet;

/// One line of the table: group version, resource, kind, scope, verbs, subresources, short names, categories, columns.
fn facts() -> Vec<Vec<&'static str>> {
    include_str!("testdata/resources.tsv").lines().skip(1).map(|line| line.split('\t').collect()).collect()
}

fn verb(name: &str) -> Verb {
    use Verb::*;
    let all = [Get, List, Watch, Create, Update, Patch, Delete, DeleteCollection, Connect];
    *all.iter().find(|v| v.as_str() == name).expect("the table spells verbs as rules do")
}

fn verbs(names: &str) -> VerbSet {
    match names {
        "*" => VerbSet::ALL,
        names => VerbSet::of(&names.split(',').map(verb).collect::<Vec<_>>()),
    }
}

/// Subresources as `name(verb,verb:Kind)` in the form of the table.
fn subresources(resource: &Resource) -> BTreeSet<String> {
    let show = |s: &crate::registry::Subresource| {
        let shown: Vec<&str> = ["connect", "create", "get", "patch", "update"]
            .into_iter()
            .filter(|name| s.verbs.has(verb(name)))
            .collect();
        let kind = match s.kind {
            SubresourceKind::Connect => String::new(),
            _ if s.gvk.kind == resource.gvk.kind => String::new(),
            _ => format!(":{}", s.gvk.kind),
        };
        format!("{}({}{kind})", s.name, shown.join(","))
    };
    resource.subresources.iter().map(show).collect()
}

/// Columns in the form of the table: wide ones after a bar, or marked when they stand between others.
fn columns(resource: &Resource) -> String {
    if resource.gvk.kind == "Event" {
        let mark = |c: &crate::registry::Column| {
            if c.priority == 0 { c.name.clone() } else { format!("(w){}", c.name) }
        };
        return resource.columns.iter().map(mark).collect::<Vec<_>>().join(",");
    }
    let of = |priority| {
        let names = resource.columns.iter().filter(|c| c.priority == priority).map(|c| c.name.as_str());
        names.collect::<Vec<_>>().join(",")
    };
    match (of(0), of(1)) {
        (none, _) if none.is_empty() => "(no Table: 406)".into(),
        (all, wide) if wide.is_empty() && all == "Name,Created At" => format!("(default) {all}"),
        (all, wide) if wide.is_empty() => all,
        (all, wide) => format!("{all}|{wide}"),
    }
}

#[test]
fn rows_equal_what_upstream_serves() {
    let resources = resources(Minor(36));
    let facts = facts();
    assert_eq!(resources.len(), facts.len());
    for fact in facts {
        let (group, version) = alcove_object::gvk::split_api_version(fact[0]);
        let found = resources
            .iter()
            .find(|r| r.gvr.group == group && r.gvr.version == version && r.gvr.resource == fact[1]);
        let resource = found.unwrap_or_else(|| panic!("{} {} has no row", fact[0], fact[1]));
        let about = resource.gvr.to_string();
        assert_eq!(resource.gvk.kind, fact[2], "{about}");
        assert_eq!(resource.namespaced, fact[3] == "Namespaced", "{about}");
        assert_eq!(resource.verbs, verbs(fact[4]), "{about}");
        let wanted: BTreeSet<String> =
            fact[5].split(';').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        assert_eq!(subresources(resource), wanted, "{about}");
        assert_eq!(resource.short_names.join(","), fact[6], "{about}");
        assert_eq!(resource.categories.join(","), fact[7], "{about}");
        assert_eq!(columns(resource), fact[8], "{about}");
    }
}

#[test]
fn minors_serve_what_they_had() {
    let count = |minor| resources(Minor(minor)).len();
    assert_eq!([count(34), count(35), count(36), count(37)], [66, 66, 68, 72]);
    let service_names = |minor| {
        let resources = resources(Minor(minor));
        resources.iter().find(|r| r.gvk.kind == "Service").map(|r| r.rules.names)
    };
    use crate::registry::NameRule;
    assert_eq!(service_names(35), Some(NameRule::Label1035));
    assert_eq!(service_names(36), Some(NameRule::Label));
}

fn with(minor: u8, switches: &[(&str, bool)]) -> Vec<Arc<Resource>> {
    let switches = switches.iter().map(|(key, on)| ((*key).to_owned(), *on)).collect();
    enabled_resources(Minor(minor), &Enabled::new(Minor(minor), &switches).unwrap())
}

#[test]
fn all_beta_and_alpha_kinds_can_be_switched_on() {
    let is_early = |version: &str| version.contains("alpha") || version.contains("beta");
    for (minor, expected) in [(34, 90), (35, 90), (36, 95), (37, 100)] {
        let resources = with(minor, &[("api/all", true)]);
        let served: BTreeSet<String> =
            resources.iter().map(|r| format!("{} {}", r.gvk.api_version(), r.gvk.kind)).collect();
        assert_eq!(served.len(), resources.len(), "1.{minor}: nothing is served twice");
        let types = builtin::types(Minor(minor));
        let known = types.kinds().filter(|(kind, view)| {
            let is_object = view.schema().name.starts_with("io.k8s.api.") && view.field("items").is_none();
            is_object && is_early(&kind.version)
        });
        let missing: Vec<String> = known
            .map(|(kind, _)| format!("{} {}", kind.api_version(), kind.kind))
            .filter(|kind| !served.contains(kind))
            .collect();
        assert_eq!(missing, Vec::<String>::new(), "1.{minor}");
        assert_eq!(resources.len(), expected, "1.{minor}");
        assert!(super::resources(Minor(minor)).iter().all(|r| r.is_served && !is_early(&r.gvr.version)));
    }
}

#[test]
fn every_version_of_a_row_is_one_of_some_minor() {
    for group in GROUPS {
        let known: Vec<Arc<Resource>> =
            (34..=37).flat_map(|minor| with(minor, &[("api/all", true)])).collect();
        let of_group = known.iter().filter(|r| r.gvr.group == group.name);
        let versions: BTreeSet<&str> = of_group.map(|r| r.gvr.version.as_str()).collect();
        let listed: BTreeSet<&str> = group.versions.iter().map(|(version, _)| *version).collect();
        assert_eq!(versions, listed, "{}", group.name);
    }
}

#[test]
fn what_is_switched_off_stays_for_the_server_itself() {
    let resources = with(36, &[("apps/v1", false), ("api/beta", true), ("resource.k8s.io/v1beta1", false)]);
    let find = |version: &str, name: &str| {
        resources.iter().find(|r| r.gvr.version == version && r.gvr.resource == name)
    };
    assert!(find("v1", "deployments").is_some_and(|r| !r.is_served));
    assert!(find("v1beta2", "resourceclaims").is_some_and(|r| r.is_served));
    assert!(find("v1beta1", "resourceclaims").is_none() && find("v1alpha3", "devicetaintrules").is_none());
    let registry = crate::registry::Registry::new(resources);
    assert!(registry.resource("apps", "v1", "deployments").is_none());
    assert!(registry.gvr(&alcove_object::Gvr::new("apps", "v1", "deployments")).is_some());
}

#[test]
fn objects_are_stored_in_the_newest_version_of_their_minor() {
    for (minor, name, expected) in [
        (34, "podcertificaterequests", "v1alpha1"),
        (36, "podcertificaterequests", "v1beta1"),
        (37, "podcertificaterequests", "v1"),
        (35, "devicetaintrules", "v1alpha3"),
        (36, "devicetaintrules", "v1beta2"),
        (35, "mutatingadmissionpolicies", "v1beta1"),
        (36, "mutatingadmissionpolicies", "v1"),
        (36, "leasecandidates", "v1beta1"),
        (37, "workloads", "v1beta1"),
        (36, "horizontalpodautoscalers", "v2"),
        (34, "resourceclaims", "v1"),
    ] {
        let resources = with(minor, &[("api/all", true)]);
        let versions = resources.iter().filter(|r| r.gvr.resource == name);
        let stored: BTreeSet<&str> = versions.map(|r| r.stored.version.as_str()).collect();
        assert_eq!(stored, BTreeSet::from([expected]), "{name} in 1.{minor}");
    }
}

#[test]
fn deprecated_versions_say_so() {
    let warning = |minor: u8, version: &str, kind: &str| {
        let resources = with(minor, &[("api/all", true)]);
        let found = resources.iter().find(|r| r.gvr.version == version && r.gvk.kind == kind);
        found.expect("it is served").deprecation.clone().unwrap_or_default()
    };
    assert_eq!(
        warning(36, "v1beta1", "VolumeAttributesClass"),
        "storage.k8s.io/v1beta1 VolumeAttributesClass is deprecated in v1.34+, unavailable in v1.37+; \
         use storage.k8s.io/v1 VolumeAttributesClass"
    );
    assert_eq!(
        warning(36, "v1beta1", "ServiceCIDR"),
        "networking.k8s.io/v1beta1 ServiceCIDR is deprecated in v1.34+, unavailable in v1.37+"
    );
    assert_eq!(warning(36, "v1beta1", "PodCertificateRequest"), "");
    assert_eq!(warning(36, "v1", "ComponentStatus"), "v1 ComponentStatus is deprecated in v1.19+");
    assert_eq!(
        warning(34, "v1", "Endpoints"),
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    );
}

#[test]
fn twins_share_a_table_and_its_index() {
    let resources = resources(Minor::DEFAULT);
    let of = |kind: &str| resources.iter().filter(|r| r.gvk.kind == kind).cloned().collect::<Vec<_>>();
    for kind in ["Event", "HorizontalPodAutoscaler"] {
        let [a, b] = &of(kind)[..] else { panic!("{kind} is served twice") };
        assert_eq!(a.table, b.table);
        assert_eq!(a.stored, b.stored);
        let index = |r: &Resource| r.selectable.iter().map(|s| s.index).collect::<BTreeSet<_>>();
        assert_eq!(index(a), index(b));
    }
    let tables: BTreeSet<_> = resources.iter().map(|r| r.table.clone()).collect();
    assert_eq!(tables.len(), resources.len() - 2);
}

#[test]
fn groups_stand_in_order_of_priority() {
    assert!(GROUPS.is_sorted_by_key(|group| -group.priority));
}

#[test]
fn selectable_fields_read_the_object() {
    let pod = serde_json::json!({
        "spec": {"nodeName": "n1", "hostNetwork": true},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
    });
    let event = serde_json::json!({
        "involvedObject": {"name": "web"}, "reason": "Pulled", "reportingComponent": "kubelet",
    });
    let cases = [
        (select::POD, &pod, "spec.nodeName", "n1"),
        (select::POD, &pod, "spec.host", "n1"),
        (select::POD, &pod, "spec.hostNetwork", "true"),
        (select::POD, &pod, "status.phase", "Running"),
        (select::POD, &pod, "status.podIP", "10.0.0.1"),
        (select::POD, &pod, "spec.schedulerName", ""),
        (select::EVENT, &event, "involvedObject.name", "web"),
        (select::EVENT, &event, "source", "kubelet"),
        (select::EVENTS_EVENT, &event, "regarding.name", "web"),
        (select::JOB, &event, "status.successful", "0"),
        (select::NODE, &event, "spec.unschedulable", "false"),
    ];
    for (fields, object, label, expected) in cases {
        let field = fields.iter().find(|f| f.label == label).expect("the kind has the field");
        let FieldValue::Indexed(value) = field.value else { panic!("{label} is not kept in the index") };
        assert_eq!(value(object), expected, "{label}");
    }
}

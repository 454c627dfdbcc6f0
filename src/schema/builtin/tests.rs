//! The facts that everything else leans on, checked against what upstream's types say.

use super::*;
use crate::types::Omit;
use crate::{ListKind, View};
use alcove_object::Value;
use serde_json::json;
use sha2::{Digest, Sha256};

fn all_minors() -> impl Iterator<Item = Minor> {
    (Minor::OLDEST.0..=Minor::NEWEST.0).map(Minor)
}

/// Follows JSON names; `[]` goes to a list's items, `*` to a map's values.
fn at<'a>(types: &'a Types, kind: (&str, &str), path: &str) -> (View<'a>, Option<&'a Field>) {
    let mut view = types.kind(&Gvk::from_api_version(kind.0, kind.1)).expect("kind");
    let mut last = None;
    for step in path.split('.').filter(|s| !s.is_empty()) {
        let name = step.trim_end_matches("[]");
        last = view.field(name);
        view = view.child(name).unwrap_or_else(|| panic!("no {name} in {view:?}"));
        if step.ends_with("[]") {
            view = view.item().expect("list");
        }
    }
    (view, last)
}

fn field<'a>(types: &'a Types, kind: (&str, &str), path: &str) -> &'a Field {
    at(types, kind, path).1.expect("field")
}

const POD: (&str, &str) = ("v1", "Pod");

#[test]
fn every_minor_builds() {
    for minor in all_minors() {
        let types = build(table::TEXT, minor).expect("well-formed");
        assert!(types.definitions().count() > 700, "{minor}");
        for (gvk, view) in types.kinds() {
            assert!(!matches!(view.shape(), Shape::Any), "{minor} {gvk:?}");
        }
    }
}

/// A table edited by hand, or left behind when a pinned version moved, is not what the generator writes.
#[test]
fn the_table_is_what_the_generator_wrote() {
    let (head, body) = table::TEXT.split_at(table::TEXT.find("\ndef ").expect("definitions") + 1);
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(head.contains(&format!("# digest: {digest}\n")), "run make codegen");
    let pinned = [
        include_str!("../codegen/reflect/go.1.34.mod"),
        include_str!("../codegen/reflect/go.1.35.mod"),
        include_str!("../codegen/reflect/go.1.36.mod"),
        include_str!("../codegen/reflect/go.1.37.mod"),
    ];
    let inputs: Vec<_> = head.lines().filter(|l| l.starts_with("# input: k8s.io/")).collect();
    assert_eq!(inputs.len(), pinned.len());
    for (input, file) in inputs.iter().zip(pinned) {
        for module in input.split(' ').skip(2) {
            let required = module.split('@');
            let pins = |line: &str| line.split_whitespace().take(2).eq(required.clone());
            assert!(file.lines().any(pins), "{module} is not what go.mod pins: run make codegen");
        }
    }
}

#[test]
fn fields_are_sorted_and_references_hold() {
    for minor in all_minors() {
        let types = types(minor);
        for (name, view) in types.definitions() {
            assert!(view.fields().is_sorted_by(|a, b| a.name < b.name), "{minor} {name}");
            for field in view.fields() {
                view.at(field.schema).schema();
            }
        }
    }
}

#[test]
fn protobuf_numbers_are_unique_in_their_message() {
    for minor in all_minors() {
        for (name, view) in types(minor).definitions() {
            let mut paths: Vec<_> =
                view.fields().iter().filter(|f| f.number != 0).map(|f| (&f.within, f.number)).collect();
            paths.sort();
            assert!(paths.windows(2).all(|w| w[0] != w[1]), "{minor} {name}");
        }
    }
}

#[test]
fn numbers_and_where_they_stand() {
    let types = types(Minor::DEFAULT);
    let policy = ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy");
    let rules = "spec.matchConstraints.resourceRules[]";
    let cases: [(_, &str, &[u32], u32); 12] = [
        (POD, "metadata", &[], 1),
        (POD, "apiVersion", &[], 0),
        (POD, "spec.containers[].ports[].containerPort", &[], 3),
        (POD, "spec.containers[].livenessProbe.exec", &[1], 1),
        (POD, "spec.volumes[].name", &[], 1),
        (POD, "spec.volumes[].configMap", &[2], 19),
        (POD, "spec.volumes[].ephemeral.volumeClaimTemplate.spec.resources.requests", &[], 2),
        (policy, &format!("{rules}.resourceNames"), &[], 1),
        (policy, &format!("{rules}.operations"), &[2], 1),
        (policy, &format!("{rules}.scope"), &[2, 2], 4),
        (("v1", "PersistentVolume"), "spec.csi", &[2], 22),
        (("v1", "Event"), "eventTime", &[], 10),
    ];
    for (kind, path, within, number) in cases {
        let field = field(&types, kind, path);
        assert_eq!((&*field.within, field.number), (within, number), "{path}");
    }
}

#[test]
fn how_lists_and_maps_merge() {
    let types = types(Minor::DEFAULT);
    let keys = |names: &[&str]| ListKind::Map(names.iter().map(|n| Box::from(*n)).collect());
    let cases = [
        (POD, "spec.containers", keys(&["name"]), "name"),
        (POD, "spec.containers[].ports", keys(&["containerPort", "protocol"]), "containerPort"),
        (POD, "spec.containers[].args", ListKind::Atomic, ""),
        (POD, "metadata.finalizers", ListKind::Set, ""),
        (POD, "metadata.managedFields", ListKind::Atomic, ""),
        (POD, "spec.topologySpreadConstraints", keys(&["topologyKey", "whenUnsatisfiable"]), "topologyKey"),
        (("v1", "Service"), "spec.ports", keys(&["port", "protocol"]), "port"),
    ];
    for (kind, path, list, merge_key) in cases {
        let (view, field) = at(&types, kind, path);
        assert_eq!((&view.schema().list, &*field.expect("field").merge_key), (&list, merge_key), "{path}");
    }
    assert!(field(&types, POD, "spec.volumes").retain_keys);
    assert!(field(&types, ("apps/v1", "Deployment"), "spec.strategy").retain_keys);
    assert!(!field(&types, ("apps/v1", "Deployment"), "spec.strategy").patch_merge);
    assert!(at(&types, POD, "spec.nodeSelector").0.schema().atomic);
    assert!(at(&types, POD, "spec.imagePullSecrets[]").0.schema().atomic);
    assert!(at(&types, ("apps/v1", "Deployment"), "spec.selector").0.schema().atomic);
    assert!(!at(&types, POD, "metadata.labels").0.schema().atomic);
}

#[test]
fn shapes_that_are_special_on_a_wire() {
    let types = types(Minor::DEFAULT);
    let crd = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let schema = "spec.versions[].schema.openAPIV3Schema";
    let is = |kind, path: &str, wanted: fn(&Shape) -> bool| {
        let shape = at(&types, kind, path).0.shape();
        assert!(wanted(shape), "{path} is {shape:?}");
    };
    is(POD, "metadata.creationTimestamp", |s| *s == Shape::Time);
    is(POD, "metadata.generation", |s| *s == Shape::Int64);
    is(POD, "metadata.managedFields[].fieldsV1", |s| *s == Shape::Any);
    is(POD, "spec.priority", |s| *s == Shape::Int32);
    is(POD, "spec.containers[].resources.limits.x", |s| *s == Shape::Quantity);
    is(POD, "spec.containers[].livenessProbe.httpGet.port", |s| *s == Shape::IntOrString);
    is(("v1", "Event"), "eventTime", |s| *s == Shape::MicroTime);
    is(("v1", "Secret"), "data.x", |s| *s == Shape::Bytes);
    is(("v1", "Secret"), "stringData.x", |s| *s == Shape::String);
    is(("apps/v1", "ControllerRevision"), "data", |s| *s == Shape::Any);
    is(crd, &format!("{schema}.maximum"), |s| *s == Shape::Double);
    is(crd, &format!("{schema}.default"), |s| *s == Shape::Any);
    is(crd, &format!("{schema}.items"), |s| matches!(s, Shape::OneOrList(_)));
    is(crd, &format!("{schema}.additionalProperties"), |s| matches!(s, Shape::BoolOr(_)));
    is(crd, &format!("{schema}.dependencies.x"), |s| matches!(s, Shape::OneOrStrings(_)));
    let extra = at(&types, ("authorization.k8s.io/v1", "SubjectAccessReview"), "spec.extra.x").0;
    assert!(extra.schema().wrapped);
    let verbs = types.named("io.k8s.apimachinery.pkg.apis.meta.v1.APIResource").expect("APIResource");
    assert!(verbs.child("verbs").expect("verbs").schema().wrapped);
}

#[test]
fn minors_differ() {
    let has = |minor, path: &str| {
        let types = types(Minor(minor));
        let (parent, name) = path.rsplit_once('.').expect("dot");
        at(&types, POD, parent).0.field(name).is_some()
    };
    for (path, since, until) in
        [("spec.containers", 34, 37), ("spec.schedulingGroup", 36, 37), ("spec.workloadRef", 35, 35)]
    {
        for minor in 34..=37 {
            assert_eq!(has(minor, path), (since..=until).contains(&minor), "{path} in 1.{minor}");
        }
    }
    let policy = Gvk::new("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy");
    assert!(types(Minor(35)).kind(&policy).is_none());
    assert!(types(Minor(36)).kind(&policy).is_some());
}

#[test]
fn bodies_beside_the_kinds_themselves() {
    for minor in all_minors() {
        let types = types(minor);
        for (version, kind) in [
            ("v1", "Status"),
            ("v1", "DeleteOptions"),
            ("apps/v1", "DeleteOptions"),
            ("v1", "Binding"),
            ("v1", "PodList"),
            ("policy/v1", "Eviction"),
            ("autoscaling/v1", "Scale"),
            ("authentication.k8s.io/v1", "TokenRequest"),
            ("authentication.k8s.io/v1", "TokenReview"),
            ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
            ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("apiregistration.k8s.io/v1", "APIService"),
            ("v1", "WatchEvent"),
        ] {
            assert!(types.kind(&Gvk::from_api_version(version, kind)).is_some(), "{minor} {version} {kind}");
        }
    }
}

#[test]
fn defaults_that_count_for_list_map_keys() {
    let types = types(Minor::DEFAULT);
    assert_eq!(field(&types, POD, "spec.containers[].ports[].protocol").default, Some(json!("TCP")));
    assert_eq!(field(&types, ("v1", "Service"), "spec.ports[].protocol").default, Some(json!("TCP")));
    assert_eq!(field(&types, POD, "spec.containers[].name").default, Some(json!("")));
    assert_eq!(field(&types, POD, "spec.hostname").default, None);
}

#[test]
fn what_go_leaves_out() {
    let types = types(Minor::DEFAULT);
    for (kind, path, pointer, omit) in [
        (POD, "spec.hostname", false, Omit::Empty),
        (POD, "spec.priority", true, Omit::Empty),
        (POD, "spec.containers", false, Omit::Never),
        (POD, "spec.containers[].name", false, Omit::Never),
        (POD, "metadata.creationTimestamp", false, Omit::EmptyOrZero),
        (POD, "metadata.managedFields[].time", true, Omit::Empty),
        (("policy/v1", "PodDisruptionBudget"), "status.expectedPods", false, Omit::Never),
    ] {
        let field = field(&types, kind, path);
        assert_eq!((field.pointer, field.omit), (pointer, omit), "{path}");
    }
}

#[test]
fn closed_sets_of_values() {
    let types = types(Minor::DEFAULT);
    let allowed = |path: &str| at(&types, POD, path).0.schema().allowed.to_vec();
    assert_eq!(allowed("spec.containers[].ports[].protocol"), [json!("SCTP"), json!("TCP"), json!("UDP")]);
    assert_eq!(allowed("spec.schedulerName"), [] as [Value; 0]);
    let modes = at(&types, ("v1", "PersistentVolumeClaim"), "spec.accessModes[]").0;
    assert_eq!(modes.schema().allowed.len(), 4);
}

#[test]
fn unions_are_kept() {
    let types = types(Minor::DEFAULT);
    let profile = types.named("io.k8s.api.core.v1.SeccompProfile").expect("known");
    let unions = profile.schema().unions.as_deref().expect("unions");
    assert_eq!(unions[0]["discriminator"], json!("type"));
}

#[test]
fn malformed_tables_are_refused() {
    for text in [
        "  name string",
        "junk",
        "def a\n  name",
        "def a\n  name @missing",
        "def a\n  name [nothing]",
        "def a\n  name odd[string]",
        "def a\n  name string unknown",
        "def a\n  name 1/x string",
        "def a\n  name string default={",
        "def a @34",
    ] {
        assert!(build(text, Minor::DEFAULT).is_err(), "{text}");
    }
}

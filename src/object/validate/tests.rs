//! Names, labels and annotations: (input) -> (errors).

use super::*;
use serde_json::json;

fn texts(errors: &[Error]) -> Vec<String> {
    errors.iter().map(Error::to_string).collect()
}

fn at() -> Path {
    Path::new("metadata")
}

const KEY_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                        alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                        validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

#[test]
fn new_objects() {
    let cases: &[(Value, bool, &[&str])] = &[
        (json!({"name": "a", "namespace": "b"}), true, &[]),
        (json!({"name": "a"}), false, &[]),
        (json!({"name": "a-x", "generateName": "a-"}), false, &[]),
        (
            json!({}),
            true,
            &[
                "metadata.name: Required value: name or generateName is required",
                "metadata.namespace: Required value",
            ],
        ),
        (
            json!({"name": "a", "namespace": "b"}),
            false,
            &["metadata.namespace: Forbidden: not allowed on this type"],
        ),
        (
            json!({"name": "a", "namespace": "b.c"}),
            true,
            &[r#"metadata.namespace: Invalid value: "b.c": must not contain dots"#],
        ),
        (
            json!({"name": "a", "generation": -1}),
            false,
            &["metadata.generation: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            json!({"name": "a", "labels": {"/x": "y"}}),
            false,
            &[r#"metadata.labels: Invalid value: "/x": prefix part must be non-empty"#],
        ),
        (json!({"name": "a", "annotations": {"Example.COM/Key": "any text"}}), false, &[]),
        (
            json!({"name": "a", "ownerReferences": [{}]}),
            false,
            &[
                r#"metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty"#,
                r#"metadata.ownerReferences.kind: Invalid value: "": must not be empty"#,
                r#"metadata.ownerReferences.name: Invalid value: "": must not be empty"#,
                r#"metadata.ownerReferences.uid: Invalid value: "": must not be empty"#,
            ],
        ),
        (
            json!({"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"}]}),
            false,
            &[concat!(
                r#"metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"e","uid":"u"}"#,
                ": /v1, Kind=Event is disallowed from being an owner"
            )],
        ),
        (
            json!({"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}),
            false,
            &[concat!(
                r#"metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]"#,
                ": finalizer orphan and foregroundDeletion cannot be both set"
            )],
        ),
        (
            json!({"name": "a", "managedFields": [
                {"operation": "Update", "fieldsType": "FieldsV1", "manager": "m"},
                {"operation": "x", "fieldsType": "y", "manager": "a\u{7}"},
            ]}),
            false,
            &[
                r#"metadata.managedFields[1].operation: Invalid value: "x": must be `Apply` or `Update`"#,
                r#"metadata.managedFields[1].fieldsType: Invalid value: "y": must be `FieldsV1`"#,
                r#"metadata.managedFields[1].manager: Invalid value: "a\a": invalid character U+0007 (at position 1)"#,
            ],
        ),
    ];
    for (metadata, namespaced, expected) in cases {
        let object = json!({"metadata": metadata});
        let errors = validate_object_meta(&object, *namespaced, name::dns_subdomain, &at());
        assert_eq!(texts(&errors), *expected, "{metadata}");
    }
}

#[test]
fn two_controllers() {
    let owner =
        |name: &str| json!({"apiVersion": "v1", "kind": "K", "name": name, "uid": "u", "controller": true});
    let errors = validate_owner_references(Some(&json!([owner("a"), owner("b")])), &at());
    let text = texts(&errors).concat();
    let why =
        "Only one reference can have Controller set to true. Found \"true\" in references for K/a and K/b";
    assert!(text.ends_with(why), "{text}");
}

#[test]
fn annotations_have_a_size() {
    let fits = json!({"a": "x".repeat(ANNOTATIONS_BYTES_MAX - 1)});
    assert!(validate_annotations(Some(&fits), &at()).is_empty());
    let large = json!({"a": "x".repeat(ANNOTATIONS_BYTES_MAX)});
    let errors = validate_annotations(Some(&large), &at());
    assert_eq!(texts(&errors), ["metadata: Too long: may not be more than 262144 bytes"]);
}

#[test]
fn changed_objects() {
    let old = json!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["f/x"]});
    let deleted = |mut v: Value| {
        v["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
        v
    };
    let with = |field: &str, value: Value| {
        let mut v = old.clone();
        v[field] = value;
        v
    };
    let cases: &[(Value, Value, &[&str])] = &[
        (old.clone(), old.clone(), &[]),
        (with("finalizers", json!(["f/y"])), old.clone(), &[]),
        (
            deleted(with("finalizers", json!(["f/z", "f/x", "f/y"]))),
            deleted(old.clone()),
            &[concat!(
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, ",
                r#"found new finalizers []string{"f/y", "f/z"}"#
            )],
        ),
        (
            with("resourceVersion", json!("")),
            old.clone(),
            &[r#"metadata.resourceVersion: Invalid value: "": must be specified for an update"#],
        ),
        (
            with("generation", json!(1)),
            old.clone(),
            &["metadata.generation: Invalid value: 1: must not be decremented"],
        ),
        (
            with("name", json!("b")),
            old.clone(),
            &[r#"metadata.name: Invalid value: "b": field is immutable"#],
        ),
        (
            old.clone(),
            deleted(old.clone()),
            &["metadata.deletionTimestamp: Invalid value: null: field is immutable"],
        ),
        (
            with("labels", json!({"a": "-"})),
            old.clone(),
            &[concat!(
                r#"metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of "#,
                "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character ",
                "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is ",
                "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            )],
        ),
    ];
    for (new, old, expected) in cases {
        let (new, old) = (json!({"metadata": new}), json!({"metadata": old}));
        assert_eq!(texts(&validate_object_meta_update(&new, &old, &at())), *expected, "{new}");
    }
}

#[test]
fn finalizer_names() {
    assert!(validate_finalizer_name("kubernetes", &at()).is_empty());
    let errors = validate_finalizer_name("a b", &at());
    assert_eq!(texts(&errors), [format!("metadata: Invalid value: \"a b\": name part {KEY_RULE}")]);
}

#[test]
fn label_selectors() {
    let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
        {"key": "a", "operator": "In", "values": ["b"]},
        {"key": "a", "operator": "NotIn"},
        {"key": "a", "operator": "Exists", "values": ["b"]},
        {"key": "", "operator": "x"},
    ]});
    let errors = validate_label_selector(Some(&selector), false, &Path::new("spec.selector"));
    let expected = [
        "spec.selector.matchExpressions[1].values: Required value: must be specified when `operator` is 'In' or \
         'NotIn'"
            .to_owned(),
        "spec.selector.matchExpressions[2].values: Forbidden: may not be specified when `operator` is 'Exists' or \
         'DoesNotExist'"
            .to_owned(),
        r#"spec.selector.matchExpressions[3].operator: Invalid value: "x": not a valid selector operator"#.to_owned(),
        r#"spec.selector.matchExpressions[3].key: Invalid value: "": name part must be non-empty"#.to_owned(),
        format!(r#"spec.selector.matchExpressions[3].key: Invalid value: "": name part {KEY_RULE}"#),
    ];
    assert_eq!(texts(&errors), expected);
}

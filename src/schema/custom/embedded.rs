//! Whole objects inside of custom resources: each says what it is, and its metadata is that of an object
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta/validation.go).

use super::walk;
use crate::types::{Shape, View};
use alcove_object::field::{Error, Path};
use alcove_object::validate::{validate_annotations, validate_labels};
use alcove_object::{Value, name};

/// All that is wrong with the objects inside of a value. The outermost one is judged elsewhere.
pub(super) fn errors(value: &Value, view: View<'_>, path: &Path, out: &mut Vec<Error>) {
    walk::each(value, view, path, &mut |value, view, path| {
        let is_outermost = path.as_str() == "<nil>" || path.as_str().is_empty();
        let is_object = matches!(view.shape(), Shape::Struct(_)) && value.is_object();
        if is_object && view.schema().embedded && !is_outermost {
            whole(value, path, out);
        }
    });
}

fn whole(object: &Value, path: &Path, out: &mut Vec<Error>) {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    match text("apiVersion") {
        "" => out.push(Error::required(&path.child("apiVersion"), "")),
        version if version.matches('/').count() > 1 => {
            let why = format!("unexpected GroupVersion string: {version}");
            out.push(Error::invalid(&path.child("apiVersion"), version, why));
        }
        _ => {}
    }
    match text("kind") {
        "" => out.push(Error::required(&path.child("kind"), "")),
        kind => {
            let wrong = name::dns1035_label(&kind.to_lowercase(), false);
            if !wrong.is_empty() {
                let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                out.push(Error::invalid(&path.child("kind"), kind, why));
            }
        }
    }
    let (metadata, path) = (&object["metadata"], path.child("metadata"));
    out.extend(validate_labels(metadata.get("labels"), &path.child("labels")));
    out.extend(validate_annotations(metadata.get("annotations"), &path.child("annotations")));
}

#[cfg(test)]
mod tests {
    use super::super::form;
    use super::*;
    use crate::Types;
    use alcove_object::Gvk;
    use serde_json::json;

    #[test]
    fn objects_inside_say_what_they_are() {
        let inside = json!({"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true});
        let schema = json!({"type": "object", "properties": {
            "one": inside, "many": {"type": "array", "items": inside}}});
        let kind = Gvk::new("example.com", "v1", "Outer");
        let types = form(&schema, &kind, &Types::default());
        let told = |object: Value| {
            let mut out = Vec::new();
            errors(&object, types.kind(&kind).unwrap(), &Path::default(), &mut out);
            out.iter().map(Error::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(json!({"one": {"apiVersion": "v1", "kind": "Pod", "free": 1}})), [""; 0]);
        let missing = ["one.apiVersion: Required value", "one.kind: Required value"];
        assert_eq!(told(json!({"one": {}})), missing);
        let wrong = told(json!({"many": [{"apiVersion": "a/b/c", "kind": "x/y"}]}));
        let about = |start: &str| wrong.iter().any(|error| error.starts_with(start));
        assert!(about("many[0].apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion"), "{wrong:?}");
        assert!(about("many[0].kind: Invalid value: \"x/y\": may have mixed case"), "{wrong:?}");
    }
}

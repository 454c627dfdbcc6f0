//! Schemas of custom resources: the first line is one, the second an object of it, the third the object before.

use super::bodies::TYPES;
use super::parts;
use alcove_object::field::Path;
use alcove_object::{Gvk, Value};
use alcove_schema::View;
use alcove_schema::custom::{Rules, definition, fill_defaults, form};
use alcove_schema::decode::{Report, conform, parse_json};

const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// A schema that is accepted compiles and judges every object.
pub fn custom(input: &[u8]) {
    let [schema, object, old] = parts(input);
    let Some(schema) = read(schema, TYPES.named(SCHEMA)) else { return };
    let path = Path::new("spec");
    let gvk = Gvk::new("stable.example.com", "v1", "CronTab");
    let types = form(&schema, &gvk, &TYPES);
    if !definition::errors(&schema, None, true, &path).is_empty() {
        return;
    }
    let rules = Rules::compile(&schema).expect("what is accepted compiles");
    let view = types.kind(&gvk).expect("a form has its kind as root");
    let Some(object) = defaulted(object, view) else { return };
    let old = defaulted(old, view);
    for old in [None, old.as_ref()] {
        let mut found = rules.errors(&object, old);
        found.extend(Rules::list_errors(&object, old, view));
        let told = rules.expression_errors(&object, old, &found);
        let _any_text: Vec<String> = found.iter().chain(&told).map(ToString::to_string).collect();
    }
}

/// An object as it is once its defaults are filled in, which is so after the first time.
fn defaulted(text: &[u8], view: View<'_>) -> Option<Value> {
    let mut object = read(text, Some(view))?;
    fill_defaults(&mut object, view);
    let once = object.clone();
    fill_defaults(&mut object, view);
    assert_eq!(object, once, "defaulted twice");
    Some(object)
}

fn read(text: &[u8], view: Option<View<'_>>) -> Option<Value> {
    let mut value = parse_json(text).ok()?.value;
    conform(&mut value, view?, &mut Report::default()).ok()?;
    value.is_object().then_some(value)
}

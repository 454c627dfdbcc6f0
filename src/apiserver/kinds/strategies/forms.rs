//! Versions in which objects have another form than in the one that is stored. Where only names of versions differ, nothing
//! is needed; these few differ in fields (k8s.io/kubernetes/pkg/apis/resource/v1beta1/conversion.go).
//!
//! A conversion looks at what is there, so it may be given an object that has the wanted form already.

use super::ruled::Ruled;
use crate::registry::{Context, Strategy};
use alcove_object::field::Error;
use alcove_object::{Gvk, Value};
use serde_json::{Map, json};

/// A kind in resource.k8s.io/v1beta1, where devices and requests for them are flat: the strategy of its newest version
/// judges it in the newest form, as upstream does.
pub(crate) struct Flat(pub(super) &'static Ruled);

impl Flat {
    fn newest(&self, object: &Value) -> Value {
        let mut object = object.clone();
        self.0.convert(&mut object, &version("v1"));
        object
    }

    /// Has something done to the object in its newest form.
    fn within(&self, object: &mut Value, act: impl FnOnce(&mut Value)) {
        self.0.convert(object, &version("v1"));
        act(object);
        self.0.convert(object, &version("v1beta1"));
    }
}

impl Strategy for Flat {
    fn default(&self, object: &mut Value) {
        self.within(object, |object| self.0.default(object));
    }

    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        self.within(object, |object| self.0.prepare_create(context, object));
    }

    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        self.within(object, |object| self.0.prepare_update(context, object, &self.newest(old)));
    }

    fn prepare_subresource(&self, context: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
        let old = self.newest(old);
        self.within(object, |object| self.0.prepare_subresource(context, subresource, object, &old));
    }

    fn validate(&self, context: &Context<'_>, object: &Value) -> Vec<Error> {
        self.0.validate(context, &self.newest(object))
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        self.0.validate_update(context, &self.newest(object), &self.newest(old))
    }

    fn validate_subresource(
        &self,
        context: &Context<'_>,
        subresource: &str,
        object: &Value,
        old: &Value,
    ) -> Vec<Error> {
        self.0.validate_subresource(context, subresource, &self.newest(object), &self.newest(old))
    }

    fn convert(&self, object: &mut Value, to: &Gvk) {
        self.0.convert(object, to);
    }
}

fn version(name: &str) -> Gvk {
    Gvk::new("resource.k8s.io", name, "")
}

fn is_flat(to: &Gvk) -> bool {
    to.version == "v1beta1"
}

/// Claims of devices, and templates of claims.
pub(super) fn claim(object: &mut Value, to: &Gvk) {
    let template = object.pointer_mut("/spec/spec/devices/requests").is_some();
    let place = if template { "/spec/spec/devices/requests" } else { "/spec/devices/requests" };
    let requests = object.pointer_mut(place).and_then(Value::as_array_mut);
    for request in requests.into_iter().flatten().filter_map(Value::as_object_mut) {
        match is_flat(to) {
            true => flatten_request(request),
            false => nest_request(request),
        }
    }
}

fn flatten_request(request: &mut Map<String, Value>) {
    if let Some(Value::Object(exactly)) = request.remove("exactly") {
        request.extend(exactly);
    }
    request.entry("deviceClassName").or_insert_with(|| "".into());
}

/// What asks for one kind of device gets a place of its own, unless there is nothing of it.
fn nest_request(request: &mut Map<String, Value>) {
    const NOT_OF_IT: [&str; 3] = ["name", "exactly", "firstAvailable"];
    let is_nothing = |value: &Value| value.is_null() || *value == "" || *value == 0 || *value == json!([]);
    let names = request.keys().filter(|name| !NOT_OF_IT.contains(&name.as_str())).cloned();
    let taken: Vec<(String, Value)> =
        names.collect::<Vec<_>>().into_iter().filter_map(|name| request.remove_entry(&name)).collect();
    if taken.iter().any(|(_, value)| !is_nothing(value)) {
        request.insert("exactly".into(), Value::Object(taken.into_iter().collect()));
    }
}

/// Slices of devices.
pub(super) fn slice(object: &mut Value, to: &Gvk) {
    let devices = object.pointer_mut("/spec/devices").and_then(Value::as_array_mut);
    for device in devices.into_iter().flatten().filter_map(Value::as_object_mut) {
        let basic = device.remove("basic");
        if let Some(Value::Object(basic)) = basic {
            device.extend(basic);
        }
        if is_flat(to) {
            let names: Vec<String> = device.keys().filter(|name| *name != "name").cloned().collect();
            let basic = names.iter().filter_map(|name| device.remove_entry(name)).collect();
            device.insert("basic".into(), Value::Object(basic));
        }
    }
}

/// Migrations of stored versions: the first version, of 1.34, named a version and remembered how far it was, and its
/// conditions had a time of another name.
pub(super) fn migration(object: &mut Value, to: &Gvk) {
    let is_first = to.version == "v1alpha1";
    if let Some(resource) = object.pointer_mut("/spec/resource").and_then(Value::as_object_mut) {
        match is_first {
            true => drop(resource.entry("version").or_insert_with(|| "".into())),
            false => drop(resource.remove("version")),
        }
    }
    if !is_first && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("continueToken");
    }
    let (from, to) = match is_first {
        true => ("lastTransitionTime", "lastUpdateTime"),
        false => ("lastUpdateTime", "lastTransitionTime"),
    };
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(time) = condition.remove(from) {
            condition.insert(to.into(), time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_again() {
        type Convert = fn(&mut Value, &Gvk);
        let cases: [(Convert, Value, Value); 4] = [
            (
                claim,
                json!({"spec": {"devices": {"requests": [
                    {"name": "a", "deviceClassName": "c", "count": 2, "selectors": [{}]},
                    {"name": "b", "deviceClassName": "", "firstAvailable": [{"name": "x"}]},
                ]}}}),
                json!({"spec": {"devices": {"requests": [
                    {"name": "a", "exactly": {"deviceClassName": "c", "count": 2, "selectors": [{}]}},
                    {"name": "b", "firstAvailable": [{"name": "x"}]},
                ]}}}),
            ),
            (
                claim,
                json!({"spec": {"spec": {"devices": {"requests": [{"name": "a", "deviceClassName": "c"}]}}}}),
                json!({"spec": {"spec": {"devices": {"requests": [
                    {"name": "a", "exactly": {"deviceClassName": "c"}},
                ]}}}}),
            ),
            (
                slice,
                json!({"spec": {"devices": [{"name": "a", "basic": {"attributes": {}}}, {"name": "b", "basic": {}}]}}),
                json!({"spec": {"devices": [{"name": "a", "attributes": {}}, {"name": "b"}]}}),
            ),
            (claim, json!({"spec": {}}), json!({"spec": {}})),
        ];
        for (convert, flat, nested) in cases {
            for start in [&flat, &nested] {
                for (to, expected) in [("v1", &nested), ("v1beta2", &nested), ("v1beta1", &flat)] {
                    let mut object = start.clone();
                    convert(&mut object, &version(to));
                    assert_eq!(object, *expected, "{start} to {to}");
                }
            }
        }
    }

    #[test]
    fn migrations_of_the_first_version_are_read() {
        let mut object = json!({
            "spec": {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "continueToken": "x"},
            "status": {"conditions": [{"type": "Running", "lastUpdateTime": "t"}]},
        });
        migration(&mut object, &Gvk::new("storagemigration.k8s.io", "v1", ""));
        let expected = json!({
            "spec": {"resource": {"group": "apps", "resource": "deployments"}},
            "status": {"conditions": [{"type": "Running", "lastTransitionTime": "t"}]},
        });
        assert_eq!(object, expected);
    }
}

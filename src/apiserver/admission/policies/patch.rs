//! From what a mutation's expression makes to a changed object: a configuration that is merged into it, or a JSON patch
//! (k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch).

use crate::admission::reform::reform;
use crate::registry::Resource;
use alcove_cel::{Dialect, Program, Record, Type, Value as Cel, Variable};
use alcove_object::{Gvk, Reason, Status, Value};
use alcove_schema::apply::configure;
use alcove_schema::patch::json_patch;
use serde_json::json;

/// The types whose values mutations make, and their library.
const DIALECT: Dialect = Dialect {
    records: &[
        Record { name: "Object", fields: None },
        Record {
            name: "JSONPatch",
            fields: Some(&[
                ("op", Type::String),
                ("path", Type::String),
                ("from", Type::String),
                ("value", Type::Dyn),
            ]),
        },
    ],
    libraries: &["jsonpatch"],
};

/// What a mutation's expression makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An object with what is to be set.
    Configuration,
    /// A list of operations.
    Operations,
}

/// Why an object is not changed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The policy is at fault: its failure policy says what follows.
    Policy(String),
    /// The request fails.
    Request(Status),
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Policy(why)
    }
}

impl Form {
    /// The name and the field of a patch type.
    pub const NAMES: [(&str, &str, Form); 2] = [
        ("ApplyConfiguration", "applyConfiguration", Form::Configuration),
        ("JSONPatch", "jsonPatch", Form::Operations),
    ];

    /// An expression that makes a patch of this form, else why it does not.
    pub fn compile(self, source: &str, variables: &[Variable]) -> Result<Program, String> {
        let program = Program::compile_in(DIALECT, source, variables)
            .map_err(|issues| format!("compilation failed: {issues}"))?;
        let wanted = match self {
            Form::Configuration => "Object",
            Form::Operations => "list(JSONPatch)",
        };
        match program.result().to_string() {
            found if found == wanted => Ok(program),
            found => Err(format!("must evaluate to {wanted} but got {found}")),
        }
    }

    /// The object that a patch makes of an object, in the form of its kind and defaulted.
    pub fn apply(self, patch: &Cel<'_>, object: &Value, resource: &Resource) -> Result<Value, Failure> {
        let gvk = Gvk::from_api_version(text(object, "apiVersion"), text(object, "kind"));
        let own = (gvk == resource.gvk).then(|| resource.types.view(resource.schema));
        let Some(schema) = own.or_else(|| resource.types.kind(&gvk)) else {
            return Err(Failure::Request(Status::unavailable(format!(
                "Resource kind {}/{}, Kind={} not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.",
                gvk.group, gvk.version, gvk.kind
            ))));
        };
        let mut changed = match self {
            Form::Configuration => {
                let configuration = configuration(patch, object)?;
                configure(object, &configuration, schema)
                    .map_err(|why| format!("error applying patch: {why}"))?
            }
            Form::Operations => {
                let mut changed = object.clone();
                match json_patch(&mut changed, &operations(patch)?) {
                    Ok(()) => changed,
                    Err(error) if error.is_test() => return Ok(object.clone()),
                    Err(error) => return Err(format!("JSON Patch: {error}").into()),
                }
            }
        };
        let is_strict = self == Form::Operations;
        reform(&mut changed, schema, is_strict).map_err(|why| Failure::Request(Status::internal(why)))?;
        if gvk == resource.gvk {
            resource.strategy.default(&mut changed);
        }
        Ok(changed)
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The values of records must be named by the fields that lead to them.
fn check_names(value: &Cel<'_>) -> Result<(), String> {
    let wrong = value.misnamed();
    if wrong.is_empty() { Ok(()) } else { Err(format!("type mismatch: {}", wrong.join("\n"))) }
}

/// A configuration of the object's kind.
fn configuration(patch: &Cel<'_>, object: &Value) -> Result<Value, String> {
    check_names(patch)?;
    let mut configuration = patch.json()?;
    for field in ["apiVersion", "kind"] {
        configuration[field] = object[field].clone();
    }
    Ok(configuration)
}

/// The operations of a JSON patch.
fn operations(patch: &Cel<'_>) -> Result<Value, String> {
    const WRONG: &str = "type mismatch: JSONPatchType.expression should evaluate to array";
    let Cel::List(items) = patch else { return Err(WRONG.to_owned()) };
    let one = |item: &Cel<'_>| {
        let Cel::Made(made) = item else { return Err(format!("{WRONG} of JSONPatch")) };
        let word = |field: &str| match made.fields.get(field) {
            None => Ok(""),
            Some(Cel::String(text)) => Ok(&**text),
            Some(other) => {
                let found = other.type_name();
                Err(format!("unexpected type {found} for JSONPatchType '{field}' field"))
            }
        };
        let mut operation = json!({"op": word("op")?, "path": word("path")?});
        let from = word("from")?;
        if !from.is_empty() {
            operation["from"] = from.into();
        }
        if let Some(value) = made.fields.get("value") {
            check_names(value)?;
            operation["value"] = value.json().map_err(|why| {
                format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {why}")
            })?;
        }
        Ok(operation)
    };
    Ok(Value::Array(items.iter().map(one).collect::<Result<_, String>>()?))
}

/// The answer to a request that policies refuse by failing: upstream leaves the code of a refusal and takes the reason of
/// the first failure.
pub(super) fn denied(mut status: Status, message: String, is_evaluation: bool) -> Status {
    status.message = message;
    if is_evaluation {
        status.reason = Reason::INVALID;
    }
    status
}

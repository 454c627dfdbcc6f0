//! What policies of all kinds have in common: whom they concern, their parameters, conditions and variables.

use crate::admission::Attributes;
use crate::admission::conditions::Conditions;
use crate::admission::known::known;
use crate::admission::matching::Constraints;
use crate::admission::seen::Bound;
use alcove_cel::limits::{BUDGET_COST_MAX, CALL_COST_MAX, REQUEST_BYTES_MAX};
use alcove_cel::{Decl, EvalError, Field, Key, Program, Shape, Type, Value as Cel, Variable};
use alcove_object::field::{Error, Path};
use alcove_object::selector::Labels;
use alcove_object::{Gvk, Value, meta};
use alcove_store::{Range, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// What every policy is.
pub(super) struct Definition {
    pub name: String,
    pub constraints: Constraints,
    pub conditions: Conditions,
    pub fails_closed: bool,
    params: Option<Gvk>,
    /// In the order in which they are defined: each may speak of those before it.
    variables: Vec<Own>,
    /// All that its expressions may speak of.
    pub known: Vec<Variable>,
}

/// A binding.
pub(super) struct Binding {
    pub name: String,
    pub constraints: Option<Constraints>,
    pub denies: bool,
    pub warns: bool,
    params: Option<Value>,
}

impl Binding {
    pub fn read(binding: &Value) -> Binding {
        let spec = &binding["spec"];
        let actions = spec["validationActions"].as_array();
        let has = |action: &str| actions.is_some_and(|actions| actions.iter().any(|known| known == action));
        let given = |field: &str| spec.get(field).filter(|value| !value.is_null());
        Binding {
            name: meta::name(binding).to_owned(),
            constraints: given("matchResources").map(Constraints::read_or_everything),
            denies: has("Deny"),
            warns: has("Warn"),
            params: given("paramRef").cloned(),
        }
    }
}

/// All variables that expressions of a policy know, and those that it defines itself.
fn with_own(known: &[Variable], own: &BTreeMap<Box<str>, Type>) -> Vec<Variable> {
    let mut fields = BTreeMap::new();
    for (name, kind) in own {
        // All but plain values are read as they come.
        let is_plain = matches!(
            kind,
            Type::Bool
                | Type::Bytes
                | Type::Double
                | Type::Duration
                | Type::Int
                | Type::Null
                | Type::String
                | Type::Timestamp
                | Type::Uint
        );
        let kind = if is_plain { kind.clone() } else { Type::Dyn };
        let decl = Decl::scalar(kind, 1, REQUEST_BYTES_MAX);
        fields.insert(name.clone(), Field { json: name.clone(), decl });
    }
    let shape = Shape::Object(fields);
    let decl = Arc::new(Decl { shape, elements_max: 0, bytes_min: 2 });
    let mut all = known.to_vec();
    all.push(Variable::declared("variables", &decl));
    all
}

/// A variable and its expression, or why it is none.
pub(super) type Own = (Box<str>, Result<Program, String>);

/// The variables that a policy defines, and all that its other expressions may speak of.
pub(super) fn variables(spec: &Value, known: &[Variable]) -> (Vec<Own>, Vec<Variable>) {
    let mut own: BTreeMap<Box<str>, Type> = BTreeMap::new();
    let mut variables = Vec::new();
    for variable in spec["variables"].as_array().into_iter().flatten() {
        let text = |field: &str| variable[field].as_str().unwrap_or_default();
        let name: Box<str> = text("name").into();
        let program = Program::compile(text("expression"), &with_own(known, &own));
        let program = program.map_err(|issues| format!("compilation failed: {issues}"));
        own.insert(name.clone(), program.as_ref().map_or(Type::Dyn, |program| program.result().clone()));
        variables.push((name, program));
    }
    (variables, with_own(known, &own))
}

impl Definition {
    pub fn read(policy: &Value) -> Definition {
        let spec = &policy["spec"];
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let params = spec.get("paramKind").filter(|kind| !kind.is_null()).map(|kind| {
            let version = text(kind, "apiVersion");
            let (group, version) = version.split_once('/').unwrap_or(("", &version));
            Gvk::new(group, version, text(kind, "kind"))
        });
        let has_params = params.is_some();
        let (variables, known) = variables(spec, &known(has_params));
        Definition {
            name: meta::name(policy).to_owned(),
            constraints: Constraints::read(&spec["matchConstraints"]),
            params,
            conditions: Conditions::read(&spec["matchConditions"], has_params),
            fails_closed: spec["failurePolicy"] != "Ignore",
            known,
            variables,
        }
    }

    /// The variables that do not compile.
    pub fn errors(&self, spec: &Value, path: &Path) -> Vec<Error> {
        let wrong = self.variables.iter().enumerate().filter_map(|(i, (_, program))| {
            let source = spec["variables"][i]["expression"].as_str().unwrap_or_default();
            let at = path.child("variables").index(i).child("expression");
            compile_error(at, source, program.as_ref().err()?)
        });
        wrong.collect()
    }

    /// The objects that a binding names as parameters; one null if the policy has none.
    pub fn params(
        &self,
        binding: &Binding,
        attributes: &Attributes<'_>,
        store: &Store,
    ) -> Result<Vec<Value>, String> {
        let (Some(kind), Some(reference)) = (&self.params, &binding.params) else {
            return Ok(vec![Value::Null]);
        };
        let resource = attributes.registry.kind(kind);
        let resource = resource.ok_or_else(|| {
            format!("paramKind kind `{}, Kind={}` not known", kind.api_version(), kind.kind)
        })?;
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let namespace = match (resource.namespaced, text("namespace"), attributes.namespace) {
            (false, "", _) => "",
            (false, ..) => {
                return Err(
                    "paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()
                );
            }
            (true, "", "") => {
                return Err(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                        .to_owned(),
                );
            }
            (true, "", namespace) => namespace,
            (true, namespace, _) => namespace,
        };
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let entries = match text("name") {
            "" => {
                let selector = Labels::from_object(reference.get("selector"))?.unwrap_or_default();
                let matches = |entry: &alcove_store::Entry| selector.matches(|key| entry.index.label(key));
                let range = Range { prefix: &prefix, ..Range::default() };
                store.list(&resource.table, &range, &matches).map(|l| l.entries).unwrap_or_default()
            }
            name => store.get(&resource.table, &format!("{prefix}{name}")).into_iter().collect(),
        };
        if entries.is_empty() && text("parameterNotFoundAction") == "Deny" {
            return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
        }
        Ok(entries.iter().map(|entry| crate::rest::tree(resource, entry)).collect())
    }

    /// What is given, and the policy's own variables. One that nobody asks for may be as wrong as it likes.
    pub fn evaluate<'a>(&'a self, given: &[Bound<'a>], budget: &mut Budget) -> Vec<Bound<'a>> {
        let mut held = BTreeMap::new();
        let mut all: Vec<Bound<'a>> = given.to_vec();
        all.push(("variables", Cel::Map(Arc::default())));
        for (name, program) in &self.variables {
            let failed = |how: &str, why: &str| {
                Cel::Failed(format!("composited variable {name:?} fails to {how}: {why}").into())
            };
            let value = match program {
                Ok(program) => {
                    budget.spend(program, &all).unwrap_or_else(|why| failed("evaluate", &why.to_string()))
                }
                Err(why) => failed("compile", why),
            };
            held.insert(Key::String(name.to_string().into()), value);
            all.pop();
            all.push(("variables", Cel::Map(Arc::new(held.clone()))));
        }
        all
    }
}

/// An expression that does not compile. That something is missing is told elsewhere.
pub(super) fn compile_error(at: Path, source: &str, why: &str) -> Option<Error> {
    (!source.trim().is_empty()).then(|| Error::invalid(&at, source, why))
}

/// What the expressions of one evaluation may still cost.
pub(super) struct Budget(i64);

impl Budget {
    pub fn new() -> Budget {
        Budget(BUDGET_COST_MAX)
    }

    /// A value, paid from the budget.
    pub fn spend<'a>(&mut self, program: &'a Program, variables: &[Bound<'a>]) -> Result<Cel<'a>, EvalError> {
        let spent = || EvalError::Failed(OUT_OF_BUDGET.to_owned());
        if self.0 < 0 {
            return Err(spent());
        }
        let outcome = program.evaluate(variables, CALL_COST_MAX);
        self.0 -= i64::try_from(outcome.cost).unwrap_or(i64::MAX);
        if self.0 < 0 { Err(spent()) } else { outcome.result }
    }

    /// Why an expression has no value, as upstream says it.
    pub fn told(&self, source: &str, why: &EvalError) -> String {
        match self.0 < 0 {
            true => OUT_OF_BUDGET.to_owned(),
            false => format!("expression '{source}' resulted in error: {why}"),
        }
    }
}

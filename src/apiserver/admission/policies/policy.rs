//! One policy, compiled, and one binding of it; and what they say of a request.

use crate::admission::Attributes;
use crate::admission::conditions::{Conditions, VARIABLES, boolean};
use crate::admission::matching::{Constraints, Match, request};
use alcove_cel::limits::{BUDGET_COST_MAX, CALL_COST_MAX, MESSAGE_BYTES_MAX};
use alcove_cel::{Decl, EvalError, Field, Program, Shape, Type, Value as Cel, Variable};
use alcove_object::field::{Error, Path};
use alcove_object::selector::Labels;
use alcove_object::{Gvk, Value, meta};
use alcove_store::{Range, Store};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// A policy.
pub(super) struct Policy {
    pub name: String,
    pub constraints: Constraints,
    params: Option<Gvk>,
    conditions: Conditions,
    fails_closed: bool,
    /// In the order in which they are defined: each may speak of those before it.
    variables: Vec<(Box<str>, Result<Program, String>)>,
    validations: Vec<Validation>,
}

struct Validation {
    source: String,
    program: Result<Program, String>,
    message: String,
    message_program: Option<Program>,
    reason: String,
}

/// A binding.
pub(super) struct Binding {
    pub name: String,
    pub constraints: Option<Constraints>,
    pub denies: bool,
    pub warns: bool,
    params: Option<Value>,
}

/// What a policy has against a request.
#[derive(Debug)]
pub(super) struct Refusal {
    pub message: String,
    pub reason: String,
    /// The policy cannot be asked as it is bound, whatever the binding's actions are.
    pub is_configuration: bool,
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
fn known(own: &BTreeMap<Box<str>, Type>) -> Vec<Variable> {
    let mut fields = BTreeMap::new();
    for (name, kind) in own {
        // Collections and objects are read as they come.
        let is_plain = !matches!(kind, Type::List(_) | Type::Map(_) | Type::Object(_));
        let kind = if is_plain { kind.clone() } else { Type::Dyn };
        let decl = Decl::scalar(kind, 1, alcove_cel::limits::REQUEST_BYTES_MAX);
        fields.insert(name.clone(), Field { json: name.clone(), decl });
    }
    let shape = Shape::Object(fields);
    let decl = Arc::new(Decl { shape, elements_max: 0, bytes_min: 2 });
    let fixed = VARIABLES.map(Variable::anything);
    fixed.into_iter().chain([Variable::declared("variables", &decl)]).collect()
}

/// The expressions of a policy's spec that do not compile.
pub(crate) fn policy_errors(spec: &Value, path: &Path) -> Vec<Error> {
    let read = Policy::read(&json!({ "spec": spec }));
    let mut errors = Vec::new();
    let mut tell = |at: Path, source: &str, why: &str| {
        // Of the authorizer, expressions know nothing here: that is left to the failure policy. That something is missing
        // is told elsewhere.
        if !source.contains("authorizer") && !source.trim().is_empty() {
            errors.push(Error::invalid(&at, source, why));
        }
    };
    for (i, (_, program)) in read.variables.iter().enumerate() {
        if let Err(why) = program {
            let source = spec["variables"][i]["expression"].as_str().unwrap_or_default();
            tell(path.child("variables").index(i).child("expression"), source, why);
        }
    }
    for (i, validation) in read.validations.iter().enumerate() {
        let at = path.child("validations").index(i);
        if let Err(why) = &validation.program {
            tell(at.child("expression"), &validation.source, why);
        }
    }
    errors
}

impl Policy {
    pub fn read(policy: &Value) -> Policy {
        let spec = &policy["spec"];
        let list = |field: &str| spec[field].as_array().into_iter().flatten();
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let mut own: BTreeMap<Box<str>, Type> = BTreeMap::new();
        let mut variables = Vec::new();
        for variable in list("variables") {
            let name: Box<str> = text(variable, "name").into();
            let program = Program::compile(&text(variable, "expression"), &known(&own));
            let program = program.map_err(|issues| format!("compilation failed: {issues}"));
            own.insert(name.clone(), program.as_ref().map_or(Type::Dyn, |program| program.result().clone()));
            variables.push((name, program));
        }
        let known = known(&own);
        let validation = |validation: &Value| {
            let source = text(validation, "expression");
            let message = text(validation, "messageExpression");
            Validation {
                program: boolean(&source, &known),
                source,
                message: text(validation, "message"),
                message_program: Some(message)
                    .filter(|source| !source.is_empty())
                    .and_then(|source| Program::compile(&source, &known).ok()),
                reason: text(validation, "reason"),
            }
        };
        let params = spec.get("paramKind").filter(|kind| !kind.is_null()).map(|kind| {
            let version = text(kind, "apiVersion");
            let (group, version) = version.split_once('/').unwrap_or(("", &version));
            Gvk::new(group, version, text(kind, "kind"))
        });
        Policy {
            name: meta::name(policy).to_owned(),
            constraints: Constraints::read(&spec["matchConstraints"]),
            params,
            conditions: Conditions::read(&spec["matchConditions"]),
            fails_closed: spec["failurePolicy"] != "Ignore",
            validations: list("validations").map(validation).collect(),
            variables,
        }
    }

    /// All that the policy, bound this way, has against a request.
    pub fn judge(
        &self,
        binding: &Binding,
        attributes: &Attributes<'_>,
        found: &Match,
        store: &Store,
    ) -> Vec<Refusal> {
        let params = match self.params(binding, attributes, store) {
            Ok(params) => params,
            Err(why) => return self.error(format!("failed to configure binding: {why}"), true),
        };
        let (object, old) = (found.object(attributes), found.old(attributes));
        let request = request(attributes, found, "");
        let is_namespace = attributes.resource.gvk == Gvk::new("", "v1", "Namespace");
        let namespace = match attributes.namespace {
            "" => Value::Null,
            _ if is_namespace => Value::Null,
            name => store
                .get("namespaces", name)
                .and_then(|entry| serde_json::from_slice(&entry.json).ok())
                .unwrap_or_default(),
        };
        let judged = params.iter().map(|params| {
            let variables = [
                ("object", Cel::of(&object, None)),
                ("oldObject", Cel::of(&old, None)),
                ("request", Cel::of(&request, None)),
                ("params", Cel::of(params, None)),
                ("namespaceObject", Cel::of(&namespace, None)),
            ];
            self.judge_with(&variables)
        });
        judged.flatten().collect()
    }

    /// What an error comes to.
    fn error(&self, message: String, is_configuration: bool) -> Vec<Refusal> {
        let refusal = Refusal { message, reason: String::new(), is_configuration };
        if self.fails_closed { vec![refusal] } else { Vec::new() }
    }

    fn judge_with(&self, given: &[(&'static str, Cel<'_>)]) -> Vec<Refusal> {
        match self.conditions.hold(given) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return self.error(why, false),
        }
        let mut budget = BUDGET_COST_MAX;
        let mut held = BTreeMap::new();
        let mut all: Vec<(&'static str, Cel<'_>)> = given.to_vec();
        all.push(("variables", Cel::Map(Arc::default())));
        for (name, program) in &self.variables {
            let Ok(program) = program else { continue };
            // One that nobody asks for may be as wrong as it likes.
            if let Ok(value) = spend(program, &all, &mut budget) {
                held.insert(alcove_cel::Key::String(name.to_string().into()), value);
                all.pop();
                all.push(("variables", Cel::Map(Arc::new(held.clone()))));
            }
        }
        let mut refused = Vec::new();
        for validation in &self.validations {
            let program = match &validation.program {
                Ok(program) => program,
                Err(why) => {
                    refused.extend(self.error(why.clone(), false));
                    continue;
                }
            };
            match spend(program, &all, &mut budget) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => refused.push(Refusal {
                    message: validation.told(&all, &mut budget),
                    reason: validation.reason.clone(),
                    is_configuration: false,
                }),
                Err(why) => {
                    let source = validation.source.trim();
                    refused
                        .extend(self.error(format!("expression '{source}' resulted in error: {why}"), false));
                }
            }
        }
        refused
    }

    /// The objects that the binding names as parameters; one null if the policy has none.
    fn params(
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
}

impl Validation {
    /// What is said when it does not hold.
    fn told(&self, variables: &[(&'static str, Cel<'_>)], budget: &mut i64) -> String {
        let made = self.message_program.as_ref().and_then(|program| spend(program, variables, budget).ok());
        if let Some(Cel::String(made)) = made {
            let made = made.trim();
            if !made.is_empty() && made.len() <= MESSAGE_BYTES_MAX && !made.contains('\n') {
                return made.to_owned();
            }
        }
        match self.message.trim() {
            "" => format!("failed expression: {}", self.source.trim()),
            message => message.to_owned(),
        }
    }
}

/// A value, paid from the budget.
fn spend<'a>(
    program: &'a Program,
    variables: &[(&'static str, Cel<'a>)],
    budget: &mut i64,
) -> Result<Cel<'a>, EvalError> {
    if *budget < 0 {
        return Err(EvalError::Failed(OUT_OF_BUDGET.to_owned()));
    }
    let outcome = program.evaluate(variables, CALL_COST_MAX);
    *budget -= i64::try_from(outcome.cost).unwrap_or(i64::MAX);
    match *budget < 0 {
        true => Err(EvalError::Failed(OUT_OF_BUDGET.to_owned())),
        false => outcome.result,
    }
}

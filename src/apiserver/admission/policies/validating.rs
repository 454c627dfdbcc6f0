//! ValidatingAdmissionPolicy: rules in CEL about any request, without a webhook
//! (k8s.io/apiserver/pkg/admission/plugin/policy/validating).
//!
//! Missing: audit annotations (there is no audit log).

use super::definition::{Binding, Budget, Definition, compile_error};
use super::source::{Policy, Source};
use crate::admission::conditions::boolean;
use crate::admission::matching::Match;
use crate::admission::seen::{Bound, Seen};
use crate::admission::{Admission, Admitting, Attributes};
use alcove_cel::limits::MESSAGE_BYTES_MAX;
use alcove_cel::{Program, Type, Value as Cel, Variable};
use alcove_object::field::{Error, Path};
use alcove_object::{Reason, Status, Value};
use alcove_store::Store;
use serde_json::json;

/// A policy.
struct Validating {
    definition: Definition,
    validations: Vec<Validation>,
}

struct Validation {
    source: String,
    program: Result<Program, String>,
    message: String,
    message_program: Option<Program>,
    reason: String,
}

/// What a policy has against a request.
#[derive(Debug)]
struct Refusal {
    message: String,
    reason: String,
    /// The policy cannot be asked as it is bound, whatever the binding's actions are.
    is_configuration: bool,
}

impl Policy for Validating {
    const TABLES: [&'static str; 2] = [
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    ];

    fn read(policy: &Value) -> Validating {
        let definition = Definition::read(policy);
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let validation = |validation: &Value| {
            let source = text(validation, "expression");
            let message = text(validation, "messageExpression");
            Validation {
                program: boolean(&source, &definition.known),
                source,
                message: text(validation, "message"),
                message_program: Some(message)
                    .filter(|source| !source.is_empty())
                    .and_then(|source| Program::compile(&source, &definition.known).ok()),
                reason: text(validation, "reason"),
            }
        };
        let validations = policy["spec"]["validations"].as_array().into_iter().flatten();
        Validating { validations: validations.map(validation).collect(), definition }
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }
}

/// What the expressions of a policy can be, for who judges a new one.
pub(crate) struct Validations(Definition);

impl Validations {
    /// Of a policy's spec.
    pub fn of(spec: &Value) -> Validations {
        Validations(Definition::read(&json!({ "spec": spec })))
    }

    /// What is wrong with its variables.
    pub fn variable_errors(&self, spec: &Value, path: &Path) -> Vec<Error> {
        self.0.errors(spec, path)
    }

    /// What is wrong with the expression of a validation.
    pub fn expression_error(&self, source: &str, at: Path) -> Option<Error> {
        compile_error(at, source, &boolean(source, &self.0.known).err()?)
    }

    /// What is wrong with an expression that makes a message. It may not ask for rights.
    pub fn message_error(&self, source: &str, at: Path) -> Option<Error> {
        let known = self.0.known.iter().filter(|variable| !variable.name.starts_with("authorizer"));
        compile_error(at, source, &wrong_type(source, &known.cloned().collect::<Vec<_>>(), &["string"])?)
    }

    /// What is wrong with an expression that makes an annotation.
    pub fn annotation_error(&self, source: &str, at: Path) -> Option<Error> {
        compile_error(at, source, &wrong_type(source.trim(), &self.0.known, &["string", "null_type"])?)
    }
}

/// Why an expression has none of these types, if it has not.
fn wrong_type(source: &str, known: &[Variable], wanted: &[&str]) -> Option<String> {
    let program = match Program::compile(source, known) {
        Ok(program) => program,
        Err(issues) => return Some(format!("compilation failed: {issues}")),
    };
    let found = match program.result() {
        Type::Null => "null_type".to_owned(),
        other => other.to_string(),
    };
    match wanted {
        _ if wanted.contains(&found.as_str()) => None,
        [wanted] => Some(format!("must evaluate to {wanted} but got {found}")),
        _ => Some(format!("must evaluate to one of [{}] but got {found}", wanted.join(" "))),
    }
}

impl Validating {
    /// All that the policy, bound this way, has against a request.
    fn judge(
        &self,
        binding: &Binding,
        attributes: &Attributes<'_>,
        found: &Match,
        store: &Store,
    ) -> Vec<Refusal> {
        let params = match self.definition.params(binding, attributes, store) {
            Ok(params) => params,
            Err(why) => return self.error(format!("failed to configure binding: {why}"), true),
        };
        let seen = Seen::with_namespace(attributes, found, store);
        params.iter().flat_map(|params| self.judge_with(&seen, params)).collect()
    }

    /// What an error comes to.
    fn error(&self, message: String, is_configuration: bool) -> Vec<Refusal> {
        let refusal = Refusal { message, reason: String::new(), is_configuration };
        if self.definition.fails_closed { vec![refusal] } else { Vec::new() }
    }

    fn judge_with(&self, seen: &Seen<'_>, params: &Value) -> Vec<Refusal> {
        match self.definition.conditions.hold(&seen.without_namespace(params)) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return self.error(why, false),
        }
        let mut budget = Budget::new();
        let all = self.definition.evaluate(&seen.variables(params), &mut budget);
        let mut refused = Vec::new();
        for validation in &self.validations {
            let program = match &validation.program {
                Ok(program) => program,
                Err(why) => {
                    refused.extend(self.error(why.clone(), false));
                    continue;
                }
            };
            match budget.spend(program, &all) {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => refused.push(Refusal {
                    message: validation.told(&all, &mut budget),
                    reason: validation.reason.clone(),
                    is_configuration: false,
                }),
                Err(why) => refused.extend(self.error(budget.told(validation.source.trim(), &why), false)),
            }
        }
        refused
    }
}

impl Validation {
    /// What is said when it does not hold.
    fn told(&self, variables: &[Bound<'_>], budget: &mut Budget) -> String {
        let made = self.message_program.as_ref().and_then(|program| budget.spend(program, variables).ok());
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

/// Judges requests by policies.
pub struct ValidatingPolicies(Source<Validating>);

impl ValidatingPolicies {
    /// A step over the policies of this store.
    pub fn new(store: Store) -> ValidatingPolicies {
        ValidatingPolicies(Source::new(store))
    }

    fn judge(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let (policies, store) = (self.0.current(attributes), &self.0.store);
        let mut refused: Option<(String, Refusal)> = None;
        for bound in &*policies {
            let Some((found, bindings)) = bound.find(attributes, store) else { continue };
            for binding in bindings {
                let (policy_name, name) = (&bound.policy.definition.name, &binding.name);
                for refusal in bound.policy.judge(binding, attributes, &found, store) {
                    if binding.warns && !refusal.is_configuration {
                        attributes.warnings.push(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{policy_name}' with binding '{name}': {}",
                            refusal.message
                        ));
                    }
                    if binding.denies || refusal.is_configuration {
                        let message = format!(
                            "ValidatingAdmissionPolicy '{policy_name}' with binding '{name}' denied request: {}",
                            refusal.message
                        );
                        refused.get_or_insert((message, refusal));
                    }
                }
            }
        }
        match refused {
            Some((message, refusal)) => Err(forbidden(attributes, message, &refusal.reason)),
            None => Ok(()),
        }
    }
}

fn forbidden(attributes: &Attributes<'_>, message: String, reason: &str) -> Status {
    let mut status = super::refused(attributes, &message, vec![message.clone()]);
    (status.code, status.reason) = match reason {
        "Unauthorized" => (401, Reason::UNAUTHORIZED),
        "Forbidden" => (403, Reason::FORBIDDEN),
        "RequestEntityTooLarge" => (413, Reason::REQUEST_ENTITY_TOO_LARGE),
        _ => (422, Reason::INVALID),
    };
    status
}

impl Admission for ValidatingPolicies {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn reads_owners(&self) -> bool {
        !self.0.all().is_empty()
    }

    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.judge(attributes)))
    }
}

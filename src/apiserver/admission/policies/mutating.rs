//! MutatingAdmissionPolicy: changes of objects by expressions in CEL, without a webhook
//! (k8s.io/apiserver/pkg/admission/plugin/policy/mutating).
//!
//! Whom a request concerns is settled before anything changes; then one after the other sees what those before it left.
//! Nobody comes to own what a policy sets.

use super::definition::{Binding, Budget, Definition, compile_error};
use super::patch::{Failure, Form, denied};
use super::source::{Bound, Policy, Source};
use crate::admission::matching::Match;
use crate::admission::seen::Seen;
use crate::admission::{Admission, Admitting, Attributes};
use crate::request::Verb;
use alcove_cel::Program;
use alcove_object::field::{Error, Path};
use alcove_object::{Status, Value, meta};
use alcove_store::Store;
use serde_json::json;
use std::sync::Arc;

const NAME: &str = "MutatingAdmissionPolicy";

/// A policy.
struct Mutating {
    definition: Definition,
    mutations: Vec<Mutation>,
    wants_again: bool,
}

struct Mutation {
    form: Form,
    source: String,
    program: Result<Program, String>,
}

impl Policy for Mutating {
    const TABLES: [&'static str; 2] = [
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    ];

    fn read(policy: &Value) -> Mutating {
        let definition = Definition::read(policy);
        let spec = &policy["spec"];
        let mutation = |mutation: &Value| {
            let known = Form::NAMES.into_iter().find(|(name, ..)| mutation["patchType"] == *name);
            let (_, field, form) = known?;
            let source = mutation[field]["expression"].as_str().unwrap_or_default().to_owned();
            Some(Mutation { form, program: form.compile(&source, &definition.known), source })
        };
        let mutations = spec["mutations"].as_array().into_iter().flatten().filter_map(mutation).collect();
        Mutating { mutations, wants_again: spec["reinvocationPolicy"] == "IfNeeded", definition }
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }
}

/// The variables of a policy's spec that do not compile.
pub(crate) fn variable_errors(spec: &Value, path: &Path) -> Vec<Error> {
    Definition::read(&json!({ "spec": spec })).errors(spec, path)
}

/// The patch types of mutations, each with the field that its expression is in.
pub(crate) const PATCH_TYPES: [(&str, &str); 2] = {
    let [(a, at_a, _), (b, at_b, _)] = Form::NAMES;
    [(a, at_a), (b, at_b)]
};

/// Judges the expressions of a policy's mutations, by the variables of its spec.
pub(crate) struct Mutations(Definition);

impl Mutations {
    pub fn of(spec: &Value) -> Mutations {
        Mutations(Definition::read(&json!({ "spec": spec })))
    }

    /// What is wrong with the expression of a mutation of this patch type.
    pub fn error(&self, patch_type: &str, source: &str, path: Path) -> Option<Error> {
        let (_, _, form) = Form::NAMES.into_iter().find(|(name, ..)| *name == patch_type)?;
        let source = source.trim();
        let why = form.compile(source, &self.0.known).err()?;
        compile_error(path, source, &why)
    }
}

/// A policy as it is bound, with one object of parameters.
struct Invocation<'p> {
    policy: &'p Mutating,
    binding: &'p Binding,
    found: Arc<Match>,
    params: Value,
}

/// What went wrong so far that refuses the request.
#[derive(Default)]
struct Failures {
    messages: Vec<String>,
    /// Whether the first came of an evaluation, not of how the policy is bound.
    is_evaluation: bool,
}

impl Failures {
    fn push(&mut self, policy: &Definition, binding: &Binding, why: &str, is_evaluation: bool) {
        if !policy.fails_closed {
            return;
        }
        if self.messages.is_empty() {
            self.is_evaluation = is_evaluation;
        }
        let (policy, binding) = (&policy.name, &binding.name);
        self.messages.push(format!("policy '{policy}' with binding '{binding}' denied request: {why}"));
    }
}

impl Invocation<'_> {
    /// What tells it from others when it is to be asked again.
    fn key(&self) -> String {
        let (policy, binding) = (&self.policy.definition.name, &self.binding.name);
        format!("{policy}/{binding}/{}/{}", meta::namespace(&self.params), meta::name(&self.params))
    }

    /// What one mutation makes of the object.
    fn mutate(
        &self,
        mutation: &Mutation,
        seen: &Seen<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<Value, Failure> {
        let program = mutation.program.as_ref().map_err(Clone::clone)?;
        let mut budget = Budget::new();
        let variables = self.policy.definition.evaluate(&seen.variables(&self.params), &mut budget);
        let made = budget.spend(program, &variables);
        let made = made.map_err(|why| budget.told(&mutation.source, &why))?;
        mutation.form.apply(&made, &seen.object, self.found.resource(attributes))
    }

    /// Changes the request's object; whether anything was applied.
    fn run(
        &self,
        attributes: &mut Attributes<'_>,
        store: &Store,
        failures: &mut Failures,
    ) -> Result<bool, Status> {
        let definition = &self.policy.definition;
        let mut seen = Seen::with_namespace(attributes, &self.found, store);
        match definition.conditions.hold(&seen.without_namespace(&self.params)) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => {
                failures.push(definition, self.binding, &why, true);
                return Ok(false);
            }
        }
        let key = self.key();
        if attributes.reinvocation.skips(NAME, &key) {
            return Ok(false);
        }
        let mut is_applied = false;
        for mutation in &self.policy.mutations {
            if seen.object.is_null() {
                break;
            }
            match self.mutate(mutation, &seen, attributes) {
                Ok(object) => (seen.object, is_applied) = (object, true),
                Err(Failure::Policy(why)) => failures.push(definition, self.binding, &why, true),
                Err(Failure::Request(status)) => return Err(status),
            }
        }
        if is_applied {
            self.found.back(attributes, &mut seen.object);
            if seen.object != *attributes.object {
                *attributes.object = seen.object;
                attributes.reinvocation.changed(NAME);
            }
        }
        if self.policy.wants_again {
            attributes.reinvocation.is_willing(NAME, &key);
        }
        Ok(is_applied)
    }
}

/// Changes what is written by policies.
pub struct MutatingPolicies(Source<Mutating>);

impl MutatingPolicies {
    /// A step over the policies of this store.
    pub fn new(store: Store) -> MutatingPolicies {
        MutatingPolicies(Source::new(store))
    }

    /// All that concerns a request.
    fn invocations<'p>(
        &self,
        policies: &'p [Bound<Mutating>],
        attributes: &Attributes<'_>,
        failures: &mut Failures,
    ) -> Vec<Invocation<'p>> {
        let mut invocations = Vec::new();
        for bound in policies {
            let policy = &bound.policy;
            let Some((found, bindings)) = bound.find(attributes, &self.0.store) else { continue };
            let found = Arc::new(found);
            for binding in bindings {
                let params = match policy.definition.params(binding, attributes, &self.0.store) {
                    Ok(params) => params,
                    Err(why) => {
                        let why = format!("failed to configure binding: {why}");
                        failures.push(&policy.definition, binding, &why, false);
                        continue;
                    }
                };
                let one = |params| Invocation { policy, binding, found: found.clone(), params };
                invocations.extend(params.into_iter().map(one));
            }
        }
        invocations
    }

    fn change(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let policies = self.0.current(attributes);
        // There is nothing to change in what goes.
        if policies.is_empty() || matches!(attributes.verb, Verb::Delete | Verb::DeleteCollection) {
            return Ok(());
        }
        let mut failures = Failures::default();
        let invocations = self.invocations(&policies, attributes, &mut failures);
        attributes.reinvocation.begin(NAME, attributes.object);
        let mut is_applied = false;
        for invocation in &invocations {
            is_applied |= invocation.run(attributes, &self.0.store, &mut failures)?;
        }
        if is_applied {
            attributes.reinvocation.changed(NAME);
        }
        attributes.reinvocation.end(NAME, attributes.object);
        match failures.messages.first().cloned() {
            None => Ok(()),
            Some(first) => {
                let status =
                    super::refused(attributes, "admission request denied by policy", failures.messages);
                Err(denied(status, first, failures.is_evaluation))
            }
        }
    }
}

impl Admission for MutatingPolicies {
    fn name(&self) -> &'static str {
        NAME
    }

    fn reads_owners(&self) -> bool {
        !self.0.all().is_empty()
    }

    fn mutate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.change(attributes)))
    }
}

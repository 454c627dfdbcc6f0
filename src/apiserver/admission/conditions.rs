//! `matchConditions`: expressions that say which requests a webhook or a policy is about
//! (k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions).

use super::known::known;
use super::seen::Bound;
use alcove_cel::limits::{CALL_COST_MAX, CONDITIONS_COST_MAX};
use alcove_cel::{Program, Type, Value as Cel, Variable};
use alcove_object::Value;

/// Conditions that must all hold.
pub(super) struct Conditions(Vec<Condition>);

struct Condition {
    source: String,
    program: Result<Program, String>,
}

/// An expression over these variables with a boolean for a value, else why it is none.
pub(super) fn boolean(source: &str, variables: &[Variable]) -> Result<Program, String> {
    let program =
        Program::compile(source, variables).map_err(|issues| format!("compilation failed: {issues}"))?;
    match program.result() {
        Type::Bool => Ok(program),
        other => Err(format!("must evaluate to bool but got {other}")),
    }
}

/// Why a condition is none, if it is not.
pub(crate) fn condition_error(source: &str, has_params: bool) -> Option<String> {
    boolean(source, &known(has_params)).err()
}

impl Conditions {
    /// Reads a list of conditions.
    pub fn read(list: &Value, has_params: bool) -> Conditions {
        let variables = known(has_params);
        let one = |condition: &Value| {
            let source = condition["expression"].as_str().unwrap_or_default().to_owned();
            Condition { program: boolean(&source, &variables), source }
        };
        Conditions(list.as_array().into_iter().flatten().map(one).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all hold. One that does not decides, whatever is wrong with the others.
    pub fn hold(&self, variables: &[Bound<'_>]) -> Result<bool, String> {
        let mut budget = CONDITIONS_COST_MAX;
        let mut wrong = Vec::new();
        for Condition { source, program } in &self.0 {
            let program = match program {
                Ok(program) => program,
                Err(why) => {
                    wrong.push(format!("compilation error: {why}"));
                    continue;
                }
            };
            let outcome = program.evaluate(variables, CALL_COST_MAX);
            budget -= i64::try_from(outcome.cost).unwrap_or(i64::MAX);
            if budget < 0 {
                return Err(
                    "validation failed due to running out of cost budget, no further validation rules will be run"
                        .to_owned(),
                );
            }
            match outcome.result {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => return Ok(false),
                Err(error) => wrong.push(format!("expression '{source}' resulted in error: {error}")),
            }
        }
        match &*wrong {
            [] => Ok(true),
            [one] => Err(one.clone()),
            all => Err(format!("[{}]", all.join(", "))),
        }
    }
}

//! Judges the rules of a definition when it is written: whether they compile, and what they may cost at worst
//! (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation: validation.go, cel_validation.go).

use super::super::{EMBEDDED, LIST_TYPE, MAP_TYPE, VALIDATIONS, inner, is_true, items, schemas, text};
use super::{declare, expression, field_path, variables};
use alcove_cel::{Decl, Type, escape};
use alcove_object::Value;
use alcove_object::field::{Error, ErrorType, Path, quote};
use std::sync::Arc;

/// Estimated cost of one rule.
const RULE_COST_MAX: u64 = 10_000_000;
/// Estimated cost of all rules of one schema.
const SCHEMA_COST_MAX: u64 = 100_000_000;
/// Rules named when the sum is too large.
const MOST_EXPENSIVE: usize = 4;

/// Where in a schema one is.
#[derive(Clone)]
struct Scope {
    decl: Option<Arc<Decl>>,
    /// How many pieces of data of this schema one object can have; `None`: as many as fit into a request.
    times: Option<u64>,
    /// Inside of what no piece of data can be told to be the one that was there before.
    uncorrelated: Option<Path>,
}

/// What all rules of one schema may cost.
#[derive(Default)]
struct Total {
    sum: u64,
    most: Vec<(u64, Path)>,
}

/// All that is wrong with the rules of a schema that is structural. `is_known`: the schema is the stored one, whose
/// rules nobody has to make cheaper now.
pub(in crate::custom) fn admit(schema: &Value, path: &Path, is_known: bool) -> Vec<Error> {
    let scope = Scope { decl: declare(schema, true), times: Some(1), uncorrelated: None };
    let mut walk = Walk { errors: Vec::new(), total: Total::default(), is_known };
    walk.schema(schema, path, &scope);
    if walk.total.sum > SCHEMA_COST_MAX {
        for (_, path) in &walk.total.most {
            let why =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            walk.errors.push(Error::forbidden(path, why));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        walk.errors.push(Error::forbidden(path, too_expensive(what, walk.total.sum, SCHEMA_COST_MAX)));
    }
    walk.errors
}

struct Walk {
    errors: Vec<Error>,
    total: Total,
    is_known: bool,
}

impl Total {
    fn add(&mut self, path: &Path, cost: u64) {
        self.sum = self.sum.saturating_add(cost);
        if cost >= SCHEMA_COST_MAX / 100 {
            self.most.push((cost, path.clone()));
            self.most.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
            self.most.truncate(MOST_EXPENSIVE);
        }
    }
}

impl Walk {
    fn schema(&mut self, schema: &Value, path: &Path, scope: &Scope) {
        let factor = match text(schema, "type") {
            "object" if schema.get("additionalProperties").is_some() => count(schema, "maxProperties"),
            "array" => count(schema, "maxItems"),
            _ => Some(1),
        };
        let times = scope.times.zip(factor).map(|(times, factor)| times.saturating_mul(factor));
        let below = |decl: Option<Arc<Decl>>, is_correlated: bool| Scope {
            decl,
            times,
            uncorrelated: scope.uncorrelated.clone().or_else(|| (!is_correlated).then(|| path.clone())),
        };
        let element = scope.decl.as_ref().and_then(|decl| decl.element().cloned());
        if let Some(inner) = inner(schema, "additionalProperties") {
            self.schema(inner, &path.child("additionalProperties"), &below(element.clone(), true));
        }
        let is_granular = matches!(text(schema, MAP_TYPE), "" | "granular" | "atomic");
        for (name, property) in schemas(schema, "properties") {
            let field = escape(name).and_then(|name| {
                scope.decl.as_ref().and_then(|decl| decl.field(&name).map(|field| field.decl.clone()))
            });
            let decl = field.or_else(|| declare(property, is_true(property, EMBEDDED)));
            self.schema(property, &path.child("properties").key(name), &below(decl, is_granular));
        }
        if let Some(inner) = inner(schema, "items") {
            let is_map = text(schema, LIST_TYPE) == "map";
            self.schema(inner, &path.child("items"), &below(element, is_map));
        }
        for (i, rule) in items(schema, VALIDATIONS).iter().enumerate() {
            self.rule(rule, schema, &path.child(VALIDATIONS).index(i), scope);
        }
    }

    fn rule(&mut self, rule: &Value, schema: &Value, path: &Path, scope: &Scope) {
        let Some(decl) = &scope.decl else {
            let why = "internal error: failed to retrieve type information for x-kubernetes-validations";
            return self.errors.push(Error::internal(path, why));
        };
        let at = path.child("rule");
        if !text(rule, "fieldPath").is_empty()
            && field_path::normalized(text(rule, "fieldPath"), schema).is_none()
        {
            let why = "must be a valid path";
            self.errors.push(Error::invalid(&path.child("fieldPath"), text(rule, "fieldPath"), why));
        }
        let is_old_optional = is_true(rule, "optionalOldSelf");
        let program = match expression(text(rule, "rule"), &variables(decl, is_old_optional), &Type::Bool) {
            Ok(program) => program,
            Err(why) => return self.wrong(&at, rule, &why),
        };
        let times = scope.times.unwrap_or_else(|| decl.times_max());
        let cost = program.cost_max().saturating_mul(times);
        if cost > RULE_COST_MAX && !self.is_known {
            self.errors
                .push(Error::forbidden(&at, too_expensive("estimated rule cost", cost, RULE_COST_MAX)));
        }
        self.total.add(&at, cost);
        self.message(rule, path, decl);
        match (program.uses("oldSelf"), &scope.uncorrelated) {
            (true, Some(around)) => {
                let why = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {around}"
                );
                self.errors.push(Error::invalid(&at, text(rule, "rule"), why));
            }
            (false, _) if rule.get("optionalOldSelf").is_some_and(|set| !set.is_null()) => {
                let why = "may not be set if oldSelf is not used in rule";
                self.errors.push(Error::invalid(&path.child("optionalOldSelf"), is_old_optional, why));
            }
            _ => {}
        }
    }

    fn message(&mut self, rule: &Value, path: &Path, decl: &Arc<Decl>) {
        let (source, at) = (text(rule, "messageExpression"), path.child("messageExpression"));
        if source.is_empty() {
            return;
        }
        match expression(source, &variables(decl, is_true(rule, "optionalOldSelf")), &Type::String) {
            Ok(program) => {
                let cost = program.cost_max();
                if cost > RULE_COST_MAX && !self.is_known {
                    let why = too_expensive("estimated messageExpression cost", cost, RULE_COST_MAX);
                    self.errors.push(Error::forbidden(&at, why));
                }
                self.total.add(&at, cost);
            }
            Err(why) if why.starts_with("compilation") => {
                self.wrong(&at, rule, &format!("messageExpression {why}"))
            }
            Err(why) => self.wrong(&at, rule, &why),
        }
    }

    /// An error that shows the rule as Go prints it.
    fn wrong(&mut self, at: &Path, rule: &Value, why: &str) {
        let json = |keyword: &str| serde_json::Value::from(text(rule, keyword)).to_string();
        let reason = match text(rule, "reason") {
            "" => "null".to_owned(),
            reason => quote(reason),
        };
        let optional = rule.get("optionalOldSelf").cloned().unwrap_or_default();
        let shown = format!(
            "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{reason},\"FieldPath\":{},\"OptionalOldSelf\":{optional}}}",
            json("rule"),
            json("message"),
            json("messageExpression"),
            json("fieldPath"),
        );
        let shown = alcove_object::field::escape_html(&shown);
        let detail = format!("{shown}: {why}");
        self.errors.push(Error { kind: ErrorType::Invalid, field: at.to_string(), value: None, detail });
    }
}

/// A bound on how many there are; `None`: there is none.
fn count(schema: &Value, keyword: &str) -> Option<u64> {
    schema.get(keyword).and_then(Value::as_i64).map(|n| u64::try_from(n).unwrap_or(0))
}

fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        f if f > 100.0 => "more than 100x".to_owned(),
        f if f < 1.5 => format!("{f:.6}x"),
        f => format!("{f:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

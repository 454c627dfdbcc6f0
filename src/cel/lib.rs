//! The Common Expression Language as Kubernetes speaks it: custom resources say in it what is valid, and admission
//! what is allowed.
//!
//! A mechanism and nothing more. [`Program::compile`] reads an expression, finds the type of each part and the worst
//! that it can cost; [`Program::evaluate`] takes variables and gives a value and what it cost. Who declares which
//! variables, and what follows from a value, is the business of the rooms that use it.
//!
//! **Invariants.** Pure: no clock, no I/O. No expression and no value makes it panic, recurse without limit, or run on
//! once its cost is spent. Data is read where it stands ([`Value`] borrows JSON): a rule that looks at two fields pays
//! for two fields. Costs are counted as cel-go counts them, so that what upstream takes is taken here.
//!
//! **It must not know** schemas, requests, or any kind.

mod ast;
mod check;
mod estimate;
mod eval;
mod issue;
mod lexer;
mod library;
pub mod limits;
mod literals;
mod macros;
mod parser;
mod pattern;
mod record;
mod signatures;
#[cfg(test)]
mod tests;
mod types;
mod unify;
mod value;

pub use eval::EvalError;
pub use issue::Issues;
pub use library::{AUTHORIZER, Access, Authorizer, Decision, Question, RESOURCE_CHECK};
pub use pattern::{PatternError, compile as compile_pattern};
pub use record::{Made, Record};
pub use types::{Decl, Field, Merge, Shape, Type, escape};
pub use value::{Key, Value};

use std::sync::Arc;

/// What an expression may speak of.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// What is declared of it, if anything is: costs are estimated from that.
    pub decl: Option<Arc<Decl>>,
}

impl Variable {
    /// A variable that holds declared data.
    pub fn declared(name: &'static str, decl: &Arc<Decl>) -> Variable {
        Variable { name, kind: decl.type_of(), decl: Some(decl.clone()) }
    }

    /// A variable that holds declared data or nothing.
    pub fn optional(name: &'static str, decl: &Arc<Decl>) -> Variable {
        Variable { name, kind: Type::Optional(Arc::new(decl.type_of())), decl: Some(decl.clone()) }
    }

    /// A variable of a type.
    pub fn of(name: &'static str, kind: Type) -> Variable {
        Variable { name, kind, decl: None }
    }

    /// A variable of which nothing is known.
    pub fn anything(name: &'static str) -> Variable {
        Variable::of(name, Type::Dyn)
    }
}

/// What expressions know beyond the language and the libraries that all of them know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialect {
    /// Types whose values they may make.
    pub records: &'static [Record],
    /// Names of libraries: `jsonpatch`.
    pub libraries: &'static [&'static str],
}

/// An expression that was read and checked.
#[derive(Debug)]
pub struct Program {
    expr: ast::Expr,
    result: Type,
    cost_max: u64,
}

/// What an evaluation came to.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The value, or why there is none.
    pub result: Result<Value<'a>, EvalError>,
    /// What it cost.
    pub cost: u64,
}

impl Program {
    /// Reads and checks an expression over these variables. Fails with all that is wrong with it.
    pub fn compile(source: &str, variables: &[Variable]) -> Result<Program, Issues> {
        Program::compile_in(Dialect::default(), source, variables)
    }

    /// The same in a dialect.
    pub fn compile_in(dialect: Dialect, source: &str, variables: &[Variable]) -> Result<Program, Issues> {
        let wrong = |issues| Issues::new(source, issues);
        let parser::Parsed { mut expr, count } = parser::parse(source).map_err(wrong)?;
        let types: Vec<_> = variables.iter().map(|variable| (variable.name, variable.kind.clone())).collect();
        let checked = check::check(&mut expr, count, &types, dialect).map_err(wrong)?;
        let cost_max = estimate::estimate(&expr, &checked, variables);
        let result = checked.types[expr.id].clone();
        Ok(Program { expr, result, cost_max })
    }

    /// The type of its value.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// The most that it can cost.
    pub fn cost_max(&self) -> u64 {
        self.cost_max
    }

    /// Whether it speaks of a variable.
    pub fn uses(&self, name: &str) -> bool {
        let mut open = vec![&self.expr];
        while let Some(expr) = open.pop() {
            if expr.ident() == Some(name) {
                return true;
            }
            open.extend(expr.children());
        }
        false
    }

    /// Its value for these variables. Ends when it has cost more than `limit`.
    pub fn evaluate<'a>(&'a self, variables: &[(&'static str, Value<'a>)], limit: u64) -> Outcome<'a> {
        let mut machine = eval::Machine::new(variables, limit);
        let result = machine.eval(&self.expr);
        Outcome { result, cost: machine.cost }
    }
}

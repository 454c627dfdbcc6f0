//! Finds the type of every expression, and what is wrong with it (cel-go, checker/checker.go).

use crate::Dialect;
use crate::ast::{Call, Expr, Fold, Kind, Literal, Member};
use crate::issue::Issue;
use crate::library;
use crate::limits::PATTERN_BYTES_MAX;
use crate::literals::mixed;
use crate::record::Record;
use crate::signatures::{OPTIONAL_LIBRARIES, Overload, overloads};
use crate::types::Type;
use crate::unify::{Bindings, instance};
use regex::Regex;
use std::sync::Arc;

/// What a check found, by the numbers of expressions.
pub(crate) struct Checked {
    pub types: Vec<Type>,
    pub overloads: Vec<Vec<&'static str>>,
}

pub(crate) struct Checker<'v> {
    variables: &'v [(&'static str, Type)],
    dialect: Dialect,
    scopes: Vec<(Box<str>, Type)>,
    /// Inside of how many calls whose lists may hold values of any types.
    mixed: usize,
    bindings: Bindings,
    checked: Checked,
    issues: Vec<Issue>,
}

/// Names that stand for types.
const TYPE_NAMES: [&str; 11] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint", "optional_type"];

/// Checks a tree, and notes in it what calls are calls of.
pub(crate) fn check(
    expr: &mut Expr,
    count: usize,
    variables: &[(&'static str, Type)],
    dialect: Dialect,
) -> Result<Checked, Vec<Issue>> {
    let checked = Checked { types: vec![Type::Error; count], overloads: vec![Vec::new(); count] };
    let mut checker = Checker {
        variables,
        dialect,
        scopes: Vec::new(),
        mixed: 0,
        bindings: Bindings::default(),
        checked,
        issues: Vec::new(),
    };
    checker.expr(expr);
    if !checker.issues.is_empty() {
        return Err(checker.issues);
    }
    let Checker { bindings, mut checked, .. } = checker;
    for kind in &mut checked.types {
        *kind = bindings.resolve(kind, true);
    }
    match mixed(expr, &checked.types) {
        issues if issues.is_empty() => Ok(checked),
        issues => Err(issues),
    }
}

impl Checker<'_> {
    fn wrong(&mut self, at: usize, message: String) -> Type {
        self.issues.push(Issue::new(at, message));
        Type::Error
    }

    /// Names with dots that are declared as a whole mean a variable, not a field.
    fn name_whole(&self, expr: &mut Expr) {
        let Some(name) = expr.qualified() else { return };
        let first = name.split('.').next().unwrap_or_default();
        let is_hidden = self.scopes.iter().any(|(known, _)| **known == *first);
        if !is_hidden && self.variables.iter().any(|(known, _)| *known == name) {
            expr.kind = Kind::Ident(name.into());
        }
    }

    fn expr(&mut self, expr: &mut Expr) -> Type {
        if matches!(expr.kind, Kind::Select { .. }) {
            self.name_whole(expr);
        }
        let at = expr.at;
        let id = expr.id;
        let kind = match &mut expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(name) => match self.variable(name) {
                Some(kind) => kind,
                None => self.wrong(at, format!("undeclared reference to '{name}' (in container '')")),
            },
            Kind::Select { operand, field, test } => {
                let inner = self.expr(operand);
                let kind = self.field(at, &inner, field);
                if *test { Type::Bool } else { kind }
            }
            Kind::Call(call) => {
                let (kind, used) = self.call(at, call);
                self.checked.overloads[id] = used;
                kind
            }
            Kind::List { items, optional } => {
                let mut item = None;
                for (i, expr) in items.iter_mut().enumerate() {
                    let mut kind = self.expr(expr);
                    if optional.contains(&i) {
                        kind = self.unwrapped(expr.at, &kind);
                    }
                    item = Some(self.join(expr.at, item, kind));
                }
                let item = item.unwrap_or_else(|| self.bindings.fresh());
                Type::List(Arc::new(item))
            }
            Kind::Map(entries) => {
                let (mut key, mut value) = (None, None);
                for entry in entries {
                    let found = self.expr(&mut entry.key);
                    key = Some(self.join(entry.key.at, key, found));
                    let mut found = self.expr(&mut entry.value);
                    if entry.optional {
                        found = self.unwrapped(entry.value.at, &found);
                    }
                    value = Some(self.join(entry.value.at, value, found));
                }
                let key = key.unwrap_or_else(|| self.bindings.fresh());
                let value = value.unwrap_or_else(|| self.bindings.fresh());
                Type::Map(Arc::new((key, value)))
            }
            Kind::Struct { name, fields } => {
                let Some(record) = Record::find(self.dialect.records, name) else {
                    return self.wrong(at, format!("undeclared reference to '{name}' (in container '')"));
                };
                for Member { at, name, value, optional } in fields.iter_mut() {
                    let mut found = self.expr(value);
                    if *optional {
                        found = self.unwrapped(value.at, &found);
                    }
                    match record.field(name) {
                        Some(wanted) => self.fits(*at, name, &found, &wanted),
                        None => {
                            self.wrong(*at, format!("undefined field '{name}'"));
                        }
                    }
                }
                Type::Record(name.clone().into())
            }
            Kind::Fold(fold) => self.fold(fold),
        };
        self.checked.types[id] = kind.clone();
        kind
    }

    fn variable(&self, name: &str) -> Option<Type> {
        if let Some((_, kind)) = self.scopes.iter().rev().find(|(known, _)| **known == *name) {
            return Some(kind.clone());
        }
        let declared = self.variables.iter().find(|(known, _)| *known == name);
        if let Some((_, kind)) = declared {
            return Some(kind.clone());
        }
        TYPE_NAMES.contains(&name).then_some(Type::Type)
    }

    fn field(&mut self, at: usize, operand: &Type, field: &str) -> Type {
        match self.bindings.resolve(operand, false) {
            Type::Error => Type::Error,
            Type::Dyn | Type::Param(_) => Type::Dyn,
            Type::Map(entry) => entry.1.clone(),
            Type::Optional(inner) => {
                let inner = self.field(at, &inner, field);
                Type::Optional(Arc::new(inner))
            }
            Type::Object(decl) => match decl.field(field) {
                Some(field) => field.decl.type_of(),
                None => self.wrong(at, format!("undefined field '{field}'")),
            },
            Type::Record(name) => {
                let found = Record::find(self.dialect.records, &name).and_then(|record| record.field(field));
                found.unwrap_or_else(|| self.wrong(at, format!("undefined field '{field}'")))
            }
            // To cel-go most of Kubernetes' own types are structs of which it finds no fields.
            Type::Opaque(name) if !name.starts_with("net.") => {
                self.wrong(at, format!("unexpected failed resolution of '{name}'"))
            }
            other => self.wrong(at, format!("type '{other}' does not support field selection")),
        }
    }

    /// The signatures of a function that the dialect knows.
    fn overloads(&self, function: &str) -> Option<&'static [Overload]> {
        let library = function.split('.').next().unwrap_or_default();
        let is_known = !OPTIONAL_LIBRARIES.contains(&library) || self.dialect.libraries.contains(&library);
        overloads(function).filter(|_| is_known)
    }

    fn unwrapped(&mut self, at: usize, kind: &Type) -> Type {
        match self.bindings.resolve(kind, false) {
            Type::Optional(inner) => inner.as_ref().clone(),
            Type::Dyn => Type::Dyn,
            other => self.wrong(at, format!("expected type 'optional_type({other})' but found '{other}'")),
        }
    }

    /// The type of items of one literal: they must all be of one.
    fn join(&mut self, at: usize, before: Option<Type>, found: Type) -> Type {
        let Some(before) = before else { return found };
        let (first, second) = (self.bindings.resolve(&before, false), self.bindings.resolve(&found, false));
        if first.is_any() || second.is_any() {
            return Type::Dyn;
        }
        let (given, wanted) = ([second.clone()], [first.clone()]);
        match self.bindings.take_all(&given, &wanted) {
            true => first,
            false if self.mixed > 0 => Type::Dyn,
            false => self.wrong(at, format!("expected type '{first}' but found '{second}'")),
        }
    }

    fn call(&mut self, at: usize, call: &mut Call) -> (Type, Vec<&'static str>) {
        if &*call.function == "_?._" {
            return (self.optional_select(at, call), vec!["select_optional_field"]);
        }
        // `ip.isCanonical(x)` is the call of a function with that name, not of a method.
        let joined = call.target.as_ref().and_then(|target| {
            let name = target.qualified()?;
            let first = name.split('.').next().unwrap_or_default();
            let is_variable = self.scopes.iter().any(|(known, _)| **known == *first)
                || self.variables.iter().any(|(known, _)| *known == first);
            let joined = format!("{name}.{}", call.function);
            (!is_variable && self.overloads(&joined).is_some()).then_some(joined)
        });
        if let Some(joined) = joined {
            call.function = joined.into();
            call.target = None;
        }
        let Some(known) = self.overloads(&call.function) else {
            for child in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
                self.expr(child);
            }
            let why = format!("undeclared reference to '{}' (in container '')", call.function);
            return (self.wrong(at, why), Vec::new());
        };
        let is_method = call.target.is_some();
        let is_mixed = is_method && &*call.function == "format";
        self.mixed += usize::from(is_mixed);
        let mut given = Vec::with_capacity(call.args.len() + 1);
        for child in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
            let kind = self.expr(child);
            given.push(kind);
        }
        self.mixed -= usize::from(is_mixed);
        let (kind, used) = self.resolve(at, &call.function, known, is_method, &given);
        call.builtin = library::find(&call.function, is_method);
        if used.is_empty() && !matches!(kind, Type::Error) || call.builtin.is_none() && !used.is_empty() {
            self.wrong(at, format!("undeclared reference to '{}' (in container '')", call.function));
        }
        self.literals(call);
        (kind, used)
    }

    /// Literals that are read when the expression is: patterns, durations, times.
    fn literals(&mut self, call: &mut Call) {
        let (Some(last), function) = (call.args.last(), &*call.function) else { return };
        let pattern_at = match (function, call.target.is_some()) {
            ("matches", false) => 1,
            ("matches" | "find" | "findAll", true) => 0,
            ("duration" | "timestamp", false) => {
                let Some(text) = last.literal_text() else { return };
                if !library::is_time(function, text) {
                    let at = last.at;
                    self.wrong(at, format!("invalid {function} argument"));
                }
                return;
            }
            _ => return,
        };
        let Some(expr) = call.args.get(pattern_at) else { return };
        let Some(text) = expr.literal_text() else { return };
        match pattern(text) {
            Ok(pattern) => call.pattern = Some(pattern),
            Err(_) => {
                let at = expr.at;
                self.wrong(at, format!("invalid {function} argument"));
            }
        }
    }

    fn resolve(
        &mut self,
        at: usize,
        function: &str,
        known: &'static [Overload],
        is_method: bool,
        given: &[Type],
    ) -> (Type, Vec<&'static str>) {
        let given: Vec<Type> = given.iter().map(|kind| self.bindings.resolve(kind, false)).collect();
        if given.iter().any(|kind| matches!(kind, Type::Error)) {
            return (Type::Error, Vec::new());
        }
        let mut used = Vec::new();
        let mut result: Option<Type> = None;
        for overload in known.iter().filter(|o| o.is_method == is_method && o.args.len() == given.len()) {
            let names = match overload.is_generic {
                true => [(); 3].map(|()| self.bindings.fresh()),
                false => [Type::Dyn, Type::Dyn, Type::Dyn],
            };
            let wanted: Vec<Type> = overload.args.iter().map(|kind| instance(kind, &names)).collect();
            if !self.bindings.take_all(&given, &wanted) {
                continue;
            }
            used.push(overload.id);
            let kind = self.bindings.resolve(&instance(&overload.result, &names), false);
            result = Some(match result {
                None => kind,
                Some(before) if before.is(&kind) => before,
                Some(_) => Type::Dyn,
            });
        }
        match result {
            Some(result) => (result, used),
            None => {
                let why = format!(
                    "found no matching overload for '{function}' applied to '{}'",
                    applied(&given, is_method)
                );
                (self.wrong(at, why), used)
            }
        }
    }

    fn optional_select(&mut self, at: usize, call: &mut Call) -> Type {
        let operand = self.expr(&mut call.args[0]);
        let field = call.args[1].literal_text().unwrap_or_default().to_owned();
        self.expr(&mut call.args[1]);
        call.builtin = library::find("_?._", false);
        match self.field(at, &operand, &field) {
            kind @ Type::Optional(_) => kind,
            kind => Type::Optional(Arc::new(kind)),
        }
    }

    fn fold(&mut self, fold: &mut Fold) -> Type {
        let range = self.expr(&mut fold.range);
        let (mut first, mut second) = match self.bindings.resolve(&range, false) {
            Type::List(item) => (Type::Int, item.as_ref().clone()),
            Type::Map(entry) => entry.as_ref().clone(),
            Type::Dyn | Type::Error | Type::Param(_) => (Type::Dyn, Type::Dyn),
            other => {
                let why = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.wrong(fold.range.at, why);
                (Type::Error, Type::Error)
            }
        };
        if fold.second.is_none() {
            let is_list = matches!(self.bindings.resolve(&range, false), Type::List(_));
            if is_list {
                first = std::mem::replace(&mut second, Type::Error);
            }
        }
        let accu = self.expr(&mut fold.init);
        self.scopes.push((fold.accu.clone(), accu.clone()));
        let depth = self.scopes.len();
        self.scopes.push((fold.first.clone(), first));
        if let Some(name) = &fold.second {
            self.scopes.push((name.clone(), second));
        }
        let condition = self.expr(&mut fold.condition);
        self.same(fold.condition.at, &condition, &Type::Bool);
        let step = self.expr(&mut fold.step);
        self.same(fold.step.at, &step, &accu);
        self.scopes.truncate(depth);
        let result = self.expr(&mut fold.result);
        self.scopes.truncate(depth - 1);
        self.bindings.resolve(&result, false)
    }

    fn fits(&mut self, at: usize, field: &str, found: &Type, wanted: &Type) {
        if !self.bindings.take_all(std::slice::from_ref(found), std::slice::from_ref(wanted)) {
            let found = self.bindings.resolve(found, false);
            let why =
                format!("expected type of field '{field}' is '{wanted}' but provided type is '{found}'");
            self.wrong(at, why);
        }
    }

    fn same(&mut self, at: usize, found: &Type, wanted: &Type) {
        if !self.bindings.take_all(std::slice::from_ref(found), std::slice::from_ref(wanted)) {
            let (found, wanted) = (self.bindings.resolve(found, false), self.bindings.resolve(wanted, false));
            self.wrong(at, format!("expected type '{wanted}' but found '{found}'"));
        }
    }
}

/// Types of arguments as messages show them: a method's target stands before the brackets.
fn applied(given: &[Type], is_method: bool) -> String {
    let list = |types: &[Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match given {
        [target, args @ ..] if is_method => format!("{target}.({})", list(args)),
        args => format!("({})", list(args)),
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// A pattern in RE2's syntax, of limited size.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    crate::pattern::compile(text, Some(PATTERN_BYTES_MAX)).map_err(|error| error.to_string())
}

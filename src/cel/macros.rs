//! What macros stand for (cel-go, parser/macro.go, ext/comprehensions.go, cel/library.go).

use crate::ast::{Expr, Fold, Kind, Literal};
use crate::issue::Issue;
use crate::parser::Maker;

/// The variable in which a loop gathers; no source can spell it.
pub(crate) const ACCU: &str = "@result";

/// A call, or what it stands for if it is a macro.
pub(crate) fn expand(
    made: &mut Maker,
    at: usize,
    target: Option<Expr>,
    function: &str,
    args: Vec<Expr>,
) -> Result<Expr, Issue> {
    let Some(target) = target else {
        return match (function, args.len()) {
            ("has", 1) => has(made, at, args),
            _ => Ok(made.call(at, function, args)),
        };
    };
    match (function, args.len()) {
        ("all", 2 | 3) => quantifier(made, at, target, args, Quantifier::All),
        ("exists", 2 | 3) => quantifier(made, at, target, args, Quantifier::Exists),
        ("exists_one", 2) | ("existsOne", 2 | 3) => quantifier(made, at, target, args, Quantifier::One),
        ("map", 2 | 3) => gather(made, at, target, args, 1, false),
        ("filter", 2) => gather(made, at, target, args, 1, true),
        ("transformList", 3 | 4) => gather(made, at, target, args, 2, false),
        ("transformMap", 3 | 4) => transform(made, at, target, args, false),
        ("transformMapEntry", 3 | 4) => transform(made, at, target, args, true),
        ("optMap", 2) => optional(made, at, target, args, true),
        ("optFlatMap", 2) => optional(made, at, target, args, false),
        ("sortBy", 2) => sort_by(made, at, target, args),
        _ => Ok(made.method(at, function, Some(target), args)),
    }
}

fn has(made: &mut Maker, at: usize, mut args: Vec<Expr>) -> Result<Expr, Issue> {
    let arg = args.pop().expect("one argument");
    match arg.kind {
        Kind::Select { operand, field, test: false } => {
            Ok(made.expr(at, Kind::Select { operand, field, test: true }))
        }
        _ => Err(Issue::new(arg.at, "invalid argument to has() macro".into())),
    }
}

/// The names of the variables that the first arguments are.
fn variables(args: &mut Vec<Expr>, count: usize) -> Result<(Box<str>, Option<Box<str>>), Issue> {
    let rest = args.split_off(count);
    let names = std::mem::replace(args, rest);
    let mut found = Vec::new();
    for name in &names {
        match name.ident() {
            Some(ident) if ident != ACCU => found.push(Box::from(ident)),
            _ => return Err(Issue::new(name.at, "argument must be a simple name".into())),
        }
    }
    let second = if count == 2 { found.pop() } else { None };
    let first: Box<str> = found.pop().expect("a loop has a variable");
    if second.as_ref() == Some(&first) {
        return Err(Issue::new(names[1].at, format!("duplicate variable name: {first}")));
    }
    Ok((first, second))
}

#[derive(Clone, Copy, PartialEq)]
enum Quantifier {
    All,
    Exists,
    One,
}

fn quantifier(
    made: &mut Maker,
    at: usize,
    range: Expr,
    mut args: Vec<Expr>,
    kind: Quantifier,
) -> Result<Expr, Issue> {
    let names = args.len() - 1;
    let (first, second) = variables(&mut args, names)?;
    let predicate = args.pop().expect("a predicate follows the variables");
    let start = match kind {
        Quantifier::All => Literal::Bool(true),
        Quantifier::Exists => Literal::Bool(false),
        Quantifier::One => Literal::Int(0),
    };
    let init = made.literal(at, start);
    let accu = made.ident(at, ACCU);
    let condition = match kind {
        Quantifier::All => made.call(at, "@not_strictly_false", vec![accu]),
        Quantifier::Exists => {
            let not = made.call(at, "!_", vec![accu]);
            made.call(at, "@not_strictly_false", vec![not])
        }
        Quantifier::One => made.literal(at, Literal::Bool(true)),
    };
    let accu = made.ident(at, ACCU);
    let step = match kind {
        Quantifier::All => made.call(at, "_&&_", vec![accu, predicate]),
        Quantifier::Exists => made.call(at, "_||_", vec![accu, predicate]),
        Quantifier::One => {
            let one = made.literal(at, Literal::Int(1));
            let more = made.call(at, "_+_", vec![accu, one]);
            let same = made.ident(at, ACCU);
            made.call(at, "_?_:_", vec![predicate, more, same])
        }
    };
    let accu = made.ident(at, ACCU);
    let result = match kind {
        Quantifier::One => {
            let one = made.literal(at, Literal::Int(1));
            made.call(at, "_==_", vec![accu, one])
        }
        _ => accu,
    };
    Ok(fold(made, at, Fold { range, first, second, accu: ACCU.into(), init, condition, step, result }))
}

fn fold(made: &mut Maker, at: usize, fold: Fold) -> Expr {
    made.expr(at, Kind::Fold(Box::new(fold)))
}

/// map, filter and transformList: a list of what becomes of items.
fn gather(
    made: &mut Maker,
    at: usize,
    range: Expr,
    mut args: Vec<Expr>,
    names: usize,
    is_filter: bool,
) -> Result<Expr, Issue> {
    let (first, second) = variables(&mut args, names)?;
    let last = args.pop().expect("an expression follows the variables");
    let (predicate, item) = match is_filter {
        true => (Some(last), made.ident(at, &first)),
        false => (args.pop(), last),
    };
    let item = made.expr(at, Kind::List { items: vec![item], optional: Vec::new() });
    let accu = made.ident(at, ACCU);
    let step = made.call(at, "_+_", vec![accu, item]);
    let init = made.expr(at, Kind::List { items: Vec::new(), optional: Vec::new() });
    Ok(looped(made, at, range, (first, second), predicate, init, step))
}

/// transformMap and transformMapEntry: a map of what becomes of entries.
fn transform(
    made: &mut Maker,
    at: usize,
    range: Expr,
    mut args: Vec<Expr>,
    is_entry: bool,
) -> Result<Expr, Issue> {
    let (first, second) = variables(&mut args, 2)?;
    let value = args.pop().expect("an expression follows the variables");
    let predicate = args.pop();
    let accu = made.ident(at, ACCU);
    let step = match is_entry {
        true => made.call(at, "cel.@mapInsert", vec![accu, value]),
        false => {
            let key = made.ident(at, &first);
            made.call(at, "cel.@mapInsert", vec![accu, key, value])
        }
    };
    let init = made.expr(at, Kind::Map(Vec::new()));
    Ok(looped(made, at, range, (first, second), predicate, init, step))
}

fn looped(
    made: &mut Maker,
    at: usize,
    range: Expr,
    (first, second): (Box<str>, Option<Box<str>>),
    predicate: Option<Expr>,
    init: Expr,
    step: Expr,
) -> Expr {
    let condition = made.literal(at, Literal::Bool(true));
    let step = match predicate {
        Some(predicate) => {
            let same = made.ident(at, ACCU);
            made.call(at, "_?_:_", vec![predicate, step, same])
        }
        None => step,
    };
    let result = made.ident(at, ACCU);
    fold(made, at, Fold { range, first, second, accu: ACCU.into(), init, condition, step, result })
}

/// An expression with a name for another one: a loop over nothing.
fn bind(made: &mut Maker, at: usize, name: &str, value: Expr, body: Expr) -> Expr {
    let range = made.expr(at, Kind::List { items: Vec::new(), optional: Vec::new() });
    let condition = made.literal(at, Literal::Bool(false));
    let step = made.ident(at, name);
    let (accu, first) = (Box::from(name), Box::from("#unused"));
    fold(made, at, Fold { range, first, second: None, accu, init: value, condition, step, result: body })
}

/// optMap and optFlatMap: nothing stays nothing, and what is there is handed on.
fn optional(
    made: &mut Maker,
    at: usize,
    target: Expr,
    mut args: Vec<Expr>,
    wraps: bool,
) -> Result<Expr, Issue> {
    let (name, _) = variables(&mut args, 1)?;
    let body = args.pop().expect("an expression follows the variable");
    let held = "@target";
    let [there, given] = [(); 2].map(|()| made.ident(at, held));
    let has = made.method(at, "hasValue", Some(there), Vec::new());
    let value = made.method(at, "value", Some(given), Vec::new());
    let body = bind(made, at, &name, value, body);
    let some = if wraps { made.call(at, "optional.of", vec![body]) } else { body };
    let none = made.call(at, "optional.none", Vec::new());
    let choice = made.call(at, "_?_:_", vec![has, some, none]);
    Ok(bind(made, at, held, target, choice))
}

/// sortBy: keys are made first, then the list is sorted by them.
fn sort_by(made: &mut Maker, at: usize, target: Expr, args: Vec<Expr>) -> Result<Expr, Issue> {
    let held = "@__sortBy_input__";
    let input = made.ident(at, held);
    let keys = gather(made, at, input, args, 1, false)?;
    let input = made.ident(at, held);
    let sorted = made.method(at, "@sortByAssociatedKeys", Some(input), vec![keys]);
    Ok(bind(made, at, held, target, sorted))
}

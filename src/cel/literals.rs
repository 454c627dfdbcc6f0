//! Whether the items of each literal are of one type (cel-go, cel/validator.go: ValidateHomogeneousAggregateLiterals).
//! Checking alone lets what nothing is known of stand beside anything.

use crate::ast::{Expr, Kind};
use crate::issue::Issue;
use crate::types::Type;

/// What is wrong with the literals of a tree, of whose parts these are the types.
pub(crate) fn mixed(expr: &Expr, types: &[Type]) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match &expr.kind {
            Kind::List { items, optional } => {
                let typed =
                    |(i, item): (usize, &Expr)| (item.at, inner(&types[item.id], optional.contains(&i)));
                issues.extend(others(items.iter().enumerate().map(typed)).next());
            }
            Kind::Map(entries) => {
                let keys = entries.iter().map(|entry| (entry.key.at, types[entry.key.id].clone()));
                issues.extend(others(keys));
                let values = entries
                    .iter()
                    .map(|entry| (entry.value.at, inner(&types[entry.value.id], entry.optional)));
                issues.extend(others(values));
            }
            // What is formatted may be of any types.
            Kind::Call(call) if &*call.function == "format" => continue,
            _ => {}
        }
        open.extend(expr.children());
    }
    issues
}

fn inner(kind: &Type, is_optional: bool) -> Type {
    match kind {
        Type::Optional(inner) if is_optional => inner.as_ref().clone(),
        kind => kind.clone(),
    }
}

/// Those that are of another type than the first.
fn others(mut all: impl Iterator<Item = (usize, Type)>) -> impl Iterator<Item = Issue> {
    let first = all.next().map(|(_, kind)| kind);
    all.filter_map(move |(at, kind)| {
        let first = first.as_ref().filter(|first| !first.is(&kind))?;
        Some(Issue::new(at, format!("expected type '{first}' but found '{kind}'")))
    })
}

//! What an expression may cost at worst, from declared sizes alone (cel-go, checker/cost.go, and
//! k8s.io/apiserver/pkg/cel/library/cost.go).

use crate::ast::{Call, Expr, Fold, Kind, Literal};
use crate::check::Checked;
use crate::library::{CHECK_COST, selector_cost, tenth};
use crate::macros::ACCU;
use crate::types::{Decl, Shape, Type};
use std::sync::{Arc, LazyLock};

/// How many elements a value has, at least and at most.
#[derive(Clone, Copy, Debug)]
struct Size {
    min: u64,
    max: u64,
}

impl Size {
    const UNKNOWN: Size = Size { min: 0, max: u64::MAX };
    const ONE: Size = Size { min: 1, max: 1 };

    fn of(n: usize) -> Size {
        Size { min: n as u64, max: n as u64 }
    }

    fn plus(self, other: Size) -> Size {
        Size { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    fn union(self, other: Size) -> Size {
        Size { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    fn up_to(max: u64) -> Size {
        Size { min: 0, max }
    }
}

/// What is known of one expression beside its cost.
#[derive(Clone, Default)]
struct Known {
    size: Option<Size>,
    /// Of the items of a list, or the values of a map.
    item: Option<Size>,
    decl: Option<Arc<Decl>>,
}

struct Estimator<'c> {
    checked: &'c Checked,
    roots: &'c [crate::Variable],
    locals: Vec<(Box<str>, Known)>,
    known: Vec<Known>,
}

/// Keys of maps are texts of which nothing is known; upstream counts them as empty.
static KEY: LazyLock<Arc<Decl>> = LazyLock::new(|| Decl::scalar(Type::String, 2, 0));

/// The worst cost of a checked tree.
pub(crate) fn estimate(expr: &Expr, checked: &Checked, roots: &[crate::Variable]) -> u64 {
    let known = vec![Known::default(); checked.types.len()];
    Estimator { checked, roots, locals: Vec::new(), known }.cost(expr)
}

/// What a call costs beyond its arguments, and how large its result is.
type Priced = (u64, Option<Size>);

impl Estimator<'_> {
    fn kind(&self, expr: &Expr) -> &Type {
        &self.checked.types[expr.id]
    }

    fn cost(&mut self, expr: &Expr) -> u64 {
        match &expr.kind {
            Kind::Literal(_) => 0,
            Kind::Ident(name) => {
                let local = self.locals.iter().rev().find(|(known, _)| known == name);
                self.known[expr.id] = match local {
                    Some((_, known)) => known.clone(),
                    None => {
                        // Upstream takes the name of a type for as large as the first variable.
                        let root = self.roots.iter().find(|root| root.name == &**name).or(self.roots.first());
                        Known { decl: root.and_then(|root| root.decl.clone()), ..Known::default() }
                    }
                };
                1
            }
            Kind::Select { operand, field, test } => {
                let below = self.cost(operand);
                let decl = self.known[operand.id].decl.clone();
                self.known[expr.id].decl =
                    decl.and_then(|decl| decl.field(field).map(|field| field.decl.clone()));
                let is_read = matches!(self.kind(operand), Type::Map(_) | Type::Object(_)) && !test;
                below.saturating_add(u64::from(is_read))
            }
            Kind::Call(call) => self.call(expr, call),
            Kind::List { items, .. } => {
                let costs = items.iter().map(|item| self.cost(item)).fold(10, u64::saturating_add);
                let sizes = items.iter().map(|item| self.size(item)).reduce(Size::union);
                self.known[expr.id].item = Some(sizes.unwrap_or(Size::up_to(0)));
                self.known[expr.id].size = Some(Size::of(items.len()));
                costs
            }
            Kind::Map(entries) => {
                let mut total: u64 = 30;
                let mut sizes: Option<Size> = None;
                for entry in entries {
                    total =
                        total.saturating_add(self.cost(&entry.key)).saturating_add(self.cost(&entry.value));
                    let size = self.size(&entry.value);
                    sizes = Some(sizes.map_or(size, |known| known.union(size)));
                }
                self.known[expr.id].item = Some(sizes.unwrap_or(Size::up_to(0)));
                self.known[expr.id].size = Some(Size::of(entries.len()));
                total
            }
            Kind::Struct { fields, .. } => {
                fields.iter().map(|field| self.cost(&field.value)).fold(40, u64::saturating_add)
            }
            Kind::Fold(fold) if is_bind(fold) => self.bind(expr, fold),
            Kind::Fold(fold) => self.fold(expr, fold),
        }
    }

    fn known_size(&self, expr: &Expr) -> Option<Size> {
        let known = &self.known[expr.id];
        if let Some(size) = known.size {
            return Some(size);
        }
        match &expr.kind {
            Kind::Literal(Literal::String(text)) => return Some(Size::of(text.chars().count())),
            Kind::Literal(Literal::Bytes(bytes)) => return Some(Size::of(bytes.len())),
            Kind::List { items, .. } => return Some(Size::of(items.len())),
            Kind::Map(entries) => return Some(Size::of(entries.len())),
            Kind::Literal(_) => return Some(Size::ONE),
            _ => {}
        }
        if let Some(decl) = &known.decl {
            return Some(Size::up_to(decl.elements_max));
        }
        self.kind(expr).is_scalar().then_some(Size::ONE)
    }

    fn size(&self, expr: &Expr) -> Size {
        self.known_size(expr).unwrap_or(Size::UNKNOWN)
    }

    /// What a loop over the value sees.
    fn item(&self, expr: &Expr) -> Known {
        let known = &self.known[expr.id];
        let decl = known.decl.as_ref().and_then(|decl| decl.element().cloned());
        Known { size: known.item, decl, item: None }
    }

    fn bind(&mut self, expr: &Expr, fold: &Fold) -> u64 {
        let before = self.cost(&fold.range).saturating_add(self.cost(&fold.init));
        let held = Known { size: self.known_size(&fold.init), ..self.known[fold.init.id].clone() };
        self.locals.push((fold.accu.clone(), held));
        let result = self.cost(&fold.result);
        self.locals.pop();
        self.known[expr.id] = self.known[fold.result.id].clone();
        before.saturating_add(result)
    }

    fn fold(&mut self, expr: &Expr, fold: &Fold) -> u64 {
        let before = self.cost(&fold.range).saturating_add(self.cost(&fold.init));
        let accu = Known { size: self.known_size(&fold.init), ..Known::default() };
        self.locals.push((fold.accu.clone(), accu));
        let depth = self.locals.len();
        let item = self.item(&fold.range);
        let key = Known { decl: Some(KEY.clone()), ..Known::default() };
        let is_list = matches!(self.kind(&fold.range), Type::List(_));
        let one = Known { size: Some(Size::ONE), ..Known::default() };
        match &fold.second {
            None => self.locals.push((fold.first.clone(), if is_list { item } else { key })),
            Some(second) => {
                self.locals.push((fold.first.clone(), if is_list { one } else { key }));
                self.locals.push((second.clone(), item));
            }
        }
        let turn = self.cost(&fold.condition).saturating_add(self.cost(&fold.step));
        self.locals.truncate(depth);
        let result = self.cost(&fold.result);
        self.locals.pop();
        let range = self.size(&fold.range);
        if matches!(fold.init.kind, Kind::List { .. } | Kind::Map(_)) {
            self.known[expr.id].size = Some(range);
            self.known[expr.id].item = self.known[fold.step.id].item;
        } else {
            self.known[expr.id].size = self.known_size(&fold.init);
        }
        before.saturating_add(result).saturating_add(range.max.saturating_mul(turn))
    }

    fn call(&mut self, expr: &Expr, call: &Call) -> u64 {
        let all: Vec<&Expr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let costs: Vec<u64> = all.iter().map(|arg| self.cost(arg)).collect();
        let sum = costs.iter().copied().fold(0, u64::saturating_add);
        match (&*call.function, all.as_slice()) {
            ("dyn", [arg]) => {
                self.known[expr.id] = self.known[arg.id].clone();
                return sum.saturating_add(1);
            }
            ("_?_:_", [_, yes, no]) => {
                self.known[expr.id].size = Some(self.size(yes).union(self.size(no)));
                self.known[expr.id].item = match (self.known[yes.id].item, self.known[no.id].item) {
                    (Some(a), Some(b)) => Some(a.union(b)),
                    (a, b) => a.or(b),
                };
                return costs[0].saturating_add(costs[1].max(costs[2]));
            }
            ("_[_]" | "_[?_]", [list, _]) => {
                let item = self.item(list);
                self.known[expr.id] = item;
                return sum.saturating_add(1);
            }
            ("_?._", [operand, field]) => {
                let decl = self.known[operand.id].decl.clone();
                let field = field.literal_text().unwrap_or_default();
                self.known[expr.id].decl = decl.and_then(|decl| decl.field(field).map(|f| f.decl.clone()));
                return sum.saturating_add(1);
            }
            ("optional.of" | "value" | "orValue", [inner, ..]) => {
                self.known[expr.id] = self.known[inner.id].clone();
            }
            _ => {}
        }
        let mut most = 0;
        for overload in &self.checked.overloads[expr.id] {
            let (cost, size) = self.price(&call.function, overload, &all);
            most = most.max(cost);
            if let Some(size) = size {
                let known = &mut self.known[expr.id].size;
                *known = Some(known.map_or(size, |known| known.union(size)));
            }
        }
        if &*call.function == "_+_"
            && let [a, b] = all.as_slice()
        {
            self.known[expr.id].item = match (self.known[a.id].item, self.known[b.id].item) {
                (Some(a), Some(b)) => Some(a.union(b)),
                (a, b) => a.or(b),
            };
        }
        sum.saturating_add(most)
    }

    fn price(&self, function: &str, overload: &str, all: &[&Expr]) -> Priced {
        let size = |i: usize| all.get(i).map_or(Size::ONE, |expr| self.size(expr));
        let pattern = |text: Size, pattern: Size| {
            tenth(text.max.saturating_add(1)).saturating_mul(pattern.max.div_ceil(4))
        };
        let twice = |size: Size| tenth(size.max.saturating_mul(2));
        match function {
            "_&&_" | "_||_" => (0, None),
            "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => (tenth(size(0).max.min(size(1).max)), None),
            "_+_" => match overload {
                "add_list" => (1, Some(size(0).plus(size(1)))),
                "add_string" | "add_bytes" => {
                    let joined = size(0).plus(size(1));
                    (tenth(joined.max), Some(joined))
                }
                _ => (1, None),
            },
            "@in" if overload == "in_list" => (size(1).max, None),
            "startsWith" | "endsWith" => (tenth(size(1).max), None),
            "matches" => (pattern(size(0), size(1)), None),
            "find" | "findAll" => (pattern(size(0), size(1)), Some(Size::up_to(size(0).max))),
            "contains" => (tenth(size(0).max).saturating_mul(tenth(size(1).max)), None),
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => (self.walk(all[0]), None),
            "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" => (tenth(size(0).max), Some(size(0))),
            "replace" => (twice(size(0)), Some(replaced(size(0), size(1), size(2)))),
            "split" => {
                let limit = match all.get(2).map(|expr| &expr.kind) {
                    Some(Kind::Literal(Literal::Int(n))) => u64::try_from(*n).unwrap_or(u64::MAX),
                    _ => size(0).max,
                };
                (twice(size(0)), Some(Size::up_to(limit)))
            }
            "join" => {
                let item = self.item(all[0]);
                let item = item.size.or(item.decl.map(|decl| Size::up_to(decl.elements_max)));
                let items = size(0).max.saturating_mul(item.map_or(0, |size| size.max));
                let separators =
                    if all.len() > 1 { size(1).max.saturating_mul(size(0).max.saturating_sub(1)) } else { 0 };
                let joined = items.saturating_add(separators);
                (tenth(joined), Some(Size::up_to(joined)))
            }
            "bytes" if overload == "string_to_bytes" => {
                (tenth(size(0).max), Some(Size::up_to(size(0).max.saturating_mul(4))))
            }
            "string" if overload == "bytes_to_string" => (tenth(size(0).max), Some(size(0))),
            "strings.quote" => {
                (tenth(size(0).max), Some(Size::up_to(size(0).max.saturating_mul(2).saturating_add(2))))
            }
            "format" => (tenth(size(0).max), None),
            "cidr"
            | "isIP"
            | "isCIDR"
            | "quantity"
            | "isQuantity"
            | "semver"
            | "isSemver"
            | "jsonpatch.escapeKey" => (tenth(size(0).max), None),
            "ip" if overload == "string_to_ip" => (tenth(size(0).max), None),
            "ip.isCanonical" => (twice(size(0)), None),
            "containsIP" | "containsCIDR" => {
                let given = if overload.ends_with("string") { tenth(size(1).max) } else { 0 };
                let masked = if function == "containsCIDR" { 3 } else { 0 };
                (given.saturating_add(4 + masked), None)
            }
            "check" => (CHECK_COST, None),
            "fieldSelector" | "labelSelector" => (selector_cost(size(1).max), None),
            "validate" => (tenth(size(1).max).saturating_mul(32), None),
            _ => (1, None),
        }
    }

    /// The cost of looking at every item, and of reading those that are texts.
    fn walk(&self, list: &Expr) -> u64 {
        let Type::List(item) = self.kind(list) else { return tenth(self.size(list).max) };
        let known = self.item(list);
        let each = match **item {
            Type::String | Type::Bytes => {
                let size = known.size.or(known.decl.map(|decl| Size::up_to(decl.elements_max)));
                1_u64.saturating_add(tenth(size.unwrap_or(Size::UNKNOWN).max))
            }
            _ => 1,
        };
        self.size(list).max.saturating_mul(each)
    }
}

fn is_bind(fold: &Fold) -> bool {
    matches!(&fold.range.kind, Kind::List { items, .. } if items.is_empty())
        && fold.condition.kind_is_false()
        && &*fold.accu != ACCU
}

impl Expr {
    fn kind_is_false(&self) -> bool {
        matches!(self.kind, Kind::Literal(Literal::Bool(false)))
    }
}

/// The longest text that comes of replacing.
fn replaced(text: Size, old: Size, new: Size) -> Size {
    let max = if old.min == 0 {
        text.max.saturating_add(1).saturating_mul(new.max).saturating_add(text.max)
    } else if new.max <= old.min {
        text.max
    } else {
        text.max.div_ceil(old.min).saturating_mul(new.max)
    };
    Size::up_to(max)
}

impl Decl {
    /// How often data of this size fits into one request.
    pub fn times_max(&self) -> u64 {
        crate::limits::REQUEST_BYTES_MAX / (self.bytes_min + 1)
    }

    /// Whether the data is a list or a map.
    pub fn is_container(&self) -> bool {
        matches!(self.shape, Shape::List(..) | Shape::Map(_))
    }
}

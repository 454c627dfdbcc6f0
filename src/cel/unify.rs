//! Whether a type may stand where another is wanted, and what that says of parameters (cel-go, checker/types.go).

use crate::types::Type;
use std::sync::Arc;

/// What is known of the parameters of one check.
#[derive(Default)]
pub(crate) struct Bindings {
    bound: Vec<Option<Type>>,
    /// What was known before each change of a check under way, so that it can be taken back.
    undo: Vec<(usize, Option<Type>)>,
}

impl Bindings {
    /// A parameter that nothing is known of.
    pub fn fresh(&mut self) -> Type {
        self.bound.push(None);
        Type::Param(self.bound.len() - 1)
    }

    fn get(&self, param: usize) -> Option<&Type> {
        self.bound.get(param).and_then(Option::as_ref)
    }

    /// The type with all that is known put in; what is not known becomes anything if `is_final`.
    pub fn resolve(&self, kind: &Type, is_final: bool) -> Type {
        match kind {
            Type::Param(n) => match self.get(*n) {
                Some(bound) => self.resolve(bound, is_final),
                None if is_final => Type::Dyn,
                None => kind.clone(),
            },
            Type::List(item) => Type::List(Arc::new(self.resolve(item, is_final))),
            Type::Optional(inner) => Type::Optional(Arc::new(self.resolve(inner, is_final))),
            Type::Map(entry) => {
                Type::Map(Arc::new((self.resolve(&entry.0, is_final), self.resolve(&entry.1, is_final))))
            }
            _ => kind.clone(),
        }
    }

    /// Whether all types may stand where the others are wanted. If not, nothing becomes known.
    pub fn take_all(&mut self, given: &[Type], wanted: &[Type]) -> bool {
        self.undo.clear();
        let fits = given.len() == wanted.len() && given.iter().zip(wanted).all(|(g, w)| self.takes(g, w));
        while let Some((param, before)) = self.undo.pop().filter(|_| !fits) {
            self.bound[param] = before;
        }
        fits
    }

    fn set(&mut self, param: usize, kind: Type) {
        let before = self.bound[param].replace(kind);
        self.undo.push((param, before));
    }

    fn takes(&mut self, given: &Type, wanted: &Type) -> bool {
        if let (Type::Param(a), Type::Param(b)) = (given, wanted)
            && a == b
        {
            return true;
        }
        if let Type::Param(n) = wanted {
            return self.bind(*n, given, false);
        }
        if let Type::Param(n) = given {
            return self.bind(*n, wanted, true);
        }
        if given.is_any() || wanted.is_any() {
            return true;
        }
        match (given, wanted) {
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.takes(a, b),
            (Type::Map(a), Type::Map(b)) => self.takes(&a.0, &b.0) && self.takes(&a.1, &b.1),
            (Type::Null, other) | (other, Type::Null) => matches!(
                other,
                Type::Null
                    | Type::Object(_)
                    | Type::Timestamp
                    | Type::Duration
                    | Type::Opaque(_)
                    | Type::Record(_)
                    | Type::Optional(_)
            ),
            (a, b) => a.is(b),
        }
    }

    /// Makes a parameter what the type says, or the more general of what it was and is to be.
    fn bind(&mut self, param: usize, kind: &Type, is_given: bool) -> bool {
        if let Some(known) = self.get(param).cloned() {
            let fits = match is_given {
                true => self.takes(&known, kind),
                false => self.takes(kind, &known),
            };
            if fits && kind.is_any() && !known.is_any() {
                self.set(param, Type::Dyn);
            } else if fits && matches!(known, Type::Null) {
                self.set(param, kind.clone());
            }
            return fits;
        }
        if self.mentions(kind, param) {
            return false;
        }
        self.set(param, kind.clone());
        true
    }

    fn mentions(&self, kind: &Type, param: usize) -> bool {
        match kind {
            Type::Param(n) if *n == param => true,
            Type::Param(n) => self.get(*n).is_some_and(|bound| self.mentions(bound, param)),
            Type::List(inner) | Type::Optional(inner) => self.mentions(inner, param),
            Type::Map(entry) => self.mentions(&entry.0, param) || self.mentions(&entry.1, param),
            _ => false,
        }
    }
}

/// The type with the parameters of a signature renamed to fresh ones.
pub(crate) fn instance(kind: &Type, names: &[Type; 3]) -> Type {
    match kind {
        Type::Param(n) => names.get(*n).cloned().unwrap_or(Type::Dyn),
        Type::List(item) => Type::List(Arc::new(instance(item, names))),
        Type::Optional(inner) => Type::Optional(Arc::new(instance(inner, names))),
        Type::Map(entry) => Type::Map(Arc::new((instance(&entry.0, names), instance(&entry.1, names)))),
        _ => kind.clone(),
    }
}

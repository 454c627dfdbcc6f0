//! Once more: when a mutating policy or webhook changed an object, the steps before it have not seen that. They all run
//! a second time then, and of policies and webhooks those that asked for it (`reinvocationPolicy: IfNeeded`)
//! (k8s.io/apiserver/pkg/admission/reinvocation.go and the reinvocation contexts of its plugins).
//!
//! **Invariant.** There is one second time, never a third.

use alcove_object::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Who was asked about a request, and who is to be asked again.
#[derive(Debug, Default)]
pub struct Reinvocation {
    is_again: bool,
    is_wanted: bool,
    steps: BTreeMap<&'static str, Asked>,
}

/// What one step remembers.
#[derive(Debug, Default)]
struct Asked {
    /// Were asked, and would be asked again after a later change.
    willing: BTreeSet<String>,
    /// Are to be asked again.
    due: BTreeSet<String>,
    /// The object as the step left it; `None`: nobody is willing.
    left: Option<Value>,
}

impl Asked {
    fn changed(&mut self) {
        self.due.append(&mut self.willing);
    }
}

impl Reinvocation {
    /// Whether the steps are to run a second time; from now on they do.
    pub(crate) fn begins_again(&mut self) -> bool {
        let begins = self.is_wanted && !self.is_again;
        self.is_again = true;
        begins
    }

    /// A step begins.
    pub(crate) fn begin(&mut self, step: &'static str, object: &Value) {
        let asked = self.steps.entry(step).or_default();
        if self.is_again && asked.left.as_ref().is_some_and(|left| left != object) {
            asked.changed();
        }
    }

    /// Whether the step is not to ask this one: it is the second time, and nothing changed since, or it does not want to.
    pub(crate) fn skips(&self, step: &'static str, key: &str) -> bool {
        self.is_again && !self.steps.get(step).is_some_and(|asked| asked.due.contains(key))
    }

    /// The step changed the object.
    pub(crate) fn changed(&mut self, step: &'static str) {
        self.steps.entry(step).or_default().changed();
        self.is_wanted = true;
    }

    /// The step asked one that wants to be asked again after later changes.
    pub(crate) fn is_willing(&mut self, step: &'static str, key: &str) {
        self.steps.entry(step).or_default().willing.insert(key.to_owned());
    }

    /// A step ends.
    pub(crate) fn end(&mut self, step: &'static str, object: &Value) {
        if let Some(asked) = self.steps.get_mut(step) {
            asked.left = (!asked.willing.is_empty()).then(|| object.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_willing_are_asked_again_and_once() {
        let mut context = Reinvocation::default();
        let (before, after) = (json!({"a": 1}), json!({"a": 2}));
        context.begin("policies", &before);
        context.is_willing("policies", "early");
        context.end("policies", &before);
        context.begin("webhooks", &before);
        context.changed("webhooks");
        context.is_willing("webhooks", "late");
        context.end("webhooks", &after);
        assert!(context.begins_again());
        context.begin("policies", &after);
        assert!(!context.skips("policies", "early") && context.skips("policies", "other"));
        context.changed("policies");
        context.begin("webhooks", &after);
        assert!(context.skips("webhooks", "late"));
        assert!(!context.begins_again());
    }

    #[test]
    fn what_changes_nothing_is_asked_once() {
        let mut context = Reinvocation::default();
        context.begin("policies", &json!({}));
        context.is_willing("policies", "a");
        context.end("policies", &json!({}));
        assert!(!context.begins_again());
    }
}

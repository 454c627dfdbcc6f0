//! Where in a tree one is: a chain of steps on the stack, so that keeping it costs nothing until it is printed.

use std::fmt::Write;

/// A place in a tree, as a step from its parent.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    pub(super) depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    /// A field of a struct, and the definition name of that struct.
    Field(&'p str, &'p str),
    /// A key of a map.
    Key(&'p str),
    /// An item of a list.
    Index(usize),
}

impl<'p> Path<'p> {
    pub(super) const ROOT: Path<'static> = Path { parent: None, step: Step::Root, depth: 0 };

    pub(super) fn field(&'p self, name: &'p str, owner: &'p str) -> Path<'p> {
        self.then(Step::Field(name, owner))
    }

    pub(super) fn key(&'p self, key: &'p str) -> Path<'p> {
        self.then(Step::Key(key))
    }

    pub(super) fn index(&'p self, index: usize) -> Path<'p> {
        self.then(Step::Index(index))
    }

    fn then(&'p self, step: Step<'p>) -> Path<'p> {
        Path { parent: Some(self), step, depth: self.depth + 1 }
    }

    fn steps(&self) -> Vec<Step<'p>> {
        let mut steps = vec![self.step];
        let mut parent = self.parent;
        while let Some(path) = parent {
            steps.push(path.step);
            parent = path.parent;
        }
        steps.reverse();
        steps
    }

    /// As strict errors name it: `spec.containers[0].image`.
    pub(super) fn full(&self) -> String {
        let mut text = String::new();
        for step in self.steps() {
            match step {
                Step::Root => {}
                Step::Field(name, _) | Step::Key(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Index(index) => {
                    let _infallible = write!(text, "[{index}]");
                }
            }
        }
        text
    }

    /// As Go's type errors name it: the innermost struct's own name, then all field names without keys and
    /// indices, such as `Container.spec.containers.image`. None outside of any struct.
    pub(super) fn go_field(&self) -> Option<String> {
        let mut owner = None;
        let mut text = String::new();
        for step in self.steps() {
            if let Step::Field(name, definition) = step {
                owner = Some(definition.rsplit('.').next().unwrap_or_default());
                text.push('.');
                text.push_str(name);
            }
        }
        owner.map(|owner| format!("{owner}{text}"))
    }
}

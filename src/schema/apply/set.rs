//! Sets of fields: a trie of path elements (sigs.k8s.io/structured-merge-diff/v6/fieldpath/set.go).
//!
//! A path in the set says nothing of the paths above and below it: owning `.spec.template` does not mean owning what
//! is inside, and the other way round. **Invariants:** nodes are sorted by element, without doubles; a node is a member
//! or has children.

use super::path::Element;
use std::cmp::Ordering;

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set<'a> {
    nodes: Vec<Node<'a>>,
}

/// One path element in a set, with what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// The step from the level above.
    pub element: Element<'a>,
    /// Whether the path that ends here is in the set.
    pub member: bool,
    /// The rest of longer paths.
    pub children: Set<'a>,
}

impl<'a> Set<'a> {
    /// Nothing.
    pub const EMPTY: Set<'static> = Set { nodes: Vec::new() };

    /// The nodes of the first level, in order.
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a node that sorts after all others; drops it when it says nothing. For building in order.
    pub fn push(&mut self, element: Element<'a>, member: bool, children: Set<'a>) {
        if member || !children.is_empty() {
            debug_assert!(self.nodes.last().is_none_or(|last| last.element < element));
            self.nodes.push(Node { element, member, children });
        }
    }

    /// A set from nodes in any order and with doubles.
    pub fn from_nodes(mut nodes: Vec<Node<'a>>) -> Set<'a> {
        nodes.retain(|n| n.member || !n.children.is_empty());
        if !nodes.is_sorted_by(|a, b| a.element < b.element) {
            nodes.sort_by(|a, b| a.element.cmp(&b.element));
            nodes.dedup_by(|next, kept| {
                let same = next.element == kept.element;
                if same {
                    kept.member |= next.member;
                    kept.children =
                        std::mem::take(&mut kept.children).union(std::mem::take(&mut next.children));
                }
                same
            });
        }
        Set { nodes }
    }

    /// A set from paths of field names.
    pub fn from_fields(paths: impl IntoIterator<Item = &'a str>) -> Set<'a> {
        let mut set = Set::default();
        for path in paths {
            let mut level = &mut set;
            let mut names = path.split('.').peekable();
            while let Some(name) = names.next() {
                let node = level.entry(Element::field(name));
                node.member |= names.peek().is_none();
                level = &mut node.children;
            }
        }
        set
    }

    fn entry(&mut self, element: Element<'a>) -> &mut Node<'a> {
        let at = match self.find(&element) {
            Ok(at) => at,
            Err(at) => {
                self.nodes.insert(at, Node { element, member: false, children: Set::default() });
                at
            }
        };
        &mut self.nodes[at]
    }

    fn find(&self, element: &Element<'_>) -> Result<usize, usize> {
        self.nodes.binary_search_by(|n| n.element.cmp(element))
    }

    /// The node of an element.
    pub fn get(&self, element: &Element<'_>) -> Option<&Node<'a>> {
        self.find(element).ok().map(|at| &self.nodes[at])
    }

    /// The node of a field name, without making an element.
    pub fn get_field(&self, name: &str) -> Option<&Node<'a>> {
        let order = |n: &Node<'_>| match &n.element {
            Element::Field(field) => (**field).cmp(name),
            _ => Ordering::Greater,
        };
        self.nodes.binary_search_by(order).ok().map(|at| &self.nodes[at])
    }

    /// Whether a path is in the set.
    pub fn has(&self, path: &[&Element<'_>]) -> bool {
        match path {
            [] => false,
            [last] => self.get(last).is_some_and(|n| n.member),
            [first, rest @ ..] => self.get(first).is_some_and(|n| n.children.has(rest)),
        }
    }

    /// The nodes of the first level, for changing what is below them; elements must stay as they are, and a node must
    /// stay a member or keep children.
    pub(super) fn nodes_mut(&mut self) -> &mut [Node<'a>] {
        &mut self.nodes
    }

    /// The paths in either set.
    pub fn union(self, other: Set<'a>) -> Set<'a> {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other } else { self };
        }
        let mut nodes = Vec::with_capacity(self.nodes.len().max(other.nodes.len()));
        let mut right = other.nodes.into_iter().peekable();
        for mut node in self.nodes {
            while let Some(before) = right.next_if(|r| r.element < node.element) {
                nodes.push(before);
            }
            if let Some(same) = right.next_if(|r| r.element == node.element) {
                node.member |= same.member;
                node.children = node.children.union(same.children);
            }
            nodes.push(node);
        }
        nodes.extend(right);
        Set { nodes }
    }

    /// The paths in both sets.
    pub fn intersection(&self, other: &Set<'_>) -> Set<'a> {
        let mut out = Set::default();
        if other.is_empty() {
            return out;
        }
        for node in &self.nodes {
            if let Some(same) = other.get(&node.element) {
                let children = node.children.intersection(&same.children);
                out.push(node.element.clone(), node.member && same.member, children);
            }
        }
        out
    }

    /// The paths in this set and not in the other. A path does not take along those below it.
    pub fn difference(mut self, other: &Set<'_>) -> Set<'a> {
        self.subtract(other, false);
        self
    }

    /// The paths in this set that are neither in the other nor below one of its paths.
    pub fn recursive_difference(mut self, other: &Set<'_>) -> Set<'a> {
        self.subtract(other, true);
        self
    }

    fn subtract(&mut self, other: &Set<'_>, recursive: bool) {
        if other.is_empty() {
            return;
        }
        self.nodes.retain_mut(|node| {
            let Some(same) = other.get(&node.element) else { return true };
            if recursive && same.member {
                return false;
            }
            node.member &= !same.member;
            node.children.subtract(&same.children, recursive);
            node.member || !node.children.is_empty()
        });
    }

    /// Whether every path of this set is in the other.
    pub fn is_subset(&self, other: &Set<'_>) -> bool {
        // Both are sorted, and they are mostly the same.
        let mut others = other.nodes.iter();
        self.nodes.iter().all(|n| {
            let found = others.find(|o| o.element >= n.element).filter(|o| o.element == n.element);
            found.is_some_and(|o| (o.member || !n.member) && n.children.is_subset(&o.children))
        })
    }

    /// The paths with nothing below them in the set.
    pub fn leaves(&self) -> Set<'a> {
        let mut out = Set::default();
        for node in &self.nodes {
            out.push(node.element.clone(), node.member && node.children.is_empty(), node.children.leaves());
        }
        out
    }

    /// Calls `visit` with every path, those of one level before those below it, as upstream lists conflicts.
    pub fn each(&self, visit: &mut dyn FnMut(&[&Element<'a>])) {
        self.each_below(&mut Vec::new(), visit);
    }

    fn each_below<'s>(&'s self, path: &mut Vec<&'s Element<'a>>, visit: &mut dyn FnMut(&[&Element<'a>])) {
        for node in self.nodes.iter().filter(|n| n.member) {
            path.push(&node.element);
            visit(path);
            path.pop();
        }
        for node in self.nodes.iter().filter(|n| !n.children.is_empty()) {
            path.push(&node.element);
            node.children.each_below(path, visit);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::{decode, encode};
    use super::*;
    use alcove_object::Value;
    use serde_json::json;

    fn set(json: &Value) -> Set<'_> {
        decode(json).expect("a field set")
    }

    /// `f:` before every name, so that tables stay readable: `a.b` is a member below `a`.
    fn of(paths: &'static str) -> Set<'static> {
        Set::from_fields(paths.split_whitespace())
    }

    #[test]
    fn sets_are_joined_and_taken_apart() {
        let table = [
            // one, other, union, intersection, difference, recursive difference
            ("a b.c", "b b.d", "a b b.c b.d", "", "a b.c", "a"),
            ("a a.b", "a", "a a.b", "a", "a.b", ""),
            ("a.b.c a.d", "a.b", "a.b a.b.c a.d", "", "a.b.c a.d", "a.d"),
            ("a b c", "b", "a b c", "b", "a c", "a c"),
            ("", "a", "a", "", "", ""),
        ];
        for (one, other, union, intersection, difference, recursive) in table {
            let about = format!("{one} | {other}");
            assert_eq!(of(one).union(of(other)), of(union), "{about}");
            assert_eq!(of(other).union(of(one)), of(union), "{about}");
            assert_eq!(of(one).intersection(&of(other)), of(intersection), "{about}");
            assert_eq!(of(one).difference(&of(other)), of(difference), "{about}");
            assert_eq!(of(one).recursive_difference(&of(other)), of(recursive), "{about}");
            assert!(of(intersection).is_subset(&of(one)) && of(one).is_subset(&of(union)), "{about}");
            assert_eq!(of(union).is_subset(&of(one)), of(union) == of(one), "{about}");
        }
        assert_eq!(of("a a.b c").leaves(), of("a.b c"));
    }

    #[test]
    fn json_is_canonical_and_ordered_by_value() {
        let json = json!({
            "f:b": {".": {}, "v:10": {}, "v:9": {}, "v:\"x\"": {}},
            "f:a": {"k:{\"port\": 80, \"name\":\"<x>\"}": {"f:c": {}}, "z:unknown": {}},
        });
        let read = set(&json);
        let shown: Vec<String> = {
            let mut paths = Vec::new();
            read.each(&mut |path| paths.push(path.iter().map(|e| e.to_string()).collect()));
            paths
        };
        assert_eq!(shown, [".b", ".a[name=\"<x>\",port=80].c", ".b[=9]", ".b[=10]", ".b[=\"x\"]"]);
        let written = encode(&read);
        assert!(written["f:a"].get("k:{\"name\":\"\\u003cx\\u003e\",\"port\":80}").is_some(), "{written}");
        assert_eq!(set(&written), read);
    }

    #[test]
    fn what_is_no_field_set_is_refused() {
        for json in [json!([]), json!({"f:a": 1}), json!({"x": {}}), json!({"k:[1]": {}}), json!({"v:{": {}})]
        {
            assert!(decode(&json).is_err(), "{json}");
        }
    }
}

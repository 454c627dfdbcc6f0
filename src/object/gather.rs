//! Maps from iterators without a sort of their own. The standard library's way into a `BTreeMap` sorts first, and each
//! iterator in the program brings a copy of that sort, which is larger than most functions that want a small map.

/// `collect` for maps: one after the other, so the last one with a key wins.
pub trait Gather: Iterator + Sized {
    /// All items in a map, or in whatever else begins empty and takes them.
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }
}

impl<I: Iterator> Gather for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_gathered_is_what_is_collected() {
        let pairs = [("b", 1), ("a", 2), ("b", 3)];
        let gathered: BTreeMap<_, _> = pairs.into_iter().gather();
        assert_eq!(gathered, pairs.into_iter().collect());
    }
}

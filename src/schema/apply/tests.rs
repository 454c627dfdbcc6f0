//! Whole operations, with what upstream makes of them.

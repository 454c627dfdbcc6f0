//! Every limit on expressions, upstream's values (k8s.io/apiserver/pkg/apis/cel and cel-go's parser).

/// Characters of one expression.
pub const SOURCE_CHARACTERS_MAX: usize = 100_000;
/// Nesting of one expression (upstream: 250; less, so that a thread of 2 MiB has room).
pub const DEPTH_MAX: usize = 100;
/// Cost units of one evaluation: about a tenth of a second.
pub const CALL_COST_MAX: u64 = 1_000_000;
/// Cost units of all rules over one object: about a second.
pub const BUDGET_COST_MAX: i64 = 10_000_000;
/// Cost units of all match conditions of one webhook or policy.
pub const CONDITIONS_COST_MAX: i64 = 2_500_000;
/// Bytes of a request; what estimates of unbounded values rest on.
pub const REQUEST_BYTES_MAX: u64 = 3 * 1024 * 1024;
/// Bytes of a message that an expression makes.
pub const MESSAGE_BYTES_MAX: usize = 5 * 1024;
/// Bytes of a compiled pattern.
pub const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a text that `replace` makes; past it, the call costs too much.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

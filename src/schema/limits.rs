//! Every limit that input meets in this room, with its unit. Past one, the answer is an error that names it.

/// Nesting of objects and arrays in JSON, YAML and protobuf input. Past it: 400.
pub const DEPTH_MAX: usize = 100;
/// Operations in one JSON patch (k8s.io/apiserver: maxJSONPatchOperations). Past it: 413.
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;
/// Bytes that YAML aliases may expand to in one document. Past it: 400.
pub const YAML_EXPANDED_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Strict decoding errors reported for one body; more are counted, not listed.
pub const STRICT_ERRORS_MAX: usize = 100;
/// Bytes that all `copy` operations of one JSON patch may add (k8s.io/apiserver: JSONPatchMaxCopyBytes). Past it: 422.
pub const JSON_PATCH_COPY_BYTES_MAX: usize = 3 * 1024 * 1024;

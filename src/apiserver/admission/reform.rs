//! What a patch leaves is any tree; here it becomes an object of its kind again.

use alcove_object::Value;
use alcove_schema::View;
use alcove_schema::decode::{Report, conform, strict_message};

/// Brings a patched object into the form of its kind. Fails with upstream's text where it does not fit, and if `is_strict`
/// for fields that the kind does not have.
pub(super) fn reform(object: &mut Value, schema: View<'_>, is_strict: bool) -> Result<(), String> {
    let mut report = Report::default();
    conform(object, schema, &mut report).map_err(|error| error.to_string())?;
    match is_strict && !report.unknown.is_empty() {
        true => Err(strict_message(&report.unknown)),
        false => Ok(()),
    }
}

//! Why an apply fails, in upstream's words (k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go and
//! structuredmerge.go), and as the `Status` clients switch on.

use alcove_object::status::{Cause, Details};
use alcove_object::{Reason, Status};

/// One field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The owner as people read it: `"kubectl" using apps/v1 at 2026-11-21T09:30:00Z`.
    pub manager: String,
    /// The field, such as `.spec.replicas`.
    pub field: String,
}

/// Why an apply, or the bookkeeping of an update, fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Fields that others own would change, and the apply is not forced. 409.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The patch carries managed fields. 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsSet,
    /// The patch or the live object does not fit its schema. 500, as upstream has it.
    #[error("{0}")]
    Typed(String),
}

impl ApplyError {
    /// The answer to the request.
    pub fn to_status(&self) -> Status {
        match self {
            ApplyError::Conflicts(conflicts) => {
                let causes = conflicts
                    .iter()
                    .map(|c| Cause {
                        reason: "FieldManagerConflict".into(),
                        message: format!("conflict with {}", c.manager),
                        field: c.field.clone(),
                    })
                    .collect();
                Status::new(409, Reason::CONFLICT, self.to_string())
                    .with_details(Details { causes, ..Details::default() })
            }
            ApplyError::ManagedFieldsSet => Status::bad_request(self.to_string()),
            ApplyError::Typed(text) => Status::new(500, Reason::UNKNOWN, text.clone()),
        }
    }
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    format!("Apply failed with {} conflicts", conflicts.len())
}

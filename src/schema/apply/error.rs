//! Why an apply fails, in upstream's words (k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go and
//! structuredmerge.go), and as the `Status` clients switch on.

use alcove_object::status::{Cause, Details};
use alcove_object::{Reason, Status};

/// One field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The owner as people read it: `"kubectl" using apps/v1`.
    pub manager: String,
    /// The field, such as `.spec.replicas`.
    pub field: String,
}

/// Why an apply fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Fields that others own would change, and the apply is not forced. 409.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The patch carries managed fields. 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsSet,
    /// The patch is not of the kind and version of the request: what it is of, as `apps/v1, Kind=Deployment`. 400.
    #[error("invalid object type: {0}")]
    WrongType(String),
    /// The patch does not fit its schema, or the live object's managed fields cannot be read. 500, as upstream has it.
    #[error("{0}")]
    Failed(String),
}

impl ApplyError {
    /// The answer to the request.
    pub fn to_status(&self) -> Status {
        match self {
            ApplyError::Conflicts(conflicts) => {
                let causes = conflicts.iter().map(Conflict::cause).collect();
                Status::new(409, Reason::CONFLICT, self.to_string())
                    .with_details(Details { causes, ..Details::default() })
            }
            ApplyError::ManagedFieldsSet | ApplyError::WrongType(_) => Status::bad_request(self.to_string()),
            ApplyError::Failed(text) => Status::new(500, Reason::UNKNOWN, text.clone()),
        }
    }
}

impl Conflict {
    fn cause(&self) -> Cause {
        Cause {
            reason: "FieldManagerConflict".into(),
            message: format!("conflict with {}", self.manager),
            field: self.field.clone(),
        }
    }
}

/// Conflicts come grouped by owner.
fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager, only.field);
    }
    let groups: Vec<String> = conflicts
        .chunk_by(|a, b| a.manager == b.manager)
        .map(|group| {
            let fields: String = group.iter().map(|c| format!("\n- {}", c.field)).collect();
            format!("conflicts with {}:{fields}", group[0].manager)
        })
        .collect();
    format!("Apply failed with {} conflicts: {}", conflicts.len(), groups.join("\n"))
}

//! After a pause: the tenant's pods start again.
//!
//! `alcove pause` notes its time beside the configuration, ends the process, and then the tenant's pods on the host. The
//! next start finds a note that it has not heeded yet and puts the pods back to where they were made, before the syncer
//! would take them for pods that somebody removed. The note stays where it is; which one was heeded last is kept with
//! the data.

use crate::control_plane::ControlPlane;
use crate::error::Error;
use crate::files;
use std::path::Path;

/// The note: a key of the Secret with the configuration, and so a file beside it.
pub const NOTE: &str = "paused-at";
/// Which note was heeded last, in the data directory.
const HEEDED: &str = "resumed";

/// Puts the pods back if there is a note that was not heeded yet.
pub async fn after_pause(plane: &ControlPlane, note: Option<&Path>, data: &Path) -> Result<(), Error> {
    let Some(paused_at) = note.and_then(|note| std::fs::read_to_string(note).ok()) else { return Ok(()) };
    let heeded = data.join(HEEDED);
    if std::fs::read_to_string(&heeded).is_ok_and(|last| last == paused_at) {
        return Ok(());
    }
    let pods = plane.server.rewind_pods().await?;
    files::write_private(&heeded, &paused_at)?;
    tracing::info!(pods, paused_at, "the tenant was paused; its pods start again");
    Ok(())
}

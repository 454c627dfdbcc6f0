//! What pods may ask of the host: a level of the Pod Security Standards, `baseline` unless told otherwise, judged on the
//! way to the host, so that no label on a namespace of the tenant, and none on the host's that somebody forgets, opens
//! the host. Annotations are not judged, since a tenant's do not reach the host.

use super::Refusal;
use alcove_apiserver::pod_security::{LATEST, Level, text, violations};
use alcove_config::PodSecurity;
use alcove_object::Value;

/// Judges a pod: all that is wrong with it, in upstream's words, and whom to ask.
pub fn judge(level: PodSecurity, pod: &Value) -> Result<(), Refusal> {
    let level = match level {
        PodSecurity::Privileged => Level::Privileged,
        PodSecurity::Baseline => Level::Baseline,
        PodSecurity::Restricted => Level::Restricted,
    };
    let found = violations(level, LATEST, &Value::Null, &pod["spec"]);
    if found.is_empty() {
        return Ok(());
    }
    let fields: Vec<&str> = found.iter().map(|violation| violation.field).collect();
    let why = format!(
        "violates PodSecurity \"{}:latest\": {}; the platform team can allow more for this cluster",
        level.name(),
        text(&found)
    );
    Err(Refusal::of(&fields.join(", "), why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_the_fields_and_whom_to_ask() {
        let pod = json!({ "spec": { "hostPID": true, "containers": [
            { "name": "a", "securityContext": { "privileged": true } }] } });
        assert_eq!(judge(PodSecurity::Privileged, &pod), Ok(()));
        let refusal = judge(PodSecurity::Baseline, &pod).unwrap_err();
        assert_eq!(refusal.field, "spec.hostNetwork, spec.hostPID, spec.hostIPC, securityContext.privileged");
        let begin = "violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true), privileged (";
        assert!(refusal.why.starts_with(begin), "{refusal}");
        assert!(refusal.why.ends_with("; the platform team can allow more for this cluster"), "{refusal}");
    }
}

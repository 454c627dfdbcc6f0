//! CronJobs: schedules, time zones, and the template of their jobs
//! (k8s.io/kubernetes/pkg/apis/batch/validation: ValidateCronJob).

use crate::cron::Schedule;
use crate::kinds::defaults::workload;
use crate::kinds::tree::{flag, some, text};
use crate::kinds::validation::{jobs, non_negative};
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::{Value, meta, time};

/// Longest name of a CronJob, in bytes: its jobs' names are eleven longer, and jobs are DNS labels.
const NAME_BYTES_MAX: usize = 52;
/// Longest part of a time zone's name between slashes, in bytes.
const ZONE_PART_BYTES_MAX: usize = 14;

/// CronJobs.
pub(crate) struct CronJob;

impl Strategy for CronJob {
    fn default(&self, object: &mut Value) {
        workload::cron_job(object);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let mut errors = spec(object, None);
        let name = meta::name(object);
        if name.len() > NAME_BYTES_MAX {
            let path = Path::new("metadata").child("name");
            errors.push(Error::invalid(
                &path,
                name,
                format!("must be no more than {NAME_BYTES_MAX} characters"),
            ));
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        spec(object, Some(old))
    }
}

fn spec(object: &Value, old: Option<&Value>) -> Vec<Error> {
    let path = Path::new("spec");
    let Some(spec) = object.get("spec") else { return Vec::new() };
    let old = old.and_then(|old| old.get("spec"));
    let mut errors = schedule(spec, old, &path.child("schedule"));
    let numbers = ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    errors.extend(numbers.iter().filter_map(|field| non_negative(spec, field, &path)));
    if old.is_none_or(|old| some(old, "/timeZone") != some(spec, "/timeZone")) {
        errors.extend(zone(spec, &path.child("timeZone")));
    }
    const POLICIES: [&str; 3] = ["Allow", "Forbid", "Replace"];
    let policy = text(spec, "/concurrencyPolicy");
    if !policy.is_empty() && !POLICIES.contains(&policy) {
        errors.push(Error::not_supported(&path.child("concurrencyPolicy"), policy, &POLICIES));
    }
    let Some(job) = some(spec, "/jobTemplate/spec") else { return errors };
    let path = path.child("jobTemplate").child("spec");
    errors.extend(jobs::job_spec(job, &path));
    if let Some(selector) = some(job, "/selector") {
        let why = "`selector` will be auto-generated";
        errors.push(Error::invalid(&path.child("selector"), selector.clone(), why));
    }
    if flag(job, "/manualSelector") {
        errors.push(Error::not_supported(&path.child("manualSelector"), true, &["nil", "false"]));
    }
    errors
}

fn schedule(spec: &Value, old: Option<&Value>, path: &Path) -> Vec<Error> {
    let given = text(spec, "/schedule");
    if given.is_empty() {
        return vec![Error::required(path, "")];
    }
    let wrong = Schedule::parse(given).err().map(|why| Error::invalid(path, given, why.to_string()));
    let has_zone = given.contains("TZ");
    let had_zone = old.is_some_and(|old| text(old, "/schedule").contains("TZ"));
    let why = match (has_zone, had_zone) {
        (true, true) if some(spec, "/timeZone").is_some() => {
            Some("cannot use both timeZone field and TZ or CRON_TZ in schedule")
        }
        (true, false) => Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        _ => None,
    };
    wrong.into_iter().chain(why.map(|why| Error::invalid(path, given, why))).collect()
}

fn zone(spec: &Value, path: &Path) -> Vec<Error> {
    let Some(zone) = some(spec, "/timeZone").and_then(Value::as_str) else { return Vec::new() };
    if zone.is_empty() {
        return vec![Error::invalid(path, zone, "timeZone must be nil or non-empty string")];
    }
    let unknown = || Error::invalid(path, zone, format!("unknown time zone {zone}"));
    if !zone.split('/').all(is_zone_part) {
        return vec![unknown()];
    }
    let is_local = zone.eq_ignore_ascii_case("Local");
    let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
    let local = is_local.then(|| Error::invalid(path, zone, why));
    // Go takes this very word for the zone of the machine.
    let known = zone == "Local" || time::zone(zone).is_some();
    local.into_iter().chain((!known).then(unknown)).collect()
}

fn is_zone_part(part: &str) -> bool {
    let fits = (1..=ZONE_PART_BYTES_MAX).contains(&part.len());
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b".-_+".contains(&c);
    fits && !matches!(part, "." | "..") && !part.starts_with('-') && part.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schedules_and_zones_are_refused_in_upstreams_words() {
        let cases = [
            (json!("*/5 * * * *"), json!("Europe/Berlin"), ""),
            (json!("@hourly"), Value::Null, ""),
            (
                json!("* * * *"),
                Value::Null,
                "spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * *]",
            ),
            (json!(""), Value::Null, "spec.schedule: Required value"),
            (
                json!("TZ=UTC 0 * * * *"),
                Value::Null,
                "spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            ),
            (
                json!("0 * * * *"),
                json!(""),
                "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string",
            ),
            (
                json!("0 * * * *"),
                json!("Europe/Nowhere"),
                "spec.timeZone: Invalid value: \"Europe/Nowhere\": unknown time zone Europe/Nowhere",
            ),
            (
                json!("0 * * * *"),
                json!("a/../b"),
                "spec.timeZone: Invalid value: \"a/../b\": unknown time zone a/../b",
            ),
            (
                json!("0 * * * *"),
                json!("Local"),
                "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            ),
        ];
        for (schedule, zone, expected) in cases {
            let object = json!({ "spec": { "schedule": schedule, "timeZone": zone } });
            let errors: Vec<String> = spec(&object, None).iter().map(ToString::to_string).collect();
            assert_eq!(errors.join("|"), expected, "{object}");
        }
    }
}

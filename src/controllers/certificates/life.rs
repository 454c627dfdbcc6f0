//! How long certificates live, and how long requests for them are kept
//! (k8s.io/kubernetes/pkg/controller/certificates/{signer,authority,cleaner}).

use alcove_apiserver::certs::Validity;
use alcove_object::{Value, meta, time};
use jiff::{SignedDuration, Timestamp};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// How long a certificate lives at most, and when nobody asks for less: upstream's `--cluster-signing-duration`.
const LIFE_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long it lives at least.
const LIFE_MIN: SignedDuration = SignedDuration::from_mins(10);
/// How far it reaches back, for clocks that are behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);
/// Below this, what it reaches back does not shorten its life.
const SHORT: SignedDuration = SignedDuration::from_hours(8);
/// How long a request is kept that got its certificate, was denied or failed.
const SETTLED: SignedDuration = HOUR;
/// How long one is kept of which nothing has come.
const PENDING: SignedDuration = SignedDuration::from_hours(24);

/// From when until when a certificate shall hold for which so many seconds were asked. Nothing outlives its authority; if
/// that has ended, there is no certificate.
pub(super) fn of_certificate(
    asked: Option<i64>,
    now: Timestamp,
    authority: Timestamp,
) -> Result<Validity, String> {
    if now >= authority {
        return Err(format!("the authority ended at {}", time::format(authority)));
    }
    let life = asked.map_or(LIFE_MAX, SignedDuration::from_secs).clamp(LIFE_MIN, LIFE_MAX);
    let from = now - BACKDATED;
    let until = if life < SHORT { now + life } else { from + life };
    Ok(Validity { from, until: until.min(authority) })
}

/// Whether a request has its certificate.
pub(super) fn is_issued(object: &Value) -> bool {
    object.pointer("/status/certificate").and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

/// When a request goes, as it is now; `None`: it stays.
pub(super) fn of_request(object: &Value) -> Option<Timestamp> {
    let after = |since: &str, kept: SignedDuration| time::parse(since)?.checked_add(kept).ok();
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let Some(conditions) = conditions.filter(|list| !list.is_empty()) else {
        return after(meta::text(object, "creationTimestamp"), PENDING);
    };
    let ends = conditions.iter().filter_map(|condition| {
        let kept = match condition["type"].as_str()? {
            "Denied" | "Failed" => SETTLED,
            "Approved" if is_issued(object) => SETTLED,
            "Approved" => PENDING,
            _ => return None,
        };
        after(condition["lastUpdateTime"].as_str()?, kept)
    });
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn certificates_live_as_long_as_asked_within_limits() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let far = now + SignedDuration::from_hours(10 * 365 * 24);
        for (asked, authority, until) in [
            (None, far, "2026-12-31T23:55:00Z"),
            (Some(i64::MAX), far, "2026-12-31T23:55:00Z"),
            (Some(-1), far, "2026-01-01T00:10:00Z"),
            (Some(600), far, "2026-01-01T00:10:00Z"),
            (Some(3600), far, "2026-01-01T01:00:00Z"),
            (Some(8 * 3600), far, "2026-01-01T07:55:00Z"),
            (None, now + HOUR, "2026-01-01T01:00:00Z"),
        ] {
            let validity = of_certificate(asked, now, authority).unwrap();
            assert_eq!(
                (validity.from, time::format(validity.until).as_str()),
                (now - BACKDATED, until),
                "{asked:?}"
            );
        }
        assert!(of_certificate(None, now, now).is_err());
    }

    #[test]
    fn requests_are_kept_as_long_as_somebody_may_look() {
        let condition = |kind: &str, hour: u8| json!({ "type": kind, "lastUpdateTime": format!("2026-01-01T{hour:02}:00:00Z") });
        let approved = condition("Approved", 10);
        for (conditions, certificate, end) in [
            (json!([]), "", Some("2026-01-02T00:00:00Z")),
            (json!([approved]), "", Some("2026-01-02T10:00:00Z")),
            (json!([approved]), "QQ==", Some("2026-01-01T11:00:00Z")),
            (json!([approved, condition("Failed", 12)]), "", Some("2026-01-01T13:00:00Z")),
            (json!([condition("Denied", 1)]), "", Some("2026-01-01T02:00:00Z")),
            (json!([condition("Other", 1)]), "", None),
            (json!([{ "type": "Approved" }]), "", None),
        ] {
            let request = json!({ "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
                "status": { "conditions": conditions, "certificate": certificate } });
            assert_eq!(of_request(&request).map(time::format).as_deref(), end, "{request}");
        }
    }
}

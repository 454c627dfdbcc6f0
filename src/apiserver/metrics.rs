//! Numbers about the server, in Prometheus' text form and under kube-apiserver's own names, so that dashboards and
//! alerts made for it go on working. Labels come from the registry and from constants, never from a URL as sent:
//! what is not served counts under empty names.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of `apiserver_request_duration_seconds`, in milliseconds, as upstream's.
const BOUNDS: [u64; 23] = [
    5, 25, 50, 100, 200, 400, 600, 800, 1000, 1250, 1500, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 15_000,
    20_000, 30_000, 45_000, 60_000,
];

/// What a request is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels {
    /// Upper-case verb: `GET`, `LIST`, `WATCH`, `POST`, `PUT`, `PATCH`, `DELETE`, `DELETECOLLECTION`, `CONNECT`.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource, empty for what is no resource or not served.
    pub resource: String,
    /// Subresource, or the path of a known non-resource endpoint.
    pub subresource: String,
    /// `cluster`, `namespace`, `resource`, or empty.
    pub scope: &'static str,
    /// HTTP status code.
    pub code: u16,
}

#[derive(Default)]
struct Series {
    count: AtomicU64,
    microseconds: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len()],
}

/// The server's numbers. Counting takes a shared lock and two or three atomic additions.
#[derive(Default)]
pub struct Metrics {
    requests: RwLock<BTreeMap<Labels, Arc<Series>>>,
    /// Requests being answered that change something.
    pub mutating: AtomicI64,
    /// Requests being answered that only read, watches aside.
    pub read_only: AtomicI64,
    /// Watches and connections.
    pub long_running: AtomicI64,
    /// Open connections.
    pub connections: AtomicI64,
    /// Requests answered 429 since too many were in flight.
    pub rejected: AtomicU64,
    /// Requests that panicked.
    pub panics: AtomicU64,
    /// TLS handshakes that failed.
    pub handshake_errors: AtomicU64,
}

impl Metrics {
    /// Counts an answered request. The time of long-running ones is not counted: it says nothing.
    pub fn request(&self, labels: Labels, took: Option<Duration>) {
        let known = self.requests.read().get(&labels).cloned();
        let series = known.unwrap_or_else(|| self.requests.write().entry(labels).or_default().clone());
        series.count.fetch_add(1, Relaxed);
        let Some(took) = took else { return };
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        series.microseconds.fetch_add(microseconds, Relaxed);
        if let Some(bucket) = BOUNDS.iter().position(|bound| microseconds <= bound * 1000) {
            series.buckets[bucket].fetch_add(1, Relaxed);
        }
    }

    /// All numbers in text form. `objects`: group, plural and number of stored objects per resource.
    pub fn render(&self, version: &str, objects: &[(String, String, usize)]) -> String {
        let mut out = String::with_capacity(64 * 1024);
        self.render_requests(&mut out);
        head(&mut out, "apiserver_current_inflight_requests", "gauge", "Requests being answered, by kind.");
        for (kind, gauge) in [("mutating", &self.mutating), ("readOnly", &self.read_only)] {
            let now = gauge.load(Relaxed);
            line(&mut out, "apiserver_current_inflight_requests", &format!("request_kind=\"{kind}\""), now);
        }
        let plain: [(&str, &str, &str, i64); 5] = [
            (
                "alcove_longrunning_requests",
                "gauge",
                "Watches and connections.",
                self.long_running.load(Relaxed),
            ),
            ("alcove_connections", "gauge", "Open client connections.", self.connections.load(Relaxed)),
            ("alcove_rejected_requests_total", "counter", "Requests answered 429.", number(&self.rejected)),
            ("alcove_panics_total", "counter", "Requests that panicked.", number(&self.panics)),
            (
                "apiserver_tls_handshake_errors_total",
                "counter",
                "TLS handshakes that failed.",
                number(&self.handshake_errors),
            ),
        ];
        for (name, kind, help, value) in plain {
            head(&mut out, name, kind, help);
            line(&mut out, name, "", value);
        }
        render_objects(&mut out, objects);
        head(&mut out, "kubernetes_build_info", "gauge", "The version that is served.");
        line(&mut out, "kubernetes_build_info", &format!("git_version=\"{version}\""), 1);
        render_process(&mut out);
        out
    }

    fn render_requests(&self, out: &mut String) {
        let requests = self.requests.read().clone();
        head(out, "apiserver_request_total", "counter", "Answered requests.");
        for (labels, series) in &requests {
            let text = format!("code=\"{}\",{}", labels.code, text(labels));
            line(out, "apiserver_request_total", &text, number(&series.count));
        }
        // Durations are told without the code, as upstream does.
        let mut durations: BTreeMap<Labels, Vec<&Series>> = BTreeMap::new();
        for (labels, series) in &requests {
            durations.entry(Labels { code: 0, ..labels.clone() }).or_default().push(series);
        }
        const NAME: &str = "apiserver_request_duration_seconds";
        head(out, NAME, "histogram", "Time to answer a request.");
        for (labels, series) in
            durations.iter().filter(|(labels, _)| !matches!(labels.verb, "WATCH" | "CONNECT"))
        {
            let text = text(labels);
            let sum = |pick: &dyn Fn(&Series) -> &AtomicU64| {
                series.iter().map(|s| pick(s).load(Relaxed)).sum::<u64>()
            };
            let mut below = 0;
            for (at, bound) in BOUNDS.iter().enumerate() {
                below += sum(&|s| &s.buckets[at]);
                let bound = *bound as f64 / 1000.0;
                line(out, &format!("{NAME}_bucket"), &format!("{text},le=\"{bound}\""), below as i64);
            }
            let count = sum(&|s| &s.count);
            line(out, &format!("{NAME}_bucket"), &format!("{text},le=\"+Inf\""), count as i64);
            let seconds = sum(&|s| &s.microseconds) as f64 / 1e6;
            let _ = writeln!(out, "{NAME}_sum{{{text}}} {seconds}");
            line(out, &format!("{NAME}_count"), &text, count as i64);
        }
    }
}

fn number(counter: &AtomicU64) -> i64 {
    counter.load(Relaxed) as i64
}

fn text(labels: &Labels) -> String {
    let Labels { verb, group, version, resource, subresource, scope, .. } = labels;
    format!(
        "component=\"apiserver\",dry_run=\"\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\""
    )
}

/// Writes what goes before the numbers of one metric in Prometheus' text form.
pub fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: i64) {
    let _ = match labels {
        "" => writeln!(out, "{name} {value}"),
        labels => writeln!(out, "{name}{{{labels}}} {value}"),
    };
}

fn render_objects(out: &mut String, objects: &[(String, String, usize)]) {
    head(out, "apiserver_storage_objects", "gauge", "Stored objects, by resource.");
    for (group, resource, count) in objects {
        let name = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        line(out, "apiserver_storage_objects", &format!("resource=\"{name}\""), *count as i64);
    }
    head(out, "apiserver_resource_objects", "gauge", "Stored objects, by group and resource.");
    for (group, resource, count) in objects {
        let labels = format!("group=\"{group}\",resource=\"{resource}\"");
        line(out, "apiserver_resource_objects", &labels, *count as i64);
    }
}

/// What the kernel says about this process, under the names that Prometheus' own clients use.
fn render_process(out: &mut String) {
    // Both are 4096 and 100 on every Linux that we support.
    const PAGE_BYTES: u64 = 4096;
    const TICKS_PER_SECOND: f64 = 100.0;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    head(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
    line(out, "process_resident_memory_bytes", "", (pages * PAGE_BYTES) as i64);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    head(out, "process_cpu_seconds_total", "counter", "CPU time, user and system.");
    let _ = writeln!(out, "process_cpu_seconds_total {}", ticks / TICKS_PER_SECOND);
    let files = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
    head(out, "process_open_fds", "gauge", "Open files.");
    line(out, "process_open_fds", "", files as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_label_and_code() {
        let metrics = Metrics::default();
        let labels = |code| Labels {
            verb: "GET",
            group: "apps".into(),
            version: "v1".into(),
            resource: "deployments".into(),
            subresource: String::new(),
            scope: "resource",
            code,
        };
        metrics.request(labels(200), Some(Duration::from_millis(3)));
        metrics.request(labels(200), Some(Duration::from_millis(30)));
        metrics.request(labels(404), Some(Duration::from_secs(100)));
        let text = metrics.render("v1.36.3", &[("apps".into(), "deployments".into(), 7)]);
        let rest = "component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"deployments\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\"";
        for expected in [
            format!("apiserver_request_total{{code=\"200\",{rest}}} 2\n"),
            format!("apiserver_request_total{{code=\"404\",{rest}}} 1\n"),
            format!("apiserver_request_duration_seconds_bucket{{{rest},le=\"0.005\"}} 1\n"),
            format!("apiserver_request_duration_seconds_bucket{{{rest},le=\"60\"}} 2\n"),
            format!("apiserver_request_duration_seconds_bucket{{{rest},le=\"+Inf\"}} 3\n"),
            format!("apiserver_request_duration_seconds_count{{{rest}}} 3\n"),
            "apiserver_storage_objects{resource=\"deployments.apps\"} 7\n".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected} in\n{text}");
        }
    }
}

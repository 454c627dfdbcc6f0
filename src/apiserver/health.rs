//! `/healthz`, `/livez`, `/readyz`: named checks, told one by one when asked
//! (k8s.io/apiserver/pkg/server/healthz). Checks answer from memory and never block.

use crate::http::request::Query;
use std::sync::Arc;

/// One check: an error says what is wrong.
#[derive(Clone)]
pub struct Check {
    /// Its name in paths and in verbose answers.
    pub name: &'static str,
    /// The check itself.
    pub check: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Check {
    /// A check from its parts.
    pub fn new(name: &'static str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Check {
        Check { name, check: Arc::new(check) }
    }

    /// A check that a living process passes.
    pub fn ping() -> Check {
        Check::new("ping", || Ok(()))
    }
}

/// The checks of the three endpoints.
#[derive(Clone, Default)]
pub struct Health {
    /// For `/livez`: a process that fails them should be started again.
    pub live: Vec<Check>,
    /// For `/readyz`, beside those of `/livez`: a process that fails them should get no traffic.
    pub ready: Vec<Check>,
}

/// An answer in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, 404 or 500.
    pub code: u16,
    /// What it says.
    pub text: String,
}

impl Health {
    /// Answers a path below one of the endpoints; `None` if it is none of them.
    pub fn answer(&self, path: &str, query: &Query) -> Option<Answer> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (endpoint, single) = match path.split_once('/') {
            Some((endpoint, single)) => (endpoint, Some(single)),
            None => (path, None),
        };
        let checks: Vec<&Check> = match endpoint {
            "livez" => self.live.iter().collect(),
            "readyz" | "healthz" => self.live.iter().chain(&self.ready).collect(),
            _ => return None,
        };
        match single {
            None => Some(all(endpoint, &checks, query)),
            Some(name) => checks.iter().find(|check| check.name == name).map(|check| one(check)),
        }
    }
}

fn one(check: &Check) -> Answer {
    match (check.check)() {
        Ok(()) => Answer { code: 200, text: "ok".into() },
        Err(why) => Answer { code: 500, text: format!("internal server error: {why}\n") },
    }
}

fn all(endpoint: &str, checks: &[&Check], query: &Query) -> Answer {
    let mut unknown: Vec<&str> = query.all("exclude").collect();
    let (mut text, mut failed) = (String::new(), false);
    for check in checks {
        let name = check.name;
        if query.all("exclude").any(|excluded| excluded == name) {
            unknown.retain(|excluded| *excluded != name);
            text.push_str(&format!("[+]{name} excluded: ok\n"));
            continue;
        }
        match (check.check)() {
            Ok(()) => text.push_str(&format!("[+]{name} ok\n")),
            Err(why) => {
                // The endpoint is public: the reason goes to the log.
                tracing::warn!(check = name, endpoint, why, "health check failed");
                text.push_str(&format!("[-]{name} failed: reason withheld\n"));
                failed = true;
            }
        }
    }
    if !unknown.is_empty() {
        let names = unknown.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(",");
        text.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
    }
    match (failed, query.get("verbose").is_some()) {
        (true, _) => Answer { code: 500, text: format!("{text}{endpoint} check failed\n") },
        (false, true) => Answer { code: 200, text: format!("{text}{endpoint} check passed\n") },
        (false, false) => Answer { code: 200, text: "ok".into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, query: &str) -> Option<(u16, String)> {
        let health =
            Health { live: vec![Check::ping()], ready: vec![Check::new("etcd", || Err("disk full".into()))] };
        health.answer(path, &Query::parse(query)).map(|answer| (answer.code, answer.text))
    }

    #[test]
    fn answers() {
        for (path, query, code, text) in [
            ("/livez", "", 200, "ok"),
            ("/livez", "verbose", 200, "[+]ping ok\nlivez check passed\n"),
            ("/livez/ping", "", 200, "ok"),
            ("/readyz", "", 500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"),
            ("/readyz", "exclude=etcd", 200, "ok"),
            ("/readyz/etcd", "", 500, "internal server error: disk full\n"),
            (
                "/livez",
                "verbose&exclude=x",
                200,
                "[+]ping ok\nwarn: some health checks cannot be excluded: no matches for \"x\"\nlivez check passed\n",
            ),
        ] {
            assert_eq!(ask(path, query), Some((code, text.to_owned())), "{path}?{query}");
        }
        assert_eq!(ask("/livez/", ""), None);
        assert_eq!(ask("/livez/etcd", ""), None);
        assert_eq!(ask("/other", ""), None);
    }
}

//! A terminal of one user: a shell in which `kubectl` and `helm` are certain versions, with a home of its own.

use super::server::{Server, scratch};
use super::tools::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A shell with tools, a kubeconfig and a namespace.
pub struct Session {
    /// The home directory, with `bin` and `kubeconfig`; also where commands run.
    home: TempDir,
    /// Environment variables such as `NS`, the tenant's namespace that is the default, and `HOST`, the host's kubeconfig.
    pub variables: Vec<(&'static str, String)>,
}

/// What a command printed and how it ended.
pub struct Outcome {
    /// Stdout and stderr, in the order a terminal shows them.
    pub output: String,
    /// The exit code.
    pub code: i32,
}

impl Session {
    /// A session at the tenant of `server`, in a new namespace. `tools` are pairs such as (`kubectl`, `kubectl-1.33`).
    pub fn new(server: &Server, namespace: &str, tools: &[(&str, &str)]) -> Session {
        server.api().namespace(namespace);
        let host = server.kubeconfig("host").display().to_string();
        Session::at(&server.kubeconfig("demo"), vec![("NS", namespace.to_owned()), ("HOST", host)], tools)
    }

    /// A session with a kubeconfig, in the namespace that the variable `NS` names.
    pub fn at(kubeconfig: &Path, variables: Vec<(&'static str, String)>, tools: &[(&str, &str)]) -> Session {
        let home = scratch();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).expect("a new directory");
        for (name, version) in tools {
            std::os::unix::fs::symlink(tool(version), bin.join(name)).expect("a new link");
        }
        let session = Session { home, variables };
        fs::copy(kubeconfig, session.kubeconfig()).expect("the tenant's kubeconfig");
        session.ok("kubectl config set-context --current --namespace=$NS");
        session
    }

    /// The session's own kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.home.path().join("kubeconfig")
    }

    /// A shell command, not yet started.
    pub fn command(&self, script: &str) -> Command {
        let home = self.home.path();
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/chart");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", home.join("bin").display());
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).current_dir(home).env_clear().stdin(Stdio::null());
        command.env("PATH", path).env("HOME", home).env("TERM", "dumb").env("LC_ALL", "C").env("TZ", "UTC");
        command.env("KUBECONFIG", self.kubeconfig()).env("CHART", chart);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a shell command to its end.
    pub fn run(&self, script: &str) -> Outcome {
        let whole = format!("exec 2>&1\n{script}");
        let output = self.command(&whole).output().expect("a shell starts");
        Outcome {
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Runs a shell command that must succeed; gives what it printed.
    #[track_caller]
    pub fn ok(&self, script: &str) -> String {
        let outcome = self.run(script);
        assert_eq!(outcome.code, 0, "$ {script}\n{}", outcome.output);
        outcome.output
    }
}

//! A running alcove: started, waited for, killed, started again; never left behind.

use super::http::Api;
use super::wait::{DEADLINE, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use tempfile::TempDir;

/// Where tests keep data: on a disk, next to what Cargo builds.
pub fn scratch() -> TempDir {
    TempDir::with_prefix_in("alcove-", env!("CARGO_TARGET_TMPDIR")).expect("a directory for the test's data")
}

/// The one `alcove dev` that tests share which neither stop it nor look at all of it: tenants `demo` and `other`.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::dev(&["demo", "other", "--nodes", "3"]))
}

/// How a process is started.
pub struct Launch {
    /// The arguments, without the data directory.
    pub arguments: Vec<String>,
    /// The kubeconfig in the data directory whose server says when all is ready.
    pub kubeconfig: &'static str,
    /// What runs the binary instead of the system itself, such as `prlimit`.
    pub wrapper: Vec<String>,
}

impl Launch {
    /// `alcove dev` with a host and the tenant `demo`, on ports that are free.
    pub fn dev(more: &[&str]) -> Launch {
        Launch {
            arguments: words(&["dev", "--port", "0"], more),
            kubeconfig: "demo.kubeconfig",
            wrapper: Vec::new(),
        }
    }

    /// `alcove serve`: a control plane alone.
    pub fn serve(more: &[&str]) -> Launch {
        let arguments = words(&["serve", "--port", "0"], more);
        Launch { arguments, kubeconfig: "admin.kubeconfig", wrapper: Vec::new() }
    }

    /// The command over a data directory.
    pub fn command(&self, data: &Path) -> Command {
        let mut words: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        words.push(env!("CARGO_BIN_EXE_alcove"));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(&self.arguments).arg("--data").arg(data);
        command.env_remove("KUBECONFIG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn words(first: &[&str], more: &[&str]) -> Vec<String> {
    first.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

/// A running process with its data directory.
pub struct Server {
    launch: Launch,
    data: PathBuf,
    running: Option<Running>,
    /// Removes the data in the end; none when somebody else owns them.
    scratch: Option<TempDir>,
}

struct Running {
    child: Child,
    /// Kills the child and removes the data when the test process ends without having done so.
    watchdog: Child,
    output: Arc<Mutex<String>>,
}

impl Server {
    pub fn dev(more: &[&str]) -> Server {
        Server::start(Launch::dev(more))
    }

    pub fn serve(more: &[&str]) -> Server {
        Server::start(Launch::serve(more))
    }

    /// Starts in a directory of its own and waits until it is ready.
    pub fn start(launch: Launch) -> Server {
        let scratch = scratch();
        let data = scratch.path().join("data");
        let mut server = Server { launch, data, running: None, scratch: Some(scratch) };
        server.start_again();
        server
    }

    /// Starts over a directory that the caller owns.
    pub fn start_in(launch: Launch, data: &Path) -> Server {
        let mut server = Server { launch, data: data.to_owned(), running: None, scratch: None };
        server.start_again();
        server
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where a kubeconfig is, by its name without the ending.
    pub fn kubeconfig(&self, name: &str) -> PathBuf {
        self.data.join(format!("{name}.kubeconfig"))
    }

    /// The tenant, or the stand-alone control plane, as its administrator.
    #[track_caller]
    pub fn api(&self) -> Api {
        Api::of(&self.data.join(self.launch.kubeconfig)).expect("the kubeconfig of a ready server")
    }

    /// The host, as its administrator.
    #[track_caller]
    pub fn host(&self) -> Api {
        Api::of(&self.kubeconfig("host")).expect("the kubeconfig of a ready host")
    }

    /// The process's id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.running.as_ref().expect("the server runs").child)
    }

    /// What the process has printed so far.
    pub fn output(&self) -> String {
        let running = self.running.as_ref().expect("the server runs");
        running.output.lock().expect("printing does not panic").clone()
    }

    /// Starts the process over the same data and waits until it is ready.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the server runs already");
        let scratch = self.scratch.as_ref().map(TempDir::path);
        self.running = Some(Running::start(&mut self.launch.command(&self.data), scratch));
        let kubeconfig = self.data.join(self.launch.kubeconfig);
        eventually("/readyz", || {
            let running = self.running.as_mut().expect("just started");
            if let Some(status) = running.child.try_wait().expect("our own child") {
                panic!("alcove ended with {status} before it was ready:\n{}", self.output());
            }
            let answer = Api::of(&kubeconfig)?.try_send("GET", "/readyz", &[], b"");
            match answer.map_err(|error| error.to_string())? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(format!("{} {}\n{}", answer.status, answer.text(), self.output())),
            }
        });
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait_for_end();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a signal to our own child");
    }

    /// Waits until the process has ended; gives its status and all that it printed.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> (ExitStatus, String) {
        let mut running = self.running.take().expect("the server runs");
        let started = Instant::now();
        let status = loop {
            if let Some(status) = running.child.try_wait().expect("our own child") {
                break status;
            }
            assert!(started.elapsed() < DEADLINE, "the process does not end:\n{}", running.text());
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        (status, running.text())
    }
}

impl Running {
    fn start(command: &mut Command, scratch: Option<&Path>) -> Running {
        let mut child = command.spawn().expect("the binary starts");
        let script = r#"read line; kill -9 "$0" 2>/dev/null; test -z "$1" || rm -rf "$1""#;
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", script, &child.id().to_string()]).arg(scratch.unwrap_or(Path::new("")));
        let watchdog = watchdog.stdin(Stdio::piped()).spawn();
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), output.clone());
        collect(child.stderr.take().expect("piped"), output.clone());
        Running { child, watchdog: watchdog.expect("a shell starts"), output }
    }

    fn text(&self) -> String {
        self.output.lock().expect("printing does not panic").clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The watchdog goes first: it must not kill an id that means somebody else by then.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut text = into.lock().expect("printing does not panic");
            text.push_str(&line);
            text.push('\n');
        }
    });
}

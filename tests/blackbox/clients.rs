//! The clients that programs use, beside kube-rs: Python's and client-go, each in a small program of `tests/clients`. Their
//! informers must know what the server has, over kill -9 and a restart, and the usual steps come to the same for both.

use super::harness::{Api, Server, eventually, shared};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

const NAMESPACE: &str = "default";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A client program that is ready to run.
struct Program {
    name: &'static str,
    command: Vec<PathBuf>,
}

impl Program {
    /// Puts the program together if need be. `None`: its language is not on this machine, which is told.
    fn of(language: &'static str, word: &str, built: &[&str]) -> Option<Program> {
        // Tests of one language run at once, and one of them builds.
        static BUILDS: Mutex<()> = Mutex::new(());
        let _alone = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) =
            Command::new(word).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status()
        {
            println!("clients: skipped: {word} is not there ({error})");
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join(".cache/clients").join(language);
        let built_now =
            Command::new(root.join("tests/clients").join(language).join("build.sh")).arg(&folder).status();
        assert!(
            built_now.expect("the build script can be run").success(),
            "{language}'s client could not be built"
        );
        let command = built.iter().map(|part| match part.strip_prefix('@') {
            Some(part) => root.join("tests/clients").join(language).join(part),
            None => folder.join(part),
        });
        Some(Program { name: language, command: command.collect() })
    }

    fn python() -> Option<Program> {
        Program::of("python", "python3", &["venv/bin/python", "@client.py"])
    }

    fn go() -> Option<Program> {
        Program::of("go", "go", &["client"])
    }

    fn run(&self, kubeconfig: &Path, namespace: &str, what: &str) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg(kubeconfig).args([namespace, what]);
        // Proxies of the machine are none of loopback's.
        command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
        command
    }
}

fn takes_the_usual_steps(program: Option<Program>) {
    let Some(program) = program else { return };
    let server = shared();
    let namespace = format!("clients-{}", program.name);
    server.api().namespace(&namespace);
    let output = program.run(&server.kubeconfig("demo"), &namespace, "steps").output().expect("it runs");
    let expected = include_str!("../clients/steps.txt");
    let (told, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.lines().collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>(), "{complaints}");
    assert!(output.status.success(), "{complaints}");
}

#[test]
fn python_takes_the_usual_steps() {
    takes_the_usual_steps(Program::python());
}

#[test]
fn go_takes_the_usual_steps() {
    takes_the_usual_steps(Program::go());
}

/// What an informer knows: names and versions, as it told them.
#[derive(Default)]
struct Known {
    objects: BTreeMap<String, u64>,
    /// What no informer may tell.
    wrong: Vec<String>,
}

impl Known {
    fn told(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["+", name, version] => {
                let version = version.parse().expect("versions are numbers");
                // The same version may be told twice, when all is listed anew; an older one never.
                if self.objects.insert(name.to_owned(), version).is_some_and(|before| before > version) {
                    self.wrong.push(format!("{name} went back to {version}"));
                }
            }
            ["-", name] => {
                if self.objects.remove(name).is_none() {
                    self.wrong.push(format!("{name} ended without having been there"));
                }
            }
            ["="] => {}
            _ => self.wrong.push(line.to_owned()),
        }
    }
}

/// A program's informer while it runs.
struct Informer {
    child: Child,
    known: Arc<Mutex<Known>>,
    _input: Option<ChildStdin>,
}

impl Informer {
    fn start(mut command: Command) -> Informer {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        let known = Arc::<Mutex<Known>>::default();
        let (lines, knows) = (BufReader::new(child.stdout.take().expect("piped")), known.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                knows.lock().expect("telling does not panic").told(&line);
            }
        });
        Informer { known, _input: child.stdin.take(), child }
    }

    /// Waits until it knows what the server has.
    #[track_caller]
    fn agrees(&self, what: &str, api: &Api) {
        eventually(what, || {
            let listed = listed(api);
            let known = self.known.lock().expect("telling does not panic");
            assert_eq!(known.wrong, Vec::<String>::new(), "{what}");
            match known.objects == listed {
                true => Ok(()),
                false => Err(format!("the informer knows {:?}, the server has {listed:?}", known.objects)),
            }
        });
    }
}

impl Drop for Informer {
    fn drop(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listed(api: &Api) -> BTreeMap<String, u64> {
    let list = api.get(CONFIG_MAPS).expect(200);
    let items = list["items"].as_array().expect("a list has items");
    let text = |object: &Value, key: &str| object["metadata"][key].as_str().expect("metadata").to_owned();
    let version = |object: &Value| text(object, "resourceVersion").parse().expect("versions are numbers");
    items.iter().map(|object| (text(object, "name"), version(object))).collect()
}

/// Creates objects, changes some and deletes some.
fn change(api: &Api, phase: &str) {
    for at in 0..20 {
        let path = format!("{CONFIG_MAPS}/{phase}-{at}");
        api.post(CONFIG_MAPS, &json!({"metadata": {"name": format!("{phase}-{at}")}})).expect(201);
        if at % 2 == 0 {
            api.patch("merge", &path, &json!({"data": {"changed": "yes"}})).expect(200);
        }
        if at % 5 == 0 {
            api.delete(&path).expect(200);
        }
    }
}

fn knows_what_the_server_has(program: Option<Program>, environment: &[(&str, &str)]) {
    let Some(program) = program else { return };
    let mut server = Server::serve(&[]);
    change(&server.api(), "before");
    let mut command = program.run(&server.kubeconfig("admin"), NAMESPACE, "inform");
    command.envs(environment.iter().copied());
    let informer = Informer::start(command);
    informer.agrees("what was there", &server.api());
    change(&server.api(), "calm");
    informer.agrees("changes", &server.api());
    change(&server.api(), "killed");
    server.kill();
    server.start_again();
    informer.agrees("changes before the server was killed", &server.api());
    change(&server.api(), "again");
    informer.agrees("changes after it", &server.api());
}

#[test]
fn pythons_informer() {
    knows_what_the_server_has(Program::python(), &[]);
}

#[test]
fn gos_informer_that_lists() {
    knows_what_the_server_has(Program::go(), &[("KUBE_FEATURE_WatchListClient", "false")]);
}

#[test]
fn gos_informer_that_streams() {
    knows_what_the_server_has(Program::go(), &[("KUBE_FEATURE_WatchListClient", "true")]);
}

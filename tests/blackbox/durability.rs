//! What was acknowledged is there afterwards: after kill -9 under load, after a restart, and with a disk that is full.

use super::harness::http::Connection;
use super::harness::random::Random;
use super::harness::server::{Launch, scratch};
use super::harness::{Api, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WRITERS: u64 = 4;
const ROUNDS: u64 = 6;

/// A write that the server has acknowledged: the object's name, its version, and its value (none: deleted).
type Acknowledged = (String, u64, Option<u64>);

/// Creates, changes and deletes objects of its own until the server is gone; tells every acknowledged write.
fn write_until_gone(api: &Api, writer: &str, acknowledged: &mpsc::Sender<Acknowledged>) -> io::Result<()> {
    let mut connection = api.connect()?;
    for at in 0.. {
        let name = format!("{writer}-{at}");
        let path = format!("{CONFIG_MAPS}/{name}");
        let created = write(&mut connection, "POST", CONFIG_MAPS, &name, 1)?;
        let _ = acknowledged.send((name.clone(), version(&created), Some(1)));
        if at % 2 == 0 {
            let updated = write(&mut connection, "PUT", &path, &name, 2)?;
            let _ = acknowledged.send((name.clone(), version(&updated), Some(2)));
        }
        if at % 3 == 0 {
            let answer = connection.send("DELETE", &path, &[], b"")?;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let _ = acknowledged.send((name, u64::MAX, None));
        }
    }
    Ok(())
}

fn write(connection: &mut Connection, method: &str, path: &str, name: &str, value: u64) -> io::Result<Value> {
    let body = json!({"metadata": {"name": name}, "data": {"value": value.to_string()}}).to_string();
    let answer = connection.send(method, path, &[("content-type", "application/json")], body.as_bytes())?;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    Ok(answer.json())
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a version")
}

/// Names to versions and values.
fn stored(api: &Api) -> BTreeMap<String, (u64, u64)> {
    let list = api.get(CONFIG_MAPS).expect(200);
    let items =
        list["items"].as_array().expect("a list").iter().filter(|item| item["data"]["value"].is_string());
    let row = |item: &Value| {
        let value = item["data"]["value"].as_str().and_then(|text| text.parse().ok()).expect("a number");
        (item["metadata"]["name"].as_str().expect("a name").to_owned(), (version(item), value))
    };
    items.map(row).collect()
}

/// Every acknowledged write is there after kill -9, or a later one of the same object that was under way.
#[test]
fn kill_9_under_load_loses_nothing_acknowledged() {
    let mut random = Random::seeded("kill_9_under_load_loses_nothing_acknowledged");
    let mut server = Server::serve(&[]);
    let mut expected: BTreeMap<String, (u64, Option<u64>)> = BTreeMap::new();
    let mut newest = 0;
    for round in 0..ROUNDS {
        let api = server.api();
        let kill_after = 50 + random.below(400);
        let (sender, receiver) = mpsc::channel();
        let mut writes = 0;
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (api, sender) = (api.clone(), sender.clone());
                scope.spawn(move || {
                    let gone = write_until_gone(&api, &format!("r{round}-w{writer}"), &sender);
                    assert!(gone.is_err(), "writers end when the server is gone");
                });
            }
            drop(sender);
            for (name, version, value) in receiver {
                expected.insert(name, (version, value));
                writes += 1;
                if writes == kill_after {
                    server.kill();
                }
            }
        });
        assert!(writes >= kill_after);
        server.start_again();
        let found = stored(&server.api());
        for (name, (version, value)) in &expected {
            match (found.get(name), value) {
                (None, None) => {}
                // A later write of the same object may have been durable before its answer went out.
                (Some((_, found)), Some(value)) if found >= value => {}
                (None, Some(_)) if was_deleting(name) => {}
                (found, _) => panic!("round {round}: {name} at {version} has {value:?}, found {found:?}"),
            }
        }
        let list = server.api().get(CONFIG_MAPS).expect(200);
        assert!(version_of_list(&list) >= newest, "revisions never go back");
        newest = version_of_list(&list);
        let highest =
            expected.values().filter(|(_, value)| value.is_some()).map(|(version, _)| *version).max();
        assert!(newest >= highest.unwrap_or(0), "the counter is not behind any acknowledged write");
    }
}

fn version_of_list(list: &Value) -> u64 {
    version(list)
}

/// Whether the writer of this object deletes it in the end.
fn was_deleting(name: &str) -> bool {
    name.rsplit('-').next().and_then(|at| at.parse::<u64>().ok()).is_some_and(|at| at % 3 == 0)
}

/// A restart in order keeps every object as it was, with its version, and watches resume over it.
#[test]
fn a_restart_keeps_everything_and_watches_resume() {
    let mut server = Server::serve(&[]);
    let api = server.api();
    for at in 0..20 {
        api.post(CONFIG_MAPS, &json!({"metadata": {"name": format!("c{at}")}, "data": {"value": "1"}}))
            .expect(201);
    }
    let before = api.get(CONFIG_MAPS).expect(200);
    let since = version_of_list(&before);
    api.post(CONFIG_MAPS, &json!({"metadata": {"name": "late"}})).expect(201);
    api.delete(&format!("{CONFIG_MAPS}/c3")).expect(200);
    server.kill();
    server.start_again();
    let api = server.api();
    for item in before["items"].as_array().expect("a list") {
        let name = item["metadata"]["name"].as_str().expect("a name");
        let found = api.get(&format!("{CONFIG_MAPS}/{name}"));
        if name == "c3" {
            assert_eq!(found.status, 404);
        } else {
            assert_eq!(found.expect(200)["metadata"], item["metadata"]);
        }
    }
    let mut watch = api.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={since}"));
    let events = [watch.event(), watch.event()].map(|event| super::harness::http::summary(&event));
    assert_eq!(events, ["ADDED late", "DELETED c3"]);
}

/// What a full disk looks like to the process, and how it is full no more.
enum Disk {
    /// A file system of a few MiB, filled by somebody else. Needs the right to mount.
    Small(SmallDisk),
    /// The limit on file sizes: every write past it fails.
    Limit,
}

struct SmallDisk {
    at: std::path::PathBuf,
}

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).expect("a new directory");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk { at: at.to_owned() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

impl Disk {
    fn fill(&self, server: &Server) {
        match self {
            Disk::Small(disk) => {
                // Writes until nothing fits any more; the last piece is written in part.
                let mut ballast = fs::File::create(disk.at.join("ballast")).expect("a new file");
                while io::Write::write_all(&mut ballast, &[1; 4096]).is_ok() {}
            }
            Disk::Limit => limit_file_size(server, "0"),
        }
    }

    fn free(&self, server: &Server) {
        match self {
            Disk::Small(disk) => fs::remove_file(disk.at.join("ballast")).expect("the ballast is there"),
            Disk::Limit => limit_file_size(server, "unlimited"),
        }
    }
}

fn limit_file_size(server: &Server, bytes: &str) {
    let pid = server.pid().as_raw_nonzero().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(set.expect("prlimit of util-linux").success());
}

fn full_disk(disk: &Disk, server: &mut Server) {
    let api = server.api();
    let create = |name: &str, size: usize| {
        api.post(CONFIG_MAPS, &json!({"metadata": {"name": name}, "data": {"value": "x".repeat(size)}}))
    };
    create("before", 1000).expect(201);
    disk.fill(server);
    let refused: Vec<String> = (0..20)
        .map(|at| format!("full-{at}"))
        .filter(|name| {
            let answer = create(name, 50_000);
            assert!(matches!(answer.status, 201 | 500..=599), "{}", answer.text());
            if answer.status != 201 {
                let status = answer.json();
                assert_eq!(
                    (status["kind"].as_str(), status["status"].as_str()),
                    (Some("Status"), Some("Failure"))
                );
            }
            answer.status != 201
        })
        .collect();
    assert!(!refused.is_empty(), "the disk is full and nothing was refused");
    api.get(&format!("{CONFIG_MAPS}/before")).expect(200);
    let list = api.get(CONFIG_MAPS).expect(200);
    let names: Vec<&str> = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect();
    for name in &refused {
        assert!(!names.contains(&name.as_str()), "{name} was refused and is there");
    }
    disk.free(server);
    create("after", 50_000).expect(201);
    server.kill();
    server.start_again();
    for name in ["before", "after"] {
        server.api().get(&format!("{CONFIG_MAPS}/{name}")).expect(200);
    }
    for name in &refused {
        assert_eq!(server.api().get(&format!("{CONFIG_MAPS}/{name}")).status, 404, "{name}");
    }
}

/// Where mounting is allowed, with a real full file system.
#[test]
fn a_full_disk_stops_writes_only() {
    let scratch = scratch();
    let Some(disk) = SmallDisk::mount(&scratch.path().join("disk")) else {
        eprintln!("mounting is not allowed here; a_file_size_limit_stops_writes_only tests the same");
        return;
    };
    let data = disk.at.join("data");
    let disk = Disk::Small(disk);
    full_disk(&disk, &mut Server::start_in(Launch::serve(&[]), &data));
}

#[test]
fn a_file_size_limit_stops_writes_only() {
    let mut launch = Launch::serve(&[]);
    // Past the limit the system would end the process, unless it ignores that signal.
    launch.wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(str::to_owned).to_vec();
    full_disk(&Disk::Limit, &mut Server::start(launch));
}

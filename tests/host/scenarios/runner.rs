//! Runs scenarios: those chosen by the arguments, several at once, the failures told at the end.

use crate::scenario::{Play, Scenario, transcripts};
use crate::world::{Place, World};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

/// How many scenarios run at once. Most of their time is waiting for kubelets.
const SIDE_BY_SIDE: usize = 6;
/// Subjects whose scenarios end processes that the others need.
const ALONE: [&str; 1] = ["trouble"];
/// Scenarios that take longest, which start first, so that nobody waits for them alone in the end.
const LONGEST: [&str; 4] =
    ["services/thousand", "drift/node_vanishes", "provisioning/pause", "provisioning/life"];

/// Runs what the arguments choose. Gives the exit code.
///
/// `--list` prints names; `--jobs N` runs N at once; any other argument chooses the scenarios whose name holds it.
pub fn run() -> i32 {
    let mut arguments = std::env::args().skip(1);
    let (mut filters, mut jobs, mut is_list) = (Vec::new(), SIDE_BY_SIDE, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => is_list = true,
            "--jobs" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                jobs = number.expect("--jobs takes a number");
            }
            // What cargo passes to every test.
            "--nocapture" | "--quiet" => {}
            _ => filters.push(argument),
        }
    }
    let is_chosen = |scenario: &Scenario| {
        filters.is_empty() || filters.iter().any(|filter| scenario.name.contains(filter.as_str()))
    };
    let mut chosen = transcripts();
    chosen.retain(is_chosen);
    // What is not there yet is played by those who work on it, who name it.
    if filters.is_empty() && !is_list {
        let open = open();
        chosen.retain(|scenario| !open.contains(&scenario.name));
        println!("{} scenarios are left out, see tests/host/scenarios/open.txt", open.len());
    }
    if is_list {
        chosen.iter().for_each(|scenario| println!("{}", scenario.name));
        return 0;
    }
    let started = Instant::now();
    let world = World::start();
    let is_alone = |scenario: &Scenario| ALONE.iter().any(|subject| scenario.name.starts_with(subject));
    let (alone, mut together): (Vec<_>, Vec<_>) = chosen.into_iter().partition(is_alone);
    together.sort_by_key(|scenario| !LONGEST.contains(&scenario.name.as_str()));
    let count = alone.len() + together.len();
    let mut failed = run_all(&world, together, jobs);
    for scenario in alone {
        let broken = run_all(&world, vec![scenario], 1);
        // What it ended may still be down, and the next one must not suffer from that.
        if !broken.is_empty() {
            world.mend();
        }
        failed.extend(broken);
    }
    if catch_unwind(AssertUnwindSafe(|| world.end())).is_err() {
        failed.push("the end of the tenants".into());
    }
    let passed = count - failed.len().min(count);
    println!("\n{passed} of {count} scenarios passed in {} s", started.elapsed().as_secs());
    failed.iter().for_each(|name| println!("FAILED {name}"));
    i32::from(!failed.is_empty())
}

/// The scenarios that cannot pass yet.
fn open() -> Vec<String> {
    let lines = include_str!("open.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Runs scenarios, so many at once; gives the names of those that failed.
fn run_all(world: &World, scenarios: Vec<Scenario>, jobs: usize) -> Vec<String> {
    let queue = Mutex::new(VecDeque::from(scenarios));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(scenario) = next(&queue) {
                    if !run_one(world, &scenario) {
                        failed.lock().expect("nobody panics with it").push(scenario.name);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("nobody panics with it")
}

fn next(queue: &Mutex<VecDeque<Scenario>>) -> Option<Scenario> {
    queue.lock().expect("nobody panics with it").pop_front()
}

fn run_one(world: &World, scenario: &Scenario) -> bool {
    let started = Instant::now();
    let mut place = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let place = place.insert(Place::new(world, &scenario.name));
        let Play::Transcript(path) = &scenario.play;
        place.play(&scenario.name, path);
        place.end();
    }));
    let passed = outcome.is_ok();
    if let (false, Some(place)) = (passed, &place) {
        eprintln!("--- {}: what is there\n{}", scenario.name, place.describe());
    }
    let word = if passed { "ok" } else { "FAILED" };
    println!("{word:6} {:40} {:5.1} s", scenario.name, started.elapsed().as_secs_f64());
    passed
}

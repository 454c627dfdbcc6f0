#!/usr/bin/env python3
"""Measures alcove, and beside it in the same run kube-apiserver with etcd where they are found; prints one table.

Peers are looked for in $KUBEBUILDER_ASSETS and in .cache/bench (`make bench-peers` builds them there). Every server is
started fresh on loopback, data on the disk of --work, and loaded by benches/load, which knows none of them. Nothing
here judges: budgets stand in the table, and people read it."""

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import image  # noqa: E402

# The program as tenants run it: `make image` leaves it there.
ALCOVE = ROOT / ".cache" / "image" / "alcove"
CACHE = ROOT / ".cache" / "bench"
# Idle watchers first: afterwards they would live in memory that other tests have freed.
LOAD_TESTS = "idle,cm,get,pods,list,watch,watchpaced,apply,custom"
SETTLE_SECONDS = 10
START_SECONDS = 120
MIB = 1 << 20


# ---- what is measured


@dataclass
class Running:
    """Servers that run, and how to reach them."""

    processes: dict = field(default_factory=dict)
    kubeconfig: Path = None
    data: Path = None
    since: float = 0.0

    def start(self, name, command, log, environment=None):
        with open(log, "ab") as out:
            around = {**os.environ, **(environment or {})}
            self.processes[name] = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=around)

    def check(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}")

    def stop(self):
        # The newest first: an API server that has lost its store waits for minutes.
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGKILL)
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Alcove:
    name = "alcove"

    def __init__(self, binary, more=()):
        self.binary, self.more = binary, list(more)

    def binaries(self):
        return [self.binary]

    def start(self, work, controllers):
        """Controllers are part of the process: there is nothing to leave out."""
        running = Running(data=work / "data", kubeconfig=work / "data" / "admin.kubeconfig", since=time.time())
        command = [self.binary, "serve", "--data", running.data, "--port", str(free_port()), *self.more]
        running.start("alcove", command, work / "alcove.log", image.ENVIRONMENT)
        wait_for(running, running.kubeconfig.exists)
        return running


class Upstream:
    name = "kube-apiserver + etcd"

    def __init__(self, directory, more=()):
        self.directory, self.more = directory, list(more)

    def binaries(self):
        programs = ["kube-apiserver", "etcd", "kube-controller-manager"]
        return [self.directory / p for p in programs if (self.directory / p).exists()]

    def start(self, work, controllers):
        """With its controller manager where the start and the idle cost count, without where the load does: that is
        in its favour."""
        pki, client, peer, port = work / "pki", free_port(), free_port(), free_port()
        subprocess.run([CACHE / "pki", pki, f"https://127.0.0.1:{port}"], check=True)
        running = Running(data=work / "data", kubeconfig=pki / "admin.kubeconfig", since=time.time())
        client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        running.start(
            "etcd",
            [self.directory / "etcd", "--name=one", f"--data-dir={running.data}", f"--listen-client-urls={client_url}",
             f"--advertise-client-urls={client_url}", f"--listen-peer-urls={peer_url}",
             f"--initial-advertise-peer-urls={peer_url}", f"--initial-cluster=one={peer_url}",
             "--quota-backend-bytes=8589934592"],
            work / "etcd.log",
        )
        running.start(
            "kube-apiserver",
            [self.directory / "kube-apiserver", f"--etcd-servers={client_url}", "--bind-address=127.0.0.1",
             "--advertise-address=127.0.0.1", f"--secure-port={port}", "--service-cluster-ip-range=10.96.0.0/16",
             "--endpoint-reconciler-type=none", "--authorization-mode=Node,RBAC", "--allow-privileged=true",
             "--enable-admission-plugins=NodeRestriction", f"--client-ca-file={pki}/ca.crt",
             f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
             "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
             f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key", *self.more],
            work / "kube-apiserver.log",
        )
        if controllers and (self.directory / "kube-controller-manager").exists():
            # It ends itself when it starts before the API server is ready.
            load(running, "ready")
            config = pki / "controller-manager.kubeconfig"
            running.start(
                "kube-controller-manager",
                [self.directory / "kube-controller-manager", f"--kubeconfig={config}",
                 f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
                 f"--root-ca-file={pki}/ca.crt", f"--service-account-private-key-file={pki}/sa.key",
                 "--use-service-account-credentials=true", "--leader-elect=false", "--secure-port=0",
                 "--controllers=*,-node-ipam-controller,-node-lifecycle-controller,-node-route-controller,"
                 "-service-lb-controller,-cloud-node-lifecycle-controller"],
                work / "kube-controller-manager.log",
            )
        return running


# ---- measuring


def wait_for(running, condition):
    end = time.time() + START_SECONDS
    while not condition():
        running.check()
        if time.time() > end:
            raise TimeoutError(f"no sign of {', '.join(running.processes)} in {START_SECONDS} s")
        time.sleep(0.001)


def load(running, tests, *arguments):
    pids = ",".join(f"{name}={process.pid}" for name, process in running.processes.items())
    command = [CACHE / "load", "-kubeconfig", running.kubeconfig, "-tests", tests, "-pids", pids,
               "-data", running.data, "-since", str(running.since), *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    running.check()
    return json.loads(result.stdout)


def proportional_bytes(running):
    total = 0
    for process in running.processes.values():
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(running):
    """To the nanosecond, which idle processes need: the first number of each thread's schedstat."""
    total = 0
    for process in running.processes.values():
        for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            total += int(file.read_text().split()[0])
    return total / 1e9


def disk_bytes(directory):
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*"))


def machine_seconds():
    """CPU time of the whole machine, busy and all."""
    numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    hertz = os.sysconf("SC_CLK_TCK")
    return (sum(numbers) - numbers[3] - numbers[4]) / hertz, sum(numbers) / hertz


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(server, work, options):
    """One run of one server: start and idle with everything it needs, then load on a fresh one."""
    result = {"binary_bytes": sum(Path(b).stat().st_size for b in server.binaries())}
    busy, whole, own = *machine_seconds(), children_seconds()

    (work / "idle").mkdir()
    running = server.start(work / "idle", controllers=True)
    try:
        result.update(load(running, "ready,sa"))
        time.sleep(SETTLE_SECONDS)
        result["idle_bytes"] = proportional_bytes(running)
        result["disk_bytes"] = disk_bytes(running.data)
        cpu = cpu_seconds(running)
        time.sleep(options.idle_seconds)
        result["idle_mcpu"] = (cpu_seconds(running) - cpu) * 1000 / options.idle_seconds
        running.check()
    finally:
        running.stop()

    (work / "load").mkdir()
    running = server.start(work / "load", controllers=False)
    try:
        load(running, "ready")
        scale = ["-configmaps", "500", "-gets", "2000", "-pods", "1000", "-writes", "500", "-watch-pods", "100", "-idle", "100"]
        result.update(load(running, LOAD_TESTS, *(scale if options.quick else [])))
    finally:
        running.stop()

    busy_after, whole_after = machine_seconds()
    others = (busy_after - busy) - (children_seconds() - own)
    result["others_percent"] = max(0.0, 100 * others / (whole_after - whole))
    return result


# ---- the table


def at(result, path):
    for key in path.split("."):
        result = result.get(key) if isinstance(result, dict) else None
    return result


def ready_with_accounts(result):
    times = [at(result, "ready_s"), at(result, "default_sa_s")]
    return max(times) * 1000 if all(t is not None and t >= 0 for t in times) else None


# What, where it is in a result, what one unit of the table is, the unit, the budget, and whether less is better.
ROWS = [
    ("binaries, stripped", "binary_bytes", MIB, "MiB", 25, True),
    ("idle, proportional resident memory", "idle_bytes", MIB, "MiB", 25, True),
    ("idle CPU", "idle_mcpu", 1, "mCPU", 1, True),
    ("disk of an empty tenant", "disk_bytes", MIB, "MiB", 1, True),
    ("start to /readyz and default ServiceAccount", ready_with_accounts, 1, "ms", 300, True),
    ("create of 1 KiB ConfigMaps, 32 clients", "configmap_create.per_s", 1, "/s", 3000, False),
    ("— disk per ConfigMap", "configmap_create.disk_bytes_each", 1024, "KiB", None, True),
    ("GET of one object, 32 clients", "get.per_s", 1, "/s", 10000, False),
    ("— server CPU per GET", "get.cpu_us_each", 1, "µs", None, True),
    ("pod creates, 32 clients", "pod_create.per_s", 1, "/s", 2500, False),
    ("— memory per stored small pod", "pod_create.memory_bytes_each", 1024, "KiB", 4, True),
    ("apply that changes a 3 KiB pod, 32 clients", "apply.per_s", 1, "/s", None, False),
    ("— server CPU per apply", "apply.cpu_us_each", 1, "µs", 200, True),
    ("create of a custom resource with ten rules, 32 clients", "custom_create.per_s", 1, "/s", None, False),
    ("— server CPU per create", "custom_create.cpu_us_each", 1, "µs", 300, True),
    ("LIST of 10,000 pods, JSON", "list.json.median_ms", 1, "ms", 90, True),
    ("— bytes", "list.json.bytes", 1e6, "MB", None, True),
    ("— peak resident memory", "list.json.memory.peak", MIB, "MiB", 100, True),
    ("— protobuf", "list.protobuf.median_ms", 1, "ms", None, True),
    ("— Table", "list.table.median_ms", 1, "ms", None, True),
    ("100 watchers × 1,000 creates, full speed", "watch.events_per_s", 1, "events/s", 150000, False),
    ("— p50", "watch.p50_ms", 1, "ms", None, True),
    ("— p99", "watch.p99_ms", 1, "ms", 100, True),
    ("the same at 100 creates/s: p50", "watch_paced.p50_ms", 1, "ms", 3, True),
    ("— p99", "watch_paced.p99_ms", 1, "ms", 8, True),
    ("an idle watcher", "idle_watchers.bytes_each", 1024, "KiB", 10, True),
]


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def median(results, where, unit):
    values = [where(r) if callable(where) else at(r, where) for r in results]
    values = [v / unit for v in values if v is not None]
    return statistics.median(values) if values else None


def ratio(ours, theirs, less):
    """How many times better we are."""
    if ours is None or theirs is None or min(ours, theirs) <= 0:
        return "–"
    return number(theirs / ours if less else ours / theirs) + "×"


def table(results, rows):
    """Markdown: medians over the runs; ratios say how many times better alcove is."""
    names = list(results)
    lines = ["| what | " + " | ".join(names) + " | " + "".join("ratio | " for _ in names[1:]) + "budget |"]
    lines.append("|---|" + "---:|" * (2 * len(names)))
    for what, where, unit, suffix, budget, less in rows:
        values = [median(results[name], where, unit) for name in names]
        cells = [f"{number(v)} {suffix}" if v is not None else "–" for v in values]
        cells += [ratio(values[0], other, less) for other in values[1:]]
        kept = values[0] is not None and budget is not None and (values[0] <= budget if less else values[0] >= budget)
        bound = "" if budget is None else f"{'≤' if less else '≥'} {budget:,} {suffix}" + ("" if kept else " **missed**")
        lines.append(f"| {what} | " + " | ".join(cells) + f" | {bound} |")
    lines.append("")
    for name in names:
        # Where the host is part of what is measured, nothing tells other work from its own.
        others = [r["others_percent"] for r in results[name] if "others_percent" in r]
        failures = sorted(set(errors(results[name])))
        lines.append(f"{name}: {len(results[name])} run(s)"
                     + (f"; other work took up to {max(others):.0f} % of the machine" if others else "")
                     + ("; " + "; ".join(failures) if failures else "") + ".")
    return "\n".join(lines)


def errors(result, path=""):
    """What a reader of the table must know: requests that failed, watches that were dropped, events that are missing."""
    if isinstance(result, list):
        for run in result:
            yield from errors(run)
        return
    for key, value in result.items():
        if isinstance(value, dict):
            yield from errors(value, f"{path}{key}.")
        elif key in ("errors", "failed", "dropped") and value:
            yield f"{path}{key} {value}"
        elif key == "error":
            yield f"{path[:-1]}: {value}"
    if result.get("events_wanted", 0) > result.get("events", 0):
        yield f"{path}events missing {result['events_wanted'] - result['events']}"


def build_tools():
    """The loader and what makes certificates."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for program, package in (("load", "."), ("pki", "./pki")):
        subprocess.run(["go", "build", "-o", CACHE / program, package], cwd=ROOT / "benches" / "load", check=True)


def find_peers():
    """The directory with kube-apiserver and etcd, if there is one."""
    test_host = ROOT / ".cache" / "host" / "bin"
    places = [Path(p) for p in (os.environ.get("KUBEBUILDER_ASSETS"), CACHE, test_host) if p]
    return next((p for p in places if (p / "kube-apiserver").exists() and (p / "etcd").exists()), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alcove", type=Path, default=ALCOVE, help="the program; that of the image unless given")
    parser.add_argument("--only", choices=["alcove", "peers"], help="measure one side")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--idle-seconds", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="a tenth of the load: to try the script, not to publish")
    parser.add_argument("--work", type=Path, help="a directory on the disk to be measured")
    parser.add_argument("--out", type=Path, default=CACHE / "results.json")
    options = parser.parse_args()

    build_tools()
    servers = [] if options.only == "peers" else [Alcove(options.alcove)]
    found = find_peers()
    if found and options.only != "alcove":
        servers.append(Upstream(found))
    elif options.only != "alcove":
        print("no kube-apiserver and etcd found: `make bench-peers` builds them", file=sys.stderr)

    results = {}
    for run in range(options.repeats):
        for server in servers:
            work = Path(tempfile.mkdtemp(prefix="alcove-bench-", dir=options.work))
            print(f"run {run + 1}: {server.name} in {work}", file=sys.stderr)
            results.setdefault(server.name, []).append(measure(server, work, options))
            shutil.rmtree(work)
            options.out.write_text(json.dumps(results, indent=1))
    if results:
        print(table(results, ROWS))


if __name__ == "__main__":
    main()

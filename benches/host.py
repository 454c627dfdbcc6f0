#!/usr/bin/env python3
"""Measures a tenant as the platform team gets it, on a real cluster: `alcove create` until the first `kubectl get
namespaces` answers, the pod of the control plane at rest, and `alcove resume` until the first answer. The cluster is that
of KUBECONFIG, or the test host of this checkout where it is up; the image has to be there already. Memory and CPU are
read from the process itself, so they are told where the node is this machine. Prints one table; nothing here judges."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import run

TENANT, SPACE = "bench", "alcove-bench"
TEST_HOST = run.ROOT / ".cache" / "host" / "admin.kubeconfig"
# The test host has no default class.
TEST_HOST_VALUES = ["controlPlane.storage.class=host-path"]
# A claim whose class waits for the pod costs a second in the scheduler, which asks once a second whether it is bound.
WITHOUT_CLAIM = "controlPlane.storage.persistent=false"
KUBECTL = run.ROOT / ".cache" / "tools" / "kubectl-1.35"
ASK = [KUBECTL, "get", "namespaces", "--no-headers"]


class Host:
    """A cluster, and the product as the platform team runs it there."""

    def __init__(self, binary, kubeconfig, folder, values):
        self.binary, self.values = binary, values
        # A copy: connecting writes contexts.
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_bytes(kubeconfig.read_bytes())
        self.environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def call(self, *command):
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
        return done.stdout

    def alcove(self, *arguments):
        return self.call(self.binary, *arguments)

    def create(self, *values):
        """Makes the tenant as a user at a terminal does: connects, asks once, disconnects. Gives the seconds until the
        first answer."""
        started = time.monotonic()
        command = [self.binary, "create", TENANT, "--namespace", SPACE]
        command += [f"--set={value}" for value in [*self.values, *values]]
        with subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as create:
            said = []
            for line in create.stderr:
                said.append(line)
                if line.startswith("connected to "):
                    break
            else:
                raise RuntimeError("".join(said))
            expect_namespaces(self.call(*ASK))
            seconds = time.monotonic() - started
            create.send_signal(signal.SIGINT)
        return seconds

    def resume(self):
        """Asks a paused tenant once, as a user does who forgot that it sleeps. Gives the seconds until the answer."""
        started = time.monotonic()
        expect_namespaces(self.alcove("connect", TENANT, "--namespace", SPACE, "--", *ASK))
        return time.monotonic() - started

    def delete(self):
        self.alcove("delete", TENANT, "--namespace", SPACE, "--yes", "--delete-namespace", "--ignore-not-found")

    def process(self):
        """The control plane on this machine, by the pod that its control group is named for."""
        pod = json.loads(self.call(KUBECTL, "get", "pod", f"{TENANT}-0", "--namespace", SPACE, "-o", "json"))
        uid = pod["metadata"]["uid"]
        for group in Path("/proc").glob("[0-9]*/cgroup"):
            try:
                told, command = group.read_text(), (group.parent / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if (uid in told or uid.replace("-", "_") in told) and b"alcove" in command.split(b"\0")[0]:
                return Process(int(group.parent.name))
        return None


def expect_namespaces(answer):
    if "kube-system" not in answer:
        raise RuntimeError(f"the tenant has no namespaces: {answer}")


class Process:
    """What `run.proportional_bytes` and `run.cpu_seconds` read."""

    def __init__(self, pid):
        self.pid = pid
        self.processes = {"alcove": self}


def measure(host, options):
    result = {}
    busy, whole = run.machine_seconds()
    try:
        result["create_s"] = host.create()
        time.sleep(run.SETTLE_SECONDS)
        if process := host.process():
            result["idle_bytes"] = run.proportional_bytes(process)
            before = run.cpu_seconds(process)
            time.sleep(options.idle_seconds)
            result["idle_mcpu"] = (run.cpu_seconds(process) - before) * 1000 / options.idle_seconds
        host.alcove("pause", TENANT, "--namespace", SPACE)
        result["resume_s"] = host.resume()
        host.delete()
        result["create_alone_s"] = host.create(WITHOUT_CLAIM)
    finally:
        host.delete()
    busy_after, whole_after = run.machine_seconds()
    result["busy_percent"] = 100 * (busy_after - busy) / (whole_after - whole)
    return result


# What, where it is in a result, what one unit of the table is, the unit, the budget, and whether less is better.
ROWS = [
    ("`alcove create` to the first answer of `kubectl get namespaces`", "create_s", 1, "s", 1.5, True),
    ("— without a claim", "create_alone_s", 1, "s", 1.5, True),
    ("the pod at rest, proportional resident memory", "idle_bytes", run.MIB, "MiB", 25, True),
    ("— CPU", "idle_mcpu", 1, "mCPU", 1, True),
    ("`alcove connect` to a paused tenant, to the first answer", "resume_s", 1, "s", 1.5, True),
    ("the machine, everything on it together", "busy_percent", 1, "%", None, True),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alcove", type=Path, default=run.ALCOVE, help="the program; that of the image unless given")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--idle-seconds", type=int, default=60)
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="a value of the tenant; the test host's class unless given")
    parser.add_argument("--out", type=Path, default=run.CACHE / "host.json")
    options = parser.parse_args()

    kubeconfig = Path(os.environ.get("KUBECONFIG") or TEST_HOST)
    if not kubeconfig.exists():
        sys.exit("no cluster: say KUBECONFIG, or boot the test host with `make host-up`")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="alcove-bench-") as folder:
        host = Host(options.alcove.resolve(), kubeconfig, Path(folder), options.set or TEST_HOST_VALUES)
        for number in range(options.repeats):
            print(f"run {number + 1}: a tenant in the namespace {SPACE}", file=sys.stderr)
            results.append(measure(host, options))
            options.out.write_text(json.dumps(results, indent=1))
    print(run.table({"alcove": results}, ROWS))


if __name__ == "__main__":
    main()

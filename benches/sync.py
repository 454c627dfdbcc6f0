#!/usr/bin/env python3
"""Measures the way between a tenant and its host: pods created in the tenant until they are on the host, states of the
host's pods until the tenant knows them, requests and memory per pod. The host is kube-apiserver with etcd where they are
found (`make bench-peers`), else a control plane of our own; nothing schedules or runs pods there, the loader says that
they run. Prints one table; nothing here judges."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import run

SPACE, TENANT = "tenant-bench", "bench"
# Pods per second and pods, of the paced tests.
PACED = [(10, 200), (100, 1000)]
BURSTS = [200, 5000]


def start_tenant(binary, work, host):
    config = {
        "apiVersion": "alcove.dev/v1alpha1", "kind": "Config", "data": str(work / "tenant"), "address": "127.0.0.1",
        "port": run.free_port(), "dns": {"port": run.free_port()},
        "host": {"name": TENANT, "namespace": SPACE, "kubeconfig": str(host.kubeconfig)},
    }
    file = work / "config.json"
    file.write_text(json.dumps(config))
    tenant = run.Running(data=work / "tenant", kubeconfig=work / "tenant" / "admin.kubeconfig", since=time.time())
    tenant.start("alcove", [binary, "serve", "--config", file], work / "tenant.log", run.image.ENVIRONMENT)
    run.wait_for(tenant, tenant.kubeconfig.exists)
    return tenant


class Disk:
    """Syncs one page ten times a second while something else is measured: what a write waits for on this disk, however
    little it writes. Both the host's store and the tenant's wait for it, one after the other."""

    def __init__(self, directory):
        self.file, self.milliseconds, self.over = directory / "page", [], threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.sync)
        self.thread.start()
        return self

    def sync(self):
        with open(self.file, "wb", buffering=0) as file:
            while not self.over.wait(0.1):
                file.write(bytes(4096))
                began = time.monotonic()
                os.fdatasync(file)
                self.milliseconds.append((time.monotonic() - began) * 1e3)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def results(self):
        found = sorted(self.milliseconds)
        return {"p50_ms": found[len(found) // 2], "p99_ms": found[int(0.99 * (len(found) - 1))]}


def measure(host_kind, binary, work, options):
    """One run: paced pods with their states on one pair of host and tenant, bursts on another."""
    result, scale = {}, 10 if options.quick else 1
    busy, whole, own = *run.machine_seconds(), run.children_seconds()
    for part in ("paced", "bursts"):
        (work / part).mkdir()
        host = host_kind.start(work / part, controllers=False)
        tenant = None
        try:
            run.load(host, "ready")
            side = ["-host-kubeconfig", host.kubeconfig, "-host-namespace", SPACE, "-tenant", TENANT]
            run.load(host, "space", *side)
            tenant = start_tenant(binary, work / part, host)
            if part == "paced":
                for rate, pods in PACED:
                    pace = ["-sync-rate", str(rate), "-sync-pods", str(pods // scale), "-sync-states"]
                    with Disk(work / part) as disk:
                        result[f"paced_{rate}"] = run.load(tenant, "sync", *side, *pace)["sync"]
                    result[f"paced_{rate}"]["disk"] = disk.results()
            else:
                for pods in BURSTS:
                    count = ["-sync-pods", str(pods // scale)]
                    result[f"burst_{pods}"] = run.load(tenant, "sync", *side, *count)["sync"]
                    result[f"direct_{pods}"] = run.load(tenant, "direct", *side, *count)["direct"]
                    result[f"applied_{pods}"] = run.load(tenant, "direct", *side, *count, "-by-apply")["direct"]
        finally:
            if tenant:
                tenant.stop()
            host.stop()
    busy_after, whole_after = run.machine_seconds()
    result["others_percent"] = max(0.0, 100 * (busy_after - busy - run.children_seconds() + own) / (whole_after - whole))
    return result


# What, where it is in a result, what one unit of the table is, the unit, the budget, and whether less is better.
ROWS = [
    *(row for rate, _ in PACED for row in (
        (f"{rate} pods/s: tenant create to pod on the host, p50", f"paced_{rate}.to_host.p50_ms", 1, "ms", 8, True),
        ("— p99", f"paced_{rate}.to_host.p99_ms", 1, "ms", None, True),
        ("— host Running to tenant Running, p50", f"paced_{rate}.to_tenant.p50_ms", 1, "ms", 4, True),
        ("— p99", f"paced_{rate}.to_tenant.p99_ms", 1, "ms", None, True),
        ("— the kubelet's word to tenant Running, p50", f"paced_{rate}.report_to_tenant.p50_ms", 1, "ms", None, True),
        ("— host requests per pod", f"paced_{rate}.host_requests_each", 1, "", None, True),
        ("— CPU of the tenant's process per pod", f"paced_{rate}.cpu_us_each", 1, "µs", None, True),
        ("— a page synced to the disk meanwhile, p50", f"paced_{rate}.disk.p50_ms", 1, "ms", None, True),
        ("— p99", f"paced_{rate}.disk.p99_ms", 1, "ms", None, True),
    )),
    *(row for pods in BURSTS for row in (
        (f"{pods:,} pods at once: pods/s to the host", f"burst_{pods}.per_s", 1, "/s", 300, False),
        ("— straight to the host", f"direct_{pods}.per_s", 1, "/s", None, False),
        ("— straight to the host, by apply", f"applied_{pods}.per_s", 1, "/s", None, False),
        ("— CPU of the tenant's process per pod", f"burst_{pods}.cpu_us_each", 1, "µs", None, True),
        ("— host requests per pod", f"burst_{pods}.host_requests_each", 1, "", None, True),
        ("— memory of the tenant's process per pod", f"burst_{pods}.memory_bytes_each", 1024, "KiB", 10, True),
    )),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alcove", type=Path, default=run.ALCOVE, help="the program; that of the image unless given")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a tenth of the load: to try the script, not to publish")
    parser.add_argument("--host", choices=["alcove", "upstream"], help="which host; upstream where it is found unless given")
    parser.add_argument("--work", type=Path, help="a directory on the disk to be measured")
    parser.add_argument("--out", type=Path, default=run.CACHE / "sync.json")
    options = parser.parse_args()

    run.build_tools()
    found = run.find_peers()
    if options.host == "upstream" and not found:
        sys.exit("no kube-apiserver and etcd found: `make bench-peers` builds them")
    host = run.Alcove(options.alcove) if options.host == "alcove" or not found else run.Upstream(found)
    results = {f"host: {host.name}": []}
    for number in range(options.repeats):
        work = Path(tempfile.mkdtemp(prefix="alcove-bench-", dir=options.work))
        print(f"run {number + 1}: a tenant on {host.name} in {work}", file=sys.stderr)
        results[f"host: {host.name}"].append(measure(host, options.alcove, work, options))
        shutil.rmtree(work)
        options.out.write_text(json.dumps(results, indent=1))
    print(run.table(results, ROWS))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Lists the functions that a tenant runs, for tools/cc.py, which puts them side by side in the image's program.

A tenant of a host runs under valgrind (which must be installed), once from its start through some minutes at rest, once
through a little of every load of the benchmarks. What ran is written as digests of names, by crate; what ran at rest
comes first. The list need not be exact: a function that is missing costs a tenant at rest some memory, nothing else.

`make image` comes first: it leaves the program with names that runs here. After a new list it has to link again, so
delete .cache/image/*/release/alcove* before the next.
"""

import argparse
import re
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import run
import sync

import cc  # noqa: E402

# Long enough for whatever a tenant does every minute to have been done twice.
REST_SECONDS = 150
STOP_SECONDS = 120
SMALL = ["-configmaps", "100", "-gets", "100", "-pods", "100", "-writes", "50", "-watch-pods", "10", "-idle", "10"]
COLUMNS = 120


def under_valgrind(binary, work):
    """A command that runs a program as valgrind sees it, and where the names of what ran will be."""
    command, names = work / "alcove", work / "callgrind"
    command.write_text(
        f'#!/bin/sh\nexec {shutil.which("valgrind")} --tool=callgrind --demangle=no --callgrind-out-file={names} {binary} "$@"\n')
    command.chmod(0o755)
    return command, names


def ran(names):
    """The functions of a record of callgrind, as the linker knows them."""
    found = re.findall(r"^c?fn=\(\d+\) (.+)$", names.read_text(errors="replace"), re.MULTILINE)
    return {re.sub(r"'\d+$", "", name) for name in found}


def record(binary, work, use):
    """Runs a tenant on a host, uses it, and gives what it ran."""
    work.mkdir()
    host = run.Alcove(binary).start(work, controllers=False)
    tenant = None
    try:
        run.load(host, "ready")
        side = ["-host-kubeconfig", host.kubeconfig, "-host-namespace", sync.SPACE, "-tenant", sync.TENANT]
        run.load(host, "space", *side)
        command, names = under_valgrind(binary, work)
        tenant = sync.start_tenant(command, work, host)
        run.load(tenant, "ready,sa")
        use(tenant, side)
        # It writes its record when it ends by itself.
        tenant.processes["alcove"].send_signal(signal.SIGTERM)
        tenant.processes["alcove"].wait(STOP_SECONDS)
    finally:
        for running in filter(None, (tenant, host)):
            running.stop()
    return ran(names)


def rest(_tenant, _side):
    time.sleep(REST_SECONDS)


def load(tenant, side):
    run.load(tenant, run.LOAD_TESTS, *SMALL)
    run.load(tenant, "sync", *side, "-sync-rate", "5", "-sync-pods", "50", "-sync-states")


def crate(name):
    """The crate that a function's name begins with, or `c` for what has none."""
    found = re.match(r"[<&*\[\]()\s]*(?:dyn |mut )*([a-z_0-9]+)::", name)
    return found[1] if found else "c"


def written(parts):
    """A list as text: [(name of a part, its functions as people write them)]."""
    lines = [
        "# The functions that a tenant runs, as digests of their names, by the crate that the name begins with; hottest",
        "# part first. Made by benches/hot.py, read by tools/cc.py.",
    ]
    for title, names in parts:
        lines.append(f"[{title}]")
        crates = {}
        for name in names:
            crates.setdefault(crate(name), set()).add(cc.digest(name))
        for name, digests in sorted(crates.items()):
            lines += [f"{name}: {line}" for line in textwrap.wrap(" ".join(sorted(digests)), COLUMNS - len(name) - 2)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alcove", type=Path, default=run.ALCOVE.with_suffix(".symbols"), help="the program with the names of its functions")
    parser.add_argument("--out", type=Path, default=cc.LIST)
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("hot.py: valgrind is not there; install it with the system's packages")
    run.build_tools()
    readable = dict(cc.functions(options.alcove))
    seen, parts = set(), []
    with tempfile.TemporaryDirectory(prefix="alcove-hot-") as folder:
        for title, use in [("rest", rest), ("load", load)]:
            print(f"hot.py: a tenant under valgrind: {title}", file=sys.stderr)
            names = record(options.alcove, Path(folder) / title, use) - seen
            seen |= names
            parts.append((title, [readable[name] for name in names if name in readable]))
            print(f"hot.py: {len(parts[-1][1])} functions that did not run before", file=sys.stderr)
    options.out.write_text(written(parts))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs upstream's conformance tests against a tenant of a fresh `alcove dev`, or of a real host.

run.py ALCOVE TOOLS [--host NAMESPACE [--privileged]] [--list FILE] [--procs N] [--keep DIR]

ALCOVE is the binary, TOOLS the folder that build.sh filled. With --host the tenant is made by `alcove create` in that
namespace of the cluster that KUBECONFIG names, with host.yaml as its values, and deleted in the end; --privileged takes
privileged.yaml and adds privileged-rights.yaml. FILE names tests, one a line; passing.txt unless given. Every test in it
is run once; exit code 1 if one fails or is not found. DIR keeps the log, the report and the lists passed.txt and failed.txt.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent
# Tests poll for minutes before they give up; the slowest that passes waits for a compaction.
WHOLE_RUN_LIMIT = "2h"
START_LIMIT_SECONDS = 60


def names(path):
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def text(name):
    """A test's name without the labels around it: upstream changes their order."""
    return re.sub(r"( \[[^][]*\])+$", "", name.removeprefix("[It] "))


def start(alcove, data):
    """Starts two clusters and waits until the tenant is ready. Gives the process and the tenant's kubeconfig."""
    log = open(data / "dev.log", "w+")
    command = [alcove, "dev", "--data", str(data / "clusters"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.alarm(START_LIMIT_SECONDS)
    for line in process.stdout:
        found = re.match(r"tenant\s+(\S+\.kubeconfig)", line)
        if found:
            signal.alarm(0)
            return process, found.group(1)
    log.seek(0)
    sys.exit(f"alcove dev did not become ready:\n{log.read()}")


def create(alcove, namespace, is_privileged, data):
    """Makes a tenant on a real host, reached on a port of the machine that the host's API server is on. Gives its
    kubeconfig."""
    address = json.loads(kubectl("config", "view", "--minify", "--output=json"))["clusters"][0]["cluster"]["server"]
    address = re.match(r"https://(.*):\d+", address).group(1)
    tenant = [namespace, "-n", namespace]
    file = "privileged.yaml" if is_privileged else "host.yaml"
    values = ["--values", HERE / file, "--set", f"expose.names=[{address}]", "--expose=NodePort"]
    subprocess.run([alcove, "create", *tenant, "--connect=false", *values], check=True)
    if is_privileged:
        kubectl("apply", "--namespace", namespace, "--filename", HERE / "privileged-rights.yaml")
    service = json.loads(kubectl("get", "service", *tenant, "--output=json"))
    server = f"https://{address}:{service['spec']['ports'][0]['nodePort']}"
    printed = subprocess.run([alcove, "connect", *tenant, "--print", "--server", server], check=True, capture_output=True)
    kubeconfig = data / "tenant.kubeconfig"
    kubeconfig.write_bytes(printed.stdout)
    return str(kubeconfig)


def kubectl(*arguments):
    program = HERE.parent.parent / ".cache/tools/kubectl-1.35"
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def run(tools, kubeconfig, wanted, procs, out):
    """Runs the tests and gives the outcome of each by its name."""
    # ginkgo puts the suite's name before a test's, and most of its labels, in brackets, behind it.
    focus = ["--focus=" + re.sub(r"[][().*+?^$|{}\\]", r"\\\g<0>", text(name)) + r"( \[|$)" for name in wanted]
    command = [tools / "ginkgo", "run", f"--procs={procs}", "--no-color", f"--timeout={WHOLE_RUN_LIMIT}"]
    command += ["--junit-report=junit.xml", f"--output-dir={out}", *focus, tools / "e2e.test", "--"]
    command += [f"--kubeconfig={kubeconfig}", "--provider=skeleton", "--num-nodes=1", f"--report-dir={out}"]
    command += ["--dump-logs-on-failure=false", "--delete-namespace-on-failure=true"]
    environment = {**os.environ, "KUBECONFIG": kubeconfig, "PATH": f"{tools}:{os.environ['PATH']}"}
    with open(out / "e2e.log", "w") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=out)
    report = out / "junit.xml"
    if not report.exists():
        sys.exit(f"the tests did not run:\n{(out / 'e2e.log').read_text()[-4000:]}")
    cases = ElementTree.parse(report).iter("testcase")
    return {text(case.get("name")): case for case in cases if case.get("status") != "skipped"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alcove", type=pathlib.Path)
    parser.add_argument("tools", type=pathlib.Path)
    parser.add_argument("--host", metavar="NAMESPACE")
    parser.add_argument("--privileged", action="store_true")
    parser.add_argument("--list", type=pathlib.Path, default=HERE / "passing.txt")
    parser.add_argument("--procs", type=int, default=4)
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    wanted = names(options.list)
    work = pathlib.Path(tempfile.mkdtemp(prefix="alcove-conformance-"))
    out = (options.keep or work / "out").resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "junit.xml").unlink(missing_ok=True)
    alcove = options.alcove.resolve()
    if options.host:
        process, kubeconfig = None, create(alcove, options.host, options.privileged, work)
    else:
        process, kubeconfig = start(alcove, work)
    try:
        outcomes = run(options.tools.resolve(), kubeconfig, wanted, options.procs, out)
    finally:
        if process:
            process.send_signal(signal.SIGINT)
            process.wait()
        else:
            subprocess.run([alcove, "delete", options.host, "-n", options.host, "--yes", "--delete-namespace"])
    outcome = {name: outcomes.get(text(name)) for name in wanted}
    passed = sorted(name for name, case in outcome.items() if case is not None and case.get("status") == "passed")
    failed = sorted(name for name in wanted if name not in passed)
    (out / "passed.txt").write_text("".join(f"{name}\n" for name in passed))
    (out / "failed.txt").write_text("".join(f"{name}\n" for name in failed))
    for name in failed:
        case = outcome[name]
        failure = case.find("failure") if case is not None else None
        why = "was not found" if case is None else (failure.get("message") if failure is not None else case.get("status"))
        print(f"FAILED {name}\n       {(why or '').strip()[:400]}")
    print(f"conformance: {len(passed)} of {len(wanted)} passed")
    if not options.keep:
        shutil.rmtree(work)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

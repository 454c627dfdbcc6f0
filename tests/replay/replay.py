#!/usr/bin/env python3
"""Sends the same requests to alcove and to kube-apiserver and compares what they answer.

    replay.py ALCOVE [--only WORD ...] [--show]

ALCOVE is the binary. Both servers are started fresh on loopback. Sequences are files in sequences/, each played in a
namespace of its own; statuses, headers that clients read and bodies are compared. Differences that are known stand with
their reason in DIFFERENCES.md; any other fails, and so does one that is listed and does not show. --show prints the
answers of kube-apiserver. alcove serves the minor that kube-apiserver is of: with one of 1.34 in $KUBEBUILDER_ASSETS,
1.34 is compared."""

import argparse
import base64
import fnmatch
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "benches"))

import compare
import run as servers
import sequence

KUBECTL = ROOT / ".cache/tools/kubectl-1.35"
# Beta versions that both serve, so that they are compared, too. Not those whose kinds wait for a gate upstream.
SWITCHES = ["admissionregistration.k8s.io", "coordination.k8s.io", "networking.k8s.io", "resource.k8s.io", "storage.k8s.io"]
RUNTIME_CONFIG = "--runtime-config=" + ",".join(f"{group}/v1beta1=true" for group in SWITCHES)
# The minor that each change is compared with.
OWN_MINOR = re.search(r"^KUBERNETES=v(\d+\.\d+)", (ROOT / "benches/peers/versions.env").read_text(), re.MULTILINE)[1]
# A request that is not answered in this time is a difference of its own.
ANSWER_SECONDS = 60
# How long controllers may take until something is there.
WAIT_SECONDS = 30


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Server:
    """One of the two, as its administrator."""

    def __init__(self, name, running, folder):
        self.name, self.running = name, running
        view = subprocess.run([KUBECTL, "config", "view", "--raw", "--output=json", "--kubeconfig", running.kubeconfig],
                              check=True, capture_output=True)
        config = json.loads(view.stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.host, self.port = re.fullmatch(r"https://(.*):(\d+)/?", cluster["server"]).groups()
        decoded = lambda key, of: base64.b64decode(of[key]).decode()
        pair = folder / f"{name}.pem"
        pair.touch(mode=0o600)
        pair.write_text(decoded("client-certificate-data", user) + decoded("client-key-data", user))
        self.anonymous = ssl.create_default_context(cadata=decoded("certificate-authority-data", cluster))
        self.admin = ssl.create_default_context(cadata=decoded("certificate-authority-data", cluster))
        self.admin.load_cert_chain(pair)
        self.known = {}

    def ask(self, step):
        """Sends one request. Whoever brings credentials of their own, or the user agent `nobody`, shows no certificate."""
        headers = {"Accept": "application/json", "User-Agent": "replay/1.0", **step.headers}
        headers = {name: step.filled(value, self.known) for name, value in headers.items()}
        body = step.sent(self.known)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        own = "Authorization" in headers or headers["User-Agent"] == "nobody"
        context = self.anonymous if own else self.admin
        connection = http.client.HTTPSConnection(self.host, int(self.port), context=context, timeout=ANSWER_SECONDS)
        try:
            connection.request(step.method, step.filled(step.path, self.known), body=body, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def play(self, step):
        """One step, with what it waits for and what it keeps."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            answer = self.ask(step)
            found = parsed(answer)
            if all(str(sequence.at(found, where)) == value for where, value in step.waits):
                break
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: {step.title}: no {step.waits} in {answer.body[:500]}")
            time.sleep(0.02)
        for name, where in step.saves:
            if (value := sequence.at(found, where)) is not None:
                self.known[name] = str(value)
        return answer


def parsed(answer):
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def space(name):
    """The steps around a sequence: its namespace, with the account that pods need."""
    body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}"
    yield sequence.Step("namespace", "POST", "/api/v1/namespaces", body=body)
    yield sequence.Step("account", "GET", f"{path}/serviceaccounts/default", waits=[("metadata.name", "default")])
    yield sequence.Step("authority", "GET", f"{path}/configmaps/kube-root-ca.crt", waits=[("kind", "ConfigMap")])


def play(path, ours, theirs, show):
    """Plays a sequence on both. Gives what differs as (step, where, ours, theirs)."""
    for server in (ours, theirs):
        server.known = {"ns": path.stem}
        for step in space(path.stem):
            server.play(step)
    for step in sequence.read(path):
        try:
            mine, other = ours.play(step), theirs.play(step)
        except TimeoutError as error:
            # What comes after would differ because of it.
            yield step.title, "wait", str(error), None
            return
        if show:
            print(f"\n### {step.title}\n{json.dumps(compare.told(other), indent=1)}")
        for where, one, two in compare.differences(compare.told(mine), compare.told(other)):
            yield step.title, where, one, two


def listed(minor):
    """The rows of DIFFERENCES.md: (sequence, step, where), which may hold `*`, and why. What stands under a heading that
    names other minors alone is left out."""
    rows, of = {}, []
    for line in (HERE / "DIFFERENCES.md").read_text().splitlines():
        if heading := re.match(r"## (.*)", line):
            of = re.findall(r"\d\.\d+", heading[1])
        elif (not of or minor in of) and (row := re.match(r"\| `(.*?)` \| `(.*?)` \| `(.*?)` \| (.*) \|$", line)):
            rows[row.groups()[:3]] = row[4]
    return rows


def minor_of(peers):
    """The minor of kube-apiserver, such as 1.36."""
    said = subprocess.run([peers / "kube-apiserver", "--version"], check=True, capture_output=True, text=True).stdout
    return re.search(r"v(\d+\.\d+)\.", said)[1]


def judge(found, known, whole):
    """Prints what nobody knew of, and rows that are not true any more. Gives how many there are."""
    wrong, seen = 0, set()
    for name, step, where, ours, theirs in found:
        row = next((row for row in known if all(map(fnmatch.fnmatchcase, (name, step, where), row))), None)
        if row:
            seen.add(row)
            continue
        wrong += 1
        cut = lambda value: f"{value!r:.600}"
        print(f"{name} | {step} | {where}\n    alcove:         {cut(ours)}\n    kube-apiserver: {cut(theirs)}")
    for row in known.keys() - seen if whole else []:
        wrong += 1
        print(f"{' | '.join(row)}: DIFFERENCES.md lists it, and it does not differ")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alcove", type=Path)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="sequences whose names hold one of the words")
    parser.add_argument("--show", action="store_true", help="print what kube-apiserver answers")
    options = parser.parse_args()
    paths = sorted((HERE / "sequences").glob("*.http"))
    peers = servers.find_peers()
    if not peers:
        sys.exit("no kube-apiserver and etcd found: `make test-replay` builds them")
    servers.build_tools()
    minor = minor_of(peers)
    paths = [path for path in paths if sequence.since(path) <= tuple(map(int, minor.split(".")))]
    chosen = [path for path in paths if not options.only or any(word in path.stem for word in options.only)]
    work, running = Path(tempfile.mkdtemp(prefix="alcove-replay-")), []
    try:
        both = []
        alcove = servers.Alcove(options.alcove.resolve(), [RUNTIME_CONFIG, f"--kubernetes-version={minor}"])
        for kind in (alcove, servers.Upstream(peers, [RUNTIME_CONFIG])):
            folder = work / str(len(both))
            folder.mkdir()
            running.append(kind.start(folder, controllers=True))
            servers.load(running[-1], "ready,sa")
            both.append(Server(kind.name, running[-1], work))
        found = [(path.stem, *each) for path in chosen for each in play(path, *both, options.show)]
    finally:
        for server in running:
            server.stop()
        shutil.rmtree(work, ignore_errors=True)
    # Rows for all minors are true of the one that each change is compared with.
    wrong = judge(found, listed(minor), chosen == paths and minor == OWN_MINOR)
    steps = sum(len(sequence.read(path)) for path in chosen)
    print(f"replay of {minor}: {len(chosen)} sequences, {steps} requests, {len(found)} differences, {wrong} of them not as listed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes down what a client sends, as a sequence to be replayed.

    record.py KUBECONFIG OUT.http 'who sends this, and why' -- kubectl apply -f web.yaml

Runs the command with a kubeconfig of its own that leads through a proxy here to the server of KUBECONFIG. Namespaces,
revisions and UIDs that a request has from an earlier answer become names that the replay fills in; commands are to work in
the namespace `default`."""

import base64
import http.client
import http.server
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import replay
import sequence

# What a client says of itself or of its connection is not what it asks for.
LEFT_OUT = {"host", "content-length", "connection", "accept-encoding", "user-agent", "kubectl-command", "kubectl-session",
            "transfer-encoding", "authorization", "if-none-match"}


class Recorder:
    """The steps so far, and where each value that a later request may repeat came from."""

    def __init__(self):
        self.steps, self.sources, self.lock = [], {}, threading.Lock()

    def named(self, text):
        """A request's text with names for what earlier answers said."""
        for value, name in self.sources.items():
            text = re.sub(rf'(?<=[="]){re.escape(value)}(?=["&]|$)', "{{" + name + "}}", text)
        text = re.sub(r"namespaces/default\b", "namespaces/{{ns}}", text)
        # Also within texts that hold JSON, such as what kubectl applied last.
        return re.sub(r'(\\?)"namespace\1":\1"default\1"', r'\1"namespace\1":\1"{{ns}}\1"', text)

    def add(self, method, path, headers, body, answer):
        # Schemas are named by the hash of what a server wrote; each server has its own.
        if path.startswith("/openapi"):
            return
        with self.lock:
            kept = {name.title(): value for name, value in headers.items() if name.lower() not in LEFT_OUT}
            # A watch ends by itself when it is replayed.
            path = re.sub(r"timeout(Seconds)?=[^&]*", "timeoutSeconds=2", self.named(path))
            number = len(self.steps) + 1
            step = sequence.Step(f"{number}: {method} {path.partition('?')[0]}", method, path, kept)
            if b"\0" in body:
                # Protobuf.
                step.body, step.encoded = base64.b64encode(body).decode(), True
            elif body:
                step.body = self.named(body.decode().strip("\n"))
            self.steps.append(step)
            try:
                found = json.loads(answer)
            except ValueError:
                return
            for key in ("resourceVersion", "uid"):
                value = sequence.at(found, f"metadata.{key}")
                if value:
                    # The newest answer that says it: that is what a client has seen last.
                    name = f"{'rv' if key == 'resourceVersion' else 'uid'}{number}"
                    self.sources[value] = name
                    step.saves.append((name, f"metadata.{key}"))


def handler(server, recorder):
    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in LEFT_OUT}
            onward = http.client.HTTPSConnection(server.host, int(server.port), context=server.admin)
            onward.request(self.command, self.path, body=body or None, headers=headers)
            answer = onward.getresponse()
            content = answer.read()
            recorder.add(self.command, self.path, self.headers, body, content)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

        def log_message(self, *_):
            pass

    return Proxy


def main():
    if len(sys.argv) < 6 or sys.argv[4] != "--":
        sys.exit(__doc__)
    kubeconfig, out, why, command = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[5:]
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        server = replay.Server("recorded", replay.servers.Running(kubeconfig=kubeconfig), Path(folder))
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(server, recorder))
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        own = Path(folder) / "kubeconfig"
        own.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "recorded",
            "clusters": [{"name": "recorded", "cluster": {"server": f"http://127.0.0.1:{proxy.server_port}"}}],
            "users": [{"name": "recorded", "user": {}}],
            "contexts": [{"name": "recorded", "context": {"cluster": "recorded", "user": "recorded"}}],
        }))
        environment = {**os.environ, "KUBECONFIG": str(own), "HOME": folder}
        done = subprocess.run(command, env=environment)
        proxy.shutdown()
    used = "".join(f"{step.path} {step.body}" for step in recorder.steps)
    for step in recorder.steps:
        step.saves = [(name, where) for name, where in step.saves if "{{" + name + "}}" in used]
    head = "".join(f"# {line}\n" for line in why.splitlines())
    out.write_text(head + "".join(f"\n{step}" for step in recorder.steps))
    print(f"{out}: {len(recorder.steps)} requests")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The test host: a real Kubernetes with one node on this machine.

    host.py check                  says what this machine lacks to run it
    host.py up                     boots it, unless it is up, and waits until pods can run
    host.py down                   ends it; nothing of it stays but built programs and imported images
    host.py status                 says which programs run
    host.py restart PROGRAM        ends one of its programs and starts it again; --kill ends it without a warning
    host.py stop PROGRAM           ends one of its programs; `start PROGRAM` starts it again
    host.py kill CONTAINER         ends a container as a crash would
    host.py import ARCHIVE         imports an OCI archive into its containerd
    host.py run -- COMMAND         runs a command in its network and mount namespace

`up` writes a kubeconfig of an administrator; `make host-up` builds what it needs first.
"""

import argparse
import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

from cluster import certificates, checks, namespaces, programs, settings
from cluster.namespaces import wait

RESTARTABLE = list(programs.PROGRAMS_OF_THE_HOST)


def check():
    if missing := checks.missing():
        sys.exit("this machine cannot run the test host; it lacks\n  " + "\n  ".join(missing))


def up():
    check()
    started = time.monotonic()

    def say(what):
        print(f"{time.monotonic() - started:6.1f} s  {what}", flush=True)

    namespaces.clean()
    if namespaces.recorded("namespace") and not settings.KEYS.exists():
        print(f"ending the host of an earlier checkout in {settings.CHECKOUT}", flush=True)
        namespaces.remove()
    if not namespaces.recorded("namespace"):
        # Keys and data of a run that was cut off.
        shutil.rmtree(settings.RUN, ignore_errors=True)
    for folder in [settings.RUN, settings.KEYS, settings.SETTINGS, settings.LOGS]:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificates.make()
    programs.write_settings()
    namespaces.make()
    for name in ["etcd", "containerd", "kube-apiserver"]:
        start(name)
    wait("containerd", lambda: containerd("version").returncode == 0, settings.BOOT_SECONDS_MAX, ended("containerd"))
    for archive in sorted(settings.IMAGES.glob("*.tar")):
        import_once(archive)
    say("containerd has the images")
    wait("the API server", api_server_ready, settings.BOOT_SECONDS_MAX, ended("kube-apiserver"))
    say("the API server is ready")
    # The controller manager gives up when the API server is not ready.
    for name in ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"]:
        start(name)
    dns = (settings.SOURCES / "dns.yaml").read_text().replace("DNS_SERVICE_IP", settings.DNS_SERVICE_IP)
    kubectl("apply", "--server-side", "-f", "-", input=dns)
    platform()
    wait("the node", node_ready, settings.BOOT_SECONDS_MAX, ended("kubelet"))
    say("the node is ready")
    kubectl("--namespace=kube-system", "rollout", "status", "deployment/coredns", f"--timeout={settings.BOOT_SECONDS_MAX}s")
    shutil.copy(programs.kubeconfig("admin"), settings.KUBECONFIG)
    say(f"pods can run; export KUBECONFIG={settings.KUBECONFIG}")


def platform():
    """Makes what a platform team has for its tenants: classes, and static volumes that claims bind to."""
    manifest = (settings.SOURCES / "platform.yaml").read_text()
    # One whose claim is gone can be bound again only when it is made anew, and what was in it is nobody else's.
    phases = '{range .items[?(@.status.phase=="Released")]}{.metadata.name} {end}'
    if released := kubectl("get", "pv", "--output", f"jsonpath={phases}").split():
        kubectl("delete", "pv", *released)
        for name in released:
            shutil.rmtree(settings.RUN / "volumes" / name.removeprefix("host-path-"), ignore_errors=True)
    documents = []
    for number in range(settings.VOLUMES_COUNT):
        folder = settings.RUN / "volumes" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        # Whatever user a pod runs as may write to its volume.
        folder.chmod(0o777)
        documents.append(manifest.replace("PATH", str(folder)).replace("NUMBER", str(number)))
    kubectl("apply", "--server-side", "-f", "-", input="---\n".join(documents))


def kill(container):
    """Ends a container's processes without a warning, as if they had crashed; the id may be as pods' statuses say it."""
    result = containerd("tasks", "kill", "--all", "--signal", "SIGKILL", container.rpartition("/")[2])
    if result.returncode != 0:
        sys.exit(result.stderr)


def down():
    # Only what containerd keeps outlives the host, so it alone is asked; all else is killed.
    with contextlib.suppress(SystemExit):
        namespaces.stop("containerd")
    namespaces.remove()
    settings.KUBECONFIG.unlink(missing_ok=True)
    shutil.rmtree(settings.RUN, ignore_errors=True)
    print("the test host is down")


def start(name):
    namespaces.start(name, programs.PROGRAMS_OF_THE_HOST[name]())


def restart(name, how=signal.SIGTERM):
    namespaces.stop(name, how)
    start(name)
    if name == "kube-apiserver":
        wait("the API server", api_server_ready, settings.BOOT_SECONDS_MAX, ended(name))


def status():
    for name in ["namespace", *RESTARTABLE]:
        pid = namespaces.recorded(name)
        print(f"{name:24} {f'runs as process {pid}' if pid else 'does not run'}")
    sys.exit(0 if all(map(namespaces.recorded, RESTARTABLE)) else 1)


def ended(name):
    """Says why waiting for a program is in vain, as soon as it is."""
    return lambda: None if namespaces.recorded(name) else f"{name} ended\n{programs.last_lines(name)}"


def containerd(*arguments):
    command = [settings.PROGRAMS / "ctr", "--address", settings.SOCKET, "--namespace", "k8s.io", *arguments]
    return subprocess.run(namespaces.inside(command), capture_output=True, text=True)


def import_once(archive):
    """Imports an image unless containerd has it from this very archive."""
    done = settings.CONTAINERD / "imported" / archive.name
    stat = archive.stat()
    mark = f"{stat.st_mtime_ns} {stat.st_size}"
    if done.exists() and done.read_text() == mark:
        return
    import_image(archive)
    done.parent.mkdir(exist_ok=True)
    done.write_text(mark)


def import_image(archive):
    result = containerd("images", "import", "--digests=false", str(archive))
    if result.returncode != 0:
        sys.exit(f"containerd did not take {archive}: {result.stderr}")


def api_server_ready():
    context = ssl.create_default_context(cafile=programs.certificate("authority"))
    context.load_cert_chain(programs.certificate("admin"), programs.key("admin"))
    try:
        with urllib.request.urlopen(f"{settings.API_SERVER}/readyz", context=context, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def node_ready():
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    command = [settings.KUBECTL, f"--kubeconfig={programs.kubeconfig('admin')}", "get", "node", settings.NODE]
    answer = subprocess.run([*command, "--output", f"jsonpath={path}"], capture_output=True, text=True)
    return answer.stdout == "True"


def kubectl(*arguments, **options):
    command = [settings.KUBECTL, f"--kubeconfig={programs.kubeconfig('admin')}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"kubectl {' '.join(arguments)}: {result.stderr}")
    return result.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ["check", "up", "down", "status"]:
        commands.add_parser(name)
    for name in ["restart", "stop", "start"]:
        command = commands.add_parser(name)
        command.add_argument("program", choices=RESTARTABLE)
        if name != "start":
            command.add_argument("--kill", action="store_const", const=signal.SIGKILL, default=signal.SIGTERM)
    commands.add_parser("kill").add_argument("container")
    commands.add_parser("import").add_argument("archive")
    commands.add_parser("run").add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    os.umask(0o022)
    if options.command not in ("check", "up", "down", "status") and not namespaces.recorded("namespace"):
        sys.exit("the test host is not up; `make host-up` boots it")
    match options.command:
        case "check":
            check()
        case "up":
            up()
        case "down":
            down()
        case "status":
            status()
        case "restart":
            restart(options.program, options.kill)
        case "stop":
            namespaces.stop(options.program, options.kill)
        case "start":
            start(options.program)
        case "kill":
            kill(options.container)
        case "import":
            import_image(os.path.abspath(options.archive))
        case "run":
            command = namespaces.inside([word for word in options.words if word != "--"])
            os.execvp(command[0], command)


if __name__ == "__main__":
    main()

"""The namespaces that the host lives in, and everything that runs in them.

One process holds a network and a mount namespace; all programs of the host are started in both, so that this machine's
firewall, mounts and interfaces stay as they are. What the kubelet sets for the whole machine is put back in the end.
"""

import os
import pathlib
import signal
import subprocess
import time

from .settings import CGROUP, INTERFACE, LOGS, MACHINE_IP, MOUNTS, NODE_IP, PIDS, RUN

# Folders of the machine that the host's programs write to; the host has its own in their place.
OWN_FOLDERS = ["var/lib/kubelet", "var/lib/cni", "var/log/pods", "var/log/containers", "run/netns", "run/containerd"]
# What the kubelet sets for the whole machine.
MACHINE_SETTINGS = ["vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops"]
FORWARDING = ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.all.route_localnet"]
BETWEEN_LOOKS_SECONDS = 0.05
# The API server lets requests end for a minute when it is asked to end.
END_SECONDS_MAX = 90


def wait(what, look, seconds, dead=lambda: None):
    """Looks until `look` gives something true. Ends with what `dead` says as soon as it says anything."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if why := dead():
            raise SystemExit(f"{what}: {why}")
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen within {seconds} seconds; logs are in {LOGS}")
        time.sleep(BETWEEN_LOOKS_SECONDS)
    return found


def lives(pid):
    """Whether a process runs. Those that ended stay as zombies where nobody waits for orphans."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def recorded(name):
    """The process id of a program that runs, or none."""
    try:
        pid = int((PIDS / name).read_text())
    except (OSError, ValueError):
        return None
    return pid if lives(pid) else None


def inside(command):
    """A command as it is started inside the namespaces."""
    return ["nsenter", f"--target={recorded('namespace')}", "--net", "--mount", "--", *map(str, command)]


def start(name, command):
    """Starts a program in the background unless it runs."""
    if recorded(name):
        return
    with open(LOGS / f"{name}.log", "ab") as log:
        process = subprocess.Popen(inside(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (PIDS / name).write_text(str(process.pid))


def stop(name, how=signal.SIGTERM):
    """Ends a program that runs, and waits until it has ended."""
    if pid := recorded(name):
        os.kill(pid, how)
        wait(f"the end of {name}", lambda: reaped(pid), END_SECONDS_MAX)
    (PIDS / name).unlink(missing_ok=True)


def reaped(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return not lives(pid)


def sysctl(name, value=None):
    path = pathlib.Path("/proc/sys", name.replace(".", "/"))
    if value is None:
        return path.read_text().strip()
    path.write_text(value)


def make():
    """Makes the namespaces and joins them with this machine, unless they are there."""
    if recorded("namespace"):
        return
    for folder in OWN_FOLDERS:
        pathlib.Path("/", folder).mkdir(parents=True, exist_ok=True)
        (MOUNTS / folder).mkdir(parents=True, exist_ok=True)
    before = RUN / "machine-settings"
    before.write_text("".join(f"{name}={sysctl(name)}\n" for name in MACHINE_SETTINGS))
    holder = ["unshare", "--net", "--mount", "--propagation=private", "sleep", "infinity"]
    process = subprocess.Popen(holder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    (PIDS / "namespace").write_text(str(process.pid))
    wait("a network namespace", lambda: network(process.pid) != network("self"), 10)
    for command in [
        f"ip link add {INTERFACE} type veth peer name eth0 netns {process.pid}",
        f"ip addr add {MACHINE_IP}/24 dev {INTERFACE}",
        f"ip link set {INTERFACE} up",
    ]:
        subprocess.run(command.split(), check=True)
    # Mounts are shared among the host's programs, and with nobody else: these are copies that were made private.
    within = ["mount --make-rshared /", "ip link set lo up", f"ip addr add {NODE_IP}/24 dev eth0"]
    within += ["ip link set eth0 up", f"ip route add default via {MACHINE_IP}"]
    within += [f"mount --bind {MOUNTS / folder} /{folder}" for folder in OWN_FOLDERS]
    within += [f"sysctl -qw {name}=1" for name in FORWARDING]
    for command in within:
        subprocess.run(inside(command.split()), check=True)


def network(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def cgroups():
    """The host's own control group, one folder for each hierarchy."""
    top = pathlib.Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top / CGROUP]
    return [child / CGROUP for child in top.iterdir() if (child / "cgroup.procs").exists() and not child.is_symlink()]


def make_cgroups():
    for folder in cgroups():
        folder.mkdir(exist_ok=True)
        # In the first version a new group has no processors and no memory until it is told which.
        for name in ["cpuset.cpus", "cpuset.mems"]:
            if (folder / name).exists() and not (folder / "cgroup.controllers").exists():
                (folder / name).write_text((folder.parent / name).read_text())


def members():
    """The ids of all processes in the host's mount namespace or in its control group."""
    found = set()
    for folder in cgroups():
        for listed in folder.rglob("cgroup.procs"):
            try:
                found.update(map(int, listed.read_text().split()))
            except OSError:
                pass
    if holder := recorded("namespace"):
        mounts = os.readlink(f"/proc/{holder}/ns/mnt")
        for process in pathlib.Path("/proc").iterdir():
            try:
                if process.name.isdigit() and os.readlink(process / "ns/mnt") == mounts:
                    found.add(int(process.name))
            except OSError:
                pass
        found.discard(holder)
    return {pid for pid in found if lives(pid)}


def remove():
    """Ends all that runs in the namespaces, then removes them and puts the machine's settings back."""

    def none_left():
        left = members()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left

    wait("the end of all of the host's processes", none_left, 60)
    if holder := recorded("namespace"):
        os.kill(holder, signal.SIGKILL)
        wait("the end of the namespaces", lambda: reaped(holder), 10)
    # It would go with its other end in the namespace, whenever the kernel gets to that.
    subprocess.run(["ip", "link", "del", INTERFACE], capture_output=True)
    wait("the end of the interface", lambda: not pathlib.Path("/sys/class/net", INTERFACE).exists(), 30)
    for folder in cgroups():
        wait(f"the end of {folder}", lambda: removed(folder), 30)
    before = RUN / "machine-settings"
    for line in before.read_text().splitlines() if before.exists() else []:
        sysctl(*line.split("=", 1))


def removed(folder):
    for path in sorted(folder.rglob("*/"), reverse=True) if folder.exists() else []:
        try:
            path.rmdir()
        except OSError:
            pass
    try:
        folder.rmdir()
    except OSError:
        pass
    return not folder.exists()

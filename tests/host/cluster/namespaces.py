"""The namespaces that the host lives in, and everything that runs in them.

One process holds a network and a mount namespace; all programs of the host are started in both, so that this machine's
firewall, mounts and interfaces stay as they are. Several hosts can be up on a machine, each of a checkout of its own; the
registry says which, so that what a run left that was cut off can be found and ended, even when its checkout is gone.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from . import settings
from .settings import DIRECTORY, LOGS, MACHINE_IP, MOUNTS, NAME_ON_THE_MACHINE, NODE_IP, NUMBER, REGISTRY

# Folders of the machine that the host's programs write to; the host has its own in their place.
OWN_FOLDERS = ["var/lib/kubelet", "var/lib/cni", "var/log/pods", "var/log/containers", "run/netns", "run/containerd"]
# What the kubelet sets for the whole machine.
MACHINE_SETTINGS = ["vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops"]
FORWARDING = ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.all.route_localnet"]
BETWEEN_LOOKS_SECONDS = 0.05
# The API server lets requests end for a minute when it is asked to end.
END_SECONDS_MAX = 180


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


def started(pid):
    """When a process was started, which tells it from a later one of its number; none for those that ended. They stay as
    zombies where nobody waits for orphans."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def record(name, pid):
    """Writes down the process of a program."""
    path = REGISTRY / str(NUMBER) / name
    path.with_suffix(".new").write_text(f"{pid} {started(pid)}")
    path.with_suffix(".new").rename(path)


def recorded(name, number=NUMBER):
    """The process id of a program that runs, or none."""
    try:
        pid, when = (REGISTRY / str(number) / name).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if started(pid) == when else None


def inside(command):
    """A command as it is started inside the namespaces."""
    return ["nsenter", f"--target={recorded('namespace')}", "--net", "--mount", "--", *map(str, command)]


def start(name, command):
    """Starts a program in the background unless it runs."""
    if recorded(name):
        return
    with open(LOGS / f"{name}.log", "ab") as log:
        process = subprocess.Popen(inside(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    record(name, process.pid)


def stop(name, how=signal.SIGTERM):
    """Ends a program that runs, and waits until it has ended."""
    if pid := recorded(name):
        os.kill(pid, how)
        wait(f"the end of {name}", lambda: reaped(pid), END_SECONDS_MAX)
    (REGISTRY / str(NUMBER) / name).unlink(missing_ok=True)


def reaped(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return started(pid) is None


def sysctl(name, value=None):
    path = pathlib.Path("/proc/sys", name.replace(".", "/"))
    if value is None:
        return path.read_text().strip()
    path.write_text(value)


def clean():
    """Ends what is left of hosts that nobody can want: of checkouts that are gone, of runs that were cut off."""
    for number, directory in settings.registered().items():
        is_whole = recorded("namespace", number) and (REGISTRY / str(number) / "complete").exists()
        if pathlib.Path(directory).exists() and (is_whole or recorded("maker", number)):
            if number != NUMBER:
                print(f"another host is up on this machine and is left alone: {directory}", flush=True)
            continue
        print(f"ending what is left of a host in {directory}", flush=True)
        remove(number)


def claim():
    """Makes our folder in the registry, in one step: who looks into it sees whose it is, and that it is being made."""
    own, draft = REGISTRY / str(NUMBER), REGISTRY / f"draft-{os.getpid()}"
    draft.mkdir(parents=True)
    (draft / "directory").write_text(str(DIRECTORY))
    (draft / "maker").write_text(f"{os.getpid()} {started(os.getpid())}")
    try:
        draft.rename(own)
    except OSError:
        shutil.rmtree(draft)
        raise SystemExit("another checkout's host came up in this very moment; try again") from None
    return own


def make():
    """Makes the namespaces and joins them with this machine, unless they are there."""
    if recorded("namespace"):
        return
    own = claim()
    for folder in OWN_FOLDERS:
        pathlib.Path("/", folder).mkdir(parents=True, exist_ok=True)
        (MOUNTS / folder).mkdir(parents=True, exist_ok=True)
    # What the machine was like before the first host.
    earlier = [path for path in REGISTRY.glob("*/machine-settings")]
    now = "".join(f"{name}={sysctl(name)}\n" for name in MACHINE_SETTINGS)
    (own / "machine-settings").write_text(earlier[0].read_text() if earlier else now)
    make_cgroups()
    holder = ["unshare", "--net", "--mount", "--propagation=private", "sleep", "infinity"]
    process = subprocess.Popen(holder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    record("namespace", process.pid)
    wait("a network namespace", lambda: namespace(process.pid, "net") != namespace("self", "net"), END_SECONDS_MAX)
    wait("a mount namespace", lambda: namespace(process.pid, "mnt") != namespace("self", "mnt"), END_SECONDS_MAX)
    (own / "mounts").write_text(namespace(process.pid, "mnt"))
    interface = f"{NAME_ON_THE_MACHINE}{NUMBER}"
    outside = [f"ip link add {interface} type veth peer name eth0 netns {process.pid}"]
    outside += [f"ip addr add {MACHINE_IP}/24 dev {interface}", f"ip link set {interface} up"]
    # Mounts are shared among the host's programs, and with nobody else: these are copies that were made private.
    within = ["mount --make-rshared /", "ip link set lo up", f"ip addr add {NODE_IP}/24 dev eth0"]
    within += ["ip link set eth0 up", f"ip route add default via {MACHINE_IP}"]
    within += [f"mount --bind {MOUNTS / folder} /{folder}" for folder in OWN_FOLDERS]
    within += [f"sysctl -qw {name}=1" for name in FORWARDING]
    for command in [*(line.split() for line in outside), *(inside(line.split()) for line in within)]:
        subprocess.run(command, check=True)
    (own / "complete").touch()


def namespace(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def cgroups(number):
    """The control group of a host, one folder for each hierarchy."""
    top, name = pathlib.Path("/sys/fs/cgroup"), f"{NAME_ON_THE_MACHINE}{number}"
    if (top / "cgroup.controllers").exists():
        return [top / name]
    return [child / name for child in top.iterdir() if (child / "cgroup.procs").exists() and not child.is_symlink()]


def make_cgroups():
    for folder in cgroups(NUMBER):
        folder.mkdir(exist_ok=True)
        # In the first version a new group has no processors and no memory until it is told which.
        for name in ["cpuset.cpus", "cpuset.mems"]:
            if (folder / name).exists() and not (folder / "cgroup.controllers").exists():
                (folder / name).write_text((folder.parent / name).read_text())


def members(number):
    """The ids of all processes in a host's mount namespace or in its control group."""
    found = set()
    for folder in cgroups(number):
        for listed in folder.rglob("cgroup.procs"):
            try:
                found.update(map(int, listed.read_text().split()))
            except OSError:
                pass
    mounts = REGISTRY / str(number) / "mounts"
    for process in pathlib.Path("/proc").iterdir() if mounts.exists() else []:
        try:
            if process.name.isdigit() and namespace(process.name, "mnt") == mounts.read_text():
                found.add(int(process.name))
        except OSError:
            pass
    return {pid for pid in found if started(pid)} - {recorded("namespace", number)}


def remove(number=NUMBER):
    """Ends all that runs in a host's namespaces, then removes them and, with the last host, puts the machine's settings
    back."""

    def none_left():
        left = members(number)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left

    wait("the end of all of the host's processes", none_left, END_SECONDS_MAX)
    if holder := recorded("namespace", number):
        os.kill(holder, signal.SIGKILL)
        wait("the end of the namespaces", lambda: reaped(holder), END_SECONDS_MAX)
    # It would go with its other end in the namespace, whenever the kernel gets to that.
    interface = f"{NAME_ON_THE_MACHINE}{number}"
    subprocess.run(["ip", "link", "del", interface], capture_output=True)
    wait("the end of the interface", lambda: not pathlib.Path("/sys/class/net", interface).exists(), END_SECONDS_MAX)
    for folder in cgroups(number):
        wait(f"the end of {folder}", lambda: removed(folder), END_SECONDS_MAX)
    before = REGISTRY / str(number) / "machine-settings"
    if before.exists() and set(settings.registered()) <= {number}:
        for line in before.read_text().splitlines():
            sysctl(*line.split("=", 1))
    shutil.rmtree(REGISTRY / str(number), ignore_errors=True)


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

"""Where everything of the test host is, and which addresses it has."""

import os
import pathlib

SOURCES = pathlib.Path(__file__).resolve().parent.parent
CHECKOUT = SOURCES.parent.parent
DIRECTORY = pathlib.Path(os.environ.get("ALCOVE_HOST_DIR", CHECKOUT / ".cache/host")).resolve()
PROGRAMS = DIRECTORY / "bin"
IMAGES = DIRECTORY / "images"
# What containerd keeps: imported images outlive the host, so that it boots in seconds.
CONTAINERD = DIRECTORY / "containerd"
# What a running host has written; gone when it goes down.
RUN = DIRECTORY / "run"
KEYS = RUN / "keys"
SETTINGS = RUN / "settings"
LOGS = RUN / "logs"
MOUNTS = RUN / "mounts"
ETCD = RUN / "etcd"
# In a folder that the host has for itself: the kernel takes short paths of sockets alone.
SOCKET = "/run/containerd/containerd.sock"
KUBECONFIG = DIRECTORY / "admin.kubeconfig"
KUBECTL = CHECKOUT / ".cache/tools/kubectl-1.35"

# The hosts of this machine: a folder each, named by a number, that says whose the host is and which processes it has.
REGISTRY = pathlib.Path("/run/alcove-hosts")
# The most hosts that may be up on one machine, each of another checkout.
HOSTS_MAX = 16
# What the machine sees of a host, with its number behind it: the interface that leads to it, and its control group.
NAME_ON_THE_MACHINE = "alcove-host"


def registered():
    """The directories of the hosts of this machine, by number."""
    return {int(path.parent.name): path.read_text() for path in REGISTRY.glob("[0-9]*/directory")}


def choose_number():
    """The number of this checkout's host, or the first that is free."""
    owners = registered()
    for number, directory in owners.items():
        if directory == str(DIRECTORY):
            return number
    interfaces = pathlib.Path("/sys/class/net").glob(f"{NAME_ON_THE_MACHINE}[0-9]*")
    taken = {*owners, *(int(path.name.removeprefix(NAME_ON_THE_MACHINE)) for path in interfaces)}
    return next(number for number in range(len(taken) + 1) if number not in taken)


NUMBER = choose_number()
NODE = "alcove-host"
NODE_IP = f"10.98.{NUMBER}.1"
MACHINE_IP = f"10.98.{NUMBER}.254"
API_SERVER = f"https://{NODE_IP}:6443"
SERVICES = "10.97.0.0/16"
API_SERVER_SERVICE_IP = "10.97.0.1"
DNS_SERVICE_IP = "10.97.0.10"
ALL_PODS = "10.245.0.0/16"
NODE_PODS = "10.245.0.0/24"
CGROUP = f"{NAME_ON_THE_MACHINE}{NUMBER}"
SANDBOX_IMAGE = "registry.k8s.io/pause:3.10.2"
CNI_PROGRAMS = "/usr/lib/cni"

# Each claim of a tenant takes one for good.
VOLUMES_COUNT = 24
# A host takes seconds to boot, and minutes on a machine that does other things too.
BOOT_SECONDS_MAX = 600

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
PIDS = RUN / "pids"
MOUNTS = RUN / "mounts"
SOCKET = RUN / "containerd.sock"
ETCD = RUN / "etcd"
KUBECONFIG = DIRECTORY / "admin.kubeconfig"
KUBECTL = CHECKOUT / ".cache/tools/kubectl-1.35"

NODE = "alcove-host"
# A pair of interfaces joins the host's network namespace with this machine.
INTERFACE = "alcove-host0"
NODE_IP = "10.98.0.1"
MACHINE_IP = "10.98.0.254"
API_SERVER = f"https://{NODE_IP}:6443"
SERVICES = "10.97.0.0/16"
API_SERVER_SERVICE_IP = "10.97.0.1"
DNS_SERVICE_IP = "10.97.0.10"
ALL_PODS = "10.245.0.0/16"
NODE_PODS = "10.245.0.0/24"
CGROUP = "alcove-host"
SANDBOX_IMAGE = "registry.k8s.io/pause:3.10.2"
CNI_PROGRAMS = "/usr/lib/cni"

# Each claim of a tenant takes one for good.
VOLUMES_COUNT = 24
# A host takes seconds to boot, and minutes on a machine that does other things too.
BOOT_SECONDS_MAX = 240
# The kernel takes paths of sockets up to this length.
SOCKET_PATH_BYTES_MAX = 107

"""What a machine must have before a host can boot on it. Whatever is missing is named, all at once."""

import os
import pathlib
import shutil
import subprocess

from . import settings


def missing():
    """What is missing, one sentence each."""
    found = [sentence for check in (root, cgroups, overlay, go, packages, room) for sentence in check()]
    return found


def root():
    if os.geteuid() != 0:
        yield "root: containers, network namespaces and mounts are made by root alone; run make as root"


def cgroups():
    folder = pathlib.Path("/sys/fs/cgroup")
    if (folder / "cgroup.controllers").exists():
        have = (folder / "cgroup.controllers").read_text().split()
    else:
        have = [child.name for child in folder.iterdir() if child.is_dir()] if folder.is_dir() else []
    lacking = {"cpu", "cpuset", "memory", "pids"} - set(name for entry in have for name in entry.split(","))
    if lacking:
        yield f"cgroups: the controllers {', '.join(sorted(lacking))} are not in /sys/fs/cgroup"
    elif not os.access(folder, os.W_OK):
        yield "cgroups: /sys/fs/cgroup is read-only; in a container, run it privileged"


def overlay():
    if "overlay" in pathlib.Path("/proc/filesystems").read_text().split():
        return
    if subprocess.run(["modprobe", "overlay"], capture_output=True).returncode != 0:
        yield "overlayfs: the kernel does not have the file system of containers' roots"


def go():
    if shutil.which("go") is None:
        yield "Go: the programs are built from source; install Go 1.26"


def packages():
    if shutil.which("dpkg-query") is None:
        yield "Debian: the packages that the host is made of are Debian's, and dpkg is not there"
        return
    install = settings.SOURCES / "install.sh"
    names = subprocess.run([install, "--missing"], check=True, capture_output=True, text=True).stdout.strip()
    if names:
        yield f"packages: {names}; `make host-tools` installs them"
    if shutil.which("cc") is None:
        yield "a C compiler: the image of pods' sandboxes has one small program in C"


def room():
    if settings.NUMBER >= settings.HOSTS_MAX:
        yield f"room: {settings.HOSTS_MAX} hosts of other checkouts are up, see {settings.REGISTRY}; `make host-down` ends one"

#!/usr/bin/env python3
"""Makes the images of the test host's pods: images.py PROGRAMS OUT [--alcove BINARY]

PROGRAMS is the folder that programs/build.sh filled. The images carry upstream's names, so that its tests find them, but
are made of installed Debian packages and our own builds: nothing is pulled. An archive that was made from the same
sources is left as it is.
"""

import argparse
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))
import oci  # noqa: E402

UPSTREAM = "registry.k8s.io/e2e-test-images/"
FOLDERS = "bin dev etc home mnt proc root run sbin sys tmp usr/bin usr/sbin usr/local/bin var/log var/run var/tmp"
# What glibc opens only at run time, to look names up.
NAME_LOOKUP = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"]
USERS = {"root": 0, "daemon": 1, "www-data": 33, "nobody": 65534}
NGINX_CONFIG = """\
worker_processes 1;
user root;
error_log /dev/stderr;
events { worker_connections 512; }
http {
    include mime.types;
    access_log /dev/stdout;
    server { listen 80; listen [::]:80; root /usr/share/nginx/html; index index.html; }
}
"""


class Root:
    """A folder that becomes the root of an image."""

    def __init__(self, path):
        self.path = path

    def write(self, path, text, mode=0o644):
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def copy(self, source, path=None, mode=0o755):
        """Copies a file, to its own path unless another is given, without what it links to."""
        target = self.path / (path or str(source).lstrip("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)

    def link(self, path, to):
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(to)

    def install(self, *programs):
        """Copies installed programs with the shared libraries that they need."""
        for program in programs:
            self.copy(program)
            listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
            for library in re.findall(r"(/\S+) \(0x", listed):
                self.copy(library)

    def shell(self):
        """A small system: busybox's commands, a shell, name lookup and users."""
        for folder in FOLDERS.split():
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        for folder in ["tmp", "var/tmp"]:
            (self.path / folder).chmod(0o1777)
        self.install("/bin/busybox", "/bin/bash")
        commands = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout
        for command in commands.split():
            self.link(f"bin/{command}", "busybox")
        # Busybox' own shell drops environment variables such as `data-1`, which tests read back.
        self.link("bin/sh", "bash")
        self.link("usr/bin/env", "../../bin/env")
        libraries = pathlib.Path(re.search(r"(/\S+)/libc\.so", self.listed("/bin/busybox")).group(1))
        for library in NAME_LOOKUP:
            self.copy(libraries / library)
        self.write("etc/passwd", "".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in USERS.items()))
        self.write("etc/group", "".join(f"{name}:x:{uid}:\n" for name, uid in USERS.items()))
        self.write("etc/nsswitch.conf", "hosts: files dns\npasswd: files\ngroup: files\n")

    @staticmethod
    def listed(program):
        return subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout


    def compile(self, source, path, mode=0o755):
        subprocess.run(["cc", "-Os", "-static", "-s", "-o", self.path / path, HERE / source], check=True)
        (self.path / path).chmod(mode)


def pause(root, _programs):
    root.compile("pause.c", "pause")


def nonewprivs(root, _programs):
    root.compile("euid.c", "euid", mode=0o4755)


def busybox(root, _programs):
    root.shell()
    (root.path / "bin/sh").unlink()
    root.compile("sh.c", "bin/sh")


def agnhost(root, programs):
    root.shell()
    root.install("/usr/bin/curl", "/usr/bin/dig", "/usr/bin/nc.openbsd", "/usr/bin/ip")
    root.link("bin/nc", "/usr/bin/nc.openbsd")
    root.link("bin/ip", "/usr/bin/ip")
    root.copy(programs / "agnhost", "agnhost")
    root.link("agnhost-2", "agnhost")
    (root.path / "uploads").mkdir()
    # Upstream's image has them here: its tests serve TLS with them, and ask for them by HTTP.
    key, certificate = root.path / "localhost.key", root.path / "localhost.crt"
    request = "openssl req -x509 -newkey rsa:2048 -noenc -days 3650 -subj /CN=localhost".split()
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o644)


def nginx(root, _programs):
    root.shell()
    root.install("/usr/sbin/nginx")
    root.copy("/etc/nginx/mime.types", mode=0o644)
    root.write("etc/nginx/nginx.conf", NGINX_CONFIG)
    root.write("usr/share/nginx/html/index.html", "<html><body>Welcome to nginx!</body></html>\n")
    for folder in ["var/log/nginx", "var/lib/nginx"]:
        (root.path / folder).mkdir(parents=True)


def nautilus(root, programs):
    nginx(root, programs)
    root.write("usr/share/nginx/html/data.json", '{"image": "nautilus.jpg"}\n')


def dns(root, _programs):
    root.shell()
    root.install("/usr/bin/dig", "/usr/bin/getent")


def coredns(root, programs):
    root.copy(programs / "coredns", "coredns")


def etcd(root, programs):
    root.copy(programs / "etcd", "usr/local/bin/etcd")


def sample_apiserver(root, programs):
    root.copy(programs / "sample-apiserver", "sample-apiserver")


# archive -> names, how its root is made, its configuration, and the programs of ours in it
IMAGES = {
    "pause": (["registry.k8s.io/pause:3.10.2"], pause, {"Entrypoint": ["/pause"], "User": "65535:65535"}, []),
    "busybox": ([UPSTREAM + "busybox:1.37.0-1"], busybox, {"Cmd": ["sh"]}, []),
    "agnhost": ([UPSTREAM + "agnhost:2.63.0", UPSTREAM + "agnhost:2.55"], agnhost, {"Entrypoint": ["/agnhost"], "Cmd": ["pause"]}, ["agnhost"]),
    "nginx": ([UPSTREAM + "nginx:1.27-0", UPSTREAM + "nginx:1.15-4"], nginx, {"Cmd": ["nginx", "-g", "daemon off;"]}, []),
    "nautilus": ([UPSTREAM + "nautilus:1.8"], nautilus, {"Cmd": ["nginx", "-g", "daemon off;"]}, []),
    "nonewprivs": ([UPSTREAM + "nonewprivs:1.4"], nonewprivs, {"Cmd": ["/euid"]}, []),
    "dns": ([UPSTREAM + "glibc-dns-testing:2.0.0"], dns, {"Cmd": ["bash"]}, []),
    "coredns": (["registry.k8s.io/coredns/coredns:host"], coredns, {"Entrypoint": ["/coredns"]}, ["coredns"]),
    "etcd": (["registry.k8s.io/etcd:3.6.8-0"], etcd, {"Entrypoint": ["/usr/local/bin/etcd"]}, ["etcd"]),
    "sample-apiserver": ([UPSTREAM + "sample-apiserver:1.29.2"], sample_apiserver, {"Entrypoint": ["/sample-apiserver"]}, ["sample-apiserver"]),
}


def sources(programs, used):
    """What an image is made from, as one text: our scripts, our programs' pins, Debian's packages."""
    digest = hashlib.sha256()
    for path in [HERE / "images.py", HERE / "pause.c", HERE / "euid.c", HERE / "sh.c", pathlib.Path(oci.__file__)]:
        digest.update(path.read_bytes())
    for program in used:
        digest.update((programs / f".{program}.pins").read_bytes())
    digest.update(pathlib.Path("/var/lib/dpkg/status").read_bytes())
    return digest.hexdigest()


def make(archive, image, programs, out):
    names, fill, config, used = image
    made_from = out / f".{archive}.sources"
    wanted = sources(programs, used)
    if (out / f"{archive}.tar").exists() and made_from.exists() and made_from.read_text() == wanted:
        return
    with tempfile.TemporaryDirectory(dir=out) as folder:
        root = pathlib.Path(folder)
        root.chmod(0o755)
        fill(Root(root), programs)
        oci.image(root, out / f"{archive}.tar", names, {"Env": [oci.PATH], **config})
    made_from.write_text(wanted)
    print(f"made the image {names[0]}")


def alcove(binary, out):
    """An image of a binary of alcove as cargo builds it while one works, under the name that `make image` gives."""
    version = re.search(r'^version = "(.*)"', (HERE.parent.parent / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        root = pathlib.Path(folder)
        root.chmod(0o755)
        Root(root).install(str(binary))
        Root(root).copy(binary, "alcove")
        (root / str(binary).lstrip("/")).unlink()
        config = {"Entrypoint": ["/alcove"], "User": "65532:65532", "Env": [oci.PATH]}
        oci.image(root, out / "alcove.tar", [f"ghcr.io/alcove-dev/alcove:{version}"], config)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--alcove", type=pathlib.Path, help="a binary of alcove, linked as it may be; makes OUT/alcove.tar")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    if options.alcove:
        return alcove(options.alcove.resolve(), options.out.resolve())
    for archive, image in IMAGES.items():
        make(archive, image, options.programs.resolve(), options.out.resolve())


if __name__ == "__main__":
    main()

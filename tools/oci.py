#!/usr/bin/env python3
"""Writes container images without a container daemon: a folder and a configuration become an OCI archive.

    oci.py ROOT OUT.tar --name registry.example/name:tag --entrypoint '["/program"]' --user 65532:65532

The archive is an OCI image layout with one layer, and holds what `docker load` reads as well, so `ctr images import`,
`podman load`, `docker load` and `kind load image-archive` all take it. The same files give the same bytes: entries are
sorted, belong to root, and carry the time SOURCE_DATE_EPOCH (0 unless set). Modes are kept as they are on disk.
"""

import argparse
import datetime
import hashlib
import io
import json
import os
import pathlib
import platform
import sys
import tarfile

MEDIA = "application/vnd.oci.image."
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encoded(tree):
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def layer(root, epoch):
    """The folder's content as a tar archive."""

    def normal(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = epoch
        return entry

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(os.listdir(root)):
            tar.add(os.path.join(root, name), arcname=name, filter=normal)
    return archive.getvalue()


def descriptor(kind, data, **more):
    return {"mediaType": MEDIA + kind, "digest": digest(data), "size": len(data), **more}


def image(root, out, names, config, architecture=None, epoch=0):
    """Writes the archive `out` of the folder `root` under all `names`; `config` holds OCI's `Entrypoint`, `Cmd`, `User`,
    `Env`, `WorkingDir`, `Labels`, `ExposedPorts`. Gives the digest of its manifest."""
    architecture = architecture or ARCHITECTURES.get(platform.machine(), platform.machine())
    content = layer(root, epoch)
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    settings = encoded({
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {key: value for key, value in config.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [digest(content)]},
        "history": [{"created": created, "created_by": "tools/oci.py"}],
    })
    manifest = encoded({
        "schemaVersion": 2,
        "mediaType": MEDIA + "manifest.v1+json",
        "config": descriptor("config.v1+json", settings),
        "layers": [descriptor("layer.v1.tar", content)],
    })
    index = encoded({
        "schemaVersion": 2,
        "mediaType": MEDIA + "index.v1+json",
        "manifests": [
            descriptor(
                "manifest.v1+json",
                manifest,
                platform={"architecture": architecture, "os": "linux"},
                annotations={
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1],
                },
            )
            for name in names
        ],
    })
    blob = {data: "blobs/sha256/" + digest(data).removeprefix("sha256:") for data in (content, settings, manifest)}
    for_docker = [{"Config": blob[settings], "RepoTags": list(names), "Layers": [blob[content]]}]
    files = {"oci-layout": encoded({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    files["manifest.json"] = encoded(for_docker)
    files.update((path, data) for data, path in blob.items())
    write(out, files, epoch)
    return digest(manifest)


def write(out, files, epoch):
    """Writes the files as one tar archive, which takes the place of `out` only when it is whole."""
    out = pathlib.Path(out)
    unfinished = out.with_name(out.name + ".tmp")
    with tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(data), epoch, 0o644
            tar.addfile(entry, io.BytesIO(data))
    unfinished.replace(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=pathlib.Path, help="the folder that becomes the image's root")
    parser.add_argument("out", type=pathlib.Path, help="the archive to write")
    parser.add_argument("--name", action="append", required=True, help="REPOSITORY:TAG; may be given several times")
    parser.add_argument("--entrypoint", type=json.loads, help="a JSON array")
    parser.add_argument("--cmd", type=json.loads, help="a JSON array")
    parser.add_argument("--user", help="UID, or UID:GID")
    parser.add_argument("--workdir")
    parser.add_argument("--env", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--arch", help="amd64 or arm64; this machine's unless given")
    options = parser.parse_args()
    if not options.root.is_dir():
        sys.exit(f"oci.py: {options.root} is no folder")
    if unnamed := [name for name in options.name if ":" not in name.rsplit("/", 1)[-1]]:
        sys.exit(f"oci.py: {unnamed[0]} has no tag")
    config = {
        "Entrypoint": options.entrypoint,
        "Cmd": options.cmd,
        "User": options.user,
        "WorkingDir": options.workdir,
        "Env": [PATH, *options.env],
        "Labels": dict(label.split("=", 1) for label in options.label),
    }
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    written = image(options.root, options.out, options.name, config, options.arch, epoch)
    print(f"{options.out} {options.name[0]} {written} {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

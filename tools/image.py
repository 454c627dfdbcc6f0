#!/usr/bin/env python3
"""Makes the image of alcove: one static binary, no shell, no user but a number.

    image.py OUT.tar                  builds the binary, then writes the image
    image.py OUT.tar --binary FILE    writes the image of a binary that is there

The binary is linked statically (static-pie on the gnu target), so nothing else is in the image. Paths of the machine that
builds are mapped away, and tools/oci.py does the rest: the same sources and toolchain give the same digest.

Three things make it smaller, since most of a tenant's memory is its program: addresses that are set right at the start are
listed in the packed form where the C library can read it, SQLite comes without the parts that we do not use, and the
functions that a tenant runs stand together (tools/cc.py).
"""

import argparse
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import oci  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = "ghcr.io/alcove-dev/alcove"
# Nobody's number by convention; the chart runs the pod as it.
USER = "65532:65532"
# What the program finds around it.
ENVIRONMENT = {"PATH": "/"}
# The most that the image may have, in bytes: what people pull is what they wait for.
BYTES_MAX = 30_000_000
PT_INTERP = 3
ARCHITECTURES = {62: "amd64", 183: "arm64"}
# The first glibc that starts a static binary whose relative relocations are packed (DT_RELR).
PACKED_SINCE = (2, 36)
# Names of functions that tell apart what a generic one was made for: tools/cc.py goes by them.
SYMBOLS = "-Csymbol-mangling-version=v0"
# What the crate libsqlite3-sys switches on and nobody here uses: search in texts, trees of rectangles, and the like.
SQLITE_FLAGS = [
    "-USQLITE_ENABLE_FTS3", "-USQLITE_ENABLE_FTS3_PARENTHESIS", "-USQLITE_ENABLE_FTS5", "-USQLITE_ENABLE_RTREE",
    "-USQLITE_ENABLE_DBSTAT_VTAB", "-USQLITE_ENABLE_STAT4", "-USQLITE_ENABLE_COLUMN_METADATA", "-USQLITE_SOUNDEX",
    "-DSQLITE_OMIT_JSON",
    # Where the log's size stays, a commit waits for its data alone and not for the file system's journal.
    "-DHAVE_FDATASYNC=1",
]


def fail(sentence):
    sys.exit(f"image.py: {sentence}")


def version():
    """The version of the workspace."""
    for line in (ROOT / "Cargo.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    fail("Cargo.toml names no version")


def libc():
    """The version of the C library that is linked in; of none that is not glibc."""
    try:
        name, _, number = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
    except (AttributeError, ValueError, OSError):
        return (0, 0)
    return tuple(int(part) for part in number.split(".")[:2]) if name == "glibc" else (0, 0)


def build():
    """Builds the static binary in a folder of its own, so that other builds keep theirs. Gives its path, beside which the
    same with names of functions stands where tools/cc.py has made it."""
    about = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    target = about.split("host: ")[1].split()[0]
    home = os.environ.get("CARGO_HOME") or str(pathlib.Path.home() / ".cargo")
    remap = [f"--remap-path-prefix={home}=/cargo", f"--remap-path-prefix={ROOT}=/alcove"]
    folder = ROOT / ".cache" / "image"
    # A linker that does not know the option says so and goes on.
    packed = ["-Clink-arg=-Wl,-z,pack-relative-relocs"] if libc() >= PACKED_SINCE else []
    flags = ["-Ctarget-feature=+crt-static", SYMBOLS, *packed, *remap]
    environment = {
        **os.environ,
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "LIBSQLITE3_FLAGS": " ".join(SQLITE_FLAGS),
        f"CARGO_TARGET_{target.upper().replace('-', '_')}_LINKER": str(ROOT / "tools" / "cc.py"),
    }
    command = ["cargo", "build", "--release", "--locked", "--target", target, "--target-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if built.returncode != 0:
        fail("the build failed, see above")
    made = [folder / target / "release" / name for name in ("alcove", "alcove.symbols")]
    for file in filter(pathlib.Path.exists, made):
        shutil.copy2(file, folder / file.name)
    return folder / "alcove"


def architecture(binary):
    """The architecture that a static 64-bit binary is for; others end the program."""
    data = binary.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        fail(f"{binary} is no 64-bit ELF binary")
    machine = struct.unpack_from("<H", data, 18)[0]
    headers, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = [struct.unpack_from("<I", data, headers + at * size)[0] for at in range(count)]
    if PT_INTERP in kinds:
        fail(f"{binary} is not linked statically: it would not start in an image without libraries")
    if machine not in ARCHITECTURES:
        fail(f"{binary} is for no architecture that images are made for (ELF machine {machine})")
    return ARCHITECTURES[machine]


def write(binary, out):
    """Writes the image of a binary. Gives its digest."""
    is_for, tag = architecture(binary), version()
    if binary.stat().st_size > BYTES_MAX:
        fail(f"{binary} has {binary.stat().st_size} bytes; {BYTES_MAX} are the most")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for source, name, mode in [(binary, "alcove", 0o755), (ROOT / "LICENSE", "LICENSE", 0o644)]:
            shutil.copyfile(source, root / name)
            (root / name).chmod(mode)
        config = {
            "Entrypoint": ["/alcove"],
            "User": USER,
            "WorkingDir": "/",
            "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
            "Labels": {
                "org.opencontainers.image.title": "alcove",
                "org.opencontainers.image.version": tag,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.url": "https://alcove.dev",
            },
        }
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
        digest = oci.image(root, out, [f"{REPOSITORY}:{tag}"], config, is_for, epoch)
    return digest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="the archive to write")
    parser.add_argument("--binary", type=pathlib.Path, help="a static binary; built unless given")
    options = parser.parse_args()
    binary = options.binary or build()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    digest = write(binary, options.out)
    print(f"{options.out} {REPOSITORY}:{version()} {digest} {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

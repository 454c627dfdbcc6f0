#!/usr/bin/env python3
"""The linker of the image's build: puts the functions that a tenant runs side by side.

    cc.py ARGUMENTS...    what rustc would give to cc

Most of a tenant's memory is its program, and the kernel brings a program in by pieces of 64 KiB: functions that run,
scattered among those that seldom do, bring in nearly all of it. So the program is linked twice: once to learn the names of
its functions, then with those that tools/hot.txt lists at its beginning. Only lld knows how; any other linker is left
alone, as is the linking of all but alcove itself. Names that are no longer there are passed over: an old list costs
memory, nothing else. benches/hot.py makes the list.

The first result has the names of all functions and stays beside the second as `alcove.symbols`, for profiles and for the
list.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

LIST = pathlib.Path(__file__).resolve().with_name("hot.txt")
# Letters of a name's digest in the list: enough to tell some ten thousand names apart.
DIGEST_LETTERS = 8
SUFFIX = re.compile(r"\.llvm\.\d+")


def digest(name):
    """The digest of a function's name as people write it, without what differs from build to build."""
    return hashlib.sha256(SUFFIX.sub("", name).encode()).hexdigest()[:DIGEST_LETTERS]


def functions(binary):
    """The names of a program's functions: (as the linker knows it, as people write it)."""
    listed = [
        subprocess.run(["nm", *how, str(binary)], check=True, capture_output=True, text=True).stdout.splitlines()
        for how in ([], ["--demangle"])
    ]
    for raw, readable in zip(*listed):
        fields, names = raw.split(None, 2), readable.split(None, 2)
        if len(fields) == 3 and fields[1] in "tTwWi":
            yield fields[2], names[2]


def parts(text):
    """The parts of a list, hottest first, each a set of digests."""
    found = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append(set())
        elif line and not line.startswith("#"):
            found[-1].update(line.split(":", 1)[1].split())
    return found


def ordered(binary, text):
    """The functions of a program that a list names, in its order."""
    known = [(raw, digest(readable)) for raw, readable in functions(binary)]
    names = [raw for part in parts(text) for raw, of in known if of in part]
    return list(dict.fromkeys(names))


def program(arguments):
    """The file that is linked, when it is alcove itself and lld links it."""
    out = pathlib.Path(arguments[arguments.index("-o") + 1]) if "-o" in arguments else pathlib.Path()
    ours = re.fullmatch(r"alcove-[0-9a-f]{16}", out.name) and out.parent.name == "deps"
    return out if ours and "-fuse-ld=lld" in arguments else None


def link(arguments):
    """Runs the compiler driver that rustc would have run. Ends the program where that fails."""
    done = subprocess.run([os.environ.get("CC", "cc"), *arguments], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


def lay_out(arguments, out, text):
    """Links a program with the functions of a list at its beginning, and beside it one with all names."""
    symbols = out.parent.parent / "alcove.symbols"
    link([symbols if argument == str(out) else argument for argument in arguments if "--strip-" not in argument])
    names = ordered(symbols, text)
    with tempfile.NamedTemporaryFile("w", suffix=".order") as order:
        order.write("\n".join(names))
        order.flush()
        link([*arguments, f"-Wl,--symbol-ordering-file={order.name}", "-Wl,--no-warn-symbol-ordering"])


def main():
    arguments = sys.argv[1:]
    out = program(arguments)
    if out is None:
        link(arguments)
    else:
        lay_out(arguments, out, LIST.read_text())


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""document.py PAGE [OPTIONS]: types the commands of a page as its reader would, one after another in one shell, and compares
what they print with what the page says.

Commands are the `$` lines of its `console` blocks; what follows one is what it prints: `...` stands for any number of lines,
`<word>` for any word, blanks in a row for one. Where the page shows nothing, anything may come, but no failure.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time

# How long one command may take, and a forwarded port to be there.
COMMAND_SECONDS_MAX = 300
MARK = "----- the end of a command:"


def blocks(text):
    """The console blocks of a page, each with the heading that it stands under."""
    heading, block = "", None
    for line in text.splitlines():
        if block is None and line.startswith("#"):
            heading = line.lstrip("# ")
        elif line == "```console":
            block = []
        elif line == "```" and block is not None:
            yield heading, block
            block = None
        elif block is not None:
            block.append(line)


def steps(block):
    """The commands of a block, each with the lines that it prints."""
    found = []
    for line in block:
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def pattern(lines):
    """What lines of a page may look like."""
    out = ""
    for line in lines:
        if line.strip() == "...":
            out += r"(?:.*\n)*?"
            continue
        words = (re.sub(r"\\?<[a-z-]+\\?>", r"\\S+", re.escape(word)) for word in line.split())
        out += r"[ \t]+".join(words) + r"[ \t]*\n"
    return re.compile(out)


class Shell:
    """A shell that lives as long as the reader sits before it."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )
        signal.signal(signal.SIGALRM, self.late)
        self.tell("shopt -s expand_aliases")

    def late(self, *_):
        raise TimeoutError(f"a command took longer than {COMMAND_SECONDS_MAX} s")

    def tell(self, command):
        """Types a command; gives what it printed and its exit code."""
        # Nobody answers questions; what runs behind it keeps no pipe of ours.
        self.process.stdin.write(f"{{\n{command}\n}} </dev/null\nprintf '\\n%s %s\\n' '{MARK}' $?\n")
        self.process.stdin.flush()
        printed = []
        signal.alarm(COMMAND_SECONDS_MAX)
        for line in self.process.stdout:
            if line.startswith(MARK):
                break
            printed.append(line)
        signal.alarm(0)
        return "".join(printed).strip() + "\n", int(line.split()[-1])

    def end(self):
        """Ends it, and what it left running."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


def listening(command):
    """Waits for the port that a command behind it forwards."""
    port = int(re.search(r" (\d+):\d+", command).group(1))
    end = time.monotonic() + COMMAND_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def play(shell, command, lines):
    printed, code = shell.tell(command)
    if code == 0 and command.rstrip().endswith("&"):
        listening(command)
    elif code or (lines and not pattern(lines).fullmatch(printed)):
        sys.exit(f"$ {command}\n--- the page says\n" + "\n".join(lines) + f"\n--- found, exit {code}\n{printed}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page")
    parser.add_argument("--without", action="append", default=[], metavar="HEADING", help="leave out its commands")
    parser.add_argument("--last", action="append", default=[], metavar="HEADING", help="type its commands after all others")
    options = parser.parse_args()
    with open(options.page, encoding="utf-8") as page:
        found = list(blocks(page.read()))
    for heading in options.without + options.last:
        assert heading in {of for of, _ in found}, f"no commands stand under {heading!r}"
    found = [block for block in found if block[0] not in options.without]
    found.sort(key=lambda block: options.last.index(block[0]) + 1 if block[0] in options.last else 0)
    shell, count = Shell(), 0
    try:
        for command, lines in (step for _, block in found for step in steps(block)):
            play(shell, command, lines)
            count += 1
    finally:
        shell.end()
    print(f"{count} commands did what the page says")


if __name__ == "__main__":
    main()

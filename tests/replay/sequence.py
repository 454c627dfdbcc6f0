"""Sequences of requests as data.

A file begins with comments (`# ...`) that say who sends such requests; `# Since 1.36.` at the start of one leaves the
sequence out for minors before. Then come steps:

    ### what the step does, in a few words
    POST /api/v1/namespaces/{{ns}}/configmaps?dryRun=All
    Content-Type: application/yaml
    @save rv metadata.resourceVersion
    @wait status.phase Active
    @body base64

    the body, as it is sent

`{{NAME}}` stands for something saved earlier, of each server its own; `{{ns}}` is the namespace of the sequence. `@save NAME
WHERE` keeps a part of the answer, `@wait WHERE VALUE` asks again until the answer has it. `@body base64` stands where the body is no text.
Headers and body may be missing.
"""

import base64
import re
from dataclasses import dataclass, field


@dataclass
class Step:
    title: str
    method: str
    path: str
    headers: dict = field(default_factory=dict)
    body: str = None
    encoded: bool = False
    saves: list = field(default_factory=list)
    waits: list = field(default_factory=list)

    def sent(self, known):
        """The body as it goes over the wire."""
        if self.body is None:
            return None
        return base64.b64decode(self.body) if self.encoded else self.filled(self.body, known).encode()

    def filled(self, text, known):
        """The text with what was saved earlier. A server that did not give it gets a name that is wrong."""
        return re.sub(r"\{\{(\w+)\}\}", lambda found: known.get(found[1], f"unknown-{found[1]}"), text)

    def __str__(self):
        lines = [f"### {self.title}", f"{self.method} {self.path}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"@save {name} {where}" for name, where in self.saves]
        lines += [f"@wait {where} {value}" for where, value in self.waits]
        lines += ["@body base64"] if self.encoded else []
        return "\n".join(lines) + ("\n\n" + self.body if self.body else "") + "\n"


def read(path):
    head, *parts = re.split(r"^### ", path.read_text(), flags=re.MULTILINE)
    stray = [line for line in head.splitlines() if line.strip() and not line.startswith("#")]
    if stray or not head.strip():
        raise ValueError(f"{path} begins with comments that say who sends this, not with {stray}")
    steps = [parse(part, path) for part in parts]
    titles = [step.title for step in steps]
    for title in titles:
        if titles.count(title) > 1:
            raise ValueError(f"{path}: several steps are called {title!r}")
    return steps


def since(path):
    """The first minor that a sequence is for, as (1, 36); of all, (0, 0)."""
    found = re.search(r"^# Since (\d+)\.(\d+)\.", path.read_text(), re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def parse(part, path):
    top, _, body = part.partition("\n\n")
    title, request, *rest = top.splitlines()
    method, _, target = request.partition(" ")
    step = Step(title.strip(), method, target.strip(), body=body.strip("\n") or None)
    for line in rest:
        if line == "@body base64":
            step.encoded = True
        elif line.startswith("@"):
            directive, name, value = line.split(" ", 2)
            {"@save": step.saves, "@wait": step.waits}[directive].append((name, value.strip()))
        else:
            name, separator, value = line.partition(":")
            if not separator:
                raise ValueError(f"{path}: {title}: {line!r} is no header")
            step.headers[name.strip()] = value.strip()
    return step


def at(tree, where):
    """A part of an answer: `items.0.metadata.uid`; `conditions.[type=Ready].status` finds in a list. None if it is not there."""
    for key in where.split("."):
        if match := re.fullmatch(r"\[(\w+)=(.*)\]", key):
            tree = next((e for e in tree or [] if isinstance(e, dict) and str(e.get(match[1])) == match[2]), None)
        elif isinstance(tree, list):
            tree = tree[int(key)] if key.isdigit() and int(key) < len(tree) else None
        else:
            tree = tree.get(key) if isinstance(tree, dict) else None
    return tree

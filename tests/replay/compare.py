"""What two servers answered, with all that may differ taken out."""

import json
import re
from itertools import zip_longest

# Headers that clients read. Values of the second kind differ by nature: only whether they are there counts.
HEADERS = ["Content-Type", "Cache-Control", "Warning", "Location", "Www-Authenticate", "Retry-After", "Allow",
           "X-Content-Type-Options", "Content-Encoding", "Vary", "Deprecation"]
PRESENCE = ["Audit-Id", "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid", "Etag"]

# In any text: what it is called instead.
PATTERNS = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "MICROTIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\b10\.96\.\d+\.\d+\b", "CLUSTERIP"),
    # Before node ports: it may be such a number.
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b3[012]\d{3}\b", "NODEPORT"),
    (r"kube-api-access-\w{5}", "kube-api-access-SUFFIX"),
    (r"(?s)-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----\n", "CERTIFICATE"),
    (r"^\d+s$", "SECONDS"),
    (r"\"?resourceVersion\"?: ?\"?\d+", "resourceVersion: REVISION"),
    (r"too old resource version: \d+ \(\d+\)", "too old resource version: REVISION (REVISION)"),
    (r"current: \d+", "current: REVISION"),
    (r"ResourceVersion in record \(\d+\)", "ResourceVersion in record (REVISION)"),
]
# By the name of a field.
FIELDS = {"resourceVersion": "REVISION", "continue": "CONTINUE", "nodePort": "NODEPORT", "healthCheckNodePort": "NODEPORT"}


def text(value):
    for pattern, name in PATTERNS:
        value = re.sub(pattern, name, value)
    return value


def owners(entries):
    """Owners of fields, which come by operation and then by time. Whether two writes were in one second is chance, and
    within one they come by name: so they are sorted by name, with a word about it if they came in another order than that."""
    named = lambda entry: (entry.get("operation", ""), *(str(entry.get(key, "")) for key in OWNER))
    timed = lambda entry: (entry.get("operation", ""), entry.get("time") or "", *named(entry)[1:])
    told = entries == sorted(entries, key=timed)
    return sorted(entries, key=named) + ([] if told else ["NOT IN THE ORDER OF TIME"])


OWNER = ["manager", "apiVersion", "subresource"]


def tree(value, key=""):
    """A tree without what differs between two servers, or between two runs."""
    if key == "managedFields" and isinstance(value, list):
        value = owners(value)
    # Rules come from bindings in the order in which a map of Go gives them.
    if key in ("resourceRules", "nonResourceRules") and isinstance(value, list):
        value = sorted(value, key=lambda rule: json.dumps(rule, sort_keys=True))
    # So do the endpoints of a slice.
    if key == "endpoints" and isinstance(value, list):
        value = sorted(value, key=lambda endpoint: json.dumps(endpoint, sort_keys=True))
    if isinstance(value, dict):
        prefix, name = value.get("generateName"), value.get("name")
        made = isinstance(prefix, str) and isinstance(name, str) and name.startswith(prefix)
        done = {text(k): tree(v, k) for k, v in value.items()}
        return {**done, "name": prefix + "SUFFIX"} if made else done
    if isinstance(value, list):
        return [tree(entry, key) for entry in value]
    if key in FIELDS and value not in ("", "0", 0):
        return FIELDS[key]
    return text(value) if isinstance(value, str) else value


def body(answer):
    """The body as a tree: an object, the events of a watch, or text."""
    raw = answer.body
    if "json" in answer.headers.get("Content-Type", ""):
        try:
            return tree(json.loads(raw))
        except ValueError:
            pass
        try:
            return [tree(json.loads(line)) for line in raw.decode().splitlines()]
        except ValueError:
            pass
    # What is in protobuf is compared elsewhere: tests/oracle.
    if raw.startswith(b"k8s\0"):
        return "protobuf"
    try:
        return text(raw.decode())
    except UnicodeDecodeError:
        return f"{len(raw)} bytes"


def told(answer):
    headers = {name: text(", ".join(sorted(answer.headers.get_all(name)))) for name in HEADERS if name in answer.headers}
    present = {name: "PRESENT" for name in PRESENCE if name in answer.headers}
    return {"status": answer.status, "headers": {**headers, **present}, "body": body(answer)}


def differences(ours, theirs, where=""):
    """Gives (where, ours, theirs) of each part that differs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key, MISSING), theirs.get(key, MISSING), f"{where}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        for index, (one, other) in enumerate(zip_longest(ours, theirs, fillvalue=MISSING)):
            yield from differences(one, other, f"{where}/{index}")
    elif ours != theirs or type(ours) is not type(theirs):
        yield where, ours, theirs


class Missing:
    def __repr__(self):
        return "nothing"


MISSING = Missing()

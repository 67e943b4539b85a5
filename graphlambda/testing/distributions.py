"""Small installed distributions, operations made by hand, and artifacts laid out as Lambda does.

In: what a test wants to be installed. Out: a folder like site-packages, written as pip writes it. Must not
touch the site-packages of the interpreter.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from graphlambda.compiler.program import LocalFile, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from graphlambda.packager import Artifact

_ISOLATED = "import sys; sys.path[:0] = sys.argv[1:4]; exec(sys.stdin.read())"
_TIMEOUT_S = 120


def install(
    site: Path,
    name: str,
    files: Mapping[str, str | bytes],
    *,
    version: str = "1.0",
    requires: Iterable[str] = (),
    editable: bool = False,
    installer: str = "pip",
) -> Path:
    """Write a distribution into a folder like site-packages; return its `.dist-info`."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    contents[f"{info}/METADATA"] = metadata_of(name, version, requires)
    contents[f"{info}/INSTALLER"] = installer.encode()
    if editable:
        contents[f"{info}/direct_url.json"] = json.dumps({"dir_info": {"editable": True}}).encode()
    for path, content in contents.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content)
    record = [f"{path},{hash_of(content)},{len(content)}" for path, content in contents.items()]
    (site / info / "RECORD").write_text(
        "\n".join([*record, f"../../../bin/{name},,", f"{info}/RECORD,,", ""])
    )
    return site / info


def operation_of(
    source: str,
    *,
    name: str = "sample",
    code: bytes = b"",
    imports: Iterable[str] = (),
    value_imports: Iterable[str] = (),
    files: Mapping[str, bytes] | None = None,
    words: Iterable[str] = (),
) -> Operation:
    """Return an operation as the compiler would make it of such a source."""
    return Operation(
        id=hashlib.sha256(source.encode()).hexdigest(),
        name=name,
        source=source,
        ports=1,
        code=code,
        imports=tuple(sorted(imports)),
        value_imports=tuple(sorted(value_imports)),
        files=tuple(LocalFile(path=path, content=content) for path, content in sorted((files or {}).items())),
        words=tuple(sorted(words)),
    )


def unpack(artifact: Artifact, folder: Path) -> tuple[Path, Path]:
    """Unzip an artifact and its layers; return what would be `/var/task` and `/opt`."""
    task, opt = folder / "task", folder / "opt"
    for path, target in [(artifact.zip_path, task), *((layer.zip_path, opt) for layer in artifact.layers)]:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(target)
    opt.mkdir(exist_ok=True)
    return task, opt


def run_isolated(task: Path, opt: Path, statements: str) -> str:
    """Run statements where an artifact and the standard library alone can be seen; return what they print."""
    paths = [str(task / "user"), str(task), str(opt / "python")]
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", _ISOLATED, *paths],
        input=statements,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        cwd=task,
        env={"LANG": "C.UTF-8"},
    )
    if finished.returncode:
        raise AssertionError(finished.stderr)
    return finished.stdout.strip()


def metadata_of(name: str, version: str, requires: Iterable[str]) -> bytes:
    """Return the METADATA of a distribution."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in requires]
    return ("\n".join(lines) + "\n\nA description.\n").encode()


def hash_of(content: bytes) -> str:
    """Return how RECORD writes a file's hash."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return "sha256=" + digest.rstrip(b"=").decode()

"""The metadata of the user's own editable installs, for code that asks for its version or entry points.

In: an operation, what is installed. Out: the operation, with the metadata among its files. Must not read where the
code of an editable install lies from its hooks: `direct_url.json` names the project's folder.
https://packaging.python.org/en/latest/specifications/direct-url/
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from graphlambda.compiler.program import LocalFile
from graphlambda.packager.installed import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.compiler.program import Operation
    from graphlambda.packager.installed import Distribution, Installed

_ASKERS = frozenset({"importlib.metadata", "importlib_metadata", "pkg_resources"})
_METADATA = ("METADATA", "entry_points.txt")
"""Without RECORD: of the project's files, only those that are reached travel."""


def with_metadata(operation: Operation, installed: Installed) -> Operation:
    """Return an operation with the metadata of the editable installs that its files are of, if it may ask for it."""
    if _ASKERS.isdisjoint(operation.imports) or not operation.files:
        return operation
    own = [
        LocalFile(path=f"{each.info.name}/{name}", content=(each.info / name).read_bytes())
        for each in _editables_of(operation, installed)
        for name in _METADATA
        if (each.info / name).is_file()
    ]
    files = {file.path: file for file in (*operation.files, *own)}
    return replace(operation, files=tuple(files[path] for path in sorted(files)))


def _editables_of(operation: Operation, installed: Installed) -> Iterator[Distribution]:
    sources = [Path(file.source) for file in operation.files if file.source]
    for distribution in installed.distributions.values():
        project = _project(distribution) if distribution.origin is Origin.EDITABLE else None
        if project is not None and any(source.is_relative_to(project) for source in sources):
            yield distribution


def _project(distribution: Distribution) -> Path | None:
    """Return the folder of a project that is installed as editable."""
    file = distribution.info / "direct_url.json"
    url = (
        urlsplit(str(json.loads(file.read_text(encoding="utf-8")).get("url", ""))) if file.is_file() else None
    )
    return Path(url2pathname(url.path)) if url is not None and url.scheme == "file" else None

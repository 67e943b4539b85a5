"""What the user's own files import, as pipreqs reads it from their source.

In: the local files that an operation reaches. Out: top-level module names. Must not run them, nor let pipreqs
look at anything else: a whole folder holds imports of files that nobody reaches, and a file named `numpy.py`
anywhere in it hides NumPy. It gets copies that hide nothing, without relative imports, of which it knows none,
and without files that this Python cannot read: those raise SyntaxError when they are imported, here as there.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from graphlambda.packager.alone import ask
from graphlambda.packager.installed import read_installed
from graphlambda.packager.trace import homes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphlambda.compiler.program import LocalFile

_known: dict[str, frozenset[str]] = {}
"""By digest of a source, what it imports: asking takes half a second, whatever the number of files."""


def imports_of(files: Iterable[LocalFile]) -> frozenset[str]:
    """Return the modules that local files import: the second opinion beside their byte code.

    Without those of the standard library, of which pipreqs knows an older one.
    """
    sources = {Path(file.source) for file in files if file.source.endswith(".py")}
    texts = [
        source.read_bytes() for source in sources if source.is_file()
    ]  # not where a saved program is loaded
    digests = {hashlib.sha256(text).hexdigest(): text for text in texts}
    new = {digest: text for digest, text in sorted(digests.items()) if digest not in _known}
    if new:
        _known.update(_scanned(new))
    found = frozenset().union(*(_known[digest] for digest in digests))
    return frozenset(name for name in found if name not in sys.stdlib_module_names)


def likely_distribution(module: str) -> str:
    """Return the name under which an index probably serves a module that is not installed: for a message only."""
    name = module.partition(".")[0]
    with TemporaryDirectory(prefix="graphlambda-") as scratch:
        return str(ask("scan", _job([], [name]), name, Path(scratch))["names"][name])


def _scanned(texts: Mapping[str, bytes]) -> dict[str, frozenset[str]]:
    readable = {digest: plain for digest, text in texts.items() if (plain := _plain(text)) is not None}
    with TemporaryDirectory(prefix="graphlambda-") as folder:
        for digest, plain in readable.items():
            (Path(folder) / digest).mkdir()
            (Path(folder) / digest / "reached_file.py").write_text(plain, encoding="utf-8")
        job = _job([str(Path(folder) / digest) for digest in readable], [])
        found = ask("scan", job, "pipreqs", Path(folder))["imports"]
    named = dict(zip(readable, map(frozenset, found), strict=True))
    return {digest: named.get(digest, frozenset()) for digest in texts}


def _job(folders: list[str], modules: list[str]) -> dict[str, list[str]]:
    return {"paths": homes(read_installed()), "folders": folders, "modules": modules}


def _plain(text: bytes) -> str | None:
    """Return a source without its relative imports; None where this Python cannot read it."""
    try:
        return ast.unparse(_Absolute().visit(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return None


class _Absolute(ast.NodeTransformer):
    """Puts `pass` in the place of relative imports."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        """Keep an absolute import as it is."""
        return ast.copy_location(ast.Pass(), node) if node.level else node

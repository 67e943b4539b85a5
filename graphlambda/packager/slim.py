"""Copy an installed distribution, made small: what a layer holds of it.

In: a distribution, its recipe, the modules wanted in any case. Out: a `Tree` in the cache. The user's
environment is read, never linked or changed; each file is checked against RECORD on its way.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.errors import PackageError
from graphlambda.packager import trees
from graphlambda.packager.absence import left_out
from graphlambda.packager.elf import shorten
from graphlambda.packager.installed import Distribution, hashes_of
from graphlambda.packager.prune import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphlambda.packager.artifact import Target
    from graphlambda.packager.cache import Cache
    from graphlambda.packager.recipes import Recipes

LAYER_ROOT = "/opt/python"
"""Where Lambda puts what a layer holds below `python/`."""

_SCRIPT = Path(__file__).parent / "isolated" / "compile.py"
_COMPILE_TIMEOUT_S = 300


def slim(
    distribution: Distribution,
    wanted: Sequence[str],
    recipes: Recipes,
    target: Target,
    shared: frozenset[str],
    cache: Cache,
) -> trees.Tree:
    """Return the slim tree of a distribution, made once.

    Raises PackageError when an installed file is not what RECORD says.
    """
    key = key_of(distribution.record_digest, *wanted, recipes.digest, target.python, target.architecture)
    name = f"{distribution.name}-{distribution.version}-{key[:16]}"

    def fill(root: Path) -> None:
        paths = kept(
            distribution.files, recipes.of(distribution.name), wanted, lambda path: _read(distribution, path)
        )
        entries = [*_copied(distribution, paths, shared, root)]
        entries.append(_short_record(distribution, entries, root))
        compile_modules(trees.files_of(root), LAYER_ROOT, paths)
        gone = set(distribution.files) - set(paths)
        trees.seal(root, entries, gone, left_out(gone, set(paths), recipes.of(distribution.name)))

    return trees.load(cache.folder("trees", name, fill, trees.is_whole))


def key_of(*parts: str) -> str:
    """Return 64 hexadecimal digits that stand for some texts, in order."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def compile_modules(folder: Path, prefix: str, paths: Iterable[str]) -> None:
    """Write byte code beside the modules of a folder. Raises PackageError when the compiler does not end."""
    job = {"root": str(folder), "prefix": prefix, "paths": [path for path in paths if path.endswith(".py")]}
    command = [sys.executable, "-I", "-S", "-B", str(_SCRIPT)]
    try:
        subprocess.run(
            command,
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=_COMPILE_TIMEOUT_S,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"Compiling {prefix} took more than {_COMPILE_TIMEOUT_S} s.") from error
    except subprocess.CalledProcessError as error:
        raise PackageError(
            f"Compiling for {prefix} failed: {error.stderr.decode(errors='replace')[-2000:]}"
        ) from error


def _copied(
    distribution: Distribution, paths: Iterable[str], shared: frozenset[str], root: Path
) -> Iterable[trees.Entry]:
    hashes = hashes_of(distribution)
    for path in paths:
        content = _read(distribution, path)
        if path not in shared:
            _verify(distribution, path, content, hashes.get(path, ""))
        short = shorten(content)
        yield trees.write(root, path, short, distribution.root / path if short is content else None)


def _read(distribution: Distribution, path: str) -> bytes:
    try:
        return (distribution.root / path).read_bytes()
    except FileNotFoundError as error:
        raise _broken(distribution, f"{path} is missing") from error


def _verify(distribution: Distribution, path: str, content: bytes, recorded: str) -> None:
    algorithm, _, wanted = recorded.partition("=")
    if not wanted:
        return  # RECORD lists itself, and what some installers generate, without a hash
    if algorithm not in hashlib.algorithms_guaranteed:
        raise _broken(distribution, f"RECORD gives a hash of unknown kind for {path}: {algorithm}")
    digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
    if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != wanted.rstrip("="):
        raise _broken(distribution, f"{path} is not what RECORD says")


def _broken(distribution: Distribution, what: str) -> PackageError:
    return PackageError(
        f"The installed files of {distribution} are damaged or were edited: {what}. Install it again: "
        f"pip install --force-reinstall --no-deps {distribution.name}=={distribution.version}"
    )


def _short_record(distribution: Distribution, entries: Sequence[trees.Entry], root: Path) -> trees.Entry:
    path = f"{distribution.info.name}/RECORD"
    return trees.write(root, path, record_of(entries, path))


def record_of(entries: Iterable[trees.Entry], path: str) -> bytes:
    """Return a RECORD of what travels, so that `importlib.metadata.files` tells the truth in a function."""
    lines = sorted(f'"{entry.path}",,{entry.size_bytes}' for entry in entries)
    return "\n".join([*lines, f'"{path}",,', ""]).encode()

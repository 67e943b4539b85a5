"""Prove without importing that an artifact loads on a machine that is not this one.

In: the trees of an artifact for its target, the trees of the same requirements that were imported here. Out:
nothing, or the error that names distribution, file and need. Must not run anything.

What was imported here is the witness: a module that is a file here must be a file there, and a shared object whose
libraries are found here must find its own there. An object that cannot load here either is optional.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.errors import ProofError, TargetError
from graphlambda.packager.elf_needs import Needs, needs_of
from graphlambda.packager.installed import module_of
from graphlambda.packager.loadable import SHARED_OBJECT, needs_newer
from graphlambda.packager.machines import described, is_this_machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphlambda.packager.artifact import Target
    from graphlambda.packager.case import Built
    from graphlambda.packager.layers import Packed
    from graphlambda.packager.trees import Tree

_EVERYWHERE = re.compile(
    r"(ld-linux-.*|libc|libm|libmvec|libpthread|libdl|librt|libutil|libresolv|libanl|libgcc_s|libstdc\+\+|libz|libexpat)\.so\.\d+"
)
"""What a managed runtime has: glibc, the compilers' own, and of manylinux' list what a headless system keeps.
https://peps.python.org/pep-0599/#the-manylinux2014-policy"""

_SYSTEM_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_EXTENSION = re.compile(r"\.(cpython|abi3)[^/]*\.so$")


@dataclass(frozen=True, slots=True)
class _View:
    """The files of some trees, laid over each other."""

    owners: Mapping[str, str]
    """By path, the distribution that it is of."""

    objects: Mapping[str, Needs]
    names: frozenset[str]
    """File names and sonames of the shared objects."""

    modules: Mapping[str, str]
    """By module, its path."""

    def lacks(self, needs: Needs) -> list[str]:
        """Return the libraries that a shared object needs and that are neither here nor everywhere."""
        return [
            name for name in needs.libraries if name not in self.names and not _EVERYWHERE.fullmatch(name)
        ]


def check_statically(
    built: Built, packed: Sequence[Packed], imported: Sequence[Packed], target: Target
) -> None:
    """Raise what keeps an artifact from loading on a target, beside what was `imported` here.

    Raises TargetError for a shared object that cannot load, ProofError for a module that is not there.
    """
    _check_own_files(built, target)
    if is_this_machine(target):
        return
    there, here = _view(tuple(packed)), _view(tuple(imported))
    for path, needs in there.objects.items():
        if (
            needs.machine == target.architecture
            and (lacking := there.lacks(needs))
            and not _optional(path, here)
        ):
            raise TargetError(
                f"{there.owners[path]} cannot load on {described(target)}: {path} needs {', '.join(lacking)}, which no "
                "distribution of the operation holds and no function has. Install a wheel of it that brings its "
                "libraries along: one from an index, not one that was built on this machine."
            )
    for module in sorted({*built.case.evidence, *named_in(built.case.operation.source)}):
        _check_module(module, built, there, here, target)


def named_in(source: str) -> frozenset[str]:
    """Return the modules that the import statements of an operation name."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return frozenset(
        plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    )


def _check_module(module: str, built: Built, there: _View, here: _View, target: Target) -> None:
    """A module without a file of its own here is made when its package is imported: nothing to look for."""
    if module not in here.modules:
        return
    operation = built.case.operation.name
    path = there.modules.get(module)
    if path is None:
        raise ProofError(
            f"The operation {operation} needs {module}, which {here.owners[here.modules[module]]} holds here, in "
            f"{here.modules[module]}, but not for {described(target)}. Do without it, or choose this machine's "
            "architecture for the functions."
        )
    if path in there.objects:
        _check_object(path, there.objects[path], there.owners[path], target)


def _check_own_files(built: Built, target: Target) -> None:
    """The user's own shared objects were made on this machine."""
    for path, needs in _objects(built.tree).items():
        _check_object(path, needs, f"The operation {built.case.operation.name}", target)


def _check_object(path: str, needs: Needs, owner: str, target: Target) -> None:
    wrong = (
        needs.machine != target.architecture
        and f"{path} is for {needs.machine or 'no machine: it is damaged'}"
    )
    if reason := wrong or needs_newer(path, needs, target):
        raise TargetError(
            f"{owner} cannot load on {described(target)}: {reason}. Build it for that machine, or do without it."
        )


def _optional(path: str, here: _View) -> bool:
    """Say whether a shared object lacks something on this machine, too, where all that is needed was imported."""
    twin = next((each for each in here.objects if _unspecific(each) == _unspecific(path)), None)
    return twin is not None and not all(map(_on_this_system, here.lacks(here.objects[twin])))


def _unspecific(path: str) -> str:
    return _EXTENSION.sub("", path)


def _on_this_system(library: str) -> bool:
    """Say whether the loader would find a library outside the distributions."""
    folders = [Path(folder) for folder in _SYSTEM_FOLDERS]
    folders += [each for folder in folders[:4:2] for each in folder.glob("*-linux-gnu")]
    return any((folder / library).exists() for folder in folders)


@lru_cache(maxsize=16)
def _view(packed: tuple[Packed, ...]) -> _View:
    owners: dict[str, str] = {}
    objects: dict[str, Needs] = {}
    for each in packed:
        owners |= dict.fromkeys((entry.path for entry in each.tree.entries), str(each.requirement))
        objects |= _objects(each.tree)
    names = {Path(path).name for path in objects} | {needs.soname for needs in objects.values()}
    modules = {module: path for path in sorted(owners) if (module := module_of(path))}
    return _View(owners, objects, frozenset(names), modules)


def _objects(tree: Tree) -> dict[str, Needs]:
    paths = [entry for entry in tree.entries if SHARED_OBJECT.search(entry.path)]
    found = ((entry.path, needs_of(tree.file(entry))) for entry in paths)
    return {path: needs for path, needs in found if needs is not None}

"""Run a case's artifact where nothing else can be seen, whole or without one of its distributions.

In: an artifact, what its task is bound to. Out: the task's result, or what went wrong. Must not import the artifact
into this process.
"""

from __future__ import annotations

import csv
import pickle
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloudpickle

from graphlambda.testing.distributions import run_isolated, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphlambda.packager import Artifact

_CALL = """\
import os, pickle, sys
os.environ.update(HOME="/nowhere", OPENBLAS_NUM_THREADS="1")
from graphlambda_runtime.handler import _imported
operation = _imported(os.path.join({task!r}, "operation.py"))
with open({arguments!r}, "rb") as file:
    arguments = pickle.load(file)
with open({result!r}, "wb") as file:
    pickle.dump(operation(*arguments), file)
"""


@dataclass(frozen=True, slots=True)
class Alone:
    """An artifact laid out as Lambda does."""

    task: Path
    opt: Path
    folder: Path

    def result(self, arguments: list[Any]) -> bytes:
        """Return the pickled result of calling the operation. Raises AssertionError with what it printed."""
        paths = self.folder / "arguments", self.folder / "result"
        paths[0].write_bytes(cloudpickle.dumps(arguments))
        statements = _CALL.format(task=str(self.task), arguments=str(paths[0]), result=str(paths[1]))
        run_isolated(self.task, self.opt, statements)
        return paths[1].read_bytes()

    def distributions(self) -> dict[str, list[Path]]:
        """Return the files of each distribution, as its RECORD lists them, byte code included."""
        root = self.opt / "python"
        return {
            info.name.partition("-")[0]: [path for path in _listed(info / "RECORD", root) if path.is_file()]
            for info in sorted(root.glob("*.dist-info"))
        }

    @contextmanager
    def without(self, files: list[Path]) -> Iterator[None]:
        """Move files away, and back at the end."""
        away = self.folder / "away"
        moved = [(file, away / file.relative_to(self.opt)) for file in files]
        _move(moved)
        try:
            yield
        finally:
            _move([(there, here) for here, there in moved])


@contextmanager
def laid_out(artifact: Artifact, folder: Path) -> Iterator[Alone]:
    """Lend an artifact's files; they are gone afterwards."""
    task, opt = unpack(artifact, folder)
    yield Alone(task, opt, folder)
    shutil.rmtree(folder)


def same(one: bytes, other: bytes) -> bool:
    """Say whether two pickled results are equal: as bytes, or, where pickles differ, as text and type."""
    if one == other:
        return True
    left, right = pickle.loads(one), pickle.loads(other)
    return type(left) is type(right) and repr(left) == repr(right)


def _move(pairs: list[tuple[Path, Path]]) -> None:
    for here, there in pairs:
        there.parent.mkdir(parents=True, exist_ok=True)
        here.rename(there)


def _listed(record: Path, root: Path) -> Iterator[Path]:
    for row in csv.reader(record.read_text().splitlines()):
        path = root / row[0]
        yield path
        if path.suffix == ".py":
            yield from (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")

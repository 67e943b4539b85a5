"""The compiler's verb: collections or a graph in, a Program out.

In: what the user or Dask hands over. Out: a verified Program. Must not build, deploy or run anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.compiler.apart import set_apart
from graphlambda.compiler.collector import quiet_collector
from graphlambda.compiler.generators import tell_of_generators
from graphlambda.compiler.marks import marked
from graphlambda.compiler.measured import Fusing
from graphlambda.compiler.read import (
    Finish,
    Layers,
    Nested,
    TaskWalker,
    Wanted,
    collections_in,
    read_collections,
    read_graph,
)
from graphlambda.compiler.refuse import refuse_operations, refuse_program
from graphlambda.compiler.split import split
from graphlambda.compiler.verify import verify

if TYPE_CHECKING:
    from graphlambda.compiler.program import Program

_NEVER = Fusing()

OnStage: TypeAlias = Callable[[str, float], None]
"""Told the name of a stage (`dask`, `walk`, `symbolic`, `split`) and the CPU seconds that it took."""


def compile_collections(
    *arguments: Any,
    traverse: bool = True,
    optimize_graph: bool = True,
    fusing: Fusing = _NEVER,
    on_stage: OnStage | None = None,
) -> Program:
    """Return the program whose run gives what `dask.compute(*arguments)` would.

    Raises:
        RefusedError: the graph asks for what could not be right on Lambda.
        UnshippableError: something in it cannot travel to a function.
    """
    stages = _Stages(on_stage)
    collections, repack = collections_in(arguments, traverse=traverse)
    with quiet_collector():
        layers = Layers(stages)
        wanted = (
            read_collections(collections, layers, stages, optimize_graph=optimize_graph)
            if collections
            else Wanted([], [])
        )
        return _compiled(layers, wanted, Finish(tuple(wanted.finishers), repack), fusing, stages)


def compile_graph(
    graph: Any, keys: Any, *, fusing: Fusing = _NEVER, on_stage: OnStage | None = None
) -> Program:
    """Return the program whose run gives what `dask.get(graph, keys)` would.

    Raises:
        RefusedError: the graph asks for what could not be right on Lambda.
        UnshippableError: something in it cannot travel to a function.
    """
    stages = _Stages(on_stage)
    with quiet_collector():
        layers = Layers(stages)
        wanted = read_graph(graph, keys, layers)
        return _compiled(layers, wanted, Finish(tuple(wanted.finishers), Nested(keys)), fusing, stages)


def _compiled(layers: Layers, wanted: Wanted, finish: Finish, fusing: Fusing, stages: _Stages) -> Program:
    walker = TaskWalker()
    draft = layers.draft(walker)
    refuse_operations(walker.constants)
    walker.sharing.refuse()
    with stages("split"):
        program = split(draft, walker.constants, wanted.keys, finish, fusing)
        program = set_apart(program, layers.marks)
        program = replace(
            program, idempotent=marked(program, layers.marks), declared_bytes=wanted.declared_bytes
        )
    refuse_program(program, walker.constants)
    verify(program)
    tell_of_generators(program)
    return program


class _Stages:
    """Measures stages; a stage within a stage is taken out of the outer one's time."""

    def __init__(self, tell: OnStage | None) -> None:
        self._tell = tell
        self._inner_s = [0.0]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started_s = time.process_time()
        self._inner_s.append(0.0)
        try:
            yield
        finally:
            spent_s = time.process_time() - started_s
            inner_s = self._inner_s.pop()
            self._inner_s[-1] += spent_s
            if self._tell is not None:
                self._tell(name, spent_s - inner_s)

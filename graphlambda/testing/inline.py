"""Run a program in this process, task after task: the oracle for what the compiler makes.

In: a Program. Out: what its run gives. Must not optimise anything: it does what `operation.py` says.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import graphlambda.kernels
import graphlambda.runtime
import graphlambda.runtime.code
from graphlambda.compiler.program import Gather, Input, Nested, Operation, Program, flat
from graphlambda.runtime.iterators import materialised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphlambda.compiler.program import Binding


def run_inline(program: Program) -> Any:
    """Return what the program computes, finished as the user asked for it."""
    with tempfile.TemporaryDirectory() as folder:
        called = [load_operation(table.operation, Path(folder)) for table in program.tables]
        values: dict[int, Any] = {program.task_count + i: value for i, value in enumerate(program.data)}
        for task in order_of(program):
            values[task] = _made(called[program.table_of[task]](*_arguments(program.bindings(task), values)))
    return program.finish([_place(output, values) for output in program.outputs])


def load_operation(operation: Operation, folder: Path) -> Callable[..., Any]:
    """Return the callable of an operation, loaded from files as a function would load it."""
    sys.modules.setdefault("graphlambda_kernels", graphlambda.kernels)
    sys.modules.setdefault("graphlambda_runtime", graphlambda.runtime)
    sys.modules.setdefault("graphlambda_runtime.code", graphlambda.runtime.code)
    home = folder / operation.id
    home.mkdir(exist_ok=True)
    (home / "code.bin").write_bytes(operation.code)
    names: dict[str, Any] = {"__file__": str(home / "operation.py"), "__name__": "graphlambda_operation"}
    exec(compile(operation.source, names["__file__"], "exec"), names)
    return names["operation"]  # type: ignore[no-any-return]


def order_of(program: Program) -> list[int]:
    """Return the tasks in an order in which each comes after what it needs."""
    waiting = {
        task: {int(v) for v in program.edges.of(task) if v < program.task_count}
        for task in range(program.task_count)
    }
    readers: dict[int, list[int]] = {}
    for task, needed in waiting.items():
        for value in needed:
            readers.setdefault(value, []).append(task)
    ready = [task for task, needed in waiting.items() if not needed]
    order: list[int] = []
    while ready:
        task = ready.pop()
        order.append(task)
        for reader in readers.get(task, ()):
            waiting[reader].discard(task)
            if not waiting[reader]:
                ready.append(reader)
    assert len(order) == program.task_count, "the tasks form a circle"
    return order


def _made(value: Any) -> Any:
    """Return a task's value as our runtime does, but for a coroutine: whoever asked for it awaits it."""
    return value if isinstance(value, CoroutineType) else materialised(value)


def _arguments(bindings: Sequence[Binding], values: Mapping[int, Any]) -> list[Any]:
    """Return a task's arguments: values of its own, each one object however often it is named."""
    own: dict[int, Any] = {}

    def argument(binding: Binding) -> Any:
        if isinstance(binding, Input | Gather):
            ids = binding.id if isinstance(binding, Input) else binding.ids
            own.update({v: copy.deepcopy(values[v]) for v in flat([ids]) if v not in own})
            return _place(ids, own)
        return binding.value

    return [argument(binding) for binding in bindings]


def _place(nested: Nested, values: Mapping[int, Any]) -> Any:
    return [_place(member, values) for member in nested] if isinstance(nested, list) else values[nested]

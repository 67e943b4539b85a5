"""What a task's value is made of, as one number: tasks of two programs that have the same one give the same value.

In: a program, what its operations' code is, what else its results depend on. Out: by task, 256 bits, for tasks that are
pure with all that leads to them. Must not guess: what is not known to be pure, or holds an object whose class is not of
NumPy, pandas, Arrow or Python itself, has none, nor has what reads it.

A digest over the operation, its code, and for each port the literal or the digest of the value that is bound to it: so a
task stands for its whole history. Whether a literal is a run constant, and what ids tasks have, does not matter. A
pickle that differs for equal values costs a match, and never makes one.
"""

from __future__ import annotations

import io
import pickle
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.program import Constant, Gather, Input, Kept
from graphlambda.compiler.purity import is_pure
from graphlambda.runtime.faults import UnshippableValueError
from graphlambda.runtime.frame import taken_apart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.compiler.program import Binding, Nested, Program

_VERSION = b"1"
"""Changes with what is digested, so that numbers of before are not met again."""

_KNOWN = frozenset(
    [
        "builtins",
        "collections",
        "copyreg",
        "datetime",
        "decimal",
        "fractions",
        "numpy",
        "pandas",
        "pyarrow",
        "zoneinfo",
        "_codecs",
    ]
)
"""Whose classes give equal values for equal pickles: their versions are part of an operation's code."""


def content_ids(program: Program, code: Mapping[str, str], surroundings: str) -> dict[int, int]:
    """Return the number of each task that has one.

    `code` names, by operation id, the exact code that runs: distributions and their versions included. `surroundings` is
    what else tasks see: process state.
    """
    digests = _Digests(program, code, surroundings)
    found = ((task, digests.of(task)) for task in range(program.task_count))
    return {task: int.from_bytes(digest) for task, digest in found if digest}


class _Digests:
    """The digests of a program's values; empty where a value has none."""

    def __init__(self, program: Program, code: Mapping[str, str], surroundings: str) -> None:
        self._program = program
        self._code = code
        self._surroundings = _digest(_VERSION, surroundings.encode())
        self._starts = [self._start(table) for table in range(len(program.tables))]
        self._constants: dict[tuple[int, int], bytes] = {}
        self._known: dict[int, bytes] = {}

    def of(self, value: int) -> bytes:
        """Return a value's digest; those that it is made of are found first, without recursion."""
        known, stack = self._known, [value]
        while stack:
            last = stack[-1]
            if last in known:
                stack.pop()
            elif missing := self._missing(last):
                stack += missing
            else:
                known[last] = self._made(last)
        return known[value]

    def _start(self, table: int) -> bytes:
        operation = self._program.tables[table].operation
        if not is_pure(operation) or operation.id not in self._code:
            return b""
        return _digest(self._surroundings, operation.id.encode(), self._code[operation.id].encode())

    def _missing(self, value: int) -> list[int]:
        """Return the inputs whose digests are not known yet; none where one is known to have none."""
        if value >= self._program.task_count or not self._starts[self._program.table_of[value]]:
            return []
        inputs: list[int] = self._program.edges.of(value).tolist()
        missing = [each for each in inputs if each not in self._known]
        return missing if all(self._known.get(each, b"_") for each in inputs) else []

    def _made(self, value: int) -> bytes:
        program = self._program
        if value >= program.task_count:
            return _of_data(program.data[value - program.task_count])
        table = int(program.table_of[value])
        if not self._starts[table] or not all(
            self._known.get(each) for each in program.edges.of(value).tolist()
        ):
            return b""
        row, columns = int(program.row_of[value]), program.tables[table].columns
        parts = [
            self._constant(table, port) if isinstance(column, Constant) else self._bound(column.row(row))
            for port, column in enumerate(columns)
        ]
        return _digest(self._starts[table], *parts) if all(parts) else b""

    def _constant(self, table: int, port: int) -> bytes:
        if (table, port) not in self._constants:
            self._constants[table, port] = self._bound(self._program.tables[table].columns[port].row(0))
        return self._constants[table, port]

    def _bound(self, binding: Binding) -> bytes:
        if isinstance(binding, Input):
            return b"i" + self._known[binding.id]
        if isinstance(binding, Gather):
            return b"g" + self._nest(binding.ids)
        literal = _of_literal(binding.value)
        return literal and b"l" + literal

    def _nest(self, ids: Nested) -> bytes:
        if isinstance(ids, int):
            return b"i" + self._known[ids]
        return b"[" + b"".join(map(self._nest, ids)) + b"]"


def _of_data(value: Any) -> bytes:
    """Return the digest of a data object. The id of a run never comes again: it stands for what the run keeps."""
    if isinstance(value, Kept):
        return _digest(b"kept", value.run.encode(), str(value.id).encode())
    return _of_literal(value)


def _of_literal(value: Any) -> bytes:
    try:
        pickled, buffers = taken_apart(value, _dumps)
    except UnshippableValueError:
        return b""
    return _digest(pickled, *buffers)


def _digest(*parts: bytes | memoryview) -> bytes:
    """Return the digest of some parts, which are not taken for others that are cut elsewhere."""
    digest = blake2b(digest_size=32)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _dumps(value: Any, *, protocol: int, buffer_callback: Any) -> bytes:
    pickled = io.BytesIO()
    _Plain(pickled, protocol, buffer_callback=buffer_callback).dump(value)
    return pickled.getvalue()


class _Plain(pickle.Pickler):
    """Pickles what is made of `_KNOWN` classes and functions alone."""

    def reducer_override(self, value: Any) -> Any:
        """Refuse all else: what its name stands for may change without anybody's notice."""
        named = value if hasattr(value, "__qualname__") else type(value)
        if (named.__module__ or "").partition(".")[0] not in _KNOWN:
            raise pickle.PicklingError(f"{named!r} is not known to be plain")
        return NotImplemented

"""Makes the request for a batch of tasks.

In: a table's tasks and the values at hand. Out: the bytes that a function is sent, as `runtime.wire`
describes them. Must not send anything.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.program import Constant, Gather, Input, Inputs, Kept, Literals, Mixed, flat
from graphlambda.runtime.frame import knows_gmac, size_of
from graphlambda.runtime.outcomes import encoded_bytes
from graphlambda.runtime.wire import (
    INLINE_BATCH,
    REQUEST_BYTES,
    VERSION,
    batch_name,
    constants_name,
    settings_name,
)
from graphlambda.scheduler.batching import fitting
from graphlambda.scheduler.edges import view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphlambda.compiler.program import Binding, Column, Nested, Program
    from graphlambda.runtime.frame import Buffer
    from graphlambda.scheduler.limits import Limits
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.values import Place, Values

CONSTANTS_INLINE_BYTES = 32 * 1024
"""Run constants up to this size ride in each request; larger ones are stored once."""

BASE64 = 4 / 3
"""Bytes in a request for each byte of a frame."""

OVERHEAD_BYTES = 64 * 1024
"""Room that literals and keys of a batch are given before it is stored instead."""

_ENDING_BYTES = 16
"""What stands around a batch."""

_RUN_CONSTANT = ("c",)


@dataclass(frozen=True, slots=True)
class Request:
    """What one invocation is sent."""

    payload: bytes = field(repr=False)
    """Holds the run's key."""

    tasks: tuple[int, ...]
    """The tasks in it, in order."""

    left: tuple[int, ...]
    """Tasks that were asked for and did not fit."""

    stored: str
    """The name under which its batch lies in the store; empty where it rides in the request."""


@dataclass(frozen=True, slots=True)
class Head:
    """What all requests of a table have in common."""

    body: dict[str, Any] = field(repr=False)
    """The run's key is in it."""

    start: bytes = field(repr=False)
    """The same as JSON, but for the closing brace: a batch is appended."""


class Requests:
    """Builds the requests of one run."""

    def __init__(
        self,
        program: Program,
        state: RunState,
        place: Place,
        values: Values,
        settings: Mapping[str, Any],
        *,
        keep: bool = False,
        batches: int = 0,
    ) -> None:
        """`batches` is a number beyond those that earlier clients of the run have given to stored batches."""
        self._program = program
        self._row_of = view(program.row_of)
        self._state = state
        self._place = place
        self._values = values
        self._limits = place.limits
        self._most_bytes = min(place.limits.request_bytes, REQUEST_BYTES)
        self._room_bytes = int((self._most_bytes - 2 * OVERHEAD_BYTES) / BASE64) - CONSTANTS_INLINE_BYTES
        self._settings = _settings(settings, place)
        self._heads: dict[int, Head] = {}
        self._inline_bytes = _inline_bytes(program, place.limits, keep=keep)
        self._readers, self._results = _roads(program)
        self._any_kept = any(isinstance(data, Kept) for data in program.data)
        self._batches = batches
        self._renewals = 0
        self._stored_constants: list[str] = []

    async def build(self, table: int, tasks: Sequence[int]) -> Request:
        """Return the request for as many of `tasks` as fit, at least one.

        Raises:
            UnshippableError: a literal or a data object does not pickle.
            StoreError: what is too large for a request could not be stored.
        """
        head = self._heads.get(table) or await self._head(table)
        needed = [self._state.inputs(task) for task in tasks]
        if unprepared := self._values.unprepared(chain.from_iterable(needed)):
            await self._values.prepare(unprepared)
        count = self._fitting(needed)
        while (
            count < len(tasks) and self._state.is_part(tasks[count]) and not self._held_bytes(needed[count])
        ):
            count += 1  # it picks from what is made in the batch
        fitted = tasks[:count]
        inputs = sorted(set(chain.from_iterable(needed[: len(fitted)])))
        excess_bytes = self._held_bytes(inputs) - self._room_bytes
        if excess_bytes > 0 and sum(not self._state.is_part(task) for task in fitted) <= 1:
            await self._make_room(inputs, excess_bytes)
        payload, stored = await self._payload(head, table, fitted, inputs)
        return Request(payload, tuple(fitted), tuple(tasks[len(fitted) :]), stored)

    def renew(self, table: int) -> None:
        """Store a table's constants anew, under another name: a function could not read them, or something else."""
        if self._heads.pop(table, None):
            self._renewals += 1

    def discard(self) -> None:
        """Let go of what only requests needed."""
        for name in self._stored_constants:
            self._values.discard(name)

    def _fitting(self, needed: Sequence[list[int]]) -> int:
        """Return how many tasks, from the first, can be sent the held values that they need in one request."""
        if len(needed) == 1 or self._held_bytes(chain.from_iterable(needed)) <= self._room_bytes:
            return len(needed)
        seen: set[int] = set()
        sizes = []
        for values in needed:
            new = [value for value in values if value not in seen]
            seen.update(new)
            sizes.append(self._held_bytes(new))
        return fitting(sizes, self._room_bytes)

    async def _make_room(self, inputs: list[int], excess_bytes: int) -> None:
        """Store a single task's inputs, the largest first, until the others fit into its request."""
        largest = []
        for value in sorted(inputs, key=lambda v: (-len(self._values.frame(v) or b""), v)):
            if excess_bytes <= 0:
                break
            largest.append(value)
            excess_bytes -= len(self._values.frame(value) or b"")
        await self._values.spill(largest)

    async def _payload(
        self, head: Head, table: int, tasks: Sequence[int], inputs: list[int]
    ) -> tuple[bytes, str]:
        """Return the request's bytes, and the name of its batch in the store if it does not ride in it."""
        inline = {value: frame for value in inputs if (frame := self._values.frame(value)) is not None}
        picks = {task: self._pick(task) for task in tasks if self._state.is_part(task)}
        called = [task for task in tasks if task not in picks] if picks else tasks
        together = frozenset(tasks)
        unsent = [task for task in tasks if len(tasks) > 1 and self._state.is_unsent(task, together)]
        shared = self._values.shared.told(tasks)
        batch = (tasks, self._columns(table, called), inline, picks, unsent, shared)
        operation = self._program.tables[table].operation.id
        parts = self._place.encode(batch, INLINE_BATCH, operation)
        start = self._with_foreign_keys(head, inputs, [shared[0]] if shared else [])
        if len(start) + encoded_bytes(size_of(parts)) + _ENDING_BYTES <= self._most_bytes:
            return b"".join((start, b',"batch":"', b64encode(b"".join(parts)), b'"}')), ""
        self._batches += 1
        name = batch_name(self._batches)
        await self._place.put(name, self._place.encode(batch, name, operation))
        return b"".join((start, b',"batch":', json.dumps({"stored": name}).encode(), b"}")), name

    def _pick(self, task: int) -> tuple[str, Any, list[Any], int]:
        """Return how our runtime does a projection."""
        table = self._state.table(task)
        picker = self._state.projections.pickers[table]
        (_, ref), *by = [self._bound(binding) for binding in self._program.bindings(task)]
        return (
            picker.name,
            ref,
            [*(literal for _, literal in by), *picker.rest],
            int(self._inline_bytes[table]),
        )

    def _columns(self, table: int, tasks: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return what these tasks bind to each port, as `runtime.wire` describes columns."""
        rows = [self._row_of[task] for task in tasks]
        return [self._column(column, rows) for column in self._program.tables[table].columns]

    def _column(self, column: Column, rows: list[int]) -> tuple[Any, ...]:
        match column:
            case Constant():
                return _RUN_CONSTANT
            case Inputs():
                ids = column.ids[rows].tolist()
                return "i", [self._ref(value) for value in ids] if self._any_foreign else ids
            case Literals():
                return "l", [column.values[row] for row in rows]
        bound = [self._bound(column.row(row)) for row in rows]
        return ("m", bound) if isinstance(column, Mixed) else ("g", [nested for _, nested in bound])

    def _bound(self, binding: Binding) -> tuple[Any, ...]:
        if isinstance(binding, Input):
            return "i", self._ref(binding.id)
        if isinstance(binding, Gather):
            return "g", self._refs(binding.ids) if self._any_foreign else binding.ids
        return "l", binding.value

    def _refs(self, ids: Nested) -> Any:
        return self._ref(ids) if isinstance(ids, int) else [self._refs(part) for part in ids]

    def _ref(self, value: int) -> int | tuple[str, int]:
        kept = self._values.kept(value) if self._any_foreign else None
        return value if kept is None else (kept.run, kept.id)

    def _with_foreign_keys(self, head: Head, inputs: list[int], written: list[str]) -> bytes:
        """Return the start of a request that reads these values, with the keys of runs that keep them, or are written to."""
        runs = set(written)
        if self._any_foreign:
            runs.update(kept.run for value in inputs if (kept := self._values.kept(value)))
        if not runs:
            return head.start
        foreign = {run: b64encode(self._place.keys_of(run)).decode() for run in sorted(runs)}
        return _start({**head.body, "keys": {**head.body["keys"], **foreign}})

    async def _head(self, table: int) -> Head:
        """Return what every request of a table starts with, made at its first."""
        body = {
            "v": VERSION,
            "run": self._place.run,
            "operation": self._program.tables[table].operation.id,
            "keys": {self._place.run: b64encode(self._place.key).decode()},
            "store": self._place.store.road(
                readers=int(self._readers[table]), result=bool(self._results[table])
            ),
            "inline_bytes": int(self._inline_bytes[table]),
            "reply_bytes": self._limits.reply_bytes,
            "gmac": knows_gmac(),
            "constants": await self._constants(table),
            "settings": self._settings,
        }
        self._heads[table] = head = Head(body, _start(body))
        return head

    async def _constants(self, table: int) -> dict[str, str]:
        columns = enumerate(self._program.tables[table].columns)
        values = {port: column.value for port, column in columns if isinstance(column, Constant)}
        digest = _digest(f"{self._place.run}/{table}/{self._renewals}".encode())
        operation = self._program.tables[table].operation.id
        parts = self._place.encode(values, constants_name(digest), operation)
        if size_of(parts) <= CONSTANTS_INLINE_BYTES:
            return {"id": digest, "frame": _text(parts)}
        await self._place.put(constants_name(digest), parts)
        self._stored_constants.append(constants_name(digest))
        return {"id": digest}

    @property
    def _any_foreign(self) -> bool:
        """Whether any value of the run may lie in another one."""
        return self._any_kept or self._values.shared.any_places

    def _held_bytes(self, values: Iterable[int]) -> int:
        return sum(len(self._values.frame(value) or b"") for value in values)


def _settings(settings: Mapping[str, Any], place: Place) -> dict[str, str]:
    """Return the process state as requests carry it; equal settings have equal ids in every run."""
    digest = _digest(json.dumps(dict(settings), sort_keys=True, default=repr).encode())
    return {"id": digest, "frame": _text(place.encode(dict(settings), settings_name(digest)))}


def _inline_bytes(program: Program, limits: Limits, *, keep: bool) -> Any:
    """Return for each table how large a value may be to ride along: less where many meet in one task.

    Outputs that the store is to keep go there at once.
    """
    counts = np.diff(program.edges.starts)
    widest = np.ones(program.task_count + len(program.data), np.int64)
    np.maximum.at(widest, program.edges.ids, np.repeat(counts, counts))
    share = np.minimum(limits.inline_bytes, limits.request_bytes // 2 // widest)
    if keep:
        share[sorted(set(flat(list(program.outputs))))] = 0
    least = np.full(len(program.tables), limits.inline_bytes, np.int64)
    np.minimum.at(least, program.table_of, share[: program.task_count])
    return least


def _roads(program: Program) -> tuple[Any, Any]:
    """Return for each table the fewest readers that a value of its has, and whether one is an output of the run."""
    read = np.bincount(program.edges.ids, minlength=program.task_count)[: program.task_count]
    readers = np.full(len(program.tables), np.iinfo(np.int64).max, np.int64)
    np.minimum.at(readers, program.table_of, read)
    results = np.zeros(len(program.tables), bool)
    outputs = [value for value in flat(list(program.outputs)) if value < program.task_count]
    results[program.table_of[outputs]] = True
    return readers, results


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()


def _text(parts: Sequence[Buffer]) -> str:
    return b64encode(b"".join(parts)).decode()


def _start(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()[:-1]

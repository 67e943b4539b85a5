"""Writes behind a run what another client needs to go on with it: the program, a journal, and who holds the run.

In: what the run does. Out: objects in the run's folder; deletions in the store, once what made them possible is
written. Must not delay the run: everything is written by threads, what is done at most 200 ms later.

A folder that fails ends the keeping, with a warning, and not the run. A run that another client has taken ends at once.
"""

from __future__ import annotations

import asyncio
import io
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import cloudpickle

from graphlambda.edge import warn
from graphlambda.errors import AuthenticationError, NoSuchRunError, ResumeWarning, RunLostError, StoreError
from graphlambda.runtime.faults import FrameError, UnshippableValueError
from graphlambda.runtime.frame import decode, encode_parts
from graphlambda.runtime.wire import context
from graphlambda.scheduler.blocking import in_thread
from graphlambda.scheduler.journal import committed, is_whole, records_of, segment, started
from graphlambda.scheduler.renewing import RENEW_EVERY_S
from graphlambda.store.claims import lost, take, this_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphlambda.compiler.program import Kept, Program
    from graphlambda.scheduler.journal import Record
    from graphlambda.scheduler.values import Values
    from graphlambda.store.claims import Claim
    from graphlambda.store.folders import Folder

T = TypeVar("T")

BEGIN_AFTER_S = 0.01
"""The first invocations go first; a run that is over by then needs no folder."""

BYTES_A_SECOND = 200e6
TASKS_A_SECOND = 100e3
"""What is written of data and of tasks: a large program is written when the run has lasted as long as that takes."""

FLUSH_EVERY_S = 0.15
FOLDER_TIMEOUT_S = 60.0

BACKLOG_BYTES = 64 * 1024 * 1024
"""Frames that wait to be written; beyond that the run waits for them."""

PROGRAM = "program"
"""The object that holds the program."""

_SEGMENT = "journal-"


def _taken(folder: Folder) -> Claim:
    return take(folder, this_client())


class End(Enum):
    """How a run ended."""

    DONE = auto()
    KEPT = auto()
    """Done, and its outputs stay in the store."""

    FAILED = auto()
    CANCELLED = auto()
    LOST = auto()
    """Taken by another client, to whom all of it belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """What a run needs to be one that another client can go on with."""

    folder: Folder
    key: bytes = field(repr=False)
    """32 bytes; signs all that lies in the folder, and never leaves the clients."""

    saved: Mapping[str, Any]
    """By object's name, what whoever resumes the run reads with `load`."""

    claim: Claim | None = None
    """Of a run that is resumed: what is saved lies in its folder already."""

    begin_after_s: float = BEGIN_AFTER_S
    """When the program is written, after the run's begin; see `patience_s`."""

    take: Callable[[Folder], Claim] = _taken
    """Claims a new run, once all that was saved lies in its folder."""

    attempts_over_s: float = 0.0
    """When the last attempt of an earlier client of the run has ended, in seconds since the epoch."""


class Keeper:
    """Keeps one run. Without a `Durable`, it only passes deletions on."""

    def __init__(self, values: Values, durable: Durable | None) -> None:
        self._values = values
        self._durable = durable
        self._claim = durable.claim if durable else None
        self._begun = self._claim is not None
        self._stopped = False
        self._has_work = self._begun
        self._records: list[Record] = []
        self._spent: Callable[[], Record] | None = None
        self._segments = 0
        self._told = asyncio.Event()
        self._writing = asyncio.Lock()
        self._threads = ThreadPoolExecutor(
            2, "graphlambda-keeper"
        )  # no transfer holds up what is to be flushed
        self._calls: set[asyncio.Task[Any]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._fail: Callable[[BaseException], None] | None = None
        self.backlog_bytes = 0

    # ---- what the run tells ------------------------------------------------------------------------------------

    def commit(self, task: int, frame: bytes | None, size_bytes: int, place: Kept | None = None) -> None:
        """Take a committed value."""
        if self._durable:
            self._has_work = True
            self.note(committed(task, frame, size_bytes, place))
            self.backlog_bytes += len(frame or b"")

    def note(self, record: Record) -> None:
        """Take something else that the journal is to tell."""
        if self._durable:
            self._records.append(record)
            self._told.set()

    def note_spent(self, told: Callable[[], Record]) -> None:
        """Take the news that the run has spent something: what it is then is written with what else is."""
        self._spent = told

    async def flush(self) -> None:
        """Write what was told, and then delete what was let go by it."""
        async with self._writing:
            names = self._values.let_go()
            if self._claim and (self._records or self._spent):
                await self._kept(partial(self._add, self._taken()), "writing the journal")
            await self._values.delete(names)

    async def mark(self, tasks: Iterable[int], *, sent: bool) -> None:
        """Write that tasks which may not run twice are about to be sent, before they are; or that they did not run."""
        self._has_work = True
        for task in tasks:
            self.note(started(task, sent=sent))
        await self.flush()

    async def settle(self) -> None:
        """Return when nothing that was let go is in the store any more: it may be written again."""
        await self.flush()
        while self._values.dropping:
            await self.flush()

    # ---- a run's life ------------------------------------------------------------------------------------------

    async def recall(self, replay: Callable[[Iterator[Record]], T]) -> T:
        """Return what `replay` makes, in a thread, of what a resumed run did; from now on nobody else adds to it.

        Raises:
            AuthenticationError: its journal is damaged.
            RunLostError: another client has taken it meanwhile.
        """
        if not (self._claim and self._durable):
            return replay(iter(()))
        records = records_of(self._read(), run=self._durable.folder.run, key=self._durable.key)
        recalled = await self._call(partial(replay, records), "reading the journal")
        await self._call(partial(self._add, []), "going on with the journal")
        return recalled

    def start(self, fail: Callable[[BaseException], None]) -> None:
        """Keep the run from now on; `fail` ends it."""
        self._fail = fail
        if self._durable:
            self._tasks = [asyncio.create_task(self._flushing()), asyncio.create_task(self._renewing())]
            for task in self._tasks:
                task.add_done_callback(self._ended)

    async def confirm(self) -> None:
        """Make sure, before what cannot be undone, that the run is this client's still.

        Raises:
            RunLostError: another client has taken it.
        """
        if self._claim:
            await self._kept(self._claim.confirm, "confirming the lease")

    @property
    def attempts_over_s(self) -> float:
        """When no attempt of an earlier client of the run can still run, in seconds since the epoch."""
        return self._durable.attempts_over_s if self._durable else 0.0

    @property
    def segments(self) -> int:
        """How many segments the journal has."""
        return self._segments

    async def end(self, end: End) -> None:
        """Stop. The folder of a run that failed waits for whoever goes on with it; that of a lost one is another's."""
        self._stopped = end is not End.FAILED
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._calls, return_exceptions=True)
        if end is not End.LOST and self._durable and self._begun:
            await self._leave(self._durable.folder, end)
        self._threads.shutdown(wait=False)

    async def _leave(self, folder: Folder, end: End) -> None:
        """Leave to others what a failed run has done, or may have; of any other, nothing."""
        with suppress(StoreError, RunLostError):
            if end is End.FAILED and self._claim and self._has_work:
                await self.flush()
                await self._call(self._claim.release, "releasing the lease")
            else:
                await self._call(folder.drop, "dropping the folder")

    # ---- writing -----------------------------------------------------------------------------------------------

    async def _flushing(self) -> None:
        if self._durable and not self._begun:
            await asyncio.sleep(self._durable.begin_after_s)
            async with self._writing:  # what is told meanwhile comes in the next segment
                await self._kept(partial(self._begin, self._taken()), "writing the program")
        while self._durable:
            await self._told.wait()  # a run that waits for its functions wakes nobody
            await asyncio.sleep(FLUSH_EVERY_S)
            self._told.clear()
            await self.flush()

    def _taken(self) -> list[Record]:
        """Return what is to be written now."""
        records, self._records, self.backlog_bytes = self._records, [], 0
        if self._spent is not None:
            records.append(self._spent())
            self._spent = None
        return records

    async def _renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            if self._claim:
                with suppress(StoreError):  # a folder that is away is told of where the journal is written
                    await self._call(self._claim.renew, "renewing the lease")

    def _begin(self, records: list[Record]) -> None:
        """Make the folder: what is saved, what was told so far, and then the lease, which says that it is all there."""
        assert self._durable
        self._begun = True
        folder = self._durable.folder
        folder.begin()
        for name, value in self._durable.saved.items():
            bound = context(folder.run, name)
            folder.create(
                name, encode_parts(value, key=self._durable.key, context=bound, dumps=self._dumps, gmac=False)
            )
        if records:
            self._add(records)
        self._claim = self._durable.take(folder)

    def _dumps(self, value: Any, *, protocol: int, buffer_callback: Any) -> bytes:
        """Pickle a program, which may take seconds, in steps: the run goes on between them, or is over."""
        steps = _Steps(lambda: self._stopped)
        cloudpickle.Pickler(steps, protocol=protocol, buffer_callback=buffer_callback).dump(value)
        return b"".join(steps.parts)

    def _add(self, records: list[Record]) -> None:
        """Write the next segment. Only one client can: whoever is second has lost the run."""
        assert self._durable
        folder, number = self._durable.folder, self._segments + 1
        if not folder.create(_name(number), segment(records, number, run=folder.run, key=self._durable.key)):
            raise lost(folder)
        self._segments = number

    def _read(self) -> Iterator[bytes]:
        """Yield the journal's segments. A last one that is cut short becomes an empty one."""
        assert self._durable
        folder = self._durable.folder
        names = [name for name in folder.names() if name.startswith(_SEGMENT)]
        for number, name in enumerate(names, 1):
            found = folder.read(name)
            content = found.content if found else b""
            if number == len(names) and found and not is_whole(content):
                content = b"".join(segment([], number, run=folder.run, key=self._durable.key))
                if folder.replace(name, content, found.tag) is None:
                    raise lost(folder)
            self._segments = number
            yield content

    async def _kept(self, call: Callable[[], Any], what: str) -> None:
        """Do something in the folder; where that fails, the run goes on without one."""
        try:
            await self._call(call, what)
        except (StoreError, UnshippableValueError) as error:
            self._durable, self._claim, self._records = None, None, []
            text = f"this run goes on, but could not be resumed if this process died: {error}"
            warn(text, ResumeWarning)

    async def _call(self, call: Callable[[], T], what: str) -> T:
        """Return what a call gives, from a thread; `end` waits for it even where its caller is cancelled."""
        task = asyncio.create_task(
            in_thread(call, timeout_s=FOLDER_TIMEOUT_S, what=what, thread=self._threads)
        )
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and self._fail:
            self._fail(error)


class _Steps(io.RawIOBase):
    """Collects a pickle; between its pieces, other threads run."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.parts: list[bytes] = []
        self._stopped = stopped

    def write(self, piece: Any) -> int:
        """Take a piece of about 64 KB."""
        if self._stopped():
            raise InterruptedError("the run is over")
        self.parts.append(bytes(piece))
        time.sleep(0)
        return len(piece)


def patience_s(program: Program) -> float:
    """Return how long a program stays unwritten, so that writing it takes no more than half of any run's time."""
    data_bytes = sum(getattr(data, "nbytes", 0) for data in program.data)
    return BEGIN_AFTER_S + program.task_count / TASKS_A_SECOND + float(data_bytes) / BYTES_A_SECOND


def saved(folder: Folder, name: str, key: bytes) -> Any:
    """Return what a run saved under a name; it is authenticated before anything is un-pickled.

    Raises:
        NoSuchRunError: there is nothing.
        AuthenticationError: it is damaged, or was written with another root key.
    """
    found = folder.read(name)
    if found is None:
        raise NoSuchRunError(folder.run)
    try:
        return decode(found.content, key=key, context=context(folder.run, name))
    except FrameError as error:
        raise AuthenticationError(
            f"{error}, or written with another root key. Nothing was un-pickled"
        ) from error


def journal(folder: Folder, key: bytes) -> Iterator[Record]:
    """Yield what a run has done, as far as it is written."""
    names = [name for name in folder.names() if name.startswith(_SEGMENT)]
    segments = (found.content for name in names if (found := folder.read(name)))
    return records_of(segments, run=folder.run, key=key)


def _name(number: int) -> str:
    return f"{_SEGMENT}{number:08}"

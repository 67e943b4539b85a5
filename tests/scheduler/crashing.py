"""Clients that die at a given event, and clients that go on: processes of their own, forked from one that has imported.

In: a folder. Out: what became of each run, as JSON on standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.program import Gather, Input
from graphlambda.errors import GraphlambdaError, OutcomeUnknownError, RunHeldError
from graphlambda.scheduler import Limits, execute
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.journal import Kind, records_of
from graphlambda.scheduler.keeper import Durable
from graphlambda.store.claims import take, this_client
from graphlambda.store.file import FileStore
from graphlambda.store.folders import DiskFolders
from graphlambda.testing.invokers import InProcessInvoker
from graphlambda.testing.programs import functions_of, program_of, total

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.clock import Clock
    from graphlambda.scheduler.events import Event
    from graphlambda.scheduler.invoke import Invoker, Reply
    from graphlambda.store.folders import Folder

RUN, KEY, FOLDER_KEY = "r1", bytes(32), bytes(range(32))
TASK_S = 0.06


def small_program() -> Program:
    """Return nine tasks of three operations: a map, a reduction, a chain; each names itself by a literal."""
    maps = [("f", i, 0) for i in range(4)]
    joined = [("g", 4, Gather([0, 1])), ("g", 5, Gather([2, 3])), ("g", 6, Gather([4, 5]))]
    return program_of([*maps, *joined, ("h", 7, Input(6)), ("h", 8, Input(7))], [8, [4]])


class Slow:
    """An invoker whose invocations take a while."""

    def __init__(self, inner: Invoker) -> None:
        self._inner = inner

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Wait, then invoke."""
        await asyncio.sleep(TASK_S)
        return await self._inner.invoke(function, payload, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the invoker behind."""
        await self._inner.close()


class Client:
    """A client of the one run that lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self.marks = folder / "marks"
        self.store = FileStore(folder / "values")
        self.folder: Folder = DiskFolders(folder / "runs").of(RUN)
        self.failing: int | None = None
        self.saved: dict[str, Any] = {"program": small_program()}

    def run(self, *listeners: Callable[[Event], None], **given: Any) -> list[Any]:
        """Run the program as `running` says, in a loop of its own."""
        return asyncio.run(self.running(*listeners, **given))

    async def running(
        self,
        *listeners: Callable[[Event], None],
        inline_bytes: int,
        claimed: bool = False,
        attempts_over_s: float = 0.0,
        clock: Clock | None = None,
        **limits: Any,
    ) -> list[Any]:
        """Run the program, or go on with it where that is `claimed`; every execution of a task leaves a mark."""
        claim = take(self.folder, this_client()) if claimed else None
        program = small_program()
        durable = Durable(
            folder=self.folder, key=FOLDER_KEY, saved=self.saved, claim=claim, attempts_over_s=attempts_over_s
        )
        operations = {f"gl-{name}": self._marking for name in "fgh"}
        done = await execute(
            program, functions_of(program), invoker=Slow(InProcessInvoker(operations)), store=self.store, run=RUN, key=KEY,
            listeners=listeners, durable=durable, clock=clock or SystemClock(),
            limits=Limits(batch=1, concurrency=2, inline_bytes=inline_bytes, **limits),
        )  # fmt: skip
        return done.values

    def executed(self) -> list[int]:
        """Return the tasks that were executed, in order."""
        return [int(line) for line in self.marks.read_text().split()] if self.marks.exists() else []

    def committed(self) -> list[int]:
        """Return the tasks that are in the journal."""
        names = [name for name in self.folder.names() if name.startswith("journal-")]
        segments = [found.content for name in names if (found := self.folder.read(name))]
        records = records_of(segments, run=RUN, key=FOLDER_KEY)
        return [
            record.subject for record in records if record.kind in {Kind.COMMITTED, Kind.STORED, Kind.UNSENT}
        ]

    def _marking(self, task: int, *arguments: Any) -> int:
        if task == self.failing:
            raise ZeroDivisionError
        with self.marks.open("a") as file:
            file.write(f"{task}\n")
        return total(*arguments)


def in_child(call: Callable[[], Any]) -> int:
    """Call something in a process of its own; return its number."""
    child = os.fork()
    if child == 0:
        try:
            call()
            os._exit(0)
        except GraphlambdaError:
            os._exit(3)
        finally:
            os._exit(1)
    return child


def killing(number: int) -> Callable[[Event], None]:
    """Return a listener that kills its process at an event."""
    numbers = count()

    def listen(_event: Event) -> None:
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return listen


def killed_and_resumed(folder: Path, number: int, inline_bytes: int) -> dict[str, Any]:
    """Run, die at an event, go on in another process; what had not begun begins again."""
    client = Client(folder)
    child = in_child(lambda: client.run(killing(number), inline_bytes=inline_bytes))
    signalled = os.WTERMSIG(os.waitpid(child, 0)[1])
    committed, before = client.committed(), client.executed()
    answer = folder / "answer"
    going_on = bool(client.folder.names())
    child = in_child(
        lambda: answer.write_text(json.dumps(client.run(inline_bytes=inline_bytes, claimed=going_on)))
    )
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {
        "signal": signalled,
        "code": code,
        "values": json.loads(answer.read_text()) if code == 0 else None,
        "committed": committed,
        "again": client.executed()[len(before) :],
        "left": [*client.folder.names(), *client.store.runs()],
    }


def two_resume(folder: Path) -> dict[str, Any]:
    """Die after some commits; let two processes go on at once."""
    client = Client(folder)
    os.waitpid(in_child(lambda: client.run(killing(18), inline_bytes=0)), 0)
    committed, before = client.committed(), client.executed()

    def resumer(name: str) -> None:
        try:
            told: Any = client.run(inline_bytes=0, claimed=True)
        except RunHeldError as error:
            told = str(error)
        (folder / name).write_text(json.dumps(told))

    children = [in_child(lambda name=name: resumer(name)) for name in ("a", "b")]  # type: ignore[misc]
    for child in children:
        os.waitpid(child, 0)
    return {
        "told": [json.loads((folder / name).read_text()) for name in ("a", "b")],
        "committed": committed,
        "again": client.executed()[len(before) :],
        "left": [*client.folder.names(), *client.store.runs()],
    }


def killed_once(folder: Path) -> dict[str, Any]:
    """Die while tasks are in flight that may not run twice; say what whoever goes on is told, and what ran again."""
    client = Client(folder)
    os.waitpid(in_child(lambda: client.run(killing(18), inline_bytes=0, idempotent=False)), 0)
    before = client.executed()

    def resumer() -> None:
        try:
            client.run(inline_bytes=0, claimed=True, idempotent=False)
        except OutcomeUnknownError as error:
            (folder / "told").write_text(str(error))

    os.waitpid(in_child(resumer), 0)
    return {"told": (folder / "told").read_text(), "again": client.executed()[len(before) :]}


def events_of(folder: Path) -> int:
    """Return how many events an undisturbed run tells."""
    told: list[Event] = []
    folder.mkdir()
    Client(folder).run(told.append, inline_bytes=0)
    return len(told)


def case(folder: Path, number: int, inline_bytes: int) -> dict[str, Any]:
    """Die at one event, in a folder of its own."""
    home = folder / f"{inline_bytes}-{number}"
    home.mkdir()
    return {"event": number, "inline_bytes": inline_bytes, **killed_and_resumed(home, number, inline_bytes)}


def main(folder: Path) -> None:
    """Die at every event in turn, with stored values and with inline ones; then let two go on at once."""
    events = range(events_of(folder / "whole"))
    cases = [(folder, number, inline) for inline in (0, 65_536) for number in events]
    with get_context("fork").Pool(8) as pool:
        killed = pool.starmap(case, cases)
    for name in ("two", "once"):
        (folder / name).mkdir()
    once = killed_once(folder / "once")
    print(json.dumps({"killed": killed, "two": two_resume(folder / "two"), "once": once}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

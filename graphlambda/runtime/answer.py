"""From a request to a reply: each task of the batch, one after the other.

In: a request and an environment (see `wire`, `environment`). Out: a reply. A task's failure is its outcome and
the others still run. Only a request that cannot be read raises: Lambda then reports the exception's class.
"""

from __future__ import annotations

import time
from binascii import a2b_base64, b2a_base64
from functools import partial
from itertools import product

from .failures import carry_causes, describe, describe_briefly, dumps_in_parts, is_like, leave_causes
from .faults import FaultError, FrameError, ValueStoreError
from .frame import encode, encode_parts, load, size_of, verify
from .inputs import Frames, arguments, row_of, with_own_literals
from .iterators import materialised
from .memory import peak_mb
from .modules import modules_of
from .outcomes import Outcomes, encoded_bytes
from .output import REPLY_BYTES as OUTPUT_BYTES
from .picking import LeftError, Parts
from .values import client_of
from .wire import (
    FULL,
    INLINE_BATCH,
    REPLY_BYTES,
    VERSION,
    constants_name,
    context,
    error_name,
    settings_name,
    value_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, TypeAlias

    from .environment import Environment
    from .frame import Buffer, Dumps
    from .inputs import Binding, Ref
    from .values import Client

    Clients: TypeAlias = Callable[[Mapping[str, Any]], Client]

FULL_ERRORS = 16
"""How many errors of one reply come with their exception and frames."""

LOOK_EVERY_S = 0.1
"""How often a batch looks between two tasks whether its run still goes on."""

READ_BYTES_A_SECOND = 400e6
"""What a store gives a reader, about: what takes less to make than to read is not shared."""

ERROR_BYTES = 256 * 1024
"""The largest frame of an exception that goes home."""

TASK_BYTES = 16 * 1024
"""Room in the reply without which no task is begun: for what must be told of it, however it ends."""

ROOM_BYTES = REPLY_BYTES - 6 * OUTPUT_BYTES - 4096
"""Of a reply, beside what tasks print, each byte of which may be written as six, and what every reply has."""


def answer(
    request: Mapping[str, Any], environment: Environment, clients: Clients = client_of
) -> dict[str, Any]:
    """Run the tasks of a request and return the reply, as JSON-like data; `clients` makes the store's client.

    Raises:
        FrameError: the batch is damaged, or belongs to another run.
        ValueStoreError: the batch cannot be read, or the store of a run that is to be dropped is out of reach.
    """
    if "drop" in request:
        from .janitor import dropped  # noqa: PLC0415  (one request in thousands)

        return dropped(request["drop"], clients)
    begun_s = time.perf_counter()
    environment.arenas.begin()
    invocation = Invocation(request, environment, clients)
    with environment.capture:
        invocation.run()
    cold, environment.cold = environment.cold, False
    told = invocation.told()
    environment.arenas.end(len(told["tasks"]))
    took_s = time.perf_counter() - begun_s + (environment.init_s if cold else 0.0)
    started = {"environment": environment.name, "cold": cold, "had_waited": environment.had_waited}
    return {"v": VERSION, **started, "took_s": round(took_s, 6), **told}


class Invocation:
    """One request, opened."""

    def __init__(self, request: Mapping[str, Any], environment: Environment, clients: Clients) -> None:
        if request["v"] != VERSION:
            raise FrameError(
                f"a request of version {request['v']} to a function of version {VERSION}: deploy again"
            )
        if request["operation"] != environment.operation_id:
            raise FrameError(
                f"a request for operation {request['operation']} to a function of {environment.operation_id}"
            )
        self._request = request
        self._environment = environment
        self._run: str = request["run"]
        self._keys = {run: a2b_base64(key) for run, key in request["keys"].items()}
        self._client = clients(request["store"])
        self._asked = self._client.traffic()
        self._room_bytes: int = request["reply_bytes"]
        self._full_errors = FULL_ERRORS
        self._batch = self._verified_batch(request["batch"])
        self._tasks, self._columns, inline, picks, unsent, shared = load(self._batch)
        self._unsent = frozenset(unsent)
        told: tuple[str, float, dict[int, int]] = shared or ("", 0.0, {})
        self._namespace, self._least_s, self._numbers = told
        self._began_s = 0.0
        self._made_s: dict[Ref, float] = {}
        self._frames = Frames(self._run, self._keys, self._client, inline)
        self._parts = Parts(self._tasks, picks, self._frames)
        self._outcomes = Outcomes()
        self._looked_s, self._ended = time.perf_counter(), ""

    def run(self) -> None:
        """Run all tasks."""
        row = 0
        for task in self._tasks:
            if self._has_ended():
                break
            if task in self._parts.picks:
                self._run_task(task, partial(self._picked, task))
            else:
                self._run_task(task, partial(self._made, task, row))
                row += 1
        if self._outcomes.errors or self._outcomes.left or self._ended == FULL:
            self._send_shared()

    def told(self) -> dict[str, Any]:
        """Return what became of the tasks that were run, as the wire says it."""
        asked = zip(self._client.traffic(), self._asked, strict=True)
        traffic = [now - before for now, before in asked]
        return {**self._outcomes.told(), "peak_mb": peak_mb(), "ended": self._ended, "traffic": traffic}

    def _has_ended(self) -> bool:
        """Whether the run does not go on: its store is asked at most every `LOOK_EVERY_S`, never by a short batch."""
        if self._left_bytes < TASK_BYTES:
            self._ended = FULL
            return True
        now_s = time.perf_counter()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s, self._ended = now_s, self._client.ended(self._run)
        return self._ended != ""

    def _run_task(self, task: int, run: Callable[[], int]) -> None:
        """Note what becomes of a task; `run` sends its value and returns the bytes of it."""
        outcomes, capture = self._outcomes, self._environment.capture
        self._began_s = start_s = time.perf_counter()
        size_bytes = 0
        capture.begin()
        try:
            size_bytes = run()
        except LeftError:
            outcomes.add_left(task)
            return
        except BaseException as error:  # noqa: BLE001  (whatever a task raises is its outcome: sys.exit(), too)
            self._note_error(task, error)
        outcomes.add(task, start_s, time.perf_counter(), size_bytes)
        if output := capture.take():
            outcomes.outputs[str(task)] = output

    def _made(self, task: int, row: int) -> int:
        """Run a task; its value is kept for its parts, and sent unless only they are wanted."""
        value = self._value(row)
        if task in self._parts.wanted:
            self._made_s[task] = time.perf_counter() - self._began_s
        self._parts.made(task, value)
        return self._send(task, value, self._request["inline_bytes"])

    def _picked(self, task: int) -> int:
        """Run a projection; where it fails, the value must be found by whoever tries again."""
        self._enter_settings()
        try:
            value = materialised(self._parts.pick(task))
            self._parts.made(task, value)
            return self._send(task, value, self._parts.picks[task][3])
        except BaseException:
            self._send_after_all(self._parts.picks[task][1], self._parts.held)
            raise
        finally:
            self._parts.done(task)

    def _value(self, row: int) -> Any:
        """Call the operation for one task and return what it gave, in a form that can travel."""
        operation = self._environment.operation()
        self._enter_settings()
        return materialised(operation(*self._arguments(row)))

    def _arguments(self, row: int) -> list[Any]:
        begun_s = time.perf_counter()
        given = arguments(self._bindings(row), self._constants(), self._frames)
        self._outcomes.reading_s += time.perf_counter() - begun_s
        return given

    def _bindings(self, row: int) -> Sequence[Binding]:
        bindings = row_of(self._columns, row)
        if len(self._tasks) == 1:
            return bindings
        try:
            return with_own_literals(bindings)
        except Exception:  # noqa: BLE001  (a literal that only cloudpickle takes: decode the whole batch again)
            return row_of(load(self._batch)[1], row)

    def _constants(self) -> Mapping[int, Any]:
        sent = self._request["constants"]
        return self._environment.constants(
            self._run, sent["id"], lambda: self._opened_for_us(constants_name(sent["id"]), sent)
        )

    def _enter_settings(self) -> None:
        sent = self._request["settings"]
        self._environment.state.enter(sent["id"], lambda: load(self._opened(settings_name(sent["id"]), sent)))

    def _send(self, task: int, value: Any, inline_bytes: int) -> int:
        """Put a value on its road: into the reply where there is room, else into the store; return its bytes."""
        outcomes = self._outcomes
        if task in self._unsent and (task in self._parts.wanted or self._frames.share(task, value)):
            outcomes.unsent.append(task)
            return 0
        begun_s = time.perf_counter()
        name, parts = self._encoded(task, value)
        size_bytes = size_of(parts)
        if (
            size_bytes <= min(inline_bytes, self._room_bytes)
            and encoded_bytes(size_bytes) <= self._left_bytes - TASK_BYTES
        ):
            frame = b"".join(parts)
            self._room_bytes -= size_bytes
            self._frames.made(task, frame)
            outcomes.add_inline(frame)
        elif not self._is_shared(task, value, size_bytes):
            self._client.write(self._run, name, parts)
            outcomes.stored.append(task)
        outcomes.sending_s += time.perf_counter() - begun_s
        return size_bytes

    def _is_shared(self, task: int, value: Any, size_bytes: int) -> bool:
        """Whether a value was left where later runs find it: that saves them time, and there was room."""
        if task not in self._numbers or self._cost_s(task) - size_bytes / READ_BYTES_A_SECOND < self._least_s:
            return False
        place = self._namespace, self._numbers[task]
        name, parts = self._encoded(task, value, place)
        try:
            self._client.write(self._namespace, name, parts)
        except ValueStoreError:  # it is the run's own then
            return False
        self._frames.moved(task, place)
        self._outcomes.shared.append(task)
        return True

    def _cost_s(self, task: int) -> float:
        """Return what it took to make a value: a part's, with what it was picked from where that was made here."""
        source = self._parts.picks[task][1] if task in self._parts.picks else None
        return (
            time.perf_counter() - self._began_s + (0.0 if source is None else self._made_s.get(source, 0.0))
        )

    def _send_shared(self) -> None:
        """Store the values that this batch's own tasks were to read: one of them may have to run again, or first."""
        for task in self._outcomes.unsent.copy():
            if task not in self._parts.wanted:
                self._send_after_all(task, self._frames.shared)
            elif self._parts.wanted[task] and self._ended == FULL:
                self._send_after_all(task, self._parts.held)

    def _send_after_all(self, ref: Ref, value_of: Callable[[int], Any]) -> None:
        """Store a value that was not to be sent, if it is one."""
        if not isinstance(ref, int) or ref not in self._outcomes.unsent:
            return
        self._outcomes.unsent.remove(ref)
        try:
            name, parts = self._encoded(ref, value_of(ref))
            self._client.write(self._run, name, parts)
            self._outcomes.add_stored(ref, size_of(parts))
        except BaseException as error:  # noqa: BLE001  (as of a task)
            self._note_error(ref, error)

    def _encoded(
        self, task: int, value: Any, place: tuple[str, int] | None = None
    ) -> tuple[str, Sequence[Buffer]]:
        """Return a value's name and the parts of its frame, for this run or another `place`."""
        run, number = place or (self._run, task)
        name = value_name(number)
        parts = encode_parts(
            value,
            key=self._keys[run],
            context=context(run, name),
            gmac=self._request["gmac"],
        )
        if modules := modules_of(parts):
            self._outcomes.add_modules(task, modules)
        return name, parts

    @property
    def _left_bytes(self) -> int:
        return ROOM_BYTES - self._outcomes.taken_bytes

    def _note_error(self, task: int, error: BaseException) -> None:
        """Tell of a task's failure, as much as there is room for."""
        from json import dumps  # noqa: PLC0415  (few tasks fail)

        for told in self._descriptions(task, error):
            size_bytes = len(dumps(told))
            if size_bytes <= self._left_bytes - TASK_BYTES // 2:
                break
        self._outcomes.add_error(task, told, size_bytes)

    def _descriptions(self, task: int, error: BaseException) -> Iterator[dict[str, Any]]:
        """Yield what may be told of a failure, ever shorter."""
        if self._full_errors > 0:
            self._full_errors -= 1
            frame = self._packed(task, error)
            yield describe(error, None if frame is None else b2a_base64(frame, newline=False).decode())
        brief = describe_briefly(error)
        yield brief
        yield {name: told[:100] if isinstance(told, str) else told for name, told in brief.items()}

    def _packed(self, task: int, error: BaseException) -> bytes | None:
        """Return the frame of an exception, with its causes where they can travel; None where it cannot itself."""
        if isinstance(error, FaultError):  # the client does not know our modules by these names
            return None
        second_best = None
        for prepare, dumps in product((carry_causes, leave_causes), (None, dumps_in_parts)):
            prepare(error)
            frame, alike = self._rebuildable(task, error, dumps)
            if frame is not None and len(frame) <= min(ERROR_BYTES, self._room_bytes, self._left_bytes // 2):
                if alike:
                    return frame
                second_best = second_best or frame
        return second_best

    def _rebuildable(self, task: int, error: BaseException, dumps: Dumps | None) -> tuple[bytes | None, bool]:
        """Return the frame of an exception if it can be rebuilt from it, and whether as it was."""
        name = context(self._run, error_name(task))
        try:
            frame = encode(error, key=self._keys[self._run], context=name, dumps=dumps)
            return frame, is_like(load(memoryview(frame)), error)
        except Exception:  # noqa: BLE001  (its constructor asks for what its args lack, or it holds what cannot travel)
            return None, False

    def _verified_batch(self, batch: str | Mapping[str, str]) -> memoryview:
        if isinstance(batch, str):
            return self._opened_for_us(INLINE_BATCH, {"frame": batch})
        return self._opened_for_us(batch["stored"], {})

    def _opened_for_us(self, name: str, sent: Mapping[str, str]) -> memoryview:
        return self._opened(name, sent, self._environment.operation_id)

    def _opened(self, name: str, sent: Mapping[str, str], operation: str = "") -> memoryview:
        """Return the verified frame that a request holds, or names."""
        frame = a2b_base64(sent["frame"]) if "frame" in sent else self._client.read(self._run, name)
        return verify(
            frame, key=self._keys[self._run], context=context(self._run, name, operation)
        ).toreadonly()

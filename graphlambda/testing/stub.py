"""Invoke without Lambda: a server that answers our wire's requests and runs nothing, so that a client is what is measured.

In: requests as `runtime.wire` describes them. Out: replies in which the value of each task is its id, or was
stored. Must not load a batch before its frame verifies, nor answer whoever does not name its access key.

It serves from a process of its own, on loopback. The access key is its secret: to look for it in a header costs a
tenth of a signature, and what is measured is the client.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import resource
import secrets
from binascii import a2b_base64, b2a_base64
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from graphlambda.runtime.frame import encode, load, verify
from graphlambda.runtime.wire import INLINE_BATCH, VERSION, context, value_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from multiprocessing.connection import Connection

START_S, STOP_S = 60.0, 10.0
"""How long the process may take to start, and to end."""

_BACKLOG = 16_384
_REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A stub that runs."""

    url: str
    access_key: str
    """Requests are to be signed with it, and any secret key."""

    _control: Connection

    def seen(self) -> Seen:
        """Return what it has seen so far, and let it count anew.

        Raises:
            EOFError: its process is gone.
        """
        self._control.send(None)
        told: Seen = self._control.recv()
        return told


@dataclass(slots=True)
class Seen:
    """What a stub has seen."""

    requests: int = 0
    tasks: int = 0
    most_in_flight: int = 0
    hops_s: list[float] = field(default_factory=list)
    """From each reply to the request of a task that reads a value of it, where that is one that came inline."""


@contextmanager
def stub(*, latency_s: float = 0.0) -> Iterator[Stub]:
    """Serve while the context lasts.

    Each reply waits for about `latency_s`: between half of it and half more, so that replies do not come in bursts.
    """
    access_key = f"STUB{secrets.token_hex(8).upper()}"
    spawn = multiprocessing.get_context("spawn")
    ours, its = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(its, access_key, latency_s), name="stub", daemon=True)
    process.start()
    its.close()
    try:
        if not ours.poll(START_S):
            raise TimeoutError(f"the stub did not start within {START_S:g} s")
        yield Stub(url=f"http://127.0.0.1:{ours.recv()}", access_key=access_key, _control=ours)
    finally:
        ours.close()
        process.join(STOP_S)
        process.kill()
        process.join(STOP_S)


def _serve(control: Connection, access_key: str, latency_s: float) -> None:
    """Serve until the other end of the pipe is closed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    asyncio.run(_served(control, _Answers(latency_s), access_key.encode()))


async def _served(control: Connection, answers: _Answers, access_key: bytes) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(
        lambda: _Connection(answers, access_key), "127.0.0.1", 0, backlog=_BACKLOG
    )

    def asked() -> None:
        try:
            control.recv()
        except EOFError:
            loop.remove_reader(control.fileno())
            over.set()
        else:
            control.send(answers.taken())

    loop.add_reader(control.fileno(), asked)
    control.send(server.sockets[0].getsockname()[1])
    await over.wait()
    server.close()


class _Answers:
    """Makes replies, and keeps count."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._random = Random(0)
        self._seen = Seen()
        self._in_flight = 0
        self._replied_s: dict[int, float] = {}

    def taken(self) -> Seen:
        """Return what was seen since the last time."""
        seen, self._seen = self._seen, Seen()
        return seen

    def wait_s(self) -> float:
        """Return how long the next reply waits."""
        return self._latency_s * self._random.uniform(0.5, 1.5)

    def begin(self) -> None:
        """Note that a request is here."""
        seen = self._seen
        seen.requests += 1
        self._in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, self._in_flight)

    def answer(self, request: Mapping[str, Any]) -> tuple[list[int], bytes]:
        """Return a request's tasks and the reply."""
        run, key = request["run"], a2b_base64(request["keys"][request["run"]])
        bound = context(run, INLINE_BATCH, request["operation"])
        tasks, _, inline, *_ = load(verify(a2b_base64(request["batch"]), key=key, context=bound))
        self._note(inline)
        frames = [encode(task, key=key, context=context(run, value_name(task))) for task in tasks]
        return tasks, json.dumps(_told(tasks, frames)).encode()

    def end(self, tasks: Iterable[int]) -> None:
        """Note that a reply was sent."""
        self._in_flight -= 1
        self._replied_s |= dict.fromkeys(tasks, monotonic())

    def _note(self, inline: Iterable[Any]) -> None:
        now_s = monotonic()
        replied_s = (self._replied_s.pop(value, None) for value in inline)
        self._seen.hops_s += [now_s - at_s for at_s in replied_s if at_s is not None]


def _told(tasks: list[int], frames: list[bytes]) -> dict[str, Any]:
    nothing = [0.0] * len(tasks)
    return {
        "v": VERSION,
        "environment": "stub",
        "cold": False,
        "had_waited": False,
        "at_s": 0.0,
        "peak_mb": 0.0,
        "took_s": 0.0,
        "traffic": [0, 0, 0],
        "tasks": tasks,
        "started_s": nothing,
        "seconds": nothing,
        "bytes": [len(frame) for frame in frames],
        "reading_s": 0.0,
        "sending_s": 0.0,
        "inline": b2a_base64(b"".join(frames), newline=False).decode(),
        "stored": [],
        "shared": [],
        "unsent": [],
        "left": [],
        "ended": "",
        "modules": {},
        "outputs": {},
        "errors": {},
    }


class _Connection(asyncio.Protocol):
    """One kept connection: a request, its reply, the next one."""

    _transport: asyncio.Transport

    def __init__(self, answers: _Answers, access_key: bytes) -> None:
        self._answers = answers
        self._signed_by = b"Credential=" + access_key + b"/"
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        body = received.find(b"\r\n\r\n") + 4
        if body < 4:
            return
        head = bytes(received[:body])
        end = body + _length(head)
        if len(received) >= end:
            self._request(head, bytes(received[body:end]))
            del received[:end]

    def _request(self, head: bytes, body: bytes) -> None:
        if self._signed_by not in head:
            self._transport.write(_REFUSED)
            return
        self._answers.begin()
        tasks, reply = self._answers.answer(json.loads(body))
        if wait_s := self._answers.wait_s():
            asyncio.get_running_loop().call_later(wait_s, self._reply, tasks, reply)
        else:
            self._reply(tasks, reply)

    def _reply(self, tasks: list[int], reply: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(reply), reply))
        self._answers.end(tasks)


def _length(head: bytes) -> int:
    """Return the length of a request's body; Invoke's clients always say it."""
    _, _, rest = head.partition(b"\r\nContent-Length: ")
    return int(rest[: rest.find(b"\r")])

"""Links between hosts that share no network: late, losing packets, cut.

In: where sockets of a host come from, a port. Out: connections to that port of another host. Must not change, lose or reorder
a byte of a connection that lives: a packet that is lost comes later, as TCP sends it again; what a cut ends are connections.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from graphlambda.testing.hosts import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    Sockets = Callable[[], socket.socket]

DELAY_S = (0.02, 0.05)
"""Of each packet, one way."""

LOST, AGAIN_S = 0.02, 0.2
"""The share of packets that are lost, and how much later TCP sends one again."""

PAUSE_S = (0.1, 0.4)
"""Before each cut."""

CUT_S = (0.1, 0.4)
"""How long a cut lasts, but where connections are lost and new ones can be made at once."""

_PACKET_BYTES = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


def here() -> socket.socket:
    """Return a new TCP socket of this host."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


class Link:
    """What leads from a port of one host's loopback to the same port of another's."""

    def __init__(self, port: int, start: Sockets, end: Sockets) -> None:
        self._place = LOOPBACK, port
        self._end = end
        self._open: dict[asyncio.Task[None], socket.socket] = {}
        self._entrance = start()
        self._entrance.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._entrance.bind(self._place)
        self._entrance.setblocking(False)

    async def lead(self, random: Random) -> None:
        """Take connections, for as long as nobody cancels this."""
        loop, self._whole = asyncio.get_running_loop(), asyncio.Event()
        with self._entrance:
            self._heal()
            while True:
                await self._whole.wait()
                with suppress(OSError):  # of a cut
                    arrived, _ = await loop.sock_accept(self._entrance)
                    passing = asyncio.create_task(self._pass(arrived, random))
                    self._open[passing] = arrived
                    passing.add_done_callback(lambda done: self._open.pop(done).close())

    async def cut(self, seconds: float) -> int:
        """End all connections, and refuse new ones for a while; return how many were ended."""
        self._whole.clear()
        self._entrance.shutdown(socket.SHUT_RDWR)  # stays bound: the port is nobody else's meanwhile
        ended = [passing for passing in self._open if passing.cancel()]
        await asyncio.sleep(seconds)
        self._heal()
        return len(ended)

    def _heal(self) -> None:
        self._entrance.listen()
        self._whole.set()

    async def _pass(self, arrived: socket.socket, random: Random) -> None:
        """Pass bytes both ways until both ends have said all; where one breaks off, or a cut comes, both are reset."""
        with self._end() as left:
            left.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(left, self._place)
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(_carry(arrived, left, random))
                    ways.create_task(_carry(left, arrived, random))
            except* (OSError, asyncio.CancelledError):
                for each in (arrived, left):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class Network:
    """Some links, led by a thread of their own while this is open."""

    def __init__(self, links: Sequence[Link], random: Random) -> None:
        self._links = links
        self._random = random
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._lead()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        loop = self._loop.result()
        loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def storm(self, cuts: int) -> Future[int]:
        """Begin to cut each link so many times, at any moment; when all are whole again, tell how many connections that ended."""
        return asyncio.run_coroutine_threadsafe(self._storm(cuts), self._loop.result())

    async def _lead(self) -> None:
        self._over = asyncio.Event()
        leading = [asyncio.create_task(link.lead(self._random)) for link in self._links]
        self._loop.set_result(asyncio.get_running_loop())
        await self._over.wait()
        del leading  # the loop ends them, and all that they lead

    async def _storm(self, cuts: int) -> int:
        struck = [*self._links] * cuts
        self._random.shuffle(struck)
        ended = 0
        for link in struck:
            await asyncio.sleep(self._random.uniform(*PAUSE_S))
            ended += await link.cut(self._random.choice((0.0, self._random.uniform(*CUT_S))))
        return ended


async def _carry(out_of: socket.socket, into: socket.socket, random: Random) -> None:
    """Carry packets one way, each late, until their end."""
    loop = asyncio.get_running_loop()
    late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    async with asyncio.TaskGroup() as both:
        both.create_task(_deliver(late, into))
        packet = b"first"
        while packet:
            packet = await loop.sock_recv(out_of, _PACKET_BYTES)
            again_s = AGAIN_S if random.random() < LOST else 0.0
            late.put_nowait((loop.time() + random.uniform(*DELAY_S) + again_s, packet))


async def _deliver(late: asyncio.Queue[tuple[float, bytes]], into: socket.socket) -> None:
    """Deliver packets when they are due, in their order; an empty one is the end."""
    loop = asyncio.get_running_loop()
    while True:
        due_s, packet = await late.get()
        await asyncio.sleep(due_s - loop.time())
        if not packet:
            into.shutdown(socket.SHUT_WR)
            return
        await loop.sock_sendall(into, packet)

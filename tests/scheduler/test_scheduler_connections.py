"""Connections that die: what is sent again over another one, and what never is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from graphlambda.scheduler.connections import (
    IDLE_BEFORE_PROBE_S,
    KEEP_ALIVE_S,
    PROBE_EVERY_S,
    PROBES,
    Connections,
    head,
)
from graphlambda.testing.servers import self_signed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Mortal:
    """A server whose connections end: each serves so many requests, and then does what it is told to."""

    def __init__(
        self, serves: int, end: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self._serves = serves
        self._end = end
        self.connections = self.requests = 0
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()
            self.over.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self._serves if self.connections == 1 else 100):
            try:
                told = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(told.rpartition(b"Content-Length: ")[2]))
            except asyncio.IncompleteReadError:
                return
            self.requests += 1
            writer.write(WELL)
        await self._end(reader, writer)


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection while it is idle."""
    writer.close()


async def read_a_part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection in the middle of a request that is larger than what the way to here holds."""
    await reader.readexactly(1000)
    writer.transport.abort()


async def read_it_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection after a whole request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


def exchanged(
    server: Mortal, *requests: bytes, wait: bool = False, certified: tuple[Path, Path] | None = None
) -> list[bytes]:
    own = trusting = None
    if certified:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(*certified)
        trusting = ssl.create_default_context(cafile=certified[0])

    async def all_of_them() -> list[bytes]:
        listening = await asyncio.start_server(server.serve, "localhost", 0, family=socket.AF_INET, ssl=own)
        address = f"localhost:{listening.sockets[0].getsockname()[1]}"
        connections = Connections(f"https://{address}" if own else f"http://{address}", most=1, tls=trusting)
        bodies = []
        try:
            for request in requests:
                bodies.append((await connections.exchange(request)).body)
                if wait and len(bodies) == 1:
                    await server.over.wait()
        finally:
            connections.close()
            listening.close()
        return bodies

    return asyncio.run(all_of_them())


SMALL = head("POST", "/", "h", {"Content-Length": "0"})
LARGE = head("POST", "/", "h", {"Content-Length": str(1 << 25)}) + bytes(1 << 25)


def test_a_connection_that_the_server_has_ended_meanwhile_is_not_used_again() -> None:
    server = Mortal(1, hang_up)
    assert exchanged(server, SMALL, SMALL, wait=True) == [b"ok", b"ok"]
    assert (server.connections, server.requests) == (2, 2)


def test_a_request_that_a_kept_connection_did_not_take_whole_goes_over_another_one() -> None:
    server = Mortal(1, read_a_part)
    assert exchanged(server, SMALL, LARGE) == [b"ok", b"ok"]
    assert (server.connections, server.requests) == (2, 2)


def test_a_request_that_a_new_connection_did_not_take_whole_is_known_not_to_have_been_acted_on() -> None:
    with pytest.raises(ConnectionRefusedError):
        exchanged(Mortal(0, read_a_part), LARGE)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_request_that_was_sent_whole_is_never_sent_again(tmp_path: Path, tls: bool, before: int) -> None:
    server = Mortal(before, read_it_all)
    with pytest.raises(ConnectionError) as raised:
        exchanged(server, *[SMALL] * (before + 1), certified=self_signed(tmp_path) if tls else None)
    assert not isinstance(raised.value, ConnectionRefusedError)
    assert (server.connections, server.requests) == (1, before)


def test_the_system_looks_for_the_other_end_long_before_a_gateway_forgets_the_connection() -> None:
    async def options() -> tuple[int, ...]:
        server = Mortal(9, hang_up)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        connections = Connections(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", most=1)
        await connections.exchange(SMALL)
        (kept,) = connections._open
        made = kept._transport.get_extra_info("socket")
        wanted = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        told = tuple(made.getsockopt(socket.IPPROTO_TCP, option) for option in wanted)
        connections.close()
        listening.close()
        return made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *told

    on, *told = asyncio.run(options())
    assert (on, told) == (1, [IDLE_BEFORE_PROBE_S, PROBE_EVERY_S, PROBES])
    assert IDLE_BEFORE_PROBE_S + PROBE_EVERY_S * PROBES < 350 > 2 * KEEP_ALIVE_S

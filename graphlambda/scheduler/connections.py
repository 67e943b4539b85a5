"""Kept HTTP/1.1 connections to one server, thousands of them on one event loop.

In: requests as bytes. Out: answers. One request a connection at a time, none sent twice unless it is certain that it was
not sent whole: whether one that got no answer was acted on is for the caller to think about. Must not know what requests
mean.

An answer costs the loop a fifth of what it costs through aiohttp, which is made for servers of every kind: of 100 µs
that an invocation may take of the client, that was most.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from graphlambda.scheduler.answers import Answer, Reader

if TYPE_CHECKING:
    from urllib.parse import SplitResult

CONNECT_TIMEOUT_S = 10.0
"""How long all of a connection's making may take: names, addresses, a proxy, TLS."""

KEEP_ALIVE_S = 60.0
"""How long an idle connection is trusted to be there still."""

RESOLVED_S = 10.0
"""How long a name's addresses are used: thousands of connections are opened at once."""

IDLE_BEFORE_PROBE_S = 60
"""NAT gateways and load balancers drop connections that are silent for 350 s; a function may take 900."""

PROBE_EVERY_S = 15
PROBES = 4
"""A connection whose other end is gone is known to be dropped after two minutes."""

_WHEN_TO_PROBE = [
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", IDLE_BEFORE_PROBE_S),
        ("TCP_KEEPALIVE", IDLE_BEFORE_PROBE_S),  # macOS's name for it
        ("TCP_KEEPINTVL", PROBE_EVERY_S),
        ("TCP_KEEPCNT", PROBES),
    )
    if hasattr(socket, name)
]

_UNSENT_BYTES = 1
"""From which on a part of a request counts as unsent. Where it were none, asyncio's TLS would take what is sent for unsent."""

_PORTS = {"http": 80, "https": 443}


class Connections:
    """The connections to one server; they are opened as they are needed."""

    def __init__(
        self, url: str, *, most: int, proxy: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        """`url` and `proxy` are URLs without a path; `tls` says whom to trust, None the system's. A proxy may speak TLS, too."""
        self._url = urlsplit(url)
        self._proxy = urlsplit(proxy) if proxy else None
        schemes = {self._url.scheme, self._proxy.scheme if self._proxy else ""}
        trusted = tls or ssl.create_default_context() if "https" in schemes else None
        self._tls = trusted if self._url.scheme == "https" else None
        self._proxy_tls = trusted if self._proxy and self._proxy.scheme == "https" else None
        self._places = asyncio.Semaphore(most)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._resolving = asyncio.Lock()
        self._addresses: list[tuple[str, int]] = []
        self._resolved_s = 0.0
        self._is_closed = False

    @property
    def prefix(self) -> str:
        """What stands before the path in a request's first line: a proxy is told of a server without TLS."""
        return f"http://{self._url.netloc}" if self._proxy and not self._tls else ""

    @property
    def headers(self) -> dict[str, str]:
        """What a request says beside its own headers: who we are to a proxy that reads it."""
        return _authorization(self._proxy) if self._proxy and not self._tls else {}

    async def exchange(self, request: bytes) -> Answer:
        """Send a request; return its answer.

        Raises:
            ConnectionRefusedError: no connection could be made, or none that took the whole request.
            ConnectionError: it was dropped; whether the request was acted on is unknown.
        """
        async with self._places:
            connection = self._kept()
            if connection is not None:
                with suppress(ConnectionRefusedError):  # it was dead, and nobody got the request: another one
                    return await self._exchanged(connection, request)
            return await self._exchanged(await self._opened(), request)

    async def _exchanged(self, connection: _Connection, request: bytes) -> Answer:
        try:
            answer = await connection.exchange(request)
        except BaseException:
            connection.drop()
            raise
        else:
            if answer.kept and not self._is_closed:
                self._idle.append(connection)
            else:
                connection.drop()
            return answer

    def close(self) -> None:
        """Drop all connections; exchanges end with `ConnectionError`."""
        self._is_closed = True
        self._idle.clear()
        for connection in tuple(self._open):
            connection.drop()

    def _kept(self) -> _Connection | None:
        """Return an idle connection, the one that was used last; those that are gone are forgotten."""
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if now_s - connection.used_s < KEEP_ALIVE_S and connection.is_silent:
                return connection
            connection.drop()
        return None

    async def _opened(self) -> _Connection:
        if self._is_closed:
            raise ConnectionError("all connections were dropped")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._connected()
                if self._proxy and self._tls:
                    try:
                        await self._through(connection)
                    except BaseException:
                        connection.drop()
                        raise
        except OSError as error:  # TimeoutError and ssl.SSLError are OSErrors
            raise ConnectionRefusedError(
                f"{self._url.scheme}://{self._url.netloc}: {error or type(error).__name__}"
            ) from error
        return connection

    async def _connected(self) -> _Connection:
        """Connect to the server, or to the proxy; of several addresses each in its turn, until one takes us."""
        tls, to = (self._proxy_tls, self._proxy) if self._proxy else (self._tls, self._url)
        failure: OSError = ConnectionRefusedError("its name has no address")
        for host, port in await self._resolved():
            connection = _Connection(self._open)
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda made=connection: made,
                    host,
                    port,
                    ssl=tls,
                    server_hostname=to.hostname if tls else None,
                )
            except OSError as error:
                failure = error
            else:
                return connection
        raise failure

    async def _resolved(self) -> list[tuple[str, int]]:
        """Return the addresses to try; the next call begins with the next one."""
        to, loop = self._proxy or self._url, asyncio.get_running_loop()
        port = to.port or _PORTS[to.scheme]
        async with self._resolving:
            if not self._addresses or loop.time() - self._resolved_s > RESOLVED_S:
                found = await loop.getaddrinfo(to.hostname or "", port, type=socket.SOCK_STREAM)
                self._addresses = [(str(address[0]), port) for *_, address in found]
                self._resolved_s = loop.time()
            self._addresses.append(self._addresses.pop(0))
            return self._addresses.copy()

    async def _through(self, connection: _Connection) -> None:
        """Have the proxy connect us with the server, and speak TLS through it."""
        assert self._proxy
        assert self._tls
        server = f"{self._url.hostname}:{self._url.port or _PORTS['https']}"
        answer = await connection.exchange(
            head("CONNECT", server, server, _authorization(self._proxy)), is_bare=True
        )
        if answer.status // 100 != 2:
            raise ConnectionRefusedError(f"the proxy {self._proxy.hostname} answered {answer.status}")
        await connection.encrypt(self._tls, self._url.hostname or "")


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, everyone: set[_Connection]) -> None:
        self._everyone = everyone
        self._transport: asyncio.Transport
        self._heard = select.poll()
        self._reader = Reader()
        self._answer: asyncio.Future[Answer] | None = None
        self._is_sent = True
        self.is_open = False
        self.used_s = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether it is there, as far as one can know, and said nothing that nobody asked for: its end, for one."""
        return self.is_open and not self._heard.poll(0)

    async def exchange(self, request: bytes, *, is_bare: bool = False) -> Answer:
        """Send a request; return its answer, as `Connections.exchange` does."""
        if not self.is_open:
            raise ConnectionRefusedError("the connection was dropped")
        loop = asyncio.get_running_loop()
        self._reader, self._answer = Reader(is_bare=is_bare), loop.create_future()
        self._transport.write(request)
        answer = await self._answer
        self._answer, self.used_s = None, loop.time()
        return answer

    async def encrypt(self, tls: ssl.SSLContext, host: str) -> None:
        """Speak TLS from now on."""
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self._transport, self, tls, server_hostname=host)
        assert transport is not None
        self._transport = transport
        transport.set_write_buffer_limits(_UNSENT_BYTES)

    def drop(self) -> None:
        """End it at once; whoever waits for an answer gets `ConnectionError`."""
        if self.is_open:
            self._transport.abort()
            self._lost("the connection was dropped")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember what to write to; have the system find out when the other end is gone."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(
            _UNSENT_BYTES
        )  # so that we are told while a part of a request is unsent
        self.is_open = True
        self._everyone.add(self)
        made = transport.get_extra_info("socket")
        self._heard.register(made, select.POLLIN)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _WHEN_TO_PROBE:
            made.setsockopt(socket.IPPROTO_TCP, option, value)

    def pause_writing(self) -> None:
        """Note that the request is not sent whole."""
        self._is_sent = False

    def resume_writing(self) -> None:
        """Note that it is."""
        self._is_sent = True

    def data_received(self, data: bytes) -> None:
        """Hand over an answer that is whole; end the connection where nothing was asked."""
        if self._answer is None or self._answer.done():
            self.drop()
            return
        try:
            answer = self._reader.feed(data)
        except ValueError as error:
            self._transport.abort()
            self._lost(str(error))
        else:
            if answer is not None:
                self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits; an answer without a length is whole then."""
        if self._answer is not None and not self._answer.done() and error is None:
            with suppress(ConnectionError):
                self._answer.set_result(self._reader.end())
        self._lost(str(error) if error else "the server ended the connection")

    def _lost(self, why: str) -> None:
        self.is_open = False
        self._everyone.discard(self)
        if self._answer is not None and not self._answer.done():
            kind = ConnectionError if self._is_sent else ConnectionRefusedError
            self._answer.set_exception(kind(why))


def head(method: str, target: str, host: str, headers: dict[str, str]) -> bytes:
    """Return a request's first line and headers."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode("latin-1")


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if not (proxy.username and proxy.password):  # as botocore
        return {}
    named = f"{unquote(proxy.username)}:{unquote(proxy.password)}"
    return {"Proxy-Authorization": f"Basic {b64encode(named.encode()).decode()}"}

"""Answers in HTTP/1.1, in pieces of any size; and connections through TLS and proxies."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.scheduler.answers import HEAD_BYTES, Answer, Reader
from graphlambda.scheduler.connections import Connections, head
from graphlambda.testing.servers import self_signed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "empty": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", (200, b"", True)),
    "none": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
    "closes": (b"HTTP/1.1 429 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", (429, b"{}", False)),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", (200, b"x", False)),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny",
        (200, b"y", True),
    ),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
        (200, b"abc0123456789abcdef", True),
    ),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nDigest: 1\r\n\r\n",
        (200, b"a", True),
    ),
}


def read(pieces: Sequence[bytes]) -> Answer | None:
    """Return the answer that comes with the last piece, and not before."""
    reader = Reader()
    assert [reader.feed(piece) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    return reader.feed(pieces[-1])


@pytest.mark.parametrize("name", ANSWERS)
@given(data=st.data())
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(name: str, data: st.DataObject) -> None:
    text, wanted = ANSWERS[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=8)))
    told = read([text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)])
    assert told is not None
    assert (told.status, told.body, told.kept) == wanted


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    reader = Reader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nto the end") is None
    told = reader.end()
    assert (told.body, told.kept) == (b"to the end", False)


@pytest.mark.parametrize(
    "text", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", ANSWERS["chunks"][0][:60]]
)
def test_half_an_answer_is_none(text: bytes) -> None:
    reader = Reader()
    assert reader.feed(text) is None
    with pytest.raises(ConnectionError):
        reader.end()


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 two\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ANSWERS["length"][0] * 2,
        b"x" * (HEAD_BYTES + 1),
    ],
)
def test_what_is_no_answer_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Reader().feed(text)


class Server:
    """Says one thing for each request that it reads, then hangs up; a proxy, if asked to be."""

    def __init__(self, *told: bytes) -> None:
        self.told = told
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for piece in self.told:
                self.asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(piece)
            await writer.drain()
        finally:
            writer.close()

    def ask(self, url: str = "", *, as_proxy: bool = False) -> Answer:
        """Return the answer to a request to `url`, or to this server itself."""
        return asyncio.run(self._ask(url, as_proxy=as_proxy))

    async def _ask(self, url: str, *, as_proxy: bool) -> Answer:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        proxy = f"http://me:pass%21@{address}" if as_proxy else None
        connections = Connections(url or f"http://{address}", most=2, proxy=proxy)
        try:
            return await connections.exchange(head("POST", "/", "h", {"Content-Length": "0"}))
        finally:
            connections.close()
            server.close()


def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    told = Server(b"HTTP/1.1 200 OK\r\n\r\nall of it").ask()
    assert (told.body, told.kept) == (b"all of it", False)


def test_what_is_no_http_is_a_connection_error() -> None:
    with pytest.raises(ConnectionError, match="no answer in HTTP"):
        Server(b"SSH-2.0-OpenSSH\r\n\r\n").ask()


def test_a_proxy_that_refuses_is_named_and_sees_nothing_but_where_to() -> None:
    proxy = Server(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(ConnectionRefusedError, match="answered 407"):
        proxy.ask("https://lambda.invalid", as_proxy=True)
    (asked,) = proxy.asked
    assert asked.startswith(b"CONNECT lambda.invalid:443 HTTP/1.1\r\nHost: lambda.invalid:443\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcyE=\r\n" in asked


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a proxy that connects whom it is asked to, and hands on bytes in both directions."""
    target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
    there, to = await asyncio.open_connection(*target.split(":"))
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

    async def hand_on(from_: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
        with closing(into), suppress(ConnectionError):
            while data := await from_.read(65_536):
                into.write(data)

    await asyncio.gather(hand_on(reader, to), hand_on(there, writer))


@pytest.mark.parametrize("proxy_scheme", [None, "http", "https"])
def test_who_is_trusted_is_spoken_to_in_tls_and_nobody_else(tmp_path: Path, proxy_scheme: str | None) -> None:
    certificate, key = self_signed(tmp_path)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def ask(tls: ssl.SSLContext | None) -> Answer:
        server = await asyncio.start_server(Server(ANSWERS["length"][0]).serve, "localhost", 0, ssl=own)
        proxy_tls = own if proxy_scheme == "https" else None
        proxy = await asyncio.start_server(tunnel, "localhost", 0, ssl=proxy_tls)
        ports = [each.sockets[0].getsockname()[1] for each in (server, proxy)]
        connections = Connections(
            f"https://localhost:{ports[0]}",
            most=1,
            proxy=proxy_scheme and f"{proxy_scheme}://localhost:{ports[1]}",
            tls=tls,
        )
        try:
            return await connections.exchange(head("POST", "/", "h", {"Content-Length": "0"}))
        finally:
            connections.close()
            server.close()
            proxy.close()

    assert asyncio.run(ask(trusting)).body == b"hello"
    with pytest.raises(ConnectionRefusedError, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(ask(None))

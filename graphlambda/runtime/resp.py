"""A RESP client on plain sockets: commands to a Valkey or Redis server and its replies.

In: where a server is, commands. Out: replies in the commands' order; bulk values in memory that the caller names or
in memory of their own. Must not join or copy a large argument, nor wait without bound.
"""

from __future__ import annotations

import os
import socket
import struct
from time import sleep, time

from .frame import allocate, size_of
from .scatter import pour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    from .frame import Buffer
    from .identity import Keys

    Argument: TypeAlias = bytes | Sequence[Buffer]
    """One argument; of several parts where joining them would be a copy."""

    Command: TypeAlias = Sequence[Argument]
    Reply: TypeAlias = Any
    """None, an int, bytes (a status), a memoryview (a bulk value), a list of replies, or `Refused`."""

    Sinks: TypeAlias = Mapping[int, memoryview]
    """By the command's place: where its bulk value goes."""

CONNECT_S = 5.0
WAIT_S = 30.0
"""How long a server may take for the next bytes of a transfer."""

KEPT_S = 60.0
"""How long an idle connection is trusted: gateways forget those that are silent for 350 s, and may tell nobody."""

BUSY_TRIES = 6
"""How often a cache is asked that takes nobody just now: in about three seconds, five at most."""

SHUT_S = 10.0
"""How long such a cache is left alone then, by a function or client that has somewhere else to go."""

_BUSY = "ERR service is not available"
"""What ElastiCache says where too many connect at once (AWS, "Authenticating with IAM")."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0

_BUFFER_BYTES = 1 << 14
_JOINED_BYTES = 1 << 12  # below this, joining is cheaper than another buffer of the system call
_TIMEVAL = struct.Struct("ll")


class Refused(Exception):  # noqa: N818  (a reply, seldom raised)
    """What a server answers to a command that it does not carry out, such as `OOM command not allowed …`."""

    @property
    def code(self) -> str:
        """Return the first word, such as `OOM` or `MOVED`."""
        return str(self).partition(" ")[0]

    @property
    def passes(self) -> bool:
        """Whether the server takes nobody just now, and will in a moment."""
        return str(self).startswith(_BUSY)


class Address:
    """Where a server is and who asks, from a request's `store`."""

    def __init__(self, spec: Mapping[str, Any], keys: Callable[[], Keys] | None = None) -> None:
        """`keys` signs for who asks, where the server asks for a token of IAM; None: this function's own."""
        self.path: str = spec.get("path", "")
        self.host: str = spec.get("host", "")
        self.port: int = spec.get("port", 0)
        self.tls: bool = spec.get("tls", False)
        self.wait_s: float = spec.get("wait_s", WAIT_S)
        self.session_s = float("inf")
        """After how long a connection has to say again who it is."""
        self._spec = spec
        self._keys = keys
        if "iam" in spec:
            from .tokens import SESSION_S  # noqa: PLC0415  (for who has such a cache)

            self.session_s = SESSION_S

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> Address:
        """Return the address of another node of its cluster."""
        return Address({**self._spec, "path": "", "host": host, "port": port}, self._keys)

    def greeting(self) -> list[Command]:
        """Return what a new connection says first."""
        user, password, database = (self._spec.get(each, "") for each in ("user", "password", "database"))
        said: list[Command] = []
        if "iam" in self._spec:
            return [(b"AUTH", user.encode(), self._token(user).encode())]  # before anything else
        if password:
            said.append([each.encode() for each in ("AUTH", user, password) if each])
        if database:
            said.append([b"SELECT", str(database).encode()])
        return said

    def _token(self, user: str) -> str:
        from .identity import function_keys  # noqa: PLC0415  (for who has such a cache)
        from .tokens import token_of  # noqa: PLC0415

        named, keys = self._spec["iam"], (self._keys or function_keys)()
        return token_of(named["cache"], user, named["region"], keys, time())

    def secured(self, plain: socket.socket) -> socket.socket:
        """Return the socket behind TLS; the server's certificate must name its host."""
        import ssl  # noqa: PLC0415  (17 ms that a plain socket does not cost)

        context = ssl.create_default_context(cadata=self._spec.get("ca") or None)
        return context.wrap_socket(plain, server_hostname=self.host)


class Connection:
    """One connection, for one thread at a time. Unusable after any exception but `Refused`."""

    def __init__(self, address: Address) -> None:
        """Connect and say who we are.

        Raises:
            OSError: the server is out of reach.
            Refused: it does not know us.
        """
        self._socket = _connected(address)
        self._write_all = _write_all_tls if address.tls else _write_all
        self._wait = 0 if address.tls else socket.MSG_WAITALL
        self._wait_s = address.wait_s
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._at = self._end = 0
        self._address = address
        self.used_s = 0.0
        self._greet()

    def renew(self) -> None:
        """Say again who we are, where the server would forget it; raises what making a connection does."""
        if time() - self._greeted_s > self._address.session_s:
            self._greet()

    def _greet(self) -> None:
        for reply in self.exchange(self._address.greeting()):
            if isinstance(reply, Refused):
                self.close()
                raise reply
        self._greeted_s = time()

    def exchange(self, commands: Sequence[Command], sinks: Sinks | None = None) -> list[Reply]:
        """Send commands as one pipeline and return their replies.

        Raises:
            OSError: the connection broke, or the server said nothing for too long.
        """
        try:
            self._write_all(self._socket, packed(commands))
            into = sinks or {}
            return [self._reply(into.get(number)) for number in range(len(commands))]
        except BlockingIOError:
            raise TimeoutError(f"the server said nothing for {self._wait_s:g} s") from None

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()

    def _reply(self, sink: memoryview | None = None) -> Reply:
        line = self._line()
        kind, rest = line[0], line[1:]
        if kind == 0x24:  # $
            return self._bulk(int(rest), sink)
        if kind == 0x2B:  # +
            return bytes(rest)
        if kind == 0x3A:  # :
            return int(rest)
        if kind == 0x2D:  # -
            return Refused(rest.decode(errors="replace"))
        if kind == 0x2A:  # *
            return [self._reply() for _ in range(int(rest))]
        raise ConnectionError(f"this is no reply: {bytes(line[:40])!r}")

    def _line(self) -> bytearray:
        while (end := self._buffer.find(b"\r\n", self._at, self._end)) < 0:
            self._receive()
        line = self._buffer[self._at : end]
        self._at = end + 2
        return line

    def _bulk(self, size: int, sink: memoryview | None) -> memoryview | None:
        if size < 0:
            return None
        memory = allocate(size) if sink is None else sink
        if len(memory) != size:
            raise ConnectionError(f"a value of {size:,} bytes instead of {len(memory):,}")
        at = min(size, self._end - self._at)
        memory[:at] = self._view[self._at : self._at + at]
        self._at += at
        while at < size:
            at += _some(self._socket.recv_into(memory[at:], 0, self._wait))
        while self._end - self._at < 2:
            self._receive()
        self._at += 2
        return memory

    def _receive(self) -> None:
        """Read more into the buffer, where the latest line or the value's end goes on."""
        if self._at:
            left = bytes(self._view[self._at : self._end])
            self._buffer[: len(left)] = left
            self._at, self._end = 0, len(left)
        if self._end == _BUFFER_BYTES:
            raise ConnectionError("a line without end")
        self._end += _some(self._socket.recv_into(self._view[self._end :]))


class Server:
    """A server, and the connections to it that are kept for the next command; any thread may use it."""

    def __init__(
        self,
        address: Address,
        pause: Callable[[float], None] = sleep,
        clock: Callable[[], float] = time,
    ) -> None:
        """`clock` goes on while this process is frozen."""
        self.address = address
        self._pause = pause
        self._clock = clock
        self._idle: list[Connection] = []
        self._owner = os.getpid()
        self._shut_until_s = 0.0

    def run(self, *batches: Sequence[Command], sinks: Sinks | None = None) -> list[Reply]:
        """Return the replies to all commands; a batch is carried out after the one before it.

        A connection that was kept may have died since: then once again with a new one, so that a command may be
        carried out twice.

        Raises:
            OSError: the server is out of reach.
            Refused: it does not know us.
        """
        commands = [command for batch in batches for command in batch]
        kept = self._trusted()
        if kept is not None:
            try:
                return self._exchanged(kept, commands, sinks)
            except TimeoutError:
                raise
            except OSError:
                self.close()  # the others are as old
        return self._exchanged(self._made(), commands, sinks)

    def close(self) -> None:
        """Drop the connections that are kept."""
        while connection := self._kept():
            connection.close()

    def _made(self) -> Connection:
        """Return a new connection; a cache that takes nobody just now is asked again, and then left alone for a while."""
        if time() < self._shut_until_s:
            raise Refused(_BUSY)
        for tries in range(BUSY_TRIES):
            try:
                return Connection(self.address)
            except Refused as refused:
                if not refused.passes:
                    raise
            self._pause(_jittered_s(tries))
        self._shut_until_s = time() + SHUT_S
        raise Refused(_BUSY)

    def _trusted(self) -> Connection | None:
        """Return the connection that was used last, unless that is too long ago: the others are older still."""
        kept = self._kept()
        if kept is None or self._clock() - kept.used_s < KEPT_S:
            return kept
        kept.close()
        self.close()
        return None

    def _kept(self) -> Connection | None:
        if self._owner != os.getpid():  # a fork's connections are its parent's
            self._owner, self._idle = os.getpid(), []
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _exchanged(
        self, connection: Connection, commands: Sequence[Command], sinks: Sinks | None
    ) -> list[Reply]:
        try:
            connection.renew()
            replies = connection.exchange(commands, sinks)
        except BaseException:
            connection.close()
            raise
        connection.used_s = self._clock()
        self._idle.append(connection)
        return replies


def _jittered_s(tries: int) -> float:
    """Return how long to wait after so many refusals: any part of a time that doubles, so that not all come again at once."""
    share = int.from_bytes(os.urandom(2), "little") / 0xFFFF  # not `random`, which a fork would repeat
    return share * min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**tries)


def packed(commands: Sequence[Command]) -> list[Buffer]:
    """Return commands as RESP, in few buffers: the large arguments are among them as they are."""
    buffers: list[Buffer] = []
    small: list[Buffer] = []
    for command in commands:
        small.append(b"*%d\r\n" % len(command))
        for argument in command:
            if isinstance(argument, bytes):
                small.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
                continue
            small.append(b"$%d\r\n" % size_of(argument))
            for part in argument:
                if len(part) < _JOINED_BYTES:
                    small.append(part)
                else:
                    buffers += (b"".join(small), part)
                    small.clear()
            small.append(b"\r\n")
    buffers.append(b"".join(small))
    return buffers


def _connected(address: Address) -> socket.socket:
    if address.path:
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(CONNECT_S)
        try:
            plain.connect(address.path)
        except OSError:
            plain.close()
            raise
    else:
        plain = socket.create_connection((address.host, address.port), CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.tls:
        secured = address.secured(plain)
        secured.settimeout(address.wait_s)
        return secured
    _bound_waits(plain, address.wait_s)
    return plain


def _bound_waits(plain: socket.socket, wait_s: float) -> None:
    """Let the kernel bound each wait: Python's own timeout would make a poll of every read."""
    plain.settimeout(None)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        plain.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(int(wait_s), int(wait_s % 1 * 1e6)))


def _write_all(plain: socket.socket, buffers: Sequence[Buffer]) -> None:
    if len(buffers) == 1:
        plain.sendall(buffers[0])
    else:
        pour(plain.sendmsg, buffers)


def _write_all_tls(secured: socket.socket, buffers: Sequence[Buffer]) -> None:
    for buffer in buffers:
        secured.sendall(buffer)


def _some(count: int) -> int:
    if count == 0:
        raise ConnectionResetError("the server closed the connection")
    return count

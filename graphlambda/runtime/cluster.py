"""A Valkey or Redis cluster: each command goes to the node that holds its key.

In: the address of one node, commands with their key in second place. Out: replies in the commands' order. Must not
keep a run's keys together: only hash tags would, and no key of ours has one.
"""

from __future__ import annotations

import time
from binascii import crc_hqx

from .resp import Refused, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from .resp import Address, Command, Reply, Sinks

    Holder: TypeAlias = tuple[Server, bool]
    """Whom to ask, and whether it only takes the key over as yet, and must be told that we know (ASKING)."""

SLOTS = 16384
ROUNDS = 16
"""How often a command is sent while the cluster changes."""

PAUSE_S = 0.1
"""Before commands are sent again that the cluster cannot carry out just now."""

_BUSY = ("TRYAGAIN", "CLUSTERDOWN")


class Cluster:
    """The nodes of a cluster, and which of them holds which slots; any thread may use it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._servers: dict[tuple[str, int], Server] = {}
        self._holders: dict[int, Server] = {}
        self._first = Server(address)

    def run(self, *batches: Sequence[Command], sinks: Sinks | None = None) -> list[Reply]:
        """Return the replies to all commands; a batch is carried out after the one before it.

        Raises:
            OSError: a node is out of reach.
            Refused: a node does not know us.
        """
        replies: list[Reply] = []
        for batch in batches:
            first = len(replies)
            into = {number - first: sink for number, sink in (sinks or {}).items()}
            replies += self._run(batch, into)
        return replies

    def servers(self) -> list[Server]:
        """Return the nodes that hold slots."""
        self._learn()
        return list(dict.fromkeys(self._holders.values()))

    def close(self) -> None:
        """Drop the connections that are kept."""
        for server in (self._first, *self._servers.values()):
            server.close()

    def _run(self, batch: Sequence[Command], sinks: Sinks) -> list[Reply]:
        replies: list[Reply] = [None] * len(batch)
        left = {number: self._holder(command) for number, command in enumerate(batch)}
        for _ in range(ROUNDS):
            again: dict[int, Holder] = {}
            for holder, numbers in _by_holder(left):
                answers = self._ask(holder, [(batch[n], sinks.get(n)) for n in numbers])
                for number, answer in zip(numbers, answers, strict=True):
                    replies[number] = answer
                    if isinstance(answer, Refused) and (
                        other := self._elsewhere(answer, holder, batch[number])
                    ):
                        again[number] = other
            if not again:
                break
            if any(str(replies[number]).startswith(_BUSY) for number in again):
                time.sleep(PAUSE_S)  # once for all of them
            left = again
        return replies

    def _ask(self, holder: Holder, asked: Sequence[tuple[Command, memoryview | None]]) -> list[Reply]:
        server, asking = holder
        commands: list[Command] = []
        sinks = {}
        for command, sink in asked:
            commands += [(b"ASKING",), command] if asking else [command]
            if sink is not None:
                sinks[len(commands) - 1] = sink
        try:
            return server.run(commands, sinks=sinks)[asking :: 1 + asking]
        except OSError:
            self._holders.clear()  # whoever comes next asks first who took over
            raise

    def _elsewhere(self, refused: Refused, holder: Holder, command: Command) -> Holder | None:
        """Return whom to ask instead; None where the refusal is an answer."""
        code, *rest = str(refused).split()
        if code == "MOVED":
            self._holders[int(rest[0])] = self._server(rest[1], holder[0])
            return self._holder(command)
        if code == "ASK":
            return self._server(rest[1], holder[0]), True
        if code in _BUSY:
            return holder
        return None

    def _holder(self, command: Command) -> Holder:
        if not self._holders:
            self._learn()
        key = command[1]
        assert isinstance(key, bytes), "every command has its key in second place"
        return self._holders.get(crc_hqx(key, 0) % SLOTS, self._first), False

    def _learn(self) -> None:
        """Ask the nodes, until one answers, which of them holds which slots."""
        error: Exception | None = None
        for known in (self._first, *self._servers.values()):
            try:
                (ranges,) = known.run([(b"CLUSTER", b"SLOTS")])
            except OSError as silent:
                error = silent
                continue
            if isinstance(ranges, Refused):
                raise ranges
            for first, last, (host, port, *_), *_ in ranges:
                server = self._server(f"{bytes(host or b'').decode()}:{port}", known)
                self._holders.update(dict.fromkeys(range(first, last + 1), server))
            return
        assert error is not None
        raise error

    def _server(self, named: str, asked: Server) -> Server:
        """Return the node at `host:port`; a node that does not know its host is where we asked."""
        host, _, port = named.rpartition(":")
        place = (host or asked.address.host, int(port))
        if place not in self._servers:
            self._servers[place] = Server(self.address.at(*place))
        return self._servers[place]


def _by_holder(left: dict[int, Holder]) -> Iterator[tuple[Holder, list[int]]]:
    groups: dict[Holder, list[int]] = {}
    for number, holder in left.items():
        groups.setdefault(holder, []).append(number)
    yield from groups.items()

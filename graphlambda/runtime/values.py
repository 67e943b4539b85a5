"""Which client reads and writes a request's values.

In: the request's `store`. Out: a client. A kind's module is imported when a request first names it.
"""

from __future__ import annotations

from importlib import import_module
from itertools import repeat

from .faults import ValueStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Protocol, TypeAlias

    from .frame import Buffer

    Traffic: TypeAlias = tuple[int, int, int]
    """Requests that S3 bills as writes, and as reads; ECPUs of a cache."""

    class Client(Protocol):
        """What a function needs of a store; see `FileClient` for the promises."""

        def read(self, run: str, name: str) -> memoryview:
            """Return a frame in private, writable memory."""

        def read_all(self, run: str, names: Sequence[str]) -> Iterable[memoryview]:
            """Return several frames, in order; raises what `read` does, when the iterable comes to it."""

        def write(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
            """Make a value; the first writer of a name wins."""

        def ended(self, run: str) -> str:
            """Return why a run does not go on: one of the words below; empty while it does. Never raises."""

        def traffic(self) -> Traffic:
            """Return what it has asked so far, as AWS bills it; of files, what S3 would have been asked."""


CANCELLED = "cancelled"
CLIENT_LOST = "its client is lost"
DROPPED = "dropped"

LEASE_S = 10.0
"""How old a run's lease may be before functions take its client for lost."""

READERS = 8
"""How many values of one task are read at once, where each is a wait of its own."""

_KINDS = {
    "file": (".files", "FileClient"),
    "s3": (".s3", "S3Client"),
    "tiered": (".tiered", "TieredClient"),
    "valkey": (".valkey", "ValkeyClient"),
}


def client_of(spec: Mapping[str, Any]) -> Client:
    """Return a client for what a request calls its store.

    Raises:
        ValueStoreError: this runtime has no client of that kind.
    """
    kind = spec["kind"]
    if kind not in _KINDS:
        raise ValueStoreError(
            f"this function's runtime cannot read a store of kind {kind!r}; deploy it again"
        )
    module, name = _KINDS[kind]
    client: Client = getattr(import_module(module, __package__), name).of(spec)
    return client


def at_once(read: Callable[[str, str], memoryview], run: str, names: Sequence[str]) -> Iterable[memoryview]:
    """Return what `read` returns for each of some values, in order, several of which are read at once."""
    if len(names) < 2:
        return map(read, repeat(run), names)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  (where a task reads several)

    with ThreadPoolExecutor(READERS) as readers:
        return readers.map(read, repeat(run), names)

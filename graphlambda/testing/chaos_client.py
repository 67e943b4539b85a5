"""Clients that die: what they do after their last moment has no effect, whatever they try.

In: a store, a folder, an invoker; the number of moments that a client has. Out: the same, until that client is dead;
claims of its run by those who go on. Must not end what a client has sent: environments know nothing of its death.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.errors import RunHeldError
from graphlambda.scheduler.events import RunEnded
from graphlambda.store.claims import CLAIM_S, Owner, take
from graphlambda.store.folders import Folder

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from random import Random

    from graphlambda.runtime.frame import Buffer
    from graphlambda.scheduler.clock import Clock
    from graphlambda.scheduler.events import Event
    from graphlambda.scheduler.invoke import Invoker, Reply
    from graphlambda.store.claims import Claim
    from graphlambda.store.folders import Found

STEPS_OF_A_CLAIM = 4
"""Where another may come between: reading the lease, writing it, reading it again; and after that."""


class ClientDiedError(Exception):
    """A dead client tries something."""


class Life:
    """One client's life. Moments are events, and calls of the store, the folder and the invoker."""

    def __init__(self, moments: int | None) -> None:
        """`moments` is how many the client has; None: as many as it needs."""
        self.is_over = False
        self._moments = moments
        self._task: asyncio.Task[object] | None = None

    def lead(self, task: asyncio.Task[object]) -> None:
        """Say what the client does: it stops when the client dies."""
        self._task = task

    def pass_moment(self, _what: object = None) -> None:
        """Let a moment pass, or die in it.

        Raises:
            ClientDiedError: the client is dead.
        """
        self._age()
        if self.is_over:
            raise ClientDiedError

    def listen(self, event: Event) -> None:
        """Let the moment of an event pass; a listener has nothing to raise."""
        if not isinstance(event, RunEnded):
            self._age()

    def _age(self) -> None:
        if self._moments is None or self.is_over:
            return
        self.is_over = self._moments == 0
        self._moments -= 1
        if self.is_over and self._task:
            self._task.cancel()


class MortalInvoker:
    """An invoker of one client's."""

    def __init__(self, invoker: Invoker, life: Life) -> None:
        self._invoker = invoker
        self._life = life

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Send a request."""
        self._life.pass_moment()
        return await self._invoker.invoke(function, payload, timeout_s=timeout_s)

    async def close(self) -> None:
        """Close the invoker, if anybody is there to do it."""
        if not self._life.is_over:
            await self._invoker.close()


class PassingFolder(Folder):
    """Hands every call on, after telling `before`."""

    def __init__(self, folder: Folder, before: Callable[[], None]) -> None:
        self.run = folder.run
        self._folder = folder
        self._before = before

    def begin(self) -> None:
        """Make the folder."""
        self._before()
        self._folder.begin()

    def create(self, name: str, parts: Sequence[Buffer]) -> bool:
        """Make an object, unless it is there."""
        self._before()
        return self._folder.create(name, parts)

    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Replace an object if it is still the one of that tag."""
        self._before()
        return self._folder.replace(name, content, tag)

    def read(self, name: str) -> Found | None:
        """Return an object."""
        self._before()
        return self._folder.read(name)

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._before()
        self._folder.delete(name)

    def names(self) -> list[str]:
        """Return the names of the objects."""
        self._before()
        return self._folder.names()

    def drop(self) -> None:
        """Delete the folder."""
        self._before()
        self._folder.drop()


def owner_of(random: Random) -> Owner:
    """Return a client on some other machine, of which nobody here can see whether it lives."""
    return Owner(nonce=f"{random.getrandbits(64):x}", process=random.randrange(2, 30_000), host="elsewhere")


async def claimed(folder: Folder, random: Random, clock: Clock) -> Claim:
    """Claim a run as soon as nobody holds it: two clients try at the same time, and one of them goes on.

    Raises:
        AssertionError: both have it, or neither.
    """
    while True:
        won = _raced(folder, random, clock)
        if len(won) > 1:
            raise AssertionError("two clients hold one run")
        if won:
            return won[0]
        await clock.sleep(random.uniform(0.1, CLAIM_S / 4))


def _raced(folder: Folder, random: Random, clock: Clock) -> list[Claim]:
    """Return the claims of two clients, of which one does all it has to between two steps of the other."""
    won: list[Claim] = []
    between = random.randrange(STEPS_OF_A_CLAIM)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps - 1 == between:
            won.extend(_tried(folder, random, clock))

    mine = _tried(PassingFolder(folder, step), random, clock)
    return [*won, *mine]


def _tried(folder: Folder, random: Random, clock: Clock) -> list[Claim]:
    try:
        return [take(folder, owner_of(random), clock.time)]
    except RunHeldError:
        return []

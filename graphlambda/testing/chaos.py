"""A scenario of chaos: a graph, how it is run, and what goes wrong meanwhile; all of it drawn from one seed.

In: a seed. Out: a frozen `Scenario`, which is all that is needed to repeat it. Must not run anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from graphlambda.errors import (
    AuthenticationError,
    EnvironmentLostError,
    InvokeError,
    LostValueError,
    OutcomeUnknownError,
    OutOfMemoryError,
    StoreError,
    ThrottledError,
    TimedOutError,
)
from graphlambda.testing.chaos_graphs import SHAPES


class Fault(StrEnum):
    """What befalls one invocation."""

    NONE = "nothing"
    KILLED_BEFORE = "environment killed before its work"
    KILLED_DURING = "environment killed within its batch"
    KILLED_AFTER = "environment killed after its values were stored"
    RESET_BEFORE = "connection reset before the request was sent"
    RESET_AFTER = "connection reset while the function works on"
    SILENT = "reply lost"
    LATE = "reply minutes late"
    DUPLICATED = "request delivered twice"
    DOUBLED = "outcomes told twice"
    SHORTENED = "half of the outcomes missing"
    THROTTLED = "throttled"
    NOT_READY = "function not ready"
    UNAVAILABLE = "Lambda's own failure"
    READS_FAIL = "store fails to read"
    WRITES_FAIL = "store fails to write"
    DISK_FULL = "no room in the store"
    EVICTED = "value evicted"
    DAMAGED = "value damaged in the store"
    FLIPPED_IN_STORE = "bit flipped on the way from the store"
    CUT_IN_STORE = "frame truncated on the way from the store"
    FLIPPED_IN_REPLY = "bit flipped in the reply"
    CUT_REPLY = "reply truncated"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "function timed out"
    EXPIRED = "credentials expired"
    CLIENT_STORE = "store fails the client"
    SLOW_STORE = "store answers the client minutes late"
    RESTARTED = "store's server restarted, empty"
    CUT_OFF = "store's connections cut"
    FULL = "store's server full from now on"
    EVICTING = "store's server short of memory from now on"
    S3_BUSY = "S3 asks to slow down (503)"
    S3_RESET = "S3's connection reset before the request was sent"
    S3_LOST = "S3's answer lost"
    S3_CUT = "S3's answer cut short"
    S3_SILENT = "S3 does not answer"
    CLIENT_DIED = "client killed"


BEYOND: dict[Fault, type[Exception]] = {
    Fault.KILLED_BEFORE: EnvironmentLostError,
    Fault.KILLED_DURING: EnvironmentLostError,
    Fault.KILLED_AFTER: EnvironmentLostError,
    Fault.RESET_BEFORE: InvokeError,
    Fault.RESET_AFTER: InvokeError,
    Fault.SILENT: EnvironmentLostError,
    Fault.SHORTENED: EnvironmentLostError,
    Fault.THROTTLED: ThrottledError,
    Fault.NOT_READY: InvokeError,
    Fault.UNAVAILABLE: InvokeError,
    Fault.READS_FAIL: StoreError,
    Fault.WRITES_FAIL: StoreError,
    Fault.DISK_FULL: StoreError,
    Fault.FLIPPED_IN_STORE: AuthenticationError,
    Fault.CUT_IN_STORE: AuthenticationError,
}
"""What a run may end with where a task suffers more than `BEARABLE` faults. Fewer of these never end a run."""

LOSING: dict[Fault, type[Exception]] = {
    Fault.EVICTED: LostValueError,
    Fault.DAMAGED: AuthenticationError,
    Fault.FLIPPED_IN_REPLY: AuthenticationError,
    Fault.RESTARTED: LostValueError,
}
"""What a run may end with where more than `BEARABLE` values are lost in all: fewer are made again."""

AT_ONCE: dict[Fault, type[Exception]] = {
    Fault.CUT_REPLY: InvokeError,
    Fault.OUT_OF_MEMORY: OutOfMemoryError,
    Fault.TIMED_OUT: TimedOutError,
    Fault.EXPIRED: InvokeError,
    Fault.CLIENT_STORE: StoreError,
    Fault.SLOW_STORE: StoreError,
    Fault.FULL: StoreError,
    Fault.EVICTING: StoreError,
}
"""What a run may end with at the first of these, which may also be the last straw beside what is in `BEYOND`."""

OF_S3 = frozenset({Fault.S3_BUSY, Fault.S3_RESET, Fault.S3_LOST, Fault.S3_CUT, Fault.S3_SILENT})
"""What befalls single exchanges with a bucket, of functions and clients: all of them are repeated."""

HARMLESS = frozenset({Fault.LATE, Fault.DUPLICATED, Fault.DOUBLED, Fault.CUT_OFF})
"""What no run ends with, however often it happens; as are those of `OF_S3`, and deaths of clients."""

OF_SERVERS = frozenset({Fault.RESTARTED, Fault.CUT_OFF, Fault.FULL, Fault.EVICTING})
"""What only a store can suffer that is a server; whoever starts that has to do it."""

ALL_BEARABLE = tuple(sorted({*BEYOND, *LOSING, *HARMLESS} - OF_SERVERS))
"""What a run without a server must bear, in bounds."""

ONCE: dict[Fault, type[Exception]] = dict.fromkeys(LOSING, LostValueError)
"""What a run may end with at the first of these, where no task may run twice: beside that an outcome is not known."""

BEARABLE = 2
"""Faults that any task bears, whatever they are, since its third attempt is the last; and losses that any run bears."""


MOMENTS = 250
"""Within how many moments a client dies, if its run takes so many; most take some hundreds."""

IN_BUCKET = 0.2
"""The share of scenarios whose values lie in S3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run under faults; `scenario(seed)` gives it again."""

    seed: int
    shape: str
    """Of the graph, one of `chaos_graphs.SHAPES`."""

    tasks: int
    """That compute something; picks of parts come on top."""

    concurrency: int
    batch: int | None
    """Tasks of an invocation, as `Limits.batch`."""

    inline_bytes: int
    """As `Limits.inline_bytes`: 0 sends every value through the store."""

    faults: tuple[Fault, ...]
    """What may befall an invocation, each as likely."""

    rate: float
    """The share of invocations that something befalls."""

    most: int
    """Faults that one task suffers, at most; and values that the run loses."""

    task_s: tuple[float, float]
    """How long a task takes, from and to."""

    storm_s: tuple[float, float]
    """From when to when every invocation is throttled, in seconds of the run."""

    deaths: tuple[int, ...] | None = None
    """After how many moments each client dies but the last, who goes on with the run; None: nobody could go on with it."""

    idempotent: bool | None = None
    """As `Limits.idempotent`."""

    in_bucket: bool = False
    """Whether values lie in S3."""

    @property
    def ends(self) -> frozenset[type[Exception]]:
        """The errors that this run may end with; without any, it must give its values."""
        beyond = BEYOND | LOSING if self.most > BEARABLE or AT_ONCE.keys() & set(self.faults) else {}
        tables: list[dict[Fault, type[Exception]]] = [beyond, AT_ONCE]
        may_end: set[type[Exception]] = set()
        if self.idempotent is False:
            tables.append(ONCE)
            may_end.add(OutcomeUnknownError)
        return frozenset(
            may_end.union(error for table in tables for fault, error in table.items() if fault in self.faults)
        )


def scenario(seed: int) -> Scenario:
    """Draw the scenario of a seed: of ten, seven are bearable, two are not, and in one a single fault may end it."""
    random = Random(seed)
    kind = seed % 10
    most = BEARABLE if kind < 8 else 99
    faults = random.sample(ALL_BEARABLE, random.randint(1, len(ALL_BEARABLE)))
    if kind == 7:
        faults = [random.choice(sorted(AT_ONCE.keys() - OF_SERVERS)), *faults[:2]]
    start_s = random.uniform(0, 20)
    stormy = Fault.THROTTLED in faults
    dying = seed % 3 == 0 and Fault.SLOW_STORE not in faults  # a folder that is too slow ends the keeping
    return Scenario(
        seed=seed,
        shape=random.choice(SHAPES),
        tasks=random.randint(1, 40),
        concurrency=random.choice((1, 2, 4, 16)),
        batch=random.choice((None, None, 1, 3, 50)),
        inline_bytes=random.choice((0, 200, 65_536)),
        faults=tuple(faults),
        rate=random.choice((0.05, 0.2, 0.5)) if most == BEARABLE else random.choice((0.3, 0.9)),
        most=most,
        task_s=(0.0005, 0.3),
        storm_s=(start_s, start_s + random.uniform(0, 200)) if stormy else (0.0, 0.0),
        deaths=tuple(random.choices(range(MOMENTS), k=random.randint(0, 3))) if dying else None,
        idempotent=random.choice((None, None, True, False)) if dying else None,
        in_bucket=random.random() < IN_BUCKET,
    )

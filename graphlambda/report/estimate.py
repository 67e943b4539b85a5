"""What a run will cost, before anything runs: by what earlier runs measured, else by assumptions that are said.

In: a program, profiles by form, terms. Out: an `Estimate`, from least to most. Must not run, build or look up anything.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda.compiler import called_operations
from graphlambda.compiler.program import flat
from graphlambda.prices import NO_TRAFFIC, Traffic, Usage, kept, ran
from graphlambda.report.bill import Bill
from graphlambda.report.tables import render
from graphlambda.report.units import count, money
from graphlambda.scheduler.batching import Measured, batch_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graphlambda.compiler.measured import Profile
    from graphlambda.compiler.program import Operation, Program, Table
    from graphlambda.prices import Prices, Size
    from graphlambda.scheduler.limits import Limits

ASSUMED_S = 0.01, 1.0
"""What a task takes of whose operation nothing is known, at least and at most."""

COLD_S = 0.1, 3.0
"""What it takes to begin an execution environment: with nothing to import, and with pandas.

Source: lambda-perf, August 2026; fourTheorem, "AWS Bites" 108
"""

WRITE_UNITS = 5
"""Commands with which a value is written to a cache; it is read with one."""

_KB = 1024
_HEADS = ("operation", "tasks", "invocations", "GB-s", "S3 requests", "USD", "by")
_WIDTH = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a program would run on."""

    size_of: Callable[[Operation], Size]
    """Of an operation's function; what it unpacks to /tmp is not known before it is built."""

    waiting: Callable[[Operation], int]
    """How many of its environments wait: provisioned concurrency."""

    limits: Limits
    overhead_s: float
    """What an invocation takes beside its tasks, in earlier runs."""

    cached: bool
    """Whether a cache takes values; else S3 does."""

    prices: Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is expected of one operation."""

    name: str
    tasks: int
    known: int
    """Tasks of earlier runs that this stands on; 0 where it is assumed."""

    stored_bytes: int | None
    """What its values take in the store; None where that is not known."""

    least: Bill
    most: Bill


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run is expected to be billed; `print` shows it by operation, and what it stands on."""

    operations: tuple[Expected, ...]
    least: Bill
    most: Bill

    @property
    def usd(self) -> tuple[float, float]:
        """Return from what to what it may cost."""
        return self.least.usd, self.most.usd

    def __str__(self) -> str:
        rows = [
            (each.name, f"{each.tasks:,}", *_amounts(each.least, each.most), _by(each))
            for each in self.operations
        ]
        tasks = sum(each.tasks for each in self.operations)
        rows.append(("all", f"{tasks:,}", *_amounts(self.least, self.most), ""))
        return "\n".join([render(_HEADS, rows, numbers={1, 2, 3, 4, 5}, width=_WIDTH), *_notes(self)])


def estimate(program: Program, profiles: Mapping[str, Profile], terms: Terms) -> Estimate:
    """Return what a program's run is expected to be billed; a task may take what 95% of its operation's stayed below."""
    readers = Counter(program.edges.ids.tolist()) + Counter(flat(list(program.outputs)))
    called = {operation.id for operation in called_operations(program)}
    tables: dict[str, list[Table]] = {}
    for table in program.tables:
        if table.operation.id in called:
            tables.setdefault(table.operation.id, []).append(table)
    operations = tuple(
        _expected(
            of_one[0].operation,
            [int(task) for table in of_one for task in table.tasks],
            readers,
            profiles,
            terms,
        )
        for of_one in tables.values()
    )
    nothing = Bill(prices=terms.prices)
    return Estimate(
        operations=operations,
        least=sum((each.least for each in operations), nothing),
        most=sum((each.most for each in operations), nothing),
    )


def _expected(
    operation: Operation,
    tasks: list[int],
    readers: Mapping[int, int],
    profiles: Mapping[str, Profile],
    terms: Terms,
) -> Expected:
    profile = profiles.get(operation.form)
    task_s = (profile.seconds, max(profile.seconds, profile.p95_s)) if profile else ASSUMED_S
    invocations = _invocations(len(tasks), profile, terms)
    begun = 1, min(terms.limits.concurrency, invocations[1])
    beside_s = 0.0, terms.overhead_s
    reads = sum(readers.get(task, 0) for task in tasks)
    traffic = _traffic(len(tasks), reads, profile, terms)
    size, waiting = terms.size_of(operation), terms.waiting(operation)
    bills = []
    for end in (0, 1):
        starts = max(0, begun[end] - waiting)
        start_s = 0.0 if size.snap_start and not end else COLD_S[end]
        billed_s = len(tasks) * task_s[end] + starts * start_s + invocations[end] * beside_s[end]
        ready_s = billed_s if waiting and not end else 0.0
        used = ran(size, billed_s, requests=invocations[end], ready_s=ready_s, starts=starts)
        bills.append(
            Bill(
                usage=used + Usage(traffic=traffic[end]), beside=kept(size, waiting, 1.0), prices=terms.prices
            )
        )
    return Expected(
        name=operation.name,
        tasks=len(tasks),
        known=int(profile.count) if profile else 0,
        stored_bytes=_stored_bytes(len(tasks), profile, terms),
        least=bills[0],
        most=bills[1],
    )


def _invocations(tasks: int, profile: Profile | None, terms: Terms) -> tuple[int, int]:
    """Return how many invocations so many tasks take: in batches that fill up by their own successors, and in others."""
    usual_s, late_s = (profile.seconds, profile.p95_s) if profile else (ASSUMED_S[0], ASSUMED_S[0])
    measured = Measured(
        task_s=usual_s,
        late_s=late_s,
        overhead_s=terms.overhead_s,
        reply_bytes=min(profile.value_bytes, terms.limits.inline_bytes) if profile else 0.0,
    )
    size = batch_size(measured, ready=tasks, concurrency=terms.limits.concurrency, limits=terms.limits)
    most = math.ceil(tasks / size.tasks) if profile else tasks
    return min(most, math.ceil(tasks / size.room)), most


def _traffic(tasks: int, reads: int, profile: Profile | None, terms: Terms) -> tuple[Traffic, Traffic]:
    """Return what values ask of the store: nothing where they ride in requests and replies."""
    if profile and profile.value_bytes <= terms.limits.inline_bytes:
        return NO_TRAFFIC, NO_TRAFFIC
    if terms.cached:
        kb = math.ceil(profile.value_bytes / _KB) if profile else 1
        all_of_it = Traffic(cache_units=tasks * (WRITE_UNITS + kb) + reads * kb)
    else:
        all_of_it = Traffic(writes=tasks, reads=reads)
    return (all_of_it if profile else NO_TRAFFIC), all_of_it


def _stored_bytes(tasks: int, profile: Profile | None, terms: Terms) -> int | None:
    if profile is None:
        return None
    return int(tasks * profile.value_bytes) if profile.value_bytes > terms.limits.inline_bytes else 0


def _amounts(least: Bill, most: Bill) -> tuple[str, str, str, str]:
    requests = [bill.traffic.writes + bill.traffic.reads for bill in (least, most)]
    return (
        _range(f"{least.requests:,}", f"{most.requests:,}"),
        _range(f"{least.billed_gb_s:,.1f}", f"{most.billed_gb_s:,.1f}"),
        _range(f"{requests[0]:,}", f"{requests[1]:,}"),
        _range(money(least.usd), money(most.usd)),
    )


def _range(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"


def _by(each: Expected) -> str:
    return f"{count(each.known, 'task')} measured" if each.known else "assumption"


def _notes(estimate: Estimate) -> Iterable[str]:
    yield ""
    if any(not each.known for each in estimate.operations):
        least_s, most_s = ASSUMED_S
        yield f"Assumed where nothing is known: {least_s:g} to {most_s:g} s a task, values that may be stored."
    yield (
        f"Beginning an execution environment: {COLD_S[0]:g} to {COLD_S[1]:g} s. Retries, backups and the client's own "
        "requests are not foreseen."
    )
    yield "Deploying costs nothing; what it leaves in a bucket costs its storage: `graphlambda aws status` says how much."
    yield estimate.most.terms

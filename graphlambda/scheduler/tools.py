"""What the parts of one execution share.

In: a run's collaborators. Out: `Tools`, and what is known of each operation while it runs. Must not act.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphlambda.compiler.purity import is_pure
from graphlambda.scheduler.pace import Durations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.clock import Clock
    from graphlambda.scheduler.failures import Locate
    from graphlambda.scheduler.gate import Entry
    from graphlambda.scheduler.invoke import Invoker
    from graphlambda.scheduler.keeper import Keeper
    from graphlambda.scheduler.logs import Logs
    from graphlambda.scheduler.provision import Provisioner
    from graphlambda.scheduler.spending import Debit, Tariff
    from graphlambda.scheduler.telling import Teller
    from graphlambda.scheduler.values import Place, Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What an execution works with."""

    program: Program
    place: Place
    values: Values
    keeper: Keeper
    invoker: Invoker
    provisioner: Provisioner
    clock: Clock
    random: Random
    """For jitter; seeded by the run, so that a run can be told again."""

    locate: Locate
    teller: Teller
    logs: Logs
    tariff: Tariff


class Batch(NamedTuple):
    """What one invocation is for."""

    table: int
    """Whose function runs it; projections of other tables may be among its tasks."""

    tasks: list[int]
    promised_bytes: int
    """What its values are expected to take in the store."""

    entry: Entry
    """That it began, for the account's pace."""

    debit: Debit
    """What it counts as, for the budget."""

    is_backup: bool = False
    """Whether the same tasks are in flight already."""


@dataclass(slots=True)
class Unit:
    """What is known of one operation while it runs; its tables share it."""

    function: str
    """Changes when a larger or more complete twin takes its place."""

    replacing: asyncio.Lock
    """Held while a twin is made."""

    durations: Durations
    """Of its tasks, as functions measure them."""

    trips: Durations
    """Of its invocations from here and back, divided by their tasks; of those only that may have a backup."""

    idempotent: bool | None
    """Whether its tasks may run twice: True, at the same time too; False, never; None, one after the other."""

    inputs: int = 1
    """Most values that a task reads; a projection, which may run in its function, reads one."""

    reply_bytes: float = 0.0
    """Of the latest reply, for each task."""


def units_of(program: Program, functions: Mapping[str, str], idempotent: bool | None) -> list[Unit]:
    """Return the unit of each table. What is known to be pure may always run twice, whatever the user says of the rest."""
    units: dict[str, Unit] = {}
    inputs = np.ones(len(program.tables), np.int64)
    np.maximum.at(inputs, program.table_of, np.diff(program.edges.starts))
    for number, operation in enumerate(table.operation for table in program.tables):
        if operation.id not in units:
            said = program.idempotent.get(operation.id, idempotent)
            may_run_twice = True if is_pure(operation) else said
            units[operation.id] = Unit(
                functions.get(operation.id, ""), asyncio.Lock(), Durations(), Durations(), may_run_twice
            )
        units[operation.id].inputs = max(units[operation.id].inputs, int(inputs[number]))
    return [units[table.operation.id] for table in program.tables]

"""A run, from a program and its functions to values, with a session's parts and the listeners of a user.

In: a program, a deployment, a session. Out: values and a summary. Must not decide what belongs to a stage.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphlambda.api.provision import Provisioning
from graphlambda.compiler import called_operations
from graphlambda.compiler.code import locate
from graphlambda.compiler.constants import dumps
from graphlambda.compiler.read import process_state
from graphlambda.config import time_zone
from graphlambda.packager import this_target
from graphlambda.report import Display, Output, Summary, Tally
from graphlambda.report.display import painter_for
from graphlambda.scheduler import Limits, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.api.session import Session
    from graphlambda.compiler import Program
    from graphlambda.deployer import Deployment
    from graphlambda.scheduler.events import Event


_OF_ROOM = 0.8
"""How much of a store's room one run may take: others write there, too."""

_BATCH_S = 1.0
"""What the tasks of a batch may take together; never more than half of the function's timeout."""

_LATE_S = 30.0
"""How much later than a function's own timeout an answer may come."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run gave."""

    values: list[Any]
    """The outputs, nested as the program's outputs are; `Kept` references where they stay in the store."""

    summary: Summary


def ran(
    program: Program,
    deployment: Deployment,
    session: Session,
    display: Display,
    *,
    keep: bool = False,
    told: Callable[[Event], None] | None = None,
) -> Ran:
    """Run a program on its functions.

    Raises:
        RunError: it did not end with all its values; or the user's own exception.
    """
    provisioning = Provisioning(program, deployment, session)
    tally = _tally(program, deployment, provisioning.memory_mb)
    number = secrets.token_hex(16)
    with session.shown(program):
        result = run(
            program,
            deployment.functions,
            invoker=session.invoker(),
            store=session.store,
            run=number,
            key=session.key_of(number),
            keys_of=session.key_of,
            listeners=[tally, display, Output(), *([told] if told else [])],
            limits=_limits(session),
            settings=process_state(time_zone()),
            locate=locate,
            dumps=dumps,
            provisioner=provisioning,
            keep=keep,
        )
    return Ran(result.values, tally.summary())


def _tally(program: Program, deployment: Deployment, memory_mb: Callable[[str], int]) -> Tally:
    used = {deployment.functions[operation.id] for operation in called_operations(program)}
    made = used.intersection(deployment.created)
    return Tally(memory_mb, this_target().architecture, made=len(made), reused=len(used) - len(made))


def _limits(session: Session) -> Limits:
    config = session.config
    return Limits(
        concurrency=session.concurrency,
        batch=config.batch,
        batch_s=min(_BATCH_S, config.timeout_s / 2),
        inline_bytes=config.inline_bytes,
        store_bytes=_store_bytes(session),
        idempotent=config.idempotent,
        function_timeout_s=config.timeout_s,
        invoke_timeout_s=config.timeout_s + _LATE_S,
    )


def _store_bytes(session: Session) -> int | None:
    """Return what a run's values may take: what the user says, else most of what the store has room for now."""
    if session.config.store_mb is not None:
        return session.config.store_mb * 1_000_000
    room_bytes = session.store.room_bytes()
    return None if room_bytes is None else int(_OF_ROOM * room_bytes)


def display_of(session: Session) -> Display:
    """Return the live display that a session's configuration asks for."""
    return Display(painter_for(session.config.progress))

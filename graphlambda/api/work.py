"""A run, from a program and its functions to values, with a session's parts and the listeners of a user.

In: a program, a deployment, a session. Out: values and a summary. Must not decide what belongs to a stage.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphlambda.api.durability import Saved, claimed, durable, flags_of, kept_note
from graphlambda.api.pricing import batch_s, tariff_of
from graphlambda.api.profiles import learn
from graphlambda.api.provision import Provisioning
from graphlambda.compiler import called_operations
from graphlambda.compiler.code import locate
from graphlambda.compiler.constants import dumps
from graphlambda.compiler.read import process_state
from graphlambda.config import time_zone
from graphlambda.errors import RunHeldError, RunLostError
from graphlambda.prices import Traffic, Usage, prices_of
from graphlambda.report import Display, Output, Profiler, Summary, Tally
from graphlambda.report.display import painter_for
from graphlambda.report.left import Left
from graphlambda.scheduler import Limits, Namespace, begin
from graphlambda.store.namespaces import namespace_run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from graphlambda.api.session import Session
    from graphlambda.compiler import Program
    from graphlambda.deployer import Deployment
    from graphlambda.scheduler import Durable, Run
    from graphlambda.scheduler.events import Event
    from graphlambda.scheduler.thread import Going
    from graphlambda.store.base import Store
    from graphlambda.store.folders import Folder


_OF_ROOM = 0.8
"""How much of a store's room one run may take: others write there, too."""

_OF_ROOM_SHARED = 0.25
"""How much of it may be for later runs, where they share values."""

_LATE_S = 30.0
"""How much later than a function's own timeout an answer may come."""


def _nobody(_going: Going[Run]) -> None:
    """Tell nobody that a run has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How one run is to go, beside its program and settings."""

    run: str = field(default_factory=lambda: secrets.token_hex(16))
    """Its id."""

    keep: bool = False
    """Whether its outputs stay in the store."""

    told: tuple[Callable[[Event], None], ...] = ()
    """More listeners."""

    begun: Callable[[Going[Run]], None] = _nobody
    """Is told when the run begins."""

    resumed: Saved | None = None
    """What its first client saved, where it is gone on with."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run gave."""

    values: list[Any]
    """The outputs, nested as the program's outputs are; `Kept` references where they stay in the store."""

    summary: Summary


def ran(
    program: Program, deployment: Deployment, session: Session, display: Display, terms: Terms | None = None
) -> Ran:
    """Run a program on its functions.

    Raises:
        RunError: it did not end with all its values; or the user's own exception.
    """
    terms = terms or Terms()
    provisioning = Provisioning(program, deployment, session)
    functions = {**deployment.functions, **provisioning.remembered()}
    profiler = Profiler({table.operation.id: table.operation.form for table in program.tables})
    left = Left(provisioning.size, max(deployment.timeouts_s()), prices_of(session.config.region))
    saved = _saved(program, functions, session, terms)
    with session.shown(program), _explained(terms.run, session, left):
        kept = _durable(program, saved, session, terms, max(deployment.timeouts_s()))
        asked = _asked_from_now(session.store, kept.folder)
        tally = _tally(program, deployment, provisioning, session, asked)
        display.counting(lambda: tally.bill().usd)
        going = begin(
            program,
            functions,
            invoker=session.invoker(),
            store=session.store,
            run=terms.run, key=session.key_of(terms.run), keys_of=session.key_of,
            listeners=[tally, display, profiler, Output(), left, *terms.told],
            limits=_limits(session, deployment.timeouts_s()),
            settings=saved.state,
            locate=locate, dumps=dumps,
            provisioner=provisioning,
            keep=terms.keep,
            durable=kept,
            namespace=_namespace(session),
            logs=session.logs(),
            tariff=tariff_of(provisioning, asked, session.config),
        )  # fmt: skip
        terms.begun(going)
        result = going.result()
    learn(profiler, program, session.config, session.endpoint.concurrency)
    return Ran(result.values, tally.summary())


def _durable(
    program: Program, saved: Saved, session: Session, terms: Terms, attempts_last_s: float
) -> Durable:
    """Return what makes a run durable. Functions of a local Lambda end with their client, others with their time."""
    first = durable(terms.run, program, saved, session.config)
    if terms.resumed is None:
        return first
    return claimed(first, attempts_last_s=0.0 if session.local else attempts_last_s)


def _saved(program: Program, functions: Mapping[str, str], session: Session, terms: Terms) -> Saved:
    return terms.resumed or Saved(
        functions=functions,
        flags=flags_of(session.config),
        state=process_state(time_zone()),
        tasks=program.task_count,
        started_s=time.time(),
    )


@contextmanager
def _explained(run: str, session: Session, left: Left) -> Iterator[None]:
    """Say of whatever ends a run what it leaves: work that can be gone on with, and invocations that go on."""
    try:
        yield
    except BaseException as error:
        if session.local is None and (told := left.told(time.time())):
            error.add_note(told)
        if not isinstance(error, RunLostError | RunHeldError) and (told := kept_note(run, session.config)):
            error.add_note(told)
        raise


def _asked_from_now(store: Store, folder: Folder) -> Callable[[], Traffic]:
    """Return what tells what this process asks of store and folder; of runs that overlap, each gets what all of them asked."""

    def asked() -> Traffic:
        return Traffic(*store.traffic()) + Traffic(*folder.traffic())

    before = asked()
    return lambda: asked() - before


def _tally(
    program: Program,
    deployment: Deployment,
    provisioning: Provisioning,
    session: Session,
    asked: Callable[[], Traffic],
) -> Tally:
    used = {deployment.functions[operation.id] for operation in called_operations(program)}
    made = used.intersection(deployment.created)
    return Tally(
        provisioning.size,
        made=len(made),
        reused=len(used) - len(made),
        asked=asked,
        beside=sum((provisioning.beside(function) for function in sorted(used)), Usage()),
        prices=prices_of(session.config.region),
    )


def _limits(session: Session, timeouts_s: Collection[float]) -> Limits:
    """Return a run's limits; an attempt is over when the slowest function's would be, a batch fits into the fastest's."""
    config = session.config
    return Limits(
        concurrency=session.endpoint.concurrency,
        rates=session.endpoint.rates,
        batch=config.batch,
        batch_s=batch_s(min(timeouts_s)),
        inline_bytes=config.inline_bytes,
        deadline_s=session.config.deadline_s,
        store_bytes=_store_bytes(session),
        retries=config.retries,
        idempotent=config.idempotent,
        function_timeout_s=max(timeouts_s),
        invoke_timeout_s=max(timeouts_s) + _LATE_S,
    )


def _store_bytes(session: Session) -> int | None:
    """Return what a run's values may take: what the user says, else most of what the store has room for now."""
    if session.config.store_mb is not None:
        return session.config.store_mb * 1_000_000
    room_bytes = session.store.room_bytes()
    shared = _OF_ROOM_SHARED if session.config.content_cache else 0.0
    return None if room_bytes is None else int((_OF_ROOM - shared) * room_bytes)


def _namespace(session: Session) -> Namespace | None:
    """Return where runs share values, if they are to: on a part of what the store has room for now."""
    config = session.config
    if not config.content_cache:
        return None
    bound_bytes, room_bytes = config.content_cache_mb * 1_000_000, session.store.room_bytes()
    if room_bytes is not None:
        bound_bytes = min(bound_bytes, int(_OF_ROOM_SHARED * room_bytes))
    return Namespace(run=namespace_run(session.root, config.namespace), bound_bytes=bound_bytes)


def display_of(session: Session) -> Display:
    """Return the live display that a session's configuration asks for."""
    return Display(painter_for(session.config.progress))

"""One run: from a program and its functions to values.

In: a `Program`, operation → function names, an `Invoker`, a `Store`. Out: a `Run` with its values, or the
error that ended it. Must not know how a function was built or where it runs.

A run has a place in the store under a lease. When it ends, however it ends, its values are dropped, but for outputs
that are to stay there. What another client needs to go on with it is the keeper's.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial, wraps
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import cloudpickle

from graphlambda.compiler.program import flat
from graphlambda.errors import (
    AuthenticationError,
    DeadlineError,
    LostValueError,
    RunCancelledError,
    RunLostError,
    StoreError,
)
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.content import Shared, hold, start_from_shared, tidied
from graphlambda.scheduler.execution import Execution
from graphlambda.scheduler.janitor import empty
from graphlambda.scheduler.keeper import End, Keeper
from graphlambda.scheduler.limits import Limits
from graphlambda.scheduler.listeners import Listeners
from graphlambda.scheduler.logs import NoLogs
from graphlambda.scheduler.memory import free_bytes
from graphlambda.scheduler.order import ranks
from graphlambda.scheduler.provision import NoProvisioner
from graphlambda.scheduler.renewing import Renewing
from graphlambda.scheduler.replay import replay
from graphlambda.scheduler.requests import Requests
from graphlambda.scheduler.results import download
from graphlambda.scheduler.results import keep as keep_outputs
from graphlambda.scheduler.spending import FREE
from graphlambda.scheduler.state import RunState
from graphlambda.scheduler.stopping import Stoppable
from graphlambda.scheduler.telling import Teller
from graphlambda.scheduler.thread import begin_on_loop
from graphlambda.scheduler.tools import Tools
from graphlambda.scheduler.values import Place, Values, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from graphlambda.compiler.program import Program
    from graphlambda.runtime.frame import Dumps
    from graphlambda.scheduler.clock import Clock
    from graphlambda.scheduler.content import Namespace
    from graphlambda.scheduler.events import Listener
    from graphlambda.scheduler.failures import Locate
    from graphlambda.scheduler.invoke import Invoker
    from graphlambda.scheduler.keeper import Durable
    from graphlambda.scheduler.logs import Logs
    from graphlambda.scheduler.provision import Provisioner
    from graphlambda.scheduler.replay import Past
    from graphlambda.scheduler.spending import Tariff
    from graphlambda.scheduler.thread import Going
    from graphlambda.store.base import Store

P = ParamSpec("P")
T = TypeVar("T")

BATCHES_A_SEGMENT = 1 << 20
"""Names of stored batches that a client may use: the next one begins beyond."""

_SYSTEM_CLOCK = SystemClock()
_LIMITS = Limits()
_NO_PROVISIONER = NoProvisioner()
_NO_LOGS = NoLogs()
_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


def _own_only(run: str) -> bytes:
    raise StoreError(f"a value of run {run} is needed, but that run's key was not given")


def _nowhere(_place: str, _offset: int) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that came to its end."""

    id: str
    values: list[Any]
    """One an output, nested as the program's outputs are; `Kept` references where they were kept."""


async def execute(  # noqa: PLR0913  (the composition root's one call: everything that a run meets, each by name)
    program: Program,
    functions: Mapping[str, str],
    *,
    invoker: Invoker,
    store: Store,
    run: str,
    key: bytes,
    keys_of: Callable[[str], bytes] = _own_only,
    clock: Clock = _SYSTEM_CLOCK,
    listeners: Sequence[Listener] = (),
    limits: Limits = _LIMITS,
    settings: Mapping[str, Any] = _NO_SETTINGS,
    locate: Locate = _nowhere,
    provisioner: Provisioner = _NO_PROVISIONER,
    dumps: Dumps = cloudpickle.dumps,
    free_bytes: Callable[[], int] = free_bytes,
    keep: bool = False,
    durable: Durable | None = None,
    namespace: Namespace | None = None,
    tariff: Tariff = FREE,
    logs: Logs = _NO_LOGS,
) -> Run:
    """Run a program on its functions (by operation id) and return its values.

    `invoker` is closed at the end. `run`: 1 to 128 letters, digits, `-`, `_`; `key` (32 bytes) signs its frames, `keys_of` others'.
    `keep`: outputs stay in the store; `durable`: another client can go on; in a `namespace` runs share; `logs` tell what ended functions.

    Raises:
        RunError, UnshippableError: see `graphlambda.errors` for the kinds. What a task raised comes as itself.
    """
    place = Place(store=store, run=run, key=key, keys_of=keys_of, dumps=dumps, limits=limits, clock=clock)
    values, heard = Values(program, place, Shared(namespace)), Listeners(*listeners)
    tools = Tools(
        program=program, place=place, values=values, keeper=Keeper(values, durable), invoker=invoker, provisioner=provisioner,
        teller=Teller(heard, clock, program, run), locate=locate, logs=logs, clock=clock, tariff=tariff, random=Random(run),  # noqa: S311  (jitter)
    )  # fmt: skip
    with tools.teller.telling(place.ledger):
        async with _closing(invoker), _until(limits.deadline_s):
            return Run(id=run, values=await _lived(tools, functions, settings, free_bytes, keep=keep))


def _beginning(coroutine: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Going[T]]:
    """Return a function that begins a coroutine function on this process's loop."""

    @wraps(coroutine)
    def call(*args: P.args, **keywords: P.kwargs) -> Going[T]:
        return begin_on_loop(coroutine(*args, **keywords))

    return call


begin = _beginning(execute)
"""`execute`, from any thread. Ctrl-C in the thread that waits for its `result` cancels the run, waits until its
connections and values are dropped, and is raised."""


async def _lived(
    tools: Tools,
    functions: Mapping[str, str],
    settings: Mapping[str, Any],
    free_bytes: Callable[[], int],
    *,
    keep: bool,
) -> list[Any]:
    """Give a run its place in the store and its folder for as long as it lives; return its outputs."""
    program, place, keeper, end = tools.program, tools.place, tools.keeper, End.CANCELLED
    lease = Renewing(place)
    holding = hold(place, tools.values.shared)
    try:
        async with Stoppable() as block:
            execution, requests, past = await _begun(tools, functions, settings, keep=keep)
            keeper.start(block.stop)
            await execution.outlive(past, keeper.attempts_over_s)
            await execution.finish()
            if keep:
                outputs = await keep_outputs(program, tools.values, place)
                requests.discard()
                await keeper.flush()
            else:
                outputs = await _downloaded(execution, tools, free_bytes)
            await keeper.confirm()
        end = End.KEPT if keep else End.DONE
    except RunCancelledError:
        raise
    except RunLostError:
        end = End.LOST
        raise
    except Exception:
        end = End.FAILED
        raise
    else:
        return outputs
    finally:
        await tools.values.close()
        await asyncio.shield(_ended(tools, functions, [lease, *holding], end))


async def _begun(
    tools: Tools, functions: Mapping[str, str], settings: Mapping[str, Any], *, keep: bool
) -> tuple[Execution, Requests, Past]:
    """Begin a run, or go on where its last client stopped."""
    program, place, values, keeper = tools.program, tools.place, tools.values, tools.keeper
    refuse_foreign(program, place.store)
    state = RunState(program, await asyncio.to_thread(ranks, program.edges))
    past = await keeper.recall(partial(replay, state=state, values=values))
    tools.teller.recalled(past.done)
    await start_from_shared(tools, state, functions, settings, keep=keep)
    batches = keeper.segments * BATCHES_A_SEGMENT
    requests = Requests(program, state, place, values, settings, keep=keep, batches=batches)
    await place.call(partial(place.store.touch, place.run), "beginning the run")
    twins = await tools.provisioner.adopt(past.functions) if past.functions else {}
    return Execution(tools, state, requests, {**functions, **twins}, past), requests, past


async def _downloaded(execution: Execution, tools: Tools, free_bytes: Callable[[], int]) -> list[Any]:
    """Return the outputs' values; those that the store has lost, or damaged, are made again."""
    outputs = sorted(set(flat(list(tools.program.outputs))))
    while True:
        try:
            return await download(tools.program, tools.values, tools.place, free_bytes)
        except (LostValueError, AuthenticationError) as error:
            if not await execution.recover(outputs, damaged=isinstance(error, AuthenticationError)):
                raise
        await execution.finish()


@asynccontextmanager
async def _closing(invoker: Invoker) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await invoker.close()


@asynccontextmanager
async def _until(deadline_s: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(deadline_s) as deadline:
            yield
    except TimeoutError as error:
        if deadline.expired():
            raise DeadlineError(
                f"the run took longer than deadline_s={deadline_s:g} and was stopped"
            ) from error
        raise


async def _ended(tools: Tools, functions: Mapping[str, str], leases: Sequence[Renewing], end: End) -> None:
    """Leave in the store and in the folder what a run may leave."""
    left = asyncio.create_task(_left(tools, functions, leases, end))
    if end is End.CANCELLED:
        await left  # whoever cancelled it takes it for ended when the folder is gone
    await asyncio.gather(left, tools.keeper.end(end))


async def _left(tools: Tools, functions: Mapping[str, str], leases: Sequence[Renewing], end: End) -> None:
    """Leave in the store what a run may leave; what functions still run of it stops between two tasks."""
    for lease in leases:
        await lease.end()
    if end not in {End.KEPT, End.LOST}:
        await empty(tools, sorted(set(functions.values())), cancel=end is not End.DONE)
    await tidied(tools)

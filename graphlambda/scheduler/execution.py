"""Runs a program's tasks: sends what is ready, takes what comes back, until all are done or one cannot be.

In: a `RunState` to ask and to tell, requests, an invoker. Out: every task committed, or the error that ends
the run. Must not decide what follows a failure: that is `mending`, by `policy`.

What is in flight are lanes: coroutines, each of which builds a request, waits for the reply, settles it, and goes on
with what comes first then. So a successor starts in the same turn of the loop that its input came in.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphlambda.errors import RunError
from graphlambda.scheduler.backups import Backups
from graphlambda.scheduler.bounds import Bounds
from graphlambda.scheduler.choosing import Choosing
from graphlambda.scheduler.gate import Came, Gate
from graphlambda.scheduler.journal import unsent
from graphlambda.scheduler.keeper import BACKLOG_BYTES
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.mending import Mending
from graphlambda.scheduler.outcomes import Answered, outcome_of, outcome_of_error
from graphlambda.scheduler.pace import Window
from graphlambda.scheduler.policy import NEVER_BEGUN, NOT_ACCEPTED, RULES, Ran, backoff_s, error_after
from graphlambda.scheduler.pressure import Pressure
from graphlambda.scheduler.spending import Spending, billed_s
from graphlambda.scheduler.tools import Batch, units_of

if TYPE_CHECKING:
    from collections.abc import Container, Coroutine, Iterable, Mapping

    from graphlambda.scheduler.invoke import Reply
    from graphlambda.scheduler.outcomes import Outcome
    from graphlambda.scheduler.replay import Past
    from graphlambda.scheduler.requests import Request, Requests
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.tools import Tools

FORGOTTEN = 1.1
"""Times an invocation's bound: then it has been forgotten."""

LOOK_EVERY_S = 0.5
"""How often stragglers are looked for, where there is nothing else to send."""

_ROUNDING_S = 1e-6
"""Two waits that end so close together are one."""

FLUSH_AT = 256
"""How many deletions are collected before the store is called."""


class Execution:
    """The execution of one program."""

    def __init__(
        self, tools: Tools, state: RunState, requests: Requests, functions: Mapping[str, str], past: Past
    ) -> None:
        self._tools = tools
        self._limits = tools.place.limits
        self._state = state
        self._requests = requests
        self._units = units_of(tools.program, functions, self._limits.idempotent)
        self._window = Window(self._limits.concurrency)
        place, values = tools.place, tools.values
        self._pressure = Pressure(place.ledger, values, state, self._limits.store_bytes)
        self._backups = Backups(self._units)
        self._gate = Gate(self._limits.rates, self._limits.concurrency)
        self._spending = Spending(tools.tariff, past.spent_pico)
        self._looking, self._held_until_s = False, math.inf
        self._mending = Mending(
            tools, state, requests, self._units, self._gate.unready, self._begin, self._rest, past
        )
        self._choosing = Choosing(
            self._limits,
            state,
            self._units,
            self._mending.singles,
            pressure=self._pressure,
            window=self._window,
            gate=self._gate,
            spending=self._spending,
        )
        self._over: asyncio.Future[None]
        self._coroutines: set[asyncio.Task[None]] = set()
        self._bounds = Bounds()
        self._in_flight = 0
        self._refused_since_s: float | None = None
        self._refusals = 0
        self._resting = False

    async def recover(self, values: Iterable[int], *, damaged: bool) -> bool:
        """Have those of some values that the store has lost made again by the next `finish`; tell whether there are any.

        Raises what `Losses.mend` raises.
        """
        return await self._mending.losses.mend(values, damaged=damaged)

    async def outlive(self, past: Past, attempts_over_s: float) -> None:
        """Wait for what an earlier client sent; see `Mending.outlive`."""
        await self._mending.outlive(past, attempts_over_s)

    async def finish(self) -> None:
        """Return when every task is committed.

        May be called again after a value was lost. Raises the first error that cannot be mended; what is in
        flight then is dropped.
        """
        self._over = asyncio.get_running_loop().create_future()
        self._resting = self._looking = False
        self._held_until_s = math.inf
        try:
            self._go_on()
            await self._over
        except RunError as error:
            await self._stop()
            await self._mending.explain(error)
            raise
        finally:
            await self._stop()

    # ---- sending -----------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Send as much as may be in flight; see whether all is done."""
        while batch := self._taken():
            self._begin(self._lane(batch))
        if self._state.finished and not self._over.done():
            self._over.set_result(None)
        if not self._looking and self._has_room() and self._backups.may_come:
            self._looking = True
            self._begin(self._look())

    def _has_room(self) -> bool:
        return not (self._over.done() or self._resting) and self._in_flight < self._window.size

    async def _look(self) -> None:
        """Send stragglers once more, a little later, unless there is something better to do by then."""
        clock = self._tools.clock
        await clock.sleep(LOOK_EVERY_S)
        self._looking = False
        if self._has_room() and not self._mending.singles and self._state.next_table() is None:
            room = self._window.size - self._in_flight
            now_s = clock.monotonic()
            for late in self._backups.stragglers(now_s, in_flight=self._in_flight, room=room):
                unit, tasks = self._units[late.table], len(late.tasks)
                if self._spending.affordable(unit.function, tasks, unit.inputs) < tasks:
                    break
                self._tools.teller.retried(late.tasks, "straggler")
                self._begin(self._lane(self._batch(late.table, list(late.tasks), now_s, is_backup=True)))

    async def _lane(self, batch: Batch | None) -> None:
        """Invoke for some tasks, then for others, as long as there are any."""
        while batch:
            try:
                await self._invocation(batch)
            except Exception as error:
                self.fail(error)  # in this turn of the loop: no other lane sends anything more
                raise
            finally:
                self._in_flight -= 1
                self._pressure.redeem(batch.promised_bytes)
                self._spending.drop(batch.debit)
                self._note_spent()
            batch = self._taken()
            self._go_on()

    def _taken(self) -> Batch | None:
        """Return the next invocation's tasks, which count as in flight; None where none may be sent."""
        if not self._has_room():
            return None
        now_s = self._tools.clock.monotonic()
        chosen = self._choosing.next(now_s, in_flight=self._in_flight)
        if not chosen.tasks:
            if chosen.wait_s and now_s + chosen.wait_s < self._held_until_s - _ROUNDING_S:
                self._held_until_s = now_s + chosen.wait_s
                self._begin(self._hold(chosen.wait_s))
            if chosen.is_too_dear and self._in_flight:
                self._spending.tell_of_waiting(self._in_flight)
            elif chosen.is_too_dear:
                unit = self._units[chosen.table]
                self.fail(self._spending.refusal(self._tools.place.run, unit.function, unit.inputs))
            return None
        if chosen.is_overfull:
            self._tools.teller.overfull(self._tools.place.ledger.stored_bytes)
        return self._batch(chosen.table, list(chosen.tasks), now_s)

    def _batch(self, table: int, tasks: list[int], now_s: float, *, is_backup: bool = False) -> Batch:
        """Return tasks as an invocation, which counts as in flight."""
        self._in_flight += 1
        promised_bytes = self._pressure.promise(table, len(tasks))
        function = self._units[table].function
        debit = self._spending.begin(function, len(tasks), self._units[table].inputs)
        return Batch(table, tasks, promised_bytes, self._gate.enter(function, now_s), debit, is_backup)

    async def _hold(self, seconds: float) -> None:
        """Go on when the account, or a function, lets something begin again."""
        await self._tools.clock.sleep(seconds)
        self._held_until_s = math.inf

    async def _invocation(self, batch: Batch) -> None:
        """Send some tasks and settle what comes back."""
        table = batch.table
        request = await self._requests.build(table, batch.tasks)
        for task in request.left:
            if not batch.is_backup:
                self._state.give_back(task)
        function, once = batch.debit.function, self._units[table].idempotent is False
        if once:
            await self._tools.keeper.mark(request.tasks, sent=True)
        clock, answered, came = self._tools.clock, False, Came.UNKNOWN
        number = self._backups.sent(table, request.tasks, clock.monotonic(), is_backup=batch.is_backup)
        try:
            outcome = await self._sent(batch, function, request)
            answered, came = isinstance(outcome, Answered), _came(outcome)
        finally:  # a late attempt that is dropped at the end must not stand for one in flight: a loss may follow
            self._backups.returned(number, clock.monotonic(), answered=answered)
            self._gate.leave(batch.entry, came)
        if request.stored:
            self._tools.values.discard(request.stored)
        if isinstance(outcome, Answered):
            await self._settle(table, function, request.tasks, outcome)
        elif tasks := tuple(filter(self._is_open, request.tasks)):
            if once and RULES[outcome.kind].ran is Ran.NO:
                await self._tools.keeper.mark(tasks, sent=False)
            await self._mending.mend(table, function, tasks, outcome)

    def _is_open(self, task: int) -> bool:
        """Whether a task that brought nothing is to be mended: it is not committed, nor is another attempt in flight."""
        return self._state.is_running(task) and not self._backups.has_other(task)

    async def _sent(self, batch: Batch, function: str, request: Request) -> Outcome:
        """Return what became of a request; measure it."""
        tools, tasks, table = self._tools, request.tasks, batch.table
        batch.debit.is_sent = True
        self._note_spent()
        tools.teller.sent(table, function, tasks, self._mending.attempt(tasks), len(request.payload))
        started_s, reply_bytes = tools.clock.monotonic(), 0
        outcome: Outcome
        try:
            reply = await self._reply(function, request.payload)
            outcome, reply_bytes = outcome_of(reply), len(reply.payload)
        except (OSError, RunError) as error:  # TimeoutError and ConnectionError are OSErrors
            outcome = outcome_of_error(error)
        seconds = tools.clock.monotonic() - started_s
        took_s = billed_s(outcome, seconds, tools.tariff.timeout_s(function))
        self._spending.end(batch.debit, outcome, took_s)
        self._note_spent()
        tools.teller.came_back(
            table, function, tasks, outcome=outcome, seconds=seconds, billed_s=took_s, reply_bytes=reply_bytes
        )
        if not (isinstance(outcome, Failed) and outcome.kind in NOT_ACCEPTED):
            self._refused_since_s, self._refusals = None, 0
        if isinstance(outcome, Failed):
            return replace(outcome, after_s=seconds)
        self._choosing.learn(table, outcome, seconds, reply_bytes)
        self._pressure.learn(table, outcome)
        return outcome

    def _note_spent(self) -> None:
        self._tools.keeper.note_spent(self._spending.told)

    async def _reply(self, function: str, payload: bytes) -> Reply:
        """Return an invocation's reply; an invoker that forgets its own bound must not hang the run."""
        timeout_s = self._limits.invoke_timeout_s
        with self._bounds.within(timeout_s * FORGOTTEN):
            return await self._tools.invoker.invoke(function, payload, timeout_s=timeout_s)

    # ---- settling ----------------------------------------------------------------------------------------

    async def _settle(self, table: int, function: str, tasks: tuple[int, ...], answered: Answered) -> None:
        """Commit what was done, mend what was not."""
        asked = set(tasks)
        in_pieces = self._in_pieces(answered)
        self._tools.teller.outputs(answered)
        self._commit(asked.difference(answered.errors, in_pieces), answered)
        for task in asked & answered.left:
            self._state.give_back(task)
        for task, error in answered.errors.items():
            if task in asked and self._is_open(task):
                await self._mending.mend_task(table, function, task, error)
        unreached = asked.difference(answered.tasks, answered.left) | asked & in_pieces
        if missing := set(filter(self._is_open, unreached)):
            await self._mend_unreached(table, function, missing, answered.ended)
        await self._tidy()

    async def _mend_unreached(self, table: int, function: str, tasks: set[int], ended: str) -> None:
        """See to tasks of which a reply does not tell; where the function took the run for `ended`, none was begun."""
        if ended:
            if self._units[table].idempotent is False:
                await self._tools.keeper.mark(sorted(tasks), sent=False)
            for task in sorted(tasks):
                self._state.give_back(task)
        else:
            lost = Failed(Kind.ENVIRONMENT_LOST, "the reply does not tell of it")
            await self._mending.mend(table, function, tuple(sorted(tasks)), lost)

    def _in_pieces(self, answered: Answered) -> set[int]:
        """Return the tasks whose values are nowhere, though the reply does not tell of all their parts."""
        if not answered.unsent:
            return set()
        told, pieces = set(answered.tasks).difference(answered.errors), set[int]()
        for task in reversed(
            answered.tasks
        ):  # readers first: what runs again for them needs its inputs again
            if task in answered.unsent and not self._state.is_unsent(task, told):
                told.discard(task)
                pieces.add(task)
        return pieces

    def _commit(self, tasks: Container[int], answered: Answered) -> None:
        """Commit the values of some tasks of a reply, but for those that were before: the first writer wins."""
        state, values, keeper = self._state, self._tools.values, self._tools.keeper
        rows: dict[int, list[int]] = {}
        released: list[int] = []
        for row, task in enumerate(answered.tasks):
            commit = state.commit(task) if task in tasks else None
            if commit is None:  # told twice: the first one counted
                elsewhere = task in answered.unsent or task in answered.shared
                if task in tasks and answered.frames[row] is None and not elsewhere:
                    values.written_again(task)
                continue
            if task in answered.unsent:
                keeper.note(unsent(task))
            else:
                frame, size_bytes = answered.frames[row], answered.value_bytes[row]
                place = values.shared.left(task, size_bytes) if task in answered.shared else None
                values.receive(task, frame, size_bytes, place)
                keeper.commit(task, frame, size_bytes, place)
            rows.setdefault(state.table(task), []).append(row)
            released += commit.released
        values.release(released)
        for table, of_table in rows.items():
            self._tools.teller.done(table, answered, of_table)
        self._tools.teller.released(released)

    async def _tidy(self) -> None:
        """Keep the client's memory and the store within bounds."""
        values, keeper = self._tools.values, self._tools.keeper
        if values.held_bytes > self._limits.held_bytes:
            await values.shed()
        if self._pressure.is_tight or values.dropping >= FLUSH_AT or keeper.backlog_bytes >= BACKLOG_BYTES:
            await keeper.flush()

    # ---- resting, ending -----------------------------------------------------------------------------------

    def _rest(self, failed: Failed) -> None:
        """Send nothing for a while: whoever is asked for less concurrency is not asked again at once."""
        now_s = self._tools.clock.monotonic()
        since_s = self._refused_since_s = now_s if self._refused_since_s is None else self._refused_since_s
        if now_s - since_s > self._limits.stall_s:
            what = f"no invocation was accepted for {now_s - since_s:.0f} s"
            raise error_after(failed, what=what)
        if not self._resting:
            self._resting = True
            self._window.shrink(self._in_flight - 1)
            self._begin(self._awake(failed.retry_after_s))
            self._refusals += 1

    async def _awake(self, at_least_s: float) -> None:
        """Go on after a rest."""
        await self._tools.clock.sleep(max(at_least_s, backoff_s(self._refusals, self._tools.random)))
        self._resting = False

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._coroutines.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Go on where a coroutine ended; its error is the run's."""
        self._coroutines.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self.fail(error)
        self._go_on()

    def fail(self, error: BaseException) -> None:
        """End the run with an error, unless it is over."""
        if not self._over.done():
            self._over.set_exception(error)

    async def _stop(self) -> None:
        """Drop what is still in flight: connections are closed, nothing new is sent."""
        self._over.cancel()
        coroutines = list(self._coroutines)
        for coroutine in coroutines:
            coroutine.cancel()
        await asyncio.gather(*coroutines, return_exceptions=True)


def _came(outcome: Outcome) -> Came:
    """Return what an invocation met."""
    if isinstance(outcome, Failed):
        return Came.NOWHERE if outcome.kind in NEVER_BEGUN else Came.UNKNOWN
    return Came.COLD if outcome.cold else Came.WARM

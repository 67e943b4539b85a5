"""A run within its budget: what is in flight counts at its worst, and nothing is sent by which it could be passed."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphlambda.api.pricing import most_traffic
from graphlambda.deployer import Settings
from graphlambda.errors import BudgetError, BudgetWarning, RunError
from graphlambda.prices import NO_TRAFFIC, US_EAST_1, Price, Size, Traffic, Usage, ran, usd_of
from graphlambda.report import Tally
from graphlambda.scheduler import Durable, Limits, execute
from graphlambda.scheduler.events import InvocationEnded, InvocationStarted
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.outcomes import Answered
from graphlambda.scheduler.policy import NEVER_BEGUN
from graphlambda.scheduler.provision import NoProvisioner
from graphlambda.scheduler.spending import START_S, Debit, Spending, Tariff, billed_s
from graphlambda.store.claims import take, this_client
from graphlambda.store.file import FileStore
from graphlambda.store.folders import DiskFolders
from graphlambda.testing.invokers import InProcessInvoker
from graphlambda.testing.programs import Sums, functions_of, program_of
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.bench import DEAD, KEY, KILLED, THROTTLED, summed, wide

if TYPE_CHECKING:
    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.events import Event
    from graphlambda.scheduler.invoke import Reply

SETTINGS = Settings(memory_mb=256, timeout_s=10, ephemeral_mb=512, role="")
TIMEOUT_S = float(SETTINGS.timeout_s)
WORST_USD = 0.0001 + (TIMEOUT_S + START_S) * 0.001
"""0.0201"""

FLAT = replace(
    US_EAST_1,
    request=Price(0.0001, "request", "2026", ""),
    duration={"x86_64": ((0.0, Price(0.001, "GB-s", "2026", "")),)},
    s3_write=Price(0.001, "request", "2026", ""),
)
"""Prices that make round sums: a second of 1 GiB costs 0.001."""


def tariff(budget_usd: float | None, **fields: Any) -> Tariff:
    terms = {
        "usd": partial(usd_of, prices=FLAT),
        "size": lambda _function: Size(memory_mb=1024),
        "timeout_s": lambda _function: TIMEOUT_S,
        **fields,
    }
    return Tariff(budget_usd=budget_usd, **terms)


def answered(billed_s: float, writes: int = 0, **fields: Any) -> Answered:
    return Answered(
        tasks=(), started_s=(), seconds=(), value_bytes=(), reading_s=0.0, sending_s=0.0, frames=(), errors={},
        unsent=frozenset(), shared=frozenset(), left=frozenset(), ended="", outputs={}, peak_mb=0.0,
        billed_s=billed_s, traffic=Traffic(writes=writes), **{"cold": False, **fields},
    )  # fmt: skip


def sent(spending: Spending, tasks: int = 1) -> Debit:
    debit = spending.begin("f", tasks, 1)
    debit.is_sent = True
    return debit


def test_what_is_in_flight_counts_as_its_functions_whole_timeout_and_its_start() -> None:
    spending = Spending(tariff(0.0605))
    debits = []
    while spending.affordable("f", 1, 1):
        debits.append(sent(spending))
    assert len(debits) == 3
    spending.end(debits[0], answered(2.0), 2.0)
    assert spending.spent_pico == 2_100_000_000
    assert not spending.affordable("f", 1, 1)  # 0.0021 + 2 * 0.0201 + 0.0201 is more
    spending.end(debits[1], answered(2.0), 2.0)
    assert spending.affordable("f", 1, 1)


def test_what_its_tasks_may_ask_of_a_store_counts_too_until_it_is_known_what_they_did() -> None:
    asks = {"asks": lambda _function, tasks, inputs: Traffic(writes=tasks * inputs)}
    spending = Spending(tariff(WORST_USD + 0.0065, **asks))
    assert spending.affordable("f", 9, 2) == 3
    debit = sent(spending, tasks=3)
    assert spending.in_flight_pico == 20_100_000_000 + 3_000_000_000
    spending.end(debit, answered(2.0, writes=1), 2.0)
    assert spending.spent_pico == 2_100_000_000 + 1_000_000_000
    spending.end(
        sent(spending, tasks=2), Failed(Kind.ENVIRONMENT_LOST, ""), 2.0
    )  # nobody knows what it asked
    assert spending.spent_pico == 2 * 2_100_000_000 + 1_000_000_000 + 2_000_000_000


def test_what_the_client_itself_asks_of_a_store_is_spent() -> None:
    asked = [NO_TRAFFIC]
    spending = Spending(tariff(WORST_USD + 0.001, asked=lambda: asked[0]), earlier_pico=5)
    assert (spending.spent_pico, spending.affordable("f", 1, 1)) == (5, 1)
    asked[0] = Traffic(writes=2)
    assert (spending.spent_pico, spending.affordable("f", 1, 1)) == (2_000_000_005, 0)


def test_starts_from_a_snapshot_and_environments_that_waited_have_prices_of_their_own() -> None:
    size = {"size": lambda _function: Size(memory_mb=1024, snap_start=True)}
    spending = Spending(tariff(1.0, **size))
    restore_pico = round(FLAT.restore.usd * 1e12)
    spending.end(sent(spending), answered(1.0, cold=True), 1.0)
    assert spending.spent_pico == 1_100_000_000 + restore_pico
    spending.end(sent(spending), answered(1.0), 1.0)
    assert spending.spent_pico == 2_200_000_000 + restore_pico
    sent(spending)
    assert spending.in_flight_pico == 20_100_000_000 + restore_pico
    spending = Spending(tariff(1.0))
    spending.end(sent(spending), answered(1.0, had_waited=True), 1.0)
    assert spending.spent_pico == round(1e12 * usd_of(ran(Size(memory_mb=1024), 1.0, ready_s=1.0), FLAT))


def test_what_was_sent_and_is_given_up_counts_at_its_worst_what_was_not_costs_nothing() -> None:
    spending = Spending(tariff(1.0))
    spending.drop(spending.begin("f", 1, 1))
    assert spending.spent_pico == 0
    debit = sent(spending)
    spending.drop(debit)
    spending.drop(debit)
    assert (spending.spent_pico, spending.in_flight_pico) == (20_100_000_000, 0)


@pytest.mark.parametrize("kind", Kind)
def test_what_never_began_is_free_and_what_may_run_still_is_billed_to_its_end(kind: Kind) -> None:
    free = kind in NEVER_BEGUN
    still = kind in {Kind.TIMED_OUT, Kind.NO_ANSWER, Kind.CUT_OFF, Kind.SERVICE_FAILED}
    assert billed_s(Failed(kind, ""), 3.0001, 10.0) == (0.0 if free else 10.0 + START_S if still else 3.001)
    assert billed_s(Failed(kind, "", log="REPORT Billed Duration: 4000 ms"), 3.0, 10.0) == (
        0.0 if free else 4.0
    )
    spending = Spending(tariff(None))
    spending.end(sent(spending), Failed(kind, ""), 0.0)
    assert spending.spent_pico == (0 if free else 100_000_000)


# ---- runs, in virtual time ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Metered:
    """An invoker whose invocations take as long as they are told, and say so as Lambda does."""

    inner: InProcessInvoker
    seconds: float
    throttled: int = 0
    """How many are refused first."""

    instead: Reply | None = None
    """What is replied, if not what the function does."""

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        if self.throttled:
            self.throttled -= 1
            return THROTTLED
        await asyncio.sleep(self.seconds)
        reply = self.instead or await self.inner.invoke(function, payload, timeout_s=timeout_s)
        return replace(
            reply, log_tail=f"REPORT Billed Duration: {1000 * self.seconds:.0f} ms\tMemory Size: 1024 MB"
        )

    async def close(self) -> None:
        await self.inner.close()


class Spent:
    """A run in virtual time, and what it came to."""

    def __init__(self, folder: Path) -> None:
        self.store = FileStore(folder)
        self.events: list[Event] = []

    def run(
        self,
        program: Program,
        given: Tariff,
        *,
        throttled: int = 0,
        instead: Reply | None = None,
        durable: Durable | None = None,
        concurrency: int = 64,
    ) -> Any:
        invoker = Metered(InProcessInvoker(Sums().callables()), 2.0, throttled, instead)
        return run_virtually(
            execute(
                program, functions_of(program), invoker=invoker, store=self.store, run="r1", key=KEY, clock=LoopClock(),
                listeners=[self.events.append], limits=Limits(batch=1, concurrency=concurrency), tariff=given,
                durable=durable,
            )
        ).values  # fmt: skip

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


waits = pytest.mark.filterwarnings("ignore::graphlambda.errors.BudgetWarning")


@waits
def test_a_run_within_its_budget_ends_as_without_one(tmp_path: Path) -> None:
    assert Spent(tmp_path / "a").run(wide(12), tariff(13 * 0.0021 + 0.02)) == [79]
    assert Spent(tmp_path / "b").run(wide(12), tariff(None)) == [79]


def test_a_budget_that_keeps_a_run_back_says_so_once_and_how_more_may_go(tmp_path: Path) -> None:
    with pytest.warns(BudgetWarning) as told:
        assert Spent(tmp_path).run(wide(12), tariff(13 * 0.0021 + 0.04), concurrency=9) == [79]
    assert [str(each.message) for each in told] == [
        (
            "budget_usd=0.0673 lets no more than 3 invocations run at once: until they end, they count as 0.0603 USD. With a "
            "timeout_s= near what tasks take, more may"
        )
    ]


@waits
def test_a_run_stops_before_it_passes_its_budget_and_says_what_is_left(tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    with pytest.raises(BudgetError) as caught:
        spent.run(wide(12), tariff(0.0305), concurrency=4)
    error = caught.value
    assert spent.count(InvocationStarted) == spent.count(InvocationEnded) == 5
    assert (error.spent_usd, error.next_usd) == (0.0105, WORST_USD)
    assert error.left_usd == pytest.approx(0.02)
    assert str(error) == (
        "run r1 has spent 0.010500 of budget_usd=0.0305; 0.020000 USD are left, and its next invocation may cost "
        "0.020100 (memory_mb= for all of timeout_s= and a cold start, and what it asks of the store). Give it a larger "
        "budget_usd=; where it is resumed, what it has spent already counts"
    )
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_budget_for_less_than_one_invocation_sends_none(tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    with pytest.raises(BudgetError):
        spent.run(wide(3), tariff(0.02))
    assert spent.count(InvocationStarted) == 0


def test_throttled_invocations_cost_nothing(tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    assert spent.run(program_of([("f", 1)], [0]), tariff(WORST_USD), throttled=3, concurrency=1) == [2]
    assert spent.count(InvocationStarted) == 4


@waits
def test_what_fails_counts_too(tmp_path: Path) -> None:
    """The budget is for one attempt of 2 s and the start of another."""
    spent = Spent(tmp_path)
    with pytest.raises(BudgetError) as caught:
        spent.run(program_of([("f", 1)], [0]), tariff(0.0021 + WORST_USD), instead=DEAD)
    assert (spent.count(InvocationStarted), caught.value.spent_usd) == (2, 0.0042)


@waits
def test_who_resumes_a_run_goes_on_with_what_is_left_of_a_larger_budget(tmp_path: Path) -> None:
    folder = DiskFolders(tmp_path / "runs").of("r1")
    first = Durable(folder=folder, key=KEY, saved={"program": wide(12)})
    spent = Spent(tmp_path / "values")
    with pytest.raises(BudgetError) as caught:
        spent.run(wide(12), tariff(0.0305), durable=first, concurrency=4)
    assert caught.value.spent_usd == 0.0105

    def resumed(budget_usd: float) -> Any:
        again = replace(first, claim=take(folder, this_client()))
        return spent.run(wide(12), tariff(budget_usd), durable=again, concurrency=4)

    with pytest.raises(BudgetError) as caught:
        resumed(0.0105 + 0.0021 + WORST_USD - 1e-12)
    assert (caught.value.spent_usd, spent.count(InvocationStarted)) == (0.0126, 6)
    assert resumed(0.0126 + 7 * 0.0021 + WORST_USD) == [79]
    assert spent.count(InvocationStarted) == 13


# ---- whatever happens ----------------------------------------------------------------------------------------------


class Twins(NoProvisioner):
    """Makes functions of twice the memory, up to eight times as much."""

    async def larger(self, operation: str, function: str) -> str | None:
        return f"{function}+" if function.count("+") < 3 else None


def size_of(function: str) -> Size:
    return Size(memory_mb=256 << function.count("+"))


def asks(_function: str, tasks: int, inputs: int) -> Traffic:
    """No more than what is asked indeed, so that nothing else is hidden in what it leaves room for."""
    return Traffic(writes=tasks, reads=tasks * inputs + 2)


@dataclass(slots=True)
class Account:
    """AWS, for one run: functions that take anything up to their timeout and break in any way, and what that really costs."""

    inner: InProcessInvoker
    luck: Random
    harm: float
    """The share of invocations in which something goes wrong."""

    store: FileStore
    slow: float = 0.05
    """The share that takes all the time it may, or all that a start may."""

    usd: float = 0.0
    """Of all that was begun, to its end, whatever the client heard of it."""

    seen: list[float] = field(default_factory=list)
    """The same after each invocation that was let in."""

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        fate = (
            self.luck.choice(("throttled", "killed", "dead", "cut", "late"))
            if self.luck.random() < self.harm
            else ""
        )
        if fate == "throttled":
            return THROTTLED
        start_s = START_S * (self.luck.random() < self.slow)
        runs_s = TIMEOUT_S * (1.0 if fate == "late" or self.luck.random() < self.slow else 0.02)
        told, traffic = await self._done(function, payload, fate, timeout_s)
        self.usd += usd_of(ran(size_of(function), start_s + runs_s) + Usage(traffic=traffic), FLAT)
        self.seen.append(self.usd)
        if fate == "cut":
            raise ConnectionResetError
        await asyncio.sleep(start_s + runs_s)
        log = f"REPORT Billed Duration: {1000 * (start_s + runs_s):.0f} ms"
        return replace(told, log_tail=log if fate == "" or self.luck.random() < 0.5 else "")

    async def _done(
        self, function: str, payload: bytes, fate: str, timeout_s: float
    ) -> tuple[Reply, Traffic]:
        if fate in {"killed", "dead", "late"}:
            return {"killed": KILLED, "dead": DEAD, "late": DEAD}[fate], Traffic(writes=1, reads=1)
        told = await self.inner.invoke(function, payload, timeout_s=timeout_s)
        body = json.loads(told.payload)
        most = most_traffic(SETTINGS, len(body["tasks"]), 8, cached=False)
        assert all(asked <= bound for asked, bound in zip(body["traffic"], astuple(most), strict=True))
        return told, Traffic(*body["traffic"])

    async def close(self) -> None:
        await self.inner.close()


@waits
@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32),
    budget_usd=st.floats(0.0, 0.3),
    harm=st.sampled_from((0.0, 0.1, 0.5)),
    slow=st.sampled_from((0.05, 0.5, 1.0)),
)
def test_whatever_happens_a_run_never_costs_more_than_its_budget(
    seed: int, budget_usd: float, harm: float, slow: float
) -> None:
    """Retries, backups, twins, dropped invocations: what AWS bills in the end is within it, and so is what we say."""
    operations = {name + "+" * twin: call for name, call in Sums().callables().items() for twin in range(4)}
    with TemporaryDirectory() as folder:
        account = Account(InProcessInvoker(operations), Random(seed), harm, FileStore(Path(folder)), slow)
        tally, program = Tally(size_of, prices=FLAT), summed(40, 8)
        ended: RunError | None = None
        try:
            done = run_virtually(
                execute(
                    program, functions_of(program), invoker=account, store=account.store, run="r1", key=KEY,
                    clock=LoopClock(), provisioner=Twins(), listeners=[tally],
                    limits=Limits(concurrency=16, idempotent=True, inline_bytes=0, invoke_timeout_s=30.0),
                    tariff=tariff(budget_usd, size=size_of, asks=asks),
                )
            )  # fmt: skip
            assert done.values == [1 + sum(1 + sum(i + 1 for i in range(j, j + 8)) for j in range(0, 40, 8))]
        except RunError as error:
            ended = error
        assert ended is None or harm or isinstance(ended, BudgetError)
        if isinstance(ended, BudgetError) and not harm:  # nothing is left that only one side knows
            assert ended.spent_usd == pytest.approx(account.usd) == pytest.approx(tally.bill().usd)
        assert all(usd <= budget_usd for usd in account.seen)
        assert tally.bill().usd <= budget_usd + 1e-9

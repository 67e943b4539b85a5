"""Functions that are not ready: asked by one invocation at a time, waited for within bounds, in nobody's way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.compiler.program import Gather
from graphlambda.errors import CloudError, InvokeError
from graphlambda.scheduler import Limits
from graphlambda.scheduler.events import InvocationEnded, InvocationStarted
from graphlambda.scheduler.gate import Came, Gate
from graphlambda.scheduler.kinds import Kind
from graphlambda.scheduler.limits import UNPACED
from graphlambda.scheduler.policy import KNOWN_S, READY_S, UNREACHABLE_S
from graphlambda.scheduler.provision import NoProvisioner, Provisioner
from graphlambda.scheduler.unready import ASKING_S, Unready
from graphlambda.testing.invokers import refusal
from graphlambda.testing.programs import program_of
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.bench import WIDE_12, Bench, Late, wide

if TYPE_CHECKING:
    from typing import TypeAlias

    from graphlambda.scheduler.invoke import Reply

    Told: TypeAlias = list[tuple[float, Reply | OSError]]

PENDING = refusal(502, "ResourceNotReadyException")
DENIED = refusal(403, "AccessDeniedException")
ABSENT = refusal(404, "ResourceNotFoundException")
REFUSED = ConnectionRefusedError("nobody listens")
F, G = "gl-f", "gl-g"


_NOBODY = NoProvisioner()


def second(_tries: int) -> float:
    return 1.0


# ---- the bookkeeping alone ---------------------------------------------------------------------------------------


def test_after_a_refusal_nobody_asks_for_a_while_and_then_one() -> None:
    unready = Unready()
    assert (unready.wait_s(F, 0.0), bool(unready)) == (0.0, False)
    assert unready.refused(F, Kind.NOT_READY, 10.0, second) == 0.0
    assert (unready.wait_s(F, 10.25), unready.wait_s(G, 10.25)) == (0.75, 0.0)
    assert unready.wait_s(F, 11.0) == 0.0
    unready.enter(F, 11.0)
    assert unready.wait_s(F, 11.0) == ASKING_S
    unready.taken(F)
    assert (unready.wait_s(F, 11.0), bool(unready)) == (0.0, False)


def test_what_was_sent_before_the_refusal_was_known_makes_no_wait_longer() -> None:
    unready, tries = Unready(), list[int]()

    def noted(number: int) -> float:
        tries.append(number)
        return 1.0

    for _ in range(100):
        unready.refused(F, Kind.NOT_READY, 10.0, noted)
    assert (tries, unready.wait_s(F, 10.0)) == ([0], 1.0)
    unready.enter(F, 11.0)
    assert unready.refused(F, Kind.NOT_READY, 11.5, noted) == 1.5
    assert (tries, unready.wait_s(F, 11.5)) == ([0, 1], 1.0)


def test_each_way_to_refuse_is_measured_by_itself() -> None:
    unready = Unready()
    told = [
        (Kind.NOT_READY, 0.0),
        (Kind.NOT_READY, 100.0),
        (Kind.UNREACHABLE, 101.0),
        (Kind.NOT_READY, 150.0),
    ]
    assert [unready.refused(F, kind, now_s, second) for kind, now_s in told] == [0.0, 100.0, 1.0, 149.0]


def test_who_asks_and_is_not_refused_soon_is_followed_by_others() -> None:
    unready = Unready()
    unready.refused(F, Kind.NOT_READY, 0.0, second)
    unready.enter(F, 1.0)
    unready.enter(F, 1.0 + ASKING_S)
    assert unready.wait_s(F, 1.0 + ASKING_S) == 0.0


def test_the_gate_lets_a_function_go_that_took_an_invocation() -> None:
    gate = Gate(UNPACED, 8)
    assert not gate.holds
    gate.unready.refused(F, Kind.NOT_READY, 0.0, second)
    assert (gate.holds, gate.wait_s(F, 0.0), gate.wait_s(G, 0.0)) == (True, 1.0, 0.0)
    gate.leave(gate.enter(F, 1.0), Came.NOWHERE)
    assert gate.holds
    gate.leave(gate.enter(F, 1.0), Came.WARM)
    assert not gate.holds


# ---- in a run ----------------------------------------------------------------------------------------------------


def ran(
    bench: Bench, program: Any, late: Late, provisioner: Provisioner = _NOBODY, **limits: Any
) -> list[Any]:
    given: dict[str, Any] = {"limits": Limits(**limits), "provisioner": provisioner}
    return run_virtually(bench.execute(program, late, clock=LoopClock(), **given))


@pytest.mark.parametrize(
    ("told", "until_s"),
    [(PENDING, 240.0), (DENIED, KNOWN_S - 11), (ABSENT, KNOWN_S - 11), (REFUSED, UNREACHABLE_S - 11)],
)
def test_a_function_that_is_ready_late_costs_few_requests_and_no_attempt(
    bench: Bench, told: Reply | OSError, until_s: float
) -> None:
    late = Late(bench.inner, F, [(until_s, told)])
    assert ran(bench, wide(12), late, batch=1, concurrency=4, idempotent=False) == WIDE_12
    assert late.refusals < 4 + 10 + until_s / 5
    assert {event.attempt for event in bench.of(InvocationStarted)} == {1}


@pytest.mark.parametrize(
    ("told", "bound_s", "said"),
    [
        (PENDING, READY_S, r"not taken for 60\d s: not ready: ResourceNotReadyException: no\. Deploy"),
        (DENIED, KNOWN_S, r"not taken for 3\d s: access denied: .*`lambda:InvokeFunction`"),
        (ABSENT, KNOWN_S, r"not taken for 3\d s: missing function: .*Deploy the program again"),
        (REFUSED, UNREACHABLE_S, r"not taken for 3\d s: unreachable: nobody listens\. Is the endpoint up"),
    ],
)
def test_a_function_that_never_gets_ready_ends_the_run_within_its_bound(
    bench: Bench, told: Reply | OSError, bound_s: float, said: str
) -> None:
    with pytest.raises(InvokeError, match=rf"operation f \(function gl-f\): {said}"):
        ran(bench, wide(12), Late(bench.inner, F, [(1e9, told)]), batch=1, concurrency=4)
    assert bound_s < bench.events[-1].at_s - bench.events[0].at_s < bound_s + 11


@dataclass
class Deployer(NoProvisioner):
    """Makes a function again that is gone, in longer than it takes to ask for it once more; or may not."""

    told: Told
    """How the function refuses."""

    then: Told = field(default_factory=list)
    """How it does once it was made."""

    refusal: CloudError | None = None
    asked: list[str] = field(default_factory=list)

    async def afresh(self, operation: str, function: str) -> str | None:
        del operation
        self.asked.append(function)
        await asyncio.sleep(3 * ASKING_S)
        if self.refusal:
            raise self.refusal
        self.told[:] = self.then
        return function


def test_a_function_that_was_deleted_is_made_again_once_and_no_task_is_charged(bench: Bench) -> None:
    told: Told = [(1e9, ABSENT)]
    deployer = Deployer(told, then=[(80.0, ABSENT)])
    program = wide(12)
    assert ran(bench, program, Late(bench.inner, F, told), deployer, batch=1, concurrency=4) == WIDE_12
    assert deployer.asked == [F]
    assert {event.attempt for event in bench.of(InvocationStarted)} == {1}


def test_a_function_that_is_deleted_again_and_again_ends_the_run(bench: Bench) -> None:
    told: Told = [(1e9, ABSENT)]
    deployer = Deployer(told, then=[(1e9, ABSENT)])
    with pytest.raises(
        InvokeError, match=r"not taken for 3\d s: missing function: .*Deploy the program again"
    ):
        ran(bench, wide(12), Late(bench.inner, F, told), deployer, batch=1, concurrency=4)
    assert deployer.asked == [F]


def test_who_may_not_make_a_function_that_was_deleted_is_told_so(bench: Bench) -> None:
    told: Told = [(1e9, ABSENT)]
    denied = CloudError("create_function gl-f", "AccessDeniedException", "not you")
    deployer = Deployer(told, refusal=denied)
    with pytest.raises(InvokeError, match=r"could not be made again: .*AccessDenied.* Deploy the") as raised:
        ran(bench, wide(12), Late(bench.inner, F, told), deployer, batch=1, concurrency=4)
    assert raised.value.__cause__ is denied


def test_an_endpoint_that_is_out_of_reach_for_a_moment_does_not_end_a_run_that_waited_for_something_else(
    bench: Bench,
) -> None:
    late = Late(bench.inner, F, [(UNREACHABLE_S + 30, PENDING), (UNREACHABLE_S + 40, REFUSED)])
    assert ran(bench, wide(12), late, batch=1, concurrency=4) == WIDE_12


def test_other_functions_go_on_while_one_is_not_ready(bench: Bench) -> None:
    tasks = [*[("f", i) for i in range(6)], *[("h", i) for i in range(6)], ("g", Gather(list(range(12))))]
    late = Late(bench.inner, F, [(60.0, PENDING)])
    bench.operations["gl-h"] = lambda i: i + 1
    ran(bench, program_of(tasks, [12]), late, batch=1, concurrency=2)
    ended = [event for event in bench.of(InvocationEnded) if not event.failure]
    assert [event.function for event in ended] == [*["gl-h"] * 6, *[F] * 6, G]
    assert ended[5].at_s - bench.events[0].at_s < 1.0


def test_a_refusal_of_one_function_leaves_the_concurrency_as_it_is(bench: Bench) -> None:
    late = Late(bench.inner, F, [(20.0, PENDING)])
    assert ran(bench, wide(12), late, batch=1, concurrency=12) == WIDE_12
    assert bench.inner.most_in_flight == 11  # all but the one that asked

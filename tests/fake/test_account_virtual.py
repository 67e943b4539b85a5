"""The account in virtual time: what a deployer and a scheduler meet there, in no time at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.deployer import Deployment, Settings, deploy
from graphlambda.deployer.aws import POLL_S, UNKNOWN_S, AwsCloud
from graphlambda.deployer.functions import Call
from graphlambda.deployer.retry import aws_paces
from graphlambda.scheduler import Limits as RunLimits
from graphlambda.scheduler.invoke import Reply
from graphlambda.testing.account.conditions import AT_ONCE, ROUGH, TYPICAL, Conditions, Dice, Mishap, Spread
from graphlambda.testing.account.quotas import Limits, Reason
from graphlambda.testing.account.turns import Turns
from graphlambda.testing.account.virtual import AccountInvoker
from graphlambda.testing.artifacts import TARGET, make_artifact, make_layer
from graphlambda.testing.cloud_contract import CapacityTests
from graphlambda.testing.clouds import manifests_in
from graphlambda.testing.invokers import refusal, reply
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.fake.conftest import ROLE, account_of
from tests.scheduler.bench import Bench, Late, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graphlambda.packager.artifact import Artifact
    from graphlambda.testing.account.account import Account

SETTINGS = Settings(memory_mb=512, timeout_s=60, ephemeral_mb=512, role=ROLE)


def cloud_of(account: Account, connected: Callable[[Account], Any], turns: Turns) -> AwsCloud:
    """Return an account as `aws_cloud` has it, at virtual time."""
    return AwsCloud(
        connected(account),
        endpoint="virtual",
        paces=aws_paces(turns.clock, turns.sleep),
        poll_s=POLL_S,
        unknown_s=UNKNOWN_S,
        clock=turns.clock,
        sleep=turns.sleep,
        at_once=turns.at_once,
    )


def artifacts_of(folder: Path, count: int) -> list[Artifact]:
    layer = make_layer(folder, "shared")
    return [make_artifact(folder, f"operation{number}", (layer,)) for number in range(count)]


def deployed(artifacts: list[Artifact], cloud: AwsCloud, turns: Turns) -> Deployment:
    manifests = manifests_in(artifacts[0].zip_path.parent / "manifests", deployment="test")
    return deploy(
        artifacts, SETTINGS, cloud=cloud, deployment_id="test", manifests=manifests, at_once=turns.at_once
    )


class TestAwsCloudInVirtualTime(CapacityTests):
    """The contract holds in an account where a role is late and functions are Pending."""

    role = ROLE

    @pytest.fixture
    def cloud(self, connected: Callable[[Account], Any], turns: Turns) -> AwsCloud:
        return cloud_of(account_of(TYPICAL), connected, turns)


def test_three_hundred_operations_deploy_within_25_s_and_without_one_throttle(
    tmp_path: Path, connected: Callable[[Account], Any], turns: Turns
) -> None:
    account = account_of(replace(TYPICAL, role_late=AT_ONCE))
    cloud = cloud_of(account, connected, turns)
    made = deployed(artifacts_of(tmp_path, 300), cloud, turns)
    assert (len(made.created), dict(account.ledger.throttles)) == (300, {})
    assert account.ledger.calls["create_function"] == 300
    assert turns.clock() < 25, dict(account.ledger.calls)


@pytest.mark.parametrize("seed", range(3))
def test_a_deploy_comes_to_its_end_on_a_bad_day(
    tmp_path: Path, connected: Callable[[Account], Any], turns: Turns, seed: int
) -> None:
    account = account_of(ROUGH, seed=seed)
    cloud = cloud_of(account, connected, turns)
    artifacts = artifacts_of(tmp_path, 40)
    made = deployed(artifacts, cloud, turns)
    assert {
        function.state for function in cloud.describe(functions=made.functions.values()).functions.values()
    } == {"Active"}
    assert account.ledger.refusals["InvalidParameterValueException"] > 0
    assert set(account.ledger.mishaps) == set(Mishap) - {Mishap.NONE}
    assert deployed(artifacts, cloud, turns) == replace(made, created=())


def test_what_is_being_deleted_is_made_again_once_its_name_is_free(
    tmp_path: Path, connected: Callable[[Account], Any], turns: Turns
) -> None:
    account = account_of(Conditions(deleting=Spread(20.0, 20.0)))
    cloud = cloud_of(account, connected, turns)
    artifacts = artifacts_of(tmp_path, 2)
    first, second = deployed(artifacts, cloud, turns).functions.values()
    cloud.call(Call("delete_function", {"FunctionName": first}))
    began_s = turns.clock()
    assert deployed(artifacts, cloud, turns).created == (first,)
    assert 20.0 <= turns.clock() - began_s < 23.0
    found = cloud.describe(functions=[first, second]).functions
    assert {function.state for function in found.values()} == {"Active"}
    assert account.ledger.refusals == {"ResourceConflictException": 1}, "the deletion, and no creation"


def always(mishap: Mishap, **waits: Spread) -> Conditions:
    return Conditions(mishaps=((mishap, 1.0),), **waits)


def test_a_role_cannot_be_assumed_until_iam_knows_it(
    connected: Callable[[Account], Any], turns: Turns
) -> None:
    client = connected(account_of(Conditions(role_late=Spread(7.0, 7.0))))
    wanted = {
        "FunctionName": "gl-test-f", "Role": ROLE, "Runtime": f"python{TARGET.python}", "Handler": "f.f",
        "Code": {"ZipFile": b""}, "Architectures": [TARGET.architecture],
    }  # fmt: skip
    for at_s in (0.0, 6.9):
        turns.sleep(at_s - turns.clock())
        with pytest.raises(
            ClientError, match="The role defined for the function cannot be assumed by Lambda"
        ):
            client.create_function(**wanted)
    turns.sleep(0.2)
    with pytest.raises(ClientError, match="provide the zip"):
        client.create_function(**wanted)


def test_reservations_are_the_accounts_and_end_with_their_function(
    tmp_path: Path, connected: Callable[[Account], Any], turns: Turns
) -> None:
    account = account_of(limits=Limits(concurrency=250))
    cloud = cloud_of(account, connected, turns)
    (name,) = deployed(artifacts_of(tmp_path, 1), cloud, turns).functions.values()
    client = cloud.client
    with pytest.raises(ClientError, match="below its minimum value of \\[100\\]"):
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=151)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=150)
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 150}
    limit = client.get_account_settings()["AccountLimit"]
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (250, 100)
    client.delete_function(FunctionName=name)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 250
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)


def test_the_first_function_in_a_network_waits_for_its_interface_and_the_next_does_not(
    tmp_path: Path, connected: Callable[[Account], Any], turns: Turns
) -> None:
    client = connected(account_of(Conditions(pending=Spread(1.0, 1.0), pending_vpc=Spread(90.0, 90.0))))
    network = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}

    def create(name: str) -> None:
        client.create_function(
            FunctionName=name, Role=ROLE, Runtime=f"python{TARGET.python}", Handler="f.f", VpcConfig=network,
            Code={"ZipFile": make_artifact(tmp_path, name).zip_path.read_bytes()}, Architectures=[TARGET.architecture],
        )  # fmt: skip

    def state(name: str) -> str:
        found = client.get_function(FunctionName=name)["Configuration"]
        assert found["VpcConfig"] == network
        return str(found["State"])

    create("first")
    turns.sleep(2.0)
    create("second")
    turns.sleep(2.0)
    assert (state("first"), state("second")) == ("Pending", "Active")
    turns.sleep(90.0)
    assert state("first") == "Active"


def test_a_small_account_refuses_a_large_function(connected: Callable[[Account], Any]) -> None:
    client = connected(account_of(limits=Limits(memory_mb=3_008)))
    with pytest.raises(ClientError, match="'MemorySize' value failed to satisfy constraint"):
        client.create_function(FunctionName="f", Role=ROLE, Code={"ZipFile": b""}, MemorySize=3_009)


# ---- invocations ---------------------------------------------------------------------------------------------


def invoked(account: Account, times: int = 1, *, apart_s: float = 0.0) -> list[Reply | Exception]:
    """Return what so many invocations of one function bring that begin one after the other."""

    async def ask() -> list[Any]:
        invoker = AccountInvoker(SleepingInvoker(1.0), account, LoopClock())
        asked = []
        for _ in range(times):
            asked.append(asyncio.ensure_future(invoker.invoke("f", b"{}", timeout_s=60)))
            await asyncio.sleep(apart_s)
        told = await asyncio.gather(*asked, return_exceptions=True)
        await invoker.rest()
        return told

    return run_virtually(ask())


class SleepingInvoker:
    """Functions that take a while, and say at which second they ended."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        await asyncio.sleep(self.seconds)
        return reply(b"%.1f" % asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Hold nothing."""


def told(replies: list[Reply | Exception]) -> list[str]:
    return [
        each.reason or each.payload.decode() if isinstance(each, Reply) else type(each).__name__
        for each in replies
    ]


def test_what_is_beyond_the_accounts_concurrency_is_told_with_its_reason_and_when_to_come_again() -> None:
    account = account_of(limits=Limits(concurrency=2))
    replies = invoked(account, 3)
    assert told(replies) == ["1.0", "1.0", "ConcurrentInvocationLimitExceeded"]
    refused = replies[2]
    assert isinstance(refused, Reply)
    assert (refused.status, refused.error_code, refused.retry_after_s) == (
        429,
        "TooManyRequestsException",
        1.0,
    )


def test_an_environment_is_cold_once() -> None:
    account = account_of(Conditions(network=Spread(0.1, 0.1), cold=Spread(0.5, 0.5)))
    assert told(invoked(account, 3, apart_s=2.0)) == ["1.6", "3.1", "5.1"]
    assert (account.ledger.invocations, account.ledger.cold_starts, account.ledger.most_running) == (3, 1, 1)


def test_every_reason_of_a_throttle_befalls_sooner_or_later() -> None:
    assert set(told(invoked(account_of(always(Mishap.THROTTLED)), 200))) == {str(reason) for reason in Reason}


def test_a_reset_before_leaves_nothing_done_and_a_reset_after_leaves_everything_done() -> None:
    for mishap, done in ((Mishap.RESET_BEFORE, 0), (Mishap.RESET_AFTER, 1)):
        account = account_of(always(mishap))
        assert told(invoked(account)) == ["ConnectionResetError"]
        assert (account.ledger.invocations, account.ledger.mishaps) == (done, {mishap: 1})


def test_a_service_that_has_failed_says_so_with_one_of_its_statuses() -> None:
    replies = invoked(account_of(always(Mishap.UNAVAILABLE)), 50)
    assert {each.status for each in replies if isinstance(each, Reply)} == {500, 502, 503, 504}


def test_an_environment_goes_on_without_its_client() -> None:
    async def ask() -> int:
        account = account_of(limits=Limits(concurrency=1))
        invoker = AccountInvoker(SleepingInvoker(5.0), account, LoopClock())
        with pytest.raises(TimeoutError):
            await invoker.invoke("f", b"{}", timeout_s=1)
        refused = await invoker.invoke("f", b"{}", timeout_s=1)
        await invoker.rest()
        assert (await invoker.invoke("f", b"{}", timeout_s=9)).status == 200
        return refused.status

    assert run_virtually(ask()) == 429


def test_a_run_of_a_hundred_thousand_tasks_through_a_bad_day_loses_nothing(bench: Bench) -> None:
    """Storms of throttles, resets before and after, failing services; a right and a network that are late."""
    account = account_of(replace(ROUGH, cold=Spread(0.2, 1.0)), Limits(concurrency=50, ramp=20))
    denied, pending = refusal(403, "AccessDeniedException"), refusal(502, "ResourceNotReadyException")
    late = Late(bench.inner, "gl-f", [(15.0, denied), (90.0, pending)])
    limits = RunLimits(batch=50, concurrency=200)

    async def run() -> list[Any]:
        clock = LoopClock()
        return await bench.execute(
            summed(100_000, by=250), AccountInvoker(late, account, clock), clock=clock, limits=limits
        )

    assert run_virtually(run()) == [1 + 400 + sum(number + 1 for number in range(100_000))]
    assert sorted(bench.done) == list(range(100_401))
    assert account.ledger.throttles[Reason.CONCURRENCY] > 100
    assert min(account.ledger.mishaps[kind] for kind, _ in ROUGH.mishaps) > 20
    assert account.ledger.most_running <= 50
    assert late.refusals < 300


def test_the_same_seed_gives_the_same_day() -> None:
    days = [Dice(ROUGH, seed) for seed in (1, 1, 2)]
    drawn = [[(day.wait_s("network"), day.mishap(), day.status()) for _ in range(20)] for day in days]
    assert drawn[0] == drawn[1] != drawn[2]


@given(st.floats(0.001, 100.0), st.floats(1.0, 50.0))
def test_one_draw_of_two_is_below_the_median_and_one_of_a_hundred_above_the_last_percentile(
    median_s: float, factor: float
) -> None:
    spread, random = Spread(median_s, median_s * factor), Random(7)
    drawn = [spread.draw(random) for _ in range(4_000)]
    assert sum(each <= spread.median_s * (1 + 1e-9) for each in drawn) / 4_000 > 0.45 or factor == 1.0
    assert sum(each > spread.p99_s * (1 + 1e-9) for each in drawn) / 4_000 < 0.02


def test_time_in_turns_is_that_of_the_longest_of_eight_and_the_same_each_time() -> None:
    def work(turns: Turns) -> tuple[list[int], list[int], float]:
        begun: list[int] = []

        def one(number: int) -> int:
            begun.append(number)
            turns.sleep(number % 3)
            return number * 10

        return list(turns.at_once(one, range(24))), begun, turns.clock()

    first, second = work(Turns()), work(Turns())
    assert first == second
    assert first[0] == [number * 10 for number in range(24)]
    assert 3 <= first[2] <= 5


def test_items_may_come_while_the_first_are_worked_on(turns: Turns) -> None:
    def made() -> Iterator[int]:
        for number in range(5):
            turns.sleep(1.0)
            yield number

    def used(number: int) -> tuple[int, float]:
        turns.sleep(0.5)
        return number, turns.clock()

    assert list(turns.at_once(used, made())) == [(number, number + 1.5) for number in range(5)]
    slow = list(turns.at_once(used, turns.at_once(lambda number: number, made()), threads=1))
    assert [at_s for _, at_s in slow] == [11.0, 11.5, 12.0, 12.5, 13.0]


def test_what_fails_in_turns_is_raised_and_nothing_begins_after_it(turns: Turns) -> None:
    begun: list[int] = []

    def one(number: int) -> None:
        begun.append(number)
        turns.sleep(1.0)
        if number == 3:
            raise KeyError(number)

    with pytest.raises(KeyError):
        list(turns.at_once(one, range(100)))
    assert max(begun) <= 15

"""What no source says for certain, and only an account can tell. Each test says what we count on, and what was measured.

Not here, for want of a VPC or of an API: what a VPC adds to a cold start, prices of ElastiCache's nodes.
"""

from __future__ import annotations

import io
import json
import py_compile
import re
import secrets
import time
import zipfile
from base64 import b64decode
from statistics import median
from typing import TYPE_CHECKING

import boto3
import dask
import pytest

import graphlambda
from graphlambda.account.aws import Account, account
from graphlambda.api.session import session_of
from graphlambda.deployer.aws import AwsCloud, aws_cloud
from graphlambda.errors import TimedOutError
from graphlambda.testing.artifacts import TARGET
from graphlambda.testing.cloud_contract import CloudTests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.aws.conftest import Deployed

MOST_AT_ONCE = 500
"""Cold starts that these tests cause at one moment, where the account has so many."""

FUNCTION = "gl-test-echo-0123456789abcdef0123"
LAYER = "gl-test-words-1-0-py311-x86-0123456789ab"
"""What the deployer's contract makes."""

MODULE_FUNCTIONS = 3_000
"""In a module whose import takes some tenths of a second, if it has to be compiled."""


@pytest.fixture
def lambdas(deployed: Deployed) -> Iterator[Callable[[dict[str, bytes]], str]]:
    """Return what makes a function of some files, in the deployment's name; they go with the test."""
    client = boto3.client("lambda", deployed.region)
    made: list[str] = []

    def make(files: dict[str, bytes]) -> str:
        made.append(f"gl-{deployed.id}-probe-{secrets.token_hex(10)}")
        client.create_function(
            FunctionName=made[-1],
            Runtime=f"python{TARGET.python}",
            Role=deployed.config.role,
            Handler="probe.handler",
            Code={"ZipFile": zipped(files)},
            MemorySize=1769,
            Timeout=60,
            LoggingConfig={"LogFormat": "Text", "LogGroup": f"/graphlambda/{deployed.id}"},
        )
        client.get_waiter("function_active_v2").wait(FunctionName=made[-1])
        return made[-1]

    yield make
    for name in made:
        client.delete_function(FunctionName=name)


def zipped(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return whole.getvalue()


def invoked(deployed: Deployed, name: str) -> tuple[bytes, str]:
    """Return a function's answer, and the end of its log."""
    answer = boto3.client("lambda", deployed.region).invoke(FunctionName=name, LogType="Tail")
    return answer["Payload"].read(), b64decode(answer["LogResult"]).decode()


def nap(number: int) -> int:
    time.sleep(2)
    return number


def hoard(size_mb: int) -> int:
    return len(bytearray(size_mb * 1_000_000))


def test_the_account_says_how_many_invocations_it_runs_at_one_moment(
    deployed: Deployed, tell: Callable[[str], None]
) -> None:
    session = session_of(deployed.config)
    limits = session.cloud.limits()
    tell(f"{limits.concurrency} invocations at one moment, of them {limits.unreserved} unreserved")
    assert 0 < session.endpoint.concurrency <= limits.unreserved


def test_a_function_becomes_active(
    lambdas: Callable[[dict[str, bytes]], str], tell: Callable[[str], None]
) -> None:
    begun_s = time.monotonic()
    lambdas({"probe.py": b"def handler(event, context):\n    return event\n"})
    tell(f"{time.monotonic() - begun_s:.1f} s from CreateFunction to Active, outside a VPC")


def test_bytes_that_a_handler_returns_arrive_as_they_are(
    deployed: Deployed, lambdas: Callable[[dict[str, bytes]], str]
) -> None:
    name = lambdas({"probe.py": b"def handler(event, context):\n    return bytes(range(256))\n"})
    assert invoked(deployed, name)[0] == bytes(range(256))


def test_byte_code_makes_a_cold_start_shorter(
    deployed: Deployed,
    lambdas: Callable[[dict[str, bytes]], str],
    tell: Callable[[str], None],
    tmp_path: Path,
) -> None:
    source = "".join(
        f"def f{n}(a, b):\n    return [a + {n}, b * {n}, {{a: b}}]\n" for n in range(MODULE_FUNCTIONS)
    )
    module, compiled = tmp_path / "large.py", tmp_path / "large.pyc"
    module.write_text(source)
    py_compile.compile(
        str(module), str(compiled), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    probe = b"import large\n\ndef handler(event, context):\n    return large.f1(1, 2)[0]\n"
    plain = lambdas({"probe.py": probe, "large.py": module.read_bytes()})
    fast = lambdas({"probe.py": probe, "large.pyc": compiled.read_bytes()})
    init_ms: list[float] = []
    for name in (plain, fast):
        answer, log = invoked(deployed, name)
        assert json.loads(answer) == 2
        (found,) = re.findall(r"Init Duration: ([\d.]+) ms", log)
        init_ms.append(float(found))
    tell(f"Init Duration {init_ms[0]:.0f} ms from source, {init_ms[1]:.0f} ms from byte code")
    assert init_ms[1] < init_ms[0]


def test_a_task_that_runs_out_of_memory_is_known_as_such_and_gets_more(deployed: Deployed) -> None:
    task = dask.delayed(hoard)(600)
    assert graphlambda.compute(task, memory_mb=512, **deployed.flags) == (600_000_000,)


def test_a_task_that_takes_too_long_is_known_as_such(deployed: Deployed) -> None:
    with pytest.raises(TimedOutError):
        graphlambda.compute(dask.delayed(nap)(1), timeout_s=1, **deployed.flags)


def test_as_many_cold_starts_as_the_account_allows_lose_nothing(
    deployed: Deployed, tell: Callable[[str], None]
) -> None:
    wide = min(MOST_AT_ONCE, session_of(deployed.config).endpoint.concurrency)
    begun_s = time.monotonic()
    tasks = [dask.delayed(nap)(number) for number in range(wide)]
    flags = {**deployed.flags, "batch": 1, "inline_bytes": 0}
    assert graphlambda.compute(*tasks, **flags) == tuple(range(wide))
    took_s = time.monotonic() - begun_s
    tell(f"{wide} cold starts of tasks of 2 s took {took_s:.1f} s; cache: {deployed.cache}")


def test_an_object_is_written_and_read_in_some_milliseconds(
    deployed: Deployed, tell: Callable[[str], None]
) -> None:
    bucket, _, prefix = deployed.config.store.rpartition("s3://")[2].partition("/")
    client, key = boto3.client("s3", deployed.region), f"{prefix}/values/probe"
    put_s: list[float] = []
    get_s: list[float] = []
    for _ in range(20):
        begun_s = time.monotonic()
        client.put_object(Bucket=bucket, Key=key, Body=b"x" * 65_536)
        put_s.append(time.monotonic() - begun_s)
        begun_s = time.monotonic()
        assert len(client.get_object(Bucket=bucket, Key=key)["Body"].read()) == 65_536
        get_s.append(time.monotonic() - begun_s)
    client.delete_object(Bucket=bucket, Key=key)
    tell(f"64 KiB from here: PUT {median(put_s) * 1e3:.0f} ms, GET {median(get_s) * 1e3:.0f} ms (medians)")


class TestAws(CloudTests):
    """The deployer's contract, a second create of what exists included: what a conflict says is AWS's own word here."""

    @pytest.fixture
    def cloud(self, deployed: Deployed) -> Iterator[AwsCloud]:
        self.role = deployed.config.role
        empty(account(deployed.region))
        yield aws_cloud(deployed.region)
        empty(account(deployed.region))

    @pytest.fixture(autouse=True)
    def _ours(self, cloud: AwsCloud) -> None:
        """Let the role be known before a function is described."""


def empty(there: Account) -> None:
    """Delete what the contract's tests make, and nothing that is called otherwise."""
    if FUNCTION in {each["FunctionName"] for each in there.pages("lambda", "list_functions", "Functions")}:
        there.ask("lambda", "delete_function", FunctionName=FUNCTION)
    versions = list(there.pages("lambda", "list_layer_versions", "LayerVersions", LayerName=LAYER))
    for version in versions:
        there.ask("lambda", "delete_layer_version", LayerName=LAYER, VersionNumber=version["Version"])

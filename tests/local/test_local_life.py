"""The life of the service: it ends with its client, leaves nothing, and shares its state."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ReadTimeoutError

import graphlambda
from graphlambda.errors import ConfigError, LocalLambdaError
from graphlambda.local import LocalSettings, serve, start
from tests.local.conftest import boto

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.conftest import Account

SLEEP = "import time\ndef handle(event, context):\n    time.sleep(event)\n"
DAEMON = """
import subprocess, sys
def handle(event, context):
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # " + event],
                            start_new_session=True).pid
"""
CLIENT = """
import json, sys, time, types
package = types.ModuleType("graphlambda")  # not the whole package: it imports Dask
package.__path__ = json.loads(sys.argv[2])
sys.modules["graphlambda"] = package
from pathlib import Path
from graphlambda.local import LocalSettings, start
service = start(LocalSettings(state=Path(sys.argv[1]), concurrency=2))
if "fork" in sys.argv:
    import os
    if os.fork() == 0:
        time.sleep(600)
print(json.dumps([service.endpoint, service.credentials.access_key, service.credentials.secret_key]), flush=True)
time.sleep(600)
"""


def holding(mark: str) -> list[int]:
    """Return the processes that have a text in their command line, environment or working directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            texts = [(entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()]
            texts.append(os.fsencode((entry / "cwd").readlink()))
        except OSError:
            continue
        if any(mark.encode() in text for text in texts):
            found.append(int(entry.name))
    return found


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes through /proc")


@linux
@pytest.mark.parametrize("extra", [[], ["fork"]])
def test_a_killed_client_takes_its_service_along(tmp_path: Path, extra: list[str], account: Account) -> None:
    state = tmp_path / "state-of-a-killed-client"
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(state), json.dumps(list(graphlambda.__path__)), *extra],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert client.stdout is not None
    endpoint, access_key, secret_key = json.loads(client.stdout.readline())
    other = type(account)(_Known(endpoint, access_key, secret_key))  # type: ignore[arg-type]
    name = other.make(DAEMON, Timeout=60)
    other.value(name, str(state))
    threading.Thread(target=_ignore_the_end, args=(other, other.make(SLEEP, Timeout=60)), daemon=True).start()
    account.wait_for(lambda: len(holding(str(state))) >= 4)
    client.kill()
    client.wait()
    client.stdout.close()
    forks = set(_group(client.pid))
    account.wait_for(lambda: not set(holding(str(state))) - forks)
    for fork in forks:
        os.kill(fork, signal.SIGKILL)


class _Known:
    """An endpoint of a service that another process started."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self.endpoint = endpoint
        self.credentials = self
        self.access_key = access_key
        self.secret_key = secret_key


def _ignore_the_end(account: Account, name: str) -> None:
    try:
        account.reply(name, 50)
    except Exception:  # noqa: BLE001 - the service is killed under this call: any end is right
        return


def _group(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except ProcessLookupError:
            continue
    return found


@linux
def test_a_killed_service_takes_its_environments_along(
    opened: Callable[..., Account], tmp_path: Path
) -> None:
    account = opened()
    if account.service.describe().isolation != "namespaces":
        pytest.skip("what a function detached is found for sure with namespaces only")
    account.value(account.make(DAEMON), str(tmp_path))
    state = str(tmp_path / "state")
    account.wait_for(lambda: len(holding(state)) >= 2)
    asyncio.run(account.service.see())
    account.service._process.kill()
    account.wait_for(lambda: not holding(str(tmp_path)))
    with pytest.raises(LocalLambdaError, match="has died"):
        asyncio.run(account.service.see())
    with pytest.raises(LocalLambdaError, match="has died"):
        account.service.describe()


def test_an_invocation_ends_with_who_waits_for_it(opened: Callable[..., Account]) -> None:
    account = opened()
    name = account.make(SLEEP, Timeout=60)
    with pytest.raises(ReadTimeoutError):
        boto(account.service, read_timeout_s=0.5).invoke(FunctionName=name, Payload=b"50")
    account.wait_for(lambda: account.service.describe().environments == 0)


@linux
def test_closing_ends_everything_and_twice_is_no_error(
    tmp_path: Path, opened: Callable[..., Account]
) -> None:
    account = opened()
    account.value(account.make(SLEEP), 0)
    account.service.close()
    account.service.close()
    assert holding(str(tmp_path / "state")) == []
    assert list((tmp_path / "state/logs").iterdir()) == []


def test_a_second_run_finds_the_functions_of_the_first(opened: Callable[..., Account]) -> None:
    first = opened()
    name = first.make("def handle(event, context): return 'kept'")
    first.service.close()
    assert opened().value(name) == "kept"


def test_two_services_share_a_state_at_once(opened: Callable[..., Account]) -> None:
    one, other = opened(), opened()
    name = one.make("def handle(event, context): return 'shared'")
    assert other.value(name) == "shared"
    other.api.delete_function(FunctionName=name)
    assert one.refusal(one.api.invoke, FunctionName=name)[:2] == (404, "ResourceNotFoundException")


def test_one_name_is_given_once_by_two_services(opened: Callable[..., Account]) -> None:
    accounts = [opened(), opened()]
    ends: list[object] = []

    def create(account: Account) -> None:
        try:
            ends.append(account.make(SLEEP, FunctionName="contended"))
        except account.api.exceptions.ResourceConflictException as error:
            ends.append(type(error).__name__)

    threads = [threading.Thread(target=create, args=(account,)) for account in accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, ends)) == ["ResourceConflictException", "contended"]


def test_the_code_of_deleted_functions_is_swept_by_the_next_first_service(
    opened: Callable[..., Account], tmp_path: Path
) -> None:
    account = opened()
    kept, gone = account.make("def handle(e, c): return 1"), account.make("def handle(e, c): return 2")
    account.api.delete_function(FunctionName=gone)
    beside = opened()
    assert len(list((tmp_path / "state/code").iterdir())) == 2
    account.service.close()
    beside.service.close()
    assert opened().value(kept) == 1
    assert len(list((tmp_path / "state/code").iterdir())) == 1


def test_a_service_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "functions").write_text("a file where a folder belongs")
    with pytest.raises(LocalLambdaError, match="FileExistsError"):
        start(LocalSettings(state=state))


def test_a_service_in_the_foreground_says_where_it_is_and_ends_on_a_signal(tmp_path: Path) -> None:
    told: list[str] = []

    def ready(endpoint: str, credentials: object) -> None:
        told.append(f"{endpoint} {credentials!r}")
        os.kill(os.getpid(), signal.SIGTERM)

    serve(LocalSettings(state=tmp_path), ready=ready)
    assert told[0].startswith("http://127.0.0.1:")
    assert (tmp_path / "secret").read_text() not in told[0]


def test_settings_allow_at_least_one_invocation_and_an_environment_for_each(tmp_path: Path) -> None:
    assert LocalSettings(state=tmp_path, concurrency=9, environments=2).environments == 9
    with pytest.raises(ConfigError, match="at least 1"):
        LocalSettings(state=tmp_path, concurrency=0)
    with pytest.raises(ConfigError, match="imagined"):
        LocalSettings(state=tmp_path, isolation="imagined")  # type: ignore[arg-type]

"""What functions see at each level of isolation, and what they do not."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from graphlambda.errors import LocalLambdaError
from graphlambda.local import LocalSettings, plan, start
from graphlambda.local.settings import credential_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.local.conftest import Account

LOOK = """
import os, importlib
def attempt(what, name):
    try:
        if what == "read": return open(name).read()
        if what == "list": return sorted(os.listdir(name))
        if what == "import": return bool(importlib.import_module(name))
        if what == "write": return open(name, "w").write("x")
        if what == "fill": return open(name, "wb").write(bytes(600 << 20))
        if what == "see": return os.path.exists(name)
        if what == "fetch":
            import urllib.request
            with urllib.request.urlopen(name, timeout=5) as page: return page.read().decode()
        if what == "environment": return os.environ.get(name)
    except Exception as error:
        return type(error).__name__
def handle(event, context):
    return [attempt(*each) for each in event]
"""
Inside: TypeAlias = "Callable[[list[tuple[str, str]]], list[Any]]"
STRONG = ["namespaces", "landlock"]


@pytest.fixture(scope="module", params=["namespaces", "landlock", "plain"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder that stands for a home: data, a project, credentials."""
    folder = tmp_path / "home"
    for name, text in {".aws/credentials": "key", ".netrc": "password", "data/input": "1"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def inside(opened: Callable[..., Account], level: str, home: Path) -> Inside:
    """Return what asks a function, at this level, with the home visible and its credentials hidden."""
    try:
        account = opened(isolation=level, visible=(home,), hidden=credential_paths(home), concurrency=2)
    except LocalLambdaError as error:
        pytest.skip(f"{level} does not work here: {error}")
    name = account.make(LOOK, MemorySize=1024)
    return lambda asked: account.value(name, asked)


def test_nothing_is_importable_but_the_artifact_the_runtime_and_the_standard_library(inside: Inside) -> None:
    asked = [("import", name) for name in ("boto3", "numpy", "pip", "graphlambda", "pytest", "json", "app")]
    assert inside(asked) == ["ModuleNotFoundError"] * 5 + [True, True]


def test_visible_folders_are_read_and_written(inside: Inside, home: Path) -> None:
    assert inside([("read", f"{home}/data/input"), ("write", f"{home}/data/output")]) == ["1", 1]
    assert (home / "data/output").read_text() == "x"


def test_a_path_through_a_symbolic_link_is_found_as_it_was_named(
    opened: Callable[..., Account], level: str, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "links").symlink_to(home)
    account = opened(isolation=level, visible=(tmp_path / "links/data",), concurrency=2)
    assert account.value(account.make(LOOK), [("read", f"{tmp_path}/links/data/input")]) == ["1"]


def test_credentials_inside_of_visible_folders_are_hidden(inside: Inside, level: str, home: Path) -> None:
    if level == "plain":
        pytest.skip("plain isolation hides no files, and says so")
    credentials, netrc = inside([("read", f"{home}/.aws/credentials"), ("read", f"{home}/.netrc")])
    assert credentials in {"FileNotFoundError", "PermissionError"}
    assert netrc in {"", "PermissionError"}


def test_what_was_not_named_is_not_there(inside: Inside, level: str, tmp_path: Path) -> None:
    if level == "plain":
        pytest.skip("plain isolation hides no files, and says so")
    (tmp_path / "other").write_text("secret")
    asked = [("read", str(tmp_path / name)) for name in ("other", "state/secret", "state/functions")]
    asked += [("read", "/etc/shadow"), ("write", "/usr/planted")]
    assert {"FileNotFoundError", "PermissionError", "OSError"} >= set(inside(asked))


@pytest.fixture
def address() -> Iterator[str]:
    """Return the address of a page that an HTTP server on loopback shows."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a page")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as above
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_every_level_reads_the_same_address(inside: Inside, address: str) -> None:
    assert inside([("fetch", address)]) == ["a page"]


@pytest.mark.parametrize("client", ["awslambdaric", "pipelined", "pure"])
def test_without_network_nothing_is_reached_and_functions_work(
    opened: Callable[..., Account], address: str, client: str
) -> None:
    account = opened(concurrency=2, network=False, client=client)
    shadowing = account.zipped({"app.py": LOOK, "colorsys.py": ""})  # is started plainly, not forked
    names = [account.make(LOOK), account.make("", Code={"ZipFile": shadowing})]
    asked = [("fetch", address), ("environment", "AWS_LAMBDA_RUNTIME_API")]
    assert [account.value(name, asked) for name in names] == [["URLError", "127.0.0.1:9001"]] * 2
    assert [account.value(name, asked[1:]) for name in names] == [["127.0.0.1:9001"]] * 2
    assert not account.service.describe().network


@pytest.mark.parametrize("level", ["landlock", "plain"])
def test_a_level_that_cannot_cut_the_network_refuses_to(tmp_path: Path, level: str) -> None:
    with pytest.raises(LocalLambdaError, match="network=False needs isolation='namespaces'"):
        start(LocalSettings(state=tmp_path, network=False, isolation=level))  # type: ignore[arg-type]


def test_the_environment_holds_nothing_of_the_hosts(inside: Inside) -> None:
    assert (
        inside([("environment", name) for name in ("HOME", "USER", "PYTHONPATH", "VIRTUAL_ENV")])
        == [None] * 4
    )


def test_tmp_is_the_environments_own_and_bounded(opened: Callable[..., Account]) -> None:
    account = opened(concurrency=2)
    if not account.service.describe().tmp_limited:
        pytest.skip("only namespaces bound /tmp")
    name = account.make(LOOK, EphemeralStorage={"Size": 512}, MemorySize=1024)
    assert account.value(name, [("list", "/tmp"), ("fill", "/tmp/large")]) == [[], "OSError"]


def test_a_function_may_kill_itself_and_others_not(opened: Callable[..., Account], level: str) -> None:
    source = "import os\ndef handle(event, context):\n    os.kill(event or os.getpid(), 9)"
    account = opened(concurrency=2, isolation=level)
    name = account.make(source)
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert account.error(name)["errorMessage"].endswith("signal: killed")
    if level != "plain":
        assert account.error(name, victim.pid)["errorType"] in {"ProcessLookupError", "PermissionError"}
        assert victim.poll() is None
    victim.communicate(b"\n")


def test_a_change_of_what_is_visible_reaches_the_next_invocation(
    opened: Callable[..., Account], home: Path
) -> None:
    account = opened(concurrency=2)
    name = account.make(LOOK)
    path = [("read", f"{home}/data/input")]
    before = account.value(name, path)
    account.service.set_visible([home])
    hidden = account.service.describe().files_limited
    assert [before, account.value(name, path)] == [["FileNotFoundError" if hidden else "1"], ["1"]]


def test_surroundings_that_stay_the_same_keep_warm_environments(
    opened: Callable[..., Account], home: Path
) -> None:
    account = opened(concurrency=2, visible=(home,))
    name = account.make("N = []\ndef handle(event, context):\n    N.append(1)\n    return len(N)")
    for _ in range(2):
        account.service.set_visible([home])
        account.service.set_identity({})
        account.value(name)
    assert account.value(name) == 3


def test_an_identity_reaches_functions_and_no_file(opened: Callable[..., Account], tmp_path: Path) -> None:
    account = opened(concurrency=2)
    name = account.make(LOOK)
    asked = [("environment", "AWS_ACCESS_KEY_ID"), ("environment", "AWS_SESSION_TOKEN")]
    before = account.value(name, asked)
    account.service.set_identity({"AWS_ACCESS_KEY_ID": "ASIA-TEST", "AWS_SESSION_TOKEN": "session-of-a-test"})
    after = account.value(name, asked)
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert (before, after) == ([None, None], ["ASIA-TEST", "session-of-a-test"])
    assert files
    assert not [path for path in files if b"session-of-a-test" in path.read_bytes()]


def test_all_clients_answer_like_awss(opened: Callable[..., Account]) -> None:
    source = (
        "def handle(event, context):\n"
        "    if event == 'fail': raise ValueError('so')\n"
        "    return [event, context.function_name, context.get_remaining_time_in_millis() > 0]\n"
    )
    clients = ["pure", "awslambdaric", "pipelined"]
    accounts = [opened(client=client, concurrency=2) for client in clients]
    names = [accounts[0].make(source, FunctionName="one")] * 3
    broken = accounts[0].make("import nothing_like_it", FunctionName="broken")
    seen = [
        [
            account.value(name, {"a": [1, None]}),
            account.value(name, "x" * 300_000)[0] == "x" * 300_000,
            {key: account.error(name, "fail")[key] for key in ("errorType", "errorMessage")},
            account.error(broken)["errorType"],
        ]
        for account, name in zip(accounts, names, strict=True)
    ]
    assert [account.service.describe().client for account in accounts] == clients
    assert seen[0] == seen[1] == seen[2]


def test_the_pure_clients_port_asks_for_its_token(opened: Callable[..., Account]) -> None:
    import http.client

    account = opened(client="pure", concurrency=2)
    address = account.value(
        account.make("import os\ndef handle(event, context): return os.environ['AWS_LAMBDA_RUNTIME_API']")
    )
    connection = http.client.HTTPConnection(address, timeout=5)
    connection.request("GET", "/2018-06-01/runtime/invocation/next", headers={"Graphlambda-Token": "guess"})
    assert connection.getresponse().status == 403
    connection.close()


class TestPlan:
    """Pure decisions about paths."""

    def test_hidden_paths_beat_visible_ones(self, home: Path) -> None:
        sight = plan.Sight(
            visible=(home / ".aws", home / "data", home / "missing"), hidden=credential_paths(home)
        )
        assert plan.seen(sight) == (home / "data",)

    def test_only_what_lies_in_a_visible_folder_needs_a_mask(self, home: Path) -> None:
        sight = plan.Sight(visible=(home,), hidden=(*credential_paths(home), home.parent / "elsewhere"))
        assert plan.masked(sight) == (home / ".aws", home / ".netrc")

    def test_a_carved_folder_is_all_but_its_holes(self, home: Path) -> None:
        assert plan.carved(home, [home / ".aws/credentials", home / ".netrc"]) == [home / "data"]

    def test_a_link_into_a_hidden_folder_is_hidden(self, home: Path) -> None:
        (home / "alias").symlink_to(home / ".aws")
        assert plan.seen(plan.Sight(visible=(home / "alias",), hidden=credential_paths(home))) == ()


def test_this_machine_runs_the_strongest_level_it_can(opened: Callable[..., Account]) -> None:
    description = opened(concurrency=2).service.describe()
    assert description.isolation in {"namespaces", "landlock", "plain"}
    assert description.files_limited == (description.isolation in STRONG)
    assert sys.platform == "linux" or description.isolation == "plain"

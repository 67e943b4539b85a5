"""Environments are forked from warmed parents where that is safe, and are none the worse for it."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import signal
import sys
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.errors import LocalLambdaError
from graphlambda.local.imports import Imports, imports_of
from tests.local.test_local_life import holding

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.conftest import Account

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="environments are forked on Linux alone")

FIRST = "LOADED = bytearray(60 << 20)\n"
"""A module of a layer that takes 60 MB."""

USE = "import layered\ndef handle(event, context): return len(layered.LOADED)"
PARENT = "import os\ndef handle(event, context): return os.getppid()"
DRAWS = """
import os, random, sys, uuid, numpy
def handle(event, context):
    if event == "end": os._exit(0)
    draws = [random.random(), numpy.random.random(), numpy.random.default_rng().random()]
    return [*draws, uuid.uuid4().hex, os.urandom(8).hex()], [hash("text"), numpy.random.__name__ in sys.modules]
"""


@pytest.fixture(params=["namespaces", "landlock", "plain"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def account(opened: Callable[..., Account], level: str) -> Account:
    """Return a service at each level that works here."""
    try:
        return opened(isolation=level, concurrency=3, environments=8)
    except LocalLambdaError as error:
        pytest.skip(f"{level} does not work here: {error}")


def layer(account: Account, files: dict[str, str], name: str = "ours") -> str:
    """Publish a layer with these modules; return its ARN."""
    content = account.zipped({f"python/{path}": text for path, text in files.items()})
    return str(
        account.api.publish_layer_version(LayerName=name, Content={"ZipFile": content})["LayerVersionArn"]
    )


def numpy_layer(account: Account) -> str:
    """Publish a layer with the NumPy that is installed here, without its tests."""
    spec = importlib.util.find_spec("numpy")
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parents[1]
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for folder in ("numpy", "numpy.libs"):
            for path in (site / folder).rglob("*"):
                if path.is_file() and not {"tests", "__pycache__"}.intersection(path.parts):
                    archive.write(path, f"python/{path.relative_to(site)}")
    made = account.api.publish_layer_version(LayerName="numpy", Content={"ZipFile": content.getvalue()})
    return str(made["LayerVersionArn"])


def parents(account: Account) -> int:
    return account.service.describe().parents


def parent_processes(state: Path) -> list[int]:
    """Return the first process of each parent of a service."""
    started_by = {}
    for pid in holding(str(state)):
        with suppress(OSError):  # it has ended meanwhile
            if b"guest.parent" in Path(f"/proc/{pid}/cmdline").read_bytes():
                stat = Path(f"/proc/{pid}/stat").read_text()
                started_by[pid] = int(stat.rpartition(")")[2].split()[1])
    return [pid for pid, parent in started_by.items() if parent not in started_by]


def test_functions_that_need_the_same_share_a_parent(account: Account) -> None:
    names = [account.make(PARENT) for _ in range(3)]
    seen = {account.value(name) for name in names}
    assert len(seen) == 1
    assert parents(account) == 1


def test_a_child_collects_its_own_garbage_and_leaves_alone_what_its_parent_imported(account: Account) -> None:
    source = (
        "import gc, layered\ndef handle(event, context): return gc.isenabled(), gc.get_freeze_count() > 0"
    )
    assert account.value(account.make(source, Layers=[layer(account, {"layered.py": ""})])) == [True, True]


def test_a_parent_has_what_its_children_import_and_nothing_else(account: Account) -> None:
    arn = layer(account, {"layered.py": "", "other.py": ""})
    using = "import sys, layered\ndef handle(event, context): return sorted({'layered', 'other', 'app'} & {*sys.modules})"
    bare = using.replace(", layered", "")
    found = [account.value(account.make(source, Layers=[arn])) for source in (using, bare)]
    assert found == [["app", "layered"], ["app"]]
    assert parents(account) == 2


def test_an_import_is_done_once_for_all_environments(account: Account) -> None:
    arn = layer(account, {"layered.py": "import os\nIMPORTED_BY = os.getpid()\n"})
    source = "import os, layered\ndef handle(event, context): return layered.IMPORTED_BY == os.getpid()"
    names = [account.make(source, Layers=[arn]) for _ in range(2)]
    own_number = (
        account.service.describe().isolation == "namespaces"
    )  # where a parent is process 1 of its world
    assert [account.value(name) for name in names] == [False, False]
    assert own_number or parents(account) == 1


def test_each_environment_has_its_own_variables_tmp_and_working_folder(account: Account) -> None:
    source = (
        "import os, tempfile\n"
        "def handle(event, context):\n"
        "    open(os.path.join(tempfile.gettempdir(), event), 'w').close()\n"
        "    names = ('AWS_LAMBDA_FUNCTION_NAME', 'MINE', 'JE_ARROW_MALLOC_CONF')\n"
        "    return [*map(os.environ.get, names), os.listdir(tempfile.gettempdir()), os.path.exists('app.py')]\n"
    )
    one = account.make(source, Environment={"Variables": {"MINE": "1"}})
    other = account.make(source, Environment={"Variables": {"MINE": "2"}})
    assert account.value(one, "first") == [one, "1", None, ["first"], True]
    assert account.value(other, "second") == [other, "2", None, ["second"], True]


def test_hashes_follow_each_functions_own_seed(account: Account) -> None:
    source = "def handle(event, context): return hash('text')"
    seeds = ["1", "1", "2"]
    names = [account.make(source, Environment={"Variables": {"PYTHONHASHSEED": seed}}) for seed in seeds]
    one, same, other = [account.value(name) for name in names]
    assert one == same != other


def test_a_hundred_environments_draw_a_hundred_numbers(opened: Callable[..., Account]) -> None:
    account = opened(concurrency=2)
    variables = {"OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    name = account.make(
        DRAWS, Layers=[numpy_layer(account)], Environment={"Variables": variables}, MemorySize=512
    )
    drawn = []
    for _ in range(100):
        drawn.append(account.value(name))
        assert account.error(name, "end")["errorType"] == "Runtime.ExitError"
    draws, fixed = zip(*drawn, strict=True)
    assert [len(set(column)) for column in zip(*draws, strict=True)] == [100] * 5
    assert fixed == (fixed[0],) * 100
    assert parents(account) == 1


def test_a_parent_with_a_second_thread_forks_nothing(account: Account) -> None:
    threaded = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\nLOADED = b''\n"
    name = account.make(USE, Layers=[layer(account, {"layered.py": threaded})])
    assert account.value(name) == 0
    account.wait_for(lambda: parents(account) == 0)
    assert account.value(name) == 0


@pytest.mark.parametrize(
    "left",
    [
        "FILE = open('/dev/null')",
        "import subprocess\nCHILD = subprocess.Popen(['sleep', '600'])",
        "import tempfile\nFOLDER = tempfile.mkdtemp()",
    ],
)
def test_a_parent_that_an_import_left_something_in_forks_nothing(
    opened: Callable[..., Account], left: str
) -> None:
    account = opened(concurrency=2)
    name = account.make(USE, Layers=[layer(account, {"layered.py": f"LOADED = b''\n{left}\n"})])
    assert account.value(name) == 0
    account.wait_for(lambda: parents(account) == 0)


def test_an_import_that_fails_is_the_functions_own_error(account: Account) -> None:
    name = account.make(USE, Layers=[layer(account, {"layered.py": "raise ValueError('not today')"})])
    error = account.error(name)
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "not today")


@pytest.mark.parametrize(
    "end", ["import os; os._exit(3)", "import os; os.kill(os.getpid(), 11)", "raise SystemExit"]
)
def test_an_import_that_ends_its_process_ends_the_environment_alone(account: Account, end: str) -> None:
    name = account.make(USE, Layers=[layer(account, {"layered.py": end})])
    assert "errorType" in account.error(name)
    assert account.value(account.make("def handle(event, context): return 1")) == 1


def test_a_parent_that_dies_takes_its_environments_along_and_is_followed_by_another(
    account: Account, tmp_path: Path
) -> None:
    name = account.make("import os\ndef handle(event, context): return os.getpid()")
    account.value(name)
    (parent,) = parent_processes(tmp_path / "state")
    os.kill(parent, signal.SIGKILL)
    account.wait_for(lambda: account.service.describe().environments == 0)
    account.value(name)
    (another,) = parent_processes(tmp_path / "state")
    assert another != parent


def test_memory_is_counted_as_if_the_process_had_been_started_by_itself(account: Account) -> None:
    arn = layer(account, {"layered.py": FIRST})
    source = USE.replace("return", "return len(bytearray(event)) +")
    name = account.make(source, Layers=[arn], MemorySize=128)
    answer = account.reply(name, 1 << 20, LogType="Tail")
    used_mb = int(base64.b64decode(answer["LogResult"]).decode().partition("Max Memory Used: ")[2].split()[0])
    assert json.loads(answer["Payload"]) == 61 << 20
    assert 70 <= used_mb <= 100
    assert account.error(name, 100 << 20)["errorType"] == "Runtime.OutOfMemory"


def test_a_package_that_shadows_a_module_is_started_plainly(account: Account) -> None:
    code = account.zipped(
        {"app.py": "import json, colorsys\ndef handle(e, c): return colorsys.MINE", "colorsys.py": "MINE = 1"}
    )
    assert account.value(account.make("", Code={"ZipFile": code})) == 1
    assert parents(account) == 0


def test_parents_are_ready_before_anything_is_invoked(opened: Callable[..., Account]) -> None:
    account = opened(concurrency=2)
    for name in [account.make(PARENT), account.make(USE, Layers=[layer(account, {"layered.py": FIRST})])]:
        account.value(name)
    account.service.close()
    again = opened(concurrency=2)
    again.wait_for(lambda: parents(again) == 2)


def test_a_function_that_is_made_or_looked_at_has_its_parent_warmed(
    opened: Callable[..., Account], tmp_path: Path
) -> None:
    account = opened(concurrency=2, state=tmp_path / "state")
    name = account.make(PARENT)
    account.wait_for(lambda: parents(account) == 1)
    account.service.close()
    (tmp_path / "state/started").touch()
    again = opened(concurrency=2, state=tmp_path / "state")
    assert parents(again) == 0
    again.api.get_function(FunctionName=name)
    again.wait_for(lambda: parents(again) == 1)


def test_other_surroundings_get_other_parents(opened: Callable[..., Account], tmp_path: Path) -> None:
    account = opened(concurrency=2)
    name = account.make("import os\ndef handle(event, context): return os.path.exists(event)")
    shown = tmp_path / "shown"
    shown.mkdir()
    account.value(name, str(shown))
    before = parent_processes(tmp_path / "state")
    account.service.set_visible([shown])
    account.wait_for(lambda: not {*before} & {*parent_processes(tmp_path / "state")})
    account.wait_for(lambda: parents(account) == 1)
    assert account.value(name, str(shown))
    assert parents(account) == 1


def test_parents_are_bounded(opened: Callable[..., Account]) -> None:
    account = opened(concurrency=2, environments=8)
    for number in range(5):
        name = account.make(PARENT, Environment={"Variables": {"NUMBER": str(number)}})
        account.value(name)
    assert parents(account) == 2


class TestImports:
    """What byte code tells of a function's imports."""

    @staticmethod
    def found(tmp_path: Path, files: dict[str, str], layers: dict[str, str] | None = None) -> Any:
        for folder, content in (("task", files), ("opt/python", layers or {}), ("runtime", {})):
            (tmp_path / folder).mkdir(parents=True)
            for name, text in content.items():
                path = tmp_path / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return imports_of(tmp_path / "task", "app.handle", tmp_path / "opt", tmp_path / "runtime")

    def test_only_what_comes_before_the_first_branch_counts(self, tmp_path: Path) -> None:
        source = "import one, json\nif one.X:\n    import two\ndef handle(e, c):\n    import three\n"
        found = self.found(tmp_path, {"app.py": source}, {"one.py": "", "two.py": "", "three.py": ""})
        assert found == Imports(("one",), ("json",))

    def test_modules_of_the_package_are_followed_relative_ones_and_the_users_own_too(
        self, tmp_path: Path
    ) -> None:
        files = {
            "app.py": "from kit import part",
            "kit/__init__.py": "",
            "kit/part.py": "from .deep import x\nfrom big.sub import y",
            "kit/deep.py": "import local",
            "user/local.py": "import math",
            "unasked/__init__.py": "import decimal",
        }
        found = self.found(tmp_path, files, {"big/__init__.py": "", "big/sub.py": ""})
        assert found == Imports(("big.sub",), ("math",))

    def test_a_name_in_a_module_is_no_module(self, tmp_path: Path) -> None:
        layers = {"big/__init__.py": "", "big/sub.py": ""}
        found = self.found(tmp_path, {"app.py": "from big import sub, value"}, layers)
        assert found == Imports(("big", "big.sub"), ())

    @pytest.mark.parametrize("own", ["json.py", "user/json.py", "layered.py", "json/__init__.py"])
    def test_a_module_that_stands_before_another_of_its_name_is_told(self, tmp_path: Path, own: str) -> None:
        assert self.found(tmp_path, {"app.py": "", own: ""}, {"layered.py": ""}) is None

    def test_what_does_not_compile_imports_nothing(self, tmp_path: Path) -> None:
        assert self.found(tmp_path, {"app.py": "import json\nhandle = (", "b.pyc": "x"}) == Imports((), ())

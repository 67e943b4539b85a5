"""One function, end to end: JSON in, JSON out, in an interpreter that sees nothing but the artifact."""

from __future__ import annotations

import itertools
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import snapshot_restore_py  # type: ignore[import-untyped]

from graphlambda.runtime import frame, wire
from graphlambda.runtime.faults import UnshippableValueError
from graphlambda.runtime.iterators import materialised
from graphlambda.testing.bare import OPERATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.store import FileStore
    from graphlambda.testing.bare import BareFunction, Requests

    Start = Callable[..., BareFunction]

LIBRARIES = [Path(np.__file__).parents[1]]
ADD = "def operation(p0, p1):\n    return p0 + p1\n"
CHANGE = """
def operation(values, *rest):
    values.append(len(values))
    return values, *rest
"""
OTHER_KEY = bytes(32)


def test_each_task_of_a_batch_has_its_own_outcome(function: Start, requests: Requests) -> None:
    reply = function(ADD)(requests.request([("l", 1), ("l", 2)], [("l", "a"), ("l", "b")]))
    assert [sorted(outcome) for outcome in reply["outcomes"]] == [
        ["bytes", "seconds", "task", "value"],
    ] * 2
    assert requests.values(reply) == [3, "ab"]


def test_only_the_first_request_of_an_environment_is_cold(function: Start, requests: Requests) -> None:
    started = function(ADD, variables={"AWS_LAMBDA_LOG_STREAM_NAME": "stream-1"})
    replies = [started(requests.request([("l", 1), ("l", 2)])) for _ in range(2)]
    assert [(reply["environment"], reply["cold"]) for reply in replies] == [
        ("stream-1", True),
        ("stream-1", False),
    ]


def test_an_environment_says_whether_it_was_there_before_anybody_asked(
    function: Start, requests: Requests
) -> None:
    for kind, had_waited in (("on-demand", False), ("provisioned-concurrency", True)):
        started = function(ADD, variables={"AWS_LAMBDA_INITIALIZATION_TYPE": kind})
        assert started(requests.request([("l", 1), ("l", 2)]))["had_waited"] is had_waited


RESTORED = """
import random, sys, types
import snapshot_restore_py

seeded = []
sys.modules["torch"] = types.ModuleType("torch")
sys.modules["torch"].seed = lambda: seeded.append(True)


def operation(p0, p1):
    drawn = []
    for _ in range(2):
        random.seed(1)  # what a snapshot holds is the same for all who are restored from it
        for after_restore, args, keywords in snapshot_restore_py._after_restore_registry:
            after_restore(*args, **keywords)
        drawn.append(random.random())
    return drawn[0] == drawn[1], len(seeded)
"""


def test_generators_are_seeded_anew_after_each_restore_from_a_snapshot(
    tmp_path: Path, function: Start, requests: Requests
) -> None:
    hooks = Path(snapshot_restore_py.__file__)  # AWS's own, which the managed runtime brings along
    layer = tmp_path / "managed"
    layer.mkdir()
    (layer / hooks.name).write_bytes(hooks.read_bytes())
    for kind, expected in (("snap-start", (False, 2)), ("on-demand", (True, 0))):
        started = function(RESTORED, layers=[layer], variables={"AWS_LAMBDA_INITIALIZATION_TYPE": kind})
        (told,) = requests.values(started(requests.request([("l", 1), ("l", 2)])))
        assert tuple(told) == expected


def test_every_way_to_bind_a_port(function: Start, requests: Requests, store: FileStore) -> None:
    store.put("run-1", "v-7", [requests.encode("stored", "v-7")])
    request = requests.request(
        [("c",), ("l", "literal"), ("i", 6), ("i", 7), ("g", [[6, 7], [], [7]])],
        constants={0: "constant"},
        inline={6: requests.encode("inline", "v-6")},
    )
    reply = function("def operation(*ports):\n    return ports\n")(request)
    wanted = ("constant", "literal", "inline", "stored", [["inline", "stored"], [], ["stored"]])
    assert requests.values(reply) == [wanted]


def test_a_wide_gather_keeps_its_order(function: Start, requests: Requests, store: FileStore) -> None:
    for value in range(10, 200):
        store.put("run-1", f"v-{value}", [requests.encode(value, f"v-{value}")])
    reply = function("def operation(p0):\n    return p0\n")(requests.request([("g", list(range(10, 200)))]))
    assert requests.values(reply) == [list(range(10, 200))]


def test_a_value_that_another_run_keeps_is_read_with_that_runs_key(
    function: Start, requests: Requests, store: FileStore
) -> None:
    store.touch("older")
    kept = frame.encode("kept", key=OTHER_KEY, context=wire.context("older", "v-3"))
    store.put("older", "v-3", [kept])
    keys = requests.request()["keys"] | {"older": "A" * 43 + "="}
    started = function("def operation(p0):\n    return p0\n")
    assert requests.values(started(requests.request([("i", ("older", 3))], keys=keys))) == ["kept"]
    (outcome,) = started(requests.request([("i", ("older", 3))]))["outcomes"]
    assert outcome["error"]["kind"] == "authentication"


def test_a_large_value_goes_to_the_store(function: Start, requests: Requests, store: FileStore) -> None:
    reply = function("def operation(p0):\n    return bytes(p0)\n")(
        requests.request([("l", 70_000)], [("l", 7)])
    )
    large, small = reply["outcomes"]
    assert large["value"] is None
    assert requests.decode(small["value"], "v-1") == bytes(7)
    assert large["bytes"] == store.size("run-1", "v-0")
    stored = frame.decode(store.get("run-1", "v-0"), key=bytes(range(32)), context=b"run-1/v-0")
    assert stored == bytes(70_000)
    assert 0 < reply["sending_s"] <= sum(outcome["seconds"] for outcome in reply["outcomes"])


def test_inline_values_never_fill_more_than_the_reply_may(function: Start, requests: Requests) -> None:
    tasks = [[("l", 1000)] for _ in range(5)]
    reply = function("def operation(p0):\n    return bytes(p0)\n")(requests.request(*tasks, reply_bytes=3500))
    assert [outcome["value"] is None for outcome in reply["outcomes"]] == [False, False, False, True, True]


def test_a_task_reads_what_an_earlier_task_of_its_batch_made(function: Start, requests: Requests) -> None:
    assert requests.values(function(ADD)(requests.request([("l", 1), ("l", 2)], [("i", 0), ("l", 4)]))) == [
        3,
        7,
    ]


def test_what_only_its_own_batch_reads_and_nobody_can_change_is_not_sent(
    function: Start, requests: Requests
) -> None:
    tasks: list[list[Any]] = [
        [("l", 1), ("l", 2)],
        [("i", 0), ("l", 4)],
        [("l", [1]), ("l", [2])],
        [("i", 2), ("l", [3])],
    ]
    reply = function(ADD)(requests.request(*tasks, unsent=[0, 2]))
    assert (reply["tasks"], reply["unsent"], reply["stored"]) == ([0, 1, 2, 3], [0], [])
    assert requests.decode(reply["outcomes"][1]["value"], "v-1") == 7
    assert requests.decode(reply["outcomes"][3]["value"], "v-3") == [1, 2, 3]


def test_what_was_not_sent_is_stored_after_all_where_a_task_of_the_batch_fails(
    function: Start, requests: Requests, store: FileStore
) -> None:
    tasks: list[list[Any]] = [[("l", 1), ("l", 2)], [("i", 0), ("l", "no number")]]
    reply = function(ADD)(requests.request(*tasks, unsent=[0]))
    assert (reply["unsent"], reply["stored"], list(reply["errors"])) == ([], [0], ["1"])
    assert frame.decode(store.get("run-1", "v-0"), key=bytes(range(32)), context=b"run-1/v-0") == 3


def test_a_batch_stops_between_two_tasks_once_its_run_has_ended(
    function: Start, requests: Requests, store: FileStore
) -> None:
    slow = function("import time\ndef operation(p0):\n    time.sleep(p0)\n    return p0\n")
    going_on = slow(requests.request([("l", 0.11)], [("l", 0.11)]))
    assert (going_on["tasks"], going_on["ended"]) == ([0, 1], "")
    store.cancel("run-1")
    short = slow(requests.request([("l", 0.0)], [("l", 0.0)]))
    assert (short["tasks"], short["ended"]) == ([0, 1], "")
    long = slow(requests.request([("l", 0.11)], [("l", 0.0)], [("l", 0.0)]))
    assert (long["tasks"], long["ended"]) == ([0], "cancelled")


def test_a_failed_task_leaves_the_others_alone(function: Start, requests: Requests) -> None:
    reply = function("def operation(p0):\n    return 1 / p0\n")(
        requests.request([("l", 1)], [("l", 0)], [("l", 2)])
    )
    assert [outcome.get("error", {}).get("type") for outcome in reply["outcomes"]] == [
        None,
        "builtins.ZeroDivisionError",
        None,
    ]


def test_exiting_is_an_outcome_and_not_the_end_of_the_environment(
    function: Start, requests: Requests
) -> None:
    started = function("import sys\ndef operation(p0):\n    sys.exit(p0)\n")
    (outcome,) = started(requests.request([("l", 3)]))["outcomes"]
    assert outcome["error"]["type"] == "builtins.SystemExit"
    assert started(requests.request([("l", 3)]))["cold"] is False


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("def operation():\n    return (i * i for i in range(3))\n", [0, 1, 4]),
        ("def operation():\n    return map(str, range(3))\n", ["0", "1", "2"]),
        ("async def operation():\n    return iter([5])\n", [5]),
    ],
)
def test_what_is_computed_as_it_is_read_arrives_as_an_iterator(
    function: Start, requests: Requests, source: str, value: list[Any]
) -> None:
    (iterator,) = requests.values(function(source)(requests.request([])))
    assert (next(iterator), *iterator) == tuple(value)


def test_an_iterator_that_pickles_stays_itself_and_need_not_end(
    function: Start, requests: Requests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "class Endless:\n    at = 0\n    def __iter__(self): return self\n"
    endless += "    def __next__(self):\n        self.at += 1\n        return self.at\n"
    (tmp_path / "endless.py").write_text(endless)
    monkeypatch.syspath_prepend(tmp_path)
    source = "import itertools\nfrom endless import Endless\n"
    source += "def operation():\n    return Endless(), [itertools.count(5)]\n"
    ((own, (count,)),) = requests.values(
        function(source, files={"user/endless.py": endless})(requests.request([]))
    )
    assert [type(own).__name__, next(own), next(own), type(count), next(count)] == [
        "Endless",
        1,
        2,
        itertools.count,
        5,
    ]


@pytest.mark.parametrize("made", ["map(str, [1])", "zip(map(str, [1]))", "(i for i in '1')"])
def test_what_calls_functions_as_it_is_read_is_read_where_the_task_runs(made: str) -> None:
    assert type(materialised(eval(made))) is type(iter([]))


def test_an_iterator_without_an_end_is_named() -> None:
    said = "an iterator of type builtins.generator gave more than 1,000 items"
    with pytest.raises(UnshippableValueError, match=said):
        materialised((i for i in itertools.count()), most_items=1000)
    assert list(materialised((i for i in range(1000)), most_items=1000)) == list(range(1000))


def test_the_modules_that_a_value_needs_are_named(function: Start, requests: Requests) -> None:
    started = function(
        "import numpy\ndef operation(p0):\n    return numpy.ones(p0), 'pandas'\n", layers=LIBRARIES
    )
    (outcome,) = started(requests.request([("l", 2)]))["outcomes"]
    assert outcome["modules"] == ["numpy"]


def test_the_users_modules_are_found(function: Start, requests: Requests) -> None:
    files = {"user/helpers/__init__.py": "", "user/helpers/maths.py": "def twice(x):\n    return 2 * x\n"}
    started = function("from helpers.maths import twice as operation\n", files=files)
    assert requests.values(started(requests.request([("l", 4)]))) == [8]


def test_a_module_that_the_operation_imports_in_vain_is_named_for_each_task(
    function: Start, requests: Requests
) -> None:
    started = function("import not_there.at_all\ndef operation(p0):\n    return p0\n")
    for _ in range(2):
        outcomes = started(requests.request([("l", 1)], [("l", 2)]))["outcomes"]
        assert [(o["error"]["kind"], o["error"]["module"]) for o in outcomes] == [
            ("missing_module", "not_there")
        ] * 2
        assert [place[0] for place in outcomes[0]["error"]["frames"]] == ["operation.py"]


class TestATasksValuesAreItsOwn:
    """Whatever a task changes, no other task of the batch, and no later request, sees it."""

    def test_constants(self, function: Start, requests: Requests) -> None:
        started = function(CHANGE)
        request = requests.request([("c",), ("c",)], [("c",), ("c",)], constants={0: [], 1: "shared"})
        for _ in range(2):
            assert requests.values(started(request)) == [([0], "shared")] * 2

    def test_one_literal_that_several_tasks_were_given(self, function: Start, requests: Requests) -> None:
        shared: list[int] = []
        assert (
            requests.values(function(CHANGE)(requests.request([("l", shared)], [("l", shared)])))
            == [([0],)] * 2
        )

    def test_a_literal_that_does_not_pickle_again(self, function: Start, requests: Requests) -> None:
        source = "def operation(values, once):\n    values.append(once())\n    return values\n"
        once = "def make():\n    return lambda: 'called'\n\ndef boxed():\n    return Box(make())\n\n"
        once += "class Box:\n    def __init__(self, made): self.made = made\n    def __call__(self): return self.made()\n"
        started = function(f"import once\n{source}", files={"user/once.py": once})
        shared: list[str] = []
        bound: list[Any] = [("l", shared), ("l", Call("once", "boxed"))]
        assert requests.values(started(requests.request(bound, bound))) == [["called"]] * 2

    def test_inline_and_stored_values(self, function: Start, requests: Requests, store: FileStore) -> None:
        store.put("run-1", "v-9", [requests.encode([], "v-9")])
        inline = {8: requests.encode([], "v-8")}
        request = requests.request([("i", 8)], [("i", 8)], [("i", 9)], [("i", 9)], inline=inline)
        assert requests.values(function(CHANGE)(request)) == [([0],)] * 4

    def test_arrays_are_writable(self, function: Start, requests: Requests, store: FileStore) -> None:
        started = function("def operation(p0):\n    p0 += 1\n    return float(p0[0])\n", layers=LIBRARIES)
        array = np.zeros(2000)
        store.put("run-1", "v-9", [requests.encode(array, "v-9")])
        inline = {8: requests.encode(array, "v-8")}
        bindings: list[list[Any]] = [
            [("i", 8)],
            [("i", 8)],
            [("i", 9)],
            [("i", 9)],
            [("l", array)],
            [("l", array)],
        ]
        assert requests.values(started(requests.request(*bindings, inline=inline))) == [1.0] * 6

    def test_a_value_named_twice_by_one_task_is_one_object(self, function: Start, requests: Requests) -> None:
        started = function("def operation(a, b, c):\n    return a is b is c[0]\n")
        request = requests.request([("i", 8), ("i", 8), ("g", [8])], inline={8: requests.encode([1], "v-8")})
        assert requests.values(started(request)) == [True]


class Call:
    """Pickles as the call of a function in a module that only the environment has."""

    def __init__(self, module: str, name: str) -> None:
        self.named = module, name

    def __reduce__(self) -> tuple[Any, ...]:
        module, name = self.named
        return eval, (f"__import__({module!r}).{name}()",)


class TestWhatCannotBeRead:
    """Is named, and never un-pickled."""

    def test_a_missing_value(self, function: Start, requests: Requests) -> None:
        (outcome,) = function(ADD)(requests.request([("i", 5), ("l", 1)]))["outcomes"]
        message = "cannot read value v-5 of run run-1: No such file or directory"
        error = outcome["error"]
        assert (error["kind"], error["message"]) == ("lost", message)
        assert (error["run"], error["name"]) == ("run-1", "v-5")

    def test_a_value_signed_for_another_name(self, function: Start, requests: Requests) -> None:
        inline = {5: requests.encode(1, "v-6")}
        (outcome,) = function(ADD)(requests.request([("i", 5), ("l", 1)], inline=inline))["outcomes"]
        assert outcome["error"]["kind"] == "damaged"

    def test_a_batch_of_another_run(self, function: Start, requests: Requests) -> None:
        reply = function(ADD)(
            requests.request([("l", 1), ("l", 1)], run="run-2", keys=dict(requests_keys("run-2")))
        )
        assert reply["errorType"] == "FrameError"

    def test_a_request_for_another_operation(self, function: Start, requests: Requests) -> None:
        reply = function(ADD)(requests.request([("l", 1), ("l", 1)], operation="another"))
        assert (reply["errorType"], OPERATION in reply["errorMessage"]) == ("FrameError", True)

    def test_a_batch_or_constants_of_another_operation(self, function: Start, requests: Requests) -> None:
        foreign = b64encode(requests.encode(([0], [("c",)], {}), "batch", "another")).decode()
        assert function(ADD)(requests.request(batch=foreign))["errorType"] == "FrameError"
        constants = {"id": "abc", "frame": b64encode(requests.encode({0: 1}, "c-abc", "another")).decode()}
        (outcome,) = function(ADD)(
            requests.request([("c",), ("l", 1)], constants=None) | {"constants": constants}
        )["outcomes"]
        assert outcome["error"]["kind"] == "authentication"

    def test_a_value_that_does_not_pickle(self, function: Start, requests: Requests) -> None:
        (outcome,) = function("def operation():\n    return open(__file__)\n")(requests.request([]))[
            "outcomes"
        ]
        assert outcome["error"]["kind"] == "unshippable"
        assert "a value of type _io.TextIOWrapper cannot be pickled" in outcome["error"]["message"]

    def test_nothing_is_written_for_a_run_that_was_dropped(
        self, function: Start, requests: Requests, store: FileStore
    ) -> None:
        store.drop("run-1")
        (outcome,) = function(ADD)(requests.request([("l", 1), ("l", 1)], inline_bytes=0))["outcomes"]
        assert outcome["error"]["kind"] == "store"
        assert store.runs() == {}


def requests_keys(run: str) -> dict[str, str]:
    """Return the right key under another run's id."""
    return {run: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}


def test_a_stored_batch_is_read_from_the_store(function: Start, requests: Requests, store: FileStore) -> None:
    batch: Any = ([0], [("l", [1]), ("l", [2])], {}, {}, [], None)
    store.put("run-1", "b-4", [requests.encode(batch, "b-4", OPERATION)])
    assert requests.values(function(ADD)(requests.request(batch={"stored": "b-4"}))) == [3]


def test_stored_constants_are_read_once(function: Start, requests: Requests, store: FileStore) -> None:
    store.put("run-1", "c-abc", [requests.encode({0: [1]}, "c-abc", OPERATION)])
    started = function("def operation(p0):\n    return p0\n")
    request = requests.request([("c",)], [("c",)], constants=None) | {"constants": {"id": "abc"}}
    assert requests.values(started(request)) == [[1], [1]]
    store.delete("run-1", ["c-abc"])
    assert requests.values(started(request)) == [[1], [1]]


def test_the_runtime_needs_the_standard_library_only() -> None:
    """Of an interpreter without site-packages; by its import, not by reading its source."""
    root = Path(frame.__file__).parents[2]
    check = (
        "import sys, types; package = sys.modules['graphlambda'] = types.ModuleType('graphlambda');"
        f"package.__path__ = [{str(root / 'graphlambda')!r}]; import graphlambda.runtime.handler"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", check], check=True, timeout=30)

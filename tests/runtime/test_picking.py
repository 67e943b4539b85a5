"""Parts of values, picked by our runtime in whatever function made the value."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graphlambda.kernels.chunk import getitem
from graphlambda.runtime.picking import PICKERS
from graphlambda.testing.bare import OPERATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.store import FileStore
    from graphlambda.testing.bare import BareFunction, Requests

    Start = Callable[..., BareFunction]

LIBRARIES = [Path(np.__file__).parents[1]]
SPREAD = "def operation(p0):\n    return [[p0, p0 + 1], {'k': p0}]\n"


def pick(source: Any, *by: Any, picker: str = "item", inline_bytes: int = 65536) -> tuple[Any, ...]:
    return picker, source, list(by), inline_bytes


def test_parts_of_parts_arrive_and_what_they_are_parts_of_does_not(
    function: Start, requests: Requests, store: FileStore
) -> None:
    picks = {1: pick(0, 0), 2: pick(1, 1), 3: pick(0, 1), 4: pick(3, "absent", {}, picker="get")}
    request = requests.request([("l", 5)], picks=picks, unsent=[0, 1, 3], inline_bytes=0)
    reply = function(SPREAD)(request)
    assert (reply["tasks"], reply["unsent"], reply["stored"]) == ([0, 1, 2, 3, 4], [0, 1, 3], [])
    assert values(requests, reply) == {2: 6, 4: {}}
    assert [store.size("run-1", f"v-{row}") for row in range(5)] == [None] * 5


def test_a_part_has_its_own_bound_for_riding_along(
    function: Start, requests: Requests, store: FileStore
) -> None:
    picks = {1: pick(0, 0, inline_bytes=0), 2: pick(0, 1)}
    reply = function(SPREAD)(requests.request([("l", 5)], picks=picks, unsent=[0]))
    assert (reply["stored"], values(requests, reply)) == ([1], {2: {"k": 5}})
    assert store.size("run-1", "v-1") == reply["bytes"][1]


def test_a_value_is_stored_after_all_when_one_of_its_parts_fails(
    function: Start, requests: Requests, store: FileStore
) -> None:
    picks = {1: pick(0, 0), 2: pick(0, 9), 3: pick(0, 1)}
    reply = function(SPREAD)(requests.request([("l", 5)], picks=picks, unsent=[0]))
    assert (reply["unsent"], reply["stored"], list(reply["errors"])) == ([], [0], ["2"])
    assert reply["errors"]["2"]["type"] == "builtins.IndexError"
    assert requests.decode(bytes(store.get("run-1", "v-0")), "v-0") == [[5, 6], {"k": 5}]
    assert reply["bytes"][0] == store.size("run-1", "v-0")
    assert values(requests, reply) == {1: [5, 6], 3: {"k": 5}}


def test_parts_of_what_was_not_made_are_left(function: Start, requests: Requests) -> None:
    request = requests.request([("l", None)], picks={1: pick(0, 0)}, unsent=[0])
    reply = function(SPREAD)(request)
    assert (reply["tasks"], reply["left"], list(reply["errors"])) == ([0], [1], ["0"])


def test_picking_that_takes_long_is_left_to_others(function: Start, requests: Requests) -> None:
    slow = "import time\nclass Slow:\n    def __getitem__(self, i):\n        time.sleep(1.1)\n        return i\n\n"
    started = function(
        "from slow import Slow\n\ndef operation():\n    return Slow()\n", files={"user/slow.py": slow}
    )
    first = started(requests.request([], picks={part: pick(0, part) for part in (1, 2, 3)}, unsent=[0]))
    assert (first["tasks"], first["left"], first["stored"]) == ([0, 1], [2, 3], [0])
    assert values(requests, first) == {1: 1}
    again = started(requests.request(picks={0: pick(9, 0)}, inline={9: requests.encode([7], "v-9")}))
    assert values(requests, again) == {0: 7}


def test_a_part_of_a_value_that_is_read(function: Start, requests: Requests, store: FileStore) -> None:
    store.put("run-1", "v-9", [requests.encode([1, 2], "v-9")])
    assert requests.values(function(SPREAD)(requests.request(picks={0: pick(9, 1)}))) == [2]


def test_parts_share_no_memory_with_what_a_task_of_their_batch_gets(
    function: Start, requests: Requests
) -> None:
    source = "def operation(p0, p1):\n    p0[0] += p1\n    return [p0, p0]\n"
    request = requests.request([("l", [1]), ("l", 0)], [("i", 2), ("l", 5)], [("i", 3), ("l", 7)])
    batch: Any = ([0, 2, 3, 1, 4], [("m", [("l", [1]), ("i", 2), ("i", 3)]), ("l", [0, 5, 7])], {})
    picks = {2: pick(0, 0), 3: pick(0, 1)}
    request["batch"] = b64encode(requests.encode((*batch, picks, [], None), "batch", OPERATION)).decode()
    reply = function(source)(request)
    assert values(requests, reply) == {0: [[1], [1]], 2: [1], 3: [1], 1: [[6], [6]], 4: [[8], [8]]}


def values(requests: Requests, reply: dict[str, Any]) -> dict[int, Any]:
    """Return the values that ride in a reply, by task."""
    rides = (each for each in reply["outcomes"] if each.get("value") is not None)
    return {each["task"]: requests.decode(each["value"], f"v-{each['task']}") for each in rides}


@pytest.mark.parametrize(
    ("value", "index"),
    [
        (np.arange(24).reshape(4, 6), (slice(1, 3), slice(None))),
        (np.arange(24).reshape(4, 6).T, (slice(0, 5), slice(None))),
        (np.arange(24).reshape(4, 6), (slice(None), slice(2, 3))),
        (np.arange(24).reshape(4, 6), 2),
        (np.arange(24), [1, 5]),
        (np.float64(3), ()),
        (np.ma.masked_array([1, 2, 3], [False, True, False]), slice(0, 1)),
        ([1, 2, 3], slice(0, 1)),
    ],
)
def test_parts_of_blocks_are_those_of_the_kernel(value: Any, index: Any) -> None:
    ours, kernels = PICKERS["block"](value, index), getitem(value, index)
    assert repr(ours) == repr(kernels)
    assert type(ours) is type(kernels)
    if isinstance(ours, np.ndarray):
        assert (ours.strides, ours.flags.owndata) == (kernels.strides, kernels.flags.owndata)


def test_a_part_beyond_a_block_is_the_kernels_error() -> None:
    raised = []
    for call in (PICKERS["block"], getitem):
        with pytest.raises(ValueError, match="unknown") as error:
            call(np.arange(3), 7)
        raised.append(error.value.args)
    assert raised[0] == raised[1]

"""`graphlambda.get` keeps the contract that Dask asks of a scheduler: graphs, keys, callbacks, unknown arguments."""

from __future__ import annotations

from collections import Counter
from operator import add, mul, neg
from typing import Any

import dask
import dask.array as da
import pytest
from dask import delayed
from dask._task_spec import Alias, Task, TaskRef
from dask.callbacks import Callback
from dask.diagnostics import Profiler, ProgressBar
from dask.highlevelgraph import HighLevelGraph

import graphlambda
from graphlambda.errors import RefusedError

GRAPH = {"one": 1, "two": (add, "one", 1), ("part", 0): (mul, "two", 10), "alias": "two"}


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("two", 2),
        (("part", 0), 20),
        ("one", 1),
        ("alias", 2),
        (["two", ("part", 0)], (2, 20)),
        ([["two"], ["one", ["alias"]]], ((2,), (1, (2,)))),
        (["two", "two"], (2, 2)),
        ([], ()),
    ],
)
def test_values_come_back_nested_as_their_keys_are(keys: Any, wanted: Any) -> None:
    assert dask.get(GRAPH, keys) == wanted
    assert graphlambda.get(GRAPH, keys) == wanted


def test_a_graph_of_layers_is_taken() -> None:
    x = da.arange(12, chunks=5) + 1
    graph, keys = x.__dask_graph__(), x.__dask_keys__()
    assert isinstance(graph, HighLevelGraph)
    got, wanted = graphlambda.get(graph, keys), dask.get(graph, keys)
    assert [part.tolist() for part in got] == [part.tolist() for part in wanted]


def test_an_expression_is_taken() -> None:
    from dask.base import collections_to_expr

    expression = collections_to_expr([delayed(add)(1, 2), da.arange(5, chunks=3).sum()]).optimize()
    keys = list(expression.__dask_keys__())
    assert graphlambda.get(expression, keys) == dask.get(expression, keys)


@pytest.mark.parametrize(
    ("graph", "keys"),
    [(GRAPH, "absent"), (GRAPH, ["two", "absent"]), ({"a": Task("a", neg, TaskRef("absent"))}, "a")],
)
def test_a_missing_key_is_a_key_error_that_names_it(graph: Any, keys: Any) -> None:
    with pytest.raises((KeyError, ValueError), match="absent"):  # a ValueError where a task needs it
        dask.get(graph, keys)
    with pytest.raises(KeyError, match="'absent', which it does not hold") as caught:
        graphlambda.get(graph, keys)
    assert isinstance(caught.value, RefusedError)


def test_a_missing_key_that_nothing_wanted_needs_does_no_harm() -> None:
    graph = {**GRAPH, "idle": Task("idle", neg, TaskRef("absent")), "other": Alias("other", "absent")}
    assert dask.get(graph, ["two"]) == (2,)
    assert graphlambda.get(graph, ["two"]) == (2,)


def test_arguments_for_other_schedulers_change_nothing() -> None:
    assert (
        graphlambda.get(GRAPH, "two", num_workers=4, pool=None, chunksize=6, rerun_exceptions_locally=True)
        == 2
    )


class Recorder(Callback):  # type: ignore[misc]
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: Counter[Any] = Counter()
        self.order: list[str] = []
        self.values: list[Any] = []

    def _note(self, what: str, key: Any = None) -> None:
        self.told[what, key] += 1
        self.order.append(what)

    def _start(self, dsk: Any) -> None:
        self._note("start")

    def _start_state(self, dsk: Any, state: Any) -> None:
        self._note("start_state")
        self.waiting = len(state["waiting"]) + len(state["ready"])

    def _pretask(self, key: Any, dsk: Any, state: Any) -> None:
        assert key in state["running"]
        assert key in dsk
        self._note("pretask", key)

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        assert key in state["finished"]
        self._note("posttask", key)

    def _finish(self, dsk: Any, state: Any, failed: bool) -> None:
        self._note(f"finish failed={failed}")


def told_once(*keys: Any, failed: bool = False) -> Counter[Any]:
    of_tasks = [(what, key) for key in keys for what in ("pretask", "posttask")]
    return Counter([("start", None), ("start_state", None), *of_tasks, (f"finish failed={failed}", None)])


def test_a_callback_is_told_of_each_task_once_between_start_and_finish() -> None:
    with Recorder() as recorder:
        assert graphlambda.get({"a": (add, 1, 2), "b": (add, "a", 1), "c": (mul, "a", "b")}, "c") == 12
    assert recorder.told == told_once("a", "b", "c")
    assert (recorder.order[:2], recorder.order[-1]) == (["start", "start_state"], "finish failed=False")


def test_callbacks_given_as_an_argument_are_told_too() -> None:
    recorder = Recorder()
    graphlambda.get({"a": (add, 1, 2)}, "a", callbacks=[recorder._callback])
    assert recorder.told == told_once("a")


def boom(_value: int) -> int:
    raise LookupError("no such thing")


def test_a_callback_is_told_that_a_run_failed() -> None:
    with Recorder() as recorder, pytest.raises(LookupError, match="no such thing"):
        graphlambda.get({"a": (boom, 1)}, "a")
    assert recorder.told == Counter(
        [("start", None), ("start_state", None), ("pretask", "a"), ("finish failed=True", None)]
    )


@pytest.mark.parametrize("make", [lambda: da.ones(40, chunks=4).sum(), lambda: delayed(add)(1, 2)])
def test_callbacks_hear_of_collections_computed_through_dask(make: Any) -> None:
    with Recorder() as recorder:
        make().compute(scheduler=graphlambda.get)
    counts = Counter(what for what, _key in recorder.told.elements())
    assert counts == Counter(
        start=1,
        start_state=1,
        pretask=recorder.waiting,
        posttask=recorder.waiting,
        **{"finish failed=False": 1},
    )


def test_a_run_within_compute_is_heard_of_too() -> None:
    with Recorder() as recorder:
        graphlambda.compute(delayed(add)(1, 2))
    assert recorder.order == ["start", "start_state", "pretask", "posttask", "finish failed=False"]


def test_dasks_profiler_knows_each_task() -> None:
    total = da.arange(30, chunks=10).sum()
    with Profiler() as profiler:
        total.compute(scheduler=graphlambda.get)
    assert len(profiler.results) == graphlambda.compile(total).task_count
    assert all(each.task for each in profiler.results)


def test_dasks_progress_bar_reaches_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(dt=0.01):
        assert da.arange(30, chunks=3).sum().compute(scheduler=graphlambda.get) == 435
    assert "100% Completed" in capsys.readouterr().out


def test_a_task_in_a_run_may_use_any_scheduler_of_its_own() -> None:
    def nested() -> int:
        from dask import delayed as inner

        return inner(sum)([1, 2, 3]).compute(scheduler="sync")  # type: ignore[no-any-return]

    assert graphlambda.compute(delayed(nested)()) == (6,)

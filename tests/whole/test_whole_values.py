"""Values and what tasks tell come home; what a task does to its inputs stays with it."""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pandas as pd
import pytest
from dask import delayed

import graphlambda
from graphlambda.api import session as sessions
from graphlambda.config import load
from graphlambda.errors import (
    MissingModuleError,
    OutOfMemoryError,
    ResultTooLargeError,
    ResultWarning,
    TimedOutError,
)
from graphlambda.scheduler import Limits, begin
from graphlambda.testing.stores import CountingStore

if TYPE_CHECKING:
    from collections.abc import Iterator


def identity(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    "value", [None, False, 0, "", (), [], {}, set(), float("-inf"), b"", ..., NotImplemented], ids=repr
)
def test_a_falsy_or_odd_value_is_a_value(value: Any) -> None:
    (got,) = graphlambda.compute(delayed(identity)(delayed(identity)(value)))
    assert got == value
    assert type(got) is type(value)


def test_a_generator_comes_home_as_what_it_would_have_given() -> None:
    def squares(count: int) -> Iterator[int]:
        return (number**2 for number in range(count))

    (got,) = graphlambda.compute(delayed(squares)(4))
    assert list(got) == [0, 1, 4, 9]
    assert graphlambda.compute(
        db.range(4, npartitions=2).map_partitions(lambda part: (v + 1 for v in part))
    ) == ([1, 2, 3, 4],)


class Countdown:
    def __init__(self, start: int) -> None:
        self.left = start

    def __iter__(self) -> Countdown:
        return self

    def __next__(self) -> int:
        self.left -= 1
        return self.left


def test_an_iterator_that_pickles_comes_home_as_itself_and_need_not_end() -> None:
    countdown, count = graphlambda.compute(delayed(Countdown)(3), delayed(itertools.count)(5))
    assert (type(countdown), next(countdown), countdown.left) == (Countdown, 2, 2)
    assert (type(count), next(count)) == (itertools.count, 5)


class CodedError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def test_an_exception_whose_args_are_not_its_constructors_is_caught_by_its_class() -> None:
    def refuse() -> None:
        raise CodedError(7, "peculiar")

    with pytest.raises(CodedError, match="7: peculiar") as raised:
        graphlambda.compute(delayed(refuse)())
    assert raised.value.code == 7


def test_a_coroutine_function_is_awaited() -> None:
    async def answer() -> int:
        return 42

    assert graphlambda.compute(delayed(answer)()) == (42,)


def spoiled(values: Any) -> Any:
    values[0] = -1
    return values


@pytest.mark.parametrize("batch", [1, 8])
def test_a_task_that_changes_its_input_changes_no_other_tasks(batch: int) -> None:
    made = delayed(list)(range(3))
    array = delayed(np.arange)(50_000)
    spoiling = [
        delayed(spoiled)(made),
        delayed(spoiled)(made),
        delayed(spoiled)(array),
        delayed(getitem)(array, 0),
    ]
    *lists, changed, first = graphlambda.compute(*spoiling, delayed(getitem)(made, 0), batch=batch)[:4]
    assert lists == [[-1, 1, 2], [-1, 1, 2]]
    assert changed[0] == -1
    assert first == 0


def test_a_task_may_change_what_the_graph_holds_and_the_clients_own_stays() -> None:
    held, data = [1, 2, 3], np.arange(100_000)
    got = graphlambda.compute(delayed(spoiled)(held), delayed(spoiled)(delayed(data)), delayed(spoiled)(held))
    assert [got[0], got[1][0], got[2]] == [[-1, 2, 3], -1, [-1, 2, 3]]
    assert (held, data[0]) == ([1, 2, 3], 0)


def test_results_may_be_written_to() -> None:
    (got,) = graphlambda.compute(da.arange(50_000, chunks=50_000))
    got[0] = 7
    assert got[0] == 7


def talkative(name: str) -> str:
    print(f"printed by {name}")
    warnings.warn(f"warned by {name}", pd.errors.PerformanceWarning, stacklevel=1)
    logging.getLogger("talkative").error("logged by %s", name)
    return name


def test_what_a_task_prints_warns_of_and_logs_comes_home(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.warns(pd.errors.PerformanceWarning, match=r"warned by it \(in task talk-1\)"):
        graphlambda.compute(delayed(talkative)("it", dask_key_name="talk-1"))
    assert capsys.readouterr().out == "printed by it\n"
    (record,) = [each for each in caplog.records if each.name == "talkative"]
    assert (record.getMessage(), vars(record)["task"]) == ("logged by it", "talk-1")


def settings_seen() -> tuple[Any, ...]:
    import time

    import dask as inside

    return (
        inside.config.get("array.chunk-size"),
        pd.get_option("mode.string_storage"),
        time.tzname[0],
        np.geterr()["divide"],
    )


def test_a_run_carries_the_reviewed_settings_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with dask.config.set({"array.chunk-size": "5MiB"}), pd.option_context("mode.string_storage", "python"):
        with np.errstate(divide="raise"):
            changed = graphlambda.compute(delayed(settings_seen)())
        assert changed == (("5MiB", "python", "JST", "raise"),)


def test_the_next_run_is_free_of_the_last_ones_settings() -> None:
    (before,) = graphlambda.compute(delayed(settings_seen)())
    with dask.config.set({"array.chunk-size": "5MiB"}), np.errstate(divide="raise"):
        graphlambda.compute(delayed(settings_seen)())
    assert graphlambda.compute(delayed(settings_seen)()) == (before,)
    assert before == (
        dask.config.get("array.chunk-size"),
        pd.get_option("mode.string_storage"),
        "UTC",
        "warn",
    )


def test_credentials_and_settings_of_the_client_do_not_reach_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_CLIENT", "hidden")
    (seen,) = graphlambda.compute(delayed(lambda: dict(__import__("os").environ))())
    assert "A_SECRET_OF_THE_CLIENT" not in seen
    assert not any("hidden" in value or name.startswith("GRAPHLAMBDA") for name, value in seen.items())


def read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123
        return file.read()


def test_a_path_that_is_in_no_literal_is_not_seen_and_the_error_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("text")
    parts = tmp_path.parts[1:]

    def read_parts() -> str:
        return read("/" + "/".join(parts) + "/there.txt")

    with pytest.raises(FileNotFoundError) as raised:
        graphlambda.compute(delayed(read_parts)())
    notes = "\n".join(raised.value.__notes__)
    assert "`paths=`" in notes
    assert str(tmp_path / "there.txt") in notes
    assert graphlambda.compute(delayed(read_parts)(), paths=[tmp_path]) == ("text",)


@pytest.mark.parametrize("mode", ["r", "w"])
def test_a_relative_path_is_not_the_clients_and_the_error_says_which_to_write(mode: str) -> None:
    def touched() -> None:
        open("here.txt", mode).close()  # noqa: PTH123

    with pytest.raises(OSError, match=r"here\.txt") as raised:
        graphlambda.compute(delayed(touched)())
    assert f"write the whole path, such as {Path.cwd() / 'here.txt'}" in "\n".join(raised.value.__notes__)


def test_a_path_that_the_graph_names_is_seen(tmp_path: Path) -> None:
    (tmp_path / "named.txt").write_text("text")
    assert graphlambda.compute(delayed(read)(str(tmp_path / "named.txt"))) == ("text",)


def test_a_result_that_says_that_it_does_not_fit_is_warned_of_before_it_runs_and_may_be_wrong() -> None:
    halves = da.arange(4, chunks=2).map_blocks(identity, chunks=((2**60, 2**60),))
    with pytest.warns(ResultWarning, match=f"{2**64:,} bytes, as chunks.*`persist`") as warned:
        (got,) = graphlambda.compute(halves)
    assert [each.filename for each in warned if each.category is ResultWarning] == [__file__]
    assert got.tolist() == [0, 1, 2, 3]
    graphlambda.persist(halves)


def test_a_result_that_does_not_fit_is_refused_before_it_is_downloaded() -> None:
    program = graphlambda.compile(da.zeros(1_000_000, chunks=250_000))
    deployment = graphlambda.deploy(program)
    session = sessions.session_of(load({}))
    store, number = CountingStore(session.store), os.urandom(16).hex()
    with pytest.raises(ResultTooLargeError, match=r"8,00\d,\d{3} bytes in 4 values.*`to_zarr`.*`persist`"):
        begin(
            program,
            deployment.functions,
            invoker=session.invoker(),
            store=store,
            run=number,
            key=session.key_of(number),
            limits=Limits(concurrency=2),
            free_bytes=lambda: 1_000_000,
        ).result()
    assert store.calls["get"] == 0
    assert number not in session.store.runs()


def hungry(megabytes: int) -> int:
    return len(b"x" * (megabytes * 2**20))


def test_a_task_that_needs_more_memory_gets_more_and_only_that_one_runs_again() -> None:
    got = graphlambda.compute([delayed(hungry)(size) for size in (1, 2, 400)], memory_mb=256)
    assert got == ([2**20, 2 * 2**20, 400 * 2**20],)


def test_the_next_run_begins_with_the_memory_that_an_operation_turned_out_to_need() -> None:
    def ravenous(megabytes: int) -> int:
        return len(b"y" * (megabytes * 2**20))

    assert graphlambda.compute(delayed(ravenous)(400), memory_mb=256) == (400 * 2**20,)
    first = graphlambda.last_summary()
    assert graphlambda.compute(delayed(ravenous)(401), memory_mb=256) == (401 * 2**20,)
    again = graphlambda.last_summary()
    assert first is not None
    assert again is not None
    assert (first.retried > 0, again.retried, again.invocations) == (True, 0, 1)


def test_without_more_to_give_the_error_names_the_setting_for_memory() -> None:
    program = graphlambda.compile(delayed(hungry)(900))
    deployment = graphlambda.deploy(program, memory_mb=256)
    session = sessions.session_of(load({}))
    with pytest.raises(OutOfMemoryError, match=r"`memory_mb=`"):
        begin(
            program,
            deployment.functions,
            invoker=session.invoker(),
            store=session.store,
            run=os.urandom(16).hex(),
            key=os.urandom(32),
            limits=Limits(concurrency=2),
        ).result()


def test_a_task_that_takes_too_long_says_so_and_names_the_setting() -> None:
    def slow() -> None:
        import time

        time.sleep(30)

    with pytest.raises(TimedOutError, match=r"`timeout_s=`"):
        graphlambda.compute(delayed(slow)(), timeout_s=1)


def imported(name: str) -> str:
    import importlib

    try:
        return importlib.import_module(name).__name__
    except ModuleNotFoundError as error:
        return f"no {error.name}"


def test_a_function_cannot_import_what_its_artifact_does_not_hold() -> None:
    absent = ["numpy", "dask", "pip", "graphlambda", "pytest", "cloudpickle"]
    there = ["json", "graphlambda_runtime"]
    (got,) = graphlambda.compute([delayed(imported)(name) for name in [*absent, *there]])
    assert got == [*(f"no {name}" for name in absent), *there]


def test_a_distribution_that_is_named_is_there() -> None:
    assert graphlambda.compute(delayed(imported)("numpy"), requirements=["numpy"]) == ("numpy",)


def late(name: str) -> str:
    import importlib

    return importlib.import_module(name).__name__


def test_a_module_that_only_a_running_task_names_is_added_while_the_run_goes_on() -> None:
    assert graphlambda.compute(delayed(late)("toolz")) == ("toolz",)


def test_a_module_that_nothing_provides_is_named_with_how_to_add_it() -> None:
    with pytest.raises(MissingModuleError, match=r"does not hold the module 'not_a_module'.*`requirements=`"):
        graphlambda.compute(delayed(late)("not_a_module"))

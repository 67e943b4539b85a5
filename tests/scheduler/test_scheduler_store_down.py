"""A store that fails the client for a while is called again; one that stays away ends the run, and says where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from graphlambda.compiler.program import Input
from graphlambda.errors import LostValueError, StoreError
from graphlambda.scheduler import Limits
from graphlambda.scheduler.policy import STORE_CALLS, passes
from graphlambda.testing.programs import program_of
from graphlambda.testing.stores import CountingStore, FaultyStore

if TYPE_CHECKING:
    from tests.scheduler.bench import Bench

STORED = Limits(batch=1, inline_bytes=0)
PROGRAM = program_of([("f", Input(1))], [0], data=[np.ones(10_000)])


def down(bench: Bench, method: str, times: int) -> CountingStore:
    """Let the first calls of a method fail; count all of them."""
    bench.operations["gl-f"] = lambda array: array + 1
    store = CountingStore(
        FaultyStore(bench.store, lambda called, before: called == method and before < times)
    )
    bench.store = store  # type: ignore[assignment]
    return store


@pytest.mark.parametrize("method", ["touch", "put", "get"])
def test_a_store_that_is_down_for_a_while_is_called_again(bench: Bench, method: str) -> None:
    store = down(bench, method, 3)
    (value,) = bench.run(PROGRAM, limits=STORED)
    assert value.sum() == 20_000
    assert store.calls[method] >= 4
    for waited_s, longest_s in zip(bench.clock.slept_s, [0.1, 0.2, 0.4], strict=True):
        assert longest_s / 2 <= waited_s <= longest_s


@pytest.mark.parametrize("method", ["touch", "put", "get"])
def test_a_store_that_stays_down_ends_the_run(bench: Bench, method: str) -> None:
    store = down(bench, method, 99)
    with pytest.raises(StoreError, match=f"{method} number {STORE_CALLS - 1} fails"):
        bench.run(PROGRAM, limits=STORED)
    assert store.calls[method] == STORE_CALLS


def test_what_is_not_there_and_what_took_its_whole_time_are_not_asked_for_again() -> None:
    late = StoreError("storing v-1 took longer than 300 s")
    late.__cause__ = TimeoutError()
    assert [passes(StoreError("down")), passes(LostValueError("gone", "r", "v-1")), passes(late)] == [
        True,
        False,
        False,
    ]

"""Arenas of small objects are kept where tasks get them anew each time, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from itertools import accumulate, chain

from graphlambda.runtime.arenas import MOST_BYTES, Arenas

MB = 1 << 20
_REAL = """
from graphlambda.runtime.arenas import Arenas, got_bytes
arenas, got = Arenas(), []
for _ in range(8):
    before = got_bytes()
    arenas.begin()
    len([str(number) for number in range(400_000)])
    got.append(got_bytes() - before)
    arenas.end(1)
print(got[2], got[-1])
"""


def kept_after(*got_mb: float, tasks: int = 1) -> list[int]:
    """Return how many bytes are kept after each of some requests, whose tasks got so much."""
    bounds = accumulate(chain.from_iterable((0, int(each * MB)) for each in got_mb))
    arenas, kept = Arenas(lambda: next(bounds)), []
    for _ in got_mb:
        arenas.begin()
        arenas.end(tasks)
        kept.append(arenas.kept_bytes)
    return kept


def test_a_task_of_many_objects_gets_memory_once() -> None:
    done = subprocess.run([sys.executable, "-c", _REAL], check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert before > 10 * MB
    assert after < before // 10


def test_what_tasks_get_each_time_anew_is_kept_after_a_few_requests() -> None:
    *before, tried, after = kept_after(20, 20, 20, 20, 1)
    assert before == [0, 0, 0]
    assert 0 < tried == after <= 20 * MB


def test_nothing_is_kept_where_that_spares_nothing_and_it_is_tried_once() -> None:
    assert kept_after(20, 20, 20, 20, *[20] * 8)[4:] == [0] * 8


def test_small_tasks_keep_nothing_however_many_share_a_request() -> None:
    assert kept_after(*[300] * 20, tasks=100) == [0] * 20


def test_no_more_is_kept_than_a_share_of_the_functions_memory() -> None:
    assert kept_after(*[8 * MOST_BYTES / MB] * 4)[-1] <= MOST_BYTES

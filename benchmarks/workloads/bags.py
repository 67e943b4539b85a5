"""Dask bags."""

from __future__ import annotations

import operator
from typing import Any

import dask.bag as db

from benchmarks.workloads.workload import workloads

WORDS = ("graph", "task", "key", "chunk", "block", "layer", "alias", "value")


def map_fold(scale: int) -> Any:
    numbers = db.range(88 * scale * 10, npartitions=88 * scale)
    return numbers.map(_square).filter(_is_even).map(lambda number: number + 1).fold(operator.add)


def bag_groupby(scale: int) -> Any:
    numbers = db.range(6 * scale * 10, npartitions=6 * scale)
    return numbers.groupby(_last_digit, shuffle="tasks").map(_total)


def word_count(scale: int) -> Any:
    lines = db.from_sequence(range(80 * scale * 2), npartitions=80 * scale).map(_line)
    return lines.str.split().flatten().frequencies(sort=True)


def _square(number: int) -> int:
    return number * number


def _is_even(number: int) -> bool:
    return number % 2 == 0


def _last_digit(number: int) -> int:
    return number % 10


def _total(group: tuple[int, list[int]]) -> tuple[int, int]:
    return group[0], sum(group[1])


def _line(number: int) -> str:
    return " ".join(WORDS[number * step % len(WORDS)] for step in range(1, 6))


WORKLOADS = workloads("bag", map_fold, bag_groupby, word_count)

"""Blocks of every kind that a graph may hold. In: a random generator. Out: arrays."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = ("f8", "f4", "i8", "i4", "u1", "c16", "?")
OTHERS = ("M8[s]", "m8[D]", "U3", "S2", "O", ">f8", "f2")
SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (0,), (3, 4), (1, 4), (2, 0), (2, 3, 4), (4, 1, 2))


def block(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Any:
    """Return a block of random members; every third number of a float block is no number."""
    numbers = rng.integers(-4, 9, size=shape)
    if dtype == "O":
        made = np.empty(shape, dtype=object)
        for place in np.ndindex(*shape):
            made[place] = Fraction(int(numbers[place]), 3)
        return made
    if dtype == "c16":
        return numbers + 1j * rng.normal(size=shape)
    if np.dtype(dtype).kind == "f":
        floats = rng.normal(size=shape) * 10
        return np.where(rng.random(shape) < rng.choice([0, 0.3]), np.nan, floats).astype(dtype)
    if dtype == "u1":
        numbers = np.abs(numbers)
    return np.asarray(numbers).astype(dtype)


def masked(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Any:
    """Return a block with masked members, and sometimes a fill value of its own."""
    mask = rng.random(shape) < rng.choice([0, 0.3, 1])
    made = np.ma.MaskedArray(block(rng, dtype, shape), mask=mask)
    if dtype in NUMBERS and rng.random() < 0.3:
        made.fill_value = 3
    return made


def laid_out(rng: np.random.Generator, array: Any) -> Any:
    """Return the same members in another order of bytes, or as a view."""
    way = rng.integers(3)
    if array.ndim < 2 or way == 0:
        return array
    return np.asfortranarray(array) if way == 1 else np.repeat(array, 2, axis=0)[::2]


def numbers(rng: np.random.Generator, shapes: Any = SHAPES, dtypes: Any = NUMBERS) -> Iterator[Any]:
    """Yield blocks of numbers of each shape, plain and masked."""
    for shape in shapes:
        for dtype in dtypes:
            yield laid_out(rng, block(rng, dtype, shape))
        yield masked(rng, str(rng.choice(["f8", "i8"])), shape)


def anything(rng: np.random.Generator, shapes: Any = SHAPES) -> Iterator[Any]:
    """Yield blocks of each shape and of every dtype, records and matrices among them."""
    yield from numbers(rng, shapes, (*NUMBERS, *OTHERS))
    for shape in shapes:
        yield np.zeros(shape, dtype=[("a", "i4"), ("b", "U2")])
    yield np.asmatrix(np.arange(6.0).reshape(2, 3))
    yield np.float64(3.5)


def axes_of(rng: np.random.Generator, ndim: int) -> tuple[int, ...]:
    """Return some axes, at least one where there is any."""
    if ndim == 0:
        return ()
    count = int(rng.integers(1, ndim + 1))
    return tuple(sorted(int(axis) for axis in rng.choice(ndim, size=count, replace=False)))


def nested(rng: np.random.Generator, grid: tuple[int, ...], make: Any, place: tuple[int, ...] = ()) -> Any:
    """Return nested lists of what `make` gives for each place of a grid."""
    if not grid:
        return make(place)
    return [nested(rng, grid[1:], make, (*place, number)) for number in range(grid[0])]


def grid_of(
    rng: np.random.Generator, ndim: int, dtype: str, *, is_masked: bool = False
) -> tuple[tuple[int, ...], Any]:
    """Return a grid's shape and nested lists of blocks that fit together; some lengths are 0."""
    lengths = [rng.integers(0, 4, size=rng.integers(1, 4)).tolist() for _ in range(ndim)]
    make = masked if is_masked else block
    grid = tuple(map(len, lengths))
    return grid, nested(
        rng, grid, lambda place: make(rng, dtype, tuple(lengths[axis][at] for axis, at in enumerate(place)))
    )

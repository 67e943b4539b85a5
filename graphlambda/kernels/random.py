"""Random blocks. In: a seed or a generator's state, the name of a distribution. Out: a block. Must not draw twice from one state."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np


def _rng_from_bitgen(bitgen: Any) -> Any:
    """Return a generator of the library that a source of random bits comes from."""
    return import_module(type(bitgen).__module__.partition(".")[0]).random.default_rng(bitgen)


def _apply_random_func(rng: Any, funcname: Any, bitgen: Any, size: Any, args: Any, kwargs: Any) -> Any:
    if isinstance(bitgen, np.random.SeedSequence):
        bitgen = rng(bitgen)
    return getattr(_rng_from_bitgen(bitgen), funcname)(*args, size=size, **kwargs)


def _apply_random(
    RandomState: Any,  # noqa: N803 - graphs name it
    funcname: Any,
    state_data: Any,
    size: Any,
    args: Any,
    kwargs: Any,
) -> Any:
    state = (np.random.RandomState if RandomState is None else RandomState)(state_data)
    return getattr(state, funcname)(*args, size=size, **kwargs)


def _choice_rng(state_data: Any, a: Any, size: Any, replace: Any, p: Any, axis: Any, shuffle: Any) -> Any:
    generator = _rng_from_bitgen(state_data)
    return generator.choice(a, size=size, replace=replace, p=p, axis=axis, shuffle=shuffle)


def _choice_rs(state_data: Any, a: Any, size: Any, replace: Any, p: Any) -> Any:
    return np.random.RandomState(state_data).choice(a, size=size, replace=replace, p=p)

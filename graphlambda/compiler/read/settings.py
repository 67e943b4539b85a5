"""The process state that a run carries: a reviewed allow-list, and of it what differs from the defaults.

In: the client's process. Out: plain data for the runtime to apply. Must not read anything else: a whole
configuration may hold credentials.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import dask
import numpy as np

_DASK_SECTIONS = ("array", "dataframe", "optimization")
_PANDAS_SECTIONS = ("mode.", "future.", "compute.")
_NUMPY_PRINTING = ("precision", "threshold", "edgeitems", "linewidth", "suppress", "floatmode", "sign")


def process_state(time_zone: str | None) -> dict[str, Any]:
    """Return the settings that tasks must see, by library; empty sections are left out."""
    found = {
        "tz": time_zone,
        "dask": _dask(),
        "pandas": _pandas(),
        "xarray": _xarray(),
        "numpy": _numpy(),
    }
    return {name: value for name, value in found.items() if value}


def _dask() -> dict[str, Any]:
    default: dict[str, Any] = {}
    for layer in dask.config.defaults:
        dask.config.update(default, layer)
    found: dict[str, Any] = {}
    for section in _DASK_SECTIONS:
        found.update(_different(section, dask.config.get(section, {}), default.get(section, {})))
    return found


def _different(name: str, value: Any, default: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        below = default if isinstance(default, Mapping) else {}
        parts = (_different(f"{name}.{key}", part, below.get(key, _ABSENT)) for key, part in value.items())
        return {key: part for found in parts for key, part in found.items()}
    return {} if value == default else {name: value}


_ABSENT = object()


def _pandas() -> dict[str, Any]:
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return {}
    options = pandas._config.config
    found = {}
    for name, option in options._registered_options.items():
        if name.startswith(_PANDAS_SECTIONS):
            values, last = options._get_root(name)  # `get_option` warns of each that is deprecated
            if values[last] != option.defval:
                found[name] = values[last]
    return found


def _xarray() -> dict[str, Any]:
    xarray = sys.modules.get("xarray")
    if xarray is None:
        return {}
    plain = (str, int, float, bool)
    names = ("arithmetic_join", "keep_attrs", "use_bottleneck", "use_flox", "use_numbagg", "use_opt_einsum")
    options = xarray.get_options()
    return {
        name: options[name]
        for name in names
        if name in options and isinstance(options[name], plain) and options[name] != _XARRAY_DEFAULTS[name]
    }


_XARRAY_DEFAULTS = {
    "arithmetic_join": "inner",
    "keep_attrs": "default",
    "use_bottleneck": True,
    "use_flox": True,
    "use_numbagg": True,
    "use_opt_einsum": True,
}


def _numpy() -> dict[str, dict[str, Any]]:
    errors = {name: how for name, how in np.geterr().items() if how != _NUMPY_ERRORS[name] and how != "call"}
    options: dict[str, Any] = dict(np.get_printoptions())
    printing = {
        name: options[name]
        for name in _NUMPY_PRINTING
        if name in options and options[name] != _NUMPY_DEFAULTS[name]
    }
    found = {"errstate": errors, "printoptions": printing}
    return {name: values for name, values in found.items() if values}


_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_NUMPY_DEFAULTS = {
    "precision": 8,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 75,
    "suppress": False,
    "floatmode": "maxprec",
    "sign": "-",
}

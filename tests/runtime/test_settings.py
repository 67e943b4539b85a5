"""A run's process state reaches the modules that are there, and leaves with its run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.testing.bare import BareFunction, Requests

LIBRARIES = [Path(np.__file__).parents[1]]
SETTINGS = {
    "tz": "Asia/Tokyo",
    "dask": {"array.slicing.split-large-chunks": True},
    "pandas": {"display.precision": 3},
    "xarray": {"keep_attrs": True},
    "numpy": {"printoptions": {"precision": 2}, "errstate": {"divide": "raise"}},
}
SHOW = """
import time
import {modules}
def operation():
    return time.tzname[0], {shown}
"""
SHOWN = {
    "dask": "dask.config.get('array.slicing.split-large-chunks', None)",
    "pandas": "pandas.get_option('display.precision')",
    "xarray": "xarray.get_options()['keep_attrs']",
    "numpy": "(numpy.get_printoptions()['precision'], numpy.geterr()['divide'])",
}


def seen(started: BareFunction, requests: Requests, settings: dict[str, Any]) -> Any:
    """Return what a task finds under these settings."""
    return requests.values(started(requests.request([], settings=settings)))[0]


def test_settings_are_applied_and_taken_back(
    function: Callable[..., BareFunction], requests: Requests
) -> None:
    source = SHOW.format(modules=", ".join(SHOWN), shown=", ".join(SHOWN.values()))
    started = function(source, layers=LIBRARIES)
    plain = ("UTC", None, 6, "default", (8, "warn"))
    assert seen(started, requests, {}) == plain
    assert seen(started, requests, SETTINGS) == ("JST", True, 3, True, (2, "raise"))
    assert seen(started, requests, {"tz": "Europe/Berlin"}) == ("CET", *plain[1:])
    assert seen(started, requests, {}) == plain


def test_a_module_is_not_imported_for_its_settings(
    function: Callable[..., BareFunction], requests: Requests
) -> None:
    source = "import sys\ndef operation():\n    return sorted({'dask', 'pandas', 'xarray', 'numpy'} & {*sys.modules})\n"
    assert seen(function(source, layers=LIBRARIES), requests, SETTINGS) == []


def test_a_module_that_a_task_imports_has_its_settings_at_once(
    function: Callable[..., BareFunction], requests: Requests
) -> None:
    source = "def operation():\n    import numpy\n    return numpy.get_printoptions()['precision']\n"
    started = function(source, layers=LIBRARIES)
    assert [seen(started, requests, SETTINGS) for _ in range(3)] == [2, 2, 2]


def test_a_setting_that_the_module_does_not_know_fails_the_task(
    function: Callable[..., BareFunction], requests: Requests
) -> None:
    started = function("import pandas\ndef operation():\n    return 1\n", layers=LIBRARIES)
    request = requests.request([], settings={"pandas": {"not.an.option": 1}})
    for _ in range(2):
        (outcome,) = started(request)["outcomes"]
        assert "not.an.option" in outcome["error"]["message"]

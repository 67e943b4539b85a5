"""The run's allow-list of process state, applied to the modules that the operation uses.

In: `{"tz": "…", "dask": {…}, "pandas": {…}, "xarray": {…}, "numpy": {"printoptions": {…}, "errstate": {…}}}`.
Out: a process in that state. Must not import a module for its settings' sake, nor leave one run's
settings to the next.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class ProcessState:
    """What the current run has set in this process, and how it is taken back."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._pending: dict[str, Any] = {}
        self._undo: list[Callable[[], object]] = []

    def enter(self, settings_id: str | None, read: Callable[[], Mapping[str, Any]]) -> None:
        """Take on a run's settings; `read` is called only if they are not those of the last request.

        Settings of a module that is not imported yet wait until it is.
        Raises what the module raises that does not know a setting.
        """
        if settings_id != self._id:
            pending = dict(read()) if settings_id is not None else {}
            self._leave()
            self._id, self._pending = settings_id, pending
        for section in [name for name in self._pending if name == "tz" or name in sys.modules]:
            self._apply(section)
        if self._pending and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that settings wait for, as Python does, and apply them once it is imported."""
        spec = PathFinder.find_spec(name, path) if name in self._pending else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                if name in self._pending:
                    self._apply(name)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _apply(self, section: str) -> None:
        self._undo.append(_SECTIONS[section](self._pending[section]))
        del self._pending[section]  # not before it is done: a setting that fails, fails every task

    def _leave(self) -> None:
        self._id, self._pending = None, {}
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        while self._undo:
            self._undo.pop()()


def _set_tz(zone: str) -> Callable[[], object]:
    before = os.environ.get("TZ")
    _put_tz(zone)
    return lambda: _put_tz(before)


def _put_tz(zone: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    time.tzset()


def _set_dask(values: dict[str, Any]) -> Callable[[], object]:
    change = sys.modules["dask"].config.set(values)
    return lambda: change.__exit__(None, None, None)


def _set_pandas(values: dict[str, Any]) -> Callable[[], object]:
    pandas = sys.modules["pandas"]
    before = {name: pandas.get_option(name) for name in values}
    _put_pandas(values)
    return lambda: _put_pandas(before)


def _put_pandas(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        sys.modules["pandas"].set_option(name, value)


def _set_xarray(values: dict[str, Any]) -> Callable[[], object]:
    xarray = sys.modules["xarray"]
    before = {name: value for name, value in xarray.get_options().items() if name in values}
    xarray.set_options(**values)
    return lambda: xarray.set_options(**before)


def _set_numpy(values: dict[str, dict[str, Any]]) -> Callable[[], object]:
    numpy = sys.modules["numpy"]
    shown = numpy.get_printoptions()
    errors = numpy.seterr(**values.get("errstate", {}))
    numpy.set_printoptions(**values.get("printoptions", {}))

    def undo() -> None:
        numpy.seterr(**errors)
        numpy.set_printoptions(**shown)

    return undo


_SECTIONS: dict[str, Callable[[Any], Callable[[], object]]] = {
    "tz": _set_tz,
    "dask": _set_dask,
    "pandas": _set_pandas,
    "xarray": _set_xarray,
    "numpy": _set_numpy,
}

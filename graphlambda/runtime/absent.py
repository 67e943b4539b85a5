"""Imports and files that were left out of a function say so by name.

In: the name of a module that no other finder found, the path of a file that is not there. Out: ModuleNotFoundError
with the reason and the remedy, or nothing at all. Must not cost a cold start anything: the manifest is read when
something is missing, and not before.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_IMPORTING = "_find_and_load_unlocked"
"""Who asks finders in order to import: `importlib.util.find_spec`, which asks whether a module is there, does not."""

REMEDY = "Import it in the task's own code, and the function is built with it"


class Absent:
    """The last finder of `sys.meta_path`; knows from the manifest what was left out of the function."""

    def __init__(self, folder: str) -> None:
        self._manifest = os.path.join(folder, "manifest.json")  # noqa: PTH118  (pathlib costs a cold start 4 ms)
        self._reasons: dict[str, str] | None = None
        self.missed: set[str] = set()
        """Modules that were left out and asked for."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Raise ModuleNotFoundError for a module that was left out, if it is being imported."""
        if sys._getframe(2).f_code.co_name != _IMPORTING:
            return
        reason = self.reason(name.replace(".", "/"))
        if reason is not None:
            self.missed.add(name)
            message = f"{name} was left out of this function ({reason}). {REMEDY}."
            raise ModuleNotFoundError(message, name=name)

    def reason(self, place: str) -> str | None:
        """Return why something was left out, given as a path below site-packages; None if it was not."""
        if self._reasons is None:
            self._reasons = dict(self._read())
        known = self._reasons
        if not known:
            return None
        parts = place.split("/")
        lineage = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        found = next((known[each] for each in lineage if each in known), None)
        return found or known.get("*" + os.path.splitext(place)[1])  # noqa: PTH122

    def _read(self) -> Iterator[tuple[str, str]]:
        """Yield what was left out, modules without the ending of their file, with its reason."""
        import json  # noqa: PLC0415  (here already wherever a request came as JSON)

        try:
            with open(self._manifest, encoding="utf-8") as file:  # noqa: PTH123
                manifest: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return
        for reasons in manifest.get("left_out", {}).values():
            for reason, names in reasons.items():
                for name in names:
                    yield name, reason
                    if not name.startswith("*"):
                        yield _module(name), reason


def installed() -> Absent | None:
    """Return the finder of this process."""
    return next((finder for finder in sys.meta_path if isinstance(finder, Absent)), None)


def file_left_out(path: str) -> str | None:
    """Return why a file that is not there was left out of the function; None if it never was in it."""
    finder = installed()
    folder = next((each for each in sys.path if each and path.startswith(each + os.sep)), None)
    if finder is None or folder is None:
        return None
    reason = finder.reason(path[len(folder) + 1 :])
    return None if reason is None else f"It was left out of the function: {reason}."


def module_left_out(error: ImportError) -> str | None:
    """Return the module that `from package import module` did not find; Python says the name could not be imported."""
    finder = installed()
    missed = finder.missed if finder is not None else ()
    names = (each for each in missed if each.rpartition(".")[0] == error.name)
    return next((each for each in sorted(names) if f"'{each.rpartition('.')[2]}'" in str(error)), None)


def _module(path: str) -> str:
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return f"{folder}/{stem}" if folder else stem

"""What one execution environment keeps from one invocation to the next.

In: a way to load the operation. Out: the operation, run constants, process state. Must not keep a key.
"""

from __future__ import annotations

import os

from .arenas import Arenas
from .faults import SecretError
from .frame import load
from .inputs import is_immutable
from .output import Capture
from .settings import ProcessState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Environment:
    """An environment's operation and its memory; serves one request at a time."""

    def __init__(
        self, name: str, operation_id: str, load_operation: Callable[[], Callable[..., Any]]
    ) -> None:
        self.name = name
        self.operation_id = operation_id
        self.cold = True
        self.init_s = 0.0
        """What its start took, which is billed with the first request."""
        self.had_waited = False
        """Whether it was started before anybody asked: provisioned concurrency, which has a price of its own."""
        self.capture = Capture()
        self.arenas = Arenas()
        self.state = ProcessState()
        self._constants = Constants()
        self._load = load_operation
        self._begin()

    def _begin(self) -> None:
        self._failure: Exception | None = None
        try:
            self._operation = self._load()
        except Exception as error:  # noqa: BLE001  (the user's modules may raise anything; it is the tasks' outcome)
            self._failure, self._origin = error, error.__traceback__

    def rename(self) -> None:
        """Be another environment to whoever counts them."""
        self.name = f"restored-{os.urandom(8).hex()}"

    def operation(self) -> Callable[..., Any]:
        """Return what to call; raises what importing it raised. A secret that could not be read may be there by now."""
        if isinstance(self._failure, SecretError):
            self._begin()
        if self._failure is not None:
            raise self._failure.with_traceback(self._origin)  # not longer by each task that raises it
        return self._operation

    def constants(self, run: str, constants_id: str, read: Callable[[], memoryview]) -> Mapping[int, Any]:
        """Return the run constants for one task; `read` gives their verified frame where they are new."""
        return self._constants.of((run, constants_id), read)


class Constants:
    """The run constants of the latest run, verified once; decoded again for each task that could change them."""

    def __init__(self) -> None:
        self._of: tuple[str, str] | None = None
        self._frame = memoryview(b"")
        self._shared: Mapping[int, Any] | None = None

    def of(self, which: tuple[str, str], read: Callable[[], memoryview]) -> Mapping[int, Any]:
        """Return {port: value}."""
        if which != self._of:
            self._frame = read().toreadonly()
            values: Mapping[int, Any] = load(self._frame)
            self._shared = values if all(map(is_immutable, values.values())) else None
            self._of = which
            return values
        return load(self._frame) if self._shared is None else self._shared

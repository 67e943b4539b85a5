"""A task's failure as the exception that its run raises.

In: the wire's error, and where the user's source lines are. Out: the user's own exception, with a note of
where it happened; or an error of ours. Must not un-pickle anything that is not signed by the run's key.
"""

from __future__ import annotations

import linecache
from base64 import b64decode
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.edge import IN_TASK
from graphlambda.errors import (
    AuthenticationError,
    LostValueError,
    MissingModuleError,
    RunError,
    SecretError,
    StoreError,
    TaskError,
    UnpackError,
)
from graphlambda.runtime.faults import FrameError
from graphlambda.runtime.frame import decode
from graphlambda.runtime.wire import context, error_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Locate: TypeAlias = Callable[[str, int], tuple[str, int, str] | None]
    """(fingerprint of shipped code, instruction offset) → (file, line, name) of the user's own source."""

    WireError: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """The task that failed."""

    task: int
    key: str
    operation: str
    """The operation's name, for people."""

    function: str


_ENDS_LOOPS = (StopIteration, StopAsyncIteration)
"""What a coroutine may not raise: Python puts a RuntimeError in its place, which tells nothing of the task."""

_ALIKE = 3
"""How often Python prints a frame that a recursion repeats."""

_OURS: dict[str, tuple[type[RunError], str]] = {
    "store": (StoreError, "The store is unavailable."),
    "lost": (StoreError, "The store lost a value."),
    "damaged": (AuthenticationError, "Nothing was un-pickled."),
    "authentication": (AuthenticationError, "Nothing was un-pickled."),
    "unpacking": (UnpackError, "Give its function more of /tmp (`ephemeral_mb=`), or deploy it again."),
    "secret": (SecretError, "Nothing of the task ran."),
    "unshippable": (TaskError, "Return something that pickles, or what it is made from."),
}


def exception_of(error: WireError, culprit: Culprit, *, run: str, key: bytes, locate: Locate) -> Exception:
    """Return what to raise for a task's failure.

    The user's own exception comes back as itself, its key and remote traceback in its notes; where it
    cannot, a `TaskError` says what it was.
    """
    raised = (
        _kept(error, run)
        or _ours(error, culprit)
        or _own(error, culprit, run, key)
        or _stand_in(error, culprit)
    )
    raised.add_note(f"{IN_TASK}{culprit.key} of operation {culprit.operation} (function {culprit.function})")
    if error.get("frames"):
        raised.add_note(traceback_text(error, locate))
    if error["kind"] == "missing_path":
        raised.add_note(error.get("left_out") or _path_note(error["path"]))
    return raised


def _path_note(path: str) -> str:
    if not Path(path).is_absolute():
        return (
            f"A function works in a folder of its own: write the whole path, such as {Path(path).absolute()}."
        )
    return (
        f"A function has its own file system. If {path} is on this machine, name its folder in `paths=` (local Lambda "
        "only), or put the file where functions reach it, such as `s3://`."
    )


def traceback_text(error: WireError, locate: Locate) -> str:
    """Return the remote traceback as Python prints one, in the user's own source lines where they are known."""
    lines = ["Traceback in the function (most recent call last):"]
    frames = (_frame_lines(file, at, line, name, locate) for file, at, line, name in error["frames"])
    for frame, alike in ((frame, len(list(group))) for frame, group in groupby(frames)):
        lines += frame * min(alike, _ALIKE)
        if alike > _ALIKE:
            lines.append(f"  [Previous line repeated {alike - _ALIKE} more times]")
    return "\n".join([*lines, _last_line(error)])


def _frame_lines(place: str, offset: int, line: int, name: str, locate: Locate) -> list[str]:
    file, number, function = locate(place, offset) or (place, line, name)
    shown = [f'  File "{file}", line {number}, in {function}']
    source = linecache.getline(file, number).strip()
    return [*shown, f"    {source}"] if source else shown


def _kept(error: WireError, run: str) -> Exception | None:
    """Return what to raise where a value that another run keeps cannot be read."""
    if error.get("run", run) == run:
        return None
    message = (
        f"{error['message']}. A persisted collection holds it, whose run is over: persist that again, for nothing of this "
        "run can make it."
    )
    if error["kind"] == "lost":
        return LostValueError(message, error["run"], error["name"])
    return AuthenticationError(message)


def _ours(error: WireError, culprit: Culprit) -> Exception | None:
    if error["kind"] == "missing_module":
        return MissingModuleError(
            f"function {culprit.function} does not hold the module {error['module']!r}, which its task imported. "
            "Name its distribution in `requirements=`."
        )
    if error["kind"] in _OURS:
        kind, remedy = _OURS[error["kind"]]
        return kind(f"{error['message']}. {remedy}")
    return None


def _own(error: WireError, culprit: Culprit, run: str, key: bytes) -> Exception | None:
    """Return the user's exception itself, if it came and un-pickles here."""
    if not error.get("frame"):
        return None
    name = context(run, error_name(culprit.task))
    try:
        raised = decode(b64decode(error["frame"]), key=key, context=name)
    except FrameError as damaged:
        return AuthenticationError(str(damaged))
    except Exception:  # noqa: BLE001  (the class's own code ran: whatever it raises, the stand-in tells the story)
        return None
    return raised if isinstance(raised, Exception) and not isinstance(raised, _ENDS_LOOPS) else None


def _stand_in(error: WireError, culprit: Culprit) -> TaskError:
    return TaskError(f"task {culprit.key} raised {_last_line(error)}")


def _last_line(error: WireError) -> str:
    """Return what was raised as the last line of Python's tracebacks says it."""
    name = error["type"].removeprefix("builtins.")
    return f"{name}: {error['message']}" if error["message"] else name

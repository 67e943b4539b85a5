"""Where a user's call comes in, and errors and warnings go out: both point at the user's line, not into this package.

In: a verb; a warning's text. Out: the verb, whose errors keep no frames of ours; the warning, as said of the line that
called a verb. Must not hide a mistake of our own: an exception that is neither ours nor a task's keeps all its frames.
"""

from __future__ import annotations

import sys
import warnings
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from graphlambda.errors import GraphlambdaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

P = ParamSpec("P")
T = TypeVar("T")

Told: TypeAlias = "dict[str | tuple[str, type[Warning], int], int]"
Place: TypeAlias = tuple[str, int, str, Told]
"""File, line, module, and what the module was warned of already."""

IN_TASK = "in task "
"""How the note begins that each exception of a task has."""

OF_RESULT = "while the result of "
"""How the note begins that an exception has which a class of the user's raised when a result was un-pickled here."""

_BELOW = sys.stdlib_module_names | {"graphlambda"}
"""Packages whose frames tell a user nothing where no other frame is above them."""

_BEFORE = frozenset({"graphlambda", "dask"})
"""Packages that stand between a user's line and a verb."""

_called_from: ContextVar[Place | None] = ContextVar("_called_from", default=None)
"""Of the verb that goes on: event loop and threads that it uses see it, too."""


def edge(verb: Callable[P, T]) -> Callable[P, T]:
    """Return a verb for users: it knows from where it is called, and its errors come as if that line had raised them."""

    @wraps(verb)
    def called(*args: P.args, **keywords: P.kwargs) -> T:
        token = _called_from.set(_called_from.get() or _here())
        try:
            return verb(*args, **keywords)
        except Exception as error:
            if _is_foreseen(error):
                _shorten(error)
            raise
        finally:
            _called_from.reset(token)

    return called


def warn(text: str, category: type[Warning]) -> None:
    """Warn, as of the user's line."""
    file, line, module, known = _called_from.get() or _here()
    warnings.warn_explicit(text, category, file, line, module, known)


def _here() -> Place:
    """Return the innermost line of the stack that is a user's; of a thread of ours, its first."""
    frame: FrameType = sys._getframe()
    while _package(frame) in _BEFORE and frame.f_back is not None:
        frame = frame.f_back
    known = frame.f_globals.setdefault("__warningregistry__", {})
    return frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", ""), known


def _is_foreseen(error: Exception) -> bool:
    notes = getattr(error, "__notes__", ())
    return isinstance(error, GraphlambdaError) or any(note.startswith((IN_TASK, OF_RESULT)) for note in notes)


def _shorten(error: BaseException) -> None:
    """Take our frames from an error and from what led to it; what arose in them alone goes: the error's message tells it."""
    error.__traceback__ = _above(error.__traceback__)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is None or cause.__traceback__ is None:  # without frames it came home from a task
        return
    _shorten(cause)
    if cause.__traceback__ is None:
        error.__cause__ = None  # nor is its context shown any more


def _above(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback from its first frame on that is neither ours nor the standard library's."""
    while traceback is not None and _package(traceback.tb_frame) in _BELOW:
        traceback = traceback.tb_next
    return traceback


def _package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]

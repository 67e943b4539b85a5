"""An exception of a task as the wire's `error`.

In: an exception with its traceback. Out: JSON that says what happened and where in the user's code. Must not
keep the exception alive.
"""

from __future__ import annotations

import errno
import os
import sys
from copyreg import __newobj__  # type: ignore[attr-defined]

from .absent import file_left_out, module_left_out
from .faults import FaultError
from .pickling import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

MESSAGE_CHARACTERS = 8192
"""How much of an exception's message goes home as text; its frame has all of it."""

BRIEF_CHARACTERS = 200

FRAMES = 100
"""How many stack frames go home: the outermost half and the innermost half."""

_NOT_HERE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS)

_MEMBERS = ("errno", "strerror", "filename", "filename2")  # what an OSError keeps beside its `__dict__`

_IMPORT = "<frozen importlib"  # Python's own tracebacks leave these frames out, too
_HANDING_ON = (_IMPORT, os.path.dirname(__file__) + os.sep)  # noqa: PTH120  (pathlib costs a cold start 4 ms)


def describe(error: BaseException, frame: str | None) -> dict[str, Any]:
    """Return the wire's error; `frame` is the exception itself where it can travel, as base64 text."""
    brief = describe_briefly(error)
    places = _shortened(list(_places(error.__traceback__)))
    return {**brief, "message": _message(error, MESSAGE_CHARACTERS), "frame": frame, "frames": places}


def describe_briefly(error: BaseException) -> dict[str, Any]:
    """Return what fits into a reply ten thousand times."""
    kind, named = _kind(error)
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    message = _message(error, BRIEF_CHARACTERS)
    return {"kind": kind, "type": name, "message": message, "frame": None, "frames": [], **named}


def carry_causes(error: BaseException) -> None:
    """Make what an exception was raised from a part of its pickle, which holds its `__dict__` only.

    Un-pickling an exception sets each item of that as an attribute.
    """
    at, seen = error, {id(error)}
    while following := at.__cause__ or (None if at.__suppress_context__ else at.__context__):
        if id(following) in seen:
            return
        vars(at)["__cause__" if following is at.__cause__ else "__context__"] = following
        seen.add(id(following))
        at = following


def leave_causes(error: BaseException) -> None:
    """Take back `carry_causes`, for an exception whose causes do not pickle."""
    for name in ("__cause__", "__context__"):
        vars(error).pop(name, None)


def dumps_in_parts(error: BaseException, **_: Any) -> bytes:
    """Pickle an exception as its class, args and attributes; so are those that it holds.

    Its `__init__` is not called when that is un-pickled: it may ask for other arguments than `args` has.
    Raises what pickling its parts raises.
    """
    return dumps(error, _parts)


def is_like(rebuilt: Any, error: BaseException) -> bool:
    """Whether an exception came through its pickle: an `__init__` that makes its message would make it twice."""
    told = [_message(each, MESSAGE_CHARACTERS) for each in (rebuilt, error)]
    return type(rebuilt) is type(error) and told[0] == told[1]


def _parts(value: Any) -> Any:
    if not isinstance(value, BaseException):
        return NotImplemented
    members = {name: member for name in _MEMBERS if (member := getattr(value, name, None)) is not None}
    held = members if isinstance(value, OSError) else {}
    return __newobj__, (type(value), *value.args), {**vars(value), **held, "args": value.args}


def _kind(error: BaseException) -> tuple[str, dict[str, str]]:
    if isinstance(error, FaultError):
        return error.kind, error.told()
    missing = _missing_module(error)
    if missing is not None:
        return "missing_module", {"module": missing}
    path = _missing_path(error)
    if path is None:
        return "user", {}
    why = file_left_out(path)
    return "missing_path", {"path": path} | ({} if why is None else {"left_out": why})


def _missing_path(error: BaseException) -> str | None:
    """Return the path that was not there, not allowed, or not to be written to."""
    if not isinstance(error, OSError) or error.errno not in _NOT_HERE:
        return None
    path = error.filename.decode(errors="replace") if isinstance(error.filename, bytes) else error.filename
    return path if isinstance(path, str) else None


def _missing_module(error: BaseException) -> str | None:
    """Return the module that an import did not find; libraries wrap that in an ImportError of their own."""
    at: BaseException | None = error
    while isinstance(at, ImportError):
        if isinstance(at, ModuleNotFoundError):
            return at.name
        if left_out := module_left_out(at):
            return left_out
        at = at.__cause__ or at.__context__
    return None


def _message(error: BaseException, characters: int) -> str:
    try:
        return str(error)[:characters]
    except Exception as broken:  # noqa: BLE001  (a user's __str__ may raise anything)
        return f"(its __str__ raised {type(broken).__name__})"


def _places(traceback: TracebackType | None) -> Iterator[tuple[str, int, int, str]]:
    """Yield (file or fingerprint, instruction offset, line, name) from the operation on."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_HANDING_ON):
        traceback = traceback.tb_next
    while traceback is not None:
        code, line = traceback.tb_frame.f_code, traceback.tb_lineno or 0
        if not code.co_filename.startswith(_IMPORT):
            yield _within_artifact(code.co_filename), traceback.tb_lasti, line, code.co_qualname
        traceback = traceback.tb_next


def _within_artifact(file: str) -> str:
    """Return a file's path below the folder that it was imported from; a fingerprint stays as it is."""
    folders = (folder for folder in sys.path if folder and file.startswith(folder + os.sep))
    return file[len(max(folders, key=len, default="")) :].lstrip(os.sep)


def _shortened(places: list[tuple[str, int, int, str]]) -> list[tuple[str, int, int, str]]:
    return places if len(places) <= FRAMES else places[: FRAMES // 2] + places[-FRAMES // 2 :]

"""Import an artifact where nothing else can be seen, and say what was missing.

In (standard input): JSON with `opt` (folders laid out as `/opt/python`), `modules` to import from it, `tasks`
(folders laid out as `/var/task`, by operation id). Out (the file that the first argument names): JSON with a
failure, or null, for each module and operation. What operations share is imported once, then one fork each
imports its `operation.py`; nothing of it is called.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "graphlambda_operation"


def attempt(what: object, *arguments: object) -> dict[str, object] | None:
    """Call and return what went wrong, or None."""
    try:
        what(*arguments)  # type: ignore[operator]
    except BaseException as error:  # noqa: BLE001 - importing may raise anything: that is the question asked
        return describe(error)
    return None


def describe(error: BaseException) -> dict[str, object]:
    """Return an exception as JSON, with every module that it and its causes miss."""
    missing: list[str] = []
    link: BaseException | None = error
    for _ in range(16):
        if isinstance(link, ModuleNotFoundError) and link.name and link.name not in missing:
            missing.append(link.name)
        link = link and (link.__cause__ or link.__context__)
    files = sorted({*files_of(error)})
    return {"type": type(error).__name__, "message": str(error)[:2000], "missing": missing, "files": files}


def files_of(error: BaseException | None) -> Iterator[str]:
    """Yield the files whose code was running when an exception was raised, and what it comes from."""
    for _ in range(16):
        place = error and error.__traceback__
        while place:
            yield place.tb_frame.f_code.co_filename
            place = place.tb_next
        error = error and (error.__cause__ or error.__context__)


def import_operation(task: str) -> None:
    """Import `operation.py` as our runtime does."""
    sys.path[:0] = [os.path.join(task, "user"), task]  # noqa: PTH118 - pathlib is not worth its import
    spec = importlib.util.spec_from_file_location(MODULE, os.path.join(task, "operation.py"))  # noqa: PTH118
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]


def in_fork(task: str) -> dict[str, object] | None:
    """Import an operation in a process of its own: what it imports must not help the next one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as file:
            json.dump(attempt(import_operation, task), file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"type": "Crash", "message": f"the interpreter died by {name}", "missing": []}
    failure: dict[str, object] | None = json.loads(
        text or '{"type": "Crash", "message": "exit", "missing": []}'
    )
    return failure


def main() -> None:
    """Prove what standard input asks for."""
    job = json.load(sys.stdin)
    sys.path[:0] = job["opt"]
    modules = {name: attempt(importlib.import_module, name) for name in job["modules"]}
    operations = {name: in_fork(task) for name, task in job["tasks"].items()}
    with open(sys.argv[1], "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump({"modules": modules, "operations": operations}, file)


if __name__ == "__main__":
    main()

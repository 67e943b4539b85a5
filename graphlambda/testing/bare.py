"""A function without Lambda: an artifact's files, and a bare interpreter that hands it requests as JSON.

In: the source of an operation. Out: replies. Must not import the operation into this process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from graphlambda.runtime import frame, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphlambda.store import Store

OPERATION = "0123456789abcdef" * 4
"""The id of the operation that every such artifact holds."""

_DRIVER = """
import json, sys
sys.path[:0] = sys.argv[1:]
from graphlambda_runtime.handler import handler
replies, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    try:
        reply = handler(json.loads(line), None)
    except Exception as error:
        reply = {"errorType": type(error).__name__, "errorMessage": str(error)}
    print(json.dumps(reply), file=replies, flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Makes requests of one run, and reads values out of replies."""

    store: Store
    run: str
    keys: Mapping[str, bytes]
    """By run id: of this run, and of the runs whose values it reads."""

    def request(
        self,
        *bindings: Sequence[Any],
        inline: Mapping[Any, bytes] | None = None,
        constants: Mapping[int, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        picks: Mapping[int, tuple[Any, ...]] | None = None,
        unsent: Sequence[int] = (),
        shared: tuple[str, float, dict[int, int]] | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """Return a request whose tasks 0, 1, … have these bindings, but for `picks`; `changes` replace what is in it."""
        tasks = list(range(len(bindings) + len(picks or {})))
        columns = [_column(bound) for bound in zip(*bindings, strict=True)]
        return {
            "v": wire.VERSION,
            "run": self.run,
            "operation": OPERATION,
            "keys": {run: _text(key) for run, key in self.keys.items()},
            "store": self.store.spec(),
            "inline_bytes": 65_536,
            "reply_bytes": 4_000_000,
            "gmac": True,
            "constants": self._identified("c", constants or {}),
            "settings": self._identified("s", settings or {}),
            "batch": _text(
                self.encode(
                    (tasks, columns, inline or {}, picks or {}, unsent, shared), wire.INLINE_BATCH, OPERATION
                )
            ),
            **changes,
        }

    def encode(self, value: Any, name: str, operation: str = "") -> bytes:
        """Return a value's frame in this run, for one operation's functions or for all."""
        return frame.encode(value, key=self.keys[self.run], context=wire.context(self.run, name, operation))

    def decode(self, framed: bytes | str, name: str) -> Any:
        """Return the value of a frame, or of base64 text that holds one."""
        framed = b64decode(framed) if isinstance(framed, str) else framed
        return frame.decode(framed, key=self.keys[self.run], context=wire.context(self.run, name))

    def values(self, reply: Mapping[str, Any]) -> list[Any]:
        """Return the values of a reply whose tasks all succeeded and answered inline."""
        failed = [outcome["error"] for outcome in reply["outcomes"] if "error" in outcome]
        if failed:
            raise AssertionError(f"tasks failed: {failed}")
        return [
            self.decode(outcome["value"], wire.value_name(outcome["task"])) for outcome in reply["outcomes"]
        ]

    def _identified(self, letter: str, values: Mapping[Any, Any]) -> dict[str, str]:
        digest = sha256(repr(values).encode()).hexdigest()[:16]
        operation = OPERATION if letter == "c" else ""
        return {"id": digest, "frame": _text(self.encode(values, f"{letter}-{digest}", operation))}


@dataclass(slots=True)
class BareFunction:
    """One execution environment: `python -I -S` on an artifact's folder."""

    folder: Path
    """Where the artifact's files are; also holds the environment's log."""

    layers: Sequence[Path] = ()
    """Folders that modules are found in, after the artifact."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """The environment's variables, all of them."""

    _process: subprocess.Popen[str] | None = None
    _log: IO[str] | None = None

    def __enter__(self) -> Self:
        self._log = (self.folder / "log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DRIVER, str(self.folder), *map(str, self.layers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=dict(self.variables),
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._log is not None:
            self._process.communicate(timeout=30)
            self._log.close()

    def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply, or `{"errorType": …, "errorMessage": …}` where the handler raised.

        Beside its columns it holds `outcomes`: one dict a task.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise AssertionError("the function runs inside its `with` only")
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the environment ended: {self.log()}")
        reply: dict[str, Any] = json.loads(line)
        return reply if "errorType" in reply else {**reply, "outcomes": outcomes_of(reply)}

    def log(self) -> str:
        """Return what the environment wrote to its streams."""
        return (self.folder / "log").read_text()


def outcomes_of(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a reply's outcomes row by row: `value` is the frame, None where it was stored; what is absent is not there."""
    inline, at = b64decode(reply["inline"]), 0
    outcomes = []
    for task, seconds, size in zip(reply["tasks"], reply["seconds"], reply["bytes"], strict=True):
        outcome: dict[str, Any] = {"task": task, "seconds": seconds}
        if str(task) not in reply["errors"]:
            rides = task not in {*reply["stored"], *reply["shared"], *reply["unsent"]}
            outcome |= {"bytes": size, "value": inline[at : at + size] if rides else None}
            at += size if rides else 0
        for name in ("error", "output", "modules"):
            told = reply[name if name == "modules" else f"{name}s"]
            outcome |= {name: told[str(task)]} if str(task) in told else {}
        outcomes.append(outcome)
    return outcomes


def lay_out(folder: Path, source: str, files: Mapping[str, str] | None = None) -> Path:
    """Lay out an artifact of this operation and other files, by path; return its folder."""
    shutil.copytree(Path(frame.__file__).parent, folder / "graphlambda_runtime")
    laid_out = {
        "operation.py": source,
        "manifest.json": json.dumps({"operation": OPERATION}),
        **(files or {}),
    }
    for path, content in laid_out.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def _column(bindings: Sequence[Any]) -> tuple[Any, ...]:
    kinds = {binding[0] for binding in bindings}
    if kinds == {"c"}:
        return ("c",)
    if len(kinds) > 1:
        return "m", list(bindings)
    return kinds.pop(), [binding[1] for binding in bindings]


def _text(content: bytes) -> str:
    return b64encode(content).decode()

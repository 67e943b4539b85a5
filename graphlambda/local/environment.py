"""One execution environment: a process of its own, and the Runtime API port that serves it alone.

In: a function, how its process is started and the parent it may be forked from, invocations one at a time. Out: results, to each invocation's `done`;
`released` and `ended` to the pool. Must not know concurrency or other environments.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from graphlambda.local import limits, processes
from graphlambda.local.answers import Answer
from graphlambda.local.http import Connection, Reply
from graphlambda.local.invocation import (
    Invocation,
    Report,
    Result,
    error_type,
    exited,
    report_line,
    timed_out,
    too_large,
)
from graphlambda.local.names import function_arn
from graphlambda.local.plan import helpers
from graphlambda.local.runtime_api import RuntimeApi

if TYPE_CHECKING:
    from graphlambda.local.launcher import Launch
    from graphlambda.local.parents import Parent
    from graphlambda.local.records import Function

_PORT_ALONE = 9001
"""Where a process without a network finds the Runtime API: in a network of its own, `guest.sandbox` listens there."""

FREEZE_S = 0.05
"""How long a process goes on after its invocation before it is frozen. Lambda freezes at once; here, waking a frozen
process would cost each of many short invocations in a row."""


class Owner(Protocol):
    """Who keeps environments."""

    def released(self, environment: Environment) -> None:
        """Learn that its invocation has ended; the environment can take another unless it is `dead`."""

    def ended(self, environment: Environment) -> None:
        """Learn that its process is gone."""


class Environment:
    """A process that runs one function, one invocation at a time."""

    def __init__(self, function: Function, generation: int, owner: Owner) -> None:
        self.function = function
        self.generation = generation
        """Which set of visible paths and identity it was started with."""
        self.dead = False
        """Whether it was told to end, or has."""
        self.peak_mb = 0
        self._owner = owner
        self._current: Invocation | None = None
        self._next: Reply | None = None
        self._frozen = False
        self._why = ""
        self._log = bytearray()
        self._init_ms: float | None = None
        self._cold = True
        self._began = time.perf_counter()
        self._deadline_s = 0.0
        """When the invocation that runs is ended, on the loop's clock."""
        self._free_since_s = 0.0
        self._resting: asyncio.TimerHandle | None = None
        self._serving: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._pid: int | None = None
        """None before it is born and after it has died."""
        self._helpers = 0
        self._input: int | None = None
        """Where the process writes to, until it is born."""
        self._gone = asyncio.Event()

    def processes(self) -> list[int]:
        """Return the function's process and all that it has started; the guest's own helpers are left out."""
        return [] if self._pid is None else processes.descendants(self._pid)[self._helpers :]

    def start(self, launch: Launch, first: Invocation, parent: Parent | None) -> None:
        """Start the process, by its parent if it has one; it gets `first` as soon as it asks.

        Raises:
            OSError: the process could not be started.
        """
        loop = asyncio.get_running_loop()
        self._token = str(launch.specification["token"])
        self._alone = not launch.specification["network"]
        listener = None if self._alone else socket.create_server(("127.0.0.1", 0))
        self._port = _PORT_ALONE if listener is None else listener.getsockname()[1]
        variables = {**launch.variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._port}"}
        self._launch = replace(launch, variables=variables)
        self._output, end = os.pipe()
        self._input = end
        os.set_blocking(self._output, False)
        try:
            if parent is None:
                self._spawn()
            else:
                parent.fork(self, self._launch.order(), os.dup(end))
        except OSError:
            if listener is not None:
                listener.close()
            os.close(self._output)
            self._close_input()
            raise
        loop.add_reader(self._output, self._drain)
        if listener is not None:
            self._serve_on(listener)
        self._current = first
        self._deadline_s = loop.time() + limits.INIT_S + self.function.timeout_s

    def give(self, invocation: Invocation) -> None:
        """Run an invocation; the environment must be free."""
        assert self._current is None
        assert not self.dead
        self._current = invocation
        if self._next is not None:
            self._hand_over(self._next)

    def runs(self, request_id: str) -> bool:
        """Return whether this is the invocation that runs."""
        return self._current is not None and self._current.id == request_id

    def keep_time(self, now_s: float) -> None:
        """End the process if its invocation runs for too long."""
        if now_s > self._deadline_s and self._current is not None:
            self.end("Sandbox.Timedout")

    def end(self, why: str = "") -> None:
        """Kill the process; `why` is the error type that a running invocation ends with."""
        if self.dead:
            return
        self.dead, self._why = True, why
        self._kill()

    async def gone(self) -> None:
        """Wait until the process has ended and its port is closed."""
        await self._gone.wait()

    # --- what a parent says ------------------------------------------------------------------------------------

    def born(self, pid: int, listener: socket.socket | None) -> None:
        """The process was forked; without a network, it brings along what it will ask."""
        self._is(pid, forked=True)
        if listener is not None:
            self._serve_on(listener)
        if self.dead:
            self._kill()

    def refused(self) -> None:
        """The process is not forked: it is started plainly, unless nobody wants it any more."""
        if self.dead:
            self.died(-signal.SIGKILL)
            return
        try:
            self._spawn()
        except OSError:
            self.died(1)

    # --- what the process asks of the Runtime API -------------------------------------------------------------

    def is_own(self, peer: tuple[str, int]) -> bool:
        """Return whether a connection comes from this environment's process."""
        if self._alone:
            return True  # nobody else has its network
        return self._pid is not None and processes.owns_connection(self._pid, peer, self._port)

    def has_token(self, token: str) -> bool:
        """Return whether this is the secret that this environment's process was started with."""
        return secrets.compare_digest(token.encode(), self._token.encode())

    def next(self, reply: Reply) -> None:
        """The process is ready: give it the invocation that waits, or let it sleep."""
        if self._init_ms is None:
            self._init_ms = (time.perf_counter() - self._began) * 1e3
        if self._current is not None:
            self._hand_over(reply)
            return
        self._next = reply
        loop = asyncio.get_running_loop()
        self._free_since_s = loop.time()
        if self._resting is None:
            self._resting = loop.call_later(FREEZE_S, self._rest)

    def respond(self, request_id: str, body: bytes, *, failed: bool) -> bool:
        """The process has a response or an error; return whether it is for the invocation that runs."""
        if self._current is None or self._current.id != request_id:
            return False
        self._finish(body, "Unhandled" if failed else "")
        return True

    def respond_too_large(self) -> None:
        """The process has a response that Lambda does not pass on."""
        self.dead = True  # AWS's client ends on the 413 that its process gets now
        self._finish(too_large(), "Unhandled", "Function.ResponseSizeTooLarge")
        self._kill()

    def fail_to_start(self, body: bytes) -> None:
        """The function's module did not import: the environment is of no use."""
        self.dead = True
        self._finish(body, "Unhandled", error_type(body))
        self._kill()

    # --- inside -------------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        """Start the process plainly."""
        launch = self._launch
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            launch.command,
            env=dict(launch.variables),
            cwd=launch.folder,
            stdin=theirs.fileno(),
            stdout=self._input,
            stderr=self._input,
            start_new_session=True,
        )
        theirs.close()
        ours.sendall(json.dumps(launch.specification).encode())
        ours.shutdown(socket.SHUT_WR)
        if self._alone:
            asyncio.get_running_loop().add_reader(ours, self._take_listener, ours)
        else:
            ours.close()
        self._is(process.pid, forked=False)
        processes.watch(process, self.died)

    def _take_listener(self, guest: socket.socket) -> None:
        """Take over what the process, which has no network, listens with for us."""
        _, files, _, _ = socket.recv_fds(guest, 16, 1)
        asyncio.get_running_loop().remove_reader(guest)
        guest.close()
        if files:
            self._serve_on(socket.socket(fileno=files[0]))

    def _serve_on(self, listener: socket.socket) -> None:
        api = RuntimeApi(self, by_token=self._launch.specification["client"] == "pure")
        self._serving = asyncio.get_running_loop().create_task(self._listen(listener, api))

    def _is(self, pid: int, *, forked: bool) -> None:
        """Take note of the process; it alone writes to its log from now on."""
        self._pid, self._helpers = pid, helpers(self._launch.specification["level"], forked=forked)
        self._close_input()

    def _close_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None

    def _kill(self) -> None:
        if self._pid is not None:
            processes.kill(self._pid)

    async def _listen(self, listener: socket.socket, api: RuntimeApi) -> None:
        self._server = await asyncio.get_running_loop().create_server(lambda: Connection(api), sock=listener)

    def _rest(self) -> None:
        """Freeze the process if it has been free for long enough; one timer does for many short invocations."""
        self._resting = None
        if self.dead or self._next is None or self._pid is None:
            return
        loop = asyncio.get_running_loop()
        left_s = self._free_since_s + FREEZE_S - loop.time()
        if left_s > 0:
            self._resting = loop.call_later(left_s, self._rest)
        else:
            processes.freeze(self._pid)
            self._frozen = True

    def _hand_over(self, reply: Reply) -> None:
        invocation, self._next = self._current, None
        assert invocation is not None
        if self._frozen and self._pid is not None:
            processes.thaw(self._pid)
            self._frozen = False
        self._deadline_s = asyncio.get_running_loop().time() + self.function.timeout_s
        if invocation.tail:
            self._drain()
            self._log.clear()
        self._began = time.perf_counter()
        deadline_ms = int((time.time() + self.function.timeout_s) * 1000)
        headers = (
            ("Lambda-Runtime-Aws-Request-Id", invocation.id),
            ("Lambda-Runtime-Deadline-Ms", str(deadline_ms)),
            ("Lambda-Runtime-Invoked-Function-Arn", function_arn(self.function.name)),
        )
        reply(Answer(200, invocation.payload, headers))

    def _finish(self, payload: bytes, function_error: str, kind: str = "") -> None:
        """End the invocation that runs, and be free for the next."""
        invocation, self._current = self._current, None
        if invocation is None:
            return
        log = self._tail(invocation, kind) if invocation.tail else b""
        self._cold = False
        self._owner.released(self)
        invocation.done(Result(payload=payload, function_error=function_error, log=log))

    def _tail(self, invocation: Invocation, kind: str) -> bytes:
        self._drain()
        if not self.dead:
            self.peak_mb = max(self.peak_mb, -(-processes.peak_bytes(self.processes()) // 2**20))
        report = Report(
            duration_ms=(time.perf_counter() - self._began) * 1e3,
            init_ms=self._init_ms if self._cold else None,
            memory_mb=self.function.memory_mb,
            peak_mb=self.peak_mb,
            error=kind,
        )
        start = f"START RequestId: {invocation.id} Version: $LATEST\n".encode()
        end = f"END RequestId: {invocation.id}\n{report_line(invocation.id, report)}".encode()
        return (start + self._log + end)[-limits.LOG_TAIL_BYTES :]

    def _drain(self) -> None:
        """Read what the process has written; only the end is kept."""
        while True:
            try:
                data = os.read(self._output, 65_536)
            except BlockingIOError:
                return
            if not data:
                asyncio.get_running_loop().remove_reader(self._output)
                return
            self._log += data
            del self._log[: -limits.LOG_TAIL_BYTES]

    def died(self, returncode: int) -> None:
        """Clear up after the process, and end the invocation that it was running."""
        self.dead = True
        request_id = self._current.id if self._current else ""
        if self._why == "Sandbox.Timedout":
            payload, kind = timed_out(request_id, self.function.timeout_s), self._why
        else:
            out_of_memory = self._why == "Runtime.OutOfMemory"
            payload = exited(request_id, returncode, out_of_memory=out_of_memory)
            kind = self._why or "Runtime.ExitError"
        self._finish(payload, "Unhandled", kind)
        self._close()
        self._owner.ended(self)

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._output)
        os.close(self._output)
        self._close_input()
        if self._resting is not None:
            self._resting.cancel()
        if self._serving is not None:
            self._serving.cancel()
        if self._server is not None:
            self._server.close()
        if self._launch.tmp is not None:
            shutil.rmtree(self._launch.tmp, ignore_errors=True)
        self._pid = None
        self._gone.set()

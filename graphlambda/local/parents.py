"""Warmed parents: processes that have imported what environments need, and fork them in milliseconds.

In: how a parent is started, environments to fork. Out: their births and ends; a refusal where none may be forked: the
environment is started plainly then. Must not outlive the service, nor end while an environment of theirs lives: the
kernel would end that, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from graphlambda.local import limits, processes
from graphlambda.local.settings import processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graphlambda.local.launcher import Launch, Warmth

WARM_S = limits.INIT_S + 5.0
"""How long imports may take; whoever waits for longer is started plainly."""

_MESSAGE_BYTES = 1 << 18


class Child(Protocol):
    """An environment that waits to be forked."""

    def born(self, pid: int, listener: socket.socket | None) -> None:
        """Learn the process that everything of the environment descends from, and what listens where it is alone."""

    def died(self, returncode: int) -> None:
        """Learn that the process has ended."""

    def refused(self) -> None:
        """Learn that nobody forks it."""


class Parent:
    """One parent's process, seen from the service."""

    def __init__(self, warmth: Warmth, changed: Callable[[Parent], None]) -> None:
        self.warmth = warmth
        self.ready = False
        self.loaded: frozenset[str] = frozenset()
        """Modules that it has imported, once it is ready."""
        self.why_not = ""
        """Why it forks nothing, if it does not."""
        self.has_forked = False
        self._changed = changed
        self._children: dict[int, Child] = {}
        self._waiting: list[tuple[int, Mapping[str, Any], int]] = []
        self._pids: dict[int, int] = {}
        self._number = 0
        self._gone = asyncio.Event()

    @property
    def dead(self) -> bool:
        """Return whether the process has ended."""
        return self._gone.is_set()

    def start(self, launch: Launch) -> None:
        """Start the process; orders wait until it has imported everything.

        Raises:
            OSError: the process could not be started.
        """
        loop = asyncio.get_running_loop()
        self._tmp = launch.tmp
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                launch.command,
                env=dict(launch.variables),
                cwd=launch.folder,
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control.send(json.dumps(launch.specification).encode())
        self._control.setblocking(False)
        loop.add_reader(self._control, self._heard)
        processes.watch(self._process, self._ended)
        self._timer = loop.call_later(WARM_S, self.end, "its imports took too long")

    @property
    def busy(self) -> bool:
        """Return whether an environment of its own lives, or is about to."""
        return bool(self._children)

    def fork(self, child: Child, order: Mapping[str, Any], log: int) -> None:
        """Have an environment forked, which writes to the descriptor `log`; that is taken over."""
        self._number += 1
        self._children[self._number] = child
        if self.ready:
            self._order(self._number, order, log)
        else:
            self._waiting.append((self._number, order, log))

    def end(self, why: str = "") -> None:
        """Kill the process, and with it what it has forked."""
        self.why_not = self.why_not or why or "it was ended"
        if not self.dead:
            processes.kill(self._process.pid)

    async def gone(self) -> None:
        """Wait until the process has ended."""
        await self._gone.wait()

    def _order(self, number: int, order: Mapping[str, Any], log: int) -> None:
        message = json.dumps({"number": number, **order}).encode()
        try:
            if not self.why_not:
                socket.send_fds(self._control, [message], [log])
        except OSError as error:
            self.why_not = str(error)
        finally:
            os.close(log)
        if self.why_not:
            self._refuse(number)

    def _heard(self) -> None:
        """Take note of what the parent, or a child of it, says."""
        try:
            data, files, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 2)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._control)
            return
        match json.loads(data):
            case {"ready": why, "loaded": loaded}:
                self._is_ready(why, loaded)
            case {"born": number}:
                self._born(number, *files)
            case {"refused": number, "why": why}:
                self.why_not = why
                self._refuse(number)
            case {"ended": number, "status": status}:
                self._pids.pop(number, None)
                self._children.pop(number).died(status)
        self._changed(self)

    def _is_ready(self, why: str, loaded: Iterable[str]) -> None:
        self._timer.cancel()
        self.ready, self.why_not, self.loaded = True, why, frozenset(loaded)
        waiting, self._waiting = self._waiting, []
        for order in waiting:
            self._order(*order)

    def _born(self, number: int, handle: int, listener: int | None = None) -> None:
        pid = processes.pid_of(handle)
        os.close(handle)
        if pid is not None:
            self.has_forked = True
            self._pids[number] = pid
            self._children[number].born(pid, None if listener is None else socket.socket(fileno=listener))

    def _refuse(self, number: int) -> None:
        self._children.pop(number).refused()

    def _ended(self, returncode: int) -> None:
        """Clear up after the process: who waits for it is started plainly, what it forked has ended with it."""
        del returncode
        self._timer.cancel()
        self.why_not = self.why_not or "it died"
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        for pid in self._pids.values():
            processes.kill(pid)
        for _, _, log in self._waiting:
            os.close(log)
        for number in list(self._children):
            child = self._children.pop(number)
            child.died(-9) if number in self._pids else child.refused()
        self._waiting.clear()
        if self._tmp is not None:
            shutil.rmtree(self._tmp, ignore_errors=True)
        self._gone.set()
        self._changed(self)


def asks_for_less(one: Warmth, other: Warmth) -> bool:
    """Return whether all that one parent was asked to have, another one is asked for, too."""
    same = (one.layers, one.variables, one.sight) == (other.layers, other.variables, other.sight)
    return same and set(one.modules) <= set(other.modules)


class Parents:
    """The parents of one service, kept by least recent use."""

    def __init__(self, launch: Callable[[Warmth], Launch], most: int) -> None:
        self._launch = launch
        self._most = most
        self._at_once = processors()
        self._live: dict[Warmth, Parent] = {}
        """The longest unused first."""
        self._ending: set[Parent] = set()
        self._barren: dict[Warmth, str] = {}
        """What no parent can have without being unsafe to fork, and why."""
        self._to_warm: deque[Warmth] = deque()

    def __len__(self) -> int:
        return len(self._live)

    def of(self, warmth: Warmth) -> Parent | None:
        """Return a parent for a function, started if need be; None where it is to be started plainly."""
        if not processes.LINUX or warmth in self._barren:
            return None
        parent = self._live.get(warmth) or self._alike(warmth) or self._started(warmth)
        if parent is not None:
            self._live[parent.warmth] = self._live.pop(parent.warmth)
        return parent

    def warm(self, wanted: Iterable[Warmth]) -> None:
        """Start parents ahead of need, in the order in which they will be needed."""
        self._to_warm = deque(dict.fromkeys([*self._to_warm, *wanted]))
        self._warm_next()

    def retire(self, stays: Callable[[Warmth], bool]) -> None:
        """Let go of parents that are not wanted any more: each ends with the last of its environments."""
        self._to_warm = deque(filter(stays, self._to_warm))
        for warmth in [warmth for warmth in self._live if not stays(warmth)]:
            self._let_go(warmth)

    async def close(self) -> None:
        """End all parents and wait until they are gone."""
        self._to_warm.clear()
        parents = [*self._live.values(), *self._ending]
        for parent in parents:
            parent.end()
        await asyncio.gather(*(parent.gone() for parent in parents))

    def _alike(self, warmth: Warmth) -> Parent | None:
        """Return a parent that was asked for less, and in doing so has imported just what is asked for now."""
        less = (parent for parent in self._live.values() if asks_for_less(parent.warmth, warmth))
        return next((parent for parent in less if parent.loaded.issuperset(warmth.modules)), None)

    def _started(self, warmth: Warmth) -> Parent | None:
        while len(self._live) >= self._most:
            idle = next((each for each, parent in self._live.items() if not parent.busy), None)
            if idle is None:
                return None
            self._let_go(idle)
        parent = Parent(warmth, self._changed)
        try:
            parent.start(self._launch(warmth))
        except OSError as error:
            self._barren[warmth] = str(error)
            return None
        self._live[warmth] = parent
        return parent

    def _let_go(self, warmth: Warmth) -> None:
        parent = self._live.pop(warmth)
        if not parent.dead:
            self._ending.add(parent)
            if not parent.busy:
                parent.end()

    def _changed(self, parent: Parent) -> None:
        """Draw the conclusions from what has become of a parent."""
        if parent.why_not and self._live.get(parent.warmth) is parent:
            if not parent.has_forked:  # else something befell it: the next one may live
                self._barren[parent.warmth] = parent.why_not
            self._let_go(parent.warmth)
        elif parent.dead:
            self._ending.discard(parent)
        elif parent in self._ending and not parent.busy:
            parent.end()
        self._warm_next()

    def _warm_next(self) -> None:
        """Start the next parents that are wanted ahead: as many are at their imports as there are processors."""
        while self._to_warm and sum(not parent.ready for parent in self._live.values()) < self._at_once:
            if len(self._live) >= self._most:
                self._to_warm.clear()
                return
            warmth = self._to_warm[0]
            if any(not parent.ready and asks_for_less(had, warmth) for had, parent in self._live.items()):
                return  # that one may do for this one, too
            self._to_warm.popleft()
            if warmth not in self._live and warmth not in self._barren and self._alike(warmth) is None:
                self._started(warmth)

"""A parent of environments: it has imported what they need, and forks one for each order.

In: a specification, then orders, each a message on a socket. Out: here never; in a child, the environment.
Must not run a function's own code, only what lies in layers and the standard library; nor fork unless a child starts
like a process of its own would: with one thread (the locks of others would stay locked in a child), no files, no
processes, nothing in /tmp.

To the service: {"ready": why not or "", "loaded": modules}, then for each order {"born": number} with a handle of the
process that everything of the environment descends from (sent by that process itself, before it does anything else)
and, where it has no network, what listens for it; {"ended": number, "status": …}, or {"refused": number, "why": …}.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import socket
import struct
import sys

from . import bootstrap, sandbox

TYPE_CHECKING = False  # the typing module costs 4 ms of a cold start
if TYPE_CHECKING:
    from typing import Any

_MESSAGE_BYTES = 1 << 18
_LOG, _END = 1, 3
"""Descriptors of a child: its log, and where process 1 of its world writes how the function ended."""


def main() -> None:
    """Be a parent; return in no process but its children, as environments."""
    control = socket.socket(fileno=os.dup(0))
    bootstrap.close_input()
    spec, _ = _receive(control)
    sandbox.enter_as_parent(spec)
    bootstrap.settle(spec)
    before = _files(), os.listdir(spec["tmp"])  # noqa: PTH208 - no pathlib here
    why = _warm(spec["modules"]) or _unsafe(spec["tmp"], before)
    _send(control, {"ready": why, "loaded": sorted(sys.modules)})
    parent = os.getpid()
    order = Parent(control, spec["level"]).serve()
    _be_environment({**spec, **order}, parent)


class Parent:
    """Forks children and buries them."""

    def __init__(self, control: socket.socket, level: str) -> None:
        self._control = control
        self._level = level
        self._outside = sandbox.own_processes() if level == "namespaces" else -1
        self._children: dict[int, tuple[int, int, int]] = {}
        """By handle: the order's number, the child, where process 1 of its world says how the function ended."""

    def serve(self) -> dict[str, Any]:
        """Carry out orders until the service is gone; return in a child, with its order."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor in self._children:
                    poll.unregister(descriptor)
                    self._bury(descriptor)
                    continue
                order, files = _receive(self._control)
                handle = self._fork(order, files[0])
                if handle is None:
                    return order
                os.close(files[0])
                if handle >= 0:
                    poll.register(handle, select.POLLIN)

    def _fork(self, order: dict[str, Any], log: int) -> int | None:
        """Return a handle of a new child, -1 where none may be; None in the child."""
        if why := _threads():
            _send(self._control, {"refused": order["number"], "why": why})
            return -1
        sys.stdout.flush()
        ended, end = os.pipe()
        child = sandbox.fork_outside(self._outside) if self._level == "namespaces" else os.fork()
        if not child:
            self._be_child(order, log, end)
            return None
        os.close(end)
        handle = os.pidfd_open(child)
        self._children[handle] = order["number"], child, ended
        return handle

    def _be_child(self, order: dict[str, Any], log: int, end: int) -> None:
        """Tell the service who we are, and let go of all that is the parent's."""
        os.setsid()
        files = [os.pidfd_open(os.getpid())]
        if not order["network"]:
            files.append(sandbox.listen_alone())
        _send(self._control, {"born": order["number"]}, *files)
        self._control.detach()
        for target in (_LOG, _LOG + 1):
            os.dup2(log, target)
        os.dup2(end, _END)
        os.closerange(_END + 1, os.sysconf("SC_OPEN_MAX"))

    def _bury(self, handle: int) -> None:
        """Say how a child ended."""
        number, child, ended = self._children.pop(handle)
        _, own = os.waitpid(child, 0)
        status = os.read(ended, 4)
        os.close(ended)
        os.close(handle)
        how = struct.unpack("i", status)[0] if status else own
        _send(self._control, {"ended": number, "status": os.waitstatus_to_exitcode(how)})


def _be_environment(spec: dict[str, Any], parent: int) -> None:
    """Shut a child in, make its state its own, and serve its function."""
    if spec["level"] == "namespaces":
        sandbox.enter_inner_world(spec["inner"], _END)
    else:
        os.close(_END)
        sandbox.die_with(parent)
        if spec["level"] == "landlock":
            sandbox.enter_landlock(spec["readable"], spec["writable"])
    os.environ.clear()
    os.environ.update(spec["variables"])
    importlib.import_module("graphlambda_afresh").afresh()
    bootstrap.enter_task(spec["task"])
    bootstrap.run(spec)


def _warm(modules: list[str]) -> str:
    """Import modules; return why not, if one does not import: the function's own import will say so in its log.

    Nothing is collected meanwhile: that is a sixth of the time, finds next to nothing, and leaves holes, so that children
    copy pages as they fill them. See https://docs.python.org/3/library/gc.html#gc.freeze
    """
    gc.disable()
    try:
        for name in modules:
            importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - somebody else's module may raise anything
        return f"{name} does not import: {error}"
    finally:
        gc.freeze()  # or the first collection of each child would copy all pages
        gc.enable()
    return ""


def _unsafe(tmp: str, before: tuple[int, list[str]]) -> str:
    """Return why a child of this process would not start like a process of its own, given what was there before."""
    files, temporary = before
    if _files() != files:
        return "an import left a file open"
    if sandbox.children():
        return "an import started a process"
    if os.listdir(tmp) != temporary:  # noqa: PTH208 - no pathlib here
        return "an import wrote to /tmp"
    return _threads()


def _threads() -> str:
    count = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - no pathlib here
    return "" if count == 1 else f"it has {count} threads"


def _files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no pathlib here


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return a message and the descriptors that came with it; end with the service."""
    data, files, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 1)
    if not data:
        os._exit(0)
    return json.loads(data), files


def _send(control: socket.socket, message: dict[str, Any], *files: int) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], files)

"""Many buffers through one descriptor, in order and without joining them.

In: a call that writes some of what it is given, as `os.writev` and `socket.sendmsg` do; buffers. Out: all of them
written. Must not copy a buffer.
"""

from __future__ import annotations

from .frame import size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .frame import Buffer

AT_ONCE = 1024
"""How many buffers one system call takes (IOV_MAX)."""


def pour(write: Callable[[list[Buffer]], int], parts: Sequence[Buffer]) -> None:
    """Write all parts; raises what `write` raises."""
    at = 0
    while at < len(parts):
        left = list(parts[at : at + AT_ONCE])
        at += len(left)
        while left:
            written = write(left)
            if written == size_of(left):  # as nearly always
                break
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = memoryview(left[0])[written:]

"""Which modules un-pickling a value imports: evidence for what its readers' functions must hold.

In: a frame in parts. Out: names of top-level modules. Must not un-pickle anything.
"""

from __future__ import annotations

import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .frame import Buffer

SCANNED_BYTES = 1 << 16
"""A pickle names its classes where it first uses them; a longer one is scanned this far."""

_GLOBAL = re.compile(rb"\x8c.([a-zA-Z_][\w.]*)\x94\x8c.[a-zA-Z_<][\w.<>]*\x94\x93", re.DOTALL)
"""Short string, memoized; short string, memoized; STACK_GLOBAL: what protocol 5 writes for a new global."""


def modules_of(parts: Sequence[Buffer]) -> list[str]:
    """Return the top-level modules that a frame's pickle (its third part) imports from, sorted.

    Without the standard library's, and `__main__`.
    """
    names = {name.decode().partition(".")[0] for name in _GLOBAL.findall(parts[2], 0, SCANNED_BYTES)}
    return sorted(
        name for name in names - sys.stdlib_module_names if name in sys.modules and name != "__main__"
    )

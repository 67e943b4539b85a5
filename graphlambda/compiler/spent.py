"""Lets go of what an operation has used for the last time: a chain of calls holds two values in memory, not all of them.

In: the lines of an operation's body. Out: the same lines, with `del` where a value is spent. Must not look at what the
lines compute: a name that stands anywhere in a line counts as used there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAME = re.compile(r"\b(?:v|shared)[0-9]+\b")
_MADE = re.compile(r"(\w+) = ")


def without_spent(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines, the last of which returns; what the one before it uses goes with the function itself."""
    made = {found[1] for line in lines if (found := _MADE.match(line))}
    last = {name: number for number, line in enumerate(lines) for name in _NAME.findall(line) if name in made}
    for number, line in enumerate(lines):
        yield line
        spent = sorted({name for name in _NAME.findall(line) if last.get(name) == number})
        if spent and number < len(lines) - 2:
            yield f"del {', '.join(spent)}"

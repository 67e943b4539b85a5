"""The cyclic garbage collector, while much comes to be of which nothing is garbage: a graph's tasks, a library's modules.

In: nothing. Out: a block without collections. Must not collect, nor leave the collector off.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Hold back the collector: it would walk all objects of the process, millions of them, in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

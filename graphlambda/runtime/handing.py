"""How one task's value becomes another's within a process: as if it had travelled, without a frame.

In: a value. Out: the same, or a copy, which nobody else can reach. Must not hand on what would not travel.
"""

from __future__ import annotations

import pickle

from .frame import taken_apart
from .inputs import is_immutable
from .iterators import materialised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def handed(value: Any) -> Any:
    """Return a value as whoever reads it would get it.

    Raises:
        UnshippableValueError: it does not pickle.
    """
    if is_immutable(value):
        return value
    pickled, buffers = taken_apart(materialised(value))
    return pickle.loads(pickled, buffers=map(bytearray, buffers))

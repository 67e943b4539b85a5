"""Pickle with a say in how objects are taken apart.

In: a value, and a reduction. Out: its pickle. Must not import cloudpickle where pickle does.
"""

from __future__ import annotations

import pickle
from io import BytesIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Reduced: TypeAlias = Callable[[Any], Any]
    """An object → what its `__reduce__` is to give; NotImplemented: its own. May raise, to refuse it."""


def dumps(value: Any, reduced: Reduced, **options: Any) -> bytes:
    """Return a pickle that plain `pickle.loads` reads; by cloudpickle only where pickle fails.

    `options` are `pickle.Pickler`'s; after a failure, it starts again with them.
    Raises what pickling `value` raises, or `reduced`; ModuleNotFoundError where cloudpickle is needed and absent.
    """
    try:
        return _dumped(value, pickle.Pickler, reduced, options)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (a user's __reduce__ may raise anything)
        from cloudpickle import Pickler  # noqa: PLC0415  (for those that come here only)

        return _dumped(value, Pickler, reduced, options)


def _dumped(value: Any, base: Any, reduced: Reduced, options: dict[str, Any]) -> bytes:
    as_ever = getattr(base, "reducer_override", lambda _pickler, _value: NotImplemented)

    class Pickler(base):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            ours = reduced(value)
            return as_ever(self, value) if ours is NotImplemented else ours

    file = BytesIO()
    Pickler(file, protocol=5, **options).dump(value)
    return file.getvalue()

"""Drops a run in the place of its client, where functions reach the store and the client does not.

In: a request that names a run and a store, and bounds the time. Out: how many names are left. Must not run a task.
"""

from __future__ import annotations

from time import monotonic

from .wire import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def dropped(wanted: Mapping[str, Any], clients: Callable[[Mapping[str, Any]], Any]) -> dict[str, int]:
    """Return the reply: functions that still run a batch of it stop between two tasks, as the lease goes first.

    Raises:
        ValueStoreError: the store is out of reach here, too.
    """
    left = clients(wanted["store"]).drop(wanted["run"], monotonic() + wanted["seconds"])
    return {"v": VERSION, "left": left}

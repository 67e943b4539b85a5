"""Ends a run from outside of its client: by a mark in the run's folder, and in its client's place where that is gone.

In: a run, a configuration. Out: neither folder nor values of the run. Must not take a run from a client that lives.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from graphlambda import config as settings
from graphlambda.api.account import settled
from graphlambda.api.durability import folder_of, terms_of
from graphlambda.api.stores import left_by
from graphlambda.errors import NoSuchRunError, RunHeldError, StoreError
from graphlambda.store.claims import CANCEL, CLAIM_S, LEASE, Owner, cancel, take, this_client

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from graphlambda.store.folders import Folder

WAIT_S = 30.0
"""How long a client that lives may take to end its run: it looks every 3 s, and empties the store."""

LOOK_EVERY_S = 0.2


def end(run: str, flags: Mapping[str, Any], wait_s: float = WAIT_S) -> None:
    """Cancel a run and return when it has ended.

    Raises:
        NoSuchRunError: there is nothing of it.
        RunHeldError: its client lives, and has not ended it within `wait_s`; it is marked, and will.
        StoreError: the client is gone, and the store is out of reach; doing this again empties it.
    """
    folder, owner = folder_of(run, settings.load(flags)), this_client()
    if not folder.names():
        raise NoSuchRunError(run)
    cancel(folder, owner)
    if _is_taken(folder, owner, wait_s):
        _empty(run, flags)
    folder.drop()


def _is_taken(folder: Folder, owner: Owner, wait_s: float) -> bool:
    """Wait until a run is its client's no more: True where the client is gone and the run ours, False where it ended it."""
    started_s = time.monotonic()
    while set(folder.names()) - {CANCEL}:
        waited_s = time.monotonic() - started_s
        try:
            if waited_s > CLAIM_S or folder.read(
                LEASE
            ):  # without one, its client may just be writing the program
                take(folder, owner)
                return True
        except RunHeldError:
            if waited_s > wait_s:
                raise
        except StoreError:
            if folder.names():  # else it went while it was looked at
                raise
        time.sleep(LOOK_EVERY_S)
    return False


def _empty(run: str, flags: Mapping[str, Any]) -> None:
    """Drop what a client that is gone left in the store, which its run's own settings name."""
    try:
        saved = terms_of(run, settings.load(flags)).flags
    except NoSuchRunError:  # the client died before it had written that
        saved = {}
    try:
        store = left_by(settled(settings.load({**saved, **flags})))
        if store is not None:
            store.end(run, cancel=True)
    except StoreError as error:
        error.add_note(
            f"run {run} is cancelled and does not go on; graphlambda.cancel again empties its store"
        )
        raise

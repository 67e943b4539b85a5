"""Leaves in the store what a run may leave: where the client cannot reach it, a function empties it in its place.

In: how a run ended. Out: an empty store, or a warning that says what is left and for how long. Must not hide how the run
ended, nor take longer than a few invocations.
"""

from __future__ import annotations

import json
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from graphlambda.edge import warn
from graphlambda.errors import LeftoverWarning, RunError, StoreError
from graphlambda.runtime.valkey import TTL_S
from graphlambda.runtime.wire import VERSION
from graphlambda.scheduler.blocking import in_thread
from graphlambda.scheduler.policy import backoff_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphlambda.scheduler.tools import Tools

ROUNDS = 5
"""How many invocations may be used."""

ROUND_S = 10.0
"""How long each may delete: about a million names."""

_ANSWER_S = 20.0
"""How much longer an answer may take: a cold start, and the step that was begun."""


async def empty(tools: Tools, functions: Sequence[str], *, cancel: bool) -> None:
    """Drop a run's values; `cancel` stops functions that still work for it first.

    A store that nobody reaches must not hide how the run ended: the lease, and then what is there, runs out.
    """
    place = tools.place
    try:
        await in_thread(
            partial(place.store.end, place.run, cancel=cancel),
            timeout_s=place.limits.store_timeout_s,
            what="dropping the run",
        )
    except StoreError as error:
        spec = place.store.janitor_spec()
        if spec is not None and (left := await _swept(tools, functions, spec)):
            warn(
                f"values of run {place.run} are left in {place.store.address}, which this client does not reach "
                f"({error}): {left}. They expire at most {TTL_S / 60:.0f} minutes from now.",
                LeftoverWarning,
            )


async def _swept(tools: Tools, functions: Sequence[str], spec: dict[str, Any]) -> str:
    """Have functions drop the run, at the cost of some invocations that are in no bill; return what is left, for people."""
    wanted = {"run": tools.place.run, "store": spec, "seconds": ROUND_S}
    payload = json.dumps({"v": VERSION, "drop": wanted}).encode()
    left = "there is no function to delete them"
    for number, function in enumerate(islice(cycle(functions), ROUNDS)):
        if number:
            await tools.clock.sleep(backoff_s(number, tools.random))
        if not (left := await _asked(tools, function, payload)):
            break
    return left


async def _asked(tools: Tools, function: str, payload: bytes) -> str:
    """Have one function drop the run; return what is left, for people."""
    try:
        reply = await tools.invoker.invoke(function, payload, timeout_s=ROUND_S + _ANSWER_S)
        told = json.loads(reply.payload)
        left = told.get("left")
    except (OSError, RunError, ValueError) as error:
        return f"{function} could not be asked to delete them ({error!r})"
    if left is None:
        return f"{function} could not delete them ({told.get('errorMessage') or reply.error_code})"
    return f"{left:,} that {function} did not come to" if left else ""

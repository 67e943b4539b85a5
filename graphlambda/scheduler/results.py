"""The outputs of a run, as values or as references.

In: where each output lies. Out: the values in the program's nesting, or `Kept` references to them. Must not
download what would not fit.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.program import Kept, flat
from graphlambda.edge import OF_RESULT
from graphlambda.errors import AuthenticationError, ResultTooLargeError
from graphlambda.runtime.faults import FrameError
from graphlambda.runtime.frame import decode
from graphlambda.runtime.wire import context, value_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from graphlambda.compiler.program import Nested, Program
    from graphlambda.runtime.frame import Buffer
    from graphlambda.scheduler.values import Place, Values

LESS = "Write it with `to_zarr` or `to_parquet`, leave it in the store with `persist`, or compute less of it."
"""What to do about a result that does not fit."""


async def download(
    program: Program, values: Values, place: Place, free_bytes: Callable[[], int]
) -> list[Any]:
    """Return the outputs' values, nested as the program's outputs are; an id that occurs twice is one object.

    Raises:
        ResultTooLargeError: they would not fit into the client's memory.
        StoreError: one of them is lost, or the store is unavailable.
        AuthenticationError: one of them is not what it claims to be.
    """
    wanted = sorted(set(flat(list(program.outputs))))
    by_id = {v: program.data[v - program.task_count] for v in wanted if v >= program.task_count}
    kept = {value: ref for value in wanted if (ref := values.kept(value))}
    places = {
        v: kept.get(v) or Kept(run=place.run, id=v, store="") for v in wanted if v in kept or v not in by_id
    }
    held = {value: frame for value in places if (frame := values.frame(value)) is not None}
    await _refuse_too_large(places, held, values, place, free_bytes)
    frames = {**held, **await _fetched(places.keys() - held.keys(), places, place)}
    by_id |= await asyncio.to_thread(_decoded, places, frames, place, program.key)
    return [nested(part, by_id) for part in program.outputs]


async def keep(program: Program, values: Values, place: Place) -> list[Any]:
    """Leave the outputs in the store and return references, nested as the program's outputs are."""
    wanted = sorted(set(flat(list(program.outputs))))
    await values.prepare(values.unprepared(wanted))
    await values.spill(wanted)
    address = place.store.address
    by_id = {v: values.kept(v) or Kept(run=place.run, id=v, store=address) for v in wanted}
    return [nested(part, by_id) for part in program.outputs]


def nested(ids: Nested, by_id: Mapping[int, Any]) -> Any:
    """Return nested ids as nested values."""
    return by_id[ids] if isinstance(ids, int) else [nested(part, by_id) for part in ids]


async def _refuse_too_large(
    places: Mapping[int, Kept],
    held: Mapping[int, bytes],
    values: Values,
    place: Place,
    free_bytes: Callable[[], int],
) -> None:
    sizes = await place.call_all(
        (partial(place.store.size, ref.run, value_name(ref.id)), f"sizing output {ref.id}")
        for value, ref in places.items()
        if not values.size(value)
    )
    wanted, free = sum(map(values.size, places)) + sum(size or 0 for size in sizes), free_bytes()
    if wanted > free:
        raise ResultTooLargeError(
            f"the result has {wanted:,} bytes in {len(places):,} values ({len(held):,} of them here already), but this "
            f"process can take {free:,} more. {LESS}"
        )


async def _fetched(wanted: Iterable[int], places: Mapping[int, Kept], place: Place) -> dict[int, Buffer]:
    """Read frames from the store."""
    of = {value: places[value] for value in sorted(wanted)}
    frames = await place.call_all(
        (partial(place.store.get, ref.run, value_name(ref.id)), f"reading output {ref.id}")
        for ref in of.values()
    )
    return dict(zip(of, frames, strict=True))


def _decoded(
    places: Mapping[int, Kept], frames: Mapping[int, Buffer], place: Place, key: Callable[[int], Hashable]
) -> dict[int, Any]:
    """Un-pickle outputs; what a class of the user's raises then comes as itself, and says whose value it was."""
    found: dict[int, Any] = {}
    for value, frame in frames.items():
        ref = places[value]
        try:
            found[value] = _value(ref, frame, place)
        except Exception as error:
            maker = f"task {key(value)!r}" if ref.run == place.run else f"value {ref.id} of an earlier run"
            error.add_note(f"{OF_RESULT}{maker} was un-pickled")
            raise
    return found


def _value(ref: Kept, frame: Buffer, place: Place) -> Any:
    key = place.key_of(ref.run)
    try:
        return decode(frame, key=key, context=context(ref.run, value_name(ref.id)))
    except FrameError as error:
        raise AuthenticationError(str(error)) from error

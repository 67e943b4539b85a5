"""What a task binds to its ports, as arguments that are the task's alone.

In: bindings, the batch's inline frames, a client. Out: arguments. Must not let two tasks share memory:
a task may change what it is given.
"""

from __future__ import annotations

import pickle
from itertools import groupby, repeat
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType

from .faults import DamagedValueError, FrameError
from .frame import load, verify
from .wire import context, value_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, TypeAlias

    from .frame import Buffer
    from .values import Client

    Ref: TypeAlias = int | tuple[str, int]
    Binding: TypeAlias = tuple[Any, ...]
    Column: TypeAlias = tuple[Any, ...]

_ATOMS = frozenset(
    {type(None), bool, int, float, complex, str, bytes, range, type, type(...), type(NotImplemented)}
    | {FunctionType, BuiltinFunctionType}  # code, not values: one for all tasks, as in any process
)
_COMPOUNDS = frozenset({tuple, frozenset})
PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, range})
"""Types of values that all tasks of a batch may share."""


class Frames:
    """The verified frames that the tasks of one request read."""

    def __init__(
        self, run: str, keys: Mapping[str, bytes], client: Client, inline: Mapping[Ref, Buffer]
    ) -> None:
        self.run = run
        self._keys = keys
        self._client = client
        self._inline = inline
        self._verified: dict[Ref, memoryview] = {}
        self._elsewhere: dict[Ref, tuple[str, int]] = {}
        self._shared: dict[Ref, Any] = {}

    def made(self, value: int, frame: bytes) -> None:
        """Take a frame that an earlier task of the batch made, and that may not be in the store."""
        self._verified[value] = memoryview(frame)

    def moved(self, value: int, place: tuple[str, int]) -> None:
        """Take where an earlier task of the batch left its value, in another run."""
        self._elsewhere[value] = place

    def share(self, ref: Ref, value: Any) -> bool:
        """Keep a value for all tasks, if none can change it; return whether."""
        if type(value) not in PLAIN:
            return False
        self._shared[ref] = value
        return True

    def shared(self, ref: Ref) -> Any:
        """Return a value that no task can change."""
        return self._shared[ref]

    def values(self, refs: Iterable[Ref]) -> dict[Ref, Any]:
        """Return values that are the caller's alone, or that no task can change.

        Raises what `of` does.
        """
        shared = self._shared
        values = {ref: shared[ref] for ref in refs if ref in shared}
        unread = [ref for ref in refs if ref not in values]
        for ref, frame in zip(unread, self.of(unread), strict=True):
            values[ref] = value = load(frame)
            self.share(ref, value)
        return values

    def of(self, refs: Sequence[Ref]) -> Iterator[memoryview]:
        """Return each value's frame, in order: read-only where more than one task may read it.

        Raises:
            ValueStoreError: a value is not in the store.
            DamagedValueError: a frame is damaged, or belongs to another run.
        """
        read = self._read([self._place(ref) for ref in refs if self._is_absent(ref)])
        for ref in refs:
            yield next(read) if self._is_absent(ref) else self._here(ref)

    def _is_absent(self, ref: Ref) -> bool:
        """Whether a value has to be read from the store."""
        return ref not in self._verified and ref not in self._inline

    def _place(self, ref: Ref) -> tuple[str, int]:
        """Return the run and the number that a value has in the store."""
        return self._elsewhere.get(ref) or ((self.run, ref) if isinstance(ref, int) else ref)

    def _here(self, ref: Ref) -> memoryview:
        if ref not in self._verified:
            self._verified[ref] = self._checked(*self._place(ref), self._inline[ref]).toreadonly()
        return self._verified[ref]

    def _read(self, places: Sequence[tuple[str, int]]) -> Iterator[memoryview]:
        """Yield values' frames from the store, which is asked for all of a run at once."""
        for run, of_run in groupby(places, itemgetter(0)):
            values = [value for _, value in of_run]
            frames = self._client.read_all(run, [value_name(value) for value in values])
            yield from map(self._sound, repeat(run), values, frames)

    def _sound(self, run: str, value: int, frame: memoryview) -> memoryview:
        """Return a verified frame; what arrived damaged is read once more."""
        try:
            return self._checked(run, value, frame)
        except DamagedValueError:
            return self._checked(run, value, self._client.read(run, value_name(value)))

    def _checked(self, run: str, value: int, frame: Buffer) -> memoryview:
        if run not in self._keys:
            raise FrameError(f"the request holds no key of run {run}")
        name = value_name(value)
        source = getattr(frame, "obj", None)
        check = getattr(source, "verified", verify)  # a mapping need not be read again, see `mapped`
        try:
            return check(frame, key=self._keys[run], context=context(run, name))
        except FrameError as error:
            raise DamagedValueError(str(error), run, name) from error


def row_of(columns: Sequence[Column], row: int) -> list[Binding]:
    """Return what one task of a batch binds to each port."""
    return [
        column if column[0] == "c" else column[1][row] if column[0] == "m" else (column[0], column[1][row])
        for column in columns
    ]


def arguments(bindings: Sequence[Binding], constants: Mapping[int, Any], frames: Frames) -> list[Any]:
    """Return a task's arguments. A value that it names twice is one object, as in one process.

    Raises what `Frames.of` raises.
    """
    refs: dict[Ref, None] = {}
    for kind, *bound in bindings:
        if kind == "i":
            refs[bound[0]] = None
        elif kind == "g":
            refs |= dict.fromkeys(_flat(bound[0]))
    values = frames.values(refs) if refs else {}
    return [_argument(port, binding, constants, values) for port, binding in enumerate(bindings)]


def with_own_literals(bindings: Sequence[Binding]) -> Sequence[Binding]:
    """Return bindings whose literals no other task of the batch can reach.

    One pickle holds a batch, so a list that two tasks were given arrives as one list. Copied by pickle and
    not by `copy.deepcopy`, which leaves the objects in a pandas column shared.
    Raises what pickling a literal raises.
    """
    ports = [
        port for port, binding in enumerate(bindings) if binding[0] == "l" and not is_immutable(binding[1])
    ]
    if not ports:
        return bindings
    own = list(bindings)
    for port, literal in zip(
        ports, pickle.loads(pickle.dumps([bindings[port][-1] for port in ports], 5)), strict=True
    ):
        own[port] = ("l", literal)
    return own


def is_immutable(value: Any) -> bool:
    """Whether tasks may share a value: an atom, or a tuple, frozen set or slice of immutable values."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is slice:
        return all(map(is_immutable, (value.start, value.stop, value.step)))
    return kind in _COMPOUNDS and all(map(is_immutable, value))


def _argument(port: int, binding: Binding, constants: Mapping[int, Any], values: Mapping[Ref, Any]) -> Any:
    kind = binding[0]
    if kind == "i":
        return values[binding[1]]
    if kind == "l":
        return binding[1]
    return constants[port] if kind == "c" else _nest(binding[1], values)


def _nest(nested: Any, values: Mapping[Ref, Any]) -> Any:
    return [_nest(part, values) for part in nested] if isinstance(nested, list) else values[nested]


def _flat(nested: Any) -> Iterator[Ref]:
    if isinstance(nested, list):
        for part in nested:
            yield from _flat(part)
    else:
        yield nested
